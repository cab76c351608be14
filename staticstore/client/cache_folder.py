"""The folder of a cache: what lies where, how much of it, and what is wrong with it.

::

    FOLDER/
        values/ab/abcd…             a value under its sha256, of whatever site
        indexes/<digest of the site>/
            index.json              the last index that was read
            note.json               what was read with it: validators, head, digests

All is verified when it is read, so that nothing here needs to be believed, and
may be deleted at any time.  A cache that cannot be used is none: nothing that
the disk says is ever raised.

An index is verified by what lies beside it, so that whoever may write here could
have any index believed: what is not the user's own, and theirs alone, is not used.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from ..errors import StoreError, quoted
from ..index.fields import SHA256
from ..transport.arguments import checked_number
from ..transport.atomic import TEMPORARY_PATTERN
from ..transport.regular import NotOwnError, foreign_part, open_own

__all__ = [
    "DEFAULT_MAX_BYTES",
    "DOCUMENT",
    "INDEX_FILES",
    "NOTE",
    "CacheFolder",
    "Kept",
    "disk_use",
    "last_used_now",
    "user_folder",
]

DEFAULT_MAX_BYTES = 4 << 30
#: The files of an index, that first without which the other does not count.
INDEX_FILES = NOTE, DOCUMENT = "note.json", "index.json"

_log = logging.getLogger("staticstore")

_SHELF = re.compile(r"[0-9a-f]{2}")
_BLOCK = 4096  # bytes; a smaller file takes as much of a disk
_TOUCHED_EVERY = 3600.0  # seconds; how exactly it is known when something was last used
_LEFT_OVER_AFTER = 86_400.0  # seconds; nobody writes any more to a temporary file so old
_CHECKED_EVERY = 1.0  # seconds
_REST = 60.0  # seconds; after a failure nothing is written for so long


def user_folder() -> Path:
    """Return the folder in which this user's caches are, by the rules of the system.

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
    """A folder for what is kept, and what is wrong with it.

    Parameters
    ----------
    path : Path
        The folder; made when it is first needed.
    max_bytes : int
        How much of the disk all in it may take, counted in blocks of 4 KiB.

    Attributes
    ----------
    path, max_bytes
        As given.
    problem : str or None
        Why nothing can be kept at the moment; None if all is well.
    """

    def __init__(self, path: Path, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        checked_number(max_bytes, "max_cache_bytes", least=0)
        self.path = path
        self.max_bytes = max_bytes
        self.problem: str | None = None
        self._told: set[str] = set()
        # When a shelf was found to be the user's own, by `time.monotonic`: values are
        # verified by their names, so that it need not be looked at for each.
        self._checked: dict[Path, float] = {}
        self._rests_until = 0.0

    @classmethod
    def of(
        cls, cache: bool | str | os.PathLike[str], max_bytes: int = DEFAULT_MAX_BYTES
    ) -> CacheFolder:
        """Return the folder that an argument of a user means.

        Raises
        ------
        TypeError, ValueError
            It means none.
        """
        if cache is True:
            return cls(user_folder(), max_bytes)
        if not isinstance(cache, str | os.PathLike) or not isinstance(os.fspath(cache), str):
            raise TypeError(f"a cache is True, a text or a path, not {type(cache).__name__}")
        if not os.fspath(cache) or "\0" in os.fspath(cache):
            raise ValueError("a cache is a folder, and its path no empty text")
        return cls(Path(cache).absolute(), max_bytes)

    @property
    def rests(self) -> bool:
        """Whether writing has failed a short while ago, and is not tried."""
        return time.monotonic() < self._rests_until

    def make(self, folder: Path) -> None:
        """Make a folder in this one, and this one, for the user alone.

        Raises
        ------
        NotOwnError
            One of them is somebody else's.
        OSError
            It cannot be made.
        """
        if not folder.is_dir():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            for one in self._way_to(folder):
                if not one.is_symlink():
                    one.mkdir(mode=0o700, exist_ok=True)
                _check(one)
        self.check(folder)

    def check(self, folder: Path) -> None:
        """Raise if a folder in this one, or this one, is not the user's own.

        Raises
        ------
        NotOwnError
            It is somebody else's, or others may write it, or it is a link.
        OSError
            It is not there.
        """
        for one in self._way_to(folder):
            _check(one)

    def _way_to(self, folder: Path) -> list[Path]:
        """Return this folder, and those that lead from it to another one."""
        above = [one for one in (folder, *folder.parents) if one.is_relative_to(self.path)]
        return above[::-1]

    def open(self, path: Path) -> FileIO:
        """Open a file in this folder.

        One that others may write is removed: this folder is the user's own, and so
        an earlier version made it, or somebody before this folder was closed to them.

        Raises
        ------
        NotOwnError
            The file, or a folder on the way to it, is not the user's own.
        OSError
            It cannot be opened.
        """
        now, shelf = time.monotonic(), path.parent
        if now - self._checked.get(shelf, -_CHECKED_EVERY) >= _CHECKED_EVERY:
            self.check(shelf)
            self._checked[shelf] = now
        try:
            descriptor, _ = open_own(path)
        except NotOwnError:
            path.unlink(missing_ok=True)
            raise
        return FileIO(descriptor, "rb")

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Let what the operating system refuses in the block be a note, and no error."""
        try:
            yield
        except OSError as error:
            self._rests_until = time.monotonic() + _REST
            self.note_error(error, "cannot be written")
        else:
            self.problem = None

    def note_error(self, error: OSError, what: str) -> None:
        """Take note of what the operating system refuses, or of what is not the user's own."""
        if isinstance(error, NotOwnError):
            what = "is not used (make one that belongs to you, and that only you may write)"
        self.note(f"{what}: {error.strerror or type(error).__name__}")

    def note(self, problem: str) -> None:
        """Take note of what is wrong; the log tells of it once."""
        self.problem = f"the cache folder {quoted(str(self.path))} {problem}"
        if problem not in self._told:
            self._told.add(problem)
            _log.warning("%s", self.problem)

    # -- what is in it ---------------------------------------------------------------

    def place_of_value(self, sha256: str) -> Path:
        """Return where a value lies, if it is here; a `ValueError` for what is no digest."""
        if not re.match(SHA256, sha256):  # it would be a path to anywhere
            raise ValueError("what is no digest names no value")
        return self.path / "values" / sha256[:2] / sha256

    def place_of_index(self, site: str) -> Path:
        """Return the folder of the index of a site, which is named by a digest."""
        return self.path / "indexes" / site

    def values(self) -> Iterator[Kept]:
        """Find the values, in no order; what killed processes left among them is removed."""
        for shelf in self._entries(self.path / "values"):
            if _SHELF.fullmatch(shelf.name):
                for entry in self._entries(Path(shelf.path)):
                    known = _regular(entry)
                    if known is None:
                        continue
                    if re.match(SHA256, entry.name):
                        yield Kept((Path(entry.path),), known.st_size, known.st_mtime)
                    elif Path(entry.name).match(TEMPORARY_PATTERN) and _is_old(known):
                        _remove(Path(entry.path))

    def indexes(self) -> Iterator[Kept]:
        """Find the indexes, each as its note and its document, in no order."""
        for site in self._entries(self.path / "indexes"):
            if re.match(SHA256, site.name):
                files = {entry.name: entry for entry in self._entries(Path(site.path))}
                found = [
                    (files[name], _regular(files[name])) for name in INDEX_FILES if name in files
                ]
                known = [(Path(entry.path), one) for entry, one in found if one is not None]
                if known:
                    size = sum(one.st_size for _, one in known)
                    last_used = max(one.st_mtime for _, one in known)
                    yield Kept(tuple(path for path, _ in known), size, last_used)

    def evict(self, max_bytes: int, *, spare: int = 0) -> int:
        """Remove what was least recently used, beyond a bound; return what is left, in bytes.

        Any number of processes may do so at once: each counts what another
        has removed as gone.

        Parameters
        ----------
        max_bytes : int
            How much of the disk all may take.
        spare : int, optional
            How much more to free, if anything must be.
        """
        kept = sorted([*self.values(), *self.indexes()], key=lambda one: one.last_used)
        total = sum(one.disk_use for one in kept)
        bound = max_bytes if total <= max_bytes else max_bytes - spare
        for one in kept:
            if total <= bound:
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
            self.note_error(error, "")
        except OSError:
            pass
        return []


class Kept(NamedTuple):
    """A value or an index in a cache."""

    #: Its files; it is none without the first of them.
    paths: tuple[Path, ...]
    #: Bytes in all.
    size: int
    #: Seconds since 1970, as exactly as it is known.
    last_used: float

    @property
    def disk_use(self) -> int:
        """The bytes that it takes of the disk."""
        return disk_use(self.size)

    def remove(self) -> bool:
        """Remove it; True if it is gone, whoever has removed it."""
        return all(map(_remove, self.paths))


def disk_use(size: int) -> int:
    """Return how much of a disk a file of some size takes, in bytes."""
    return -(-size // _BLOCK) * _BLOCK


def last_used_now(path: Path, known: os.stat_result) -> None:
    """Note that a file is used; seldom, and not in a folder that cannot be written."""
    if time.time() - known.st_mtime > _TOUCHED_EVERY:
        with contextlib.suppress(OSError):
            os.utime(path)


def _check(folder: Path) -> None:
    if (reason := foreign_part(folder.lstat())) is not None:
        raise NotOwnError(errno.EPERM, f"{quoted(str(folder))} {reason}")


def _regular(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        known = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return known if stat.S_ISREG(known.st_mode) else None


def _is_old(known: os.stat_result) -> bool:
    return time.time() - known.st_mtime > _LEFT_OVER_AFTER


def _remove(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True
