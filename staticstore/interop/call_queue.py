"""A queue of calls that other threads have an event loop make."""

from __future__ import annotations

import inspect
import sys
import time
from collections import deque
from collections.abc import Callable

from .. import tuning

__all__ = ["Call", "CallQueue"]

Call = Callable[[], object]


class CallQueue:
    """Calls that any thread adds and one thread makes, in the order of addition.

    Examples
    --------
    >>> calls = CallQueue()
    >>> calls.put(lambda: print("first")), calls.put(lambda: print("second"))
    (True, False)
    >>> calls.make_some(sys.excepthook)
    first
    second
    """

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        self._is_scheduled = False

    def __len__(self) -> int:
        """Return the number of waiting calls."""
        return len(self._calls)

    def put(self, call: Call) -> bool:
        """Add a call; return whether the caller has to schedule `make_some`."""
        self._calls.append(call)
        if self._is_scheduled:
            return False
        self._is_scheduled = True
        return True

    def make_some(self, show: Callable[..., object]) -> None:
        """Make waiting calls, for 5 ms at most.

        It may leave calls, and a call may run the loop of a dialog: if more
        than one is waiting, schedule the next `make_some` before this one.

        Parameters
        ----------
        show : callable
            Takes what a call raises, as `sys.excepthook` does.
        """
        self._is_scheduled = False  # before the calls are taken, so that none is overlooked
        end = time.monotonic() + tuning.SLICE_SECONDS
        while self._calls:
            _make(self._calls.popleft(), show)
            if time.monotonic() >= end:
                break

    def clear(self) -> None:
        """Drop all waiting calls."""
        self._calls.clear()


def _make(call: Call, show: Callable[..., object]) -> None:
    try:
        result = call()
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("a coroutine function needs an event loop of asyncio: asyncio_dispatch")
    except Exception:
        show(*sys.exc_info())
