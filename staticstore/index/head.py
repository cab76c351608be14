"""The head of a site: which index is current, and how to get there from an older one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from . import codec
from .checks import entry_problem
from .fields import SHA256
from .keys import key_problem

__all__ = [
    "HEAD_PATH",
    "MOST_HEAD_BYTES",
    "Document",
    "Head",
    "Role",
    "Span",
    "bounded",
    "change_lines",
    "digest_prefix",
    "kept_whole",
    "parse_change_lines",
    "parse_count",
    "parse_lineage",
    "parse_sha256",
]

_FORMAT = "staticstore-head/1"
# How many digests of older indexes a head may list in all.
_MOST_ORIGINS = 64
#: Where the head stands, relative to the root.
HEAD_PATH = "index.head.json"
#: No head is larger, in bytes.
MOST_HEAD_BYTES = 4096

_SHA256 = re.compile(SHA256)
_PREFIX = re.compile(r"[0-9a-f]{16}\Z")
_SUM = re.compile(r"[0-9a-f]{32}\Z")
_LINEAGE = re.compile(r"[0-9a-f]{32}\Z")


class Role(Enum):
    """What a document named by its digest is, and where such documents stand.

    Attributes
    ----------
    folder, ending : str
        What surrounds the digest in its href.
    most_bytes : int or None
        No such document is larger; None where the reader chooses the bound.
    """

    INDEX = ("index", ".json", None)
    CHANGES = ("changes", ".jsonl", None)
    # 16 MiB of pages are enough for an index of a terabyte.
    BLOCK_ROOT = ("blocks", ".json", 16 << 20)
    # A block takes 64 KiB of an index and about 150 bytes of the list.
    BLOCK_LIST = ("blocks", ".jsonl", 64 << 20)
    PACK = ("packs", ".zip", 16 << 20)
    ABOUT = ("about", ".json", 64 << 10)

    def __init__(self, folder: str, ending: str, most_bytes: int | None) -> None:
        self.folder = folder
        self.ending = ending
        self.most_bytes = most_bytes


class Document(NamedTuple):
    """A document that is named by its digest: a head says which, and it never changes.

    Examples
    --------
    >>> Document.of(Role.CHANGES, b"").href
    'changes/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.jsonl'
    """

    role: Role
    #: Bytes, by the word of the host: no bound.
    size: int
    #: Lowercase hex.
    sha256: str

    @classmethod
    def of(cls, role: Role, body: bytes) -> Document:
        """Return what names these bytes."""
        return cls(role, len(body), hashlib.sha256(body).hexdigest())

    @classmethod
    def parse(cls, said: Any, role: Role) -> Document:
        """Read what a JSON object says of a document.

        Raises
        ------
        LookupError, TypeError, ValueError
            It says something else, or an href that is not made of the digest.
        """
        document = cls(role, parse_count(said["size"]), parse_sha256(said["sha256"]))
        if said["href"] != document.href:
            raise ValueError("an href is not made of its digest")
        return document

    @property
    def href(self) -> str:
        """Where it stands, relative to the root: made of the digest, never believed."""
        return f"{self.role.folder}/{self.sha256}{self.role.ending}"

    def describes(self, body: bytes | bytearray) -> bool:
        """Return whether these bytes are the document."""
        return self.is_of(len(body), hashlib.sha256(body).hexdigest())

    def is_of(self, size: int, sha256: str) -> bool:
        """Return whether bytes of such a size and digest are the document."""
        # Of a pack nobody says the size; here it is a bound.
        has_size = size <= self.size if self.role is Role.PACK else size == self.size
        return has_size and sha256 == self.sha256

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return {"href": self.href, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class Span:
    """A change file, and the indexes from which it leads on."""

    #: The first 16 hex digits of their sha256, oldest first.
    origins: tuple[str, ...]
    document: Document
    #: How many keys it tells of.
    count: int


@dataclass(frozen=True)
class Head:
    """What ``index.head.json`` says.

    Examples
    --------
    >>> document = Document(Role.INDEX, 12, "ab" * 32)
    >>> head = Head("cd" * 16, 1, "2026-11-20T12:00:00Z", document, 0)
    >>> Head.parse(head.encode()) == head
    True
    """

    #: 32 hex digits: who counts the generations.
    lineage: str
    #: One more with each publish that changes something.
    generation: int
    #: RFC 3339, UTC.
    published: str
    index: Document
    #: How many entries the index has.
    entries: int
    #: The root of the blocks of the index; None where there is none.
    blocks: Document | None = None
    #: Of the lines of the index (see `staticstore.index.sums`); None where nobody says.
    sum: str | None = None
    #: Oldest first; each leads to where the next begins, the last to `index`.
    spans: tuple[Span, ...] = ()
    #: The site's own words; None if it has none.
    about: Document | None = None

    @classmethod
    def parse(cls, body: bytes) -> Head:
        """Parse the bytes of an ``index.head.json``; fields that are not known are ignored.

        Raises
        ------
        IndexFormatError
            It is no head that this version can read.
        """
        said = codec.decode(body)
        try:
            if said["format"] != _FORMAT:
                raise ValueError("another format")
            return cls(
                lineage=parse_lineage(said["lineage"]),
                generation=parse_count(said["generation"]),
                published=str(said.get("published", "")),
                index=Document.parse(said["index"], Role.INDEX),
                entries=parse_count(said["index"]["entries"]),
                sum=_sum(said["index"].get("sum")),
                blocks=_blocks(said.get("blocks")),
                spans=tuple(map(_span, said.get("changes", []))),
                about=_about(said.get("about")),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise IndexFormatError(f"no head of an index: {error}") from error

    def encode(self) -> bytes:
        """Write the head as JSON, with a newline at its end."""
        index = {**self.index.as_json(), "entries": self.entries}
        if self.sum is not None:
            index["sum"] = self.sum
        said = {
            "format": _FORMAT,
            "lineage": self.lineage,
            "generation": self.generation,
            "published": self.published,
            "index": index,
            "changes": [
                {"from": span.origins, **span.document.as_json(), "count": span.count}
                for span in self.spans
            ],
        }
        if self.blocks is not None:
            said["blocks"] = self.blocks.as_json()
        if self.about is not None:
            said["about"] = {"size": self.about.size, "sha256": self.about.sha256}
        return codec.encode(said) + b"\n"

    def way_from(self, sha256: str) -> tuple[Span, ...] | None:
        """Return the change files that lead from an index to the current one, in order.

        None if there is no such way, or if it costs as much as the whole index.

        Parameters
        ----------
        sha256 : str
            The digest of the index that the reader has, lowercase hex.
        """
        for position, span in enumerate(self.spans):
            if digest_prefix(sha256) in span.origins:
                way = self.spans[position:]
                cost = sum(span.document.size for span in way)
                return way if cost < self.index.size else None
        return None


def digest_prefix(sha256: str) -> str:
    """Return what stands for a digest in the ``from`` of a change file."""
    return sha256[:16]


def kept_whole(spans: Sequence[Span], size: int) -> int:
    """Return how many of the older spans stay as they are when a new one comes.

    Those after them are to be merged with it, so that each span stays about
    twice as large as the next newer one, and few files serve many readers.

    Parameters
    ----------
    spans : sequence of Span
        Oldest first.
    size : int
        Bytes that the new one would have alone.

    Examples
    --------
    >>> sizes = 900, 150, 60
    >>> kept_whole([Span((), Document(Role.CHANGES, size, ""), 1) for size in sizes], 50)
    1
    """
    kept = len(spans)
    while kept and spans[kept - 1].document.size < 2 * size:
        kept -= 1
        size += spans[kept].document.size
    return kept


def bounded(head: Head) -> Head:
    """Return the head without its oldest origins and spans, as far as its bounds ask for it.

    All change files together stay below a quarter of the index, all origins
    at 64, and the head itself below 4 KiB.
    """
    spans = list(head.spans)
    while sum(span.document.size for span in spans) * 4 > head.index.size:
        del spans[0]
    while spans and (
        sum(len(span.origins) for span in spans) > _MOST_ORIGINS
        or len(replace(head, spans=tuple(spans)).encode()) >= MOST_HEAD_BYTES
    ):
        # A file leads on from fewer indexes than it could, or from none.
        spans[0] = replace(spans[0], origins=spans[0].origins[1:])
        if not spans[0].origins:
            del spans[0]
    return replace(head, spans=tuple(spans))


def change_lines(changes: Iterable[tuple[str, bytes | None]]) -> bytes:
    r"""Write final states as JSON Lines, raw entries byte for byte.

    Examples
    --------
    >>> change_lines([("a", b'{"v":1}'), ("b", None)])
    b'{"key":"a","metadata":{"v":1}}\n{"key":"b","metadata":null}\n'
    """
    return b"".join(
        b'{"key":%b,"metadata":%b}\n' % (codec.encode(key), b"null" if raw is None else raw)
        for key, raw in changes
    )


def parse_change_lines(body: bytes) -> dict[str, bytes | None]:
    r"""Parse a change file: raw entries by key, None for those that are gone.

    Raises
    ------
    IndexFormatError
        It is none, or holds an entry that no index may hold.

    Examples
    --------
    >>> parse_change_lines(b'{"key":"a","metadata":{"v":1}}\n{"key":"b","metadata":null}\n')
    {'a': b'{"v":1}', 'b': None}
    """
    found: dict[str, bytes | None] = {}
    for line in body.splitlines():
        key, raw = codec.split_change(line)
        text = bytes(raw)
        problem = key_problem(key) if text == b"null" else entry_problem(key, raw)
        if problem is not None:
            raise IndexFormatError(f"a change that cannot be applied: {problem}", key=key)
        found[key] = None if text == b"null" else text
    return found


def _text(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise ValueError("a field has another form")
    return value


def parse_count(value: object) -> int:
    """Return a number of something; raise ValueError if it is none."""
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a field is no number of something")
    return value


def parse_lineage(value: object) -> str:
    """Return the name of a lineage; raise ValueError if it is none."""
    return _text(value, _LINEAGE)


def parse_sha256(value: object) -> str:
    """Return a digest in lowercase hex; raise ValueError if it is none."""
    return _text(value, _SHA256)


def _sum(said: Any) -> str | None:
    return None if said is None else _text(said, _SUM)


def _blocks(said: Any) -> Document | None:
    return None if said is None else Document.parse(said, Role.BLOCK_ROOT)


def _about(said: Any) -> Document | None:
    if said is None:
        return None
    document = Document(Role.ABOUT, parse_count(said["size"]), parse_sha256(said["sha256"]))
    # It has no href on the wire, since that is made of the digest anyway.
    if said.get("href", document.href) != document.href:
        raise ValueError("an href is not made of its digest")
    return document


def _span(said: Any) -> Span:
    origins = tuple(_text(one, _PREFIX) for one in said["from"])
    return Span(origins, Document.parse(said, Role.CHANGES), parse_count(said.get("count", 0)))
