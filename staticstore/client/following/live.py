"""The index of a site, kept current: fetched, swapped and announced."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import (
    AuthorizationError,
    ForeignError,
    IntegrityError,
    NotConnectedError,
    StoreError,
    TransportError,
)
from ...index.changes import Changes
from ...index.snapshot import Index
from ...processes import PerProcess
from ..telling.subscription import ChangeSource, Subscription, SubscriptionOptions
from .connection import Connection, Poller
from .current_index import CurrentIndex

if TYPE_CHECKING:
    from ...index.freshness import Freshness
    from ..telling.subscribers import Subscribers
    from ..telling.watch import OpenWatch
    from .held import LazyIndex
    from .index_reader import Held

__all__ = ["LiveIndex"]

_LOG = logging.getLogger("staticstore")


class LiveIndex(ChangeSource):
    """Connects a store to its site, polls it, and gives the current snapshot.

    In a forked child `here` must be called before any other method.

    Parameters
    ----------
    store : object
        The sender of the signals; not kept alive.
    """

    def __init__(self, store: object) -> None:
        self._store = weakref.ref(store)
        self._pid = os.getpid()
        self._inheriting = PerProcess(threading.Lock)
        self._connection: Connection | None = None
        reference = weakref.ref(self)

        def is_open() -> bool:
            live = reference()
            return live is not None and live.is_open

        def update(connection: Connection) -> None:
            live = reference()
            if live is not None:
                live._update(connection)

        self._current = CurrentIndex(self._store, is_open, update)

    @property
    def freshness(self) -> Freshness:
        """What the site has said so far, over all connections."""
        return self._current.freshness

    @property
    def subscribers(self) -> Subscribers:
        """Who is notified of changes, over all connections."""
        return self._current.subscribers

    # -- processes -------------------------------------------------------------

    @property
    def is_here(self) -> bool:
        """Whether it belongs to this process, so that `here` does nothing."""
        return self._pid == os.getpid()

    def here(self, *, polls: bool = True) -> LiveIndex:
        """Return this, made usable in a child that was forked since.

        The child continues from the snapshot that it inherits, by a connection of its
        own, and polls if its parent did.  It does not announce what its parent had yet
        to announce.

        Parameters
        ----------
        polls : bool, optional
            Whether to start to poll.
        """
        if not self.is_here:
            with self._inheriting.get():
                if not self.is_here:
                    self._inherit(polls)
        return self

    def _inherit(self, polls: bool) -> None:
        before = self._connection
        self._current.after_fork()
        # A connection that was not ready yet was made by a thread of the parent.
        own = before.after_fork() if before is not None and before.ready else None
        self._connection = own
        self._pid = os.getpid()
        if own is None:
            return
        own.close_with(self._store())
        if polls and not own.is_cut():
            if (index := self.snapshot) is not None:
                self._current.check(own, index)
            if own.poll_interval > 0:
                self._start_polling(own)

    # -- connecting ------------------------------------------------------------

    def open(self, connection: Connection, *, is_lazy: bool = False) -> None:
        """Fetch the index and start to poll; see `StaticStore.connect`."""
        current = self._current
        with current.lock:
            if self._connection is not None and not self._connection.is_cut():
                raise StoreError("the store is connected already: disconnect it first")
            self._connection = connection
            before = current.held
            current.is_lazy = is_lazy and current.whole is None
        connection.close_with(self._store())
        try:
            self._start(connection, in_a_hurry=connection.poll_interval > 0)
            if connection.poll_interval > 0:
                self._start_polling(connection)
            else:
                self._write_cache(connection)
        except BaseException:
            self._close(connection)
            if not connection.ready and (before is None or not before.is_whole):
                current.reset(before)  # refused clients do not get what the cache has
            raise

    def _start(self, connection: Connection, *, in_a_hurry: bool) -> None:
        current, cached = self._current, connection.cached
        if not current.is_lazy:
            current.restore(connection)
        elif cached is not None and current.held is None:
            current.freshness.restore(cached.freshness())
        is_patient = not in_a_hurry or cached is None or current.whole is None
        try:
            seconds = None if is_patient else tuning.CONNECT_PATIENCE_SECONDS
            self._update(connection, seconds=seconds)
        except AuthorizationError:  # not hidden by what the cache has
            raise
        except TransportError as error:
            held = None if cached is None else current.restore(connection)
            if held is None:
                raise
            _, number = current.swap(connection, None, held, is_confirmed=False)
            self._deliver(connection, number)
            current.announce_failure(connection, error)

    def _write_cache(self, connection: Connection) -> None:
        current, cached = self._current, connection.cached
        held = current.whole
        if held is None or cached is None:
            return
        if current.error is not None:
            cached.count(held, current.freshness)
        elif not cached.write(held, current.freshness, connection.is_cut):
            _LOG.warning("changes led to other bytes than the head names: the index is fetched")
            with connection.polling():
                whole = connection.follower.whole(held)
                _, number = current.swap(connection, held, whole)
            self._deliver(connection, number)

    def _deliver(self, connection: Connection, number: int) -> None:
        self.subscribers.deliveries.run(number, given_up=connection.is_cut)

    def close(self) -> None:
        """Close the connection; see `StaticStore.disconnect`."""
        with self._current.lock:
            connection = self._connection
        if connection is not None:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        connection.close()
        with self._current.lock:
            if self._connection is connection:
                self._connection = None

    def _start_polling(self, connection: Connection) -> None:
        # The thread must not keep the store alive, or neither would ever end.
        reference = weakref.ref(self)

        def poll() -> StoreError | bool | None:
            live = reference()
            if live is None or connection.is_cut():
                return False
            try:
                live._update(connection)
                live._write_cache(connection)
            except StoreError as error:
                return error
            return None

        def begin() -> None:
            live = reference()
            if live is not None:
                live._write_cache(connection)

        index = self.snapshot
        # An unchecked index is a large one, whose entries are not even counted yet.
        if index is not None and index.is_checked and len(index) <= tuning.CACHED_AT_ONCE_ENTRIES:
            self._write_cache(connection)
        has_polled = self._current.error is None
        interval = connection.poll_interval
        connection.start(Poller(poll, interval, connection.cut, begin=begin, has_polled=has_polled))

    # -- what is held ----------------------------------------------------------

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
    def current(self) -> Held | None:
        """What is held of the site, whole or in parts."""
        return self._current.held

    @property
    def held(self) -> Held:
        """What is held of the site, whole: a lazy store fetches the index now."""
        held = self._current.held
        if held is None:
            raise NotConnectedError("the store has no index yet: call connect() first")
        if not held.is_whole:
            connection = self.here().connected()
            with connection.polling():
                number = self._complete(connection)
            self._deliver(connection, number)
            return self.held
        return held

    @property
    def index(self) -> Index:
        """The current snapshot, or the last one after a disconnect; see `held`."""
        return self.held.index

    @property
    def snapshot(self) -> Index | None:
        """The snapshot that is held; None if nothing is, or parts are."""
        return self._current.snapshot

    def readable(self) -> tuple[Index | LazyIndex, Held]:
        """Return the current snapshot, or a lazy one in its place, and where it is from."""
        held = self._current.held or self.held
        content = held.content
        if isinstance(content, Index):
            return content, held
        from .held import IndexParts, LazyIndex

        def whole() -> tuple[str, Index]:
            found = self.held
            return found.sha256, found.index

        assert isinstance(content, IndexParts)
        return LazyIndex(content, whole), held

    def _complete(self, connection: Connection) -> int:
        # Fetches the whole index of which parts are held; the caller has the right to poll.
        held = self._current.held
        if held is None or held.is_whole:
            return 0
        try:
            whole: Held | None = connection.follower.whole(held)
        except IntegrityError:  # the site has another index by now
            whole = connection.follower.fetch(held)
        if whole is None:
            raise TransportError(
                "the host has only an index that is older than the parts which were read"
            )
        _, number = self._current.swap(connection, None, whole)
        return number

    def info(self, root_url: str) -> dict[str, Any]:
        """Return the fields of `StaticStore.info` that concern the index."""
        info, connection = self._current.info(root_url, is_open=self.is_open), self._connection
        if connection is not None:
            problems = (*info["warnings"], *connection.follower.problems)
            info["warnings"] = list(dict.fromkeys(problems))
        return info

    def about(self) -> dict[str, Any] | None:
        """Return the description of the site; see `StaticStore.about`."""
        from ..site_snapshot import read_about

        follower, held = self.connected().follower, self.current
        return None if held is None else read_about(held, follower)

    # -- polling ---------------------------------------------------------------

    def update(self) -> Changes:
        """Poll once, now; see `StaticStore.update_index`."""
        connection = self.connected()
        changes = self._update(connection, every=True)
        self._write_cache(connection)
        return changes

    def _update(
        self, connection: Connection, *, seconds: float | None = None, every: bool = False
    ) -> Changes:
        current = self._current
        try:
            with connection.polling():
                if self._poll_parts(connection):
                    return Changes((), lambda: self.index)
                if current.held is None:  # a lazy store whose site serves no parts
                    current.restore(connection)
                self._complete(connection)
                held = current.held
                is_unusable = held is not None and held.index.refusal is not None
                anew = current.is_in_doubt or is_unusable
                follower = connection.follower
                new = follower.fetch(held, seconds=seconds, anew=anew, every=every) or held
                assert new is not None, "a follower gives an index where none is held"
                changes, number = current.swap(connection, held, new)
                current.is_in_doubt = False
        except Exception as error:  # the user's authentication may raise anything
            current.announce_failure(connection, _as_store_error(error))
            if connection.cached is not None and (held := current.whole) is not None:
                connection.cached.count(held, current.freshness)
            raise
        self._deliver(connection, number)
        return changes

    def _poll_parts(self, connection: Connection) -> bool:
        """Poll the parts of a lazy store; False if the whole index is needed, now or always."""
        current = self._current
        if not current.is_lazy or current.whole is not None or self.subscribers.is_heard():
            return False
        held = connection.follower.part(current.held)
        current.take_parts(connection, held)
        return held is not None

    # -- subscriptions ---------------------------------------------------------

    def subscribe(self, options: SubscriptionOptions) -> tuple[Subscription, Index]:
        """Return a subscription, and the snapshot from which it starts."""
        is_cut = self.connected().is_cut
        return self.subscribers.subscribe(lambda: self.index, is_cut, options)

    def end_at_disconnect(self, watch: OpenWatch) -> None:
        """End a watch when the present connection is closed."""
        self.connected().add_watch(watch)


def _as_store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    # Without its text, which may contain a secret.
    failure = StoreError(f"a poll failed: {type(error).__name__}")
    failure.__cause__ = ForeignError.of(error).with_traceback(error.__traceback__)
    return failure
