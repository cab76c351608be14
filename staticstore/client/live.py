"""The index of a site, kept current: fetched, swapped, announced."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import NotConnectedError, StoreError
from ..index.changes import Action, Change, Changes, diff, follow
from ..index.query import Conditions
from ..index.snapshot import Index
from .connection import Connection
from .deliveries import CHANGE_SIGNALS, Deliveries, announce_changes, announce_failure
from .poller import Poller, seconds_since_boot
from .subscription import Dispatch, Subscription, Watch

if TYPE_CHECKING:
    from .feed import Held
    from .lazy import LazyIndex, Partial

__all__ = ["LiveIndex"]

_log = logging.getLogger("staticstore")


class LiveIndex:
    """The current snapshot of a store, and who is told when it changes.

    The lock guards the fields and is never held during I/O or a call to a handler.

    Parameters
    ----------
    store : object
        The sender of the signals; not kept alive.
    """

    def __init__(self, store: object) -> None:
        self._store = weakref.ref(store)
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._held: Held | None = None
        # What a lazy store has in place of a snapshot, until it needs one.
        self._partial: Partial | None = None
        self._is_lazy = False
        # The snapshot that handlers know: behind the held one while a
        # disconnect keeps an announcement back.
        self._announced: Index | None = None
        # In the order of their beginnings.  Taken out without the lock, by
        # finalizers too, which run in any thread at any time.
        self._subscriptions: dict[Subscription, None] = {}
        self._deliveries = Deliveries()
        self._last_success: tuple[float, float] | None = None
        self._last_error: str | None = None

    # -- connecting ------------------------------------------------------------

    def open(self, connection: Connection, poll_interval: float, *, is_lazy: bool = False) -> None:
        """Fetch the index and start to poll; see `StaticStore.connect`."""
        with self._lock:
            if self._connection is not None and not self._connection.is_cut():
                raise StoreError("the store is connected already: disconnect it first")
            self._connection = connection
            self._partial = None
            self._is_lazy = is_lazy and self._held is None
        connection.belong_to(self._store())
        try:
            self._update(connection)
            if poll_interval > 0:
                self._start_polling(connection, poll_interval)
        except BaseException:
            self._close(connection)
            raise

    def close(self) -> None:
        """End what `open` began; see `StaticStore.disconnect`."""
        with self._lock:
            connection = self._connection
        if connection is not None:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        connection.close()
        with self._lock:
            if self._connection is connection:
                self._connection = None

    def _start_polling(self, connection: Connection, interval: float) -> None:
        # The thread must not keep the store alive, or it would never end.
        reference = weakref.ref(self)

        def poll() -> StoreError | bool | None:
            live = reference()
            if live is None or connection.is_cut():
                return False
            try:
                live._update(connection)
            except StoreError as error:
                return error
            return None

        connection.start(Poller(poll, interval, connection.cut))

    @property
    def is_open(self) -> bool:
        """Whether there is a connection whose first index has come."""
        connection = self._connection
        return connection is not None and connection.is_usable

    def connected(self) -> Connection:
        """Return the connection, or raise `NotConnectedError`."""
        connection = self._connection
        if connection is None or not connection.is_usable:
            raise NotConnectedError("the store is not connected: call connect() first")
        return connection

    @property
    def index(self) -> Index:
        """The current snapshot, or the last one after a disconnect; a lazy store becomes whole."""
        held = self._held
        if held is None and self._partial is not None:
            return self._whole()
        if held is None:
            raise NotConnectedError("the store has no index yet: call connect() first")
        return held.index

    @property
    def readable(self) -> Index | LazyIndex:
        """The current snapshot, or what stands for it in a lazy store."""
        held, partial = self._held, self._partial
        if held is None and partial is not None:
            from .lazy import LazyIndex

            return LazyIndex(partial, self._whole)
        return self.index

    def _whole(self) -> Index:
        """Make a lazy store whole, as of the head that it holds."""
        connection = self.connected()
        with connection.polling():
            number = self._complete(connection)
        self._deliveries.run(number, given_up=connection.is_cut)
        return self.index

    def _complete(self, connection: Connection) -> int:
        """Fetch the whole index of which parts were read; only for who polls."""
        if self._held is not None or self._partial is None:
            return 0
        held = connection.feed.whole(self._partial) or connection.feed.fetch(None)
        _, number = self._swap(connection, None, held)
        return number

    def info(self) -> dict[str, Any]:
        """Return the fields of `StaticStore.info` that concern the index."""
        from datetime import UTC, datetime

        with self._lock:
            held, success, error = self._held or self._partial, self._last_success, self._last_error
        return {
            "generation": None if held is None or held.head is None else held.head.generation,
            "entries": None if held is None else held.entries,
            "last_success": None if success is None else datetime.fromtimestamp(success[0], UTC),
            "age": None if success is None else seconds_since_boot() - success[1],
            "last_error": error,
            "trust": None if held is None else "transport",
            "stale": held is not None and (error is not None or not self.is_open),
            "warnings": [] if held is None else [*held.problems, *_stale_answers(held)],
        }

    # -- polling ---------------------------------------------------------------

    def update(self) -> Changes:
        """Poll once, now; see `StaticStore.update_index`."""
        return self._update(self.connected())

    def _update(self, connection: Connection) -> Changes:
        try:
            with connection.polling():
                if self._stays_partial() and self._poll_head(connection):
                    return Changes((), self._whole)
                self._complete(connection)
                held = self._held
                fetched = connection.feed.fetch(held)
                changes, number = self._swap(connection, held, fetched or held)
        except StoreError as error:
            self._announce_failure(connection, error)
            raise
        self._deliveries.run(number, given_up=connection.is_cut)
        return changes

    def _stays_partial(self) -> bool:
        """Tell whether nobody needs the whole index."""
        is_heard = any(signal.has_receivers_for(self._store()) for signal in CHANGE_SIGNALS)
        return self._is_lazy and self._held is None and not is_heard

    def _poll_head(self, connection: Connection) -> bool:
        """Take over the current head; False if the site does not allow to read parts."""
        partial = connection.feed.part(self._partial)
        with self._lock:
            if connection.is_cut():
                raise NotConnectedError("the store was disconnected")
            self._is_lazy = partial is not None
            if partial is not None:
                self._partial = partial
                self._succeed(connection)
        return partial is not None

    def _succeed(self, connection: Connection) -> None:
        self._last_success = time.time(), seconds_since_boot()
        self._last_error = None
        connection.ready = True

    def _swap(
        self, connection: Connection, held: Held | None, new: Held | None
    ) -> tuple[Changes, int]:
        """Put a snapshot in place of the held one, and enqueue its announcement."""
        assert new is not None, "a feed gives an index where none is held"
        old = held.index if held is not None and connection.ready else self._announced
        changes = Changes((), new.index) if old is None else follow(old, new.index)
        new = dataclasses.replace(new, index=changes.index)
        with self._lock:
            if connection.is_cut():
                raise NotConnectedError("the store was disconnected")
            self._held = new
            number = self._enqueue(connection, old, changes)
            self._succeed(connection)
            return changes, number

    def _enqueue(self, connection: Connection, old: Index | None, changes: Changes) -> int:
        """Enqueue the announcement of a swap, to those who are subscribed at this moment."""
        subscribed = list(self._subscriptions)
        is_first = not connection.ready

        def announce() -> None:
            with self._lock:
                if connection.is_cut():
                    return  # it will be told after the next connect
                self._announced = changes.index
                known = [(one, one.known) for one in subscribed]
                for one in subscribed:
                    one.known = changes.index
            if is_first:
                for one in subscribed:
                    one.catch_up()
            store = self._store()
            if store is None:
                return
            in_step = [one.deliver for one, index in known if index is old]
            if changes:
                announce_changes(store, changes, in_step)
            for one, index in known:
                if index is not old:  # younger than what the handlers knew
                    for change in diff(index, changes.index):
                        one.deliver(change)

        return self._deliveries.put(announce)

    def _announce_failure(self, connection: Connection, error: StoreError) -> None:
        with self._lock:
            if not connection.is_usable:
                return
            self._last_error = str(error)

        def announce() -> None:
            store = self._store()
            if store is not None and not connection.is_cut():
                announce_failure(store, error)

        _log.warning("a poll failed, and the old snapshot is kept: %s", error)
        self._deliveries.run(self._deliveries.put(announce), given_up=connection.is_cut)

    # -- subscriptions ---------------------------------------------------------

    def subscribe(
        self,
        callback: Callable[[Change], object],
        *,
        actions: Iterable[Action] = ("set", "update", "delete"),
        dispatch: Dispatch | None = None,
        initial: bool = False,
        where: Mapping[str, Any] | None = None,
        equals: Mapping[str, Any] | None = None,
    ) -> Subscription:
        """Have a callback called with each change; see `StaticStore.subscribe`."""
        connection = self.connected()
        subscription = Subscription(
            callback,
            self.index,
            actions=actions,
            conditions=Conditions(where, equals or {}),
            dispatch=dispatch,
            is_open=_opened(weakref.ref(self)),
            on_close=_unsubscriber(weakref.ref(self)),
        )
        with self._lock:
            index = subscription.known = self.index
            self._subscriptions[subscription] = None
            if not initial:
                return subscription
            number = self._deliveries.put(_initial(subscription, index, connection))
        try:
            delivered = self._deliveries.run(number, given_up=connection.is_cut)
        except BaseException:
            subscription.close()
            raise
        if not delivered or subscription.is_closed:
            subscription.close()
            raise NotConnectedError("the store was disconnected")
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._subscriptions.pop(subscription, None)

    def watch(self, timeout: float | None) -> Watch:
        """Iterate over changes; see `StaticStore.watch`."""
        connection = self.connected()
        watch = Watch(timeout, self.subscribe)
        connection.add_watch(watch)
        return watch


def _stale_answers(held: Held | Partial) -> list[str]:
    if not held.ignored:
        return []
    return [
        f"the host has answered with an older index {held.ignored} times, which was ignored: "
        "a part of its network may lag behind"
    ]


def _initial(
    subscription: Subscription, index: Index, connection: Connection
) -> Callable[[], None]:
    """Return the delivery of all that is there, as sets."""

    def deliver() -> None:
        if connection.is_cut():
            subscription.close()
            return
        for key in index:
            subscription.deliver(Change(key, None, index.raw(key)))

    return deliver


def _opened(reference: weakref.ref[LiveIndex]) -> Callable[[], bool]:
    """Return what tells whether the store is connected, without keeping it alive."""

    def is_open() -> bool:
        live = reference()
        return live is not None and live.is_open

    return is_open


def _unsubscriber(reference: weakref.ref[LiveIndex]) -> Callable[[Subscription], None]:
    """Return what forgets a subscription, without keeping the store alive."""

    def unsubscribe(subscription: Subscription) -> None:
        live = reference()
        if live is not None:
            live.unsubscribe(subscription)

    return unsubscribe
