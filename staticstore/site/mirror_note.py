"""A mirror's note: what its origin said last, and whether the copy is of the whole site.

It is ``.staticstore/mirror.json``, the copy's own: nobody else reads it, and whoever
deletes it lets the next run believe whatever the origin says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..client.site_snapshot import SiteSnapshot
from ..errors import IndexFormatError, TransportError
from ..index import codec
from ..index.freshness import Freshness
from ..transport.atomic import atomic_file
from ..transport.regular import read_regular
from .folder import SiteFolder

__all__ = ["MirrorNote", "follows", "note_origin", "read_mirror_note", "write_mirror_note"]

_FORMAT = "staticstore-mirror/1"
_MOST_BYTES = 1 << 16


@dataclass
class MirrorNote:
    """What a mirror knows of its copy.

    Attributes
    ----------
    origin : Freshness
        What the origin has said.
    whole : bool or None
        Whether the whole site was copied, though some values may have failed or
        been skipped; None if no note says so.
    """

    origin: Freshness = field(default_factory=Freshness)
    whole: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return {"format": _FORMAT, "origin": self.origin.as_json(), "whole": self.whole}

    @classmethod
    def parse(cls, said: Any) -> MirrorNote:
        """Read what `as_json` has given.

        Raises
        ------
        LookupError, TypeError, ValueError, AttributeError
            It is something else.
        """
        if said["format"] != _FORMAT:
            raise ValueError("it is no note of a mirror")
        whole = said.get("whole")
        if whole is not None and type(whole) is not bool:
            raise TypeError("a field is neither true nor false")
        return cls(Freshness.parse(said["origin"]), whole)


def read_mirror_note(folder: SiteFolder) -> MirrorNote:
    """Return the note of a copy; one that knows nothing if there is none that can be read."""
    try:
        return MirrorNote.parse(codec.decode(read_regular(folder.mirror_note, _MOST_BYTES)))
    except (OSError, IndexFormatError, LookupError, TypeError, ValueError, AttributeError):
        return MirrorNote()


def write_mirror_note(folder: SiteFolder, note: MirrorNote) -> None:
    """Write the note of a copy, unless it stands there already.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if read_mirror_note(folder).as_json() != note.as_json():
        with atomic_file(folder.mirror_note) as file:
            file.write(codec.encode(note.as_json()) + b"\n")


def follows(folder: SiteFolder, note: MirrorNote, origin: SiteSnapshot) -> bool:
    """Count what an origin says; return whether its copy is to follow it.

    If it is not, the count is written into the note.  What the store has taken in
    spite of its own count is followed at once.

    Raises
    ------
    TransportError
        It is a copy of the site that says so, in the place of the first root; or a
        head that was known is absent for the first or second run in a row.
    OSError
        The note cannot be written.
    """
    known = note.origin
    if origin.held.source is not None and known.sha256 is not None:
        raise TransportError(
            "the first root of the site does not answer, and no other changes a copy that is there",
            url=origin.held.source,
        )
    if origin.head is None and not known.tolerates_absence() and not origin.was_believed:
        write_mirror_note(folder, note)
        raise TransportError(
            "the site had index.head.json when it was copied last, and has none now: the copy is "
            f"left as it is (run {known.absent} of 2 that fail for that; the next one goes by "
            "index.json)"
        )
    if origin.head is not None:
        accepted = known.accepts_head(origin.head)
    else:
        accepted = known.accepts_index(origin.sha256, origin.modified)
    if accepted or origin.was_believed:
        return True
    write_mirror_note(folder, note)
    return False


def note_origin(note: MirrorNote, origin: SiteSnapshot, *, whole: bool) -> None:
    """Note that a copy has what its origin says, or a part of that."""
    note.whole = whole
    known = note.origin
    known.older = 0
    if origin.held.source is not None:
        return  # it is not the site that said so
    if origin.head is not None:
        known.know_head(origin.head)
    else:
        known.know_index(origin.sha256, origin.modified)
