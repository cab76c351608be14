"""The answer of a host, and its body."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ...errors import NotConnectedError, StoreError, TransportError
from .cancellation import this_call
from .conditions import (
    DECODABLE,
    checked_validators,
    codings_of,
    parse_date,
    parse_strong_etag,
)
from .failures import OUTSIDE, mapped, raise_mapped, status_error
from .http1 import allowance

if TYPE_CHECKING:
    import requests

    from .report import RequestReport
    from .wire import Receivable, Wire

__all__ = [
    "ContentRange",
    "Response",
    "check_status",
    "parse_content_range",
]

T = TypeVar("T")

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z", re.IGNORECASE)
_UNSATISFIED_RANGE = re.compile(r"bytes \*/(\d{1,18})\Z", re.IGNORECASE)


class ContentRange(NamedTuple):
    """The part that a 206 says it holds (RFC 9110, section 14.4): half-open, in bytes."""

    start: int
    end: int
    #: Size of the whole value; None if the host did not say.
    total: int | None


def parse_content_range(text: str | None) -> ContentRange | None:
    """Parse the field Content-Range of a 206; None if it is missing or makes no sense.

    Examples
    --------
    >>> parse_content_range("bytes 0-8/12")
    ContentRange(start=0, end=9, total=12)
    """
    match = _CONTENT_RANGE.match(text or "")
    if match is None:
        return None
    start, last = int(match[1]), int(match[2])
    total = None if match[3] == "*" else int(match[3])
    if last < start or (total is not None and last >= total):
        return None
    return ContentRange(start, last + 1, total)


class Response:
    """The status, header fields and body of an answer.

    Reading raises errors of ours only, also in the middle of the body.
    For one reader; `close` may be called by any thread, and twice.

    Attributes
    ----------
    status : int
        The HTTP status code.
    url : str
        The URL that answered, after redirects.
    codings : tuple of str
        The content codings of the body, in lower case; empty for other labels.
    """

    def __init__(
        self,
        response: requests.Response,
        wire: Wire,
        *,
        key: str | None,
        answer: Receivable | None,
        report: RequestReport | None = None,
    ) -> None:
        self.status = response.status_code
        self.url = str(response.url)
        self._response = response
        self._wire = wire
        self._key = key
        coding = response.headers.get("Content-Encoding")
        self.codings = codings_of(coding) if coding else ()
        # A body from a socket that is not chunked is received into the caller's buffer.
        self._answer = None if answer is None or answer.chunked else answer
        self._whole_answer = answer
        self._report = report

    def header(self, name: str) -> str | None:
        """Return a header field, or None."""
        value = self._response.headers.get(name)
        return None if value is None else str(value).strip()

    @property
    def content_length(self) -> int | None:
        """Bytes of the body as it is sent; None if the host gives no number."""
        text = self.header("Content-Length") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    @property
    def content_range(self) -> ContentRange | None:
        """The part that a 206 holds; None if the field is missing or makes no sense."""
        return parse_content_range(self.header("Content-Range"))

    def is_part(self, start: int, end: int | None = None) -> bool:
        """Return whether this is a 206 of the bytes ``[start:end]`` only, not coded.

        Without `end` the part has to reach the end of the value, as far as the
        answer says where that is.
        """
        given = self.content_range
        if self.status != 206 or self.codings or given is None or given.start != start:
            return False
        return given.end == end if end is not None else given.total in (None, given.end)

    @property
    def unsatisfied_total(self) -> int | None:
        """Size of the whole value in a 416 (RFC 9110, section 15.5.17); None without."""
        match = _UNSATISFIED_RANGE.match(self.header("Content-Range") or "")
        return None if match is None else int(match[1])

    @property
    def whole_size(self) -> int | None:
        """Bytes of the whole value; None if the answer gives no number."""
        if self.status == 206:
            return None if self.content_range is None else self.content_range.total
        if self.status == 416:
            return self.unsatisfied_total
        return None if self.codings else self.content_length

    @property
    def etag(self) -> str | None:
        """The entity tag, weak or strong."""
        return self.header("ETag") or None

    @property
    def strong_etag(self) -> str | None:
        """The entity tag if it is strong, so that equal tags mean equal bytes."""
        return parse_strong_etag(self.header("ETag"))

    @property
    def validators(self) -> dict[str, str]:
        """The header fields of a conditional request for this answer, perhaps none.

        Only what RFC 9110 allows is repeated to the host.  An entity tag goes
        alone: good servers ignore a date beside it (section 13.1.3), and
        others compare the date by order and would never give an older file.
        """
        etag, modified = self.header("ETag") or "", self.header("Last-Modified") or ""
        return checked_validators({"If-None-Match": etag, "If-Modified-Since": modified})

    @property
    def last_modified(self) -> datetime | None:
        """The Last-Modified date, aware, in UTC; None for nonsense."""
        return parse_date(self.header("Last-Modified"))

    def read(self, size: int, *, decode: bool = False) -> bytes:
        """Read up to `size` bytes of the body; fewer only at its end, none after it.

        Parameters
        ----------
        size : int
            Bytes, at least one.
        decode : bool, optional
            Whether to decode the content coding; `size` then counts decoded
            bytes, and no more of them are ever in memory.

        Raises
        ------
        TransportError
            The connection broke or was too slow, or the coding was not asked
            for or is damaged.
        NotConnectedError
            The store was disconnected.
        """
        raw = self._response.raw
        return self._received(lambda: raw.read(size, decode_content=decode), size, decode)

    def readinto(self, buffer: memoryview, *, decode: bool = False) -> int:
        """Read what has arrived, or what arrives next, into a buffer; return its size.

        Like `read`, but perhaps fewer bytes; none that arrive before a
        connection breaks are lost.
        """
        return self._received(lambda: self._readinto(buffer, decode), len(buffer), decode)

    def _readinto(self, buffer: memoryview, decode: bool) -> int:
        if self._answer is None or decode:
            piece: bytes = self._response.raw.read1(len(buffer), decode_content=decode)
            buffer[: len(piece)] = piece
            return len(piece)
        count = self._answer.receive_into(buffer)
        if self._report is not None:
            self._report.received(count)
        if self._answer.isclosed():
            self._response.raw.release_conn()
        return count

    def _received(self, read: Callable[[], T], size: int, decode: bool) -> T:
        if self._report is None:
            return self._bounded(read, size, decode)
        try:
            result = self._bounded(read, size, decode)
        except StoreError as error:
            self._report.finish(error)
            raise
        if not result or (self._whole_answer is not None and self._whole_answer.isclosed()):
            self._report.finish()
        return result

    def _bounded(self, read: Callable[[], T], size: int, decode: bool) -> T:
        if decode and not DECODABLE.issuperset(self.codings):
            raise TransportError(
                f"the host used a content coding that was not asked for: {self.codings[-1]}",
                key=self._key,
                url=self.url,
            )
        if decode and self.codings:  # urllib3 would take other labels for codings, too
            self._response.raw.headers["Content-Encoding"] = ", ".join(self.codings)
        if self._wire.pid != os.getpid():
            raise NotConnectedError(
                "this stream was opened before the process was forked: open another one here",
                key=self._key,
                url=self.url,
            )
        if self._wire.cut.is_set() or this_call.cut.is_set():
            raise NotConnectedError("the store was disconnected", key=self._key, url=self.url)
        current = self._wire.current
        current.allowance = allowance(size)
        try:
            return read()
        except OUTSIDE as error:
            raise_mapped(error, self._wire, key=self._key, url=self.url)
        finally:
            current.allowance = None

    def mapped(self) -> contextlib.AbstractContextManager[None]:
        """Map errors of libraries in the block to ours, with key and URL."""
        return mapped(self._wire, key=self._key, url=self.url)

    def close(self, error: StoreError | None = None) -> None:
        """Release the connection, or close it if the body has not been read to its end.

        Parameters
        ----------
        error : StoreError, optional
            Why the answer is not used.
        """
        self._response.close()
        if self._report is not None:
            self._report.finish(error)


def check_status(response: Response, key: str | None, *, trusted: bool) -> None:
    """Raise the error of an answer that refuses a request, and close it.

    Parameters
    ----------
    response : Response
        The answer; with a status below 400, or 416, nothing is raised.
    key : str or None
        For the error.
    trusted : bool
        Whether it is from the origin of the root, which got the credentials.
    """
    if response.status < 400 or response.status == 416:
        return
    error = status_error(
        response.status, key=key, url=response.url, retry_after=response.header("Retry-After")
    )
    if response.status == 401 and not trusted:
        error.args = (
            "the host redirected to another origin, which answered 401 Unauthorized: user and"
            " password are sent to the origin of the root only",
        )
    response.close(error)
    raise error
