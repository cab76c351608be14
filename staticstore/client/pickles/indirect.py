"""The index that all stores of one site share which were unpickled in a process."""

from __future__ import annotations

import copy
import math
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import AuthorizationError, NotConnectedError, StoreError, TransportError
from ...processes import PerProcess
from ..following.connection import Connection

if TYPE_CHECKING:
    from ...transport.http.session import Session
    from ...transport.values.remote_value import Sources
    from ..access import SharedSite
    from ..following.documents import Documents
    from ..following.index_reader import Held
    from ..following.live import LiveIndex

__all__ = ["Connect", "IndirectFollower"]

#: Connects an index to a site by its sessions, and says what is to be warned of.
Connect = Callable[["SharedSite"], "tuple[LiveIndex, tuple[str, ...]]"]


class _CommonIndex:
    """The index of a shared site, polled when a store asks for it; sends no signals.

    Any thread may use it.

    Parameters
    ----------
    connect : callable
        Connects an index to a site, and says what is to be warned of.
    patience : float
        For how many seconds after a poll the snapshot counts as current.
    """

    def __init__(self, connect: Connect, patience: float) -> None:
        self._connect = connect
        self._patience = patience
        self._turn = PerProcess(threading.Lock)
        self._live: LiveIndex | None = None
        # When the last poll began, and what has failed last and when, by the monotonic clock.
        self._polled_at = -math.inf
        self._failure: tuple[float, StoreError] | None = None
        #: Why the last poll failed; None if it did not.
        self.trouble: str | None = None
        #: What is to be warned of from the beginning.
        self.warnings: tuple[str, ...] = ()

    @property
    def live(self) -> LiveIndex:
        """The index, which `refresh` has connected."""
        assert self._live is not None
        return self._live.here()

    def refresh(self, site: SharedSite, cut: threading.Event, *, anew: bool) -> LiveIndex:
        """Connect or poll, unless that has happened a moment ago, and return the index.

        Of threads that wait for each other one asks the host, also in the name of the others.

        Parameters
        ----------
        site : SharedSite
            The site.
        cut : threading.Event
            Ends waiting for another thread.
        anew : bool
            Whether to poll in any case, and to raise what fails.
        """
        asked_at, turn = time.monotonic(), self._turn.get()
        while not turn.acquire(timeout=tuning.CUT_CHECK_SECONDS):
            if cut.is_set():
                raise NotConnectedError("the store was disconnected")
        try:
            if self._failure is not None and self._failure[0] >= asked_at:
                raise copy.copy(self._failure[1])
            if self._polled_at < asked_at - (0.0 if anew else self._patience):
                self._ask(site, tolerates=not anew)
        finally:
            turn.release()
        return self.live

    def _ask(self, site: SharedSite, *, tolerates: bool) -> None:
        began = time.monotonic()
        try:
            if self._live is None:
                self._live, self.warnings = self._connect(site)
            else:
                self.live.update()
            self.trouble = self._live.info("")["last_error"]
        except StoreError as error:
            is_outage = isinstance(error, TransportError)
            is_outage = is_outage and not isinstance(error, AuthorizationError)
            if self._live is None or not (tolerates and is_outage):
                self._failure = time.monotonic(), error
                raise
            self.trouble = str(error)
        self._polled_at = began


class IndirectFollower:
    """Follows a site by an index that other stores of this process have, too.

    The first snapshot is one that the host has confirmed a moment ago; if the host does not
    answer, the last one, with `trouble`.  Any later one is asked for, for all of them.  It
    ends alone: what the others use stays open.

    Parameters
    ----------
    site : SharedSite
        Whose sessions and index are used.
    connect : callable
        Connects the index, if that has not happened yet.

    Attributes
    ----------
    cut, trouble, checks
        As in `Follower`.
    """

    checks = False  # `_CommonIndex` does

    def __init__(self, site: SharedSite, connect: Connect) -> None:
        self.cut = threading.Event()
        self.trouble: str | None = None
        self._site = site
        interval: float = dict(site.settings.options)["poll_interval"]
        patience = min(tuning.SHARED_INDEX_SECONDS, interval or math.inf)
        self._common = site.index(lambda: _CommonIndex(connect, patience))
        # What was returned last.
        self._content: object = None
        self._owner: weakref.ref[Any] | None = None

    @classmethod
    def connection(cls, site: SharedSite, connect: Connect) -> Connection:
        """Return a connection for a store that was unpickled."""
        return Connection(partial(cls, site, connect), None, 0)

    @property
    def session(self) -> Session:
        """The session of the first root."""
        return self._site.sessions[0]

    @property
    def max_bytes(self) -> int:
        """The most bytes that an index may have."""
        return self._common.live.connected().follower.max_bytes

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the site, for people."""
        return (*self._common.warnings, *self._common.live.info("")["warnings"])

    def serve(self, owner: object) -> None:
        """Send the requests in the name of `owner`, too, which is not kept alive."""
        self._owner = weakref.ref(owner)
        self.session.wire.owners.add(owner)

    def close(self) -> None:
        """End this follower; the sessions stay open."""
        self.cut.set()
        if self._owner is not None and (owner := self._owner()) is not None:
            self.session.wire.owners.remove(owner)

    def sources(self, held: Held) -> Sources:
        """Return where the values of a snapshot can be read."""
        return self._common.live.connected().follower.sources(held)

    def documents(self, held: Held) -> Documents:
        """Return the documents that the head of a snapshot names."""
        return self._common.live.connected().follower.documents(held)

    def fetch(
        self,
        held: Held | None,
        *,
        seconds: float | None = None,
        anew: bool = False,
        every: bool = False,
    ) -> Held | None:
        """Return the current index, whole; None if it is the one that was returned last.

        Parameters
        ----------
        held : Held or None
            What is held; None if nothing is, and a snapshot of a moment ago will do.
        seconds : float, optional
            Not used: others may wait for the same request.
        anew : bool, optional
            Whether to return it in any case.
        every : bool, optional
            Not used: all documents are asked for.
        """
        new = self._refresh(held).held
        if new.content is self._content and held is not None and not anew:
            return None
        self._content = new.content
        return new

    def part(self, held: Held | None) -> Held | None:
        """Return the current index, in parts; None if there are none."""
        found = self._refresh(held).current
        return None if found is None or found.is_whole else found

    def whole(self, held: Held) -> Held:
        """Return the index whole, of which parts are held."""
        found = self._common.live.held
        self._content = found.content
        return found

    def _refresh(self, held: Held | None) -> LiveIndex:
        live = self._common.refresh(self._site, self.cut, anew=held is not None)
        self.trouble = self._common.trouble
        return live
