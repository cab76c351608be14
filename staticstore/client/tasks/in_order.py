"""Many whole values in the order asked, for an event loop of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable

from ... import tuning

__all__ = ["read_in_order"]

_Read = asyncio.Task[bytes]


async def read_in_order(
    keys: Iterable[str] | AsyncIterable[str], read: Callable[[str], Awaitable[bytes]]
) -> AsyncIterator[tuple[str, bytes]]:
    """Yield keys and values, which are read ahead; see `StaticStore.read_many_async`.

    Parameters
    ----------
    keys : iterable or asynchronous iterable of str
        The keys.
    read : callable
        Reads the value of a key.
    """
    begun: asyncio.Queue[tuple[str, _Read] | BaseException | None] = asyncio.Queue()
    room = asyncio.Semaphore(tuning.AWAITED_AHEAD_VALUES)

    async def value_of(key: str) -> bytes:
        return await read(key)

    async def begin() -> None:
        try:
            async for key in _each(keys):
                await room.acquire()
                begun.put_nowait((key, asyncio.create_task(value_of(key))))
        except BaseException as error:  # of the keys: raised after the values before it
            begun.put_nowait(error)
        else:
            begun.put_nowait(None)

    beginning = asyncio.create_task(begin())
    value: _Read | None = None
    try:
        while (following := await begun.get()) is not None:
            if isinstance(following, BaseException):
                raise following
            key, value = following
            data = await value
            room.release()
            yield key, data
    finally:
        beginning.cancel()
        if value is not None:
            value.cancel()
        while not begun.empty():
            left = begun.get_nowait()
            if isinstance(left, tuple):
                left[1].cancel()


async def _each(keys: Iterable[str] | AsyncIterable[str]) -> AsyncIterator[str]:
    if isinstance(keys, AsyncIterable):
        async for key in keys:
            yield key
    else:
        for key in keys:
            yield key
