"""Many answers at once by libcurl's multi interface: what the extra ``fast`` brings.

libcurl sends and receives on many connections in one thread, all of it in C;
Python sees each answer once.  It follows no redirect and tries nothing again,
for others do that.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pycurl

# Missing below libcurl 7.80; the ImportError then leaves the work to threads.
from pycurl import PREREQFUNC_ABORT, PREREQFUNC_OK, PREREQFUNCTION
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from ..errors import NotConnectedError
from ..processes import fork_gate
from .failures import InnerAddressError
from .wanted import Got, Wanted, believed

if TYPE_CHECKING:
    from .lane import Lane

__all__ = ["by_curl"]

_CONNECTIONS = 24
_BUFFER = 1 << 18  # bytes that libcurl hands over at once, at most
_PATIENCE = 0.1  # seconds after which somebody looks whether the store was disconnected
_HEAD = 1 << 20  # bytes of header and trailer fields, at most
_INTERIM = b"HTTP/1.1 10"
_CODING = re.compile(rb"^transfer-encoding:[ \t]*([^\r\n]*?)[ \t]*\r?$", re.I | re.M)
_LENGTH_OR_CLOSE = re.compile(rb"^(content-length:|connection:[ \t]*close)", re.I | re.M)
_FIELDS = re.compile(rb"^(content-encoding|content-range|etag):[ \t]*([^\r\n]*)", re.I | re.M)

_Numbered = Iterator[tuple[int, Wanted]]


def by_curl(lane: Lane, wanted: Sequence[Wanted]) -> list[Got | None]:
    """Send many requests; see `bulk.fetch_all`."""
    got: list[Got | None] = [None] * len(wanted)
    numbered: _Numbered = enumerate(wanted)
    speaks_tls = "https:" in (lane.root.url[:6], (lane.proxy or "")[:6])
    setting_up = fork_gate().passing if speaks_tls else contextlib.nullcontext
    multi = pycurl.CurlMulti()
    transfers = {
        transfer.handle: transfer
        for transfer in (_Transfer(lane, multi) for _ in range(min(_CONNECTIONS, len(wanted))))
    }
    try:
        running = sum(transfer.begins(numbered) for transfer in transfers.values())
        while running:
            if lane.wire.cut.is_set():
                raise NotConnectedError("the store was disconnected")
            with setting_up():
                multi.perform()
            ended = list(_ended(multi))
            for handle, error in ended:
                transfer = transfers[handle]
                got[transfer.number] = transfer.result() if error == pycurl.E_OK else None
                transfer.end()
                if error == pycurl.E_OPERATION_TIMEDOUT:
                    numbered = iter(())  # not once more for each of those that are left
                running -= not transfer.begins(numbered)
            if not ended:  # otherwise what has just begun is sent first
                multi.select(_PATIENCE)
    finally:
        for transfer in transfers.values():
            transfer.end()
        multi.close()
    return got


def _ended(multi: pycurl.CurlMulti) -> Iterator[tuple[pycurl.Curl, int]]:
    """Yield the handles that are done, and libcurl's numbers for what went wrong with them."""
    left = 1
    while left:
        left, good, bad = multi.info_read()
        yield from ((handle, pycurl.E_OK) for handle in good)
        yield from ((handle, error) for handle, error, _ in bad)


