"""Calls that wait for the thread of a window."""

from __future__ import annotations

import inspect
import sys
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Call", "WaitingCalls"]

Call = Callable[[], object]
Show = Callable[..., object]

# Seconds for which calls are made in a row: less than half of a frame.
_SLICE = 0.005


class WaitingCalls:
    """Calls put by any thread, and made by one of them in their order.

    Examples
    --------
    >>> calls = WaitingCalls()
    >>> calls.put(lambda: print("first")), calls.put(lambda: print("second"))
    (True, False)
    >>> calls.make_some(sys.excepthook)
    first
    second
    """

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()
        # Whether somebody has been told to come and make them.
        self._is_awaited = False

    def __len__(self) -> int:
        """Count those that wait."""
        return len(self._calls)

    def put(self, call: Call) -> bool:
        """Let a call wait; tell whether somebody has to be told to `make_some`."""
        self._calls.append(call)
        if self._is_awaited:
            return False
        self._is_awaited = True
        return True

    def make_some(self, show: Show) -> None:
        """Make calls for some milliseconds.

        What is left then, or while one of them runs the loop of a dialog, is made by who calls
        this again: so that if more than one waits, that must be arranged before.

        Parameters
        ----------
        show : callable
            Gets what a call raises, as `sys.excepthook` does.
        """
        self._is_awaited = False  # before they are looked for, so that none is overlooked
        end = time.monotonic() + _SLICE
        while self._calls:
            _make(self._calls.popleft(), show)
            if time.monotonic() >= end:
                break

    def clear(self) -> None:
        """Forget what waits."""
        self._calls.clear()


def _make(call: Call, show: Show) -> None:
    try:
        result = call()
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("a coroutine function needs the loop of asyncio: asyncio_dispatch")
    except Exception:
        show(*sys.exc_info())
