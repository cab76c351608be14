"""Deliver signals and callbacks, one thread at a time, in the order of the polls."""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...index.changes import Change, Changes, diff
from ...signals import (
    index_updated,
    key_deleted,
    key_set,
    key_updated,
    poll_failed,
    send_to_each,
)
from .subscription import SubscriptionOwner

if TYPE_CHECKING:
    from ...errors import StoreError
    from ...index.snapshot import Index
    from .subscription import Subscription

__all__ = ["CHANGE_SIGNALS", "Deliveries", "Subscribers", "announce_changes"]

_SIGNALS = {"set": key_set, "update": key_updated, "delete": key_deleted}
#: The signals of a poll that changes something.
CHANGE_SIGNALS = (*_SIGNALS.values(), index_updated)


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

        Within a delivery it returns at once: what is enqueued there follows.

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
        if self._take_turn(number, given_up):
            try:
                while delivery := self._next():
                    delivery()
                    if self._pid != os.getpid():  # forked by a handler
                        return False
            except BaseException:  # KeyboardInterrupt: another thread runs the rest
                if self._pid == os.getpid():
                    self._next(ends_turn=True)
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


def _send_change(store: object, change: Change) -> None:
    send_to_each(
        _SIGNALS[change.action],
        store,
        lambda: {"key": change.key, "metadata": change.metadata, "previous": change.previous},
    )


def _chosen(
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


class Subscribers(SubscriptionOwner):
    """The subscriptions and signal handlers of a store, notified poll by poll.

    Parameters
    ----------
    store : weakref.ref
        The sender of the signals.
    is_open : callable
        Returns whether the store is connected; does not keep it alive.
    """

    def __init__(self, store: weakref.ref[Any], is_open: Callable[[], bool]) -> None:
        self._is_open = is_open
        #: Guards the fields of the store, too: a swap enqueues its announcement.  Never
        #: held during I/O or a callback.
        self.lock = threading.Lock()
        #: The snapshot that signal handlers know.  It is older than the store's while
        #: a disconnect holds an announcement back.
        self.known: Index | None = None
        self._store = store
        # In the order in which they began.  Removed without the lock, by finalizers too,
        # which run in any thread at any time.
        self._subscriptions: dict[Subscription, None] = {}
        #: Signals and callbacks that are to come.
        self.deliveries = Deliveries()

    def is_open(self) -> bool:
        """Return whether the store is connected."""
        return self._is_open()

    def after_fork(self, known: Index | None) -> None:
        """Continue in a forked child from the snapshot that it inherits."""
        # A thread of the parent may have held the locks at the fork.
        self.lock, self.deliveries = threading.Lock(), Deliveries()
        self.known = known
        for subscription in list(self._subscriptions):
            subscription.after_fork(known)

    def add(self, subscription: Subscription, index: Index) -> None:
        """Notify a subscription of changes to a snapshot from now on; under the lock."""
        subscription.known = index
        self._subscriptions[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._subscriptions.pop(subscription, None)

    def put_changes(
        self, old: Index | None, changes: Changes, is_cut: Callable[[], bool], *, is_first: bool
    ) -> int:
        """Enqueue the announcement of a swap to the present subscriptions; under the lock.

        Parameters
        ----------
        old : Index or None
            The snapshot that the changes are to.
        changes : Changes
            What has changed.
        is_cut : callable
            Returns whether the connection is closed: then nothing is announced, and the
            next connection announces the difference.
        is_first : bool
            Whether this is the first snapshot of a connection.

        Returns
        -------
        int
            The number of the delivery, for `Deliveries.run`.
        """
        subscribed = list(self._subscriptions)

        def announce() -> None:
            with self.lock:
                if is_cut():
                    return
                self.known = changes.index
                known = [(one, one.known) for one in subscribed]
                for one in subscribed:
                    one.known = changes.index
            if is_first:
                for one in subscribed:
                    one.catch_up()
            store = self._store()
            if store is None:
                return
            in_step = [one for one, index in known if index is old]
            if changes:
                single = [one for one in in_step if not one.is_batch]
                deliver_batch = [one.deliver_batch for one in in_step if one.is_batch]
                if len(single) * len(changes) < tuning.MATCHED_SINGLY_CHANGES:
                    deliver = [one.deliver for one in single]
                    announce_changes(store, changes, deliver, deliver_batch)
                else:
                    chosen = _chosen(single, changes)
                    announce_changes(store, changes, (), deliver_batch, chosen=chosen)
            for one, index in known:
                if index is not old:  # it began after the snapshot that handlers knew
                    one.deliver_changes(diff(index, changes.index))

        return self.deliveries.put(announce)

    def announce_failure(self, error: StoreError, is_cut: Callable[[], bool]) -> None:
        """Send `poll_failed`, in its turn."""

        def announce() -> None:
            store = self._store()
            if store is not None and not is_cut():
                send_to_each(poll_failed, store, lambda: {"error": error})

        self.deliveries.run(self.deliveries.put(announce), given_up=is_cut)
