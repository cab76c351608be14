"""Files of somebody else's where a mirror or push writes: found before anything is replaced."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from ..client.origin import Origin
from ..errors import IndexFormatError, quoted
from ..index.fields import Content
from ..index.named import named_documents
from ..index.snapshot import Index
from ..transport.integrity import TEMPORARY_PATTERN
from ..transport.part_file import PART_PATTERN
from ..transport.regular import open_regular, read_regular
from .file_digest import Digest
from .folder import SiteFolder, is_link, path_text
from .found_file import FoundFile
from .hashing import hash_files
from .history import read_head, reader_of
from .packs import packs_of
from .pruning import files_below

__all__ = ["foreign_files", "foreign_values", "is_ours", "listed"]

# What a publish, a mirror or a push leaves in `.staticstore`.
_NOTES = ("notes.json", "last.json", "push.json", "mirror.json")
_NAMED = 3  # files that an error names
_FOLDERS = ("about", "index", "blocks", "changes", "packs")
_DIGEST_NAMED = re.compile(r"([0-9a-f]{64})\.(?:jsonl?|zip)")


def is_ours(folder: SiteFolder) -> bool:
    """Return whether a publish, a mirror or a push has worked on a folder."""
    if is_link(folder.private):
        return False
    notes = (folder.private / name for name in _NOTES)
    return any(note.is_file() and not is_link(note) for note in notes)


def foreign_files(folder: SiteFolder, origin: Origin) -> tuple[list[str], dict[str, Digest]]:
    """Return the files that a mirror would replace or remove, and the digests of the others.

    Only regular files count: nothing else is ever replaced.  No link is followed.

    Returns
    -------
    files : list of str
        Their paths below the root.
    values : dict of Digest
        From the keys of files with the bytes of the origin's values, as it is or
        was when the folder became a copy of it, to their digests.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    own = _own_index(folder, origin)
    others, values = foreign_values(folder, [origin.snapshot, *([] if own is None else [own])])
    documents = _foreign_documents(folder, origin, is_copy=own is not None)
    return [*documents, *others], values


def listed(paths: list[str]) -> str:
    """Name the first of some paths, and say how many more there are."""
    named = ", ".join(quoted(path_text(path)) for path in paths[:_NAMED])
    return f"{named} and {len(paths) - _NAMED} more" if len(paths) > _NAMED else named


def _own_index(folder: SiteFolder, origin: Origin) -> Index | None:
    """Return the index of a copy that has lost our notes, in a checkout for instance."""
    head = read_head(folder)
    if head is None or origin.head is None or head.lineage != origin.head.lineage:
        return None
    try:
        body = read_regular(folder.index)
        return Index.parse(body) if head.index.describes(body) else None
    except (OSError, IndexFormatError):
        return None


def _foreign_documents(folder: SiteFolder, origin: Origin, *, is_copy: bool) -> Iterator[str]:
    if not is_copy:
        if _is_file(folder.index) and _sha256(folder.index) != origin.sha256:
            yield folder.index.name
        if _is_file(folder.head) and (origin.head is None or read_head(folder) != origin.head):
            yield folder.head.name
    for name in _FOLDERS:
        if _is_file(folder.root / name):
            yield name
    found = list(_digest_named(folder))
    named = _named(folder, origin) if found and not is_copy else frozenset[str]()
    for href, sha256 in found:
        if _sha256(folder.root / href) != sha256 or not (is_copy or href in named):
            yield href


def _digest_named(folder: SiteFolder) -> Iterator[tuple[str, str]]:
    """Yield the files that are named as those by their digest are, and the digests."""
    for name in _FOLDERS:
        place = folder.root / name
        if is_link(place) or not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            match = _DIGEST_NAMED.fullmatch(path.name)
            if match is not None and _is_file(path):
                yield f"{name}/{path.name}", match[1]


def _named(folder: SiteFolder, origin: Origin) -> frozenset[str]:
    """Return the hrefs of what index and head of the origin name by its digest."""
    head = origin.head
    documents = () if head is None else named_documents(head, reader_of(folder))
    return packs_of(origin.snapshot).union(document.href for document in documents)


def foreign_values(
    folder: SiteFolder, indexes: Iterable[Index]
) -> tuple[list[str], dict[str, Digest]]:
    """Return the files in ``data/`` that none of some indexes describes, and the others' digests.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    if _is_file(folder.data):
        return [folder.data.name], {}
    keys = sorted(key for key in files_below(folder.data) if not _is_temporary(key))
    found = {key: _found(folder, key) for key in keys}
    said = [_contents(index, found) for index in indexes]
    doubtful = [
        file
        for key, file in found.items()
        if any(key in contents and _may_be_right(file, contents[key]) for contents in said)
    ]
    digests = {
        key: outcome
        for key, outcome in hash_files(doubtful).items()
        if isinstance(outcome, Digest)
        and any(key in one and one[key].sha256 == outcome.sha256 for one in said)
    }
    return [f"{folder.data.name}/{key}" for key in found if key not in digests], digests


def _contents(index: Index, keys: Iterable[str]) -> dict[str, Content]:
    return index.contents_of([key for key in keys if key in index])


def _may_be_right(file: FoundFile, content: Content) -> bool:
    return content.sha256 is not None and content.size in (None, file.size)


def _found(folder: SiteFolder, key: str) -> FoundFile:
    path = os.path.join(folder.data, key)
    return FoundFile.of(key, path, os.lstat(path))


def _is_temporary(path: str) -> bool:
    """Return whether a killed run has left a file."""
    name = path.rpartition("/")[2]
    return fnmatchcase(name, TEMPORARY_PATTERN) or fnmatchcase(name, f"{PART_PATTERN}*")


def _is_file(path: Path) -> bool:
    return path.is_file() and not is_link(path)


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
