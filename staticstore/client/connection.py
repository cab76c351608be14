"""What lives between a `connect` and the next `disconnect`."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..transport.session import Session
    from .feed import Feed
    from .poller import Poller
    from .subscription import Watch

__all__ = ["Connection"]

_FAREWELL = 0.5  # seconds that the poller gets to end; after that it is on its own


class Connection:
    """The session, the feed and the poller of a connected store; used once.

    Whatever still runs after `close` finds `is_cut`, and can neither swap a
    snapshot nor send a signal.

    Attributes
    ----------
    session : Session
        The way to the site.
    feed : Feed
        What fetches the index.
    cut : threading.Event
        Set when the connection is closed.
    ready : bool
        Whether the first index has come.
    """

    def __init__(self, session: Session, feed: Feed) -> None:
        self.session = session
        self.feed = feed
        self.cut: threading.Event = session.wire.cut
        self.ready = False
        self._poller: Poller | None = None
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._when_forgotten: weakref.finalize[..., object] | None = None

    def is_cut(self) -> bool:
        """Tell whether the connection has been closed."""
        return self.cut.is_set()

    def start(self, poller: Poller, *, owner: object) -> None:
        """Start to poll, unless closed meanwhile; close when nobody holds `owner` any more."""
        with self._lock:
            if not self.is_cut():
                self._when_forgotten = weakref.finalize(owner, self.close)
                self._poller = poller
                poller.start()

    def add_watch(self, watch: Watch) -> None:
        """Let a watch end with the connection."""
        with self._lock:
            self._watches.add(watch)
        if self.is_cut():
            watch.end()

    def close(self) -> None:
        """End every request and wait; back at once, but for what cannot be cut short."""
        self.session.close()
        with self._lock:
            watches, poller = list(self._watches), self._poller
            if self._when_forgotten is not None:
                self._when_forgotten.detach()
        for watch in watches:
            watch.end()
        if poller is not None and poller is not threading.current_thread():
            with contextlib.suppress(RuntimeError):  # at the end of the interpreter
                poller.join(_FAREWELL)
