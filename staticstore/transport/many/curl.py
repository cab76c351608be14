"""Carry many requests by libcurl's multi interface (the extra ``fast``).

libcurl sends and receives on many connections in one thread, in C; Python sees each
answer once.  It neither follows redirects nor retries.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from functools import partial

import pycurl
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ... import tuning
from ...errors import StoreError, TransportError, TransportTimeout
from ...processes import fork_gate
from ..http.template import RequestTemplate, field_lines
from ..http.wire import Wire
from .bell import Bell
from .carrier import Carrier, ConnectionCount, SubmittedRequest, answers_together
from .peers import check_peers
from .request import SizedAnswer, SizedRequest, accepted, refusal

__all__ = ["CurlCarrier"]

_LOG = logging.getLogger("staticstore")

# Of all heads before one body, since interim answers have heads, too, and of trailers.
_MOST_LINES = 1_000
_MOST_FIELD_BYTES = 1 << 20  # in long lines
_LONG_LINE_BYTES = 1 << 10
# Answers without a body: interim ones, and "not modified".
_BARE = (b"HTTP/1.1 10", b"HTTP/1.1 304", b"HTTP/1.0 304")
_CODING = re.compile(rb"^transfer-encoding:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.I | re.M)
_LENGTH_OR_CLOSE = re.compile(rb"^(content-length:|connection:[ \t]*close)", re.I | re.M)
# The line before has ended: faster than a search for beginnings of lines (benchmark: async-ranges).
_PART_FIELDS = re.compile(rb"\n(content-encoding|content-range|etag):[ \t]*([^\r\n]*)", re.I)
_DOCUMENT_FIELDS = re.compile(
    rb"\n(content-encoding|content-type|etag|last-modified):[ \t]*([^\r\n]*)", re.I
)


class CurlCarrier(Carrier):
    """Sends many requests by one thread, which has one `CurlMulti` as long as it lives."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire)
        self._count = ConnectionCount(tuning.CURL_FIRST_CONNECTIONS, tuning.CURL_CONNECTIONS)
        self._thread: threading.Thread | None = None
        self._bell: Bell | None = None
        self._canceled: list[SubmittedRequest] = []
        # Only the thread uses these.
        self._idle: list[_Transfer] = []
        self._transfers: dict[pycurl.Curl, _Transfer] = {}
        # Those of them that have ended, with libcurl's number of the error, since when.
        self._ended: list[tuple[pycurl.Curl, int]] = []
        self._ended_since = 0.0
        # Seconds in which there was nothing to do: while there is, more connections do not help.
        self._waited = 0.0
        self._speaks_tls = False

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
        # In a forked child nothing may close these connections, which are the parent's.  This
        # frame keeps them alive there, since the child has no thread that would leave it.
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_MAXCONNECTS, self._count.most)
        try:
            while not self._is_closed:
                self._turn(multi, bell)
        except BaseException:
            _LOG.exception("sending many requests failed unexpectedly")
        finally:
            # Left behind before `_give_up`, after which another thread may begin.
            handles = list(self._transfers)
            self._transfers, self._idle, self._ended = {}, [], []
            self._give_up()
            for handle in handles:
                multi.remove_handle(handle)
            multi.close()
            bell.close()

    def _give_up(self) -> None:
        with self._lock:
            self._bell = None
            left = [*self._running, *self._waiting]
            self._running.clear()
            self._waiting.clear()
        for one in left:  # none after a disconnect: `close` has ended them
            one.end(None)

    def _turn(self, multi: pycurl.CurlMulti, bell: Bell) -> None:
        with self._lock:
            canceled, self._canceled = self._canceled, []
            starting = self._next(self._count.current - len(self._transfers))
        for one in canceled:
            self._cancel(multi, one)
        for one in starting:
            self._start(multi, one)
        if not self._transfers:
            bell.wait((), (), None)
            self._count.reset()
            return
        # A fork waits for handshakes, during which OpenSSL holds locks.
        with fork_gate().passing() if self._speaks_tls else contextlib.nullcontext():
            multi.perform()
        self._note_ended(multi)
        if self._ended and not self._gathers():
            self._hand_on(multi)  # and then, first send what waits
        else:
            self._wait(multi, bell)

    def _note_ended(self, multi: pycurl.CurlMulti) -> None:
        for handle, error in _ended(multi):
            self._count.note_answer(self._waited - self._transfers[handle].waited_before)
            if not self._ended:
                self._ended_since = time.monotonic()
            self._ended.append((handle, error))

    def _gathers(self) -> bool:
        """Return whether to wait a moment for other answers, to hand them on together.

        Threads that take turns are slow (benchmark: zarr-10).
        """
        if self._waiting or len(self._ended) == len(self._transfers):
            return False
        return time.monotonic() - self._ended_since < tuning.GATHERED_SECONDS

    def _hand_on(self, multi: pycurl.CurlMulti) -> None:
        ended, self._ended = self._ended, []
        forgotten = [(*self._forget(multi, handle), error) for handle, error in ended]
        with self._lock:
            self._running.difference_update(one for _, one, _ in forgotten)
        with answers_together():
            for transfer, one, error in forgotten:
                transfer.end(one, error)
                self._idle.append(transfer)

    def _cancel(self, multi: pycurl.CurlMulti, one: SubmittedRequest) -> None:
        for handle, transfer in self._transfers.items():
            if transfer.submitted is one:
                self._ended = [other for other in self._ended if other[0] is not handle]
                self._idle.append(self._forget(multi, handle)[0])
                with self._lock:
                    self._running.discard(one)
                break

    def _forget(
        self, multi: pycurl.CurlMulti, handle: pycurl.Curl
    ) -> tuple[_Transfer, SubmittedRequest]:
        transfer = self._transfers.pop(handle)
        multi.remove_handle(handle)
        return transfer, transfer.take()

    def _start(self, multi: pycurl.CurlMulti, one: SubmittedRequest) -> None:
        transfer = self._idle.pop() if self._idle else _Transfer()
        try:
            self._speaks_tls = transfer.start(one) or self._speaks_tls
        except Exception:  # such as a header field that cannot be sent
            self._drop(one)
            return
        transfer.waited_before = self._waited
        self._transfers[transfer.handle] = transfer
        multi.add_handle(transfer.handle)
        self._count.note_size(one.request.size)

    def _wait(self, multi: pycurl.CurlMulti, bell: Bell) -> None:
        readable, writable, _ = multi.fdset()
        # Of a connection with a high number, libcurl does not tell; then look more often.
        most = tuning.CURL_WAIT_SECONDS if readable or writable else tuning.FAR_SECONDS
        if self._ended:
            most = tuning.GATHERED_SECONDS
        elif self._waiting:
            most = min(most, self._count.note_wait())
        milliseconds = multi.timeout()
        began = time.monotonic()
        bell.wait(readable, writable, most if milliseconds < 0 else min(milliseconds / 1e3, most))
        self._waited += time.monotonic() - began


