"""A mirror's note: what its origin said last, so that a run can tell what is older.

It is ``.staticstore/mirror.json``, the copy's own: nobody else reads it, and whoever
deletes it lets the next run believe whatever the origin says.
"""

from __future__ import annotations

from ..client.origin import Origin
from ..errors import IndexFormatError
from ..index import codec
from ..index.freshness import Freshness
from ..transport.integrity import atomic_file
from ..transport.regular import read_regular
from .folder import SiteFolder

__all__ = ["accepts", "note_origin", "read_mirror_note", "write_mirror_note"]

_FORMAT = "staticstore-mirror/1"


def read_mirror_note(folder: SiteFolder) -> Freshness | None:
    """Return what the origin of a copy has said; None if no mirror has noted that."""
    try:
        said = codec.decode(read_regular(folder.mirror_note))
        if said["format"] != _FORMAT:
            return None
        return Freshness.parse(said["origin"])
    except (OSError, IndexFormatError, LookupError, TypeError, ValueError, AttributeError):
        return None


def write_mirror_note(folder: SiteFolder, origin: Freshness) -> None:
    """Write what the origin has said, unless it is noted already.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if read_mirror_note(folder) != origin:
        with atomic_file(folder.mirror_note) as file:
            file.write(codec.encode({"format": _FORMAT, "origin": origin.as_json()}) + b"\n")


def accepts(known: Freshness, origin: Origin) -> bool:
    """Count what an origin says; return whether a copy is to follow it.

    What a store has taken in spite of its own count is followed at once.
    """
    if origin.head is not None:
        accepted = known.accepts_head(origin.head)
    else:
        accepted = known.accepts_index(origin.sha256, origin.modified)
    return accepted or origin.was_believed


def note_origin(known: Freshness, origin: Origin) -> None:
    """Note that a copy has what the origin says."""
    if origin.head is not None:
        known.know_head(origin.head)
    else:
        known.know_index(origin.sha256, origin.modified)
    known.older = 0
