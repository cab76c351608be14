"""Deliver signals and callbacks, one thread at a time, in the order of the polls."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING

from ... import tuning
from ...signals import (
    index_updated,
    key_deleted,
    key_set,
    key_updated,
    poll_failed,
    send_to_each,
)

if TYPE_CHECKING:
    from ...errors import StoreError
    from ...index.changes import Change, Changes
    from .subscription import Subscription

__all__ = [
    "Deliveries",
    "announce_changes",
    "chosen_callbacks",
    "has_handlers",
    "send_failure",
]

_SIGNALS = {"set": key_set, "update": key_updated, "delete": key_deleted}
# The signals of a poll that changes something.
_CHANGE_SIGNALS = (*_SIGNALS.values(), index_updated)
# How many queues a thread is running deliveries of: a handler may poll another store.
_RUNNING = threading.local()


class Deliveries:
    """A queue of deliveries, run by the threads that wait for them.

    It has no thread of its own: the poller and each thread that calls `update_index`
    run what they have enqueued.  While one of them delivers, the others wait for it.
    A delivery may enqueue others; they follow it.  Deliveries that are enqueued in one
    process are not run in a child forked from it.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._waiting: deque[Callable[[], None]] = deque()
        self._change = threading.Condition()
        self._deliverer: int | None = None
        self._enqueued = 0
        self._delivered = 0

    def put(self, delivery: Callable[[], None]) -> int:
        """Enqueue a delivery, and return its number; it is run by `run`."""
        with self._change:
            self._waiting.append(delivery)
            self._enqueued += 1
            return self._enqueued

    def run(self, number: int, *, given_up: Callable[[], bool]) -> bool:
        """Wait until a delivery has been run, by this thread or another.

        Within a delivery it does not wait: what is enqueued there follows, or is run by
        the thread that delivers.  So two threads, each in a handler of one store, may poll
        the other's.

        Parameters
        ----------
        number : int
            The number that `put` returned.
        given_up : callable
            Returns whether to stop waiting for another thread's delivery.

        Returns
        -------
        bool
            False if the wait was given up.
        """
        if self._deliverer == threading.get_ident():
            return True
        depth = getattr(_RUNNING, "depth", 0)
        if self._take_turn(number, (lambda: True) if depth else given_up):
            _RUNNING.depth = depth + 1
            try:
                while delivery := self._next():
                    delivery()
                    if self._pid != os.getpid():  # forked by a handler
                        return False
            except BaseException:  # KeyboardInterrupt: another thread runs the rest
                if self._pid == os.getpid():
                    self._next(ends_turn=True)
                raise
            finally:
                _RUNNING.depth = depth
        return self._delivered >= number or depth > 0

    def _take_turn(self, number: int, given_up: Callable[[], bool]) -> bool:
        with self._change:
            while self._delivered < number:
                if self._deliverer is None:
                    self._deliverer = threading.get_ident()
                    return True
                if given_up():
                    return False
                self._change.wait(tuning.CUT_CHECK_SECONDS)
            return False

    def _next(self, *, ends_turn: bool = False) -> Callable[[], None] | None:
        with self._change:
            # All that was taken from the queue has been run by now, or has raised.
            self._delivered = self._enqueued - len(self._waiting)
            self._change.notify_all()
            if self._waiting and not ends_turn:
                return self._waiting.popleft()
            self._deliverer = None
            return None


def announce_changes(
    store: object,
    changes: Changes,
    callbacks: Sequence[Callable[[Change], None]],
    batch_callbacks: Sequence[Callable[[Changes], None]] = (),
    *,
    chosen: Iterable[Sequence[Callable[[Change], None]]] | None = None,
) -> None:
    """Send the signals of a poll: one for each key, in order, then `index_updated`.

    Each handler gets a copy of the metadata.  Without handlers nothing is decoded.

    Parameters
    ----------
    store : object
        The sender.
    changes : Changes
        What the poll found.
    callbacks : sequence of callable
        Called with each change, after its signal.
    batch_callbacks : sequence of callable
        Called with all changes, after those.
    chosen : iterable of sequence of callable, optional
        In place of `callbacks`, those for each of the changes.
    """
    listening = {action for action, signal in _SIGNALS.items() if signal.has_receivers_for(store)}
    if listening or callbacks or chosen is not None:
        for change, called in zip(changes, chosen or repeat(callbacks), strict=False):
            if change.action in listening:
                _send_change(store, change)
            for callback in called:
                callback(change)
    for batch_callback in batch_callbacks:
        batch_callback(changes)
    send_to_each(index_updated, store, lambda: {"changes": changes})


def has_handlers(store: object) -> bool:
    """Return whether a signal of a poll that changes something has handlers for a store."""
    return any(signal.has_receivers_for(store) for signal in _CHANGE_SIGNALS)


def send_failure(store: object, error: StoreError) -> None:
    """Send `poll_failed`."""
    send_to_each(poll_failed, store, lambda: {"error": error})


def _send_change(store: object, change: Change) -> None:
    send_to_each(
        _SIGNALS[change.action],
        store,
        lambda: {"key": change.key, "metadata": change.metadata, "previous": change.previous},
    )


def chosen_callbacks(
    subscriptions: Sequence[Subscription], changes: Changes
) -> Iterator[list[Callable[[Change], None]]]:
    """Yield what is to be called with each change, in the order of the subscriptions.

    All conditions are asked of some changes at once (benchmark: subscriptions).
    """
    from ...index.fields_of_changes import ChangedFields

    count = tuning.MATCHED_TOGETHER_CHANGES
    for start in range(0, len(changes), count):
        some = changes[start : start + count]
        fields = ChangedFields(some)
        called: list[list[Callable[[Change], None]]] = [[] for _ in some]
        for one in subscriptions:
            numbers, all_match = one.candidates(fields)
            deliver = one.deliver_found if all_match else one.deliver
            for number in numbers:
                called[number].append(deliver)
        yield from called
