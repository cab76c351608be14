"""Carry many requests by connections of libcurl, in one thread (the extra ``fast``).

Redirects are not followed, and nothing is sent again, but a request on an idle connection that
the host has closed meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

import pycurl

from ... import tuning
from ...errors import StoreError, TransportTimeout
from ...processes import fork_gate
from ..http.template import RequestTemplate
from ..http.wire import Wire
from .answer import new_scratch
from .bell import Bell, ready_files
from .carrier import (
    Carrier,
    ConnectionCount,
    FollowingCalls,
    Outcome,
    SubmittedRequest,
    answers_together,
)
from .curl_connection import FAILURES, CurlConnection, failure_of
from .request import accepted, refusal

__all__ = ["CurlCarrier"]

_LOG = logging.getLogger("staticstore")

#: Called with a request, its outcome, and the error for its report.
_End = Callable[[SubmittedRequest, Outcome, StoreError | None], object]


class CurlCarrier(Carrier):
    """Sends many requests by one thread, which has one `CurlMulti` as long as it lives."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._count = ConnectionCount(tuning.CURL_FIRST_CONNECTIONS, tuning.CURL_CONNECTIONS)
        self._thread: threading.Thread | None = None
        self._bell: Bell | None = None
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
        self._bell.ring()

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
            connections = _Connections(self._count, bell, self._hand_on)
            with contextlib.closing(connections), answers_together() as following:
                while not self._is_closed:
                    self._turn(connections, following)
        except BaseException:
            _LOG.exception("sending many requests failed unexpectedly")
        finally:
            self._give_up()
            bell.close()

    def _give_up(self) -> None:
        with self._lock:
            self._bell = None
            left = [*self._running, *self._waiting]
            self._running.clear()
            self._waiting.clear()
        for one in left:  # none after a disconnect: `close` has ended them
            one.end(None)

    def _turn(self, connections: _Connections, following: FollowingCalls) -> None:
        with connections.passing_gate():
            connections.receive()
            self._send(connections)
        with connections.passing_gate():  # closed, perhaps, since the first to speak TLS
            connections.connect()
        if following.since is None or self._gathers(connections, following.since):
            connections.wait(has_more=bool(self._waiting), is_gathering=following.since is not None)
        else:
            following.make()

    def _send(self, connections: _Connections) -> None:
        # Before answers are handed on: meanwhile the host has something to do.
        with self._lock:
            canceled, self._canceled = self._canceled, []
            starting = self._next(self._count.current - connections.count)
            self._running.difference_update(canceled)
        for one in canceled:
            connections.cancel(one)
        for one in connections.start(starting):
            self._drop(one)

    def _gathers(self, connections: _Connections, since: float) -> bool:
        """Return whether to wait a moment for other answers, to wake for them together.

        Threads that take turns are slow (benchmark: zarr-10).
        """
        if self._waiting or not connections.count:
            return False
        return time.monotonic() - since < tuning.GATHERED_SECONDS

    def _hand_on(
        self, submitted: SubmittedRequest, outcome: Outcome, error: StoreError | None
    ) -> None:
        self._running.discard(submitted)  # which is one step: no lock is needed
        submitted.end(outcome, error)


