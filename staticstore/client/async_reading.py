"""Reading within an event loop of asyncio."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..index.fields import check_keys

if TYPE_CHECKING:
    import os

    from ..transport.values.stream import ReadProgress
    from .site_snapshot import Values
    from .tasks.calls import AsyncCalls
    from .tasks.turns import AwaitedReads
    from .value import URLValue
    from .view_values import ViewValues

__all__ = ["AsyncReading"]

T = TypeVar("T")

_MISSING: Any = object()


class AsyncReading:
    """The reading half of `StaticStore`, to be awaited on any event loop of asyncio.

    What is awaited never blocks the loop, and does the same as its blocking twin: its
    parameters, results and errors are those, unless it says something else.  A read that is
    canceled ends at once.
    """

    @abstractmethod
    def get(self, key: str, default: Any = ...) -> Any:
        """Return a value; see `StaticStore.get`."""

    @abstractmethod
    def _values(self) -> Values | ViewValues:
        """Return the values of the current snapshot, or raise `NotConnectedError`."""

    @abstractmethod
    def _is_in_memory(self) -> bool:
        """Whether looking a key up requests nothing."""

    @property
    def _calls(self) -> AsyncCalls:
        # Of two threads that get here at once, both use what the first has set.
        known: AsyncCalls | None = self.__dict__.get("_async_calls")
        if known is None:
            from .tasks.calls import AsyncCalls  # slow to import: asyncio

            known = self.__dict__.setdefault("_async_calls", AsyncCalls(self))
        return known

    @property
    def _awaited(self) -> AwaitedReads:
        known: AwaitedReads | None = self.__dict__.get("_awaited_reads")
        if known is None:
            from .tasks.part_reads import PartReads  # slow to import: asyncio
            from .tasks.turns import AwaitedReads
            from .tasks.whole_reads import WholeReads

            made = AwaitedReads.of(
                self._calls,
                self._values,
                self._is_in_memory,
                whole_reads=WholeReads,
                part_reads=partial(PartReads, whole_reads=WholeReads),
            )
            known = self.__dict__.setdefault("_awaited_reads", made)
        return known

    async def _values_async(self) -> Values | ViewValues:
        return self._values() if self._is_in_memory() else await self._called(self._values)

    async def _called(self, call: Callable[[], T]) -> T:
        return await self._calls.make(call)

    # -- values ------------------------------------------------------------------

    async def get_async(self, key: str, default: Any = _MISSING) -> Any:
        """Return a value of the current snapshot: `get`, awaited.

        Examples
        --------
        >>> import asyncio
        >>> asyncio.run(sample_store.get_async("terrain/dem.tif")).size
        96510
        """
        get = self.get if default is _MISSING else partial(self.get, default=default)
        return get(key) if self._is_in_memory() else await self._called(partial(get, key))

    async def read_async(self, key: str) -> bytes:
        """Read a whole value, verified: `to_bytes`, awaited.

        Values that are awaited at the same time are fetched together, as by `read_many`.

        Parameters
        ----------
        key : str
            The key.

        Returns
        -------
        bytes
            Exactly the bytes that the index describes.

        Raises
        ------
        KeyError
            The index lacks the key.
        TransportError, IntegrityError
            The bytes could not be fetched, or differ from the index.
        NotConnectedError
            The store is not connected, or was disconnected meanwhile.

        Examples
        --------
        >>> import asyncio
        >>> async def sizes(*keys):
        ...     return list(map(len, await asyncio.gather(*map(sample_store.read_async, keys))))
        >>> asyncio.run(sizes("stations/stations.csv", "terrain/dem.tif"))
        [438, 96510]
        """
        data: bytes = await self._awaited.whole.ask(key).result()
        return data

    async def head_async(self, key: str) -> URLValue:
        """Ask the host for the header fields of a value, and return the value with them.

        Parameters
        ----------
        key : str
            The key.

        Returns
        -------
        URLValue
            Its `size`, `modified`, `media_type` and `etag` are known, from the index or from
            the host: none of them makes a request any more.

        Raises
        ------
        KeyError
            The index lacks the key.
        TransportError
            The host did not answer, or refused.

        Examples
        --------
        >>> import asyncio
        >>> asyncio.run(sample_store.head_async("terrain/dem.tif")).media_type
        'image/tiff'
        """
        value: URLValue = await self.get_async(key)
        await self._calls.read(lambda: (value.etag, value.size, value.modified, value.media_type))
        return value

    # -- parts -------------------------------------------------------------------

    async def get_range_async(
        self, key: str, start: int | None = None, end: int | None = None
    ) -> bytes:
        r"""Read part of a value: the bytes ``value[start:end]``.

        Parts that are awaited at the same time are fetched together, as by `get_ranges`.

        Parameters
        ----------
        key : str
            The key.
        start, end : int, optional
            As in a slice: negative ones count from the end.

        Returns
        -------
        bytes
            The bytes; if there are none, no request is made.

        Raises
        ------
        KeyError, TransportError, IntegrityError
            As of `read_async`.

        Examples
        --------
        >>> import asyncio
        >>> asyncio.run(sample_store.get_range_async("terrain/dem.tif", 0, 4))
        b'II*\x00'
        """
        part: bytes = await self._awaited.ask_part(key, start, end).result()
        return part

    async def get_ranges_async(
        self,
        key: str,
        ranges: Iterable[tuple[int | None, int | None]],
        *,
        max_gap: int = 1 << 12,
        max_size: int = 1 << 23,
    ) -> list[bytes]:
        r"""Read many parts of a value: `get_ranges`, awaited.

        Examples
        --------
        >>> import asyncio
        >>> asyncio.run(sample_store.get_ranges_async("terrain/dem.tif", [(0, 2), (2, 4)]))
        [b'II', b'*\x00']
        """
        from ..transport.values.ranges import WantedParts, checked_ranges

        wanted = WantedParts.of(checked_ranges(ranges), max_gap, max_size)
        parts: list[bytes] = await self._awaited.parts.ask(key, wanted).result()
        return parts

    async def get_ranges_many_async(
        self,
        ranges: Iterable[tuple[str, int | None, int | None]],
        *,
        max_gap: int = 1 << 12,
        max_size: int = 1 << 23,
    ) -> list[bytes]:
        r"""Read many parts of many values, all of one snapshot: `get_ranges_many`, awaited.

        Examples
        --------
        >>> import asyncio
        >>> wanted = [("terrain/dem.tif", 0, 4), ("stations/stations.csv", -1, None)]
        >>> asyncio.run(sample_store.get_ranges_many_async(wanted))
        [b'II*\x00', b'\n']
        """
        from ..transport.values.ranges import WantedParts, checked_ranges_many
        from .tasks.turns import results

        wanted = [
            (key, WantedParts.of([bounds], max_gap, max_size, is_single=True))
            for key, bounds in checked_ranges_many(ranges)
        ]
        return await results([self._awaited.parts.ask(*one) for one in wanted])

    # -- many values, and files --------------------------------------------------

    def read_many_async(
        self, keys: Iterable[str] | AsyncIterable[str]
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Read many whole values, verified: `read_many`, awaited.

        Parameters
        ----------
        keys : iterable or asynchronous iterable of str
            Consumed as needed, ahead of what is returned.

        Returns
        -------
        asynchronous iterator of (str, bytes)
            Keys and values in the order asked, all of one snapshot: that of the first step.

        Examples
        --------
        >>> import asyncio
        >>> async def main():
        ...     async for key, data in sample_store.read_many_async(["stations/stations.csv"]):
        ...         print(key, len(data))
        >>> asyncio.run(main())
        stations/stations.csv 438
        """
        from .tasks.in_order import read_in_order

        return read_in_order(self._awaited, self._values_async, check_keys(keys))

    async def to_file_async(
        self,
        key: str,
        path: str | os.PathLike[str],
        progress: ReadProgress | None = None,
        *,
        sync: bool = True,
    ) -> None:
        """Copy a value into a file, verified and atomic: `URLValue.to_file`, awaited.

        If it is canceled, the copy ends at once, and can be resumed.

        Parameters
        ----------
        key : str
            The key.
        path, progress, sync
            As of `URLValue.to_file`; the event loop calls `progress`.

        Examples
        --------
        >>> import asyncio
        >>> asyncio.run(sample_store.to_file_async("terrain/dem.tif", sample_site / "dem.tif"))
        >>> (sample_site / "dem.tif").stat().st_size
        96510
        """
        from .tasks.file_copy import copy_to_file

        await copy_to_file(self._calls, await self.get_async(key), path, progress, sync=sync)
