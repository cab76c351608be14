"""Whom a store notifies: subscriptions, signal handlers and its views."""

from __future__ import annotations

import functools
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import NotConnectedError
from ...index.changes import Changes, diff
from .deliveries import (
    Deliveries,
    announce_changes,
    chosen_callbacks,
    has_handlers,
    send_failure,
)
from .subscription import Subscription, SubscriptionOptions, SubscriptionOwner

if TYPE_CHECKING:
    from ...errors import StoreError
    from ...index.snapshot import Index

__all__ = ["Subscribers", "ViewFollower"]


class ViewFollower(ABC):
    """What makes the changes of a view of those of the sites that the view reads."""

    @abstractmethod
    def begin(self, site: Subscribers, known: Index | None) -> None:
        """Take the snapshot that the handlers of a site know; under the lock of the site."""

    @abstractmethod
    def follow(
        self, site: Subscribers, before: Index | None, index: Index, *, is_first: bool
    ) -> Callable[[], None]:
        """Take the next snapshot of a site, under the lock of the site.

        Parameters
        ----------
        site : Subscribers
            The subscribers of the site.
        before, index : Index
            The snapshots that its handlers knew, None for none, and are told of now.
        is_first : bool
            Whether it is the first one of a connection.

        Returns
        -------
        callable
            Delivers what has changed in the view, outside the lock.
        """

    @abstractmethod
    def fail(self, error: StoreError, is_cut: Callable[[], bool]) -> None:
        """Send `poll_failed` to the handlers of the view."""

    @abstractmethod
    def is_heard(self) -> bool:
        """Return whether the view has handlers of changes."""

    @abstractmethod
    def continue_after_fork(self, site: Subscribers, known: Index | None) -> None:
        """Continue in a forked child from a snapshot that it inherits."""


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
        # The views of the store, as long as somebody else holds them.
        self._views: weakref.WeakSet[ViewFollower] = weakref.WeakSet()
        # Views that live on because somebody has subscribed through them.
        self._held_views: dict[Subscription, object] = {}
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
        for view in list(self._views):
            view.continue_after_fork(self, known)

    def is_heard(self) -> bool:
        """Return whether the store, or a view of it, has handlers of changes."""
        store = self._store()
        if store is not None and has_handlers(store):
            return True
        return any(view.is_heard() for view in self._present_views())

    def add(self, subscription: Subscription, index: Index) -> None:
        """Notify a subscription of changes to a snapshot from now on; under the lock."""
        subscription.known = index
        self._subscriptions[subscription] = None

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._subscriptions.pop(subscription, None)

    def add_view(self, view: ViewFollower) -> None:
        """Have a view follow the store as long as the view lives."""
        with self.lock:
            self._views.add(view)
            view.begin(self, self.known)

    def hold_view(self, subscription: Subscription, view: object) -> None:
        """Keep a view alive until a subscription to it is closed."""
        self._held_views[subscription] = view

    def release_view(self, subscription: Subscription) -> None:
        """Keep the view of a subscription alive no more."""
        self._held_views.pop(subscription, None)

    def _present_views(self) -> list[ViewFollower]:
        with self.lock:
            return list(self._views)

    def subscribe(
        self,
        snapshot: Callable[[], Index],
        is_cut: Callable[[], bool],
        options: SubscriptionOptions,
    ) -> tuple[Subscription, Index]:
        """Return a subscription, and the snapshot from which it starts.

        Parameters
        ----------
        snapshot : callable
            Returns the current snapshot; the second time it is called under the lock.
        is_cut : callable
            Returns whether the connection is closed.
        options : SubscriptionOptions
            What to be called with, and how.
        """
        subscription = Subscription(options, snapshot(), weakref.ref(self))
        with self.lock:
            index = snapshot()
            self.add(subscription, index)
            if not options.initial:
                return subscription, index
            deliver_all = functools.partial(subscription.deliver_all, index, is_cut)
            number = self.deliveries.put(deliver_all)
        try:
            delivered = self.deliveries.run(number, given_up=is_cut)
        except BaseException:
            subscription.close()
            raise
        if not delivered or subscription.is_closed:
            subscription.close()
            raise NotConnectedError("the store was disconnected")
        return subscription, index

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
        return self._put(changes.index, is_cut, lambda _: (old, lambda: changes), is_first=is_first)

    def _put(
        self,
        new: Index,
        is_cut: Callable[[], bool],
        changes_since: Callable[[Index | None], tuple[Index | None, Callable[[], Changes]]],
        *,
        is_first: bool,
    ) -> int:
        """Enqueue the announcement of a snapshot; under the lock."""
        subscribed = list(self._subscriptions)

        def announce() -> None:
            with self.lock:
                if is_cut():
                    return
                before, self.known = self.known, new
                known = [(one, one.known) for one in subscribed]
                for one in subscribed:
                    one.known = new
                views = [
                    view.follow(self, before, new, is_first=is_first) for view in list(self._views)
                ]
            if is_first:
                for one in subscribed:
                    one.catch_up()
            store = self._store()
            if store is None:
                return
            old, find = changes_since(before)
            in_step = [one for one, index in known if index is old]
            if (in_step or has_handlers(store)) and (changes := find()):
                single = [one for one in in_step if not one.is_batch]
                deliver_batch = [one.deliver_batch for one in in_step if one.is_batch]
                if len(single) * len(changes) < tuning.MATCHED_SINGLY_CHANGES:
                    deliver = [one.deliver for one in single]
                    announce_changes(store, changes, deliver, deliver_batch)
                else:
                    chosen = chosen_callbacks(single, changes)
                    announce_changes(store, changes, (), deliver_batch, chosen=chosen)
            for one, index in known:
                if index is not old:  # it began after the snapshot that handlers knew
                    one.deliver_changes(diff(index, new))
            for deliver_view in views:
                deliver_view()

        return self.deliveries.put(announce)

    def announce_failure(self, error: StoreError, is_cut: Callable[[], bool]) -> None:
        """Send `poll_failed`, in its turn."""

        def announce() -> None:
            store = self._store()
            if store is None or is_cut():
                return
            send_failure(store, error)
            for view in self._present_views():
                view.fail(error, is_cut)

        self.deliveries.run(self.deliveries.put(announce), given_up=is_cut)
