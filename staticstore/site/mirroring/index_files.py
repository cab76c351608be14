"""The index and head of a mirror's copy, and its note on the origin's last answer.

The note is ``.staticstore/mirror.json``.  Only the mirror reads it; without it, the next
run believes whatever the origin says.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ...disk.atomic import atomic_file, later_than, prepared_file, remove_leftovers
from ...disk.file_system import read_regular, sync_folder
from ...disk.space import is_full, reserved
from ...errors import IndexFormatError, TransportError, reason_of
from ...index import codec
from ...index.blocks import named_documents
from ...index.freshness import Freshness
from ...index.head import Head, NamedDocument
from ...index.snapshot import Index
from ..about import fetch_about
from ..documents.document_files import prepared_head
from ..documents.head_files import HeadFiles, next_head
from ..folder.retention import forget, remove_forgotten
from .staging import parts_of
from .trust_copy import AskedForTrust

if TYPE_CHECKING:
    from ...client.site_snapshot import SiteSnapshot
    from ..folder.site_folder import SiteFolder
    from .trust_copy import TrustCopy

__all__ = [
    "IndexFiles",
    "MirrorNote",
    "files_of_part",
    "files_of_whole",
    "follows",
    "note_origin",
    "read_mirror_note",
    "replacing_index",
    "room_for_index",
    "write_mirror_note",
]

_Entries = Callable[[], Iterable[tuple[str, Mapping[str, Any]]]]
_FORMAT = "staticstore-mirror/1"
_MOST_BYTES = 1 << 16
# Room for index, change file and notes, as a ratio to the index of the site; and for
# small files.
_INDEX_ROOM_RATIO = 2.5
_INDEX_ROOM_BYTES = 1 << 17


class IndexFiles(NamedTuple):
    """The index and head that a copy is to have."""

    #: The bytes of ``index.json``.
    body: bytes
    #: None on a site without one.
    head: Head | None
    #: What to write; None if the copy's head and all that it names are right already.
    files: HeadFiles | None
    #: The hrefs of the packs and compressed copies that the index names.
    entry_files: frozenset[str] = frozenset()


def files_of_whole(
    folder: SiteFolder, origin: SiteSnapshot, entry_files: frozenset[str], entries: _Entries
) -> IndexFiles:
    """Return the origin's index and head, byte for byte; fetch what the copy lacks.

    Documents that the head names and that cannot be fetched are left out: they only make
    the site faster.  If the bytes of the index cannot be fetched, the copy gets the index
    of a part, since no head of the origin would describe it.

    Parameters
    ----------
    folder : SiteFolder
        The copy.
    origin : SiteSnapshot
        The site.
    entry_files : frozenset of str
        The hrefs of the packs and compressed copies that its index names.
    entries : callable
        Returns the entries of the copy, should it need an index of its own.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """
    body = _body_of(folder, origin)
    if body is None:
        return files_of_part(folder, origin, dict(entries()))
    head = origin.head
    if head is None:
        return IndexFiles(body, None, None, entry_files)
    documents = _missing_documents(folder, origin, head)
    if not documents and folder.read_head() == head and folder.has_document(head.index, body):
        return IndexFiles(body, head, None, entry_files)
    return IndexFiles(body, head, HeadFiles(head, documents, _head_text(origin, head)), entry_files)


def files_of_part(
    folder: SiteFolder, origin: SiteSnapshot, entries: Mapping[str, Mapping[str, Any]]
) -> IndexFiles:
    """Return an index of some entries, and a head of the copy's own lineage."""
    index = Index.from_entries(entries)
    body = index.canonical()
    head = folder.read_head()
    if head is not None and head.lineage in _origin_lineages(folder, origin):
        head = None  # only the origin counts the generations of its lineages
    found = fetch_about(folder, origin.head, origin.read)
    head, files = next_head(folder, head, index, body, about=None if found is None else found[0])
    if files is not None and found is not None:
        files = replace(files, documents={**files.documents, found[0]: found[1]})
    return IndexFiles(body, head, files)


def _origin_lineages(folder: SiteFolder, origin: SiteSnapshot) -> set[str | None]:
    known = read_mirror_note(folder).origin
    heads = (origin.head, known.head)
    return {known.left, *(head.lineage for head in heads if head is not None)}


def _body_of(folder: SiteFolder, origin: SiteSnapshot) -> bytes | None:
    # The snapshot may keep its entries in another form than that in which they came.
    body = b"".join(origin.snapshot.document())
    if hashlib.sha256(body).hexdigest() == origin.sha256:
        return body
    return origin.read_index(parts_of(folder))


