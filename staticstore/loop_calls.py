"""Calls that other threads have an event loop of asyncio make and await, one by one."""

from __future__ import annotations

import inspect
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["LoopCalls", "calls_of_running_loop", "is_coroutine_function"]

Call = Callable[[], object]


class LoopCalls:
    """A dispatch: makes calls in the thread of a loop, one after the other.

    What a call returns is awaited before the next one is made.  What one raises is passed
    to the loop's exception handler.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[Call] = deque()
        # A task that lives as long as calls are waiting.
        self._task: asyncio.Task[None] | None = None

    @property
    def is_closed(self) -> bool:
        """Whether the loop is closed, so that it makes no call any more."""
        return self._loop.is_closed()

    def __call__(self, call: Call) -> None:
        """Have the loop make a call; raise RuntimeError if it is closed."""
        self._loop.call_soon_threadsafe(self._put, call)

    def _put(self, call: Call) -> None:
        self._calls.append(call)
        if self._task is None:
            self._task = self._loop.create_task(self._make_calls())

    async def _make_calls(self) -> None:
        import asyncio

        try:
            while self._calls:
                try:
                    result = self._calls.popleft()()
                    if inspect.isawaitable(result):
                        await result
                except Exception as error:
                    self._show(error)
                except asyncio.CancelledError as error:
                    # Either the loop ends, or something that the callback awaited was canceled.
                    if (task := asyncio.current_task()) is None or task.cancelling():
                        raise
                    self._show(error)
                await asyncio.sleep(0)  # others have their turn
        finally:
            self._task = None

    def _show(self, error: BaseException) -> None:
        text = "a delivery raised an exception; the next ones are made"
        self._loop.call_exception_handler({"message": text, "exception": error})


def is_coroutine_function(callback: Callable[..., Any]) -> bool:
    """Return whether a callback or callable object returns an awaitable."""
    if inspect.iscoroutinefunction(callback):
        return True
    return inspect.iscoroutinefunction(getattr(callback, "__call__", None))  # noqa: B004


def calls_of_running_loop() -> LoopCalls | None:
    """Return a dispatch for the event loop that runs in this thread, if one does."""
    asyncio = sys.modules.get("asyncio")  # a loop that runs has imported it
    if asyncio is None:
        return None
    try:
        return LoopCalls(asyncio.get_running_loop())
    except RuntimeError:
        return None
