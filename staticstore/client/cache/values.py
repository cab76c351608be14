"""The cache of values by their sha256, in memory and on disk."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from cachetools import LRUCache

from ... import tuning
from ...errors import NotConnectedError, StoreError
from ...processes import PerProcess, is_held

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from .folder import CacheFolder

__all__ = ["ValueCache"]

_LOG = logging.getLogger("staticstore")

# A value above a quarter of the folder's limit would evict too many others.
_LARGEST_DIVISOR = 4
# An eviction frees a 16th more than needed, so that the folder is seldom surveyed.
_SPARE_DIVISOR = 16


class ValueCache:
    """Verified values by their sha256: first in memory, then in a folder on disk.

    In each the least recently used values are evicted above a limit.  Any number of
    threads and processes may share the folder: a value is renamed into place when it is
    complete, and a missing one is fetched again.  Without a digest nothing is found and
    nothing is kept.

    Parameters
    ----------
    folder : CacheFolder, optional
        The folder; also an attribute.  Values above a quarter of its limit are not kept.
    memory : int, optional
        The most bytes of values in memory; 0 for none.
    """

    def __init__(self, folder: CacheFolder | None = None, memory: int = 0) -> None:
        self.folder = folder
        self._problem: str | None = None
        self._most_memory = memory
        self._memory = PerProcess(partial(_Memory, memory), after_fork=_Memory.or_new)
        # Bytes that may be written before the next survey of the folder.  Not under a lock:
        # an error costs one survey.
        self._room = 0
        self._evicting = PerProcess(threading.Lock)  # never waited for

    @classmethod
    def of(
        cls, memory: int, cache: bool | str | os.PathLike[str] | None, max_cache_bytes: int
    ) -> ValueCache:
        """Return the cache for the arguments of a store.

        Where the user has no home folder, there is no folder, and `problem` says so.

        Raises
        ------
        TypeError, ValueError
            An argument is invalid.
        """
        if not isinstance(memory, int) or memory < 0:
            raise ValueError(f"memory is a number of bytes, 0 or more, not {memory!r}")
        if cache is None or cache is False:
            return cls(memory=memory)
        from .folder import CacheFolder  # seldom needed

        try:
            return cls(CacheFolder.of(cache, max_cache_bytes), memory)
        except StoreError as error:
            values = cls(memory=memory)
            values._problem = f"nothing is cached: {error}"
            _LOG.warning("%s", values._problem)
            return values

    @property
    def problem(self) -> str | None:
        """Why nothing can be kept on disk at the moment; None if it can."""
        return self._problem if self.folder is None else self.folder.problem

    def __bool__(self) -> bool:
        """Return whether anything can be kept."""
        return self.folder is not None or self._most_memory > 0

    def read(self, sha256: str | None, size: int | None) -> bytes | None:
        """Return a value; None if it is not here, or damaged."""
        if sha256 is None:
            return None
        data = self._memory.get().find(sha256)
        if data is None and self.folder is not None:
            data = _read_file(self.folder, sha256, size)
            if data is not None:
                self._hold(sha256, data)
        return data

    def open(self, sha256: str | None, size: int | None) -> BinaryIO | None:
        """Open a value, which is verified before; None as in `read`."""
        if sha256 is None:
            return None
        data = self._memory.get().find(sha256)
        if data is None and self.folder is not None:
            if size is None or size > tuning.CACHE_IN_MEMORY_BYTES:
                return _open_file(self.folder, sha256, size)
            data = _read_file(self.folder, sha256, size)
        return None if data is None else io.BytesIO(data)

    def put(self, sha256: str | None, data: bytes) -> None:
        """Keep a verified value."""
        if sha256 is not None:
            self._hold(sha256, data)
        if self.folder is not None:
            with self.writing(sha256, len(data)) as write:
                write(data)

    def put_file(self, sha256: str | None, path: Path) -> None:
        """Keep a copy of a file that holds a verified value; ignores devices and links."""
        if self.folder is None or path.is_symlink():  # its target may have more in it
            return
        from ...disk.file_system import open_regular

        with (
            contextlib.suppress(OSError),
            open_regular(path) as file,
            self.writing(sha256, os.fstat(file.fileno()).st_size) as write,
        ):
            for piece in iter(lambda: file.read(tuning.CACHE_PIECE_BYTES), b""):
                write(piece)

    @contextlib.contextmanager
    def writing(self, sha256: str | None, size: int | None) -> Iterator[Callable[[bytes], object]]:
        """Keep a value that comes in pieces on disk, if the block ends without an error.

        Parameters
        ----------
        sha256, size
            Of the value; it is not kept if one of them is None.

        Yields
        ------
        callable
            Takes the next piece, and raises nothing.
        """
        folder = self.folder
        if folder is None or sha256 is None or size is None or not _takes(folder, sha256, size):
            yield lambda piece: None
            return
        self._make_room(folder, folder.disk_use(size))
        with _Writer(folder, folder.place_of_value(sha256)) as writer:
            yield writer.write

    def _hold(self, sha256: str, data: bytes) -> None:
        if len(data) <= self._most_memory:
            self._memory.get().hold(sha256, data)

    def _make_room(self, folder: CacheFolder, size: int) -> None:
        self._room -= size
        evicting = self._evicting.get()
        if self._room >= 0 or not evicting.acquire(blocking=False):
            return
        try:
            most = folder.max_bytes
            spare = most // _SPARE_DIVISOR
            left = folder.evict(most - spare - size, spare=spare)
            self._room = most - left - size
        finally:
            evicting.release()


def _read_file(folder: CacheFolder, sha256: str, size: int | None) -> bytes | None:
    file = _file_of(folder, sha256, size)
    if file is None:
        return None
    with file, _reading(folder):
        data = file.readall()
        if hashlib.sha256(data).hexdigest() == sha256:
            folder.touch(folder.place_of_value(sha256), os.fstat(file.fileno()))
            return data
    _discard(folder, sha256)
    return None


def _open_file(folder: CacheFolder, sha256: str, size: int | None) -> BinaryIO | None:
    file = _file_of(folder, sha256, size)
    if file is None:
        return None
    with contextlib.ExitStack() as stack, _reading(folder):
        stack.enter_context(file)
        if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
            folder.touch(folder.place_of_value(sha256), os.fstat(file.fileno()))
            file.seek(0)
            stack.pop_all()
            return io.BufferedReader(_OwnFile(file), tuning.CACHE_PIECE_BYTES)
    _discard(folder, sha256)
    return None


def _file_of(folder: CacheFolder, sha256: str, size: int | None) -> io.FileIO | None:
    with _reading(folder), contextlib.ExitStack() as stack:
        file = stack.enter_context(folder.open(folder.place_of_value(sha256)))
        if size in (None, os.fstat(file.fileno()).st_size):
            stack.pop_all()
            return file
        # With the right digest, the size in the index is wrong.
        if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            _discard(folder, sha256)
    return None


def _takes(folder: CacheFolder, sha256: str, size: int) -> bool:
    if size > folder.max_bytes // _LARGEST_DIVISOR or folder.is_paused:
        return False
    return not os.path.exists(folder.place_of_value(sha256))


@contextlib.contextmanager
def _reading(folder: CacheFolder) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        pass
    except OSError as error:
        folder.note_error(error, "cannot be read")


def _discard(folder: CacheFolder, sha256: str) -> None:
    folder.note("held a value that was damaged, and is fetched again")
    with contextlib.suppress(OSError):
        folder.place_of_value(sha256).unlink()


class _Memory:
    def __init__(self, most_bytes: int) -> None:
        self._lock = threading.Lock()
        self._values: LRUCache[str, bytes] = LRUCache(most_bytes, getsizeof=len)

    def or_new(self) -> _Memory:
        # A child that was forked while a thread held the lock may have half a change.
        return _Memory(int(self._values.maxsize)) if is_held(self._lock) else self

    def find(self, sha256: str) -> bytes | None:
        with self._lock:
            return self._values.get(sha256)

    def hold(self, sha256: str, data: bytes) -> None:
        with self._lock:
            self._values[sha256] = data


class _Writer:
    """Writes a file of the folder, until an error of the disk; raises none of those."""

    def __init__(self, folder: CacheFolder, path: Path) -> None:
        from ...disk.atomic import atomic_file

        self._folder = folder
        self._path = path
        self._file: BinaryIO | None = None
        self._atomic = atomic_file(path, sync=False, mode=0o600)

    def __enter__(self) -> Self:
        with self._folder.writing():
            self._folder.make(self._path.parent)
            self._file = self._atomic.__enter__()
        return self

    def write(self, piece: bytes) -> None:
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


class _OwnFile(io.RawIOBase):
    # For the process that opened it: a forked child would move the parent's position.  Not a
    # subclass of FileIO, which warns if it is collected before it is closed.

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._pid = os.getpid()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._check_process()
        return self._file.readinto(buffer)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._check_process()
        return self._file.seek(offset, whence)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise NotConnectedError(
                "this stream was opened before the process was forked: open another one here"
            )
