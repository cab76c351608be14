"""What is removed: documents a day after the head forgets them, values at once.

A document that a head or an index no longer names stays for a day, so that readers of
an older head still find it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import TYPE_CHECKING

from ...disk.atomic import atomic_file, is_link
from ...disk.file_system import read_regular
from ...index.blocks import named_documents
from ...index.head import DIGEST_FOLDERS, ENTRY_FOLDERS
from ...index.hidden import copy_of, place_of

if TYPE_CHECKING:
    from ...index.head import Head
    from ...index.hidden import CompressedCopy
    from ...index.snapshot import Index
    from .site_folder import SiteFolder

__all__ = [
    "KEPT_SECONDS",
    "copies_of",
    "entry_files_of",
    "files_below",
    "forget",
    "hrefs_of",
    "next_removal",
    "only_files_below",
    "packs_of",
    "remove_files",
    "remove_forgotten",
]

#: How long a file stays after it was forgotten.
KEPT_SECONDS = 24 * 3600.0
_DIGEST_NAME = re.compile(r"[0-9a-f]{64}\.(?:jsonl?|zip|parquet|zst)\Z")


def packs_of(index: Index) -> frozenset[str]:
    """Return the hrefs of the packs that an index names."""
    # Most sites have none.  A search costs a tenth of decoding.  benchmark: mirror-again
    if not any(_may_have(bytes(piece), b'"packed"') for piece in index.document()):
        return frozenset()
    # The only field that is decoded.
    found = (packed for _, packed in index.stored.values_of("packed") if packed is not None)
    return frozenset(place.href for place in map(place_of, found) if place is not None)


def copies_of(index: Index) -> dict[str, CompressedCopy]:
    """Return the compressed copies that the entries of an index name, by key."""
    if not any(_may_have(bytes(piece), b'"stored"') for piece in index.document()):
        return {}
    found = ((key, copy_of(stored)) for key, stored in index.stored.values_of("stored"))
    return {key: copy for key, copy in found if copy is not None}


def entry_files_of(index: Index) -> frozenset[str]:
    """Return the hrefs of the packs and compressed copies that the entries of an index name."""
    return packs_of(index).union(copy.href for copy in copies_of(index).values())


def _may_have(text: bytes, name: bytes) -> bool:
    return name in text or b"\\u00" in text  # it may be written with escapes


def hrefs_of(folder: SiteFolder, head: Head) -> set[str]:
    """Return the hrefs of all documents that a head or its block root names."""
    return {document.href for document in named_documents(head, folder.read_document)}


def forget(folder: SiteFolder, hrefs: Iterable[str]) -> None:
    """Start the day after which files that nothing names are removed.

    It is counted from the modification time of each file, which is set to now.
    """
    for href in hrefs:
        path = folder.root / href
        with contextlib.suppress(OSError):  # it is gone already
            if not is_link(path) and not is_link(path.parent):
                _set_time_to_now(path)


def _set_time_to_now(path: Path) -> None:
    try:
        os.utime(path)
    except PermissionError:  # a file of another user; a new one can still replace it
        with atomic_file(path) as file:
            file.write(read_regular(path))


def remove_forgotten(folder: SiteFolder, head: Head, entry_files: Set[str]) -> None:
    """Remove the files that nothing has named for a day.

    Parameters
    ----------
    folder : SiteFolder
        The site.
    head : Head
        Its head.
    entry_files : set of str
        The hrefs of the packs and compressed copies that its index names.
    """
    for path, end in _forgotten(folder, head, entry_files):
        if end < time.time():
            with contextlib.suppress(OSError):
                path.unlink()


def next_removal(folder: SiteFolder, head: Head, entry_files: Set[str]) -> float | None:
    """Return when the next file is to be removed, in seconds since 1970, or None."""
    return min((end for _, end in _forgotten(folder, head, entry_files)), default=None)


def _forgotten(
    folder: SiteFolder, head: Head, entry_files: Set[str]
) -> Iterator[tuple[Path, float]]:
    named = hrefs_of(folder, head) | entry_files
    for name in (*DIGEST_FOLDERS, *ENTRY_FOLDERS):
        for path in _files_in(folder.root / name):
            if f"{name}/{path.name}" not in named and _DIGEST_NAME.match(path.name):
                with contextlib.suppress(OSError):
                    yield path, path.lstat().st_mtime + KEPT_SECONDS


def _files_in(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:  # it does not exist
        return


def files_below(folder: Path) -> Iterator[str]:
    """Yield the relative paths of the regular files below a folder, if it exists.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    return (path for path, is_file in _found_below(folder) if is_file)


def only_files_below(folder: Path) -> int | None:
    """Return the number of files below a folder; None if not all are regular files.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    are_files = [is_file for _, is_file in _found_below(folder)]
    return len(are_files) if all(are_files) else None


def _found_below(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield the path of everything but folders, and whether it is a regular file."""
    top = os.fspath(folder)
    todo = [""] if os.path.lexists(top) else []
    while todo:
        prefix = todo.pop()
        with os.scandir(f"{top}/{prefix}") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name, entry.is_file(follow_symlinks=False)


def remove_files(data: Path, keys: list[str]) -> int:
    """Remove files, and folders that become empty; return the number of files."""
    removed = 0
    for key in keys:
        path = data / key
        with contextlib.suppress(OSError):  # the next run tries again
            path.unlink()
            removed += 1
            for folder in path.parents:
                if folder == data:
                    break
                folder.rmdir()  # raises for one that is not empty
    return removed
