"""Carry many requests by threads, on the connections of urllib3's pool."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from urllib3 import Timeout

from ... import tuning
from ...errors import NotConnectedError, StoreError, TransportError, TransportTimeout
from ..http.cancellation import shut_down
from ..http.failures import mapped
from ..http.http1 import allowance
from ..http.wire import Bounds, Wire
from .carrier import Carrier, ConnectionCount, Outcome, SubmittedRequest
from .request import accepted, refusal

if TYPE_CHECKING:
    from ...workers import Workers

__all__ = ["ThreadCarrier", "requests_at_once"]

_LOG = logging.getLogger("staticstore")


def requests_at_once(wire: Wire, most: int) -> int:
    """Return how many requests to send at once, at most: fewer at a limited rate."""
    return min([most, *(limit.requests for limit in wire.limits)])


class ThreadCarrier(Carrier):
    """Sends many requests by daemon threads, each one after the other.

    It observes the limits on the rate of the session.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._count = ConnectionCount(1, tuning.MANY_THREADS)
        self._threads = 0  # that are sending
        self._is_watched = False
        self._closing = threading.Event()
        self._workers: Workers | None = None
        self._sockets: dict[SubmittedRequest, socket.socket] = {}

    def _begin(self) -> None:
        if not self._threads:
            self._count.reset()
        most = requests_at_once(self._wire, self._count.current)
        idle = min(most - self._threads, len(self._waiting))
        for _ in range(idle):
            self._start(self._work)
            self._threads += 1
        if self._waiting and not self._is_watched:
            self._start(self._watch)
            self._is_watched = True

    def _start(self, call: Callable[[], None]) -> None:
        if self._workers is None:
            from ...workers import Workers  # slow to import: concurrent.futures

            self._workers = Workers(tuning.MANY_THREADS + 1, "staticstore carrier")
        self._workers.submit(call)

    def _stop(self, request: SubmittedRequest) -> None:
        if (sock := self._sockets.pop(request, None)) is not None:
            shut_down(sock)

    def _end(self) -> None:
        self._closing.set()
        if self._workers is not None:
            self._workers.close()

    def join(self, seconds: float) -> None:
        """Do nothing: threads that wait for a connection cannot be ended."""

    # -- in a thread -----------------------------------------------------------

    def _work(self) -> None:
        while (one := self._take()) is not None:
            began = time.monotonic()
            outcome, failure = self._fetched(one)
            self._count.note_answer(time.monotonic() - began)
            with self._lock:
                self._running.discard(one)
                self._sockets.pop(one, None)
            one.end(outcome, failure)

    def _take(self) -> SubmittedRequest | None:
        with self._lock:
            for one in self._next(1):
                self._count.note_size(one.request.size)
                self._begin()  # in other threads, what waits for a slow host
                return one
            self._threads -= 1
            return None

    def _watch(self) -> None:
        # While requests wait for answers that do not come, more threads send them.
        while not self._closing.wait(self._count.note_wait()):
            with self._lock:
                if not self._waiting:
                    self._is_watched = False
                    return
                self._begin()

    def _note_socket(self, one: SubmittedRequest, sock: socket.socket) -> None:
        with self._lock:
            self._sockets[one] = sock
        if one.has_ended:  # canceled while it connected
            shut_down(sock)

    def _fetched(self, one: SubmittedRequest) -> tuple[Outcome, StoreError | None]:
        try:
            return self._fetch(one)
        except Exception:
            _LOG.exception("sending a request failed unexpectedly")
            return None, None

    def _fetch(self, one: SubmittedRequest) -> tuple[Outcome, StoreError | None]:
        """Send a request; return its outcome, and the error to report."""
        template, request, report = one.template, one.request, one.report
        # urllib3 logs what it sees of the target: not a query, which may be a secret.
        target, query = one.target
        current = self._wire.current
        current.bounds = Bounds(template.timeout[1], None, template.min_rate, template.check_peer)
        current.query = query
        current.note_socket = partial(self._note_socket, one)
        if report is not None:
            report.begin()
        failure: StoreError | None = None
        try:
            with mapped(self._wire, key=None, url=None):
                response = template.pool.urlopen(
                    "GET",
                    target,
                    headers=dict(one.headers),
                    redirect=False,
                    assert_same_host=False,  # a proxy is asked by whole URLs
                    retries=False,
                    preload_content=False,
                    timeout=Timeout(*template.timeout),
                )
                if report is not None:
                    report.answered(response.status, response)
                # A response that was read to its end has returned its connection.
                current.allowance = allowance(request.size)
                with contextlib.closing(response):
                    if request.start is not None and response.status == 200:
                        return None, None  # the whole: do not read as far as the part
                    body = response.read(request.size + 1, decode_content=False)
                    if response.length_remaining and len(body) <= request.size:
                        failure = TransportError(f"the connection broke after {len(body)} bytes")
        except StoreError as error:
            is_final = isinstance(error, NotConnectedError | TransportTimeout)
            return error if is_final else None, error
        finally:
            current.allowance = current.note_socket = None
        if failure is not None:
            return None, failure
        outcome = accepted(request, response.status, response.headers, body)
        return outcome, refusal(response.status, one.url)
