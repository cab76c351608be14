"""Carry many requests by connections of libcurl, in one thread (the extra ``fast``).

Redirects are not followed, and nothing is sent again, but a request on an idle connection that
the host has closed meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from functools import partial

from ... import tuning
from ...errors import StoreError, TransportTimeout
from ..http.wire import Wire
from .answer import IncomingAnswer
from .bell import Bell
from .carrier import (
    Carrier,
    ConnectionCount,
    FollowingCalls,
    Outcome,
    SubmittedRequest,
    answers_together,
)
from .curl_connection import failure_of
from .curl_connections import CurlConnections
from .request import accepted, refusal

__all__ = ["CurlCarrier"]

_LOG = logging.getLogger("staticstore")


class CurlCarrier(Carrier):
    """Sends many requests by one thread, which has one `CurlMulti` as long as it lives."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._count = ConnectionCount(tuning.CURL_FIRST_CONNECTIONS, tuning.CURL_CONNECTIONS)
        self._thread: threading.Thread | None = None
        self._bell: Bell | None = None
        self._connections: CurlConnections | None = None
        self._canceled: list[SubmittedRequest] = []

    def _begin(self) -> None:
        if self._bell is None:
            bell = Bell()
            call = partial(self._work, bell)
            thread = threading.Thread(target=call, name="staticstore carrier", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # too many, or the interpreter ends
                bell.close()
                raise
            self._bell, self._thread = bell, thread
        elif self._connections is not None:
            self._send_now(self._connections)
            if not self._waiting:
                return
        self._bell.ring()

    def _send_now(self, connections: CurlConnections) -> None:
        if connections.count:  # the thread wakes for them: the two would take turns
            return
        sending = self._next(self._count.current)
        left = connections.send_now(sending)
        self._running.difference_update(left)
        self._waiting.extendleft(reversed(left))

    def _stop(self, request: SubmittedRequest) -> None:
        self._canceled.append(request)
        self._end()

    def _end(self) -> None:
        if self._bell is not None:
            self._bell.ring()

    def join(self, seconds: float) -> None:
        """Wait for the thread to end, not longer than this; only after `close`."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    # -- in the thread ---------------------------------------------------------

    def _work(self, bell: Bell) -> None:
        try:
            # In a forked child nothing may close these connections, which are the parent's.  This
            # frame keeps them alive there, since the child has no thread that would leave it.
            connections = CurlConnections(self._count, bell, self._hand_on)
            with (
                contextlib.closing(connections),
                self._shared(connections),
                answers_together() as following,
            ):
                while not self._is_closed:
                    self._turn(connections, following)
        except BaseException:
            _LOG.exception("sending many requests failed unexpectedly")
        finally:
            self._give_up()
            bell.close()

    @contextlib.contextmanager
    def _shared(self, connections: CurlConnections) -> Iterator[None]:
        """Let threads that submit send on idle connections."""
        self._connections = connections
        try:
            yield
        finally:
            with self._lock:
                self._connections = None

    def _give_up(self) -> None:
        with self._lock:
            self._bell = None
            left = [*self._running, *self._waiting]
            self._running.clear()
            self._waiting.clear()
        for one in left:  # none after a disconnect: `close` has ended them
            one.end(None)

    def _turn(self, connections: CurlConnections, following: FollowingCalls) -> None:
        with connections.passing_gate():
            connections.receive()
            self._send(connections)
        with connections.passing_gate():  # closed, perhaps, since the first to speak TLS
            connections.connect()
        if following.since is None or self._gathers(connections, following.since):
            connections.wait(has_more=bool(self._waiting), is_gathering=following.since is not None)
        else:
            following.make()

    def _send(self, connections: CurlConnections) -> None:
        # Before answers are handed on: meanwhile the host has something to do.
        with self._lock:
            canceled, self._canceled = self._canceled, []
            starting = self._next(self._count.current - connections.count)
            self._running.difference_update(canceled)
        for one in canceled:
            connections.cancel(one)
        for one in connections.start(starting):
            self._drop(one)

    def _gathers(self, connections: CurlConnections, since: float) -> bool:
        """Return whether to wait a moment for other answers, to wake for them together.

        Threads that take turns are slow (benchmark: zarr-10).  But what a far host is asked
        together, it answers together, while nothing is done in between (zarr-far-10).
        """
        if self._waiting or not connections.count or self._count.is_far:
            return False
        return time.monotonic() - since < tuning.GATHERED_SECONDS

    def _hand_on(
        self, submitted: SubmittedRequest, answer: IncomingAnswer, error: Exception | None
    ) -> None:
        self._running.discard(submitted)  # which is one step: no lock is needed
        outcome: Outcome = None
        failure: StoreError | None = None
        if error is None:
            outcome = accepted(submitted.request, answer.status, answer.fields, answer.body())
        else:
            failure = failure_of(error)
            if isinstance(failure, TransportTimeout):
                outcome = failure
            elif isinstance(error, ValueError):  # such as a long page that says what is wrong
                failure = refusal(answer.status, submitted.url) or failure
        report = submitted.report
        if report is not None and answer.status:
            report.answered(answer.status)
            report.received(answer.body_bytes)
            failure = failure or refusal(answer.status, submitted.url)
        submitted.end(outcome, failure)
