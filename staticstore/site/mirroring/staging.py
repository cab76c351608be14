"""Staging of values in ``.staticstore/incoming`` until the index names them.

What is staged is verified and renamed into place later, so the folder belongs to the
user, and no other user can write into it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Set
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from ... import tuning
from ...disk.atomic import TEMPORARY_PATTERN, is_link, remove_leftovers, write_unsynced
from ...disk.file_system import (
    NotOwnError,
    foreign_part,
    open_regular,
    set_time,
    sync_files,
    sync_folder,
)
from ...disk.part_file import DOCUMENT_PATTERN, PartFolder
from ...errors import StoreError, reason_of
from ...transport.values.download import part_of
from ...workers import Workers

if TYPE_CHECKING:
    from ..folder.site_folder import SiteFolder

__all__ = ["Staging", "parts_of", "staged_sha256"]

_OBSTACLE = "obstacle-"  # prefix of what is moved aside; a number follows
_RESUME_SECONDS = 86_400.0  # how long a partial document that nothing names is kept


class Staging:
    """Stages values, syncs them in batches, and renames replacements into place.

    A value that the folder's index does not name is renamed into place at once.
    One that replaces a value of the index stays staged until `replace`, so that
    the old index and the old values stay together up to then.  A context manager,
    for one thread.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked.
    replacing : set of str
        The keys of values that the folder's index names.
    covered : mapping, optional
        For each key whose place is blocked by a file or folder, the path of that
        below ``data/``; `replace` moves it away.

    Attributes
    ----------
    keys : list of str
        The keys of the values staged so far.
    removed : list of str
        The paths below ``data/`` that `replace` has moved away.
    """

    def __init__(
        self, folder: SiteFolder, replacing: Set[str], covered: Mapping[str, str] | None = None
    ) -> None:
        self._covered = covered or {}
        self._folder = folder
        self._data = os.fspath(folder.data)
        self._incoming = os.fspath(folder.incoming)
        self._replacing = replacing | self._covered.keys()
        self._checked: set[str] = set()  # folders below data/ that exist and are no links
        self._unsynced: list[str] = []
        self._syncing: list[Future[None]] = []
        self._folders: set[str] = {self._data}  # folders with new names, to be synced
        self._waiting: dict[str, str] = {}  # staged replacements
        self._threads = Workers(tuning.SYNC_THREADS, "staticstore sync")
        self.keys: list[str] = []
        self.removed: list[str] = []

    def __enter__(self) -> Self:
        """Make the folder, and remove what an interrupted run left there."""
        _make_incoming(self._folder)
        remove_leftovers(self._folder.incoming)  # this run uses the same temporary names
        for path in self._folder.incoming.glob(f"{_OBSTACLE}*"):
            _remove(path)
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads; after an error remove what the next run cannot resume."""
        self._threads.close()
        if error[0] is not None:
            with contextlib.suppress(OSError):
                remove_leftovers(self._folder.incoming)

    def path_for(self, key: str, sha256: str | None) -> Path:
        """Return the path where a value is staged, the same in each run."""
        name = hashlib.sha256(f"{sha256} {key}".encode()).hexdigest()
        return self._folder.incoming / name

    def put(self, key: str, data: bytes, sha256: str | None, modified: float) -> None:
        """Write a value from memory.

        Parameters
        ----------
        key : str
            Its key.
        data : bytes
            The value, verified.
        sha256 : str or None
            Its digest, if the index has one.
        modified : float
            The modification time of the file, in seconds since 1970.

        Raises
        ------
        OSError
            It cannot be written; no part of it is.
        """
        is_waiting = key in self._replacing
        path = os.fspath(self.path_for(key, sha256)) if is_waiting else self._place(key)
        temporary = self._temporary(str(len(self.keys)))
        write_unsynced(path, data, modified=modified, temporary=temporary)
        self._add(key, path, is_waiting=is_waiting)

    def put_file(self, key: str, path: Path, modified: float) -> None:
        """Take a value that was written to the path that `path_for` returned.

        Raises
        ------
        OSError
            It cannot be renamed into place.
        """
        if is_link(path):
            raise OSError(errno.ELOOP, "a symbolic link has replaced the fetched file")
        set_time(path, modified)
        is_waiting = key in self._replacing
        place = os.fspath(path) if is_waiting else self._place(key)
        if not is_waiting:
            os.replace(path, place)
        self._add(key, place, is_waiting=is_waiting)

    def _temporary(self, name: str) -> str:
        return f"{self._incoming}/{TEMPORARY_PATTERN.replace('*', name)}"

    def _place(self, key: str) -> str:
        """Return the path of a value below ``data/``, with the folders above it made."""
        above = key.rpartition("/")[0]
        if above not in self._checked:
            parent = self._data
            for segment in above.split("/") if above else ():
                self._folders.add(parent)
                parent = f"{parent}/{segment}"
                if is_link(parent):
                    raise OSError(errno.ELOOP, "a symbolic link is in the place of a folder")
                if not os.path.isdir(parent):
                    os.mkdir(parent)
            self._folders.add(parent)
            self._checked.add(above)
        return f"{self._data}/{key}"

    def _add(self, key: str, path: str, *, is_waiting: bool) -> None:
        if is_waiting:
            self._waiting[key] = path
        self.keys.append(key)
        self._unsynced.append(path)
        if len(self._unsynced) >= tuning.SYNC_BATCH_FILES:
            self._start_sync()

    def _start_sync(self) -> None:
        paths, self._unsynced = self._unsynced, []
        self._syncing.append(self._threads.submit(partial(sync_files, paths)))

    def sync(self) -> None:
        """Wait until everything staged is on the disk.

        Raises
        ------
        OSError
            The disk failed.
        """
        self._start_sync()
        for batch in self._syncing:
            batch.result()
        self._syncing.clear()
        self.sync_folders()

    def sync_folders(self) -> None:
        """Wait until the names of all values that are in place are on the disk.

        Raises
        ------
        OSError
            The disk failed.
        """
        folders = [Path(folder) for folder in self._folders]
        syncing = [self._threads.submit(partial(sync_folder, folder)) for folder in folders]
        for folder in syncing:
            folder.result()
        self._folders = {self._data}

    def check_places(self) -> Iterator[tuple[str, str]]:
        """Prepare `replace`; yield each key whose place is blocked, and why.

        A folder may have been made where the survey saw a file.
        """
        for number, key in enumerate(list(self._waiting)):
            if key in self._covered:
                continue
            try:
                place = self._place(key)
                if os.path.isdir(place):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            except OSError as error:
                del self._waiting[key]
                yield key, reason_of(error)
                continue
            # Keep a second name of the old file: freeing its blocks in `replace`
            # would take ten times as long as all the renames.
            with contextlib.suppress(OSError):
                os.link(place, self._temporary(f"old-{number}"))

    def replace(self) -> None:
        """Rename the staged replacements into place, with one system call for each.

        Obstacles are moved aside first; `clear` removes them.

        Raises
        ------
        OSError
            One cannot be renamed; others may have been.
        """
        waiting = self._waiting.keys() & self._covered.keys()
        self.removed = sorted({self._covered[key] for key in waiting})
        for number, obstacle in enumerate(self.removed):
            with contextlib.suppress(FileNotFoundError):  # removed by another program
                os.rename(f"{self._data}/{obstacle}", f"{self._incoming}/{_OBSTACLE}{number}")
        for key in waiting:
            self._place(key)
        for key, path in self._waiting.items():
            os.replace(path, f"{self._data}/{key}")

    def clear(self, kept: Iterable[Path] = ()) -> None:
        """Remove what is still staged, except what the next run can resume.

        Parameters
        ----------
        kept : iterable of Path
            What `path_for` returned for values that failed.
        """
        names = set[str]()
        for path in kept:
            part = part_of(path).name
            names |= {path.name, part, f"{part}.json"}
        if not names:
            shutil.rmtree(self._folder.incoming, ignore_errors=True)
            return
        for path in self._folder.incoming.iterdir():
            if path.name not in names and not _is_resumable(path):
                _remove(path)


