"""Copying a value into a file while an event loop of asyncio goes on."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING

from ... import tuning
from ...errors import StoreError
from ...loop_calls import is_coroutine_function

if TYPE_CHECKING:
    import os

    from ...transport.values.stream import ReadProgress
    from ..value import URLValue
    from .calls import AsyncCalls

__all__ = ["copy_to_file"]


async def copy_to_file(
    calls: AsyncCalls,
    value: URLValue,
    path: str | os.PathLike[str],
    progress: ReadProgress | None,
    *,
    sync: bool,
) -> None:
    """Copy a value into a file; see `StaticStore.to_file_async`.

    Parameters
    ----------
    calls : AsyncCalls
        Makes the call that copies.
    value : URLValue
        The value.
    path, progress, sync
        As of `StaticStore.to_file_async`.
    """
    if progress is not None and is_coroutine_function(progress):
        raise TypeError("progress is a plain function: the event loop calls it, and awaits nothing")
    reporter = _Reporter(asyncio.get_running_loop(), progress)
    try:
        await calls.read(partial(value.to_file, path, reporter, sync=sync))
    finally:
        reporter.is_canceled.set()


class _Reporter:
    # Called by the thread that copies: what it raises ends the copy.

    def __init__(self, loop: asyncio.AbstractEventLoop, progress: ReadProgress | None) -> None:
        self.is_canceled = threading.Event()
        self._loop = loop
        self._progress = progress

    def __call__(self, done: int, total: int | None) -> None:
        self._check()
        if self._progress is None:
            return
        # The thread waits for the loop, so that an exception ends the copy before the file
        # has its name.
        reported: Future[object] = Future()
        self._loop.call_soon_threadsafe(_report, reported, partial(self._progress, done, total))
        while True:
            try:
                reported.result(tuning.CUT_CHECK_SECONDS)
            except TimeoutError:
                if reported.done():  # raised by the user
                    raise
                self._check()
            else:
                return

    def _check(self) -> None:
        if self.is_canceled.is_set() or self._loop.is_closed():
            raise StoreError("the copy was canceled")


def _report(reported: Future[object], progress: partial[object]) -> None:
    try:
        reported.set_result(progress())
    except Exception as error:
        reported.set_exception(error)
