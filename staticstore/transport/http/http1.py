"""HTTP/1 answers, read from a socket: the head strictly, the body within bounds.

`http.client` skips no interim answer but 100, takes the first line without a
colon for the end of the fields, and accepts at most 100 of them.  The head
says where the body ends, so the fields that do are read strictly; any other
line that is not a field is skipped, as browsers do.
"""

from __future__ import annotations

import errno
import io
import os
import re
import socket
import time
from http.client import HTTPException, HTTPMessage, HTTPResponse, RemoteDisconnected
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from urllib3.exceptions import IncompleteRead

from ... import tuning
from .cancellation import this_call

if TYPE_CHECKING:
    from .wire import Wire

__all__ = [
    "MOST_HEAD_BYTES",
    "MOST_INTERIM_ANSWERS",
    "WITHOUT_BODY",
    "BoundedResponse",
    "HeaderError",
    "HeaderReader",
    "Status",
    "allowance",
]

#: Of all heads before one body.
MOST_HEAD_BYTES = 1 << 18
#: Before one answer, at most.
MOST_INTERIM_ANSWERS = 100
#: Statuses of answers that have no body, whatever their fields say.
WITHOUT_BODY = (204, 304)

# Bytes that may be received for each byte read (chunks of one byte take six), and in
# addition: the head of a chunk, trailers at the end.
_RECEIVED_BYTES_PER_BYTE = 8
_RECEIVED_BESIDE_BYTES = 1 << 20
_MOST_LINE_BYTES = 1 << 16
_MOST_FIELDS = 1000
_SHOWN_CHARACTERS = 40  # of what cannot be read
_STATUS_LINE = re.compile(r"HTTP/(\d(?:\.\d)?)[ \t]+(\d{3})(?:[ \t]+(.*?))?[ \t]*\Z")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_UNSAFE = re.compile(rb"[\r\0]")
_FRAMING = re.compile(rb"[ \t]*(content-length|transfer-encoding)\b", re.IGNORECASE)


def allowance(size: int) -> int:
    """Return how many bytes may be received to read `size`."""
    return _RECEIVED_BYTES_PER_BYTE * size + _RECEIVED_BESIDE_BYTES


class HeaderError(HTTPException):
    """The head of an answer cannot be read; the message says why."""


class Status(NamedTuple):
    """A status line."""

    version: str
    code: int
    reason: str

    @property
    def is_interim(self) -> bool:
        """Whether another head follows (RFC 9110, section 15.2); 101 ends HTTP instead."""
        return 100 <= self.code < 200 and self.code != 101


class HeaderReader:
    """A reader of the head before one body, and of the interim answers before it.

    Parameters
    ----------
    file : file
        The bytes from the host.
    is_reused : bool, optional
        Whether the connection served an earlier answer.  Bytes beyond the end
        of that one are not a status line.
    """

    def __init__(self, file: BinaryIO, *, is_reused: bool = False) -> None:
        self._file = file
        self._is_reused = is_reused
        self._left = MOST_HEAD_BYTES
        self._line_end = b""

    def status(self) -> Status:
        """Read the status line of the final answer, past interim answers.

        Raises
        ------
        HeaderError
            It is not an answer of HTTP/1.
        RemoteDisconnected
            The host closed the connection instead.
        """
        for _ in range(MOST_INTERIM_ANSWERS):
            status = self._status()
            if not status.is_interim:
                return status
            self._lines()
        raise HeaderError(f"the host sent more than {MOST_INTERIM_ANSWERS} interim answers")

    def _status(self) -> Status:
        line = self._file.readline(_MOST_LINE_BYTES)
        if not line:
            raise RemoteDisconnected("the host closed the connection without an answer")
        self._spend(line)
        text = line.decode("latin-1").rstrip("\r\n")
        # Scripts that write text on Windows send CR CR LF.
        self._line_end = line[len(text) :]
        match = _STATUS_LINE.match(text)
        if match is None or not match[1].startswith("1") or match[2] < "100":
            if self._is_reused:
                raise RemoteDisconnected("the host sent bytes beyond the end of an answer")
            raise HeaderError(
                f"the host's answer is not HTTP/1; it begins with {text[:_SHOWN_CHARACTERS]!a}"
            )
        return Status(f"HTTP/{match[1]}", int(match[2]), match[3] or "")

    def fields(self, status: int, method: str | None) -> HTTPMessage:
        """Read the header fields, with one Content-Length or Transfer-Encoding at most.

        Parameters
        ----------
        status : int
            Of the answer.
        method : str or None
            Of the request.

        Raises
        ------
        HeaderError
            They are too many, or do not say where the body ends.
        ConnectionResetError
            The connection broke before their end.
        """
        message = HTTPMessage()
        for name, value in _parsed(self._lines()):
            message[name] = value
        has_body = method != "HEAD" and status not in WITHOUT_BODY
        _frame(message, is_strict=has_body)
        return message

    def _lines(self) -> list[bytes]:
        lines: list[bytes] = []
        while True:
            line = self._file.readline(_MOST_LINE_BYTES)
            self._spend(line)
            if not line.endswith(b"\n"):
                if len(line) == _MOST_LINE_BYTES:
                    raise HeaderError("the host sent a header field of more than 64 KiB")
                raise ConnectionResetError(errno.ECONNRESET, "closed within the header fields")
            text = line.rstrip(b"\r\n")
            if not text:
                if line not in (b"\n", b"\r\n", self._line_end):
                    raise HeaderError("the host sent a header field of carriage returns alone")
                return lines
            if text[:1] in b" \t" and lines:  # a folded line
                lines[-1] += b" " + text.strip(b" \t")
            else:
                lines.append(text)
            if len(lines) > _MOST_FIELDS:
                raise HeaderError(f"the host sent more than {_MOST_FIELDS} header fields")

    def _spend(self, line: bytes) -> None:
        self._left -= len(line)
        if self._left < 0:
            raise HeaderError(
                f"the host sent more than {MOST_HEAD_BYTES >> 10} KiB of header fields"
            )


