"""Threads for requests, none of which keeps the interpreter from ending."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

__all__ = ["Daemons"]

T = TypeVar("T")


class Daemons:
    """Makes calls in threads, as many at once as is said.

    Not `concurrent.futures.ThreadPoolExecutor`, whose threads the interpreter
    waits for at its end, and so for a host that says nothing.  As a context
    manager it waits for what was submitted, unless the block ends with an error.

    Parameters
    ----------
    most : int
        Threads, at most; each is started when there is a call for it.
    name : str
        Of the threads.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Let a call be made, in the order of submission; any thread may submit."""
        future: Future[T] = Future()
        self._calls.put((future, call))
        with self._lock:
            if len(self._threads) < self._most:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
        return future

    def _run(self) -> None:
        while (waiting := self._calls.get()) is not None:
            future, call = waiting
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
            del future, call, waiting  # lest a thread that waits keep a result alive

    def close(self) -> None:
        """Make no more calls; those that are being made go on."""
        with contextlib.suppress(queue.Empty):
            while waiting := self._calls.get_nowait():
                waiting[0].cancel()
        for _ in self._threads:
            self._calls.put(None)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for all calls that were submitted; not after an error."""
        if kind is not None:
            self.close()
            return
        for _ in self._threads:
            self._calls.put(None)
        for thread in self._threads:
            thread.join()
