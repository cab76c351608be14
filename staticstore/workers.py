"""Worker threads that do not keep the interpreter from ending."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from . import tuning
from .processes import PerProcess

__all__ = ["WorkerCall", "Workers"]

T = TypeVar("T")


class Workers:
    """A pool of daemon threads that make calls.

    Not `concurrent.futures.ThreadPoolExecutor`: at its end the interpreter
    waits for those threads, and so for a silent host.  As a context manager it
    waits for the submitted calls, unless the block raises.  Any thread may
    submit, in forked children too.

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
        # A forked child has none of the threads, and perhaps a lock that is held forever.
        self._pools = PerProcess(_Pool)

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Queue a call, and return its future, which is a `WorkerCall`; raises as `queue`."""
        future = WorkerCall(call)
        self.queue(future)
        return future

    def queue(self, call: WorkerCall[Any]) -> None:
        """Queue a call that was made before.

        Raises
        ------
        RuntimeError
            There is no thread, and none can be started.
        """
        pool = self._pools.get()
        pool.calls.put(call)
        with pool.lock:
            # Even if a thread is idle: whether one is, would have to be counted.
            if len(pool.threads) < self._most and not pool.start(self._name):
                call.cancel()
                raise RuntimeError(f"no thread can be started for {self._name}")

    def close(self) -> None:
        """Cancel the calls not yet begun; those under way go on."""
        pool = self._pools.get()
        with contextlib.suppress(queue.Empty):
            while waiting := pool.calls.get_nowait():  # None is of an earlier `close`
                waiting.cancel()
        pool.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait for all submitted calls; after an error cancel them."""
        if kind is not None:
            self.close()
            return
        pool = self._pools.get()
        pool.end()
        for thread in pool.threads:
            thread.join()


class _Pool:
    def __init__(self) -> None:
        # None ends the thread that takes it.
        self.calls: queue.SimpleQueue[WorkerCall[Any] | None] = queue.SimpleQueue()
        self.threads: list[threading.Thread] = []
        # Reentrant: a finalizer that the garbage collector runs in here may submit a call.
        self.lock = threading.RLock()

    def start(self, name: str) -> bool:
        """Start another thread; return whether there is any, called with the lock."""
        thread = threading.Thread(target=self.work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # too many, or the interpreter ends
            return bool(self.threads)
        self.threads.append(thread)
        return True

    def work(self) -> None:
        while (call := self.calls.get()) is not None:
            call.run()
            del call  # a waiting thread must not keep a result alive

    def end(self) -> None:
        for _ in self.threads:
            self.calls.put(None)


class WorkerCall(Future[T]):
    """A call, and the future of its result.

    A child that is forked meanwhile has no thread for the call: the thread there that asks
    for the result makes it.

    Parameters
    ----------
    call : callable
        Called without arguments.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call
        self._pid = os.getpid()

    @property
    def _is_inherited(self) -> bool:
        # In a forked child a lock of the future may be held for good.
        return self._pid != os.getpid()

    def run(self) -> None:
        """Make the call, unless it is canceled; for one thread."""
        if not self.set_running_or_notify_cancel():
            return
        try:
            self.set_result(self._call())
        except BaseException as error:
            self.set_exception(error)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result, and return or raise it; Ctrl-C ends the wait."""
        if self._is_inherited:
            return self._call()
        while timeout is None and not self.done():
            # A signal that arrives just before a wait begins does not end that wait: Python
            # handles it only afterwards.
            with contextlib.suppress(TimeoutError):
                return super().result(tuning.SIGNAL_SECONDS)
        return super().result(timeout)

    def add_done_callback(self, callback: Callable[[Future[T]], object]) -> None:
        """Have a function called once there is a result."""
        # In a forked child the call never ends.
        if not self._is_inherited:
            super().add_done_callback(callback)
