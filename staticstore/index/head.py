"""The head of a site: the current index, and the way to it from an older one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from . import codec
from .codec import SHA256

__all__ = [
    "DIGEST_FOLDERS",
    "ENTRY_FOLDERS",
    "HEAD_PATH",
    "MOST_HEAD_BYTES",
    "ChangeFile",
    "Head",
    "NamedDocument",
    "Role",
    "bounded",
    "digest_prefix",
    "kept_whole",
    "parse_count",
    "parse_lineage",
    "parse_sha256",
]

#: Folders of the documents that a head names; the name of each file is its digest.
DIGEST_FOLDERS = ("about", "index", "changes", "blocks")
#: The same, of the files that entries name.
ENTRY_FOLDERS = ("packs", "stored")

_FORMAT = "staticstore-head/1"
#: Where the head is, relative to the root.
HEAD_PATH = "index.head.json"
#: No head is larger.
MOST_HEAD_BYTES = 4096
# A head lists so many digests of older indexes at most; that takes 1.2 KiB of it.
_MOST_ORIGINS = 64
# All change files have no more of the bytes of the index, so that they stay the cheaper way.
_CHANGES_PART = 1 / 4

_SHA256 = re.compile(SHA256)
_PREFIX = re.compile(r"[0-9a-f]{16}\Z")
_SUM = _LINEAGE = re.compile(r"[0-9a-f]{32}\Z")


class Role(Enum):
    """The kinds of documents that are named by their digest.

    Attributes
    ----------
    folder, ending : str
        What is before and after the digest in the href.
    most_bytes : int or None
        No such document is larger; None where the reader sets the bound.
    """

    INDEX = ("index", ".json", None)
    CHANGES = ("changes", ".jsonl", None)
    # 16 MiB of pages are enough for an index of a terabyte.
    BLOCK_ROOT = ("blocks", ".json", 16 << 20)
    # A block takes 64 KiB of an index and about 150 bytes of the list.
    BLOCK_LIST = ("blocks", ".jsonl", 64 << 20)
    PACK = ("packs", ".zip", 16 << 20)
    ABOUT = ("about", ".json", 64 << 10)
    TABLE = ("index", ".parquet", None)
    COMPRESSED = ("stored", ".zst", None)

    def __init__(self, folder: str, ending: str, most_bytes: int | None) -> None:
        self.folder = folder
        self.ending = ending
        self.most_bytes = most_bytes


class NamedDocument(NamedTuple):
    """A document that is named by its digest, and so never changes.

    Examples
    --------
    >>> NamedDocument.of(Role.CHANGES, b"").href
    'changes/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855.jsonl'
    """

    role: Role
    #: Bytes; a claim of the host, not a bound.
    size: int
    #: Lowercase hex.
    sha256: str

    @classmethod
    def of(cls, role: Role, body: bytes) -> NamedDocument:
        """Return the document with these bytes."""
        return cls(role, len(body), hashlib.sha256(body).hexdigest())

    @classmethod
    def parse(cls, parsed: Any, role: Role) -> NamedDocument:
        """Read a document from the JSON object that names it.

        Raises
        ------
        LookupError, TypeError, ValueError
            It names none, or its href is not made of its digest.
        """
        document = cls(role, parse_count(parsed["size"]), parse_sha256(parsed["sha256"]))
        if parsed["href"] != document.href:
            raise ValueError("an href is not made of its digest")
        return document

    @property
    def href(self) -> str:
        """Path relative to the root; derived from the digest, so that no host chooses it."""
        return f"{self.role.folder}/{self.sha256}{self.role.ending}"

    def describes(self, body: bytes | bytearray) -> bool:
        """Return whether these bytes are the document."""
        return self.is_of(len(body), hashlib.sha256(body).hexdigest())

    def is_of(self, size: int, sha256: str) -> bool:
        """Return whether bytes of such a size and digest are the document."""
        # No one gives the size of a pack; `size` is a bound there.
        has_size = size <= self.size if self.role is Role.PACK else size == self.size
        return has_size and sha256 == self.sha256

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return {"href": self.href, "size": self.size, "sha256": self.sha256}


@dataclass(frozen=True)
class ChangeFile:
    """A change file, and the indexes from which it leads on."""

    #: The first 16 hex digits of their sha256, oldest first.
    origins: tuple[str, ...]
    document: NamedDocument
    #: The number of keys in it.
    count: int

    @classmethod
    def parse(cls, parsed: Any) -> ChangeFile:
        """Read one from its JSON object; raises as `NamedDocument.parse`."""
        origins = tuple(_matching(one, _PREFIX) for one in parsed["from"])
        document = NamedDocument.parse(parsed, Role.CHANGES)
        return cls(origins, document, parse_count(parsed.get("count", 0)))


@dataclass(frozen=True)
class Head:
    """The contents of ``index.head.json``.

    Examples
    --------
    >>> document = NamedDocument(Role.INDEX, 12, "ab" * 32)
    >>> head = Head("cd" * 16, 1, "2026-11-20T12:00:00Z", document, 0)
    >>> Head.parse(head.encode()) == head
    True
    """

    #: 32 hex digits; generations of the same lineage can be compared.
    lineage: str
    #: One more with each publish that changes something.
    generation: int
    #: RFC 3339, UTC.
    published: str
    index: NamedDocument
    #: The number of entries in the index.
    entries: int
    #: The root of the blocks of the index, or None.
    blocks: NamedDocument | None = None
    #: The sum of the lines of the index (`changes.sum_of_document`), or None.
    sum: str | None = None
    #: Oldest first; each leads to where the next begins, the last to `index`.
    change_files: tuple[ChangeFile, ...] = ()
    #: What the site says of itself, or None.
    about: NamedDocument | None = None
    #: The same entries as a table in a Parquet file, or None.
    table: NamedDocument | None = None

    @classmethod
    def parse(cls, body: bytes) -> Head:
        """Parse the bytes of an ``index.head.json``; unknown fields are ignored.

        Raises
        ------
        IndexFormatError
            It is not a head that this version can read.
        """
        parsed = codec.decode(body)
        try:
            if parsed["format"] != _FORMAT:
                raise ValueError("another format")
            index, blocks, table = parsed["index"], parsed.get("blocks"), parsed.get("table")
            return cls(
                lineage=parse_lineage(parsed["lineage"]),
                generation=parse_count(parsed["generation"]),
                published=str(parsed.get("published", "")),
                index=NamedDocument.parse(index, Role.INDEX),
                entries=parse_count(index["entries"]),
                sum=None if index.get("sum") is None else _matching(index["sum"], _SUM),
                blocks=None if blocks is None else NamedDocument.parse(blocks, Role.BLOCK_ROOT),
                change_files=tuple(map(ChangeFile.parse, parsed.get("changes", []))),
                about=_about(parsed.get("about")),
                table=None if table is None else NamedDocument.parse(table, Role.TABLE),
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise IndexFormatError(f"not a head of an index: {error}") from error

    def encode(self) -> bytes:
        """Write the head as JSON, with a newline at its end."""
        index = {**self.index.as_json(), "entries": self.entries}
        if self.sum is not None:
            index["sum"] = self.sum
        fields = {
            "format": _FORMAT,
            "lineage": self.lineage,
            "generation": self.generation,
            "published": self.published,
            "index": index,
            "changes": [
                {"from": one.origins, **one.document.as_json(), "count": one.count}
                for one in self.change_files
            ],
        }
        if self.blocks is not None:
            fields["blocks"] = self.blocks.as_json()
        if self.about is not None:
            fields["about"] = {"size": self.about.size, "sha256": self.about.sha256}
        if self.table is not None:
            fields["table"] = self.table.as_json()
        return codec.encode(fields) + b"\n"

    def way_from(self, sha256: str) -> tuple[ChangeFile, ...] | None:
        """Return the change files that lead from an index to the current one, in order.

        None if there are none, or if they have as many bytes as the whole index.

        Parameters
        ----------
        sha256 : str
            The digest of the index that the reader has, lowercase hex.
        """
        for position, file in enumerate(self.change_files):
            if digest_prefix(sha256) in file.origins:
                way = self.change_files[position:]
                return way if _size_of(way) < self.index.size else None
        return None


def digest_prefix(sha256: str) -> str:
    """Return the part of a digest that the ``from`` of a change file lists."""
    return sha256[:16]


def kept_whole(files: Sequence[ChangeFile], size: int) -> int:
    """Return how many of the older change files stay as they are when a new one comes.

    Those after them are merged with it, so that each file stays about twice
    as large as the next newer one, and few files serve many readers.

    Parameters
    ----------
    files : sequence of ChangeFile
        Oldest first.
    size : int
        Size of the new file by itself, in bytes.

    Examples
    --------
    >>> sizes = 900, 150, 60
    >>> kept_whole([ChangeFile((), NamedDocument(Role.CHANGES, size, ""), 1) for size in sizes], 50)
    1
    """
    kept = len(files)
    while kept and files[kept - 1].document.size < 2 * size:
        kept -= 1
        size += files[kept].document.size
    return kept


def bounded(head: Head) -> Head:
    """Return the head without its oldest origins and change files, as far as needed.

    All change files together stay below a quarter of the index, all origins
    at 64, and the head itself below 4 KiB.
    """
    files = list(head.change_files)
    while _size_of(files) > head.index.size * _CHANGES_PART:
        del files[0]
    while files and (
        sum(len(file.origins) for file in files) > _MOST_ORIGINS
        or len(replace(head, change_files=tuple(files)).encode()) >= MOST_HEAD_BYTES
    ):
        # Without its oldest origin, the oldest file serves the other readers as before.
        files[0] = replace(files[0], origins=files[0].origins[1:])
        if not files[0].origins:
            del files[0]
    return replace(head, change_files=tuple(files))


def _size_of(files: Iterable[ChangeFile]) -> int:
    return sum(file.document.size for file in files)


def _matching(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.match(value):
        raise ValueError("a field has another form")
    return value


def parse_count(value: object) -> int:
    """Return a count; raise ValueError if it is not one."""
    # `type`, since True is an instance of int; the bound is that of the counts in `codec`.
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a field is not a count")
    return value


def parse_lineage(value: object) -> str:
    """Return the name of a lineage; raise ValueError if it is not one."""
    return _matching(value, _LINEAGE)


def parse_sha256(value: object) -> str:
    """Return a digest in lowercase hex; raise ValueError if it is not one."""
    return _matching(value, _SHA256)


def _about(parsed: Any) -> NamedDocument | None:
    if parsed is None:
        return None
    # Not `NamedDocument.parse`: the heads that `encode` writes have no href of this document.
    document = NamedDocument(
        Role.ABOUT, parse_count(parsed["size"]), parse_sha256(parsed["sha256"])
    )
    if parsed.get("href", document.href) != document.href:
        raise ValueError("an href is not made of its digest")
    return document
