"""What is removed: documents a day after the head forgets them, values at once.

A document that a head or an index no longer names stays for a day, so that readers of
an older head still find it.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from ...disk.atomic import atomic_file, is_link
from ...disk.file_system import read_regular
from ...index.blocks import named_documents
from ...index.head import DIGEST_FOLDERS, ENTRY_FOLDERS
from ...index.hidden import CompressedCopy, copy_of, place_of

if TYPE_CHECKING:
    from ...index.head import Head
    from ...index.snapshot import Index
    from .site_folder import SiteFolder

__all__ = [
    "KEPT_SECONDS",
    "NamedByEntries",
    "copies_of",
    "entry_files_of",
    "files_below",
    "forget",
    "forget_head",
    "hrefs_of",
    "named_by_entries",
    "next_removal",
    "only_files_below",
    "packs_of",
    "remove_files",
    "remove_forgotten",
]

#: How long a file stays after it was forgotten.
KEPT_SECONDS = 24 * 3600.0
_NAMES = ("packed", "stored")
_DIGEST_NAME = re.compile(r"[0-9a-f]{64}\.(?:jsonl?|zip|parquet|zst)\Z")


class NamedByEntries(NamedTuple):
    """The packs and compressed copies that the entries of an index name."""

    #: Their hrefs.
    packs: frozenset[str] = frozenset()
    #: By key.
    copies: Mapping[str, CompressedCopy] = MappingProxyType({})

    @property
    def hrefs(self) -> frozenset[str]:
        """The hrefs of all of them."""
        return self.packs.union(copy.href for copy in self.copies.values())


def named_by_entries(index: Index | None) -> NamedByEntries:
    """Return the packs and compressed copies that the entries of an index name; None has none."""
    if index is None:
        return NamedByEntries()
    # Most sites have none.  A search costs a tenth of decoding.  benchmark: mirror-again
    names = {name for piece in index.document() for name in _names_in(bytes(piece))}
    packed = index.stored.values_of("packed") if "packed" in names else iter(())
    stored = index.stored.values_of("stored") if "stored" in names else iter(())
    places = (place_of(value) for _, value in packed if value is not None)
    copies = ((key, copy_of(value)) for key, value in stored if value is not None)
    return NamedByEntries(
        frozenset(place.href for place in places if place is not None),
        {key: copy for key, copy in copies if copy is not None},
    )


def _names_in(text: bytes) -> tuple[str, ...]:
    has_escapes = b"\\u00" in text  # with which a name may be written
    return tuple(name for name in _NAMES if has_escapes or b'"%b"' % name.encode() in text)


def packs_of(index: Index) -> frozenset[str]:
    """Return the hrefs of the packs that an index names."""
    return named_by_entries(index).packs


def copies_of(index: Index) -> Mapping[str, CompressedCopy]:
    """Return the compressed copies that an index names, by key."""
    return named_by_entries(index).copies


def entry_files_of(index: Index) -> frozenset[str]:
    """Return the hrefs of the packs and compressed copies that an index names."""
    return named_by_entries(index).hrefs


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


def forget_head(folder: SiteFolder, before: Head, after: Head) -> None:
    """Start the day for what a head names, and another that is current does not.

    The packs and compressed copies of `before` are included, whoever else names them.
    """
    hrefs = hrefs_of(folder, before) - hrefs_of(folder, after)
    forget(folder, hrefs | named_by_entries(folder.index_of(before)).hrefs)


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
