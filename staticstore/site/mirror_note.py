"""A mirror's note: what its origin said last, so that a run can tell what is older.

It is ``.staticstore/mirror.json``, the copy's own: nobody else reads it, and whoever
deletes it lets the next run believe whatever the origin says.
"""

from __future__ import annotations

from ..client.origin import Origin
from ..errors import IndexFormatError, TransportError
from ..index import codec
from ..index.freshness import Freshness
from ..transport.integrity import atomic_file
from ..transport.regular import read_regular
from .folder import SiteFolder

__all__ = ["follows", "note_origin", "read_mirror_note", "write_mirror_note"]

_FORMAT = "staticstore-mirror/1"


def read_mirror_note(folder: SiteFolder) -> Freshness:
    """Return what the origin of a copy has said; nothing where no mirror has noted that."""
    try:
        said = codec.decode(read_regular(folder.mirror_note))
        return Freshness.parse(said["origin"]) if said["format"] == _FORMAT else Freshness()
    except (OSError, IndexFormatError, LookupError, TypeError, ValueError, AttributeError):
        return Freshness()


def write_mirror_note(folder: SiteFolder, origin: Freshness) -> None:
    """Write what the origin has said, unless it is noted already.

    Raises
    ------
    OSError
        It cannot be written.
    """
    if read_mirror_note(folder).as_json() != origin.as_json():
        with atomic_file(folder.mirror_note) as file:
            file.write(codec.encode({"format": _FORMAT, "origin": origin.as_json()}) + b"\n")


def follows(folder: SiteFolder, known: Freshness, origin: Origin) -> bool:
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
    if origin.held.source is not None and known.sha256 is not None:
        raise TransportError(
            "the first root of the site does not answer, and no other changes a copy that is there",
            url=origin.held.source,
        )
    if origin.head is None and not known.tolerates_absence() and not origin.was_believed:
        write_mirror_note(folder, known)
        raise TransportError(
            "the site had index.head.json when it was copied last, and has none now: the copy is "
            f"left as it is (absent in {known.absent} runs in a row; from the third on, index.json "
            "is followed)"
        )
    if origin.head is not None:
        accepted = known.accepts_head(origin.head)
    else:
        accepted = known.accepts_index(origin.sha256, origin.modified)
    if accepted or origin.was_believed:
        return True
    write_mirror_note(folder, known)
    return False


def note_origin(known: Freshness, origin: Origin) -> None:
    """Note that a copy has what its origin says."""
    known.older = 0
    if origin.held.source is not None:
        return  # it is not the site that said so
    if origin.head is not None:
        known.know_head(origin.head)
    else:
        known.know_index(origin.sha256, origin.modified)
