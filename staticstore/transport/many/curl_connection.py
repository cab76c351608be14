"""One connection: libcurl connects, through a proxy and TLS, and the requests are ours.

libcurl's own transfers pass on each line of a head and each 16 KiB of a body by a call of
Python, which takes several times as long as to receive them (benchmark: zarr-large).
"""

from __future__ import annotations

import math
import os
import re
import socket
import time
from collections.abc import Mapping
from functools import partial
from http.client import HTTPException
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pycurl
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ...errors import InnerAddressError, StoreError, TransportError, TransportTimeout
from ..http.template import PeerCheck, RequestTemplate, field_lines
from .answer import IncomingAnswer

if TYPE_CHECKING:
    from .carrier import SubmittedRequest

if not hasattr(pycurl.Curl, "recv_into"):
    raise ImportError("pycurl 7.46 or newer is needed")  # threads do the work

__all__ = ["FAILURES", "CurlConnection", "failure_of"]

#: What a connection raises that is broken, or whose host does not speak HTTP/1.
FAILURES = (pycurl.error, OSError, HTTPException, ValueError, InnerAddressError)

_TARGET = re.compile(r"[!-~]+")  # what may stand in a request line
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class CurlConnection:
    """A connection to the host of a template, for one request after the other.

    One thread uses it at a time; with TLS, always that of its carrier.

    Parameters
    ----------
    template : RequestTemplate
        What its requests have in common.
    scratch : memoryview
        As of `IncomingAnswer`.

    Attributes
    ----------
    handle : Curl
        What connects, and encrypts.
    submitted : SubmittedRequest or None
        The request that is sent; None if it is idle.
    answer : IncomingAnswer
        To that request.
    file : int
        The descriptor of the socket; -1 until it is connected.
    is_ours : bool
        Whether it is connected, and libcurl needed no more.
    is_reused : bool
        Whether an earlier request was answered on it.
    speaks_tls : bool
        Whether the host or its proxy is spoken to by TLS.
    taken_at : float
        When the request was taken, by the monotonic clock.
    waited_before : float
        For `ConnectionCount.note_answer`.
    """

    def __init__(self, template: RequestTemplate, scratch: memoryview) -> None:
        self.template = template
        self.submitted: SubmittedRequest | None = None
        self.file = -1
        self.is_ours = False
        self.is_reused = False
        self.speaks_tls = "https:" in (template.root.url[:6], (template.proxy or "")[:6])
        self.taken_at = self.waited_before = 0.0
        self._scratch = scratch
        self._address = ""
        self._common = _fields_text(template, template.headers)
        self._unsent = memoryview(b"")
        self._last_at = self._window_began = 0.0
        self._window_count = 0
        self.handle = _handle(template)
        # What sends and receives; both do so in the same way.
        self._line: pycurl.Curl | socket.socket = self.handle

    # -- one request -------------------------------------------------------------

    def take(self, submitted: SubmittedRequest, now: float) -> None:
        """Prepare to send a request.

        Raises
        ------
        ValueError
            It cannot be sent, such as one with a line break in a field.
        """
        request = submitted.request
        self._unsent = memoryview(self._text(submitted))
        self.submitted = submitted
        self.answer = IncomingAnswer(
            self._scratch, request.size, is_document=request.fields is not None
        )
        self.taken_at = self._last_at = self._window_began = now
        self._window_count = 0
        if submitted.report is not None:
            submitted.report.begin()

    def _text(self, submitted: SubmittedRequest) -> bytes:
        target, request = "".join(submitted.target), submitted.request
        if not _TARGET.fullmatch(target):
            raise ValueError("a request target with characters that it cannot have")
        part = b""
        if submitted.signed is not None or request.fields:
            common = _fields_text(self.template, submitted.headers)
        else:
            common = self._common
            if request.start is not None:
                part = f"Range: bytes={request.range}\r\n".encode()
        return b"".join((b"GET ", target.encode(), b" HTTP/1.1\r\n", common, part, b"\r\n"))

    def opened(self, now: float) -> None:
        """Note that it is connected; without TLS, take the socket over from libcurl.

        Raises
        ------
        OSError
            There are no more descriptors.
        """
        self.file = self.handle.getinfo(pycurl.ACTIVESOCKET)
        self._address = self.handle.getinfo(pycurl.PRIMARY_IP)
        self._last_at = self._window_began = now
        if not self.speaks_tls:
            self._line = own = _duplicate(self.file)
            self.file, self.is_ours = own.fileno(), True

    @property
    def is_open(self) -> bool:
        """Whether libcurl still has the socket; it may close one that it takes for idle."""
        return self.is_ours or self.handle.getinfo(pycurl.ACTIVESOCKET) == self.file

    @property
    def wants_to_send(self) -> bool:
        """Whether part of the request was not sent, which the host would expect before another."""
        return len(self._unsent) > 0

    def send(self) -> bool:
        """Send the request, or as much of it as the socket takes; return whether all was sent.

        Raises
        ------
        InnerAddressError
            Nothing may be sent to this address.
        pycurl.error
            The connection is broken; or OSError.
        """
        if (check := self.template.check_peer) is not None:
            check(self._address)
        try:
            while self._unsent:
                self._unsent = self._unsent[self._line.send(self._unsent) :]
        except BlockingIOError:
            return False
        return True

    def receive(self, now: float) -> bool:
        """Receive what has come of the answer; return whether it is complete.

        Raises
        ------
        pycurl.error
            The connection is broken.
        ConnectionError, HeaderError, ValueError
            As of `IncomingAnswer.received`.
        """
        answer, before = self.answer, self.answer.count
        try:
            # Until there is no more: with TLS, some of it may be in libcurl's memory.
            while not answer.is_complete:
                answer.received(self._line.recv_into(answer.buffer))
        except BlockingIOError:
            if answer.count > before:
                self._last_at = now
            return False
        return True

    def has_more(self) -> bool:
        """Return whether anything has come that answers no request, or the connection has ended.

        With TLS, it may be in the memory of the library, while the socket has no more.
        """
        try:
            if isinstance(self._line, socket.socket):
                self._line.recv(1, socket.MSG_PEEK)  # any thread may do this
            else:
                self._line.recv_into(self._scratch)
        except BlockingIOError:
            return False
        except (pycurl.error, OSError):
            pass
        return True

    @property
    def next_check(self) -> float:
        """When `is_too_slow` may become true, by the monotonic clock."""
        return min(self._last_at, self._window_began) + self.template.timeout[1]

    def is_too_slow(self, now: float) -> bool:
        """Return whether the host is silent, or too slow, for too long."""
        silence, answer = self.template.timeout[1], self.answer
        if now - self._last_at >= silence:
            return True
        seconds = now - self._window_began
        if seconds < silence:
            return False
        count, self._window_count = answer.count - self._window_count, answer.count
        self._window_began = now
        # The head has to come whole within that time.
        return not answer.status or count < max(self.template.min_rate, 1) * seconds

    def end(self) -> SubmittedRequest:
        """Return the request, and forget it: it refers to those that wait for it."""
        submitted, self.submitted = self.submitted, None
        assert submitted is not None, "it was taken"
        self.is_reused = True
        return submitted

    def close(self) -> None:
        """Close it; a handle that libcurl still needs was removed from the others before."""
        self._line.close()


