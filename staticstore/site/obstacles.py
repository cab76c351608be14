"""Files of somebody else's where a mirror writes: found before anything is replaced."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from ..client.origin import Origin
from ..index.fields import Content
from ..transport.regular import open_regular
from .file_digest import Digest
from .folder import SiteFolder
from .hashing import hash_files
from .history import read_head
from .pruning import files_below
from .scan import FoundFile

__all__ = ["foreign_files", "is_ours"]

# What a publish, a mirror or a push leaves in `.staticstore`.
_NOTES = ("notes.json", "last.json", "push.json", "lock")
_FOLDERS = ("index", "blocks", "changes", "packs")
_DIGEST_NAMED = re.compile(r"([0-9a-f]{64})\.(?:jsonl?|zip)")


def is_ours(folder: SiteFolder) -> bool:
    """Return whether a publish, a mirror or a push has worked on a folder."""
    if folder.private.is_symlink():
        return False
    notes = (folder.private / name for name in _NOTES)
    return any(note.is_file() and not note.is_symlink() for note in notes)


def foreign_files(folder: SiteFolder, origin: Origin) -> tuple[list[str], dict[str, Digest]]:
    """Return the files that a mirror would replace or remove, and the values that are right.

    Only regular files count: nothing else is ever replaced.  No link is followed.

    Returns
    -------
    files : list of str
        Their paths below the root.
    values : dict of Digest
        From the keys of files with the bytes of the origin's values to their digests.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    others, values = _foreign_values(folder, origin)
    return [*_foreign_documents(folder, origin), *others], values


def _foreign_documents(folder: SiteFolder, origin: Origin) -> Iterator[str]:
    if _is_file(folder.index) and _sha256(folder.index) != origin.sha256:
        yield folder.index.name
    if _is_file(folder.head):
        head = read_head(folder)
        if head is None or head != origin.head:
            yield folder.head.name
    for name in _FOLDERS:
        place = folder.root / name
        if _is_file(place):
            yield name
        if place.is_symlink() or not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            named = _DIGEST_NAMED.fullmatch(path.name)
            if named is not None and _is_file(path) and _sha256(path) != named[1]:
                yield f"{name}/{path.name}"


def _foreign_values(folder: SiteFolder, origin: Origin) -> tuple[list[str], dict[str, Digest]]:
    if _is_file(folder.data):
        return [folder.data.name], {}
    found = sorted(files_below(folder.data))
    contents = origin.snapshot.contents_of([key for key in found if key in origin.snapshot])
    files = [_found(folder, key) for key in contents]
    doubtful = [file for file in files if _may_be_right(file, contents[file.key])]
    hashed = hash_files(doubtful)
    values: dict[str, Digest] = {}
    for key, outcome in hashed.items():
        if isinstance(outcome, Digest) and outcome.sha256 == contents[key].sha256:
            values[key] = outcome
    return [f"{folder.data.name}/{key}" for key in found if key not in values], values


def _may_be_right(file: FoundFile, content: Content) -> bool:
    return content.sha256 is not None and content.size in (None, file.size)


def _found(folder: SiteFolder, key: str) -> FoundFile:
    path = os.path.join(folder.data, key)
    status = os.lstat(path)
    return FoundFile(key, path, status.st_size, status.st_mtime_ns, status.st_ino)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
