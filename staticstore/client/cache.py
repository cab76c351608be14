"""What is kept on disk of the sites that stores read: values here, indexes in `cached_index`.

::

    FOLDER/
        values/ab/abcd…             a value under its sha256, of whatever site
        indexes/<digest of the site>/
            index.json              the last index that was read
            note.json               what was read with it: validators, head, digests

All is verified when it is read, so that nothing here needs to be believed, and
may be deleted at any time.  A cache that cannot be used is none: nothing of it
is ever raised.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from ..errors import quoted
from ..transport.arguments import checked_number
from ..transport.integrity import TEMPORARY_PATTERN, atomic_file
from ..transport.regular import open_regular

__all__ = ["CacheFolder", "KeptValue", "ValueCache", "evict", "kept_values", "user_folder"]

_log = logging.getLogger("staticstore")

_NAME = re.compile(r"[0-9a-f]{64}")
_SHELF = re.compile(r"[0-9a-f]{2}")
_BLOCK = 4096  # bytes; a smaller file takes as much of a disk
_PIECE = 1 << 20  # bytes
_TOUCHED_EVERY = 3600.0  # seconds; how exactly it is known when a value was last read
_LEFT_OVER_AFTER = 86_400.0  # seconds; nobody writes any more to a temporary file so old
_REST = 60.0  # seconds; after a failure nothing is written for so long
# A value larger than this part of the cache would drive out too many others.
_LARGEST_PART = 4
# What is freed beyond what must be: this part of all, so that the folder is seldom looked through.
_SPARE_PART = 16


def user_folder() -> Path:
    """Return the folder in which this user's caches are, by the rules of the system."""
    import platformdirs  # seldom needed

    return platformdirs.user_cache_path("staticstore", appauthor=False)


class CacheFolder:
    """A folder for what is kept, and what is wrong with it.

    Parameters
    ----------
    path : Path
        The folder; made when it is first needed.

    Attributes
    ----------
    values, indexes : Path
        What is in it.
    problem : str or None
        Why nothing can be kept at the moment; None if all is well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values = path / "values"
        self.indexes = path / "indexes"
        self.problem: str | None = None
        self._told: set[str] = set()
        self._rests_until = 0.0

    @classmethod
    def of(cls, cache: bool | str | os.PathLike[str]) -> Self:
        """Return the folder that an argument of a user means.

        Raises
        ------
        TypeError, ValueError
            It means none.
        """
        if cache is True:
            return cls(user_folder())
        path = os.fspath(cache)  # type: ignore[arg-type]
        if not isinstance(path, str):
            raise TypeError(f"a cache is True, a text or a path, not {type(path).__name__}")
        if not path:
            raise ValueError("a cache is a folder, not an empty text")
        return cls(Path(path).absolute())

    @property
    def rests(self) -> bool:
        """Whether writing has failed a short while ago, and is not tried."""
        return time.monotonic() < self._rests_until

    def make(self, folder: Path) -> None:
        """Make a folder in this one, and this one, for the user alone."""
        if folder.is_dir():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for one in reversed([folder, *folder.parents]):
            if one.is_relative_to(self.path):
                one.mkdir(mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Let what the operating system refuses in the block be a note, and no error."""
        try:
            yield
        except OSError as error:
            self._rests_until = time.monotonic() + _REST
            self.note(f"cannot be written: {error.strerror or type(error).__name__}")
        else:
            self.problem = None

    def note(self, problem: str) -> None:
        """Take note of what is wrong; the log tells of it once."""
        self.problem = f"the cache folder {quoted(str(self.path))} {problem}"
        if problem not in self._told:
            self._told.add(problem)
            _log.warning("%s", self.problem)


