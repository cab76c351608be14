"""Iterating over the changes of a store within an event loop of asyncio."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from ..telling.watch import OpenWatch, Subscribe
from .calls import LoopReplies

if TYPE_CHECKING:
    from ...index.changes import Change

__all__ = ["AsyncWatch", "watch_later"]


class AsyncWatch(OpenWatch, AsyncIterator["Change"]):
    """Iterates over changes in one loop; ends after a timeout, or at `disconnect`.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop that iterates.
    timeout, subscribe
        As of `OpenWatch`.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout: float | None, subscribe: Subscribe
    ) -> None:
        self._inbox = _Inbox(loop)
        super().__init__(timeout, subscribe, self._inbox.put)

    async def __anext__(self) -> Change:
        """Wait for the next change, and return it."""
        if not self._ended:
            change = await self._inbox.get(self._timeout)
            if change is not None:
                return change
            self.end()
        self._ended = True
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End the iteration, as that of an asynchronous generator."""
        self.close()


class _Inbox:
    # Changes that any thread puts here, and one loop takes.

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._changes: deque[Change | None] = deque()
        self._replies = LoopReplies(loop)
        self._waiter: asyncio.Future[None] | None = None

    def put(self, change: Change | None) -> None:
        self._changes.append(change)
        self._replies.put(self._wake)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def get(self, timeout: float | None) -> Change | None:
        while not self._changes:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._waiter
            except TimeoutError:
                return None
        return self._changes.popleft()


async def watch_later(begin: Callable[[], Awaitable[AsyncWatch]]) -> AsyncIterator[Change]:
    """Iterate over the changes of a watch that begins with the first step."""
    async for change in await begin():
        yield change
