"""The answer of a host, whose body raises our errors only."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from ..errors import NotConnectedError, TransportError
from .coding import UNDONE, codings_of
from .failures import mapped
from .wire import BoundedResponse, Wire

if TYPE_CHECKING:
    import requests

__all__ = [
    "ContentRange",
    "Response",
    "allowance",
    "checked_validators",
    "parse_content_range",
    "parse_strong_etag",
]

# Bytes that may be received for each one that is read (chunks of one byte each
# take six), and for all: a head of chunks, an end of trailers.
_OVERHEAD = 8
_ALLOWED = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z", re.IGNORECASE)
_UNSATISFIED_RANGE = re.compile(r"bytes \*/(\d{1,18})\Z", re.IGNORECASE)
_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"\Z')
_ETAG = re.compile(rf"(?:W/)?{_STRONG_ETAG.pattern}")
_LONGEST_VALIDATOR = 1024  # characters
# RFC 9110, section 5.6.7, without its obsolete forms.
_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\Z", re.ASCII)


def allowance(size: int) -> int:
    """Return how many bytes may be received for `size` that are read; see `Wire.allowing`."""
    return _OVERHEAD * size + _ALLOWED


class ContentRange(NamedTuple):
    """What a 206 says it holds (RFC 9110, section 14.4): half-open, in bytes."""

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


def parse_strong_etag(text: str | None) -> str | None:
    """Return an entity tag if it is a strong one (RFC 9110, section 8.8.3), up to 1 KiB long."""
    is_strong = text is not None and len(text) <= _LONGEST_VALIDATOR and _STRONG_ETAG.match(text)
    return text if is_strong else None


def checked_validators(fields: Mapping[str, str]) -> dict[str, str]:
    """Return of the fields of a conditional request the first that RFC 9110 allows, if any.

    Raises
    ------
    TypeError, AttributeError
        They are no texts by name, but what somebody wrote into a note.
    """
    etag, modified = fields.get("If-None-Match", ""), fields.get("If-Modified-Since", "")
    if len(etag) <= _LONGEST_VALIDATOR and _ETAG.fullmatch(etag):
        return {"If-None-Match": etag}
    return {"If-Modified-Since": modified} if _DATE.fullmatch(modified) else {}


class Response:
    """Status, header fields and body of an answer.

    It belongs to one reader; `close` may be called by any thread, twice too.

    Attributes
    ----------
    status : int
        The HTTP status code.
    url : str
        Where it came from in the end.
    codings : tuple of str
        The content codings of the body, in lower case; none for other labels.
    """

    def __init__(
        self,
        response: requests.Response,
        wire: Wire,
        *,
        key: str | None,
        answer: BoundedResponse | None,
    ) -> None:
        self.status = response.status_code
        self.url = str(response.url)
        self._response = response
        self._wire = wire
        self._key = key
        self.codings = codings_of(response.headers.get("Content-Encoding"))
        # What came by a socket, and not in chunks, is received into the reader's own buffer.
        self._answer = None if answer is None or answer.chunked else answer

    def header(self, name: str) -> str | None:
        """Return a header field, or None."""
        value = self._response.headers.get(name)
        return None if value is None else str(value).strip()

    @property
    def content_length(self) -> int | None:
        """Bytes of the body as it is sent, if the host says a number."""
        text = self.header("Content-Length") or ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    @property
    def content_range(self) -> ContentRange | None:
        """What a 206 holds; None if the field is missing or makes no sense."""
        return parse_content_range(self.header("Content-Range"))

    @property
    def unsatisfied_total(self) -> int | None:
        """Size of the whole value, as a 416 says it (RFC 9110, section 15.5.17); None without."""
        match = _UNSATISFIED_RANGE.match(self.header("Content-Range") or "")
        return None if match is None else int(match[1])

    @property
    def whole_size(self) -> int | None:
        """Bytes of the whole value, if the answer says a number."""
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
        """The entity tag if it is a strong one, which binds bytes together."""
        return parse_strong_etag(self.header("ETag"))

    @property
    def validators(self) -> dict[str, str]:
        """The header fields of a conditional request for what was answered, perhaps none.

        Only what RFC 9110 allows is repeated to the host.  An entity tag goes
        alone: a date beside it is ignored by good servers (section 13.1.3), and
        others compare it by order, so that they never give an older file again.
        """
        etag, modified = self.header("ETag") or "", self.header("Last-Modified") or ""
        return checked_validators({"If-None-Match": etag, "If-Modified-Since": modified})

    @property
    def last_modified(self) -> datetime | None:
        """The Last-Modified date, aware, in UTC; None if it is none."""
        try:
            date = parsedate_to_datetime(self.header("Last-Modified") or "")
            return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def read(self, size: int, *, decode: bool = False) -> bytes:
        """Read up to `size` bytes of the body; fewer only at its end, none after it.

        Parameters
        ----------
        size : int
            Bytes, at least one.
        decode : bool, optional
            Whether to undo the content coding; `size` then counts decoded bytes,
            and no more of them are ever in memory.

        Raises
        ------
        TransportError
            The connection broke, was too slow, or the coding is one that was
            not asked for or is damaged.
        NotConnectedError
            The store was disconnected.
        """
        with self._receiving(size, decode):
            piece: bytes = self._response.raw.read(size, decode_content=decode)
            return piece

    def readinto(self, buffer: memoryview, *, decode: bool = False) -> int:
        """Read what has come already, or what comes next, into a buffer; return how many bytes.

        As `read`, but perhaps fewer bytes; and what was received before a
        connection breaks is not lost.
        """
        with self._receiving(len(buffer), decode):
            if self._answer is None or decode:
                piece: bytes = self._response.raw.read1(len(buffer), decode_content=decode)
                buffer[: len(piece)] = piece
                return len(piece)
            count = self._answer.receive_into(buffer)
            if self._answer.isclosed():
                self._response.raw.release_conn()
            return count

    @contextlib.contextmanager
    def _receiving(self, size: int, decode: bool) -> Iterator[None]:
        if decode and not UNDONE.issuperset(self.codings):
            raise TransportError(
                f"the host used a content coding that was not asked for: {self.codings[-1]}",
                key=self._key,
                url=self.url,
            )
        if decode and self.codings:  # urllib3 would take other labels for codings, too
            self._response.raw.headers["Content-Encoding"] = ", ".join(self.codings)
        if self._wire.is_inherited:
            raise NotConnectedError(
                "this stream was opened before the process was forked: open another one here",
                key=self._key,
                url=self.url,
            )
        if self._wire.cut.is_set():
            raise NotConnectedError("the store was disconnected", key=self._key, url=self.url)
        with (
            mapped(self._wire, key=self._key, url=self.url),
            self._wire.allowing(allowance(size)),
        ):
            yield

    def mapped(self) -> contextlib.AbstractContextManager[None]:
        """Turn what a library raises over the body in the block into our errors."""
        return mapped(self._wire, key=self._key, url=self.url)

    def close(self) -> None:
        """Give the connection back, or close it if the body has not been read to its end."""
        self._response.close()
