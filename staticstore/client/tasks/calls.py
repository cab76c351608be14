"""Blocking calls in daemon threads, awaited on any event loop of asyncio, and its replies."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TypeVar

from ... import tuning
from ...errors import NotConnectedError
from ...processes import PerProcess
from ...transport.http.cancellation import Cancellation
from ...transport.many.carrier import after_answers
from ...workers import Workers

__all__ = ["AsyncCalls", "LoopReplies", "call_in_thread", "resolve"]

T = TypeVar("T")


class LoopReplies:
    """Makes calls in the thread of a loop, many at each wake-up of it.

    To wake a loop costs a system call, so what comes meanwhile goes with it
    (benchmark: async).
    Any thread may use it.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop; not kept alive.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._waiting: deque[Callable[[], object]] = deque()
        # Reentrant: the garbage collector may run a finalizer in here, which cancels a call.
        self._lock = threading.RLock()
        self._is_scheduled = False

    def put(self, reply: Callable[[], object]) -> None:
        """Have the loop make a call, which must not raise; a closed loop makes none."""
        loop = self._loop()
        with self._lock:
            if loop is None or loop.is_closed():
                self._waiting.clear()
                return
            self._waiting.append(reply)
            if self._is_scheduled:
                return
            self._is_scheduled = True
        after_answers(partial(self._wake, loop))

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError):  # it was closed just now, and nobody waits
            loop.call_soon_threadsafe(self._make_all)

    def _make_all(self) -> None:
        with self._lock:
            self._is_scheduled = False  # first, or what comes in here would wait for nothing
            replies, self._waiting = self._waiting, deque()
        for reply in replies:
            reply()


class AsyncCalls:
    """Makes calls in daemon threads for the coroutines of any number of loops.

    Not `asyncio.to_thread`: at its end `asyncio.run` waits for those threads, and so for a
    silent host.  A coroutine that is canceled does not wait for its thread either.

    Parameters
    ----------
    owner : object
        When it is garbage, the calls that have not begun are given up.
    """

    def __init__(self, owner: object) -> None:
        #: For calls that wait for a host.
        self.patient = Workers(tuning.CAREFUL_THREADS, "staticstore async")
        #: For calls that compute.
        self.quick = Workers(tuning.VERIFY_THREADS, "staticstore verify")
        self._loops: PerProcess[_Loops] = PerProcess(_Loops)
        for workers in (self.patient, self.quick):
            weakref.finalize(owner, workers.close).atexit = False

    def replies(self, loop: asyncio.AbstractEventLoop) -> LoopReplies:
        """Return what makes calls in the thread of a loop."""
        return self._loops.get().replies(loop)

    async def make(self, call: Callable[[], T]) -> T:
        """Make a call that may wait for a host, and return or raise what it does.

        If this is canceled, a call that has begun goes on: others may wait for it.
        """
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[T] = loop.create_future()
        replies = self.replies(loop)
        made = self.patient.submit(call)
        made.add_done_callback(lambda made: replies.put(partial(_take, awaited, made)))
        try:
            return await awaited
        except asyncio.CancelledError:
            made.cancel()
            raise

    async def read(self, call: Callable[[], T]) -> T:
        """Make a call as `make`; if this is canceled, its requests are cut."""
        cancellation = Cancellation()
        try:
            return await self.make(partial(cancellation.run, call))
        except asyncio.CancelledError:
            cancellation.cancel()
            raise


class _Loops:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._replies: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopReplies]
        self._replies = weakref.WeakKeyDictionary()

    def replies(self, loop: asyncio.AbstractEventLoop) -> LoopReplies:
        with self._lock:
            if (known := self._replies.get(loop)) is None:
                known = self._replies[loop] = LoopReplies(loop)
            return known


def resolve(awaited: asyncio.Future[T], found: T | BaseException) -> None:
    """Resolve a future unless it is canceled; in the thread of its loop."""
    if awaited.done():
        return
    if isinstance(found, StopIteration):  # of the caller's own code; no future takes it
        awaited.set_exception(RuntimeError("a read raised StopIteration"))
    elif isinstance(found, BaseException):
        awaited.set_exception(found)
    else:
        awaited.set_result(found)


def _take(awaited: asyncio.Future[T], made: Future[T]) -> None:
    try:
        error = made.exception()
    except CancelledError:
        error = NotConnectedError("the store was disconnected")
    resolve(awaited, made.result() if error is None else error)


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
    loop = asyncio.get_running_loop()
    awaited: asyncio.Future[T] = loop.create_future()
    replies = LoopReplies(loop)

    def run() -> None:
        try:
            found: T | BaseException = call()
        except BaseException as error:
            found = error
        replies.put(partial(resolve, awaited, found))

    threading.Thread(target=run, name="staticstore async", daemon=True).start()
    return await awaited