def _duplicate(number: int) -> socket.socket:
    """Return a socket of our own for a descriptor that libcurl will close."""
    lent = socket.socket(fileno=number)
    try:
        own = lent.dup()
    finally:
        lent.detach()
    own.setblocking(False)
    return own


def failure_of(error: Exception) -> StoreError:
    """Return an error of ours for one of `FAILURES`."""
    is_of_curl = isinstance(error, pycurl.error)
    number = error.args[0] if is_of_curl else None
    if number == pycurl.E_OPERATION_TIMEDOUT or isinstance(error, TimeoutError):
        return TransportTimeout("the host was silent or too slow for too long")
    why = f"libcurl: {number}" if is_of_curl else error
    return TransportError(f"the request was not completed ({why})")


def _fields_text(template: RequestTemplate, headers: Mapping[str, str]) -> bytes:
    """Return header fields as they are sent, without the end of the head."""
    own = {"Host": _host(template.join(""))} if "host" not in map(str.lower, headers) else {}
    if _proxied_by_url(template):
        own |= template.pool.proxy_headers
    return field_lines({**own, **headers})


def _host(url: str) -> str:
    """Return the host of a URL, and its port unless that is the default one."""
    parts = urlsplit(url)
    whole = parts.netloc.rpartition("@")[2]
    host, _, port = whole.rpartition(":")
    return host if port in ("", _DEFAULT_PORTS[parts.scheme]) else whole


