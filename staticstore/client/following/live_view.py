"""The snapshot of a view, kept current by the sites that the view reads."""

from __future__ import annotations

import functools
import operator
import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import StoreError
from ...index.changes import Changes, diff
from ..telling.deliveries import Deliveries, has_handlers
from ..telling.subscribers import Subscribers, ViewFollower
from ..telling.subscription import ChangeSource, Subscription, SubscriptionOptions

if TYPE_CHECKING:
    from ...index.snapshot import Index
    from ..telling.watch import OpenWatch
    from .live import LiveIndex

__all__ = ["LiveView", "ViewSubscribers"]

#: The snapshot of a view, made of those of its sites, in their order.
Compose = Callable[[Sequence[Any]], "Index"]


class ViewSubscribers(Subscribers, ViewFollower):
    """The subscriptions and signal handlers of a view.

    The view follows what the handlers of its sites are told.  Its own handlers are told
    when it is connected, which is when all sites are.  As long as it has neither handlers
    nor subscriptions, no change is looked for.

    Parameters
    ----------
    view : weakref.ref
        The sender of the signals.
    sites : sequence of Subscribers
        The subscribers of the sites that the view reads.
    compose : callable
        Makes the snapshot of the view of those of the sites.
    is_open : callable
        Returns whether all sites are connected; does not keep the view alive.
    """

    def __init__(
        self,
        view: weakref.ref[Any],
        sites: Sequence[Subscribers],
        compose: Compose,
        is_open: Callable[[], bool],
    ) -> None:
        super().__init__(view, is_open)
        self._pid = os.getpid()
        self._sites = tuple(sites)
        self._compose = compose
        # By site; the first ones until there is one of each site.
        self._first: dict[Subscribers, Index] = {}
        self._current: dict[Subscribers, Index] = {}
        #: The snapshot that the deliveries enqueued so far lead to; None until there is one
        #: of each site.
        self.snapshot: Index | None = None
        #: The number of the last delivery.
        self.number = 0
        for site in self._sites:
            site.add_view(self)

    # -- following the sites -----------------------------------------------------------

    def begin(self, site: Subscribers, known: Index | None) -> None:
        """See `ViewFollower`."""
        if known is not None:
            with self.lock:
                self._take(site, known, known)

    def complete(self, snapshots: Sequence[Index]) -> None:
        """Take the present snapshots of the sites which have not announced one yet."""
        with self.lock:
            for site, index in zip(self._sites, snapshots, strict=True):
                if site not in self._current:
                    self._take(site, index, index)

    def _take(self, site: Subscribers, before: Index, index: Index) -> None:
        if self.snapshot is None:
            self._first.setdefault(site, before)
        self._current[site] = index
        if len(self._current) < len(self._sites):
            return
        if self.snapshot is None:
            self.known = self._composed(self._first)
            self._first = {}
        self.snapshot = self._composed(self._current)

    def _composed(self, by_site: Mapping[Subscribers, Index]) -> Index:
        return self._compose([by_site[site] for site in self._sites])

    def follow(
        self, site: Subscribers, before: Index | None, index: Index, *, is_first: bool
    ) -> Callable[[], None]:
        """See `ViewFollower`."""
        with self.lock:
            if self._current.get(site) is index and not is_first:
                return _nothing
            self._take(site, index if before is None else before, index)
            new = self.snapshot
            if new is None:
                return _nothing
            self.number = self._put(
                new,
                self._is_held_back,
                lambda old: (old, lambda: _changes(old, new)),
                is_first=is_first,
            )
        return self.deliver

    def is_heard(self) -> bool:
        """Return whether the view has handlers of changes."""
        view = self._store()
        return view is not None and has_handlers(view)

    def _is_held_back(self) -> bool:
        # Unless somebody listens, an old snapshot is not kept for the next connection.
        return not self.is_open() and (bool(self._subscriptions) or self.is_heard())

    def deliver(self) -> None:
        """Run the deliveries that are enqueued; wait for them unless within a delivery."""
        self.deliveries.run(self.number, given_up=lambda: not self.is_open())

    def fail(self, error: StoreError, is_cut: Callable[[], bool]) -> None:
        """See `ViewFollower`."""
        self.announce_failure(error, lambda: is_cut() or not self.is_open())

    def continue_after_fork(self, site: Subscribers, known: Index | None) -> None:
        """See `ViewFollower`."""
        if self._pid != os.getpid():
            self.lock, self.deliveries = threading.Lock(), Deliveries()
            self._pid = os.getpid()
        if known is None:
            self._current.pop(site, None)
            self.snapshot = None
        else:
            self._take(site, known, known)
        self.known = self.snapshot
        for subscription in list(self._subscriptions):
            subscription.after_fork(self.snapshot)

    # -- subscriptions -----------------------------------------------------------------

    def add(self, subscription: Subscription, index: Index) -> None:
        """Notify a subscription from now on, and keep the view alive for it."""
        super().add(subscription, index)
        for site in self._sites:
            site.hold_view(subscription, self._store())

    def remove(self, subscription: Subscription) -> None:
        """Forget a subscription, and no longer keep the view alive for it."""
        super().remove(subscription)
        for site in self._sites:
            site.release_view(subscription)


