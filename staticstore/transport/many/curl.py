"""Send many requests at once by libcurl's multi interface (the extra ``fast``).

libcurl sends and receives on many connections in one thread, in C; Python sees
each answer once.  It neither follows redirects nor retries: see `fetch_all`.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pycurl

# Missing below libcurl 7.80: the ImportError makes threads do the work.
from pycurl import PREREQFUNC_ABORT, PREREQFUNC_OK, PREREQFUNCTION
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ... import tuning
from ...errors import (
    InnerAddressError,
    NotConnectedError,
    TransportError,
    TransportTimeout,
)
from ...processes import fork_gate
from ...signals import request_finished
from ..http.report import new_report
from .request import SizedAnswer, SizedRequest, accepted, refusal

if TYPE_CHECKING:
    from ..http.report import RequestReport
    from ..http.sender import RequestTemplate

__all__ = ["by_curl"]

_MOST_FIELD_BYTES = 1 << 20  # of header and trailer
_INTERIM = b"HTTP/1.1 10"
_CODING = re.compile(rb"^transfer-encoding:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.I | re.M)
_LENGTH_OR_CLOSE = re.compile(rb"^(content-length:|connection:[ \t]*close)", re.I | re.M)
_FIELDS = re.compile(rb"^(content-encoding|content-range|etag):[ \t]*([^\r\n]*)", re.I | re.M)

_Numbered = Iterator[tuple[int, SizedRequest]]


def by_curl(
    template: RequestTemplate, requests: Sequence[SizedRequest]
) -> list[SizedAnswer | None]:
    """Send many requests; see `fetch_all`."""
    found: list[SizedAnswer | None] = [None] * len(requests)
    numbered: _Numbered = enumerate(requests)
    speaks_tls = "https:" in (template.root.url[:6], (template.proxy or "")[:6])
    setting_up = fork_gate().passing if speaks_tls else contextlib.nullcontext
    multi = pycurl.CurlMulti()
    transfers = {
        transfer.handle: transfer
        for transfer in (
            _Transfer(template, multi) for _ in range(min(tuning.CURL_CONNECTIONS, len(requests)))
        )
    }
    try:
        running = sum(transfer.start(numbered) for transfer in transfers.values())
        while running:
            if template.wire.cut.is_set():
                raise NotConnectedError("the store was disconnected")
            with setting_up():
                multi.perform()
            ended = list(_ended(multi))
            for handle, error in ended:
                transfer = transfers[handle]
                found[transfer.number] = transfer.result() if error == pycurl.E_OK else None
                transfer.end(error)
                if error == pycurl.E_OPERATION_TIMEDOUT:
                    numbered = iter(())  # do not wait again for each of the rest
                running -= not transfer.start(numbered)
            if not ended:  # otherwise, first send what has just started
                multi.select(tuning.CURL_SELECT_SECONDS)
    finally:
        for transfer in transfers.values():
            transfer.end(pycurl.E_ABORTED_BY_CALLBACK)
        multi.close()
    return found


def _ended(multi: pycurl.CurlMulti) -> Iterator[tuple[pycurl.Curl, int]]:
    left = 1
    while left:
        left, good, bad = multi.info_read()
        yield from ((handle, pycurl.E_OK) for handle in good)
        yield from ((handle, error) for handle, error, _ in bad)


def _judge_peer(check: Callable[[str], None], address: str, *others: str | int) -> int:
    # Called for each request, also on a connection that was open already.
    try:
        check(address)
    except InnerAddressError:
        return PREREQFUNC_ABORT
    return PREREQFUNC_OK


class _Transfer:
    """Sends one request after the other, on one handle with its options and buffers."""

    def __init__(self, template: RequestTemplate, multi: pycurl.CurlMulti) -> None:
        self.number = 0
        self.handle = pycurl.Curl()
        self._multi = multi
        self._wire = template.wire
        self._root_url = template.root.url
        self._url = template.root.join
        self._head = io.BytesIO()
        self._body = io.BytesIO()
        self._request = SizedRequest("", 0)
        self._report: RequestReport | None = None
        self._is_running = False
        self._has_proxy = template.proxy is not None
        self._set_up(template)

    def _set_up(self, template: RequestTemplate) -> None:
        connecting, silence = template.timeout
        fields = [f"{name}: {value}".encode("latin-1") for name, value in template.headers.items()]
        for option, value in [
            (pycurl.NOSIGNAL, 1),  # for threads
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.BUFFERSIZE, tuning.CURL_BUFFER_BYTES),
            (pycurl.HTTPHEADER, fields),
            # Bytes: pycurl accepts only ASCII as text.  Set, so that no variable counts.
            (pycurl.PROXY, (template.proxy or "").encode()),
            (pycurl.NOPROXY, ""),
            (pycurl.CONNECTTIMEOUT_MS, max(int(connecting * 1000), 1)),
            (pycurl.LOW_SPEED_LIMIT, max(math.ceil(template.min_rate), 1)),
            (pycurl.LOW_SPEED_TIME, max(math.ceil(silence), 1)),
            (pycurl.HEADERFUNCTION, self._write_head),
            (pycurl.WRITEFUNCTION, self._write),
        ]:
            self.handle.setopt(option, value)
        if template.check_peer is not None:
            self.handle.setopt(PREREQFUNCTION, partial(_judge_peer, template.check_peer))
        self._set_up_tls(template)

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

    def start(self, numbered: _Numbered) -> bool:
        """Start the next request; False if there is none."""
        following = next(numbered, None)
        if following is None:
            return False
        was_part = self._request.start is not None
        self.number, self._request = following
        for buffer in (self._head, self._body):
            buffer.seek(0)
            buffer.truncate()
        self.handle.setopt(pycurl.URL, self._url(self._request.url_path))
        if self._request.start is not None:
            self.handle.setopt(pycurl.RANGE, self._request.range)
        elif was_part:
            self.handle.unsetopt(pycurl.RANGE)
        if request_finished.receivers:
            wire, url = self._wire, self._root_url + self._request.url_path
            self._report = new_report(wire.current, wire.store, "GET", url)
        self._multi.add_handle(self.handle)
        self._is_running = True
        return True

    def _write_head(self, field: bytes) -> int:
        # Returning 0 ends the transfer: here for a head or a body without an end.
        if self._head.tell() > _MOST_FIELD_BYTES or (field == b"\r\n" and not self._has_end()):
            return 0
        return self._head.write(field)

    def _has_end(self) -> bool:
        # If the head does not say where the body ends, libcurl may wait until a timeout.
        heads = self._head.getvalue()
        if b"\nContent-Length: " in heads and b"ransfer-" not in heads:
            return True  # benchmark: many
        head = self._last_head(heads)
        if (coding := _CODING.search(head)) is not None:
            return coding[1].lower() == b"chunked"
        # Interim answers have no body, nor has the answer of a proxy to CONNECT.
        is_bare = self._has_proxy or head.startswith(_INTERIM)
        return is_bare or _LENGTH_OR_CLOSE.search(head) is not None

    @staticmethod
    def _last_head(heads: bytes) -> bytes:
        # Those before it are of interim answers.
        end = heads.rfind(b"\r\n\r\nHTTP/")
        return heads if end < 0 else heads[end + 4 :]

    def _write(self, piece: bytes) -> int:
        # Returning 0 ends the transfer: here for more bytes than were requested.
        if self._body.tell() + len(piece) > self._request.size:
            return 0
        return self._body.write(piece)

    def result(self) -> SizedAnswer | None:
        """Return the answer, if it is what was requested."""
        heads = self._head.getvalue()
        fields: dict[str, str] = {}
        if self._request.start is not None or b"encoding" in heads.lower():
            for name, value in _FIELDS.findall(self._last_head(heads)):
                fields[name.decode().lower()] = value.decode("latin-1").strip()
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        return accepted(self._request, status, fields, self._body.getvalue())

    def end(self, error: int) -> None:
        """End the request, whether it is done or not; the error is one of libcurl's numbers."""
        if self._is_running:
            self._multi.remove_handle(self.handle)
            self._is_running = False
            if self._report is not None:
                self._finish(self._report, error)
                self._report = None

    def _finish(self, report: RequestReport, error: int) -> None:
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        if status:
            report.answered(status)
            report.received(self._body.tell())
        if error == pycurl.E_OK:
            report.finish(refusal(status, self._root_url + self._request.url_path))
        elif error == pycurl.E_OPERATION_TIMEDOUT:
            report.finish(TransportTimeout("the host was silent or too slow for too long"))
        else:
            report.finish(TransportError(f"the request was not completed (libcurl: {error})"))
