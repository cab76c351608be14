"""What a site keeps for fast readers: the head, the index under its digest, changes and blocks.

Everything here stands under a name that carries its digest, but for the head.
What the head no longer names is removed a day later, so that readers of an
older head still find it; and so are packs that the index no longer names.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from ..errors import IndexFormatError, IntegrityError
from ..index.blocks import block_files
from ..index.fields import time_text
from ..index.head import (
    Document,
    Head,
    Role,
    Span,
    bounded,
    change_lines,
    digest_prefix,
    kept_whole,
    parse_change_lines,
    parse_count,
)
from ..index.named import named_documents, read_root
from ..index.snapshot import Index
from ..index.sums import changed_sum, sum_of_document, sum_text
from ..transport.atomic import atomic_file, prepared_file, prepared_link, remove_leftovers
from ..transport.file_system import set_time, sync_folder
from ..transport.regular import read_regular
from .folder import SiteFolder, is_link

__all__ = [
    "KEPT",
    "Step",
    "forget",
    "holds",
    "index_of",
    "next_removal",
    "next_step",
    "read_head",
    "reader_of",
    "remove_forgotten",
    "taking_effect",
    "write_document",
    "write_documents",
]

_Read = Callable[[Document], bytes | None]
# Raw entries by key; None for one that is gone.
_States = dict[str, bytes | None]

# Folders whose files carry their digest in their names, and are named by the head.
_FOLDERS = ("index", "changes", "blocks", "about")
_NAME = re.compile(r"[0-9a-f]{64}\.(?:jsonl?|zip)\Z")
#: Seconds that a file stays after it was forgotten.
KEPT = 24 * 3600.0


@dataclass(frozen=True)
class Step:
    """What leads from one generation to the next: the new head, and new files that it names."""

    head: Head
    #: Change file and blocks, as far as there are any.
    documents: Mapping[Document, bytes]
    #: The head's own bytes, where another publisher wrote it.
    text: bytes | None = None


def read_head(folder: SiteFolder) -> Head | None:
    """Read the head; None if there is none that can be read, so that a lineage begins anew."""
    try:
        return Head.parse(read_regular(folder.head))
    except (OSError, IndexFormatError):
        return None


def next_step(
    folder: SiteFolder,
    head: Head | None,
    index: Index,
    body: bytes,
    *,
    about: Document | None = None,
    elsewhere: Mapping[Document, bytes] = MappingProxyType({}),
) -> tuple[Head, Step | None]:
    """Return the head that names `index`, and what leads to it: None if the old head does.

    Documents that the old head names and that are gone, or were altered, are
    written again; a change file that is gone is no longer named.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    head : Head or None
        Its head so far.
    index : Index
        What the site shall say.
    body : bytes
        The same in canonical form.
    about : Document or None
        The site's own words; the caller writes them.
    elsewhere : mapping, optional
        Documents that `head` names and that the folder lacks, with their bytes.
    """
    here = reader_of(folder)
    if head is not None and not _has_next_generation(head):
        head = None  # a new lineage begins

    def read(document: Document) -> bytes | None:
        return elsewhere.get(document) or here(document)

    sha256 = hashlib.sha256(body).hexdigest()
    if head is not None and head.index.sha256 == sha256:
        return _step_beside(folder, head, index, body, about, read, elsewhere)
    blocks, documents = _new_blocks(head, body, read) if len(index) else (None, {})
    before = None if head is None else index_of(folder, head, read)
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
        return new, Step(new, documents)
    span, lines, kept = _new_span(head, changed, read)
    new = bounded(replace(new, spans=(*kept, span)))
    changes = {span.document: lines} if span in new.spans else {}
    return new, Step(new, {**_brought(new, elsewhere), **changes, **documents})


def _has_next_generation(head: Head) -> bool:
    """Return whether a reader takes the generation after that of a head."""
    try:
        parse_count(head.generation + 1)
    except ValueError:
        return False
    return True


def _brought(head: Head, elsewhere: Mapping[Document, bytes]) -> dict[Document, bytes]:
    """Return those documents from elsewhere that a head names."""
    named = named_documents(head, elsewhere.get)
    return {one: elsewhere[one] for one in named if one in elsewhere and one != head.index}


def holds(folder: SiteFolder, document: Document, body: bytes) -> bool:
    """Return whether a document stands in the folder with these bytes."""
    try:
        return read_regular(folder.root / document.href) == body
    except OSError:
        return False


def _new_sum(head: Head | None, before: Index | None, changed: _States | None, body: bytes) -> int:
    """Return the sum of the new index: carried along from the old head where that has one."""
    if head is None or head.sum is None or before is None or changed is None:
        return sum_of_document(body)
    old = ((key, None if (raw := before.raw(key)) is None else bytes(raw)) for key in changed)
    return changed_sum(int(head.sum, 16), ((key, raw, changed[key]) for key, raw in old))


def _step_beside(
    folder: SiteFolder,
    head: Head,
    index: Index,
    body: bytes,
    about: Document | None,
    read: _Read,
    elsewhere: Mapping[Document, bytes],
) -> tuple[Head, Step | None]:
    """Return what leads to a head of the same index; None if nothing is to be written."""
    blocks, documents = head.blocks, dict[Document, bytes]()
    root = read_root(head, read)
    if len(index) and (root is None or read(root.lines) is None):
        blocks, documents = _new_blocks(head, body, read)
    # What names the same index better is of the same generation.  A sum that was carried along
    # may have been false from the beginning.
    total = sum_text(sum_of_document(body))
    new = replace(head, blocks=blocks, sum=total, spans=_unbroken(head.spans, read))
    if head.about != about:
        # A generation of its own: of two heads of one generation readers take either.
        new = replace(new, generation=head.generation + 1, published=_now(), about=about)
    if new != head:
        new = bounded(new)
    documents |= _brought(new, elsewhere)
    stands = new == head and not elsewhere and holds(folder, head.index, body)
    return new, None if stands and not documents else Step(new, documents)


def _now() -> str:
    return time_text(datetime.now(UTC).replace(microsecond=0))


def _new_blocks(
    head: Head | None, body: bytes, read: _Read
) -> tuple[Document, dict[Document, bytes]]:
    """Return what names the root of the blocks, and the list and the root themselves."""
    before = None if head is None else read_root(head, read)
    root, lines = block_files(body, before)
    text = root.encode()
    document = Document.of(Role.BLOCK_ROOT, text)
    return document, {root.lines: lines, document: text}


def _new_span(head: Head, changed: _States, read: _Read) -> tuple[Span, bytes, tuple[Span, ...]]:
    """Return the newest span, its file, and the older ones that stay as they are."""
    spans = _unbroken(head.spans, read)
    kept = kept_whole(spans, len(change_lines(changed.items())))
    states: _States = {}
    origins: list[str] = []
    for span in spans[kept:]:
        older = _states_of(span, read)
        if older is None:  # neither it nor those before it lead anywhere
            kept, states, origins = 0, {}, []
        else:
            states |= older
            origins += span.origins
    states |= changed
    origins.append(digest_prefix(head.index.sha256))
    lines = change_lines(sorted(states.items()))
    document = Document.of(Role.CHANGES, lines)
    return Span(tuple(origins), document, len(states)), lines, spans[:kept]


def _unbroken(spans: tuple[Span, ...], read: _Read) -> tuple[Span, ...]:
    """Return the spans from which a way leads on: those after the last whose file is gone."""
    for position in reversed(range(len(spans))):
        if read(spans[position].document) is None:
            return spans[position + 1 :]
    return spans


def _states_between(before: Index, after: Index) -> _States:
    """Return the final state of each key whose entry has other bytes, however little they say."""
    keys = sorted(after.keys_of_other_bytes(before))
    return {key: None if (raw := after.raw(key)) is None else bytes(raw) for key in keys}


def index_of(folder: SiteFolder, head: Head, read: _Read) -> Index | None:
    """Return the index that a head names, if it is still there: under its digest, or as itself."""
    body = read(head.index) or _read_exactly(folder.index, head.index)
    try:
        return None if body is None else Index.parse(body)
    except IndexFormatError:
        return None


def _states_of(span: Span, read: _Read) -> _States | None:
    body = read(span.document)
    if body is None:
        return None
    try:
        return parse_change_lines(body)
    except IndexFormatError:
        return None


def reader_of(folder: SiteFolder) -> _Read:
    """Return what reads a document in a site's folder; None unless it is the one named."""
    return lambda document: _read_exactly(folder.root / document.href, document)