class _Transfer:
    """One request after the other, on one handle, which keeps its options and its buffers."""

    def __init__(self, lane: Lane, multi: pycurl.CurlMulti) -> None:
        self.number = 0
        self.handle = pycurl.Curl()
        self._multi = multi
        self._url = lane.root.join
        self._head = io.BytesIO()
        self._body = io.BytesIO()
        self._wanted = Wanted("", 0)
        self._is_running = False
        self._check_peer = lane.check_peer
        self._has_proxy = lane.proxy is not None
        self._set_up(lane)

    def _set_up(self, lane: Lane) -> None:
        connecting, silence = lane.timeout
        fields = [f"{name}: {value}".encode("latin-1") for name, value in lane.headers.items()]
        for option, value in [
            (pycurl.NOSIGNAL, 1),  # for threads
            (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
            (pycurl.PATH_AS_IS, 1),
            (pycurl.BUFFERSIZE, _BUFFER),
            (pycurl.HTTPHEADER, fields),
            # Bytes, for pycurl takes texts of ASCII alone.  Nothing of the environment.
            (pycurl.PROXY, (lane.proxy or "").encode()),
            (pycurl.NOPROXY, ""),
            (pycurl.CONNECTTIMEOUT_MS, max(int(connecting * 1000), 1)),
            (pycurl.LOW_SPEED_LIMIT, max(math.ceil(lane.min_rate), 1)),
            (pycurl.LOW_SPEED_TIME, max(math.ceil(silence), 1)),
            (pycurl.HEADERFUNCTION, self._write_head),
            (pycurl.WRITEFUNCTION, self._write),
        ]:
            self.handle.setopt(option, value)
        if lane.check_peer is not None:
            self.handle.setopt(PREREQFUNCTION, self._judge_peer)
        self._set_up_tls(lane)

    def _set_up_tls(self, lane: Lane) -> None:
        if lane.verify is False:
            self.handle.setopt(pycurl.SSL_VERIFYPEER, 0)
            self.handle.setopt(pycurl.SSL_VERIFYHOST, 0)
        else:
            trusted = DEFAULT_CA_BUNDLE_PATH if lane.verify is True else lane.verify
            is_folder = os.path.isdir(trusted)
            self.handle.setopt(pycurl.CAPATH if is_folder else pycurl.CAINFO, trusted)
        if lane.cert is not None:
            certificate, key = (lane.cert, lane.cert) if isinstance(lane.cert, str) else lane.cert
            self.handle.setopt(pycurl.SSLCERT, certificate)
            self.handle.setopt(pycurl.SSLKEY, key)

    def begins(self, numbered: _Numbered) -> bool:
        """Begin the next request; False if there is none."""
        following = next(numbered, None)
        if following is None:
            return False
        was_part = self._wanted.start is not None
        self.number, self._wanted = following
        for buffer in (self._head, self._body):
            buffer.seek(0)
            buffer.truncate()
        self.handle.setopt(pycurl.URL, self._url(self._wanted.url_path))
        if self._wanted.start is not None:
            self.handle.setopt(pycurl.RANGE, self._wanted.range)
        elif was_part:
            self.handle.unsetopt(pycurl.RANGE)
        self._multi.add_handle(self.handle)
        self._is_running = True
        return True

    def _judge_peer(self, address: str, here: str, port: int, port_here: int) -> int:
        """Allow a request on the connection that it got, new or not, or end the transfer."""
        try:
            if self._check_peer is not None:
                self._check_peer(address)
        except InnerAddressError:
            return PREREQFUNC_ABORT
        return PREREQFUNC_OK

    def _write_head(self, field: bytes) -> int:
        """Keep a field of a head, or a trailer; refuse what has no end, as in `_write`."""
        if self._head.tell() > _HEAD or (field == b"\r\n" and not self._has_end()):
            return 0
        return self._head.write(field)

    def _has_end(self) -> bool:
        """Return whether the head says where the body ends: if not, libcurl may wait for long."""
        heads = self._head.getvalue()
        if b"\nContent-Length: " in heads and b"ransfer-" not in heads:
            return True  # benchmark: read_many
        head = self._last_head(heads)
        if (coding := _CODING.search(head)) is not None:
            return coding[1].lower() == b"chunked"
        # Interim answers have no body, nor has that of a proxy to a CONNECT.
        is_bare = self._has_proxy or head.startswith(_INTERIM)
        return is_bare or _LENGTH_OR_CLOSE.search(head) is not None

    @staticmethod
    def _last_head(heads: bytes) -> bytes:
        """Return the last of some heads: what comes before are interim answers."""
        end = heads.rfind(b"\r\n\r\nHTTP/")
        return heads if end < 0 else heads[end + 4 :]

    def _write(self, piece: bytes) -> int:
        """Keep a piece of the body; refuse more than is wanted, which ends the transfer."""
        if self._body.tell() + len(piece) > self._wanted.size:
            return 0
        return self._body.write(piece)

    def result(self) -> Got | None:
        """Return the answer, if it is what was wanted."""
        heads = self._head.getvalue()
        fields: dict[str, str] = {}
        if self._wanted.start is not None or b"encoding" in heads.lower():
            for name, value in _FIELDS.findall(self._last_head(heads)):
                fields[name.decode().lower()] = value.decode("latin-1").strip()
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        return believed(self._wanted, status, fields, self._body.getvalue())

    def end(self) -> None:
        """Take the request, done or not, out of those that go on."""
        if self._is_running:
            self._multi.remove_handle(self.handle)
            self._is_running = False
