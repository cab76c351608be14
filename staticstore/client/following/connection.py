"""A connection to a site: what lives from `connect` to the next `disconnect`."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from ... import tuning
from ...errors import AuthorizationError, HTTPStatusError, NotConnectedError, StoreError

if TYPE_CHECKING:
    from ...transport.http.session import Session
    from ...transport.values.remote_value import Sources
    from ..cache.index import CachedIndex
    from ..telling.watch import OpenWatch
    from .documents import Documents
    from .index_reader import Held

__all__ = ["Begun", "Connection", "Follower", "Poller", "seconds_since_boot"]

_LOG = logging.getLogger("staticstore")

#: Called with each connection that is about to fetch its first index.
Begun = Callable[["Connection"], object]

_JITTER_PART = 0.1  # of the interval, so that a thousand readers do not poll at once
_MOST_DOUBLINGS = 30  # after a thousand, the pause would overflow a float
_REFUSED_DOUBLINGS = 2  # slower, so that wrong credentials do not lock an account

_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def seconds_since_boot() -> float:
    """Return the time of a clock that is never set; counts sleep where possible."""
    return time.monotonic() if _SINCE_BOOT is None else time.clock_gettime(_SINCE_BOOT)


class Follower(Protocol):
    """Fetches the index for a connection: a `DirectFollower`, or an `IndirectFollower`."""

    @property
    def session(self) -> Session:
        """The session of the first root."""
        ...

    @property
    def cut(self) -> threading.Event:
        """Set when the follower is closed."""
        ...

    @property
    def max_bytes(self) -> int:
        """The most bytes that an index may have."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the roots and their documents, for people."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the host has not confirmed what `fetch` returned; None if it has."""
        ...

    @property
    def checks(self) -> bool:
        """Whether indexes are to be checked in the background by who asks for them."""
        ...

    def serve(self, owner: object) -> None:
        """Send the requests in the name of `owner`, which is not kept alive."""

    def close(self) -> None:
        """End every current and future request; never blocks."""

    def sources(self, held: Held) -> Sources:
        """Return where the values of a snapshot can be read."""
        ...

    def documents(self, held: Held) -> Documents:
        """Return the documents that the head of a snapshot names."""
        ...

    def fetch(
        self,
        held: Held | None,
        *,
        seconds: float | None = None,
        anew: bool = False,
        every: bool = False,
    ) -> Held | None:
        """Return the current index, whole; None if it is the one that is held."""
        ...

    def part(self, held: Held | None) -> Held | None:
        """Return the current index, in parts; None if there are none."""
        ...

    def whole(self, held: Held) -> Held:
        """Return the index of a snapshot, whole."""
        ...


class Connection:
    """The follower, the poller and the watches of a connected store; used once.

    After `close` no thread can swap a snapshot or send a signal.  In a forked child the
    connection is cut, and `close` does nothing; `after_fork` returns the child's own.

    Parameters
    ----------
    follow : callable
        Makes the follower.
    cached : CachedIndex or None
        Keeps the index on disk; also an attribute.
    poll_interval : float
        Seconds between polls, 0 for no polling; also an attribute.

    Attributes
    ----------
    follower : Follower
        Fetches the index, and knows the roots of the site.
    cut : threading.Event
        Set when the connection is closed.
    ready : bool
        Whether the store has had its first index.
    """

    def __init__(
        self,
        follow: Callable[[], Follower],
        cached: CachedIndex | None,
        poll_interval: float,
    ) -> None:
        self.follower = follow()
        self.cached = cached
        self.poll_interval = poll_interval
        self.cut = self.follower.cut
        self.ready = False
        self._follow = follow
        self._pid = os.getpid()
        self._poller: Poller | None = None
        self._watches: weakref.WeakSet[OpenWatch] = weakref.WeakSet()
        self._lock = threading.RLock()  # a finalizer may call `close` in any thread
        self._finalizer: weakref.finalize[..., object] | None = None
        # One poll at a time: a slow answer must not replace a newer one.
        self._polling = threading.Lock()

    def after_fork(self) -> Connection:
        """Return a connection for a forked child, which does not poll yet."""
        own = Connection(self._follow, self.cached, self.poll_interval)
        own.ready = self.ready
        for watch in list(self._watches):
            own.add_watch(watch)
        return own

    def is_cut(self) -> bool:
        """Return whether the connection is closed, or belongs to another process."""
        return self.cut.is_set() or self._pid != os.getpid()

    def check_open(self) -> None:
        """Raise `NotConnectedError` if `is_cut`."""
        if self.is_cut():
            raise NotConnectedError("the store was disconnected")

    @property
    def is_usable(self) -> bool:
        """Whether the first index has come and the connection is not closed."""
        return self.ready and not self.cut.is_set()

    def close_with(self, owner: object) -> None:
        """Close the connection when `owner` is garbage; until then its requests are the owner's."""
        self.follower.serve(owner)
        self._finalizer = weakref.finalize(owner, self.close)

    def start(self, poller: Poller) -> None:
        """Start to poll, unless the connection is closed."""
        with self._lock:
            if not self.is_cut():
                self._poller = poller
                poller.start()

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        """Hold the right to poll; wait until no other thread has it.

        Raises
        ------
        NotConnectedError
            The connection was closed meanwhile.
        StoreError
            A handler of `request_finished` polls, perhaps during a poll of this thread.
        """
        if self.follower.session.wire.current.is_reporting:
            raise StoreError("a handler of request_finished cannot poll: do it in another thread")
        while not self._polling.acquire(timeout=tuning.CUT_CHECK_SECONDS):
            self.check_open()
        try:
            yield
        finally:
            self._polling.release()

    def add_watch(self, watch: OpenWatch) -> None:
        """End a watch when the connection is closed."""
        with self._lock:
            self._watches.add(watch)
        if self.is_cut():
            watch.end()

    def close(self) -> None:
        """End all requests, polls and watches; waits half a second at most."""
        if self._pid != os.getpid():
            return
        self.follower.close()
        with self._lock:
            watches, poller = list(self._watches), self._poller
            if self._finalizer is not None:
                self._finalizer.detach()  # else it holds the connection as long as the owner lives
        for watch in watches:
            watch.end()
        if poller is not None and poller is not threading.current_thread():
            with contextlib.suppress(RuntimeError):  # at the end of the interpreter
                poller.join(tuning.POLLER_JOIN_SECONDS)


