"""The head of a site and the documents that it names: made and written.

The name of each document is its digest; only ``index.json`` and the head are replaced.
What the head no longer names is removed a day later: `staticstore.site.folder.retention`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...disk.atomic import atomic_file, is_link, later_than, prepared_file, prepared_link
from ...disk.file_system import read_regular, set_time, sync_folder
from ...errors import IndexFormatError, IntegrityError
from ...index.blocks import block_files, named_documents, read_root
from ...index.changes import (
    change_lines,
    changed_sum,
    parse_change_lines,
    sum_of_document,
    sum_text,
)
from ...index.fields import time_text
from ...index.head import (
    DIGEST_FOLDERS,
    ChangeFile,
    Document,
    Head,
    Role,
    bounded,
    digest_prefix,
    kept_whole,
    parse_count,
)
from ..folder.retention import forget, hrefs_of

if TYPE_CHECKING:
    from ...index.snapshot import Index
    from ..folder.site_folder import SiteFolder

__all__ = ["HeadFiles", "next_head", "prepared_head", "write_document", "write_documents"]

_Read = Callable[[Document], bytes | None]
# Raw entries by key; None for a key that is gone.
_States = dict[str, bytes | None]


@dataclass(frozen=True)
class HeadFiles:
    """A head to write, and the new documents that it names."""

    head: Head
    #: Change file and blocks, if there are any.
    documents: Mapping[Document, bytes]
    #: The head's own bytes, if another publisher wrote it.
    text: bytes | None = None


def next_head(
    folder: SiteFolder,
    head: Head | None,
    index: Index,
    body: bytes,
    *,
    about: Document | None = None,
    elsewhere: Mapping[Document, bytes] = MappingProxyType({}),
) -> tuple[Head, HeadFiles | None]:
    """Return the head that names an index, and what to write, or None.

    If all of it is there already, the second item is None.  Documents of the old head
    that are missing or damaged are made again; a missing change file is no longer
    named.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    head : Head or None
        Its head so far; None begins a lineage.
    index : Index
        The index to publish.
    body : bytes
        The same in canonical form.
    about : Document or None
        The site's own words; the caller writes them.
    elsewhere : mapping, optional
        The bytes of documents that `head` names and that the folder lacks.
    """
    if head is not None and not _has_next_generation(head):
        head = None

    def read(document: Document) -> bytes | None:
        return elsewhere.get(document) or folder.read_document(document)

    sha256 = hashlib.sha256(body).hexdigest()
    if head is not None and head.index.sha256 == sha256:
        return _head_of_same_index(folder, head, index, body, about, read, elsewhere)
    blocks, documents = _new_blocks(head, body, read) if len(index) else (None, {})
    before = None if head is None else folder.index_of(head, read)
    changed = None if before is None else _states_between(before, index)
    new = Head(
        lineage=secrets.token_hex(16) if head is None else head.lineage,
        generation=1 if head is None else head.generation + 1,
        published=_now(),
        index=Document(Role.INDEX, len(body), sha256),
        entries=len(index),
        sum=sum_text(_new_sum(head, before, changed, body)),
        blocks=blocks,
        about=about,
    )
    if head is None or changed is None:
        return new, HeadFiles(new, documents)
    span, lines, kept = _new_span(head, changed, read)
    new = bounded(replace(new, change_files=(*kept, span)))
    changes = {span.document: lines} if span in new.change_files else {}
    return new, HeadFiles(new, {**_named_elsewhere(new, elsewhere), **changes, **documents})


def _has_next_generation(head: Head) -> bool:
    # Readers refuse larger numbers, so the publisher has to begin a new lineage.
    try:
        parse_count(head.generation + 1)
    except ValueError:
        return False
    return True


def _named_elsewhere(head: Head, elsewhere: Mapping[Document, bytes]) -> dict[Document, bytes]:
    named = named_documents(head, elsewhere.get)
    return {one: elsewhere[one] for one in named if one in elsewhere and one != head.index}


def _new_sum(head: Head | None, before: Index | None, changed: _States | None, body: bytes) -> int:
    # Carried along from the old head if it has one, which costs no more than the changes.
    if head is None or head.sum is None or before is None or changed is None:
        return sum_of_document(body)
    old = ((key, None if (raw := before.raw(key)) is None else bytes(raw)) for key in changed)
    return changed_sum(int(head.sum, 16), ((key, raw, changed[key]) for key, raw in old))


def _head_of_same_index(
    folder: SiteFolder,
    head: Head,
    index: Index,
    body: bytes,
    about: Document | None,
    read: _Read,
    elsewhere: Mapping[Document, bytes],
) -> tuple[Head, HeadFiles | None]:
    blocks, documents = head.blocks, dict[Document, bytes]()
    root = read_root(head, read)
    if len(index) and (root is None or read(root.lines) is None):
        blocks, documents = _new_blocks(head, body, read)
    # A head that only names more documents of the same index keeps its generation.  The sum is
    # computed anew: one that was carried along may have been wrong from the beginning.
    total = sum_text(sum_of_document(body))
    new = replace(head, blocks=blocks, sum=total, change_files=_unbroken(head.change_files, read))
    if head.about != about:
        # A new generation: of two heads of one generation readers take either.
        new = replace(new, generation=head.generation + 1, published=_now(), about=about)
    if new != head:
        new = bounded(new)
    documents |= _named_elsewhere(new, elsewhere)
    is_complete = new == head and not elsewhere and folder.has_document(head.index, body)
    return new, None if is_complete and not documents else HeadFiles(new, documents)


def _now() -> str:
    return time_text(datetime.now(UTC).replace(microsecond=0))


def _new_blocks(
    head: Head | None, body: bytes, read: _Read
) -> tuple[Document, dict[Document, bytes]]:
    """Return the document of the block root, and the bytes of root and list."""
    before = None if head is None else read_root(head, read)
    root, lines = block_files(body, before)
    text = root.encode()
    document = Document.of(Role.BLOCK_ROOT, text)
    return document, {root.lines: lines, document: text}


def _new_span(
    head: Head, changed: _States, read: _Read
) -> tuple[ChangeFile, bytes, tuple[ChangeFile, ...]]:
    """Return the newest span, its change file, and the older spans that stay."""
    spans = _unbroken(head.change_files, read)
    kept = kept_whole(spans, len(change_lines(changed.items())))
    states: _States = {}
    origins: list[str] = []
    for span in spans[kept:]:
        older = _states_of(span, read)
        if older is None:  # no span up to this one leads to the current index
            kept, states, origins = 0, {}, []
        else:
            states |= older
            origins += span.origins
    states |= changed
    origins.append(digest_prefix(head.index.sha256))
    lines = change_lines(sorted(states.items()))
    document = Document.of(Role.CHANGES, lines)
    return ChangeFile(tuple(origins), document, len(states)), lines, spans[:kept]


def _unbroken(spans: tuple[ChangeFile, ...], read: _Read) -> tuple[ChangeFile, ...]:
    """Return the spans after the last one whose change file is missing."""
    for position in reversed(range(len(spans))):
        if read(spans[position].document) is None:
            return spans[position + 1 :]
    return spans


def _states_between(before: Index, after: Index) -> _States:
    # All keys whose entries have other bytes, even where these mean the same.
    keys = sorted(after.keys_of_other_bytes(before))
    return {key: None if (raw := after.raw(key)) is None else bytes(raw) for key in keys}


def _states_of(span: ChangeFile, read: _Read) -> _States | None:
    body = read(span.document)
    try:
        return None if body is None else parse_change_lines(body)
    except IndexFormatError:
        return None


def write_documents(folder: SiteFolder, files: HeadFiles, body: bytes) -> None:
    """Write the documents that a new head names.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    files : HeadFiles
        The head, and its documents.
    body : bytes
        The index.

    Raises
    ------
    OSError
        Something cannot be written.
    """
    for name in DIGEST_FOLDERS:
        if name != Role.ABOUT.folder:  # many sites have none
            (folder.root / name).mkdir(exist_ok=True)
    for document, text in files.documents.items():
        write_document(folder, document, text)
    write_document(folder, files.head.index, body)


def write_document(folder: SiteFolder, document: Document, body: bytes) -> None:
    """Write a document under its digest, unless it is there already.

    All files named by their digest are written here, and only with bytes of that digest.

    Raises
    ------
    IntegrityError
        The bytes have another digest.
    OSError
        The document cannot be written.
    """
    if not document.describes(body):
        raise IntegrityError(
            f"these bytes are not {document.href}", expected=document.sha256, actual="another"
        )
    path = folder.root / document.href
    if is_link(path.parent):
        raise OSError(errno.ELOOP, "its folder is a symbolic link")
    with contextlib.suppress(OSError):
        if not is_link(path) and read_regular(path) == body:
            # It may have been forgotten, and be about to be removed.  Its time never decreases:
            # index.json is the same file, and servers make a validator of its time.
            modified = max(time.time(), path.stat().st_mtime)
            if set_time(path, modified):
                return
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as file:
        file.write(body)


@contextlib.contextmanager
def prepared_head(
    folder: SiteFolder, head: Head, *, body: bytes | None, files: HeadFiles | None
) -> Iterator[None]:
    """Write temporary index and head, run the block, then rename index, then head.

    The documents that the head names have to be there: `write_documents`.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    head : Head
        The head from then on.
    body : bytes or None
        The new ``index.json``; None if it stays.
    files : HeadFiles or None
        What to write; None if the head stays.

    Raises
    ------
    OSError
        Index or head cannot be written, or the block raised it; the old head stays.
    """
    with contextlib.ExitStack() as names:  # left in the opposite order
        if files is not None:
            old = folder.read_head()
            forgotten = set() if old is None else hrefs_of(folder, old) - hrefs_of(folder, head)
            text = files.text or head.encode()
            if old is None or read_regular(folder.head) != text:
                modified = later_than(folder.head)
                names.enter_context(prepared_file(folder.head, text, modified=modified))
            # After index.json was renamed: it may be the same file as the old index, and its
            # time must not change.
            names.callback(forget, folder, forgotten)
        if body is not None:
            names.enter_context(_prepared_index(folder, head, body))
        yield
    sync_folder(folder.root)


@contextlib.contextmanager
def _prepared_index(folder: SiteFolder, head: Head, body: bytes) -> Iterator[None]:
    # index.json is a hard link to the index under its digest, if possible.  That is checked
    # first: an editor that wrote to one of the two names has changed both.
    modified = later_than(folder.index)
    write_document(folder, head.index, body)
    with contextlib.ExitStack() as name:
        try:
            source = folder.root / head.index.href
            name.enter_context(prepared_link(source, folder.index, modified=modified))
        except OSError:  # a file system without hard links
            name.enter_context(prepared_file(folder.index, body, modified=modified))
        yield
