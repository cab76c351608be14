"""Iterating over the changes of a store as they come."""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import NoReturn

from ...index.changes import Change

__all__ = ["OpenWatch", "Subscribe", "Watch"]

#: Subscribes a callback to changes, and returns what ends the subscription.
Subscribe = Callable[[Callable[[Change | None], object]], Callable[[], object]]


class OpenWatch:
    """A subscription whose changes are queued until they are taken, or it is garbage.

    Parameters
    ----------
    timeout : float or None
        Seconds to wait for a change.
    subscribe : callable
        Subscribes a callback.
    put : callable
        Queues a change, or None for the end; must not hold the watch.
    """

    def __init__(
        self,
        timeout: float | None,
        subscribe: Subscribe,
        put: Callable[[Change | None], object],
    ) -> None:
        if timeout is not None and not 0 <= timeout <= threading.TIMEOUT_MAX:
            raise ValueError(f"timeout is in seconds, 0 or more, not {timeout!r}")
        self._timeout = timeout
        self._put = put
        self._ended = False
        # Without a reference to the watch, so that it can be garbage.
        self._unsubscribe = weakref.finalize(self, subscribe(put))

    def __reduce__(self) -> NoReturn:
        """Refuse: changes come to this process."""
        raise TypeError("a watch cannot be pickled or copied: watch in each process")

    def end(self) -> None:
        """End the iteration after the changes that have come already."""
        self._unsubscribe()
        self._put(None)

    def close(self) -> None:
        """End the iteration at once, as that of a generator."""
        self._ended = True
        self.end()


class Watch(OpenWatch, Iterator[Change]):
    """Iterates over changes as they come; ends after a timeout, or at `disconnect`."""

    def __init__(self, timeout: float | None, subscribe: Subscribe) -> None:
        self._queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        super().__init__(timeout, subscribe, self._queue.put)

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