class _Connections:
    """The connections of a carrier, used by its thread alone.

    Parameters
    ----------
    count : ConnectionCount
        How many there may be.
    bell : Bell
        Wakes the thread.
    end : callable
        As `_End`.
    """

    def __init__(self, count: ConnectionCount, bell: Bell, end: _End) -> None:
        self._count = count
        self._bell = bell
        self._end = end
        self._speak_tls = False
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * count.most)
        self._scratch = new_scratch()
        self._idle: list[CurlConnection] = []
        self._connecting: dict[pycurl.Curl, CurlConnection] = {}
        # Those that send or receive, by their descriptors; those of them whose request was not
        # sent whole; and those that are ready.
        self._busy: dict[int, CurlConnection] = {}
        self._unsent: set[int] = set()
        self._ready: Collection[int] = ()
        # Seconds in which there was nothing to do: while there is, more connections do not help.
        self._waited = 0.0
        # When to look for silent hosts, and until when all that had come was received.
        self._check_at = math.inf
        self._looked_at = 0.0

    @property
    def count(self) -> int:
        """How many are in use."""
        return len(self._busy) + len(self._connecting)

    def passing_gate(self) -> contextlib.AbstractContextManager[object]:
        """Return what lets a fork wait for handshakes, during which OpenSSL holds locks."""
        return fork_gate().passing() if self._speak_tls else contextlib.nullcontext()

    def close(self) -> None:
        """Close all; what was requested is forgotten."""
        for connection in [*self._idle, *self._busy.values(), *self._connecting.values()]:
            self._close(connection)
        self._multi.close()

    def cancel(self, request: SubmittedRequest) -> None:
        """Close the connection on which an answer to a request comes."""
        for connection in [*self._busy.values(), *self._connecting.values()]:
            if connection.submitted is request:
                self._leave(connection)
                self._close(connection)

    # -- sending -----------------------------------------------------------------

    def start(self, requests: Sequence[SubmittedRequest]) -> list[SubmittedRequest]:
        """Send requests, or connect for that; return those that cannot be sent."""
        if not requests:
            return []
        taken, self._idle = self._idle[-len(requests) :], self._idle[: -len(requests)]
        if taken:
            taken = self._silent(taken, ready_files([one.file for one in taken], (), 0))
        unsent = [one for one in requests if not self._start(one, taken)]
        self._idle += taken
        return unsent

    def _silent(self, idle: list[CurlConnection], ready: Collection[int]) -> list[CurlConnection]:
        # What comes on an idle connection answers nothing: mostly it is the end of the stream.
        if not ready and not self._speak_tls:
            return idle  # benchmark: many
        silent = []
        for connection in idle:
            if connection.file in ready or (connection.speaks_tls and connection.has_more()):
                self._close(connection)
            else:
                silent.append(connection)
        return silent

    def _start(self, one: SubmittedRequest, idle: list[CurlConnection]) -> bool:
        try:
            connection = self._connection(one.template, idle)
        except Exception:  # such as a certificate that is no text
            return False
        try:
            connection.take(one, time.monotonic())
        except ValueError:  # such as a header field of two lines
            if connection.is_reused:
                idle.append(connection)
            return False
        connection.waited_before = self._waited
        self._count.note_size(one.request.size)
        if connection.is_reused:
            self._send(connection)
        else:
            self._speak_tls = self._speak_tls or connection.speaks_tls
            self._connecting[connection.handle] = connection
            self._multi.add_handle(connection.handle)
        return True

    def _connection(self, template: RequestTemplate, idle: list[CurlConnection]) -> CurlConnection:
        while idle:
            connection = idle.pop()
            if connection.template is template and connection.is_open:
                return connection
            self._close(connection)  # of other credentials, or another proxy
        return CurlConnection(template, self._scratch)

    def connect(self) -> None:
        """Go on with connecting, and send on what is connected."""
        if not self._connecting:
            return
        self._multi.perform()
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in good:
                connection = self._connecting.pop(handle)
                connection.opened(time.monotonic())
                if (former := self._busy.get(connection.file)) is not None:
                    self._fail(former, ConnectionError("libcurl has closed it"))
                self._send(connection)
            for handle, error, _ in bad:
                self._fail(self._connecting[handle], pycurl.error(error))

    def _send(self, connection: CurlConnection) -> None:
        self._busy[connection.file] = connection
        self._check_at = min(self._check_at, connection.next_check)
        try:
            if not connection.send():
                self._unsent.add(connection.file)
        except FAILURES as error:
            self._fail(connection, error)

    # -- receiving ---------------------------------------------------------------

    def receive(self) -> None:
        """Receive what has come, and end what is too slow."""
        now, ready, self._ready = time.monotonic(), self._ready, ()
        for file in ready:
            if (connection := self._busy.get(file)) is not None:
                self._receive(connection, now)
        # Not by the present time: the process may have been stopped since it has looked.
        if self._looked_at >= self._check_at:
            self._end_slow(self._looked_at)

    def _receive(self, connection: CurlConnection, now: float) -> None:
        try:
            if connection.file in self._unsent and connection.send():
                self._unsent.discard(connection.file)
            is_complete = connection.receive(now)
        except FAILURES as error:
            self._fail(connection, error)
            return
        if is_complete:
            self._note_answer(connection)

    def _end_slow(self, now: float) -> None:
        for connection in list(self._busy.values()):
            if connection.is_too_slow(now):
                self._fail(connection, TimeoutError())
        checks = (one.next_check for one in self._busy.values())
        self._check_at = min(checks, default=math.inf)

    def _note_answer(self, connection: CurlConnection) -> None:
        answer, submitted = connection.answer, self._leave(connection)
        if answer.is_last or connection.wants_to_send:
            self._close(connection)
        else:
            self._idle.append(connection)
        status, body = answer.status, answer.body()
        outcome = accepted(submitted.request, status, answer.fields, body)
        self._note_end(connection, submitted, outcome)

    def _fail(self, connection: CurlConnection, error: Exception) -> None:
        # The host may have closed an idle one while the request was on its way.
        is_stale = (
            connection.is_reused
            and not connection.answer.count
            and isinstance(error, pycurl.error | ConnectionError)
        )
        submitted = self._leave(connection)
        self._close(connection)
        if is_stale and self._start(submitted, []):
            return
        failure = failure_of(error)
        if isinstance(error, ValueError):  # such as a long page that says what is wrong
            failure = refusal(connection.answer.status, submitted.url) or failure
        is_timeout = isinstance(failure, TransportTimeout)
        self._note_end(connection, submitted, failure if is_timeout else None, failure)

    def _note_end(
        self,
        connection: CurlConnection,
        submitted: SubmittedRequest,
        outcome: Outcome,
        failure: StoreError | None = None,
    ) -> None:
        self._count.note_answer(self._waited - connection.waited_before)
        answer, report = connection.answer, submitted.report
        if report is not None and answer.status:
            report.answered(answer.status)
            report.received(answer.body_bytes)
            failure = failure or refusal(answer.status, submitted.url)
        self._end(submitted, outcome, failure)

    def _leave(self, connection: CurlConnection) -> SubmittedRequest:
        if self._busy.pop(connection.file, None) is None:
            self._connecting.pop(connection.handle, None)
        self._unsent.discard(connection.file)
        return connection.end()

    def _close(self, connection: CurlConnection) -> None:
        self._multi.remove_handle(connection.handle)
        connection.handle.close()

    # -- waiting -----------------------------------------------------------------

    def wait(self, *, has_more: bool, is_gathering: bool) -> None:
        """Wait for something to do.

        Parameters
        ----------
        has_more : bool
            Whether other requests wait for a connection.
        is_gathering : bool
            Whether answers wait for others.
        """
        if has_more and self.count < self._count.current:
            return  # what was to be sent has failed, or was canceled
        if not self.count:
            files = [one.file for one in self._idle]
            self._idle = self._silent(self._idle, self._bell.wait(files, (), None))
            self._count.reset()
            return
        readable = list(self._busy)
        writable = list(self._unsent)
        began = time.monotonic()
        most = min(tuning.CURL_WAIT_SECONDS, max(self._check_at - began, 0))
        if self._connecting:
            own, own_writable, _ = self._multi.fdset()
            # Of one with a high number, libcurl does not tell; then look more often.
            if not own and not own_writable:
                most = min(most, tuning.FAR_SECONDS)
            if (milliseconds := self._multi.timeout()) >= 0:
                most = min(most, milliseconds / 1e3)
            readable += own
            writable += own_writable
        if is_gathering:
            most = min(most, tuning.GATHERED_SECONDS)
        elif has_more:
            most = min(most, self._count.note_wait())
        self._ready = self._bell.wait(readable, writable, most)
        self._looked_at = began
        self._waited += time.monotonic() - began
