"""The report of a request, which the signal `request_finished` sends."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Any

from ...errors import StoreError, without_secrets
from ...signals import request_finished, send_in_names_of

__all__ = ["Owners", "ReportedRequest", "RequestReport", "new_report"]


class Owners:
    """The stores in whose names requests are sent; they are not kept alive.

    Stores that were unpickled share their connections, and so their requests.  Any thread
    may use it.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may disconnect a store in any thread
        self._stores: tuple[weakref.ref[Any], ...] = ()

    def add(self, store: object) -> None:
        """Send in the name of a store, too; idempotent."""
        with self._lock:
            self.remove(store)
            self._stores = (*self._stores, weakref.ref(store))

    def remove(self, store: object) -> None:
        """Send no longer in the name of a store, nor of those that are gone."""
        with self._lock:
            kept = [one for one in self._stores if one() not in (None, store)]
            self._stores = tuple(kept)

    @property
    def alive(self) -> list[Any]:
        """The stores, the first one first; None in the place of none."""
        stores = [store for one in self._stores if (store := one()) is not None]
        return stores or [None]

    def copy(self) -> Owners:
        """Return a copy, for a forked child."""
        own = Owners()
        own._stores = self._stores
        return own


class ReportedRequest(threading.local):
    """State of the reports of a thread's requests; see `wire.CurrentRequest`.

    Attributes
    ----------
    attempt : int
        1, and one more for each repetition.
    report : RequestReport or None
        Of the request that is being sent; None if nobody listens.
    is_reporting : bool
        Whether the thread is in a handler of `request_finished`.
    """

    attempt = 1
    report: RequestReport | None = None
    is_reporting = False


class RequestReport:
    """What is known so far of a request that somebody listens to.

    Its methods may be called by any thread.

    Parameters
    ----------
    current : ReportedRequest
        Of the threads; one of the session, for all of them.
    owners : Owners
        The stores whose request it is.
    method : str
        Of the request.
    url : str
        The URL; shown without secrets.
    """

    def __init__(self, current: ReportedRequest, owners: Owners, method: str, url: str) -> None:
        self._current = current
        self._owners = owners
        self._method = method
        self._url = without_secrets(url)
        self._attempt = current.attempt
        self._status: int | None = None
        self._raw: Any = None
        self._received = 0
        self._unsent = [True]  # taken by the first thread that ends it
        self._error: StoreError | None = None
        self._seconds: float | None = None
        self._began = time.monotonic()

    def begin(self) -> None:
        """Count the time from now on: the request has waited before it is sent."""
        self._began = time.monotonic()

    def answered(self, status: int, raw: Any = None) -> None:
        """Note the answer: its status, and its body as urllib3 gives it."""
        self._status, self._raw = status, raw

    def received(self, count: int) -> None:
        """Count bytes of the body that were received past urllib3."""
        self._received += count

    def end(self, error: StoreError | None = None) -> None:
        """Note that the request has ended, for a thread that calls `finish` later.

        Parameters
        ----------
        error : StoreError, optional
            What it ended with.
        """
        if self._seconds is None:
            self._error, self._seconds = error, time.monotonic() - self._began
            if self._raw is not None:
                self._received += self._raw.tell()
                self._raw = None

    def finish(self, error: StoreError | None = None) -> None:
        """Send the signal; only the first call does.

        Parameters
        ----------
        error : StoreError, optional
            What the request ended with.
        """
        try:
            self._unsent.pop()
        except IndexError:
            return
        self.end(error)
        error = self._error
        self._current.is_reporting = True
        try:
            send_in_names_of(
                request_finished,
                self._owners.alive,
                lambda: {
                    "method": self._method,
                    "url": self._url,
                    "status": self._status or (error and error.status),
                    "bytes": self._received,
                    "seconds": self._seconds,
                    "attempt": self._attempt,
                    "error": error,
                },
            )
        finally:
            self._current.is_reporting = False


def new_report(
    current: ReportedRequest, owners: Owners, method: str, url: str
) -> RequestReport | None:
    """Return the report of a request that is about to be sent; None if nobody listens.

    Parameters
    ----------
    current, owners, method, url
        As of `RequestReport`.

    Notes
    -----
    Callers look at ``request_finished.receivers`` first: mostly it is empty.
    """
    # What a handler requests is not reported, or reports would have no end.
    if current.is_reporting or not any(map(request_finished.has_receivers_for, owners.alive)):
        return None
    return RequestReport(current, owners, method, url)
