"""What lives between a `connect` and the next `disconnect`."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from ..errors import NotConnectedError
from .deliveries import PATIENCE

if TYPE_CHECKING:
    from ..transport.session import Session
    from ..transport.sources import Sources
    from .cached_index import CachedIndex
    from .documents import Documents
    from .held import Held
    from .lazy import Partial
    from .poller import Poller
    from .subscription import Watch

__all__ = ["Connection", "Follower"]

_FAREWELL = 0.5  # seconds that the poller gets to end; after that it is on its own


class Follower(Protocol):
    """What follows the index of a site, for a store that holds what it gives.

    One poll at a time calls `fetch`, `part`, `whole` or `whole_again`; all else is
    for any thread.  Every call ends when the session's wire is cut.
    """

    #: The most that an index may have.
    max_bytes: int

    @property
    def session(self) -> Session:
        """The way to the first root."""
        ...

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the roots and what they gave, for people."""
        ...

    def fetch(
        self, held: Held | Partial | None, *, seconds: float | None = None, anew: bool = False
    ) -> Held | None:
        """Return the current index; None if nothing newer than what is held is there."""
        ...

    def part(self, held: Partial | None) -> Partial | None:
        """Return by what parts of the current index can be read; None if there are none."""
        ...

    def whole(self, partial: Partial) -> Held | None:
        """Return the whole of an index of which parts were read; None if it is gone."""
        ...

    def whole_again(self, held: Held) -> Held:
        """Return what the head of a snapshot names, in place of what was made of changes."""
        ...

    def sources(self, held: Held | Partial) -> Sources:
        """Return where the values of a snapshot can be had."""
        ...

    def documents(self, held: Held | Partial, seconds: float | None = None) -> Documents:
        """Return the documents that the head of a snapshot names."""
        ...

    def close(self) -> None:
        """Cut every connection; never blocks."""
        ...


class Connection:
    """The session, the follower and the poller of a connected store; used once.

    Whatever still runs after `close` finds `is_cut`, and can neither swap a
    snapshot nor send a signal.  In a forked child it is cut, and closing it there
    does nothing; `after_fork` gives the child's own.

    Parameters
    ----------
    follow : callable
        Makes the follower.
    cached : CachedIndex, optional
        What keeps the index on disk; also an attribute.
    poll_interval : float, optional
        Seconds between polls, 0 for no polling; also an attribute.

    Attributes
    ----------
    follower : Follower
        What fetches the index, and knows the ways to the site.
    cut : threading.Event
        Set when the connection is closed.
    ready : bool
        Whether the first index has come.
    """

    def __init__(
        self,
        follow: Callable[[], Follower],
        cached: CachedIndex | None = None,
        poll_interval: float = 0,
    ) -> None:
        self.follower = follow()
        self.cached = cached
        self.poll_interval = poll_interval
        self.cut: threading.Event = self.follower.session.wire.cut
        self.ready = False
        self._follow = follow
        self._pid = os.getpid()
        self._poller: Poller | None = None
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._lock = threading.RLock()  # a finalizer may close it in any thread
        self._when_forgotten: weakref.finalize[..., object] | None = None
        # One poll at a time, lest a slow answer put an old index over a newer
        # one.  Who reads never waits for it.
        self._polling = threading.Lock()

    def after_fork(self) -> Connection:
        """Return a connection of a child's own, closed if this one was; it does not poll yet."""
        own = Connection(self._follow, self.cached, self.poll_interval)
        own.ready = self.ready
        for watch in list(self._watches):
            own.add_watch(watch)
        return own

    def is_cut(self) -> bool:
        """Tell whether the connection has been closed, or belongs to another process."""
        return self.cut.is_set() or self._pid != os.getpid()

    @property
    def is_usable(self) -> bool:
        """Whether the first index has come and the connection has not been closed."""
        return self.ready and not self.cut.is_set()

    def belong_to(self, owner: object) -> None:
        """Close when nobody holds `owner` any more."""
        self._when_forgotten = weakref.finalize(owner, self.close)

    def start(self, poller: Poller) -> None:
        """Start to poll, unless closed meanwhile."""
        with self._lock:
            if not self.is_cut():
                self._poller = poller
                poller.start()

    @contextlib.contextmanager
    def polling(self) -> Iterator[None]:
        """Wait for the poll that goes on, if any, and be the one that polls.

        Raises
        ------
        NotConnectedError
            The connection was closed meanwhile.
        """
        while not self._polling.acquire(timeout=PATIENCE):
            if self.is_cut():
                raise NotConnectedError("the store was disconnected")
        try:
            yield
        finally:
            self._polling.release()

    def add_watch(self, watch: Watch) -> None:
        """Let a watch end with the connection."""
        with self._lock:
            self._watches.add(watch)
        if self.is_cut():
            watch.end()

    def close(self) -> None:
        """End every request and wait; back at once, but for what cannot be cut short."""
        if self._pid != os.getpid():
            return
        self.follower.close()
        with self._lock:
            watches, poller = list(self._watches), self._poller
            if self._when_forgotten is not None:
                self._when_forgotten.detach()
        for watch in watches:
            watch.end()
        if poller is not None and poller is not threading.current_thread():
            with contextlib.suppress(RuntimeError):  # at the end of the interpreter
                poller.join(_FAREWELL)