class Poller(threading.Thread):
    """Polls at intervals until it is cut.

    The time between polls is `interval`, plus or minus a tenth.  It doubles after each
    failure, up to an hour.  A longer Retry-After of the host is respected.  Refused
    credentials are retried at a quarter of that pace.  Until the first poll has
    succeeded, five seconds replace a longer interval.

    Parameters
    ----------
    poll : callable
        Polls once; returns an error, None, or False to end the thread.
    interval : float
        Seconds between polls.
    cut : threading.Event
        Ends the thread, at once if it waits.
    begin : callable, optional
        Called once, first, in the thread.
    has_polled : bool, optional
        Whether a poll has succeeded before.
    clock : callable, optional
        Returns seconds; for tests.
    """

    def __init__(
        self,
        poll: Callable[[], StoreError | bool | None],
        interval: float,
        cut: threading.Event,
        *,
        begin: Callable[[], object] | None = None,
        has_polled: bool = True,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        super().__init__(name="staticstore-poller", daemon=True)
        self._poll = poll
        self._interval = interval
        self._cut = cut
        self._pid = os.getpid()
        self._begin = begin
        self._has_polled = has_polled
        self._clock = clock
        self._failures = 0

    def run(self) -> None:
        """Wait and poll, in turn."""
        error: StoreError | None = None
        if self._begin is not None:
            self._outcome_of(self._begin)
        while self._wait(self.pause(error)):
            outcome = self._outcome_of(self._poll)
            if outcome is False or self._pid != os.getpid():  # a handler may fork
                return
            error = outcome if isinstance(outcome, StoreError) else None
            self._failures = self._failures + 1 if error is not None else 0
            self._has_polled = self._has_polled or error is None

    def _outcome_of(self, call: Callable[[], object]) -> object:
        try:
            return call()
        except BaseException as unforeseen:
            # A bug, no memory, a handler that calls sys.exit: logged, and polling goes on.
            _LOG.exception("a poll failed unexpectedly; polling goes on")
            return StoreError(f"a poll failed: {type(unforeseen).__name__}")

    def pause(self, error: StoreError | None) -> float:
        """Return the seconds to wait after a poll, which raised `error` or succeeded."""
        pause = self._interval
        if not self._has_polled:
            pause = min(pause, tuning.FIRST_POLL_RETRY_SECONDS)
        if error is not None:
            doublings = min(self._failures, _MOST_DOUBLINGS)
            if isinstance(error, AuthorizationError):
                doublings += _REFUSED_DOUBLINGS
            pause = min(pause * 2**doublings, max(pause, tuning.LONGEST_POLL_BACKOFF_SECONDS))
        pause *= random.uniform(1 - _JITTER_PART, 1 + _JITTER_PART)
        if isinstance(error, HTTPStatusError) and error.retry_after is not None:
            requested = min(error.retry_after, tuning.LONGEST_POLL_BACKOFF_SECONDS)
            return max(pause, requested * random.uniform(1, 1 + _JITTER_PART))
        return pause

    def _wait(self, seconds: float) -> bool:
        # False if the connection was cut.  The timeout of an event stands still while the machine
        # sleeps, so a long wait checks the clock in between.
        due = self._clock() + seconds
        while (left := due - self._clock()) > 0:
            if self._cut.wait(min(left, tuning.CLOCK_CHECK_SECONDS)):
                return False
            if self._clock() > due + tuning.CLOCK_CHECK_SECONDS:
                # The machine slept, and others may wake with it: do not all poll at once.
                most = min(self._interval * _JITTER_PART, tuning.LONGEST_WAKE_SECONDS)
                return not self._cut.wait(random.uniform(0, most))
        return not self._cut.is_set()
