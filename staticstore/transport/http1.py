"""The head of an HTTP/1 answer: its status line and its header fields.

`http.client` passes over 100 alone, takes the first line without a colon for
the end of the fields, and has no more than 100 of them.  The bytes after the
head are framed by what stands in it, so what matters for that is read
strictly; any other line that is no field is passed over, as browsers do.
"""

from __future__ import annotations

import errno
import re
from http.client import HTTPException, HTTPMessage, RemoteDisconnected
from typing import BinaryIO, NamedTuple

__all__ = ["HeaderError", "HeaderReader", "Status"]

_MOST_HEAD_BYTES = 1 << 18  # of all heads before one body, as libcurl has it
_MOST_LINE_BYTES = 1 << 16
_MOST_FIELDS = 1000
_MOST_INTERIM = 100
_SHOWN = 40  # characters of what cannot be read
_STATUS_LINE = re.compile(r"HTTP/(\d(?:\.\d)?)[ \t]+(\d{3})(?:[ \t]+(.*?))?[ \t]*\Z")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_UNSAFE = re.compile(rb"[\r\0]")
_FRAMING = re.compile(rb"[ \t]*(content-length|transfer-encoding)\b", re.IGNORECASE)
_WITHOUT_BODY = (204, 304)


class HeaderError(HTTPException):
    """The head of an answer cannot be read; it says why, for people."""


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
    """Reads the head before one body, and those of interim answers before it.

    Parameters
    ----------
    file : file
        What the host sends.
    is_reused : bool, optional
        Whether an earlier answer came by the same connection.  If that had more
        bytes than it should, they are no status line now.
    """

    def __init__(self, file: BinaryIO, *, is_reused: bool = False) -> None:
        self._file = file
        self._is_reused = is_reused
        self._left = _MOST_HEAD_BYTES
        self._line_end = b""

    def status(self) -> Status:
        """Read the status line of the final answer; interim answers are passed over.

        Raises
        ------
        HeaderError
            It is no answer of HTTP/1.
        RemoteDisconnected
            The host closed the connection instead.
        """
        for _ in range(_MOST_INTERIM):
            status = self._status()
            if not status.is_interim:
                return status
            self._lines()
        raise HeaderError(f"the host sends more than {_MOST_INTERIM} interim answers")

    def _status(self) -> Status:
        line = self._file.readline(_MOST_LINE_BYTES)
        if not line:
            raise RemoteDisconnected("the host closed the connection without an answer")
        self._spend(line)
        text = line.decode("latin-1").rstrip("\r\n")
        self._line_end = line[len(text) :]  # CR CR LF of a script that writes a text on Windows
        match = _STATUS_LINE.match(text)
        if match is None or not match[1].startswith("1") or match[2] < "100":
            if self._is_reused:
                raise RemoteDisconnected("the host sent more than an earlier answer has")
            raise HeaderError(
                f"the host's answer does not begin as one of HTTP/1: {text[:_SHOWN]!a}"
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
            They do not say where the body ends, or are too many.
        ConnectionResetError
            They are cut short.
        """
        message = HTTPMessage()
        for name, value in _parsed(self._lines()):
            message[name] = value
        has_body = method != "HEAD" and status not in _WITHOUT_BODY
        _frame(message, is_strict=has_body)
        return message

    def _lines(self) -> list[bytes]:
        """Read as far as the empty line, folded lines joined."""
        lines: list[bytes] = []
        while True:
            line = self._file.readline(_MOST_LINE_BYTES)
            self._spend(line)
            if not line.endswith(b"\n"):
                if len(line) == _MOST_LINE_BYTES:
                    raise HeaderError("the host sends a header field of more than 64 KiB")
                raise ConnectionResetError(errno.ECONNRESET, "closed within the header fields")
            text = line.rstrip(b"\r\n")
            if not text:
                if line not in (b"\n", b"\r\n", self._line_end):
                    raise HeaderError("the host sends a header field of carriage returns alone")
                return lines
            if text[:1] in b" \t" and lines:
                lines[-1] += b" " + text.strip(b" \t")
            else:
                lines.append(text)
            if len(lines) > _MOST_FIELDS:
                raise HeaderError(f"the host sends more than {_MOST_FIELDS} header fields")

    def _spend(self, line: bytes) -> None:
        self._left -= len(line)
        if self._left < 0:
            raise HeaderError(
                f"the host sends more than {_MOST_HEAD_BYTES >> 10} KiB of header fields"
            )


def _parsed(lines: list[bytes]) -> list[tuple[str, str]]:
    """Return names and values; a line that is no field is left out unless it frames the body."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and _NAME.match(name):
            value = _UNSAFE.sub(b" ", value).strip(b" \t")
            fields.append((name.decode("ascii"), value.decode("latin-1")))
        elif _FRAMING.match(line):
            shown = ascii(line[:_SHOWN].decode("latin-1"))
            raise HeaderError(f"the host sends a header field that cannot be read: {shown}")
    return fields


def _frame(message: HTTPMessage, *, is_strict: bool) -> None:
    """Leave one field that says where the body ends, or none (RFC 9112, section 6.3).

    If `is_strict`, raise for fields that say nothing, or several things.
    """
    codings = _elements(message, "Transfer-Encoding") - {"identity"}
    lengths = _elements(message, "Content-Length")
    del message["Transfer-Encoding"], message["Content-Length"]
    if codings:
        if codings != {"chunked"} and is_strict:
            raise HeaderError(f"the host uses a transfer coding unasked: {_shown(codings)}")
        message["Transfer-Encoding"] = "chunked"
        return
    numbers = {text.lstrip("0") or "0" for text in lengths if text.isascii() and text.isdigit()}
    is_one = len(numbers) == 1 and all(text.isascii() and text.isdigit() for text in lengths)
    if is_one and len(number := numbers.pop()) < 19:
        message["Content-Length"] = number
    elif lengths and is_strict:
        raise HeaderError(f"the header fields give no length: Content-Length is {_shown(lengths)}")


def _elements(message: HTTPMessage, name: str) -> set[str]:
    """Return the elements of a field, which may stand several times, in lower case."""
    values = message.get_all(name, [])
    return {element.strip(" \t").lower() for value in values for element in value.split(",")}


def _shown(texts: set[str]) -> str:
    return ascii(", ".join(sorted(texts))[:_SHOWN])
