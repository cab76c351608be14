"""Files that an index does not name: found, and removed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Container, Iterator
from pathlib import Path

__all__ = ["files_below", "only_files_below", "remove_files", "unnamed_files"]


def unnamed_files(data: Path, named: Container[str]) -> list[str]:
    """Return the files below a folder that are no keys of an index.

    Only regular files count; no link is followed.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    return sorted(key for key in files_below(data) if key not in named)


def files_below(folder: Path) -> Iterator[str]:
    """Yield the regular files below a folder, by their paths in it; none if it is not there.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    return (path for path, is_file in _found_below(folder) if is_file)


def only_files_below(folder: Path) -> int | None:
    """Return how many files are below a folder; None if anything but files and folders is.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    are_files = [is_file for _, is_file in _found_below(folder)]
    return len(are_files) if all(are_files) else None


def _found_below(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield what is below a folder and no folder itself, and whether it is a regular file."""
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
