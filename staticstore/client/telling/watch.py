"""Iterating over the changes of a store as they come."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import NoReturn

from ...index.changes import Change
from .subscription import Subscription

__all__ = ["Watch"]


class Watch(Iterator[Change]):
    """Iterates over changes as they come; ends after a timeout, or at `disconnect`."""

    def __init__(
        self,
        timeout: float | None,
        subscribe: Callable[[Callable[[Change | None], object]], Subscription],
    ) -> None:
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ValueError(f"timeout is in seconds, 0 or more, not {timeout!r}")
        self._timeout = timeout
        self._queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._ended = False
        # Without a reference to the watch, so that it can be garbage.
        self._unsubscribe = weakref.finalize(self, subscribe(self._queue.put).close)

    def __reduce__(self) -> NoReturn:
        """Refuse: changes come to this process."""
        raise TypeError("a watch cannot be pickled or copied: watch in each process")

    def end(self) -> None:
        """End the iteration after the changes that have come already."""
        self._unsubscribe()
        self._queue.put(None)

    def __next__(self) -> Change:
        """Wait for the next change, and return it."""
        if not self._ended:
            try:
                change = self._queue.get(timeout=self._timeout)
            except queue.Empty:
                change = None
            if change is not None:
                return change
            self.end()
        self._ended = True
        raise StopIteration