def _ended(multi: pycurl.CurlMulti) -> Iterator[tuple[pycurl.Curl, int]]:
    left = 1
    while left:
        left, good, bad = multi.info_read()
        yield from ((handle, pycurl.E_OK) for handle in good)
        yield from ((handle, error) for handle, error, _ in bad)


class _Transfer:
    """Sends one request after the other, on one handle with its options."""

    def __init__(self) -> None:
        self.handle = pycurl.Curl()
        self.submitted: SubmittedRequest | None = None
        self.waited_before = 0.0
        self._template: RequestTemplate | None = None
        self._has_own_fields = self._has_range = self._has_proxy = False
        self._speaks_tls = False
        self._head: list[bytes] = []
        self._body = io.BytesIO()
        self._most = 0
        for option, value in [
            (pycurl.NOSIGNAL, 1),  # for threads
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.BUFFERSIZE, tuning.CURL_BUFFER_BYTES),
            (pycurl.NOPROXY, ""),
            (pycurl.HEADERFUNCTION, self._write_head),
            (pycurl.WRITEFUNCTION, self._write),
        ]:
            self.handle.setopt(option, value)

    def take(self) -> SubmittedRequest:
        """Return the request, and forget it: it refers to those that wait for it."""
        submitted, self.submitted = self.submitted, None
        assert submitted is not None, "it was started"
        return submitted

    def start(self, submitted: SubmittedRequest) -> bool:
        """Prepare for a request; return whether TLS is spoken."""
        self.submitted, template = submitted, submitted.template
        if template is not self._template:
            self._set_up(template)
        request, signed = submitted.request, submitted.signed
        self._most = request.size
        self._head = []
        self._body = io.BytesIO()  # a new one: its bytes are the answer's, without a copy
        if request.size in tuning.ROOM_MADE_BYTES and request.fields is None:
            # A buffer that grows is copied again and again, each time into fresh memory.
            self._body.seek(request.size - 1)
            self._body.write(b"\0")
            self._body.seek(0)
        if signed is not None:
            self.handle.setopt(pycurl.HTTPHEADER, field_lines(signed.headers))
        elif self._has_own_fields or request.fields:
            fields = request.headers(template.headers)
            self.handle.setopt(pycurl.HTTPHEADER, field_lines(fields))
        self._has_own_fields = signed is not None or bool(request.fields)
        # A document that says that it is too large is not received; 0 means any size.
        self.handle.setopt(pycurl.MAXFILESIZE, 0 if request.fields is None else request.size)
        url = template.join(request.url_path) if signed is None else signed.url
        self.handle.setopt(pycurl.URL, url)
        # A signed one has the field already.
        has_range = request.start is not None and signed is None
        if has_range:
            self.handle.setopt(pycurl.RANGE, request.range)
        elif self._has_range:
            self.handle.unsetopt(pycurl.RANGE)
        self._has_range = has_range
        if submitted.report is not None:
            submitted.report.begin()
        return self._speaks_tls

    def _set_up(self, template: RequestTemplate) -> None:
        connecting, silence = template.timeout
        for option, value in [
            (pycurl.HTTPHEADER, field_lines(template.headers)),
            # Bytes: pycurl accepts only ASCII as text.  Set, so that no variable counts.
            (pycurl.PROXY, (template.proxy or "").encode()),
            (pycurl.CONNECTTIMEOUT_MS, max(int(connecting * 1000), 1)),
            (pycurl.LOW_SPEED_LIMIT, max(math.ceil(template.min_rate), 1)),
            (pycurl.LOW_SPEED_TIME, max(math.ceil(silence), 1)),
        ]:
            self.handle.setopt(option, value)
        if template.check_peer is not None or self._template is not None:
            check_peers(self.handle, template.check_peer)
        self._set_up_tls(template)
        self._template = template
        self._has_proxy = template.proxy is not None
        self._speaks_tls = "https:" in (template.root.url[:6], (template.proxy or "")[:6])

    def _set_up_tls(self, template: RequestTemplate) -> None:
        if template.verify is False:
            self.handle.setopt(pycurl.SSL_VERIFYPEER, 0)
            self.handle.setopt(pycurl.SSL_VERIFYHOST, 0)
        else:
            trusted = DEFAULT_CA_BUNDLE_PATH if template.verify is True else template.verify
            is_folder = os.path.isdir(trusted)
            self.handle.setopt(pycurl.CAPATH if is_folder else pycurl.CAINFO, trusted)
        cert = template.cert
        if cert is not None:
            certificate, key = (cert, cert) if isinstance(cert, str) else cert
            self.handle.setopt(pycurl.SSLCERT, certificate)
            self.handle.setopt(pycurl.SSLKEY, key)

    def _write_head(self, line: bytes) -> int | None:
        # Returning 0 ends the transfer, None goes on.
        head, size = self._head, len(line)
        head.append(line)
        if 2 < size < _LONG_LINE_BYTES and len(head) <= _MOST_LINES:
            return None
        is_endless = len(head) > _MOST_LINES or sum(map(len, head)) > _MOST_FIELD_BYTES
        is_last = size <= 2
        return 0 if is_endless or (is_last and not self._has_end()) else None

    def _has_end(self) -> bool:
        # If the head does not say where the body ends, libcurl may wait until a timeout.
        heads = b"".join(self._head)
        if b"\nContent-Length: " in heads and b"ransfer-" not in heads:
            return True  # benchmark: many
        head = self._last_head(heads)
        if (coding := _CODING.search(head)) is not None:
            return coding[1].lower() == b"chunked"
        # The answer of a proxy to CONNECT has no body, either.
        is_bare = self._has_proxy or head.startswith(_BARE)
        return is_bare or _LENGTH_OR_CLOSE.search(head) is not None

    @staticmethod
    def _last_head(heads: bytes) -> bytes:
        # Those before it are of interim answers.
        end = heads.rfind(b"\r\n\r\nHTTP/")
        return heads if end < 0 else heads[end + 4 :]

    def _write(self, piece: bytes) -> int:
        # Returning 0 ends the transfer: here for more bytes than were requested.
        if self._body.tell() + len(piece) > self._most:
            return 0
        return self._body.write(piece)

    def end(self, submitted: SubmittedRequest, error: int) -> None:
        """End the request with its outcome; the error is one of libcurl's numbers."""
        failure = None if error == pycurl.E_OK else self._failure(error)
        outcome: SizedAnswer | StoreError | None = None
        if failure is None:
            outcome = self._answer(submitted.request)
        elif isinstance(failure, TransportTimeout):
            outcome = failure
        if submitted.report is not None:
            status = self.handle.getinfo(pycurl.RESPONSE_CODE)
            if status:
                submitted.report.answered(status)
                submitted.report.received(self._body.tell())
            failure = failure or refusal(status, submitted.url)
        self._body = io.BytesIO()
        submitted.end(outcome, failure)

    def _answer(self, request: SizedRequest) -> SizedAnswer | None:
        heads = b"".join(self._head)
        fields: dict[str, str] = {}
        wants_fields = request.start is not None or request.fields is not None
        if wants_fields or b"encoding" in heads.lower():
            head = self._last_head(heads).partition(b"\r\n\r\n")[0]  # without trailers
            wanted = _PART_FIELDS if request.fields is None else _DOCUMENT_FIELDS
            for field, text in wanted.findall(head):
                name, value = field.decode().lower(), text.decode("latin-1").strip()
                fields[name] = f"{fields[name]}, {value}" if name in fields else value
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        self._body.truncate()  # to what has come: there may be room for more
        return accepted(request, status, fields, self._body.getvalue())

    @staticmethod
    def _failure(error: int) -> StoreError:
        if error == pycurl.E_OPERATION_TIMEDOUT:
            return TransportTimeout("the host was silent or too slow for too long")
        return TransportError(f"the request was not completed (libcurl: {error})")
