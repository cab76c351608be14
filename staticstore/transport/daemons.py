"""Threads for requests, none of which keeps the interpreter from ending."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from ..processes import PerProcess

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
        self._crews = PerProcess(_Crew)

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Let a call be made, in the order of submission; any thread may submit.

        A child that is forked meanwhile has no thread that makes the call: it is
        made there by whoever asks for its result.
        """
        future = _Call(call)
        crew = self._crews.get()
        crew.calls.put(future)
        with crew.lock:
            if len(crew.threads) < self._most:
                thread = threading.Thread(target=crew.work, name=self._name, daemon=True)
                crew.threads.append(thread)
                thread.start()
        return future

    def close(self) -> None:
        """Make no more calls; those that are being made go on."""
        crew = self._crews.get()
        with contextlib.suppress(queue.Empty):
            while waiting := crew.calls.get_nowait():
                waiting.cancel()
        for _ in crew.threads:
            crew.calls.put(None)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for all calls that were submitted; not after an error."""
        if kind is not None:
            self.close()
            return
        crew = self._crews.get()
        for _ in crew.threads:
            crew.calls.put(None)
        for thread in crew.threads:
            thread.join()


class _Crew:
    """The threads of one process, and the calls that wait for them."""

    def __init__(self) -> None:
        self.calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()

    def work(self) -> None:
        """Make calls until there are no more to come."""
        while (call := self.calls.get()) is not None:
            call.run()
            del call  # a thread that waits must not keep a result alive


class _Call(Future[T]):
    """A call, and what comes of it."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call
        self._pid = os.getpid()

    @property
    def _is_inherited(self) -> bool:
        """Whether this is a forked child, where a lock of the future may be held for good."""
        return self._pid != os.getpid()

    def run(self) -> None:
        """Make the call, unless it was canceled."""
        if not self.set_running_or_notify_cancel():
            return
        try:
            self.set_result(self._call())
        except BaseException as error:
            self.set_exception(error)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result; in a forked child make the call."""
        return self._call() if self._is_inherited else super().result(timeout)

    def add_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """Call back at the end, which never comes in a forked child."""
        if not self._is_inherited:
            super().add_done_callback(callback)
