"""The files that a file system of fsspec opens, which fetch just what is read."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from fsspec.asyn import AbstractAsyncStreamedFile
from fsspec.spec import AbstractBufferedFile

from ... import tuning
from ...transport.values.verifier import OrderedVerifier

if TYPE_CHECKING:
    from ...client.value import URLValue
    from ..snapshot_reading import SnapshotReading

__all__ = ["AwaitedFile", "UncachedFile"]


class UncachedFile(AbstractBufferedFile):  # type: ignore[misc]
    """A value read by blocking calls, with a cache of its own (`blockcache`).

    Parameters
    ----------
    fs : StaticStoreFileSystem
        The file system.
    value : URLValue
        The value.
    block_size : int or None
        Bytes of a block, for such a cache.
    """

    def __init__(self, fs: Any, value: URLValue, block_size: int | None) -> None:
        self._value = value
        super().__init__(fs, value.key, "rb", block_size, cache_type="none", size=value.size)

    def _fetch_range(self, start: int, end: int) -> bytes:
        [part] = self._value.get_ranges([(start, end)])
        return part


class AwaitedFile(AbstractAsyncStreamedFile):  # type: ignore[misc]
    """A value that is read by awaiting ``read``, for one task at a time.

    As of a file of `URLValue.open`, bytes that are read in order are verified: with a wrong
    digest, the read that reaches the end raises `IntegrityError`.  A read that is canceled
    ends at once, and leaves the position as it was.

    Parameters
    ----------
    fs : StaticStoreFileSystem
        The file system.
    site : SnapshotReading
        Reads the value, whatever polls bring meanwhile.
    value : URLValue
        The value.
    size : int
        Its bytes.
    """

    def __init__(self, fs: Any, site: SnapshotReading, value: URLValue, size: int) -> None:
        self._site = site
        self._order = OrderedVerifier(value.remote_value.verifier())
        # A canceled read may still be hashing.
        self._hashing = threading.Lock()
        super().__init__(fs, value.key, "rb", cache_type="none", size=size)

    async def _fetch_range(self, start: int, end: int) -> bytes:
        data = await self._site.get_range_async(self.path, start, end)
        verify = partial(self._verify, start, data)
        if len(data) > tuning.TAKEN_AT_ONCE_BYTES:
            await self._site.called(verify)
        else:
            verify()
        return data

    def _verify(self, start: int, data: bytes) -> None:
        if len(data) == self.size:  # read at once, and so verified
            return
        with self._hashing:
            self._order.take(start, data)
            if self._order.position == self.size == start + len(data):
                self._order.finish()

    async def close(self) -> None:
        """Close the file; idempotent."""
        self._order.close()
        await super().close()

    def __del__(self) -> None:
        """End the hashing; that of fsspec would call `close`, which nobody awaits here."""
        self._order.close()