def _is_resumable(path: Path) -> bool:
    return path.match(DOCUMENT_PATTERN) and time.time() - path.lstat().st_mtime < _RESUME_SECONDS


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _make_incoming(folder: SiteFolder) -> Path:
    """Make the staging folder; replace one that another user could write into."""
    folder.check_links()
    place = folder.incoming
    if os.path.lexists(place) and foreign_part(place.lstat()) is not None:
        shutil.rmtree(place)
    place.mkdir(mode=0o700, exist_ok=True)
    if (reason := foreign_part(place.lstat())) is not None:
        raise NotOwnError(errno.EPERM, f"{place.name} {reason}")
    return place


def parts_of(folder: SiteFolder, *, keeps: bool = False) -> PartFolder:
    """Return the folder for partial documents of a site; see `PartFolder`."""
    return PartFolder(partial(_open_for_parts, folder), keeps=keeps)


def _open_for_parts(folder: SiteFolder, makes: bool) -> Path:
    if makes:
        try:
            folder.private.mkdir(parents=True, exist_ok=True)
            return _make_incoming(folder)
        except StoreError as error:
            raise NotOwnError(errno.ELOOP, str(error)) from error
    place = folder.incoming
    if is_link(folder.private) or (foreign_part(place.lstat()) is not None):
        raise NotOwnError(errno.EPERM, f"{place.name} belongs to another user")
    return place


def staged_sha256(path: Path) -> str | None:
    """Return the digest of a staged file; None if the user owns no such file."""
    try:
        # The file's own permissions do not matter: the folder is closed to others.
        if foreign_part(path.lstat(), is_sheltered=True) is not None:
            return None
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
