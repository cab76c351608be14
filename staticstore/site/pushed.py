"""What stands at a target already, and the note that pushes leave there for each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import IndexFormatError
from ..index import codec
from ..index.head import Head
from ..index.keys import key_problem
from ..index.snapshot import Index
from .packs import packs_of
from .pushable import PushableSite
from .target import Target

__all__ = ["NOTE", "PushNote", "PushedSite"]

#: Where the note stands at a target.
NOTE = ".staticstore/push.json"
_FORMAT = "staticstore-push/1"


class PushNote(NamedTuple):
    """What an index at a target cannot tell of the data beside it."""

    #: Keys whose values a push may have replaced that did not come to its end.
    overwritten: frozenset[str] = frozenset()
    #: Keys whose values may stand there, though the index does not name them.
    left: frozenset[str] = frozenset()

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
        return cls(_keys(said.get("overwritten")), _keys(said.get("left")))

    def encode(self) -> bytes:
        """Write the note as JSON."""
        said = {
            "format": _FORMAT,
            "overwritten": sorted(self.overwritten),
            "left": sorted(self.left),
        }
        return codec.encode(said) + b"\n"


def _keys(said: Any) -> frozenset[str]:
    keys = said if isinstance(said, list) else []
    return frozenset(key for key in keys if key_problem(key) is None)


@dataclass(frozen=True)
class PushedSite:
    """The site at a target; empty where there is none yet."""

    index: Index
    body: bytes | None
    head: Head | None
    head_body: bytes | None
    note: PushNote
    #: What of some files beside the site stands there, by name.
    beside: dict[str, bytes | None]

    @classmethod
    def read(cls, target: Target, beside: Iterable[str]) -> PushedSite:
        """Ask a target what stands there, by a request for each of a few files.

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
            return cls(
                Index.from_entries({}) if body is None else Index.parse(body),
                body,
                None if head_body is None else Head.parse(head_body),
                head_body,
                PushNote() if note is None else PushNote.parse(note),
                {name: target.read(name) for name in beside},
            )
        except IndexFormatError as error:
            raise IndexFormatError(
                f"what stands at {target.url} is no site, and not overwritten: {error}"
            ) from error

    def lacking(self, site: PushableSite) -> list[str]:
        """Return the keys whose values do not stand there as a site has them, in order."""
        wanted = site.index.contents_of(list(site.index))
        there = self.index.contents_of(wanted)
        return [
            key
            for key, content in wanted.items()
            if key in self.note.overwritten
            or key not in there
            or (there[key].size, there[key].sha256) != (content.size, content.sha256)
        ]

    def named(self, site: PushableSite) -> set[str]:
        """Return what stands there under a name that is its digest: what index and head name."""
        hrefs = set(packs_of(self.index))
        if self.head is not None:
            hrefs |= {self.head.index.href, *(span.document.href for span in self.head.spans)}
            if self.head.blocks is not None and self.head.blocks in site.blocks:
                hrefs |= {document.href for document in site.blocks}
        return hrefs

    def forgotten(self, keys: Iterable[str]) -> frozenset[str]:
        """Return the keys beside `keys` whose values stand there."""
        return (self.note.left | frozenset(self.index)).difference(keys)
