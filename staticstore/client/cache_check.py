"""A cache looked through: which indexes it holds, and what in it is damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from ..transport.regular import open_own
from .cache_folder import INDEX_FILES, CacheFolder, Kept
from .cached_index import Note, read_note, verified

__all__ = ["CacheReport", "CachedSite", "sites_in", "verify_cache"]


class CachedSite(NamedTuple):
    """An index in a cache, by what its note says."""

    note: Note
    #: Bytes, of note and document.
    size: int


def sites_in(folder: CacheFolder) -> Iterator[CachedSite]:
    """Find the indexes in a cache whose notes can be read; documents are not looked at."""
    for index in folder.indexes():
        try:
            note = read_note(index.paths[0].parent)
        except (OSError, ValueError):
            continue
        yield CachedSite(note, index.size)


class CacheReport(NamedTuple):
    """What was found in a cache."""

    #: Values and indexes that are as they should be.
    checked: int
    #: What was not, and is removed: where it lay, and why.
    removed: list[tuple[Path, str]]


def verify_cache(folder: CacheFolder) -> CacheReport:
    """Read all of a cache, and remove what is not as it should be.

    What others remove meanwhile does not count.
    """
    checked = 0
    removed: list[tuple[Path, str]] = []
    for kept, problem_of in [
        *((value, _problem_of_value) for value in folder.values()),
        *((index, _problem_of_index) for index in folder.indexes()),
    ]:
        try:
            problem = problem_of(kept)
        except FileNotFoundError:
            continue
        except OSError as error:
            problem = error.strerror or type(error).__name__
        if problem is None:
            checked += 1
        else:
            kept.remove()
            removed.append((kept.paths[0], problem))
    return CacheReport(checked, removed)


def _problem_of_value(value: Kept) -> str | None:
    (path,) = value.paths
    descriptor, _ = open_own(path)
    with FileIO(descriptor, "rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    return None if actual == path.name else "the value has another sha256"


def _problem_of_index(index: Kept) -> str | None:
    if len(index.paths) < len(INDEX_FILES):
        return "a part of the index is missing"
    try:
        verified(index.paths[0].parent)
    except ValueError as error:
        return str(error)
    return None
