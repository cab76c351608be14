"""The connections of libcurl's carrier: requests are sent on them, and answers received."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

import pycurl

from ... import tuning
from ...processes import fork_gate
from ..http.template import RequestTemplate
from .answer import IncomingAnswer, new_scratch
from .bell import Bell, ready_files
from .carrier import ConnectionCount, SubmittedRequest
from .curl_connection import FAILURES, CurlConnection

__all__ = ["CurlConnections", "End"]

#: Called with a request, its answer as far as it has come, and why it is not complete.
End = Callable[[SubmittedRequest, IncomingAnswer, Exception | None], object]


class CurlConnections:
    """The connections of a carrier.

    Its thread alone uses them, but for `send_now`.

    Parameters
    ----------
    count : ConnectionCount
        How many there may be.
    bell : Bell
        Wakes the thread.
    end : callable
        As `End`.
    """

    def __init__(self, count: ConnectionCount, bell: Bell, end: End) -> None:
        self._count = count
        self._bell = bell
        self._end = end
        self._speak_tls = False
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, 2 * count.most)
        self._scratch = new_scratch()
        self._connecting: dict[pycurl.Curl, CurlConnection] = {}
        # Those that are connected, by their descriptors: all are waited for.
        self._open: dict[int, CurlConnection] = {}
        # Those of them that any thread may take, in one step; those that `send_now` has taken;
        # those that the thread knows to be in use; and of these, whose request is not sent whole.
        self._idle: deque[CurlConnection] = deque()
        self._sent: deque[CurlConnection] = deque()
        self._busy: dict[int, CurlConnection] = {}
        self._unsent: set[int] = set()
        self._ready: Collection[int] = ()
        # Until when the thread waits, and whether it has waited in vain with nothing in use.
        self._wakes_at = math.inf
        self._has_rested = False
        # Seconds in which there was nothing to do: while there is, more connections do not help.
        self._waited = 0.0
        # When to look for silent hosts, and until when all that had come was received.
        self._check_at = math.inf
        self._looked_at = 0.0

    @property
    def count(self) -> int:
        """How many are in use."""
        return len(self._busy) + len(self._sent) + len(self._connecting)

    def passing_gate(self) -> contextlib.AbstractContextManager[object]:
        """Return what lets a fork wait for handshakes, during which OpenSSL holds locks."""
        return fork_gate().passing() if self._speak_tls else contextlib.nullcontext()

    def close(self) -> None:
        """Close all; what was requested is forgotten."""
        for connection in [*self._open.values(), *self._connecting.values()]:
            self._close(connection)
        self._multi.close()

    def cancel(self, request: SubmittedRequest) -> None:
        """Close the connection on which an answer to a request comes."""
        self._adopt()
        for connection in [*self._busy.values(), *self._connecting.values()]:
            if connection.submitted is request:
                self._leave(connection)
                self._close(connection)

    # -- sending -----------------------------------------------------------------

    def send_now(self, requests: Sequence[SubmittedRequest]) -> Sequence[SubmittedRequest]:
        """Send requests on idle connections, in the calling thread; return those left.

        So they are on their way before the other thread wakes, and mostly it need not
        (benchmark: zarr-10).  Not over TLS, of which libcurl allows one thread alone.

        Parameters
        ----------
        requests : sequence of SubmittedRequest
            No other thread may call this at the same time, or `close`.
        """
        if self._speak_tls:
            return requests
        for number, one in enumerate(requests):
            if not self._send_now(one):
                return requests[number:]
        return ()

    def _send_now(self, one: SubmittedRequest) -> bool:
        try:
            connection = self._idle.pop()
        except IndexError:
            return False
        try:
            if connection.template is not one.template or connection.has_more():
                return False
            if not self._take(connection, one):
                return False
            with contextlib.suppress(*FAILURES):  # the thread meets them, too
                connection.send()
        finally:  # also if a signal interrupts this: the thread waits for all connections
            (self._idle if connection.submitted is None else self._sent).append(connection)
        if connection.wants_to_send or connection.next_check < self._wakes_at:
            self._bell.ring()
        return True

    def _take(self, connection: CurlConnection, one: SubmittedRequest) -> bool:
        """Prepare to send a request; return False if it cannot be sent."""
        try:
            connection.take(one, time.monotonic())
        except ValueError:  # such as a header field of two lines
            return False
        connection.waited_before = self._waited
        return True

    def _adopt(self) -> None:
        """Take over what `send_now` has sent."""
        while self._sent:
            connection = self._sent.popleft()
            assert connection.submitted is not None, "it was taken"
            self._count.note_size(connection.submitted.request.size)
            self._send(connection)

    def start(self, requests: Sequence[SubmittedRequest]) -> list[SubmittedRequest]:
        """Send requests, or connect for that; return those that cannot be sent."""
        if requests and self._idle:  # something may have come since it was waited for
            for file in ready_files([one.file for one in list(self._idle)], (), 0):
                self._end_idle(file)
        return [one for one in requests if not self._start(one)]

    def _start(self, one: SubmittedRequest, *, anew: bool = False) -> bool:
        try:
            idle = None if anew else self._idle_one(one.template)
            connection = idle or CurlConnection(one.template, self._scratch)
        except Exception:  # such as a certificate that is no text
            return False
        if not self._take(connection, one):
            if connection.is_reused:
                self._idle.append(connection)
            return False
        self._count.note_size(one.request.size)
        if connection.is_reused:
            self._send(connection)
        else:
            self._speak_tls = self._speak_tls or connection.speaks_tls
            self._connecting[connection.handle] = connection
            self._multi.add_handle(connection.handle)
        return True

    def _idle_one(self, template: RequestTemplate) -> CurlConnection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread has taken it
                break
            # Others have other credentials, or another proxy.
            if connection.template is template and self._is_free(connection):
                return connection
            self._close(connection)
        return None

    def _is_free(self, connection: CurlConnection) -> bool:
        # What has come over TLS may be in libcurl's memory, where nothing is waited for.
        return connection.is_ours or (connection.is_open and not connection.has_more())

    def connect(self) -> None:
        """Go on with connecting, and send on what is connected."""
        if not self._connecting:
            return
        self._multi.perform()
        self._drop_closed()
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            for handle in good:
                self._opened(self._connecting.pop(handle))
            for handle, error, _ in bad:
                self._fail(self._connecting[handle], pycurl.error(error))

    def _drop_closed(self) -> None:
        # libcurl closes what it takes for idle when it connects; the numbers are used anew.
        for connection in [one for one in self._open.values() if not one.is_open]:
            if connection.file in self._busy:
                self._fail(connection, ConnectionError("libcurl has closed it"))
            else:
                self._end_idle(connection.file)

    def _opened(self, connection: CurlConnection) -> None:
        try:
            connection.opened(time.monotonic())
        except OSError as error:  # no more descriptors
            self._fail(connection, error)
            return
        if connection.is_ours:
            self._multi.remove_handle(connection.handle)
            connection.handle.close()
        self._open[connection.file] = connection
        self._send(connection)

    def _send(self, connection: CurlConnection) -> None:
        self._busy[connection.file] = connection
        self._check_at = min(self._check_at, connection.next_check)
        self._has_rested = False
        try:
            if not connection.send():
                self._unsent.add(connection.file)
        except FAILURES as error:
            self._fail(connection, error)

    # -- receiving ---------------------------------------------------------------

    def receive(self) -> None:
        """Receive what has come, and end what is too slow."""
        self._adopt()
        now, ready, self._ready = time.monotonic(), self._ready, ()
        for file in ready:
            if (connection := self._busy.get(file)) is not None:
                self._receive(connection, now)
            else:
                self._end_idle(file)
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
            self._note_answer(connection, now)

    def _end_idle(self, file: int) -> None:
        # What comes on an idle one answers nothing: mostly it is the end of the stream.
        if (connection := self._open.get(file)) is not None:
            with contextlib.suppress(ValueError):  # another thread is sending on it
                self._idle.remove(connection)
                self._close(connection)

    def _end_slow(self, now: float) -> None:
        for connection in list(self._busy.values()):
            if connection.is_too_slow(now):
                self._fail(connection, TimeoutError())
        checks = (one.next_check for one in self._busy.values())
        self._check_at = min(checks, default=math.inf)

    def _note_answer(self, connection: CurlConnection, now: float) -> None:
        answer, submitted = connection.answer, self._leave(connection)
        self._note_wait(connection, now)
        if answer.is_last or connection.wants_to_send:
            self._close(connection)
        else:
            self._idle.append(connection)  # now any thread may take it
        self._end(submitted, answer, None)

    def _fail(self, connection: CurlConnection, error: Exception) -> None:
        # The host may have closed an idle one while the request was on its way.
        is_stale = (
            connection.is_reused
            and not connection.answer.count
            and isinstance(error, pycurl.error | ConnectionError)
        )
        answer, submitted = connection.answer, self._leave(connection)
        self._close(connection)
        if is_stale and self._start(submitted, anew=True):
            return
        self._note_wait(connection, time.monotonic())
        self._end(submitted, answer, error)

    def _note_wait(self, connection: CurlConnection, now: float) -> None:
        # Of the time since it was sent, that in which there was nothing else to do.
        waited = self._waited - connection.waited_before
        self._count.note_answer(min(waited, now - connection.taken_at))

    def _leave(self, connection: CurlConnection) -> SubmittedRequest:
        if self._busy.pop(connection.file, None) is None:
            self._connecting.pop(connection.handle, None)
        self._unsent.discard(connection.file)
        return connection.end()

    def _close(self, connection: CurlConnection) -> None:
        self._open.pop(connection.file, None)
        if not connection.is_ours:
            self._multi.remove_handle(connection.handle)
        connection.close()

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
        readable = list(self._open)
        writable = list(self._unsent)
        began = time.monotonic()
        most = self._longest_wait(began)
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
        self._wakes_at = began + most
        if self._sent:  # since then, by a thread that may not have rung for it
            return
        self._ready = self._bell.wait(readable, writable, most if most < math.inf else None)
        self._looked_at = began
        self._waited += time.monotonic() - began

    def _longest_wait(self, now: float) -> float:
        if self.count:
            return min(tuning.CURL_WAIT_SECONDS, max(self._check_at - now, 0))
        self._count.reset()
        # At first, so that a thread which sends the next request need not wake this one.
        most = math.inf if self._has_rested else tuning.CURL_WAIT_SECONDS
        self._has_rested = True
        return most
