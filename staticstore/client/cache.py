"""Values kept on disk by their sha256, and verified when they are read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from ..errors import NotConnectedError
from ..processes import PerProcess
from ..transport.atomic import atomic_file
from ..transport.regular import open_regular
from .cache_folder import CacheFolder, disk_use, last_used_now

__all__ = ["ValueCache"]

_PIECE = 1 << 20  # bytes
_IN_MEMORY = 1 << 20  # bytes; a value that is opened is held there up to this size
# A value larger than this part of the cache would drive out too many others.
_LARGEST_PART = 4
# What is freed beyond what must be: this part of all, so that the folder is seldom looked through.
_SPARE_PART = 16


class ValueCache:
    """Values by their sha256, the least recently used dropped beyond a bound.

    Any number of threads and processes may share the folder: a value takes its
    name when all of it is there, and one that is gone is a miss.

    Parameters
    ----------
    folder : CacheFolder
        Where; also an attribute.  A value of more than a quarter of what it may hold is not kept.
    """

    def __init__(self, folder: CacheFolder) -> None:
        self.folder = folder
        # What may be written before the folder is looked through again.  Threads may
        # get it wrong together, which costs a look more or less.
        self._room = 0
        self._evicting = PerProcess(threading.Lock)  # never waited for

    def read(self, sha256: str | None, size: int | None) -> bytes | None:
        """Return a value; None if it is not here, or not as it should be."""
        file = None if sha256 is None else self._opened(sha256, size)
        if sha256 is None or file is None:
            return None
        with file, self._reading():
            data = file.readall()
            if hashlib.sha256(data).hexdigest() == sha256:
                last_used_now(self.folder.place_of_value(sha256), os.fstat(file.fileno()))
                return data
        self._discard(sha256)
        return None

    def open(self, sha256: str | None, size: int | None) -> BinaryIO | None:
        """Open a value, all of which has been verified before; None as in `read`."""
        if size is not None and size <= _IN_MEMORY:  # read once, and no file that stays open
            data = self.read(sha256, size)
            return None if data is None else io.BytesIO(data)
        file = None if sha256 is None else self._opened(sha256, size)
        if sha256 is None or file is None:
            return None
        with contextlib.ExitStack() as stack, self._reading():
            stack.enter_context(file)
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                last_used_now(self.folder.place_of_value(sha256), os.fstat(file.fileno()))
                file.seek(0)
                stack.pop_all()
                return io.BufferedReader(_OwnFile(file), _PIECE)
        self._discard(sha256)
        return None

    def put(self, sha256: str | None, data: bytes) -> None:
        """Keep a value, which is verified."""
        with self.writing(sha256, len(data)) as write:
            write(data)

    def put_file(self, sha256: str | None, path: Path) -> None:
        """Keep a copy of a file that holds a value, which is verified; not of a device."""
        if path.is_symlink():  # it may lead to a file in which more stands
            return
        with (
            contextlib.suppress(OSError),
            open_regular(path) as file,
            self.writing(sha256, os.fstat(file.fileno()).st_size) as write,
        ):
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
        self._make_room(disk_use(size))
        with _Writing(self.folder, self.folder.place_of_value(sha256)) as writing:
            yield writing.write

    def _takes(self, sha256: str, size: int) -> bool:
        """Tell whether a value is to be written."""
        if size > self.folder.max_bytes // _LARGEST_PART or self.folder.rests:
            return False
        return not os.path.exists(self.folder.place_of_value(sha256))

    def _opened(self, sha256: str, size: int | None) -> io.FileIO | None:
        """Open the file of a value, if it has the right size."""
        with self._reading(), contextlib.ExitStack() as stack:
            file = stack.enter_context(self.folder.open(self.folder.place_of_value(sha256)))
            if size in (None, os.fstat(file.fileno()).st_size):
                stack.pop_all()
                return file
            if hashlib.file_digest(file, "sha256").hexdigest() != sha256:  # or the index is wrong
                self._discard(sha256)
        return None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            self.folder.note_error(error, "cannot be read")

    def _discard(self, sha256: str) -> None:
        self.folder.note("held a value that was damaged, and is fetched again")
        with contextlib.suppress(OSError):
            self.folder.place_of_value(sha256).unlink()

    def _make_room(self, size: int) -> None:
        self._room -= size
        evicting = self._evicting.get()
        if self._room >= 0 or not evicting.acquire(blocking=False):
            return
        try:
            most = self.folder.max_bytes
            spare = most // _SPARE_PART
            left = self.folder.evict(most - spare - size, spare=spare)
            self._room = most - left - size
        finally:
            evicting.release()


class _Writing:
    """A file that is being written to the cache, until something goes wrong with it."""

    def __init__(self, folder: CacheFolder, path: Path) -> None:
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


class _OwnFile(io.RawIOBase):
    """A file for the process that opened it: a forked child would move the parent's position."""

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


def _ignore(piece: bytes) -> None:
    pass