def _proxied_by_url(template: RequestTemplate) -> bool:
    """Return whether a proxy is asked by whole URLs; without TLS to the host it tunnels not."""
    return template.proxy is not None and template.join("").startswith("http:")


def _handle(template: RequestTemplate) -> pycurl.Curl:
    handle = pycurl.Curl()
    proxied = template.proxy if _proxied_by_url(template) else None
    for option, value in [
        (pycurl.CONNECT_ONLY, 1),
        # Without a path or query, which may have characters that libcurl does not take.
        (pycurl.URL, _origin(proxied or template.join(""))),
        (pycurl.NOSIGNAL, 1),  # for threads
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        # Bytes: pycurl accepts only ASCII as text.  Set, so that no variable counts.
        (pycurl.PROXY, ("" if proxied else template.proxy or "").encode()),
        (pycurl.NOPROXY, ""),
        (pycurl.CONNECTTIMEOUT_MS, max(math.ceil(template.timeout[0] * 1000), 1)),
    ]:
        handle.setopt(option, value)
    if template.proxy is not None and not proxied:
        # libcurl reads the answer to CONNECT as long as bytes come, and looks at no clock.
        deadline = time.monotonic() + template.timeout[0]
        handle.setopt(pycurl.NOPROGRESS, 0)
        handle.setopt(pycurl.XFERINFOFUNCTION, partial(_is_over, deadline))
    if template.check_peer is not None:
        handle.setopt(pycurl.OPENSOCKETFUNCTION, partial(_open, template.check_peer))
    _set_up_tls(handle, template)
    return handle


def _is_over(deadline: float, *progress: int) -> bool:
    return time.monotonic() > deadline


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"


def _set_up_tls(handle: pycurl.Curl, template: RequestTemplate) -> None:
    if template.verify is False:
        handle.setopt(pycurl.SSL_VERIFYPEER, 0)
        handle.setopt(pycurl.SSL_VERIFYHOST, 0)
    else:
        trusted = DEFAULT_CA_BUNDLE_PATH if template.verify is True else template.verify
        is_folder = os.path.isdir(trusted)
        handle.setopt(pycurl.CAPATH if is_folder else pycurl.CAINFO, trusted)
    if template.cert is not None and not _proxied_by_url(template):  # which is for the host alone
        cert = template.cert
        certificate, key = (cert, cert) if isinstance(cert, str) else cert
        handle.setopt(pycurl.SSLCERT, certificate)
        handle.setopt(pycurl.SSLKEY, key)


class _LentSocket(socket.socket):
    # pycurl duplicates its descriptor, and drops it.

    def __del__(self) -> None:
        if self.fileno() >= 0:  # it was opened
            self.close()


def _open(check: PeerCheck, purpose: int, address: Any) -> Any:
    # Before it is connected to, so that no TLS handshake begins.
    try:
        check(address.addr[0], is_connected=False)
        return _LentSocket(address.family, address.socktype, address.protocol)
    except (InnerAddressError, OSError):
        return pycurl.SOCKET_BAD
