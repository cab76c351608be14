"""Blocking calls in daemon threads, awaited on any event loop of asyncio."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, TypeVar

from ...errors import NotConnectedError
from ...loop_calls import LoopReplies
from ...workers import Workers

__all__ = ["AsyncCalls", "call_in_thread"]

T = TypeVar("T")


class AsyncCalls:
    """Makes blocking calls in daemon threads for the coroutines of any number of loops.

    Not `asyncio.to_thread`: at its end `asyncio.run` waits for those threads, and so for a
    silent host.  A coroutine that is canceled does not wait for its thread either.

    Parameters
    ----------
    most : int
        Threads, at most.
    """

    def __init__(self, most: int) -> None:
        self._workers = Workers(most, "staticstore async")
        self._lock = threading.Lock()
        self._replies: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopReplies]
        self._replies = weakref.WeakKeyDictionary()

    @classmethod
    def of(cls, owner: object, most: int) -> AsyncCalls:
        """Return calls that are given up when `owner` is garbage."""
        calls = cls(most)
        weakref.finalize(owner, calls.close).atexit = False
        return calls

    def replies(self, loop: asyncio.AbstractEventLoop) -> LoopReplies:
        """Return what makes calls in the thread of a loop."""
        with self._lock:
            if (known := self._replies.get(loop)) is None:
                known = self._replies[loop] = LoopReplies(loop)
            return known

    async def make(self, call: Callable[[], T]) -> T:
        """Make a call in a thread, and return or raise what it does."""
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[T] = loop.create_future()
        replies = self.replies(loop)
        made = self._workers.submit(call)
        made.add_done_callback(lambda made: replies.put(partial(_resolve, awaited, made)))
        try:
            return await awaited
        except asyncio.CancelledError:
            made.cancel()
            raise

    def close(self) -> None:
        """Give up the calls that have not begun."""
        self._workers.close()


def _resolve(awaited: asyncio.Future[Any], made: Future[Any]) -> None:
    if awaited.done():  # canceled
        return
    try:
        error = made.exception()
    except CancelledError:
        error = NotConnectedError("the store was disconnected")
    if error is None:
        awaited.set_result(made.result())
    else:
        awaited.set_exception(error)


async def call_in_thread(call: Callable[[], T]) -> T:
    """Make a blocking call in a daemon thread of its own, and await it.

    Parameters
    ----------
    call : callable
        Called without arguments.

    Returns
    -------
    object
        What the call returns.

    Raises
    ------
    Exception
        What the call raises.
    """
    made: Future[T] = Future()
    loop = asyncio.get_running_loop()
    awaited: asyncio.Future[T] = loop.create_future()
    replies = LoopReplies(loop)

    def run() -> None:
        try:
            made.set_result(call())
        except BaseException as error:
            made.set_exception(error)
        replies.put(partial(_resolve, awaited, made))

    threading.Thread(target=run, name="staticstore async", daemon=True).start()
    return await awaited
