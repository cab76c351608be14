"""The index of a site, kept current: fetched, swapped, announced."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

from ..errors import (
    AuthorizationError,
    ForeignError,
    IndexFormatError,
    NotConnectedError,
    StoreError,
    TransportError,
    unforeseen_as_refusal,
)
from ..index.changes import Action, Changes, diff, follow
from ..index.query import Conditions
from ..index.snapshot import Index
from ..processes import PerProcess
from .confirmation import Confirmation
from .connection import Connection
from .deliveries import CHANGE_SIGNALS, Deliveries, announce_changes, announce_failure
from .poller import Poller
from .subscription import Dispatch, Subscription, Watch

if TYPE_CHECKING:
    from .held import Held
    from .index_check import IndexCheck
    from .lazy import LazyIndex, Partial

__all__ = ["LiveIndex"]

_log = logging.getLogger("staticstore")

# Who has an index of old waits so long for the host, in seconds; polls go on anyway.
_PATIENCE = 10.0
# An index with no more entries is kept on disk at once, a larger one by the poller.
_FEW = 10_000


class LiveIndex:
    """The current snapshot of a store, and who is told when it changes.

    The lock guards the fields and is never held during I/O or a call to a handler.
    In a forked child `here` comes before any other method.

    Parameters
    ----------
    store : object
        The sender of the signals; not kept alive.
    """

    def __init__(self, store: object) -> None:
        from ..index.freshness import Freshness  # not needed by who only imports staticstore

        #: What the site has said so far, over all connections.
        self.freshness = Freshness()
        self._store = weakref.ref(store)
        self._pid = os.getpid()
        self._inheriting = PerProcess(threading.Lock)
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
        self._confirmation = Confirmation()
        self._check: IndexCheck | None = None
        # Whether the held snapshot came by changes from a document that turned
        # out to be another than it seemed.
        self._is_in_doubt = False

    # -- processes -------------------------------------------------------------

    @property
    def is_here(self) -> bool:
        """Whether it belongs to this process, so that `here` has nothing to do."""
        return self._pid == os.getpid()

    def here(self, *, polls: bool = True) -> LiveIndex:
        """Return this, made usable in a child forked since.

        The child goes on from the snapshot that it inherits, by a connection of its
        own, and polls if its parent did.  What the parent had yet to announce is not
        announced there.

        Parameters
        ----------
        polls : bool, optional
            Whether to begin to poll.
        """
        if not self.is_here:
            with self._inheriting.get():
                if not self.is_here:
                    self._inherit(polls)
        return self

    def _inherit(self, polls: bool) -> None:
        # Another thread of the parent may have held any of the locks at the fork.
        self._lock, self._deliveries, self._check = threading.Lock(), Deliveries(), None
        held, before = self._held, self._connection
        self._announced = None if held is None else held.index
        for subscription in list(self._subscriptions):
            subscription.after_fork(self._announced)
        # One that was being made is not: the thread that made it is the parent's.
        own = before.after_fork() if before is not None and before.ready else None
        self._connection = own
        self._pid = os.getpid()
        if own is None:
            return
        own.belong_to(self._store())
        if polls and not own.is_cut():
            if held is not None:
                self._check_behind(own, held.index)
            if own.poll_interval > 0:
                self._start_polling(own)

    # -- connecting ------------------------------------------------------------

    def open(self, connection: Connection, *, is_lazy: bool = False) -> None:
        """Fetch the index and start to poll; see `StaticStore.connect`."""
        with self._lock:
            if self._connection is not None and not self._connection.is_cut():
                raise StoreError("the store is connected already: disconnect it first")
            self._connection = connection
            has_none = self._held is None
            self._is_lazy = is_lazy and has_none
        connection.belong_to(self._store())
        try:
            self._start(connection, in_a_hurry=connection.poll_interval > 0)
            if connection.poll_interval > 0:
                self._start_polling(connection)
            else:
                self._keep(connection)
        except BaseException:
            self._close(connection)
            if has_none and not connection.ready:
                # What the cache had is not for who is refused.
                self._held = self._announced = None
                self._confirmation = Confirmation()
                self.freshness.forget()
            raise

    def _start(self, connection: Connection, *, in_a_hurry: bool) -> None:
        """Fetch the index, or begin with the cached one if the host cannot be reached."""
        if not self._is_lazy:
            self._restore(connection)
        elif connection.cached is not None and self._partial is None:
            self.freshness.restore(connection.cached.freshness())
        has_index = connection.cached is not None and self._held is not None
        try:
            self._update(connection, seconds=_PATIENCE if in_a_hurry and has_index else None)
        except AuthorizationError:  # shall not be hidden by what was allowed once
            raise
        except TransportError as error:
            if connection.cached is None or not self._restore(connection):
                raise
            self._start_offline(connection, error)

    def _restore(self, connection: Connection) -> bool:
        """Take the snapshot out of the cache, if none is held; tell whether one is."""
        found = None
        if self._held is None and connection.cached is not None:
            found = connection.cached.read()
        if found is not None:
            held, freshness, fetched = found
            with self._lock:
                if connection.is_cut():
                    raise NotConnectedError("the store was disconnected")
                self._held, self._announced, self._is_lazy = held, held.index, False
                self.freshness.restore(freshness)
                self._confirmation.recall(fetched)
        return self._held is not None

    def _start_offline(self, connection: Connection, error: TransportError) -> None:
        _, number = self._swap(connection, None, self._held, is_confirmed=False)
        self._deliveries.run(number, given_up=connection.is_cut)
        self._announce_failure(connection, error)

    def _keep(self, connection: Connection) -> None:
        """Keep the snapshot on disk, if there is a cache, and what the host says of it."""
        held, cached = self._held, connection.cached
        if cached is None or held is None:
            return
        if self._confirmation.error is not None:
            cached.count(held, self.freshness)
        elif not cached.write(held, self.freshness, connection.is_cut):
            self._replace_derived(connection, held)

    def _replace_derived(self, connection: Connection, held: Held) -> None:
        """Fetch the index whole that changes have led past."""
        _log.warning("changes have led to other bytes than the head names: the index is fetched")
        with connection.polling():
            whole = connection.follower.whole_again(held)
            _, number = self._swap(connection, held, whole)
        self._deliveries.run(number, given_up=connection.is_cut)

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

    def _start_polling(self, connection: Connection) -> None:
        # The thread must not keep the store alive, or it would never end.
        reference = weakref.ref(self)

        def poll() -> StoreError | bool | None:
            live = reference()
            if live is None or connection.is_cut():
                return False
            try:
                live._update(connection)
                live._keep(connection)
            except StoreError as error:
                return error
            return None

        def begin() -> None:
            live = reference()
            if live is not None:
                live._keep(connection)

        held = self._held
        # One that is not checked yet is a large one, and would have to be counted.
        if held is not None and held.index.is_checked and held.entries <= _FEW:
            self._keep(connection)
        has_polled = self._confirmation.error is None
        interval = connection.poll_interval
        connection.start(Poller(poll, interval, connection.cut, begin=begin, has_polled=has_polled))

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
    def snapshot(self) -> Index | None:
        """The snapshot that is here; None where there is none, or only parts were read."""
        held = self._held
        return None if held is None else held.index

    @property
    def current(self) -> Held | Partial | None:
        """What is held of the site, whole or in parts."""
        return self._held or self._partial

    @property
    def held(self) -> Held:
        """The current snapshot and what vouches for it; a lazy store becomes whole."""
        while (held := self._held) is None:
            _ = self.index
        return held

    @property
    def readable(self) -> tuple[Index | LazyIndex, Held | Partial]:
        """The current snapshot, or what stands for it in a lazy store, and where it is from."""
        held, partial = self._held, self._partial
        if held is None and partial is not None:
            from .lazy import LazyIndex

            return LazyIndex(partial, self._whole), partial
        held = self.held
        return held.index, held

    def _whole(self) -> Index:
        """Make a lazy store whole, as of the head that it holds."""
        connection = self.here().connected()
        with connection.polling():
            number = self._complete(connection)
        self._deliveries.run(number, given_up=connection.is_cut)
        return self.index

    def _complete(self, connection: Connection) -> int:
        """Fetch the whole index of which parts were read; only for who polls."""
        if self._held is not None or self._partial is None:
            return 0
        follower, partial = connection.follower, self._partial
        held = follower.whole(partial) or follower.fetch(partial)
        if held is None:
            raise TransportError(
                "the host has only an index that is older than the parts which were read"
            )
        _, number = self._swap(connection, None, held)
        return number

    def info(self, root_url: str) -> dict[str, Any]:
        """Return the fields of `StaticStore.info` that concern the index."""
        with self._lock:
            info = self._confirmation.info(
                self._held or self._partial,
                root_url=root_url,
                is_open=self.is_open,
                is_doubtful=self.freshness.is_doubtful,
            )
            connection = self._connection
        if connection is not None:
            info["warnings"] += connection.follower.problems
        return info

    # -- polling ---------------------------------------------------------------

    def update(self) -> Changes:
        """Poll once, now; see `StaticStore.update_index`."""
        connection = self.connected()
        changes = self._update(connection)
        self._keep(connection)
        return changes

    def _update(self, connection: Connection, *, seconds: float | None = None) -> Changes:
        try:
            with connection.polling():
                if self._stays_partial() and self._poll_head(connection):
                    return Changes((), self._whole)
                if self._partial is None:  # a lazy store holds what its cache has
                    self._restore(connection)
                self._complete(connection)
                held = self._held
                is_unusable = held is not None and held.index.refusal is not None
                anew = self._is_in_doubt or is_unusable
                fetched = connection.follower.fetch(held, seconds=seconds, anew=anew)
                changes, number = self._swap(connection, held, fetched or held)
                self._is_in_doubt = False
        except Exception as error:  # a caller's own authentication may raise anything
            self._announce_failure(connection, _as_store_error(error))
            if connection.cached is not None and self._held is not None:
                connection.cached.count(self._held, self.freshness)
            raise
        self._deliveries.run(number, given_up=connection.is_cut)
        return changes

    def _stays_partial(self) -> bool:
        """Tell whether nobody needs the whole index."""
        is_heard = any(signal.has_receivers_for(self._store()) for signal in CHANGE_SIGNALS)
        return self._is_lazy and self._held is None and not is_heard

    def _poll_head(self, connection: Connection) -> bool:
        """Take over the current head; False if the site does not allow to read parts."""
        partial = connection.follower.part(self._partial)
        with self._lock:
            if connection.is_cut():
                raise NotConnectedError("the store was disconnected")
            self._is_lazy = partial is not None
            if partial is not None:
                self._partial = partial
                self._confirmation.succeed()
                connection.ready = True
        return partial is not None

    def _swap(
        self,
        connection: Connection,
        held: Held | None,
        new: Held | None,
        *,
        is_confirmed: bool = True,
    ) -> tuple[Changes, int]:
        """Put a snapshot in place of the held one, and enqueue its announcement."""
        assert new is not None, "a follower gives an index where none is held"
        old = held.index if held is not None and connection.ready else self._announced
        with unforeseen_as_refusal("the index cannot be compared with the one before it"):
            changes = Changes((), new.index) if old is None else follow(old, new.index)
        new = dataclasses.replace(new, index=changes.index)
        with self._lock:
            if connection.is_cut():
                raise NotConnectedError("the store was disconnected")
            self._held = new
            number = self._enqueue(connection, old, changes)
            if is_confirmed:
                self._confirmation.succeed()
            connection.ready = True
            self._check_behind(connection, new.index)
            return changes, number

    def _check_behind(self, connection: Connection, index: Index) -> None:
        """Check in a thread what of a snapshot was not checked before its swap."""
        if index.is_checked or (self._check is not None and self._check.concerns(index)):
            return
        from .index_check import IndexCheck  # not needed for small indexes

        reference = weakref.ref(self)

        def end(error: IndexFormatError | None) -> None:
            live = reference()
            if live is not None and error is not None:
                live._announce_failure(connection, error)
            elif live is not None and index.lines() is None:
                live._resolve(connection, index)

        self._check = IndexCheck(index, connection.cut, end)
        with contextlib.suppress(RuntimeError):  # no more threads: what is read is checked anyway
            self._check.start()

    def _resolve(self, connection: Connection, index: Index) -> None:
        """Go on from a document that turned out not to be in canonical form.

        Its snapshot says by now what any JSON parser says.  What changes made of it
        is fetched anew: they may have been found by comparing lines.
        """
        if index.warnings:
            _log.warning("in the index, when all of it was checked: %s", index.warnings[0])
        with contextlib.suppress(StoreError):  # which was announced; the next poll tries again
            with connection.polling():
                held = self._held
                if held is None or not held.index.shares_with(index) or held.index.is_document:
                    return
                self._is_in_doubt = True
            self._update(connection)

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
            in_step = [one for one, index in known if index is old]
            if changes:
                deliver = [one.deliver for one in in_step if not one.is_batch]
                deliver_batch = [one.deliver_batch for one in in_step if one.is_batch]
                announce_changes(store, changes, deliver, deliver_batch)
            for one, index in known:
                if index is not old:  # younger than what the handlers knew
                    one.deliver_changes(diff(index, changes.index))

        return self._deliveries.put(announce)

    def _announce_failure(self, connection: Connection, error: StoreError) -> None:
        with self._lock:
            if not connection.is_usable:
                return
            self._confirmation.error = str(error)

        def announce() -> None:
            store = self._store()
            if store is not None and not connection.is_cut():
                announce_failure(store, error)

        _log.warning("a poll failed, and the old snapshot is kept: %s", error)
        self._deliveries.run(self._deliveries.put(announce), given_up=connection.is_cut)

    # -- subscriptions ---------------------------------------------------------

    def subscribe(
        self,
        callback: Callable[[Any], object],
        *,
        actions: Iterable[Action] = ("set", "update", "delete"),
        dispatch: Dispatch | None = None,
        initial: bool = False,
        batch: bool = False,
        where: Mapping[str, Any] | None = None,
        equals: Mapping[str, Any] | None = None,
    ) -> Subscription:
        """Have a callback called with each change; see `StaticStore.subscribe`."""
        connection = self.connected()
        conditions = Conditions(where, equals or {})
        subscription = self._subscription(callback, actions, conditions, dispatch, batch)
        with self._lock:
            index = self._begin(subscription)
            if not initial:
                return subscription
            deliver_all = functools.partial(subscription.deliver_all, index, connection.is_cut)
            number = self._deliveries.put(deliver_all)
        try:
            delivered = self._deliveries.run(number, given_up=connection.is_cut)
        except BaseException:
            subscription.close()
            raise
        if not delivered or subscription.is_closed:
            subscription.close()
            raise NotConnectedError("the store was disconnected")
        return subscription

    def follow(
        self, callback: Callable[[Changes], object], dispatch: Dispatch
    ) -> tuple[Subscription, Index]:
        """Have a callback called with all changes of each poll, on from the snapshot returned."""
        self.connected()
        every = get_args(Action)
        subscription = self._subscription(callback, every, Conditions(None, {}), dispatch, True)
        with self._lock:
            return subscription, self._begin(subscription)

    def _subscription(
        self,
        callback: Callable[[Any], object],
        actions: Iterable[Action],
        conditions: Conditions,
        dispatch: Dispatch | None,
        batch: bool,
    ) -> Subscription:
        reference = weakref.ref(self)
        return Subscription(
            callback,
            self.index,
            actions=actions,
            conditions=conditions,
            dispatch=dispatch,
            batch=batch,
            is_open=_opened(reference),
            on_close=_unsubscriber(reference),
        )

    def _begin(self, subscription: Subscription) -> Index:
        """Have a subscription told of what comes after the snapshot returned; under the lock."""
        subscription.known = self.index
        self._subscriptions[subscription] = None
        return subscription.known

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._subscriptions.pop(subscription, None)

    def watch(self, timeout: float | None) -> Watch:
        """Iterate over changes; see `StaticStore.watch`."""
        connection = self.connected()
        watch = Watch(timeout, self.subscribe)
        connection.add_watch(watch)
        return watch


def _as_store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    # Without its text, which may hold a secret.
    failure = StoreError(f"a poll failed: {type(error).__name__}")
    failure.__cause__ = ForeignError.of(error).with_traceback(error.__traceback__)
    return failure


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
