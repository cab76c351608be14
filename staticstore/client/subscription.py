"""Subscriptions: changes handed to a callback, or iterated over."""

from __future__ import annotations

import functools
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import get_args

from ..index.changes import Action, Change
from ..index.query import Conditions
from ..index.snapshot import Index
from .deliveries import logged_failure

__all__ = ["Dispatch", "Subscription", "Watch"]

#: Hands a call without arguments to an event loop, such as ``loop.call_soon_threadsafe``.
Dispatch = Callable[[Callable[[], None]], object]


class Subscription:
    """What `StaticStore.subscribe` returns; ends with `close` or a ``with`` block.

    It outlives a `disconnect` and goes on after the next `connect`.
    """

    def __init__(
        self,
        callback: Callable[[Change], object],
        known: Index,
        *,
        actions: Iterable[Action],
        conditions: Conditions,
        dispatch: Dispatch | None,
        is_open: Callable[[], bool],
        on_close: Callable[[Subscription], None],
    ) -> None:
        #: The snapshot up to which it has been told.
        self.known = known
        self._callback = callback
        self._actions = _checked_actions(actions)
        self._conditions = conditions
        self._dispatch = dispatch
        self._is_open = is_open
        self._on_close = on_close
        self._closed = False
        self._missed: deque[Change] = deque()

    @property
    def is_closed(self) -> bool:
        """Whether the subscription has ended."""
        return self._closed

    def close(self) -> None:
        """End the subscription; no call begins after this.  Idempotent."""
        self._closed = True
        self._on_close(self)

    def __enter__(self) -> Subscription:
        """Return the subscription."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def deliver(self, change: Change) -> None:
        """Call back, now or by `dispatch`, if the change is one that was asked for."""
        with logged_failure("a subscription's callback raised; it goes on"):
            if self._closed or not self._wants(change):
                return
            if self._dispatch is None:
                self._callback(change)
            else:
                self._dispatch(functools.partial(self._call_later, change))

    def deliver_all(self, index: Index, is_cut: Callable[[], bool]) -> None:
        """Deliver all that is in a snapshot, as sets; or close, if nobody is connected any more."""
        if is_cut():
            self.close()
            return
        for key in index:
            self.deliver(Change(key, None, index.raw(key)))

    def _wants(self, change: Change) -> bool:
        if change.action not in self._actions:
            return False
        return not self._conditions or any(
            metadata is not None and self._conditions.match(metadata)
            for metadata in (change.metadata, change.previous)
        )

    def _call_later(self, change: Change) -> None:
        """Call back from the loop, which shows what is raised in its own way.

        What a loop comes to only after a disconnect waits for the next connect.
        """
        if self._closed:
            return
        if self._missed or not self._is_open():
            self._missed.append(change)
        else:
            self._callback(change)

    def catch_up(self) -> None:
        """Hand over what a loop came to while the store was disconnected."""
        if self._dispatch is not None and not self._closed:
            with logged_failure("a subscription's dispatch raised; it goes on"):
                self._dispatch(self._call_missed)

    def _call_missed(self) -> None:
        while self._missed and not self._closed and self._is_open():
            self._callback(self._missed.popleft())


class Watch(Iterator[Change]):
    """Iterates over changes as they come; ends when none comes in time, or at `disconnect`."""

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
        # The callback is the queue's, so that a watch which nobody holds any
        # more can be collected, and its subscription with it.
        self._unsubscribe = weakref.finalize(self, subscribe(self._queue.put).close)

    def end(self) -> None:
        """Let the iteration end after what has come already."""
        self._unsubscribe()
        self._queue.put(None)

    def __next__(self) -> Change:
        """Wait for the next change."""
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


def _checked_actions(actions: Iterable[Action]) -> frozenset[Action]:
    wanted: frozenset[Action] = frozenset(actions)
    # One text would be taken for its letters, which are no actions either.
    if unknown := wanted - set(get_args(Action)):
        raise ValueError(f"no such action: {', '.join(sorted(map(repr, unknown)))}")
    return wanted
