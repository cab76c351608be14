"""Make a site's head and its documents, which `document_files` writes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from ...errors import IndexFormatError
from ...index.blocks import (
    BlockRoot,
    block_files,
    changed_block_files,
    named_documents,
    read_root,
)
from ...index.changes import (
    change_lines,
    changed_sum,
    parse_change_lines,
    sum_of_document,
    sum_text,
)
from ...index.fields import time_text
from ...index.head import (
    ChangeFile,
    Head,
    NamedDocument,
    Role,
    bounded,
    digest_prefix,
    kept_whole,
    parse_count,
)

if TYPE_CHECKING:
    from ...index.snapshot import Index
    from ..folder.site_folder import SiteFolder

__all__ = [
    "HeadFiles",
    "PiecedBody",
    "States",
    "changed_head",
    "has_next_generation",
    "next_head",
]

_Read = Callable[[NamedDocument], bytes | None]
#: Raw entries by key; None for a key that is gone.
States = dict[str, bytes | None]


class PiecedBody:
    """The bytes of a document in pieces, which are written without being joined.

    Parameters
    ----------
    pieces : iterable of bytes
        The pieces, in order.
    """

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self.pieces = tuple(pieces)

    def __len__(self) -> int:
        """Count the bytes."""
        return sum(map(len, self.pieces))

    def __bytes__(self) -> bytes:
        """Join the pieces."""
        return b"".join(self.pieces)

    def document(self, role: Role) -> NamedDocument:
        """Return the document with these bytes; they are hashed."""
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(piece)
        return NamedDocument(role, len(self), digest.hexdigest())


@dataclass(frozen=True)
class HeadFiles:
    """A head to write, and the new documents that it names."""

    head: Head
    #: Change file and blocks, if there are any.
    documents: Mapping[NamedDocument, bytes]
    #: The head's own bytes, if another publisher wrote it.
    text: bytes | None = None


def next_head(
    folder: SiteFolder,
    head: Head | None,
    index: Index,
    body: bytes,
    *,
    about: NamedDocument | None = None,
    elsewhere: Mapping[NamedDocument, bytes] = MappingProxyType({}),
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
    about : NamedDocument or None
        The site's own words; the caller writes them.
    elsewhere : mapping, optional
        The bytes of documents that `head` names and that the folder lacks.
    """
    if head is not None and not has_next_generation(head):
        head = None

    def read(document: NamedDocument) -> bytes | None:
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
        index=NamedDocument(Role.INDEX, len(body), sha256),
        entries=len(index),
        # Computed, since that of the old head may be wrong: later ones are derived from it.
        sum=sum_text(sum_of_document(body)),
        blocks=blocks,
        about=about,
    )
    if head is None or changed is None:
        return new, HeadFiles(new, documents)
    return _with_span(head, new, changed, documents, read, elsewhere)


def changed_head(
    folder: SiteFolder, head: Head, before: Index, after: Index, changed: States, body: PiecedBody
) -> tuple[Head, HeadFiles | None]:
    """Return the head that names an index with few changes, and what to write, or None.

    It is that of `next_head`, at the cost of the changes: only the blocks with changes
    are hashed.

    Parameters
    ----------
    folder : SiteFolder
        The site, complete.
    head : Head
        Its head so far.
    before, after : Index
        The index that it names, and the one to publish, both in canonical form.
    changed : mapping
        The raw entries that differ, by key, in order; None for one that is gone.
    body : PiecedBody
        The bytes of `after`.
    """
    if not changed:
        return head, None
    read = folder.read_document
    root = read_root(head, read)
    listed = None if root is None else read(root.lines)
    files = None
    if root is not None and listed is not None:
        files = changed_block_files(root, listed, after, changed, len(body))
    blocks, documents = (
        _new_blocks(head, bytes(body), read) if files is None else _documents_of(*files)
    )
    total = sum_of_document(bytes(body)) if head.sum is None else _new_sum(head, before, changed)
    new = replace(
        head,
        generation=head.generation + 1,
        published=_now(),
        index=body.document(Role.INDEX),
        entries=len(after),
        sum=sum_text(total),
        blocks=blocks,
    )
    return _with_span(head, new, changed, documents, read, {})


