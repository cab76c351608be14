"""The index that a store holds: swapped, announced, and checked afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import IndexFormatError, StoreError, unforeseen_as_refusal
from ...index.changes import Changes, follow
from ..telling.subscribers import Subscribers
from .connection import Connection, seconds_since_boot

if TYPE_CHECKING:
    from ...index.snapshot import Index
    from .index_reader import Held

__all__ = ["CurrentIndex", "IndexCheck"]

_LOG = logging.getLogger("staticstore")


class CurrentIndex:
    """What a store holds of its site, and what is known of how current that is.

    The lock guards the fields, and is never held during I/O or a callback.

    Parameters
    ----------
    store : weakref.ref
        The sender of the signals.
    is_open : callable
        Returns whether the store is connected.
    update : callable
        Polls once by a connection.  Neither function may keep the store alive.

    Attributes
    ----------
    held : Held or None
        What is held, whole or in parts.
    is_lazy : bool
        Whether parts of the index are enough, until more is asked for.
    is_in_doubt : bool
        Whether the snapshot was made by changes to a document that has turned out not
        to be canonical.
    """

    def __init__(
        self,
        store: weakref.ref[Any],
        is_open: Callable[[], bool],
        update: Callable[[Connection], object],
    ) -> None:
        from ...index.freshness import Freshness  # not needed to import staticstore

        #: What the site has said so far, over all connections.
        self.freshness = Freshness()
        self.subscribers = Subscribers(store, is_open)
        #: The text of the failure of the last poll; None if that succeeded.
        self.error: str | None = None
        # When the host last confirmed the index: by the wall clock, and by one that is not set.
        self._confirmed: tuple[float, float] | None = None
        self.held: Held | None = None
        self.is_lazy = False
        self.is_in_doubt = False
        self._update = update
        self._check: IndexCheck | None = None

    @property
    def lock(self) -> threading.Lock:
        """Guards the fields, and those of the subscribers."""
        return self.subscribers.lock

    @property
    def whole(self) -> Held | None:
        """What is held, if that is the whole index."""
        held = self.held
        return held if held is not None and held.is_whole else None

    @property
    def snapshot(self) -> Index | None:
        """The snapshot that is held; None if nothing is, or parts are."""
        held = self.whole
        return None if held is None else held.index

    def after_fork(self) -> None:
        """Make this usable in a forked child."""
        self._check = None
        self.subscribers.after_fork(self.snapshot)

    def reset(self, before: Held | None) -> None:
        """Go back to what was held before a connection that failed."""
        self.held, self.subscribers.known = before, None
        self.error = self._confirmed = None
        self.freshness.forget()

    def restore(self, connection: Connection) -> Held | None:
        """Read the index from the cache, unless it is held whole; return what is."""
        found = None
        if self.whole is None and connection.cached is not None:
            found = connection.cached.read()
        if found is not None:
            held, freshness, fetched = found
            with self.lock:
                connection.check_open()
                self.held, self.subscribers.known, self.is_lazy = held, held.index, False
                self.freshness.restore(freshness)
                age = max(time.time() - fetched, 0.0)
                self._confirmed = fetched, seconds_since_boot() - age
        return self.whole

    def take_parts(self, connection: Connection, held: Held | None) -> None:
        """Hold parts of an index; with None, need the whole from now on."""
        with self.lock:
            connection.check_open()
            self.is_lazy = held is not None
            if held is not None:
                self.held = held
                self._confirm()
                connection.ready = True

    def swap(
        self, connection: Connection, base: Held | None, new: Held, *, is_confirmed: bool = True
    ) -> tuple[Changes, int]:
        """Hold another snapshot, and enqueue its announcement.

        Parameters
        ----------
        connection : Connection
            Where the snapshot is from.
        base : Held or None
            What was held.
        new : Held
            What is held from now on.
        is_confirmed : bool, optional
            Whether the host says that it is current.

        Returns
        -------
        Changes, int
            What has changed, and the number of the delivery that announces it.
        """
        old = base.index if base is not None and connection.ready else self.subscribers.known
        with unforeseen_as_refusal("the index cannot be compared with the one before it"):
            changes = Changes((), new.index) if old is None else follow(old, new.index)
        new = dataclasses.replace(new, content=changes.index)
        with self.lock:
            connection.check_open()
            self.held = new
            number = self.subscribers.put_changes(
                old, changes, connection.is_cut, is_first=not connection.ready
            )
            trouble = connection.follower.trouble
            if trouble is not None:
                self.error = trouble
            elif is_confirmed:
                self._confirm()
            connection.ready = True
            self.check(connection, new.index)
            return changes, number

    def _confirm(self) -> None:
        self.error = None
        self._confirmed = time.time(), seconds_since_boot()

    def info(self, root_url: str, *, is_open: bool) -> dict[str, Any]:
        """Return the fields of `StaticStore.info` that concern the index.

        Parameters
        ----------
        root_url : str
            The first root.
        is_open : bool
            Whether the store is connected.
        """
        from datetime import UTC, datetime

        with self.lock:
            held, confirmed, error = self.held, self._confirmed, self.error
            is_doubtful = self.freshness.is_doubtful
        is_stale = error is not None or not is_open or is_doubtful
        named: dict[str, Any] = {}
        if held is not None and held.head is not None and held.head.table is not None:
            named["table"] = root_url + held.head.table.href
        if held is not None and held.documents is not None:
            named["documents"] = held.documents
        return {
            "source": None if held is None else held.source or root_url,
            "generation": None if held is None or held.head is None else held.head.generation,
            "entries": None if held is None else held.entries,
            "last_success": confirmed and datetime.fromtimestamp(confirmed[0], UTC),
            "age": confirmed and seconds_since_boot() - confirmed[1],
            "last_error": error,
            **_trust_of(held),
            "stale": held is not None and (is_stale or held.is_from_copy),
            "warnings": [] if held is None else list(held.problems),
            **named,
        }

    def check(self, connection: Connection, index: Index) -> None:
        """Check in the background what was not checked when an index was parsed."""
        if index.is_checked or not connection.follower.checks:
            return
        if self._check is not None and self._check.covers(index):
            return
        reference = weakref.ref(self)

        def end(error: IndexFormatError | None) -> None:
            current = reference()
            if current is not None and error is not None:
                current.announce_failure(connection, error)
            elif current is not None and was_canonical and index.lines() is None:
                current._resolve(connection, index)

        was_canonical = index.lines() is not None
        self._check = IndexCheck(index, connection.cut, end)
        with contextlib.suppress(RuntimeError):  # no more threads: entries are checked when read
            self._check.start()

    def _resolve(self, connection: Connection, index: Index) -> None:
        # The document is not canonical, and its snapshot is parsed as any JSON by now.  A
        # snapshot made of it by changes is fetched anew: those may have been found by
        # comparing lines.
        if index.warnings:
            _LOG.warning("in the index, when all of it was checked: %s", index.warnings[0])
        with contextlib.suppress(StoreError):  # announced already; the next poll retries
            with connection.polling():
                held = self.snapshot
                if held is None or not held.shares_with(index) or held.is_document:
                    return
                self.is_in_doubt = True
            self._update(connection)

    def announce_failure(self, connection: Connection, error: StoreError) -> None:
        """Note the failure of a poll, and send `poll_failed`."""
        with self.lock:
            if not connection.is_usable:
                return
            self.error = str(error)
        _LOG.warning("a poll failed, and the old snapshot is kept: %s", error)
        self.subscribers.announce_failure(error, connection.is_cut)


def _trust_of(held: Held | None) -> dict[str, Any]:
    from datetime import UTC, datetime

    expires = None if held is None else held.expires
    if expires is None:
        return {"trust": None if held is None else "transport", "trust_expires": None}
    trust = "signed" if time.time() < expires else "expired"
    return {"trust": trust, "trust_expires": datetime.fromtimestamp(expires, UTC)}


class IndexCheck(threading.Thread):
    """Checks in small steps what was not checked when an index was parsed.

    Parameters
    ----------
    index : Index
        The index.
    cut : threading.Event
        Ends the thread at once.
    end : callable
        Called at the end: with the error if the document is no index, else with None.
    """

    def __init__(
        self,
        index: Index,
        cut: threading.Event,
        end: Callable[[IndexFormatError | None], object],
    ) -> None:
        super().__init__(name="staticstore index check", daemon=True)
        self._index = index
        self._cut = cut
        self._end = end

    def covers(self, index: Index) -> bool:
        """Return whether this check is running, and what it finds is true of an index."""
        return self.is_alive() and self._index.shares_with(index)

    def run(self) -> None:
        """Check, step by step."""
        if self._cut.wait(tuning.CHECK_DELAY_SECONDS):
            return
        try:
            pause = tuning.CHECK_PAUSE_SECONDS
            for _ in self._index.checking():
                began = time.monotonic()
                if self._cut.wait(pause):
                    return
                is_busy = time.monotonic() - began > pause + tuning.CHECK_BUSY_SECONDS
                pause = tuning.CHECK_LONG_PAUSE_SECONDS if is_busy else tuning.CHECK_PAUSE_SECONDS
        except IndexFormatError as error:
            self._end(error)
        except Exception:  # no memory, for example; entries are also checked when read
            _LOG.exception(
                "the check of an index failed unexpectedly; entries are checked when read"
            )
        else:
            self._end(None)