def _read_exactly(path: Path, document: Document) -> bytes | None:
    try:
        body = read_regular(path)
    except OSError:
        return None
    return body if document.describes(body) else None


def write_documents(folder: SiteFolder, step: Step, body: bytes) -> None:
    """Write the files that the new head names.

    Raises
    ------
    OSError
        Something cannot be written.
    """
    for name in _FOLDERS:
        if name != Role.ABOUT.folder:  # which many sites have no use for
            (folder.root / name).mkdir(exist_ok=True)
        remove_leftovers(folder.root / name)
    for document, text in step.documents.items():
        write_document(folder, document, text)
    write_document(folder, step.head.index, body)


def write_document(folder: SiteFolder, document: Document, body: bytes) -> None:
    """Write a document under its digest, unless it stands there and is right.

    The one door to such names: what the digest does not describe never gets one.

    Raises
    ------
    IntegrityError
        The digest is another.
    OSError
        It cannot be written.
    """
    if not document.describes(body):
        raise IntegrityError(
            f"these bytes are not {document.href}", expected=document.sha256, actual="another"
        )
    path = folder.root / document.href
    if is_link(path.parent):
        raise OSError(errno.ELOOP, "a symbolic link stands where a folder shall be")
    with contextlib.suppress(OSError):
        if not is_link(path) and read_regular(path) == body:
            # It may have been forgotten once, and be near its end.  Its time never goes
            # back, for it is that of index.json, too, and makes the validator of that.
            modified = max(time.time(), path.stat().st_mtime)
            if set_time(path, modified):
                return
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as file:
        file.write(body)


