"""The arguments of a script of `RawServer`: a request, and the wire to answer it on."""

from __future__ import annotations

import fcntl
import re
import select
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import cached_property
from http import HTTPStatus
from time import monotonic
from typing import TypeAlias
from urllib.parse import unquote

from requests.structures import CaseInsensitiveDict


class ClientGone(Exception):
    """No client to answer: it disconnected, or the server was stopped."""


@dataclass(frozen=True)
class Request:
    """A request as it was on the wire.

    `number` is the number of requests that the server had received before, and
    `connection` that of connections before the one of this request.
    """

    method: str
    target: str
    version: str
    header_list: tuple[tuple[str, str], ...]
    body: bytes
    number: int
    connection: int

    @property
    def path(self) -> str:
        """The target without its query, decoded; with the leading slash."""
        return unquote(self.target.partition("?")[0])

    @cached_property
    def headers(self) -> CaseInsensitiveDict[str]:
        """The header fields by name, in any case; of equal names the last."""
        return CaseInsensitiveDict(self.header_list)

    @property
    def range(self) -> tuple[int, int | None] | None:
        """The one requested range, as in a slice; None if there is none, or many.

        ``bytes=5-9`` is (5, 10), ``bytes=5-`` is (5, None) and ``bytes=-5``
        is (-5, None).
        """
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if match is None or not any(match.groups()):
            return None
        first, last = match.groups()
        if not first:
            return -int(last), None
        return int(first), int(last) + 1 if last else None

    @property
    def keeps_alive(self) -> bool:
        """Whether the client can send another request on the same connection."""
        return self.version == "HTTP/1.1" and self.headers.get("Connection", "").lower() != "close"


class Wire:
    """The connection of a request, for the answer to it.

    Every method raises `ClientGone` if there is no client to answer; a script
    lets it pass.

    `pace` makes it a slow line: so many bytes are sent at once, and then so many
    seconds nothing.
    """

    def __init__(self, connection: socket.socket, request: Request) -> None:
        self._connection = connection
        self._request = request
        self.closed = False
        self.used = False
        self.pace: tuple[int, float] | None = None

    def send(self, data: bytes) -> None:
        """Send these bytes, whatever they are."""
        if self.closed:
            raise RuntimeError("the script answers on a wire that it has closed")
        self.used = True
        size, pause = self.pace or (len(data) or 1, None)
        try:
            for start in range(0, len(data), size):
                self._connection.sendall(data[start : start + size])
                if pause is not None and self._ends(within=pause):
                    raise ClientGone
        except OSError as error:
            raise ClientGone from error

    def response(
        self,
        status: int = 200,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        length: bool = True,
    ) -> None:
        """Send a whole, well-formed answer, with these header fields and the necessary ones.

        A ``Content-Length`` among `headers` is used, right or wrong.
        With ``length=False`` there is none, and the body ends with the
        connection.
        """
        bare = status < 200 or status in (204, 304)
        fields = CaseInsensitiveDict({"Date": formatdate(usegmt=True)})
        if length and not bare:
            fields["Content-Length"] = str(len(body))
        if not self._request.keeps_alive or not (length or bare):
            fields["Connection"] = "close"
        fields.update(headers or {})
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{k}: {v}" for k, v in fields.items())]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.send(head if bare or self._request.method == "HEAD" else head + body)
        if fields.get("Connection", "").lower() == "close":
            self.close()

    def reset(self) -> None:
        """End the connection with a reset, after all bytes have reached the client's system."""
        deadline = monotonic() + 1.0
        while self._unsent() and monotonic() < deadline and not self._ends(within=0.001):
            pass
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end()

    def close(self) -> None:
        """Close the connection properly, whether or not the answer is complete."""
        with suppress(OSError):
            if isinstance(self._connection, ssl.SSLSocket):
                # Ends the stream here, and does not wait for the client to agree.
                self._connection.setblocking(False)
                self._connection.unwrap()
        self._end()

    def stall(self) -> None:
        """Send nothing and keep the connection, until the client or the server ends it."""
        self.used = True
        self._ends(within=None)

    def drip(self, data: bytes, pause: float = 0.02) -> None:
        """Send a byte every `pause` seconds, until the client or the server ends the connection."""
        for offset in range(len(data)):
            self.send(data[offset : offset + 1])
            if self._ends(within=pause):
                raise ClientGone

    def wait(self, event: threading.Event) -> None:
        """Wait until the test sets the event."""
        while not event.wait(0.01):
            if self._ends(within=0.0):
                raise ClientGone

    def _ends(self, within: float | None) -> bool:
        """Wait for the client's end of the connection to close; a stopped server closes ours."""
        poll = select.poll()
        poll.register(self._connection, select.POLLRDHUP)
        return bool(poll.poll(None if within is None else within * 1000.0))

    def _unsent(self) -> int:
        """Count the bytes that the client's system has not acknowledged."""
        answer = fcntl.ioctl(self._connection, termios.TIOCOUTQ, struct.pack("i", 0))
        count: int = struct.unpack("i", answer)[0]
        return count

    def _end(self) -> None:
        self.used = self.closed = True
        self._connection.close()


# Called in a thread of the connection, for each request on it.
Answer: TypeAlias = Callable[[Request, Wire], None]
