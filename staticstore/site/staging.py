"""Values that arrive in a site's folder, each whole, and on the disk before an index names it."""

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
from typing import Self

from ..transport.daemons import Daemons
from ..transport.download import part_of
from ..transport.file_system import set_time
from ..transport.integrity import (
    TEMPORARY_PATTERN,
    remove_leftovers,
    sync_folder,
    write_unsynced,
)
from ..transport.part_file import DOCUMENT_PATTERN
from ..transport.syncing import sync_files
from .folder import SiteFolder, is_link, reason_of
from .incoming import opened_incoming

__all__ = ["Staging"]

_SYNCED_TOGETHER = 1024  # files
_OBSTACLE = "obstacle-"  # what is moved aside is called so, and numbered
_RESUMED_SECONDS = 86_400.0  # what is named no more takes no room for longer
_SYNCING = 8  # threads: file systems write down together what is asked for together


class Staging:
    """Takes values in, syncs them in batches, and puts those in place that replace others.

    What the folder's index does not name goes to its place at once.  What
    replaces a value that it names waits beside, so that the old index and the
    old values stand together until the last moment.  Not for many threads.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked.
    replacing : set of str
        The keys of values that the index of the folder names.
    covered : mapping, optional
        From the keys of values in whose way a file or folder stands to where
        that is below ``data/``; it is removed a moment before.
    """

    def __init__(
        self, folder: SiteFolder, replacing: Set[str], covered: Mapping[str, str] | None = None
    ) -> None:
        self._covered = covered or {}
        self._folder = folder
        self._data = os.fspath(folder.data)
        self._incoming = os.fspath(folder.incoming)
        self._replacing = replacing | self._covered.keys()
        self._made: set[str] = set()
        self._unsynced: list[str] = []
        self._syncing: list[Future[None]] = []
        self._folders: set[str] = {self._data}
        self._waiting: dict[str, str] = {}
        self._threads = Daemons(_SYNCING, "staticstore sync")
        #: The keys of what has arrived.
        self.keys: list[str] = []
        #: What stood in the way and was removed.
        self.removed: list[str] = []

    def __enter__(self) -> Self:
        """Begin."""
        opened_incoming(self._folder)
        remove_leftovers(self._folder.incoming)  # whose names are given anew
        for path in self._folder.incoming.glob(f"{_OBSTACLE}*"):
            _remove(path)
        return self

    def __exit__(self, *error: object) -> None:
        """End the threads."""
        self._threads.close()

    def path_for(self, key: str, sha256: str | None) -> Path:
        """Return where a value is written before it has its place, the same in each run."""
        name = hashlib.sha256(f"{sha256} {key}".encode()).hexdigest()
        return self._folder.incoming / name

    def put(self, key: str, data: bytes, sha256: str | None, modified: float) -> None:
        """Take a value that is in memory.

        Raises
        ------
        OSError
            It cannot be written; nothing of it is.
        """
        is_waiting = key in self._replacing
        path = os.fspath(self.path_for(key, sha256)) if is_waiting else self._place(key)
        temporary = self._temporary(str(len(self.keys)))
        write_unsynced(path, data, modified=modified, temporary=temporary)
        self._arrived(key, path, is_waiting=is_waiting)

    def put_file(self, key: str, path: Path, modified: float) -> None:
        """Take a value that was written to where `path_for` says.

        Raises
        ------
        OSError
            It cannot be put in place.
        """
        if is_link(path):
            raise OSError(errno.ELOOP, "a symbolic link stands in place of what was fetched")
        set_time(path, modified)
        is_waiting = key in self._replacing
        if not is_waiting:
            place = self._place(key)
            os.replace(path, place)
            self._arrived(key, place, is_waiting=False)
        else:
            self._arrived(key, os.fspath(path), is_waiting=True)

    def _temporary(self, name: str) -> str:
        return f"{self._incoming}/{TEMPORARY_PATTERN.replace('*', name)}"

    def _place(self, key: str) -> str:
        above = key.rpartition("/")[0]
        if above not in self._made:
            parent = self._data
            for segment in above.split("/") if above else ():
                self._folders.add(parent)
                parent = f"{parent}/{segment}"
                if is_link(parent):
                    raise OSError(errno.ELOOP, "a symbolic link stands where a folder shall be")
                if not os.path.isdir(parent):
                    os.mkdir(parent)
            self._folders.add(parent)
            self._made.add(above)
        return f"{self._data}/{key}"

    def _arrived(self, key: str, path: str, *, is_waiting: bool) -> None:
        if is_waiting:
            self._waiting[key] = path
        self.keys.append(key)
        self._unsynced.append(path)
        if len(self._unsynced) >= _SYNCED_TOGETHER:
            self._sync_some()

    def _sync_some(self) -> None:
        paths, self._unsynced = self._unsynced, []
        self._syncing.append(self._threads.submit(partial(sync_files, paths)))

    def sync(self) -> None:
        """Wait until all that has arrived is on the disk.

        Raises
        ------
        OSError
            The disk failed.
        """
        self._sync_some()
        for one in self._syncing:
            one.result()
        self._syncing.clear()
        self.sync_folders()

    def sync_folders(self) -> None:
        """Wait until the names of all that has its place are on the disk.

        Raises
        ------
        OSError
            The disk failed.
        """
        folders = [Path(folder) for folder in self._folders]
        syncing = [self._threads.submit(partial(sync_folder, folder)) for folder in folders]
        for one in syncing:
            one.result()
        self._folders = {self._data}

    def make_ready(self) -> Iterator[tuple[str, str]]:
        """Prepare `replace`; yield the keys of what cannot be put in place, and why.

        A folder may have come where a file was.
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
            # A file that keeps a name need not be freed when it is replaced, which takes
            # ten times as long as all the rest.
            with contextlib.suppress(OSError):
                os.link(place, self._temporary(f"old-{number}"))

    def replace(self) -> None:
        """Put in place what replaces other values, by nothing but one call for each.

        What stands in the way of some is moved aside before, and removed by `clear`.

        Raises
        ------
        OSError
            One cannot be put there; others may have been.
        """
        waiting = self._waiting.keys() & self._covered.keys()
        self.removed = sorted({self._covered[key] for key in waiting})
        for number, obstacle in enumerate(self.removed):
            with contextlib.suppress(FileNotFoundError):  # it has gone meanwhile
                os.rename(f"{self._data}/{obstacle}", f"{self._incoming}/{_OBSTACLE}{number}")
        for key in waiting:
            self._place(key)
        for key, path in self._waiting.items():
            os.replace(path, f"{self._data}/{key}")

    def clear(self, kept: Iterable[Path] = ()) -> None:
        """Remove what was left beside, by killed runs as well, but for what may go on.

        Parameters
        ----------
        kept : iterable of Path
            What `path_for` returned for values that have not arrived.
        """
        names = set[str]()
        for path in kept:
            part = part_of(path).name
            names |= {path.name, part, f"{part}.json"}
        if not names:
            shutil.rmtree(self._folder.incoming, ignore_errors=True)
            return
        for path in self._folder.incoming.iterdir():
            if path.name not in names and not _is_resumed(path):
                _remove(path)


def _is_resumed(path: Path) -> bool:
    """Return whether the next run may need a file: a document, as long as it is a recent one."""
    return path.match(DOCUMENT_PATTERN) and time.time() - path.lstat().st_mtime < _RESUMED_SECONDS


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
