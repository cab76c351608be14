"""Guards against likely mistakes in publish, mirror and push; see `force`.

=========  ====================================================================
*shrink*   The index would lose all entries, or more than half of 20 or more.
*part*     A mirror would replace a copy of the whole site by a part of it.
*folder*   A mirror or push would replace files that staticstore did not write.
*lineage*  A push would replace a newer generation, a site of another lineage, or a
           signed site by one that its readers refuse.
=========  ====================================================================
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from ..disk.atomic import TEMPORARY_PATTERN, is_link
from ..disk.file_system import open_regular, read_regular
from ..disk.part_file import PART_PATTERN
from ..errors import IndexFormatError, StoreError
from ..index.blocks import named_documents
from ..index.head import DIGEST_FOLDERS, ENTRY_FOLDERS
from ..index.snapshot import Index
from .folder.data_file import FileDigest, FoundFile
from .folder.hashing import hash_files
from .folder.retention import entry_files_of, files_below

if TYPE_CHECKING:
    from ..index.fields import Content
    from ..index.head import Head
    from .folder.site_folder import SiteFolder

__all__ = [
    "GUARDS",
    "Force",
    "Guards",
    "NothingMatchesError",
    "RefusedError",
    "first_few",
    "foreign_files",
    "foreign_values",
    "is_ours",
]

Guard = Literal["shrink", "part", "folder", "lineage"]
#: True overrides all guards; otherwise the names of those to override.
Force = bool | Iterable[str]

#: The names of all guards.
GUARDS: tuple[Guard, ...] = get_args(Guard)
_MANY_ENTRIES = 20  # a smaller index may lose more than half of them
_FEW_ITEMS = 3  # items that a message names
# What a publish, a mirror or a push leaves in `.staticstore`.
_NOTES = ("notes", "notes.json", "last.json", "push.json", "mirror.json")
_FOLDERS = (*DIGEST_FOLDERS, *ENTRY_FOLDERS)
_DIGEST_NAMED = re.compile(r"([0-9a-f]{64})\.(?:jsonl?|zip|parquet|zst)")


class RefusedError(StoreError):
    """A guard refused the operation; existing files are unchanged.

    Attributes
    ----------
    guard : str or None
        The guard's name, which `force` takes.
    """

    guard: Guard | None = None


class NothingMatchesError(RefusedError):
    """The site has none of the keys that the mirror is to copy."""


class Guards:
    """The guards of one operation.

    Parameters
    ----------
    force : bool or iterable of str
        True overrides all guards; otherwise the names of those to override.

    Raises
    ------
    ValueError
        There is no guard with such a name.

    Examples
    --------
    >>> Guards({"shrink"}).check_shrink("the mirror", 5, 0)
    >>> Guards(False).check_shrink("the mirror", 5, 0)
    Traceback (most recent call last):
    staticstore.site.guards.RefusedError: the mirror would leave 0 of 5 entries; ...
    """

    def __init__(self, force: Force = False) -> None:
        if isinstance(force, bool):
            forced = frozenset[str](GUARDS if force else ())
        else:
            try:
                forced = frozenset([force] if isinstance(force, str) else force)
            except TypeError:  # not iterable, or its items are not hashable
                forced = frozenset([repr(force)])
        if unknown := sorted(map(str, forced.difference(GUARDS))):
            raise ValueError(
                f"force is True, False or some of {', '.join(GUARDS)}, not {', '.join(unknown)}"
            )
        self._forced = forced

    def refuse(self, guard: Guard, problem: str, kind: type[RefusedError] = RefusedError) -> None:
        """Raise `RefusedError`, unless this guard is overridden.

        Parameters
        ----------
        guard : str
            The guard.
        problem : str
            What is wrong, and what to do; the message adds how to force it.
        kind : type, optional
            The class of the error.

        Raises
        ------
        RefusedError
            The guard is not overridden.
        """
        if guard not in self._forced:
            refused = kind(
                f"{problem}; existing files are unchanged (--force={guard} to do it anyway)"
            )
            refused.guard = guard
            raise refused

    def check_shrink(self, what: str, before: int, after: int, *, why: str = "") -> None:
        """Refuse to lose all entries, or more than half of 20 or more.

        Parameters
        ----------
        what : str
            The operation, such as ``"the mirror"``; the message begins with it.
        before, after : int
            The number of entries now, and afterwards.
        why : str, optional
            The end of the message.

        Raises
        ------
        RefusedError
            The guard is not overridden.
        """
        if before and (not after or (before >= _MANY_ENTRIES and after * 2 < before)):
            self.refuse("shrink", f"{what} would leave {after} of {before} entries{why}")


def first_few(items: Sequence[str], separator: str = ", ") -> str:
    """Return the first three items, and the number of the others, as a text.

    Examples
    --------
    >>> first_few(["a", "b", "c", "d", "e"])
    'a, b, c, and 2 more'
    """
    more = [f"and {len(items) - _FEW_ITEMS} more"] if len(items) > _FEW_ITEMS else []
    return separator.join([*items[:_FEW_ITEMS], *more])


def is_ours(folder: SiteFolder) -> bool:
    """Return whether a folder has the notes of a publish, a mirror or a push."""
    if is_link(folder.private):
        return False
    return any(_is_file(folder.private / name) for name in _NOTES)


def foreign_files(
    folder: SiteFolder, index: Index, head: Head | None, *, sha256: str
) -> tuple[list[str], dict[str, FileDigest]]:
    """Return the files that a mirror of a site would replace or delete.

    Only regular files count, since nothing else is ever replaced.  Links are not followed.

    Parameters
    ----------
    folder : SiteFolder
        The folder to mirror into.
    index : Index
        The index of the site.
    head : Head or None
        Its head, if it has one.
    sha256 : str
        The digest of its ``index.json``.

    Returns
    -------
    files : list of str
        Their paths below the root.
    values : dict of str to FileDigest
        The digests of the files that have the bytes of the site's value, as it is or
        was when the folder became a copy of the site; by key.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    own = _copied_index(folder, head)
    others, values = foreign_values(folder, [index, *([] if own is None else [own])])
    documents = _foreign_documents(folder, index, head, sha256, is_copy=own is not None)
    return [*documents, *others], values


