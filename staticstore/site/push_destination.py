"""What stands at a target already, and the note that pushes leave there for each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from ..index import codec
from ..index.head import Document, Head
from ..index.keys import key_problem
from ..index.named import named_documents
from ..index.snapshot import Index
from .packs import packs_of
from .push_source import DATA, PushSource
from .pushed_about import PushedAbout
from .target import Target

__all__ = ["NOTE", "PushNote", "PushDestination"]

#: Where the note stands at a target.
NOTE = ".staticstore/push.json"
_FORMAT = "staticstore-push/1"
_DIGEST_NAMED = re.compile(r"(packs|changes|blocks|index|about)/[0-9a-f]{64}\.(zip|jsonl|json)")


class PushNote(NamedTuple):
    """What an index at a target cannot tell of the data beside it."""

    #: Keys whose values a push may have replaced that did not come to its end.
    overwritten: frozenset[str] = frozenset()
    #: Keys whose values may stand there, though the index does not name them.
    left: frozenset[str] = frozenset()
    #: Files named by their digest that nothing names any more, and since when: seconds since 1970.
    forgotten: Mapping[str, int] = MappingProxyType({})
    #: Files that are whole there though no index names them yet, and their sha256.
    stored: Mapping[str, str] = MappingProxyType({})
    #: Names of the site's own words at which a file of somebody else stands.
    foreign: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, body: bytes) -> PushNote:
        """Parse a note.

        Raises
        ------
        IndexFormatError
            It is none.
        """
        said = codec.decode(body)
        if not isinstance(said, dict) or said.get("format") != _FORMAT:
            raise IndexFormatError(f"{NOTE} at the target is no note of a push")
        return cls(
            _keys(said.get("overwritten")),
            _keys(said.get("left")),
            _times(said.get("forgotten")),
            _digests(said.get("stored")),
            _keys(said.get("foreign")),
        )

    def encode(self) -> bytes:
        """Write the note as JSON."""
        said = {
            "format": _FORMAT,
            "overwritten": sorted(self.overwritten),
            "left": sorted(self.left),
            "forgotten": dict(sorted(self.forgotten.items())),
            "stored": dict(sorted(self.stored.items())),
            "foreign": sorted(self.foreign),
        }
        return codec.encode(said) + b"\n"


def _keys(said: Any) -> frozenset[str]:
    keys = said if isinstance(said, list) else []
    return frozenset(key for key in keys if key_problem(key) is None)


def _times(said: Any) -> dict[str, int]:
    times = said if isinstance(said, dict) else {}
    return {
        href: since
        for href, since in times.items()
        if _DIGEST_NAMED.fullmatch(href) and isinstance(since, int)
    }


def _digests(said: Any) -> dict[str, str]:
    digests = said if isinstance(said, dict) else {}
    return {href: sha256 for href, sha256 in digests.items() if isinstance(sha256, str)}


@dataclass(frozen=True)
class PushDestination:
    """The site at a target; empty where there is none yet."""

    index: Index
    body: bytes | None
    head: Head | None
    head_body: bytes | None
    #: Where the documents stand that the head names.
    documents: frozenset[str]
    note: PushNote
    #: Whether a head or a push's note stands there.
    is_known: bool
    #: What of some files beside the site stands there, by name.
    beside: dict[str, bytes | None]
    about: PushedAbout

    @classmethod
    def read(cls, target: Target, site: PushSource) -> PushDestination:
        """Ask a target what stands there in place of a site, by a request for each of a few files.

        Raises
        ------
        TransportError
            It cannot be asked.
        IndexFormatError
            What stands there as index, head or note is none: it may be somebody else's.
        """
        body, head_body = target.read("index.json"), target.read("index.head.json")
        note = target.read(NOTE)
        try:
            head = None if head_body is None else Head.parse(head_body)
            left = PushNote() if note is None else PushNote.parse(note)
            abouts = site.head.about, None if head is None else head.about
            index = _index_of(body, head, target)
            documents = _documents_of(head, target, site)
            if index is None and head is not None:
                documents -= {head.index.href}  # it is uploaded again
            return cls(
                Index.from_entries({}) if index is None else index,
                body,
                head,
                head_body,
                documents,
                left,
                head_body is not None or note is not None,
                {name: target.read(name) for name in site.beside},
                PushedAbout.compare(target, site.about, abouts, left.forgotten, left.foreign),
            )
        except IndexFormatError as error:
            raise IndexFormatError(
                f"what stands at {target.url} is no site, and not overwritten: {error}"
            ) from error

    def lacking(self, site: PushSource) -> list[str]:
        """Return the keys whose values do not stand there as a site has them, in order."""
        wanted = site.index.contents_of(list(site.index))
        there = self.index.contents_of(wanted)
        return [
            key
            for key, content in wanted.items()
            if self.note.stored.get(DATA + key) != content.sha256
            and (
                key in self.note.overwritten
                or key not in there
                or (there[key].size, there[key].sha256) != (content.size, content.sha256)
            )
        ]

    def named(self) -> set[str]:
        """Return what stands there under a name that is its digest: what index and head name."""
        return {*packs_of(self.index), *self.documents}

    def no_more(self, keys: Iterable[str]) -> frozenset[str]:
        """Return the keys beside `keys` whose values stand there."""
        return (self.note.left | frozenset(self.index)).difference(keys)


def _index_of(body: bytes | None, head: Head | None, target: Target) -> Index | None:
    """Return the index at a target, which its head names if index.json is lost; None if none."""
    if body is None and head is not None:
        named = target.read(head.index.href)
        body = named if named is not None and head.index.describes(named) else None
    return None if body is None else Index.parse(body)


def _documents_of(head: Head | None, target: Target, site: PushSource) -> frozenset[str]:
    """Return where the documents stand that the head at a target names, as far as they do."""
    unusable: set[Document] = set()

    def read(document: Document) -> bytes | None:
        if document == site.head.blocks:
            return site.block_root
        body = target.read(document.href)
        if body is not None and document.describes(body):
            return body
        unusable.add(document)  # it can be uploaded again, whatever it is
        return None

    named = [] if head is None else list(named_documents(head, read))
    return frozenset(document.href for document in named if document not in unusable)