class _Composer:
    """Caches the snapshot of a view until one of its sites has another."""

    def __init__(self, make: Compose) -> None:
        self._make = make
        self._last: tuple[tuple[Any, ...], Index] | None = None

    def __call__(self, snapshots: Sequence[Any]) -> Index:
        last, own = self._last, tuple(snapshots)
        if last is not None and all(map(operator.is_, last[0], own)):
            return last[1]
        index = self._make(own)
        self._last = own, index
        return index


class LiveView(ChangeSource):
    """The snapshot of a view, and who is notified of its changes.

    Parameters
    ----------
    view : object
        The sender of the signals; not kept alive.
    sites : sequence of LiveIndex
        The indexes of the sites that the view reads, each once.
    compose : callable
        Makes the snapshot of the view of those of the sites; does not keep the view alive.
    """

    def __init__(self, view: object, sites: Sequence[LiveIndex], compose: Compose) -> None:
        self._sites = tuple(sites)
        self._make = compose
        #: Returns the snapshot of the view made of those of the sites, in their order.
        self.compose = _Composer(compose)
        self.subscribers = ViewSubscribers(
            weakref.ref(view),
            [site.subscribers for site in self._sites],
            self.compose,
            functools.partial(_are_open, self._sites),
        )

    @property
    def is_open(self) -> bool:
        """Whether all sites are connected."""
        return _are_open(self._sites)

    def connected(self) -> LiveView:
        """Return this, or raise `NotConnectedError`."""
        for site in self._sites:
            site.connected()
        return self

    @property
    def index(self) -> Index:
        """The current snapshot; lazy stores fetch theirs now."""
        return self.compose([site.index for site in self._sites])

    @property
    def snapshot(self) -> Index | None:
        """The current snapshot without I/O; None if a site has none, or parts of one."""
        snapshots = [site.snapshot for site in self._sites]
        return None if any(one is None for one in snapshots) else self.compose(snapshots)

    def about(self) -> dict[str, Any] | None:
        """Return the description of the site; None if there are several."""
        first, *others = self._sites
        return None if others else first.about()

    def update(self) -> Changes:
        """Poll each site once, now; raise the first error after all have been polled."""
        self.connected()
        before = [site.snapshot for site in self._sites]
        errors, has_changed = list[Exception](), False
        for site in self._sites:
            try:
                has_changed |= bool(site.update())
            except Exception as error:  # the user's authentication may raise anything
                errors.append(error)
        self.subscribers.deliver()
        if errors:
            raise errors[0]
        if not has_changed:
            return Changes((), lambda: self.index)
        after = [site.index for site in self._sites]
        # A lazy store had no whole snapshot, and finds no changes.
        olds = [new if old is None else old for old, new in zip(before, after, strict=True)]
        return diff(self._make(olds), self.compose(after))

    def subscribe(self, options: SubscriptionOptions) -> tuple[Subscription, Index]:
        """Return a subscription, and the snapshot from which it starts."""
        self.connected()
        subscribers = self.subscribers
        subscribers.complete([site.index for site in self._sites])

        def snapshot() -> Index:
            assert subscribers.snapshot is not None, "it is complete"
            return subscribers.snapshot

        return subscribers.subscribe(snapshot, lambda: not subscribers.is_open(), options)

    def end_at_disconnect(self, watch: OpenWatch) -> None:
        """End a watch when a site is disconnected."""
        for site in self._sites:
            site.end_at_disconnect(watch)


def _are_open(sites: Sequence[LiveIndex]) -> bool:
    return all(site.here(polls=False).is_open for site in sites)


def _nothing() -> None:
    pass


def _changes(old: Index | None, new: Index) -> Changes:
    return Changes((), new) if old is None else diff(old, new)
