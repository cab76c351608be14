"""Blocking reads for coroutines, each canceled with the last that awaits it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from ...transport.http.cancellation import Cancellation
from ...workers import Workers

__all__ = ["CarefulCalls"]


class CarefulCalls:
    """Makes calls that read from a host in threads; each is for some numbers.

    A call that nobody needs any more is not begun, or its connection is cut: it does not
    keep a thread that others wait for.  Any thread may use it.

    Parameters
    ----------
    workers : Workers
        The threads.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._lock = threading.RLock()  # the garbage collector may close a generator anywhere
        self._calls: dict[int, _CarefulCall] = {}
        self._canceled: set[int] = set()

    def submit(self, numbers: Iterable[int], call: Callable[[], object]) -> None:
        """Queue a call, which must not raise, for the numbers that are not canceled."""
        one = _CarefulCall(call)
        with self._lock:
            one.numbers = set(numbers) - self._canceled
            self._calls.update(dict.fromkeys(one.numbers, one))
        if one.numbers:
            self._workers.submit(lambda: self._make(one))

    def cancel(self, number: int) -> None:
        """Cancel the call that is for no other number, also one that is submitted later."""
        with self._lock:
            self._canceled.add(number)
            if (one := self._calls.pop(number, None)) is None:
                return
            one.numbers.discard(number)
            is_needed = bool(one.numbers)
        if not is_needed:
            one.cancellation.cancel()

    def _make(self, one: _CarefulCall) -> None:
        if not one.cancellation.event.is_set():
            one.cancellation.run(one.call)
        with self._lock:
            for number in one.numbers:
                self._calls.pop(number, None)


class _CarefulCall:
    __slots__ = ("call", "cancellation", "numbers")

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call
        self.cancellation = Cancellation()
        self.numbers: set[int] = set()
