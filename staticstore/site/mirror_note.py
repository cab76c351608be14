"""The note of a copy: its origin's last head or index, and if all was copied.

The note is ``.staticstore/mirror.json``.  Only the mirror reads it; without it, the next
run believes whatever the origin says.
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
        Whether the whole site was copied, even if some values failed or were
        skipped; None if unknown.
    """

    origin: Freshness = field(default_factory=Freshness)
    whole: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the note as `parse` takes it."""
        return {"format": _FORMAT, "origin": self.origin.as_json(), "whole": self.whole}

    @classmethod
    def parse(cls, fields: Any) -> MirrorNote:
        """Read the result of `as_json`.

        Raises
        ------
        LookupError, TypeError, ValueError, AttributeError
            It is something else.
        """
        if fields["format"] != _FORMAT:
            raise ValueError("it is no note of a mirror")
        whole = fields.get("whole")
        if whole is not None and type(whole) is not bool:
            raise TypeError("a field is neither true nor false")
        return cls(Freshness.parse(fields["origin"]), whole)


def read_mirror_note(folder: SiteFolder) -> MirrorNote:
    """Return the note of a copy; an empty one if there is none that can be read."""
    try:
        return MirrorNote.parse(codec.decode(read_regular(folder.mirror_note, _MOST_BYTES)))
    except (OSError, IndexFormatError, LookupError, TypeError, ValueError, AttributeError):
        return MirrorNote()


def write_mirror_note(folder: SiteFolder, note: MirrorNote) -> None:
    """Write the note of a copy, if it has changed.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if read_mirror_note(folder).as_json() != note.as_json():
        with atomic_file(folder.mirror_note) as file:
            file.write(codec.encode(note.as_json()) + b"\n")


def follows(folder: SiteFolder, note: MirrorNote, origin: SiteSnapshot) -> bool:
    """Return whether a copy is to follow what its origin says, or ignore it as older.

    If ignored, it is counted in the note.  An older index that the store has accepted,
    after counting itself, is followed at once.

    Parameters
    ----------
    folder : SiteFolder
        The copy, locked.
    note : MirrorNote
        Its note; changed.
    origin : SiteSnapshot
        What the origin says.

    Raises
    ------
    TransportError
        Another root answered in place of the first; or the head is absent, which it
        was not before, for the first or second run in a row.
    OSError
        The note cannot be written.
    """
    known = note.origin
    if origin.held.source is not None and known.sha256 is not None:
        raise TransportError(
            "the first root of the site does not answer, and an existing copy follows no other",
            url=origin.held.source,
        )
    if origin.head is None and not known.tolerates_absence() and not origin.was_believed:
        write_mirror_note(folder, note)
        raise TransportError(
            "the site had index.head.json when it was copied last, and has none now: the copy is "
            f"left unchanged (run {known.absent} of 2 that fail for that; the next one goes by "
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
    """Note that a copy has what its origin says, or a part of it.

    Parameters
    ----------
    note : MirrorNote
        The note; changed.
    origin : SiteSnapshot
        What the origin says.
    whole : bool
        Whether the whole was copied.
    """
    note.whole = whole
    known = note.origin
    known.older = 0
    if origin.held.source is not None:
        return  # another root answered
    if origin.head is not None:
        known.know_head(origin.head)
    else:
        known.know_index(origin.sha256, origin.modified)
