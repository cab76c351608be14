"""Calls that other threads have an event loop of asyncio make, many at once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial

from ...transport.many.carrier import after_answers

__all__ = ["LoopReplies"]

Call = Callable[[], object]


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
        self._waiting: deque[Call] = deque()
        # Reentrant: the garbage collector may run a finalizer in here, which cancels a call.
        self._lock = threading.RLock()
        self._is_scheduled = False

    def put(self, reply: Call) -> None:
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