def _head_text(origin: SiteSnapshot, head: Head) -> bytes:
    # The host's own bytes, with fields that this version does not know, if it still has them.
    text = origin.head_text or origin.read_head()
    with contextlib.suppress(IndexFormatError):
        if text is not None and Head.parse(text) == head:
            return text
    return head.encode()


def _missing_documents(
    folder: SiteFolder, origin: SiteSnapshot, head: Head
) -> dict[NamedDocument, bytes]:
    """Fetch the documents, except the index, that a head names and the copy lacks."""
    parts = parts_of(folder)
    missing: dict[NamedDocument, bytes] = {}

    def read(document: NamedDocument) -> bytes | None:
        if (body := missing.get(document) or folder.read_document(document)) is None:
            body = origin.read(document, parts)
            if body is not None:
                missing[document] = body
        return body

    for document in named_documents(head, read):
        if document != head.index:
            read(document)
    return missing


@contextlib.contextmanager
def replacing_index(
    folder: SiteFolder,
    files: IndexFiles,
    old_body: bytes | None,
    old_files: frozenset[str],
    signatures: TrustCopy,
) -> Iterator[None]:
    """Write temporary index and head, run the block, then rename index, then head.

    Signatures are written before them, and the timestamp after them.

    Files that are right already are not touched.  The documents that the head names
    must have been written: `write_documents`.

    Parameters
    ----------
    folder : SiteFolder
        The copy.
    files : IndexFiles
        Its new index and head.
    old_body : bytes or None
        The bytes of its ``index.json``.
    old_files : frozenset of str
        The hrefs of the packs and compressed copies that this names.
    signatures : TrustCopy
        Those of the new head.

    Raises
    ------
    OSError
        A file cannot be written, or the block raised it; the old files are unchanged.
    """
    body = None if files.body == old_body else files.body
    if files.head is None:
        with signatures.replacing(folder, None), _replacing_index_alone(folder, body):
            yield
        return
    with (
        signatures.replacing(folder, files.head),
        prepared_head(folder, files.head, body=body, files=files.files),
    ):
        forget(folder, old_files - files.entry_files)
        yield
    # After the timestamp: readers of the signatures need until then what the old head names.
    remove_forgotten(folder, files.head, files.entry_files)


@contextlib.contextmanager
def _replacing_index_alone(folder: SiteFolder, body: bytes | None) -> Iterator[None]:
    with contextlib.ExitStack() as rename:
        if body is not None:
            modified = later_than(folder.index)
            rename.enter_context(prepared_file(folder.index, body, modified=modified))
        yield
        folder.head.unlink(missing_ok=True)  # it would name another index
    sync_folder(folder.root)


@contextlib.contextmanager
def room_for_index(folder: SiteFolder, origin: SiteSnapshot) -> Iterator[str | None]:
    """Reserve room for the index while values are written, which may fill the disk.

    Yields
    ------
    str or None
        Why no value can be written: there is no room beside the index that is there.

    Raises
    ------
    OSError
        There is no room, and no index; or the folder cannot be written.
    """
    size = int(origin.held.size * _INDEX_ROOM_RATIO) + _INDEX_ROOM_BYTES
    remove_leftovers(folder.private)  # a killed run has left its room occupied
    with contextlib.ExitStack() as room:
        lack = None
        try:
            room.enter_context(reserved(folder.private, size))
        except OSError as error:
            if not is_full(error) or not folder.index.exists():
                raise
            lack = f"there is no room for it and the index: {reason_of(error)}"
        yield lack


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
    asked : AskedForTrust or None
        When the origin was found to have no signatures.
    """

    origin: Freshness = field(default_factory=Freshness)
    whole: bool | None = None
    asked: AskedForTrust | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the note as `parse` takes it."""
        fields = {"format": _FORMAT, "origin": self.origin.as_json(), "whole": self.whole}
        return fields if self.asked is None else {**fields, "unsigned": self.asked}

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
        asked = AskedForTrust.parse(fields.get("unsigned"))
        return cls(Freshness.parse(fields["origin"]), whole, asked)


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
    if origin.pinned is not None:  # its signatures say what is current
        return True
    if origin.held.is_from_copy and known.sha256 is not None:
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
    if origin.held.is_from_copy:
        return  # another root answered
    if origin.head is not None:
        known.know_head(origin.head)
    else:
        known.know_index(origin.sha256, origin.modified)
