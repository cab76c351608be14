"""Many whole values in the order asked, for an event loop of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING

from ... import tuning

if TYPE_CHECKING:
    from ..site_snapshot import Values
    from ..view_values import ViewValues
    from .calls import AsyncCalls
    from .turns import AskedRead, AwaitedReads

__all__ = ["read_in_order"]

_Begun = tuple[str, int, "AskedRead"]


async def read_in_order(
    awaited: AwaitedReads,
    values: Callable[[], Awaitable[Values | ViewValues]],
    keys: Iterable[str] | AsyncIterable[str],
) -> AsyncIterator[tuple[str, bytes]]:
    """Yield keys and values, which are read ahead; see `StaticStore.read_many_async`.

    Parameters
    ----------
    awaited : AwaitedReads
        The reads of the store.
    values : callable
        Returns the values of the current snapshot.
    keys : iterable or asynchronous iterable of str
        The keys.
    """
    snapshot = await values()
    begun: asyncio.Queue[_Begun | BaseException | None] = asyncio.Queue()
    room = _Room()

    async def begin() -> None:
        try:
            async for some in _bunches(keys):
                for key, size in await _sizes(awaited.calls, snapshot, some):
                    await room.take(size)
                    begun.put_nowait((key, size, awaited.whole.ask(key, values=snapshot)))
        except BaseException as error:  # of the keys: raised after the values before it
            begun.put_nowait(error)
        else:
            begun.put_nowait(None)

    beginning = asyncio.create_task(begin())
    try:
        while (following := await begun.get()) is not None:
            if isinstance(following, BaseException):
                raise following
            key, size, asked = following
            data: bytes = await asked.result()
            room.free(size)
            yield key, data
    finally:
        beginning.cancel()
        while not begun.empty():
            left = begun.get_nowait()
            if isinstance(left, tuple):
                left[2].give_up()


async def _bunches(keys: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[list[str]]:
    if isinstance(keys, AsyncIterable):
        async for key in keys:
            yield [key]
    else:
        in_order = iter(keys)
        while some := list(islice(in_order, tuning.WINDOW_KEYS)):
            yield some


async def _sizes(
    calls: AsyncCalls, values: Values | ViewValues, keys: list[str]
) -> list[tuple[str, int]]:
    if values.is_in_memory:
        contents = values.index.contents_of(keys)
    else:
        contents = await calls.make(lambda: values.index.contents_of(keys))
    found = []
    for key in keys:
        content = contents.get(key)
        # A value of unknown size counts as a large one.
        size = tuning.LARGE_VALUE_BYTES if content is None else content.size
        found.append((key, tuning.LARGE_VALUE_BYTES if size is None else size))
    return found


class _Room:
    # Bounds the bytes, and the number, of values that are read ahead.

    def __init__(self) -> None:
        self._bytes = self._values = 0
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        most, most_values = tuning.LARGE_AHEAD_BYTES, tuning.WINDOW_KEYS
        if self._values and (self._bytes + size > most or self._values >= most_values):
            # Once it is full, wait for half of it: what is requested together is cheaper.
            while self._bytes > most // 2 or self._values > most_values // 2:
                self._freed.clear()
                await self._freed.wait()
        self._bytes += size
        self._values += 1

    def free(self, size: int) -> None:
        self._bytes -= size
        self._values -= 1
        self._freed.set()
