"""Subscriptions: changes handed to a callback, or iterated over."""

from __future__ import annotations

import functools
import inspect
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, get_args

from ..index.changes import Action, Change, Changes
from ..index.query import Conditions
from ..index.snapshot import Index
from .deliveries import logged_failure

__all__ = ["Dispatch", "Subscription", "Watch"]

#: Hands a call without arguments to an event loop, such as ``loop.call_soon_threadsafe``.
#: What the call returns is awaitable where the callback is a coroutine function.
Dispatch = Callable[[Callable[[], Any]], object]
#: What a callback is told: one change, or all of a poll.
Told = Change | Changes


class Subscription:
    """What `StaticStore.subscribe` returns; ends with `close` or a ``with`` block.

    It outlives a `disconnect` and goes on after the next `connect`.
    """

    def __init__(
        self,
        callback: Callable[[Any], object],
        known: Index,
        *,
        actions: Iterable[Action],
        conditions: Conditions,
        dispatch: Dispatch | None,
        batch: bool,
        is_open: Callable[[], bool],
        on_close: Callable[[Subscription], None],
    ) -> None:
        if dispatch is None and inspect.iscoroutinefunction(callback):
            raise TypeError("a coroutine function needs a loop: dispatch=asyncio_dispatch()")
        #: Whether it is told of all changes of a poll together.
        self.is_batch = batch
        #: The snapshot up to which it has been told.
        self.known = known
        self._callback = callback
        self._actions = _checked_actions(actions)
        self._conditions = conditions
        self._dispatch = dispatch
        self._is_open = is_open
        self._on_close = on_close
        self._closed = False
        # What a loop was given calls for and has not come to, and how many of
        # those calls it made in vain, while the store was disconnected.
        self._waiting: deque[Told] = deque()
        self._in_vain = 0

    @property
    def is_closed(self) -> bool:
        """Whether the subscription has ended."""
        return self._closed

    def close(self) -> None:
        """End the subscription; no call begins after this.  Idempotent."""
        self._closed = True
        self._on_close(self)

    def after_fork(self, known: Index | None) -> None:
        """Go on in a forked child from a snapshot; end, if the parent's loop makes the calls."""
        if self._dispatch is not None or known is None:
            self.close()
        else:
            self.known = known

    def __reduce__(self) -> NoReturn:
        """Refuse: who is called is in this process."""
        raise TypeError("a subscription cannot be pickled or copied: subscribe in each process")

    def __enter__(self) -> Subscription:
        """Return the subscription."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def deliver(self, change: Change) -> None:
        """Tell of one change, if it was asked for."""
        if self._wants(change):
            self._tell(change)

    def deliver_batch(self, changes: Changes) -> None:
        """Tell of those changes of a poll that were asked for, together."""
        if wanted := self._wanted(changes):
            self._tell(wanted)

    def deliver_changes(self, changes: Changes) -> None:
        """Tell of some changes, together or one by one."""
        if self.is_batch:
            self.deliver_batch(changes)
        else:
            for change in changes:
                self.deliver(change)

    def deliver_all(self, index: Index, is_cut: Callable[[], bool]) -> None:
        """Deliver all that is in a snapshot, as sets; or close, if nobody is connected any more."""
        if is_cut():
            self.close()
            return
        if "set" not in self._actions:
            return
        everything = (Change(key, None, index.raw(key)) for key in index)
        if self.is_batch:  # one that has nothing in it, too: a table is full when it has come
            self._tell(self._wanted(Changes(everything, index)))
        else:
            for change in everything:
                self.deliver(change)

    def _wanted(self, changes: Changes) -> Changes:
        if not self._conditions and self._actions.issuperset(get_args(Action)):
            return changes
        return Changes(filter(self._wants, changes), changes.index)

    def _wants(self, change: Change) -> bool:
        with logged_failure("a subscription's condition raised; it goes on"):
            if self._closed or change.action not in self._actions:
                return False
            return not self._conditions or any(
                metadata is not None and self._conditions.match(metadata)
                for metadata in (change.metadata, change.previous)
            )
        return False

    def _tell(self, told: Told) -> None:
        """Call back, now or by `dispatch`."""
        with logged_failure("a subscription's callback raised; it goes on"):
            if self._closed:
                return
            if self._dispatch is None:
                self._callback(told)
                return
            self._waiting.append(told)
            try:
                self._dispatch(self._call_next)
            except BaseException:  # no call will come for it
                if self._waiting and self._waiting[-1] is told:
                    self._waiting.pop()
                raise

    def _call_next(self) -> object:
        """Call back from the loop, which shows what is raised in its own way, or awaits.

        A call is for whatever waits for longest, so that what a loop came to
        while the store was disconnected goes first after the next connect.
        """
        if self._closed:
            self._waiting.clear()
        elif not self._is_open():
            self._in_vain += 1
        elif self._waiting:
            return self._callback(self._waiting.popleft())
        return None

    def catch_up(self) -> None:
        """Have the loop make again the calls that it made while the store was disconnected."""
        if (dispatch := self._dispatch) is not None and not self._closed:
            with logged_failure("a subscription's dispatch raised; it goes on"):
                dispatch(functools.partial(self._call_again, dispatch))

    def _call_again(self, dispatch: Dispatch) -> None:
        # Counted by the loop's thread alone, so that none is forgotten.
        calls, self._in_vain = self._in_vain, 0
        for _ in range(calls):
            dispatch(self._call_next)


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

    def __reduce__(self) -> NoReturn:
        """Refuse: what it waits for comes to this process."""
        raise TypeError("a watch cannot be pickled or copied: watch in each process")

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
