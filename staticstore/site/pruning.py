"""Files that an index does not name: found, and removed, but never most of a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterator
from pathlib import Path

from ..errors import StoreError

__all__ = ["check_prudent", "remove_files", "unnamed_files"]


def unnamed_files(data: Path, named: Container[str]) -> tuple[list[str], int]:
    """Return the files below a folder that are no keys of an index, and how many there are in all.

    Only regular files count; no link is followed.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    keys = list(_files_below(os.fspath(data)))
    return sorted(key for key in keys if key not in named), len(keys)


def _files_below(data: str) -> Iterator[str]:
    todo = [""]
    while todo:
        prefix = todo.pop()
        with os.scandir(f"{data}/{prefix}") as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(f"{prefix}{entry.name}/")
                elif entry.is_file(follow_symlinks=False):
                    yield prefix + entry.name


def check_prudent(unnamed: int, files: int) -> None:
    """Refuse to remove more than half of the files: the index may well be a mistake.

    Raises
    ------
    StoreError
        It would be more.
    """
    if unnamed * 2 > files:
        raise StoreError(
            f"{unnamed} of the {files} files in data/ are not in the index, and deleting more than "
            "half is refused, unless it is forced (--force); nothing was changed"
        )


def remove_files(data: Path, keys: list[str]) -> int:
    """Remove files, and the folders that are empty then; return how many files."""
    removed = 0
    for key in keys:
        path = data / key
        with contextlib.suppress(OSError):  # it is there at the next run, too
            path.unlink()
            removed += 1
            for folder in path.parents:
                if folder == data:
                    break
                folder.rmdir()  # one that is not empty ends it
    return removed