def _with_span(
    head: Head,
    new: Head,
    changed: States,
    documents: Mapping[NamedDocument, bytes],
    read: _Read,
    elsewhere: Mapping[NamedDocument, bytes],
) -> tuple[Head, HeadFiles]:
    span, lines, kept = _new_span(head, changed, read)
    new = bounded(replace(new, change_files=(*kept, span)))
    changes = {span.document: lines} if span in new.change_files else {}
    return new, HeadFiles(new, {**_named_elsewhere(new, elsewhere), **changes, **documents})


def has_next_generation(head: Head) -> bool:
    """Return whether readers accept the next generation of a lineage."""
    # Readers refuse larger numbers, so the publisher has to begin a new lineage.
    try:
        parse_count(head.generation + 1)
    except ValueError:
        return False
    return True


def _named_elsewhere(
    head: Head, elsewhere: Mapping[NamedDocument, bytes]
) -> dict[NamedDocument, bytes]:
    named = named_documents(head, elsewhere.get)
    return {one: elsewhere[one] for one in named if one in elsewhere and one != head.index}


def _new_sum(head: Head, before: Index, changed: States) -> int:
    # Carried along from the old head, which costs no more than the changes.
    assert head.sum is not None
    old = ((key, None if (raw := before.raw(key)) is None else bytes(raw)) for key in changed)
    return changed_sum(int(head.sum, 16), ((key, raw, changed[key]) for key, raw in old))


def _head_of_same_index(
    folder: SiteFolder,
    head: Head,
    index: Index,
    body: bytes,
    about: NamedDocument | None,
    read: _Read,
    elsewhere: Mapping[NamedDocument, bytes],
) -> tuple[Head, HeadFiles | None]:
    blocks, documents = head.blocks, dict[NamedDocument, bytes]()
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
) -> tuple[NamedDocument, dict[NamedDocument, bytes]]:
    """Return the document of the block root, and the bytes of root and list."""
    before = None if head is None else read_root(head, read)
    return _documents_of(*block_files(body, before))


def _documents_of(
    root: BlockRoot, lines: bytes
) -> tuple[NamedDocument, dict[NamedDocument, bytes]]:
    text = root.encode()
    document = NamedDocument.of(Role.BLOCK_ROOT, text)
    return document, {root.lines: lines, document: text}


def _new_span(
    head: Head, changed: States, read: _Read
) -> tuple[ChangeFile, bytes, tuple[ChangeFile, ...]]:
    """Return the newest span, its change file, and the older spans that stay."""
    spans = _unbroken(head.change_files, read)
    kept = kept_whole(spans, len(change_lines(changed.items())))
    states: States = {}
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
    document = NamedDocument.of(Role.CHANGES, lines)
    return ChangeFile(tuple(origins), document, len(states)), lines, spans[:kept]


def _unbroken(spans: tuple[ChangeFile, ...], read: _Read) -> tuple[ChangeFile, ...]:
    """Return the spans after the last one whose change file is missing."""
    for position in reversed(range(len(spans))):
        if read(spans[position].document) is None:
            return spans[position + 1 :]
    return spans


def _states_between(before: Index, after: Index) -> States:
    # All keys whose entries have other bytes, even where these mean the same.
    keys = sorted(after.keys_of_other_bytes(before))
    return {key: None if (raw := after.raw(key)) is None else bytes(raw) for key in keys}


def _states_of(span: ChangeFile, read: _Read) -> States | None:
    body = read(span.document)
    try:
        return None if body is None else parse_change_lines(body)
    except IndexFormatError:
        return None
