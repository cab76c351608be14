"""Values that need not be fetched: those in memory, and those on disk."""

from __future__ import annotations

import contextlib
import io
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from cachetools import LRUCache

from ..errors import StoreError
from ..processes import PerProcess, is_held

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from .cache import ValueCache

__all__ = ["KeptValues"]

_log = logging.getLogger("staticstore")


class KeptValues:
    """Verified values by their sha256: a look into memory, then one into the cache on disk.

    Either may be left out.  Any thread may use it; where a digest is None
    nothing is found and nothing kept.

    Parameters
    ----------
    memory : int
        Bytes of values that are held in memory, the least recently used
        dropped beyond; 0 for none.
    disk : ValueCache, optional
        The cache on disk.
    """

    def __init__(self, memory: int, disk: ValueCache | None = None) -> None:
        self.disk = disk
        self._problem: str | None = None
        self._most_bytes = memory
        self._memories = PerProcess(partial(_Memory, memory), after_fork=_Memory.or_new)

    @classmethod
    def of(
        cls, memory: int, cache: bool | str | os.PathLike[str] | None, max_cache_bytes: int
    ) -> KeptValues:
        """Return what the arguments of a store mean; without a disk if the user has no folder.

        Raises
        ------
        TypeError, ValueError
            An argument is not what it should be.
        """
        if cache is None or cache is False:
            return cls(memory)
        from .cache import ValueCache
        from .cache_folder import CacheFolder

        try:
            return cls(memory, ValueCache(CacheFolder.of(cache, max_cache_bytes)))
        except StoreError as error:
            kept = cls(memory)
            kept._problem = f"nothing is cached: {error}"
            _log.warning("%s", kept._problem)
            return kept

    @property
    def problem(self) -> str | None:
        """Why nothing can be kept on disk at the moment; None if all is well."""
        return self._problem if self.disk is None else self.disk.folder.problem

    def __bool__(self) -> bool:
        """Tell whether anything can be kept."""
        return self.disk is not None or self._most_bytes > 0

    def read(self, sha256: str | None, size: int | None) -> bytes | None:
        """Return a value that is here."""
        if sha256 is None:
            return None
        data = self._memories.get().find(sha256)
        if data is None and self.disk is not None:
            data = self.disk.read(sha256, size)
            if data is not None:
                self._hold(sha256, data)
        return data

    def open(self, sha256: str | None, size: int | None) -> BinaryIO | None:
        """Open a value that is here; all of it has been verified."""
        data = None if sha256 is None else self._memories.get().find(sha256)
        if data is not None:
            return io.BytesIO(data)
        return None if self.disk is None else self.disk.open(sha256, size)

    def put(self, sha256: str | None, data: bytes) -> None:
        """Keep a value, which is verified."""
        if sha256 is not None:
            self._hold(sha256, data)
        if self.disk is not None:
            self.disk.put(sha256, data)

    def put_file(self, sha256: str | None, path: Path) -> None:
        """Keep a copy of a file on disk, which holds a value and is verified."""
        if self.disk is not None:
            self.disk.put_file(sha256, path)

    def writing(
        self, sha256: str | None, size: int | None
    ) -> AbstractContextManager[Callable[[bytes], object]]:
        """Keep a value that comes in pieces on disk: `ValueCache.writing`."""
        return _nowhere() if self.disk is None else self.disk.writing(sha256, size)

    def _hold(self, sha256: str, data: bytes) -> None:
        if len(data) <= self._most_bytes:
            self._memories.get().hold(sha256, data)


class _Memory:
    """Values in memory, under a lock."""

    def __init__(self, most_bytes: int) -> None:
        self._lock = threading.Lock()
        self._values: LRUCache[str, bytes] = LRUCache(most_bytes, getsizeof=len)

    def or_new(self) -> _Memory:
        """Return this, or an empty one in a child forked while a thread was changing it."""
        return _Memory(int(self._values.maxsize)) if is_held(self._lock) else self

    def find(self, sha256: str) -> bytes | None:
        """Return a value that is here."""
        with self._lock:
            return self._values.get(sha256)

    def hold(self, sha256: str, data: bytes) -> None:
        """Add a value."""
        with self._lock:
            self._values[sha256] = data


@contextlib.contextmanager
def _nowhere() -> Iterator[Callable[[bytes], object]]:
    yield lambda piece: None
