"""The folder of a cache: its files, their size, and what is wrong with it.

::

    FOLDER/
        values/ab/abcd…             a value by its sha256, of any site
        indexes/<digest of the site>/
            index.json              the last index that was read
            note.json               what came with it: validators, head, digests
            trust.json              of a signed site: the last versions seen, with signatures

Every file is verified when it is read, and may be deleted at any time.  An error of the
disk is never raised: the store then works without the cache.

An index is verified by the note beside it, so that another user who may write here could
forge both: files and folders that others may write are not used.  That of a signed site is
verified by signatures, which are in the note, too, and which nobody can forge.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import tuning
from ...disk.atomic import TEMPORARY_PATTERN
from ...disk.file_system import NotOwnError, foreign_part, open_own
from ...errors import StoreError, checked_number, quoted, reason_of
from ...formats import form_name
from ...index.codec import SHA256

if TYPE_CHECKING:
    from ...transport.http.root import Root

__all__ = [
    "DOCUMENT",
    "INDEX_FILES",
    "NOTE",
    "CacheEntry",
    "CacheFolder",
    "user_folder",
]

#: The files of an index; without the first one the other does not count.
INDEX_FILES = NOTE, DOCUMENT = "note.json", "index.json"

_LOG = logging.getLogger("staticstore")

_DEFAULT_MAX_BYTES = 4 << 30
_VALUE_FOLDER = re.compile(r"[0-9a-f]{2}")  # the first digits of the sha256s in it
_BLOCK_BYTES = 4096  # that the smallest file takes of a disk
_LEFT_OVER_SECONDS = 86_400.0  # age of a temporary file that no process writes any more


def user_folder() -> Path:
    """Return the cache folder of this user, by the conventions of the system.

    Raises
    ------
    StoreError
        The user has no home folder.
    """
    import platformdirs  # seldom needed

    try:
        return platformdirs.user_cache_path("staticstore", appauthor=False)
    except RuntimeError:
        raise StoreError("the user has no home folder: name a folder for the cache") from None


class CacheFolder:
    """A folder for cached values and indexes.

    Parameters
    ----------
    path : Path
        The folder; made when it is first needed.
    max_bytes : int
        The most that all files in it may take of the disk, in blocks of 4 KiB.

    Attributes
    ----------
    path, max_bytes
        As given.
    problem : str or None
        Why nothing can be kept at the moment; None if it can.
    """

    def __init__(self, path: Path, max_bytes: int = _DEFAULT_MAX_BYTES) -> None:
        checked_number(max_bytes, "max_cache_bytes", least=0)
        self.path = path
        self.max_bytes = max_bytes
        self.problem: str | None = None
        self._logged: set[str] = set()
        # When a folder of values was last found to be the user's own, by `time.monotonic`.
        # Values are verified by their names, so that it need not be checked for each.
        self._checked: dict[Path, float] = {}
        self._paused_until = 0.0

    @classmethod
    def of(
        cls, cache: bool | str | os.PathLike[str], max_bytes: int = _DEFAULT_MAX_BYTES
    ) -> CacheFolder:
        """Return the folder that the `cache` argument of a store names.

        Raises
        ------
        TypeError, ValueError
            It names no folder.
        StoreError
            It is True, and the user has no home folder.
        """
        if cache is True:
            return cls(user_folder(), max_bytes)
        if not isinstance(cache, str | os.PathLike) or not isinstance(os.fspath(cache), str):
            raise TypeError(f"cache must be True, a str or a path, not {type(cache).__name__}")
        if not os.fspath(cache) or "\0" in os.fspath(cache):
            raise ValueError(
                "cache must be the path of a folder, without null characters, and not empty"
            )
        return cls(Path(cache).absolute(), max_bytes)

    @property
    def is_paused(self) -> bool:
        """Whether writing failed a short while ago, and is not tried now."""
        return time.monotonic() < self._paused_until

    def make(self, folder: Path) -> None:
        """Make this folder and a folder in it, for the user alone.

        Raises
        ------
        NotOwnError
            One of them is not the user's own.
        OSError
            It cannot be made.
        """
        if folder.is_dir():
            self.check(folder)
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for one in self._path_to(folder):
            if not one.is_symlink():  # it may lead anywhere, and `_check` refuses it
                one.mkdir(mode=0o700, exist_ok=True)
            _check(one)  # before the next one: nothing is made in a folder of others

    def check(self, folder: Path) -> None:
        """Check that this folder and a folder in it are the user's own.

        Raises
        ------
        NotOwnError
            One of them belongs to another user, is a link, or may be written by others.
        OSError
            It does not exist.
        """
        for one in self._path_to(folder):
            _check(one)

    def _path_to(self, folder: Path) -> list[Path]:
        # The cache folder first.
        upwards = [one for one in (folder, *folder.parents) if one.is_relative_to(self.path)]
        return upwards[::-1]

    def open(self, path: Path) -> FileIO:
        """Open a file in this folder.

        Raises
        ------
        NotOwnError
            The file, or a folder on the path to it, is not the user's own.
        OSError
            It cannot be opened.
        """
        now, parent = time.monotonic(), path.parent
        checked_at = self._checked.get(parent)
        if checked_at is None or now - checked_at >= tuning.CACHE_CHECK_SECONDS:
            self.check(parent)
            self._checked[parent] = now
        try:
            descriptor, _ = open_own(path)
        except NotOwnError:
            # Made by an earlier version, or by others before the folder was closed to them.
            path.unlink(missing_ok=True)
            raise
        return FileIO(descriptor, "rb")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Note an error of the operating system in the block, and pause writing."""
        try:
            yield
        except OSError as error:
            self._paused_until = time.monotonic() + tuning.CACHE_PAUSE_SECONDS
            self.note_error(error, "cannot be written")
        else:
            self.problem = None

    def note_error(self, error: OSError, what: str) -> None:
        """Note an error of the operating system, or a file that is not the user's own."""
        if isinstance(error, NotOwnError):
            what = "is not used (make one that belongs to you, and that only you may write)"
        self.note(f"{what}: {reason_of(error)}")

    def note(self, problem: str) -> None:
        """Note a problem; it is logged once."""
        self.problem = f"the cache folder {quoted(str(self.path))} {problem}"
        if problem not in self._logged:
            self._logged.add(problem)
            _LOG.warning("%s", self.problem)

    # -- what is in it ---------------------------------------------------------------

    def place_of_value(self, sha256: str) -> Path:
        """Return the path of a value; `ValueError` if the name is not a digest."""
        if not re.match(SHA256, sha256):  # it could be a path out of the folder
            raise ValueError("the name of a value is not a digest")
        return self.path / "values" / sha256[:2] / sha256

    def place_of_site(self, root: Root, options: Mapping[str, Any]) -> Path:
        """Return the folder of a site, by the options of its store.

        What was read of a site that must be signed is apart from what was read without
        signatures, or under another root document.
        """
        form = options["format"]
        path = options["index_path"] if form is None else form_name(form)
        names = [root.join(root.document or ""), path, options["data_path"]]
        if (pinned := options["trust"]) is not None:
            names.append(hashlib.sha256(pinned).hexdigest())
        # A digest, since the query of a root may be a secret.
        return self.path / "indexes" / hashlib.sha256("\n".join(names).encode()).hexdigest()

    @staticmethod
    def disk_use(size: int) -> int:
        """Return the bytes of the disk that a file of a size takes."""
        return -(-size // _BLOCK_BYTES) * _BLOCK_BYTES

    @staticmethod
    def touch(path: Path, status: os.stat_result) -> None:
        """Record the use of a file, at most once an hour; ignore a read-only folder."""
        if time.time() - status.st_mtime > tuning.CACHE_TOUCH_SECONDS:
            with contextlib.suppress(OSError):
                os.utime(path)

    def values(self) -> Iterator[CacheEntry]:
        """Find the values, in any order; remove the temporary files of killed processes."""
        for folder in self._entries(self.path / "values"):
            if _VALUE_FOLDER.fullmatch(folder.name):
                for entry in self._entries(Path(folder.path)):
                    status = _status_of_regular(entry)
                    if status is None:
                        continue
                    if re.match(SHA256, entry.name):
                        yield CacheEntry((Path(entry.path),), status.st_size, status.st_mtime)
                    elif (
                        Path(entry.name).match(TEMPORARY_PATTERN)
                        and time.time() - status.st_mtime > _LEFT_OVER_SECONDS
                    ):
                        _remove(Path(entry.path))

    def indexes(self) -> Iterator[CacheEntry]:
        """Find the indexes, each as its note and its document, in any order."""
        for site in self._entries(self.path / "indexes"):
            if re.match(SHA256, site.name):
                files = {entry.name: entry for entry in self._entries(Path(site.path))}
                found = {
                    Path(files[name].path): status
                    for name in INDEX_FILES
                    if name in files and (status := _status_of_regular(files[name])) is not None
                }
                if found:
                    size = sum(status.st_size for status in found.values())
                    last_used = max(status.st_mtime for status in found.values())
                    yield CacheEntry(tuple(found), size, last_used)

    def evict(self, max_bytes: int, *, spare: int = 0) -> int:
        """Remove the least recently used entries above a limit; return the bytes left.

        Any number of processes may do so at once: an entry that another one has removed
        counts as removed.

        Parameters
        ----------
        max_bytes : int
            The most that the entries may take of the disk.
        spare : int, optional
            Bytes to free in addition, if any must be freed: the next values find room
            without another survey of the folder.
        """
        entries = sorted([*self.values(), *self.indexes()], key=lambda one: one.last_used)
        total = sum(one.disk_use for one in entries)
        limit = max_bytes if total <= max_bytes else max_bytes - spare
        for one in entries:
            if total <= limit:
                break
            if one.remove():
                total -= one.disk_use
        return total

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            self.check(folder)
            with os.scandir(folder) as entries:
                return list(entries)
        except NotOwnError as error:
            self.note_error(error, "")  # which has its own text for such a folder
        except OSError:  # the folder does not exist yet
            pass
        return []


class CacheEntry(NamedTuple):
    """A value or an index in a cache."""

    #: Its files; without the first one it does not count.
    paths: tuple[Path, ...]
    #: Bytes in all.
    size: int
    #: Seconds since 1970, to the hour.
    last_used: float

    @property
    def disk_use(self) -> int:
        """The bytes of the disk that it takes."""
        return CacheFolder.disk_use(self.size)

    def remove(self) -> bool:
        """Remove it; return whether it is gone, even if removed by another process."""
        return all(map(_remove, self.paths))


def _check(folder: Path) -> None:
    if (reason := foreign_part(folder.lstat())) is not None:
        raise NotOwnError(errno.EPERM, f"{quoted(str(folder))} {reason}")


def _status_of_regular(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:  # another process has removed it
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