@contextlib.contextmanager
def taking_effect(
    folder: SiteFolder, head: Head, *, body: bytes | None, step: Step | None
) -> Iterator[None]:
    """Have index and head on the disk; they take their names after the block, the head last.

    What the head names is there: `write_documents`.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    head : Head
        What its head says then.
    body : bytes or None
        Its new ``index.json``; None if that stays.
    step : Step or None
        What leads to the head; None if that stays.

    Raises
    ------
    OSError
        They cannot be written, or the block raised it; the old head still stands.
    """
    with contextlib.ExitStack() as names:  # taken in the opposite order
        if step is not None:
            old = read_head(folder)
            forgotten = set() if old is None else _named(folder, old) - _named(folder, head)
            text = step.text or head.encode()
            if old is None or read_regular(folder.head) != text:
                modified = later_than(folder.head)
                names.enter_context(prepared_file(folder.head, text, modified=modified))
            # Of what is forgotten, the old index may be index.json, whose time shall not change.
            names.callback(forget, folder, forgotten)
        if body is not None:
            names.enter_context(_prepared_index(folder, head, body))
        yield
    sync_folder(folder.root)


@contextlib.contextmanager
def _prepared_index(folder: SiteFolder, head: Head, body: bytes) -> Iterator[None]:
    """Prepare ``index.json``: as another name of the index under its digest, where that can be.

    That is written anew where it is no longer right: who edits one of two names
    of a file edits both.
    """
    modified = later_than(folder.index)
    same = folder.root / head.index.href
    write_document(folder, head.index, body)
    with contextlib.ExitStack() as name:
        try:
            name.enter_context(prepared_link(same, folder.index, modified=modified))
        except OSError:  # there are file systems without hard links
            name.enter_context(prepared_file(folder.index, body, modified=modified))
        yield


def forget(folder: SiteFolder, hrefs: Iterable[str]) -> None:
    """Let the day begin after which files are removed that nothing names any more."""
    for href in hrefs:
        path = folder.root / href
        with contextlib.suppress(OSError):  # it is gone already
            if not is_link(path) and not is_link(path.parent):
                _set_time_to_now(path)


def _set_time_to_now(path: Path) -> None:
    try:
        os.utime(path)
    except PermissionError:  # then writing it again does
        with atomic_file(path) as file:
            file.write(read_regular(path))


def remove_forgotten(folder: SiteFolder, head: Head, packs: Set[str]) -> None:
    """Remove the files that nothing has named for a day.

    Their age is counted from the time of the file, which is set anew when it
    is forgotten.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    head : Head
        Its head.
    packs : set of str
        The hrefs of the packs that its index names.
    """
    for path, end in _forgotten(folder, head, packs):
        if end < time.time():
            with contextlib.suppress(OSError):
                path.unlink()


def next_removal(folder: SiteFolder, head: Head, packs: Set[str]) -> float | None:
    """Return when `remove_forgotten` has to remove a file, in seconds since 1970, or None."""
    return min((end for _, end in _forgotten(folder, head, packs)), default=None)


def _forgotten(folder: SiteFolder, head: Head, packs: Set[str]) -> Iterator[tuple[Path, float]]:
    """Yield the files that nothing names, and when the day of each is over."""
    named = _named(folder, head) | packs
    for name in (*_FOLDERS, folder.packs.name):
        for path in _files_in(folder.root / name):
            if f"{name}/{path.name}" not in named and _NAME.match(path.name):
                with contextlib.suppress(OSError):
                    yield path, path.lstat().st_mtime + KEPT


def _files_in(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:  # there is none
        return


def _named(folder: SiteFolder, head: Head) -> set[str]:
    """Return the hrefs of all files that a head names, itself or through its root of blocks."""
    return {document.href for document in named_documents(head, reader_of(folder))}


def later_than(path: Path) -> float:
    """Return a new modification time for a file, in seconds since 1970.

    Servers make a validator of whole seconds and the size, so a document of the
    same size in the same second would be "not modified".
    """
    now = time.time()
    try:
        before = path.stat().st_mtime
    except FileNotFoundError:
        return now
    return max(now, math.floor(before) + 1.0)
