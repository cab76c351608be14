"""The head of a site and the documents that it names, written.

The name of each document is its digest; only ``index.json`` and the head are replaced.
What the head no longer names is removed a day later: `staticstore.site.folder.retention`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ...disk.atomic import (
    atomic_file,
    is_link,
    later_than,
    prepared_file,
    prepared_link,
    temporary_in,
)
from ...disk.file_system import read_regular, set_time, sync_folder
from ...errors import IntegrityError
from ...index.head import DIGEST_FOLDERS, Head, NamedDocument, Role
from ..folder.retention import forget, hrefs_of
from .head_files import HeadFiles, PiecedBody

if TYPE_CHECKING:
    from pathlib import Path

    from ..folder.site_folder import SiteFolder

__all__ = ["place_file", "prepared_head", "write_document", "write_documents", "write_pieces"]


def write_documents(folder: SiteFolder, files: HeadFiles, body: bytes | PiecedBody | None) -> None:
    """Write the documents that a new head names.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    files : HeadFiles
        The head, and its documents.
    body : bytes, PiecedBody or None
        The index; None to leave it to `prepared_head`.

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
    if body is not None:
        write_document(folder, files.head.index, body)


def write_document(folder: SiteFolder, document: NamedDocument, body: bytes | PiecedBody) -> None:
    """Write a document under its digest, unless it is there already.

    All files named by their digest are written here, or by `write_pieces`, and only with
    bytes of that digest.

    Raises
    ------
    IntegrityError
        The bytes have another digest.
    OSError
        The document cannot be written.
    """
    pieced = body if isinstance(body, PiecedBody) else PiecedBody([body])
    found = pieced.document(document.role)
    if not document.is_of(found.size, found.sha256):
        raise IntegrityError(
            f"these bytes are not {document.href}", expected=document.sha256, actual="another"
        )
    path = folder.root / document.href
    if is_link(path.parent):
        raise OSError(errno.ELOOP, "its folder is a symbolic link")
    with contextlib.suppress(OSError):
        if not is_link(path) and document.describes(read_regular(path)):
            # It may have been forgotten, and be about to be removed.  Its time never decreases:
            # index.json is the same file, and servers make a validator of its time.
            modified = max(time.time(), path.stat().st_mtime)
            if set_time(path, modified):
                return
    path.parent.mkdir(exist_ok=True)
    with atomic_file(path) as file:
        file.writelines(pieced.pieces)


def write_pieces(folder: SiteFolder, role: Role, pieces: Iterable[bytes]) -> NamedDocument:
    """Write a document that is too large for memory; return it.  It is not synced.

    Its name is known with its last piece.  What `pieces` raises leaves nothing behind.

    Raises
    ------
    OSError
        The document cannot be written.
    """
    place = folder.root / role.folder
    if is_link(place):
        raise OSError(errno.ELOOP, "its folder is a symbolic link")
    place.mkdir(exist_ok=True)
    staged = temporary_in(place)
    size, hasher = 0, hashlib.sha256()
    with atomic_file(staged, sync=False) as file:
        for piece in pieces:
            size += len(piece)
            hasher.update(piece)
            file.write(piece)
    document = NamedDocument(role, size, hasher.hexdigest())
    os.replace(staged, folder.root / document.href)
    return document


def place_file(folder: SiteFolder, document: NamedDocument, staged: Path) -> None:
    """Give a file in the site's folder, which was verified, its name under its digest.

    Raises
    ------
    OSError
        It cannot be renamed.
    """
    place = (folder.root / document.href).parent
    if is_link(place) or is_link(staged):
        raise OSError(errno.ELOOP, "its folder, or the file, is a symbolic link")
    place.mkdir(exist_ok=True)
    os.replace(staged, folder.root / document.href)


@contextlib.contextmanager
def prepared_head(
    folder: SiteFolder, head: Head, *, body: bytes | PiecedBody | None, files: HeadFiles | None
) -> Iterator[None]:
    """Write temporary index and head, run the block, then rename index, then head.

    The documents that the head names have to be there: `write_documents`.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    head : Head
        The head from then on.
    body : bytes, PiecedBody or None
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
def _prepared_index(folder: SiteFolder, head: Head, body: bytes | PiecedBody) -> Iterator[None]:
    # index.json is a hard link to the index under its digest, if possible.  That is checked
    # first: an editor that wrote to one of the two names has changed both.
    modified = later_than(folder.index)
    write_document(folder, head.index, body)
    with contextlib.ExitStack() as name:
        try:
            source = folder.root / head.index.href
            name.enter_context(prepared_link(source, folder.index, modified=modified))
        except OSError:  # a file system without hard links
            name.enter_context(prepared_file(folder.index, bytes(body), modified=modified))
        yield
