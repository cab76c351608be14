"""Who sends signals, and when: one thread at a time, in the order of the polls."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..signals import index_updated, key_deleted, key_set, key_updated, poll_failed

if TYPE_CHECKING:
    from blinker import Signal

    from ..errors import StoreError
    from ..index.changes import Change, Changes

__all__ = [
    "CHANGE_SIGNALS",
    "PATIENCE",
    "Deliveries",
    "announce_changes",
    "announce_failure",
    "logged_failure",
]

_log = logging.getLogger("staticstore")
_SIGNALS = {"set": key_set, "update": key_updated, "delete": key_deleted}
#: What a change of the index is announced by.
CHANGE_SIGNALS = (*_SIGNALS.values(), index_updated)
#: For what cannot be woken otherwise.
PATIENCE = 0.2  # seconds between looks at whether a wait has lost its sense


class Deliveries:
    """A queue of deliveries, run by whichever thread waits for one of them.

    No thread of its own: the poller delivers what it polled, and a thread that
    calls `update_index` what it found; while one of them delivers, the others
    wait for it.  A delivery may enqueue others; they follow it.  What is enqueued
    in one process is not delivered in a child forked from it.
    """

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._waiting: deque[Callable[[], None]] = deque()
        self._change = threading.Condition()
        self._deliverer: int | None = None
        self._enqueued = 0
        self._delivered = 0

    def put(self, delivery: Callable[[], None]) -> int:
        """Enqueue a delivery and return its number; it is not run yet."""
        with self._change:
            self._waiting.append(delivery)
            self._enqueued += 1
            return self._enqueued

    def run(self, number: int, *, given_up: Callable[[], bool]) -> bool:
        """Return when the delivery of that number has been run, by this thread or another.

        Called from within a delivery it returns at once, since what is enqueued follows.

        Parameters
        ----------
        number : int
            What `put` has returned.
        given_up : callable
            Tells whether to wait no longer for another thread's delivery.

        Returns
        -------
        bool
            False if the wait was given up.
        """
        if self._deliverer == threading.get_ident():
            return True
        if self._take_turn(number, given_up):
            try:
                while delivery := self._next():
                    delivery()
                    if self._pid != os.getpid():  # forked by a handler
                        return False
            except BaseException:  # KeyboardInterrupt: what is left is somebody else's turn
                if self._pid == os.getpid():
                    self._end_turn()
                raise
        return self._delivered >= number

    def _take_turn(self, number: int, given_up: Callable[[], bool]) -> bool:
        with self._change:
            while self._delivered < number:
                if self._deliverer is None:
                    self._deliverer = threading.get_ident()
                    return True
                if given_up():
                    return False
                self._change.wait(PATIENCE)
            return False

    def _next(self) -> Callable[[], None] | None:
        """Return the next delivery; with none left, the turn ends."""
        with self._change:
            # Numbers below count what has been taken, and the turn lasts until it is run.
            self._delivered = self._enqueued - len(self._waiting)
            self._change.notify_all()
            if self._waiting:
                return self._waiting.popleft()
            self._deliverer = None
            return None

    def _end_turn(self) -> None:
        with self._change:
            self._delivered = self._enqueued - len(self._waiting)
            self._deliverer = None
            self._change.notify_all()


def announce_changes(
    store: object,
    changes: Changes,
    callbacks: Sequence[Callable[[Change], None]],
    batch_callbacks: Sequence[Callable[[Changes], None]] = (),
) -> None:
    """Send the signals of a poll: those of its keys, in order, then `index_updated`.

    Each handler gets metadata of its own.  Nothing is decoded where nobody listens.

    Parameters
    ----------
    store : object
        The sender.
    changes : Changes
        What the poll found.
    callbacks : sequence of callable
        Each called with each change, after its signal.
    batch_callbacks : sequence of callable
        Each called with all changes, after those.
    """
    listening = {action for action, signal in _SIGNALS.items() if signal.has_receivers_for(store)}
    if listening or callbacks:
        for change in changes:
            if change.action in listening:
                _announce_key(store, change)
            for callback in callbacks:
                callback(change)
    for batch_callback in batch_callbacks:
        batch_callback(changes)
    send(index_updated, store, lambda: {"changes": changes})


def _announce_key(store: object, change: Change) -> None:
    send(
        _SIGNALS[change.action],
        store,
        lambda: {"key": change.key, "metadata": change.metadata, "previous": change.previous},
    )


def announce_failure(store: object, error: StoreError) -> None:
    """Send `poll_failed`."""
    send(poll_failed, store, lambda: {"error": error})


def send(signal: Signal, store: object, arguments: Callable[[], dict[str, Any]]) -> None:
    """Call every handler of a signal; one that raises is logged and stops nobody.

    Not `Signal.send`, in which the first handler that raises silences the rest.
    """
    if signal.is_muted:
        return
    for receiver in signal.receivers_for(store):
        with logged_failure("a handler of a signal raised; the others are called all the same"):
            receiver(store, **arguments())


@contextlib.contextmanager
def logged_failure(message: str) -> Iterator[None]:
    """Log what a caller's own code raises, and go on.

    What ends a program (KeyboardInterrupt, SystemExit) does so from its main
    thread; in any other it would end polling in silence.
    """
    try:
        yield
    except Exception:
        _log.exception(message)
    except BaseException:
        if threading.current_thread() is threading.main_thread():
            raise
        _log.exception(message)