def _parsed(lines: list[bytes]) -> list[tuple[str, str]]:
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and _NAME.match(name):
            value = _UNSAFE.sub(b" ", value).strip(b" \t")
            fields.append((name.decode("ascii"), value.decode("latin-1")))
        elif _FRAMING.match(line):
            shown = ascii(line[:_SHOWN_CHARACTERS].decode("latin-1"))
            raise HeaderError(f"the host sent a header field that cannot be read: {shown}")
    return fields


def _frame(message: HTTPMessage, *, is_strict: bool) -> None:
    """Keep at most one field that says where the body ends (RFC 9112, section 6.3)."""
    codings = _elements(message, "Transfer-Encoding") - {"identity"}
    lengths = _elements(message, "Content-Length")
    del message["Transfer-Encoding"], message["Content-Length"]
    if codings:
        if codings != {"chunked"} and is_strict:
            raise HeaderError(
                f"the host used a transfer coding that was not asked for: {_shown(codings)}"
            )
        message["Transfer-Encoding"] = "chunked"
        return
    numbers = {text.lstrip("0") or "0" for text in lengths if text.isascii() and text.isdigit()}
    is_one = len(numbers) == 1 and all(text.isascii() and text.isdigit() for text in lengths)
    if is_one and len(number := numbers.pop()) < 19:
        message["Content-Length"] = number
    elif lengths and is_strict:
        raise HeaderError(f"the header fields give no length: Content-Length is {_shown(lengths)}")


def _elements(message: HTTPMessage, name: str) -> set[str]:
    values = message.get_all(name, [])  # a field may occur several times
    return {element.strip(" \t").lower() for value in values for element in value.split(",")}


def _shown(texts: set[str]) -> str:
    return ascii(", ".join(sorted(texts))[:_SHOWN_CHARACTERS])