def _copied_index(folder: SiteFolder, head: Head | None) -> Index | None:
    # A copy may lack our notes, in a checkout for instance: its head still identifies it.
    own = folder.read_head()
    if own is None or head is None or own.lineage != head.lineage:
        return None
    try:
        body = read_regular(folder.index)
        return Index.parse(body) if own.index.describes(body) else None
    except (OSError, IndexFormatError):
        return None


def _foreign_documents(
    folder: SiteFolder, index: Index, head: Head | None, sha256: str, *, is_copy: bool
) -> Iterator[str]:
    if not is_copy:
        if _is_file(folder.index) and _sha256(folder.index) != sha256:
            yield folder.index.name
        if _is_file(folder.head) and (head is None or folder.read_head() != head):
            yield folder.head.name
    for name in _FOLDERS:
        if _is_file(folder.root / name):
            yield name
    found = list(_digest_named(folder))
    named = _named(folder, index, head) if found and not is_copy else frozenset[str]()
    for href, digest in found:
        if _sha256(folder.root / href) != digest or not (is_copy or href in named):
            yield href


def _digest_named(folder: SiteFolder) -> Iterator[tuple[str, str]]:
    """Yield the href of each file named by a digest, and that digest."""
    for name in _FOLDERS:
        place = folder.root / name
        if is_link(place) or not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            match = _DIGEST_NAMED.fullmatch(path.name)
            if match is not None and _is_file(path):
                yield f"{name}/{path.name}", match[1]


def _named(folder: SiteFolder, index: Index, head: Head | None) -> frozenset[str]:
    documents = () if head is None else named_documents(head, folder.read_document)
    return entry_files_of(index).union(document.href for document in documents)


def foreign_values(
    folder: SiteFolder, indexes: Iterable[Index]
) -> tuple[list[str], dict[str, FileDigest]]:
    """Return the files in ``data/`` that no index describes.

    Parameters
    ----------
    folder : SiteFolder
        The folder.
    indexes : iterable of Index
        The indexes.

    Returns
    -------
    files : list of str
        The paths below the root of files that none of them describes.
    values : dict of str to FileDigest
        The digests of the other files, by key.

    Raises
    ------
    OSError
        A folder cannot be read.
    """
    if _is_file(folder.data):
        return [folder.data_path[:-1]], {}
    keys = sorted(key for key in files_below(folder.data) if not _is_temporary(key))
    found = {}
    for key in keys:
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            found[key] = _found(folder, key)
    contents = [index.contents_of([key for key in found if key in index]) for index in indexes]
    doubtful = [
        file
        for key, file in found.items()
        if any(key in one and _may_match(file, one[key]) for one in contents)
    ]
    digests = {
        key: outcome
        for key, outcome in hash_files(doubtful).items()
        if isinstance(outcome, FileDigest)
        and any(key in one and one[key].sha256 == outcome.sha256 for one in contents)
    }
    return [f"{folder.data_path}{key}" for key in found if key not in digests], digests


def _may_match(file: FoundFile, content: Content) -> bool:
    return content.sha256 is not None and content.size in (None, file.size)


def _found(folder: SiteFolder, key: str) -> FoundFile:
    path = os.path.join(folder.data, key)
    return FoundFile.of(key, path, os.lstat(path))


def _is_temporary(path: str) -> bool:
    name = path.rpartition("/")[2]
    return fnmatchcase(name, TEMPORARY_PATTERN) or fnmatchcase(name, f"{PART_PATTERN}*")


def _is_file(path: Path) -> bool:
    return path.is_file() and not is_link(path)


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