class ValueCache:
    """Values by their sha256, the least recently used dropped beyond a bound.

    Any number of threads and processes may share the folder: a value takes its
    name when all of it is there, and one that is gone is a miss.

    Parameters
    ----------
    folder : CacheFolder
        Where.
    max_bytes : int
        How much of the disk they may take, counted in blocks of 4 KiB.  A
        value of more than a quarter of that is not kept.
    """

    def __init__(self, folder: CacheFolder, max_bytes: int) -> None:
        checked_number(max_bytes, "max_cache_bytes", least=0)
        self._folder = folder
        self._max_bytes = max_bytes
        # What may be written before the folder is looked through again.  Threads may
        # get it wrong together, which costs a look more or less.
        self._room = 0
        self._evicting = threading.Lock()  # never waited for

    def read(self, sha256: str | None, size: int | None) -> bytes | None:
        """Return a value; None if it is not here, or not as it should be."""
        file = self._opened(sha256, size)
        if file is None:
            return None
        with file, self._reading():
            data = file.readall()
            if hashlib.sha256(data).hexdigest() == sha256:
                self._touch(file, sha256)
                return data
        self._discard(sha256)
        return None

    def open(self, sha256: str | None, size: int | None) -> BinaryIO | None:
        """Open a value, all of which has been verified before; None as in `read`."""
        file = self._opened(sha256, size)
        if file is None:
            return None
        with contextlib.ExitStack() as stack, self._reading():
            stack.enter_context(file)
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                self._touch(file, sha256)
                file.seek(0)
                stack.pop_all()
                return io.BufferedReader(file, _PIECE)
        self._discard(sha256)
        return None

    def put(self, sha256: str | None, data: bytes) -> None:
        """Keep a value, which is verified."""
        with self.writing(sha256, len(data)) as write:
            write(data)

    def put_file(self, sha256: str | None, path: Path) -> None:
        """Keep a copy of a file that holds a value, which is verified."""
        with contextlib.suppress(OSError), open_regular(path) as file:
            with self.writing(sha256, os.fstat(file.fileno()).st_size) as write:
                for piece in iter(lambda: file.read(_PIECE), b""):
                    write(piece)

    @contextlib.contextmanager
    def writing(self, sha256: str | None, size: int | None) -> Iterator[Callable[[bytes], object]]:
        """Keep a value that comes in pieces, if the block ends well.

        Parameters
        ----------
        sha256, size
            Of the value; one of which not both are known is not kept.

        Yields
        ------
        callable
            Takes the next piece, and raises nothing.
        """
        if sha256 is None or size is None or not self._takes(sha256, size):
            yield _ignore
            return
        self._make_room(_on_disk(size))
        with _Writing(self._folder, self._path(sha256)) as writing:
            yield writing.write

    def _takes(self, sha256: str, size: int) -> bool:
        """Tell whether a value is to be written."""
        is_small = size <= self._max_bytes // _LARGEST_PART
        return is_small and not self._folder.rests and not os.path.exists(self._path(sha256))

    def _path(self, sha256: str) -> Path:
        return self._folder.values / sha256[:2] / sha256

    def _opened(self, sha256: str | None, size: int | None) -> io.FileIO | None:
        """Open the file of a value, if it has the right size."""
        if sha256 is None:
            return None
        with self._reading(), contextlib.ExitStack() as stack:
            file = stack.enter_context(open_regular(self._path(sha256)))
            actual = os.fstat(file.fileno()).st_size
            if actual == size or (size is None and actual <= self._max_bytes):
                stack.pop_all()
                return file
            self._discard(sha256)
        return None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            self._folder.note(f"cannot be read: {error.strerror or type(error).__name__}")

    def _touch(self, file: io.FileIO, sha256: str) -> None:
        """Note that a value was read; seldom, and not in a folder that cannot be written."""
        if time.time() - os.fstat(file.fileno()).st_mtime > _TOUCHED_EVERY:
            with contextlib.suppress(OSError):
                os.utime(self._path(sha256))

    def _discard(self, sha256: str) -> None:
        self._folder.note("held a value that was damaged, and is fetched again")
        with contextlib.suppress(OSError):
            self._path(sha256).unlink()

    def _make_room(self, size: int) -> None:
        self._room -= size
        if self._room >= 0 or not self._evicting.acquire(blocking=False):
            return
        try:
            spare = self._max_bytes // _SPARE_PART
            left = evict(self._folder, self._max_bytes - spare - size, spare=spare)
            self._room = self._max_bytes - left - size
        finally:
            self._evicting.release()


class _Writing:
    """A file that is being written to the cache, until something goes wrong with it."""

    def __init__(self, folder: CacheFolder, path: Path) -> None:
        self._folder = folder
        self._path = path
        self._file: BinaryIO | None = None
        self._atomic = atomic_file(path, synced=False)

    def __enter__(self) -> Self:
        with self._folder.writing():
            self._folder.make(self._path.parent)
            self._file = self._atomic.__enter__()
        return self

    def write(self, piece: bytes) -> None:
        """Take a piece."""
        if self._file is not None:
            with self._folder.writing():
                try:
                    self._file.write(piece)
                except OSError as error:
                    self._file = None
                    self._atomic.__exit__(type(error), error, error.__traceback__)
                    raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            with self._folder.writing():
                self._atomic.__exit__(kind, error, trace)


class KeptValue(NamedTuple):
    """A value in a cache."""

    path: Path
    #: Bytes.
    size: int
    #: Seconds since 1970, as exactly as it is known.
    last_used: float

    @property
    def on_disk(self) -> int:
        """The bytes that it takes of the disk."""
        return _on_disk(self.size)


def kept_values(folder: CacheFolder) -> Iterator[KeptValue]:
    """Find the values in a cache, in no order; and remove what killed processes left there."""
    for shelf in _entries(folder.values):
        if not _SHELF.fullmatch(shelf.name):
            continue
        for entry in _entries(Path(shelf.path)):
            try:
                known = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if _NAME.fullmatch(entry.name) and stat.S_ISREG(known.st_mode):
                yield KeptValue(Path(entry.path), known.st_size, known.st_mtime)
            elif Path(entry.name).match(TEMPORARY_PATTERN):
                if time.time() - known.st_mtime > _LEFT_OVER_AFTER:
                    _remove(Path(entry.path))


def evict(folder: CacheFolder, max_bytes: int, *, spare: int = 0) -> int:
    """Remove the least recently used values beyond a bound; return what is left, in bytes.

    Parameters
    ----------
    folder : CacheFolder
        The cache.
    max_bytes : int
        What they may take of the disk.
    spare : int, optional
        How much more to free, if anything must be.
    """
    values = sorted(kept_values(folder), key=lambda value: value.last_used)
    total = sum(value.on_disk for value in values)
    bound = max_bytes if total <= max_bytes else max_bytes - spare
    for value in values:
        if total <= bound:
            break
        if _remove(value.path):
            total -= value.on_disk
    return total


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _remove(path: Path) -> bool:
    """Remove a file; True if it is gone, whoever has removed it."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


def _ignore(piece: bytes) -> None:
    pass