class BoundedResponse(HTTPResponse):
    """An `http.client` response that reads within the bounds of a `Wire`."""

    def __init__(
        self,
        sock: socket.socket,
        wire: Wire,
        debuglevel: int,
        method: str | None,
        *,
        is_reused: bool = False,
    ) -> None:
        self._sock = sock
        self._wire = wire
        # HTTPResponse calls nothing of a socket but `makefile`, which is here.
        super().__init__(cast(socket.socket, self), debuglevel, method=method)
        self._header = HeaderReader(self.fp, is_reused=is_reused)
        self._request_method = method

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the file that the answer is read from."""
        # Unbuffered: a SocketIO, which keeps the socket open as long as it lives.
        raw = cast(io.RawIOBase, self._sock.makefile("rb", buffering=0))
        self._reads = _BoundedReads(self._sock, raw, self._wire)
        return io.BufferedReader(self._reads, tuning.RECEIVE_BUFFER_BYTES)

    def begin(self) -> None:
        """Receive the head; from then on the bounds of the body apply."""
        status = self._read_status()
        self.code = self.status = status.code
        self.reason = status.reason
        self.version = 10 if status.version in ("HTTP/1", "HTTP/1.0") else 11
        self.headers = self.msg = self._header.fields(status.code, self._request_method)
        self.chunked = "Transfer-Encoding" in self.headers
        self.chunk_left = None
        self.length = self._body_length(status.code)
        # A body of no known length ends with the connection.
        self.will_close = self._closes() or (self.length is None and not self.chunked)
        self._reads.head_is_read()
        self._promised = self.length or 0
        self._wire.current.answer = self

    def _read_status(self) -> Status:
        # `http.client` calls it for a proxy's answer to CONNECT.
        return self._header.status()

    def _closes(self) -> bool:
        # RFC 9112, section 9.3.
        said = ", ".join(self.headers.get_all("Connection", [])).lower()
        return "close" in said or (self.version == 10 and "keep-alive" not in said)

    def _body_length(self, status: int) -> int | None:
        # RFC 9112, section 6.3.
        if status in WITHOUT_BODY or status < 200 or self._request_method == "HEAD":
            return 0
        length = self.headers.get("Content-Length")
        return None if length is None else int(length)

    def receive_into(self, buffer: memoryview) -> int:
        """Receive bytes of a body that is not chunked, as they arrive; 0 at its end.

        Unlike `readinto` it loses no bytes that arrived before the connection broke.
        """
        if self.fp is None:
            return 0
        if self.length is not None:
            buffer = buffer[: self.length]
        count = self.fp.readinto1(buffer) if len(buffer) else 0
        missing = self.length = None if self.length is None else self.length - count
        if not count or missing == 0:
            self.close()
        if not count and missing:
            raise IncompleteRead(self._promised - missing, missing)
        return count


class _BoundedReads(io.RawIOBase):
    def __init__(self, sock: socket.socket, raw: io.RawIOBase, wire: Wire) -> None:
        self._sock = sock
        self._raw = raw
        self._wire = wire
        self._bounds = wire.current.bounds
        self._head_deadline: float | None = time.monotonic() + self._bounds.silence
        self._waited = 0.0
        self._received = 0
        # Seconds in which a rate limit held us up; no bound counts them.
        self._rested = 0.0

    def head_is_read(self) -> None:
        self._head_deadline = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        limits = self._wire.limits
        for limit in limits:
            buffer = memoryview(buffer)[: limit.piece]
        began = time.monotonic()
        self._check_cut()
        self._sock.settimeout(self._patience(began))
        if (cancellation := this_call.cancellation) is None:
            count = self._raw.readinto(buffer)
        else:
            with cancellation.waiting_for(self._sock):
                count = self._raw.readinto(buffer)
        if self._wire.cut.is_set() or this_call.cut.is_set():
            raise ConnectionAbortedError("disconnected")
        self._spend(count or 0)
        if self._bounds.deadline is not None:
            self._bounds.deadline.note_received(count or 0)
        self._check_rate(count or 0, time.monotonic() - began)
        for limit in limits:
            self._rested += limit.spend(count or 0)
        return count

    def readall(self) -> bytes:
        # `http.client` calls it if a host sends a chunk of -1 bytes.
        raise HTTPException("a read without a bound")

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()

    def _spend(self, count: int) -> None:
        # Of the thread that reads, which may be another than sent the request.
        current = self._wire.current
        if current.allowance is not None:
            if count > current.allowance:
                raise HTTPException("the host sent too many bytes that yield no data")
            current.allowance -= count

    def _check_cut(self) -> None:
        if self._wire.pid != os.getpid():
            raise ConnectionAbortedError("the connection belongs to another process")
        if self._wire.cut.is_set() or this_call.cut.is_set():
            raise ConnectionAbortedError("disconnected")

    def _patience(self, now: float) -> float:
        left = []
        if self._head_deadline is not None:
            left.append(self._head_deadline - now + self._rested)
        if self._bounds.deadline is not None:
            left.append(self._bounds.deadline.left + self._rested)
        patience = min([self._bounds.silence, *left])
        if patience <= 0:
            raise TimeoutError("the answer took too long")
        return patience

    def _check_rate(self, count: int, seconds: float) -> None:
        if self._head_deadline is not None:
            return
        self._received += count
        self._waited += seconds
        if self._waited < self._bounds.silence:
            return
        if self._received < self._bounds.min_rate * self._waited:
            raise TimeoutError(
                f"slower than {self._bounds.min_rate} bytes a second for {self._waited:.0f} s"
            )
        self._received, self._waited = 0, 0.0
