"""Failures of requests: mapped to our errors where they arise, and which may heal.

Foreign errors are mapped by `mapped`, refusals of a host by `status_error`.
`Session.retried` is the one loop that retries.
"""

from __future__ import annotations

import contextlib
import random
import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from http.client import responses as _REASONS
from typing import NoReturn, Protocol

from requests import RequestException
from requests.exceptions import (
    InvalidHeader,
    InvalidProxyURL,
    InvalidSchema,
    InvalidURL,
    MissingSchema,
)
from urllib3.exceptions import HTTPError, IncompleteRead, LocationValueError

from ... import tuning
from ...errors import (
    AuthorizationError,
    ForeignError,
    HTTPStatusError,
    InnerAddressError,
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
    causes_of,
    raise_alone,
)
from .conditions import CodingError
from .http1 import HeaderError

__all__ = [
    "FIELD_REFUSED",
    "OF_LIBRARIES",
    "OUTSIDE",
    "Cuttable",
    "backoff",
    "cannot_be_decoded",
    "mapped",
    "may_heal",
    "parse_retry_after",
    "raise_mapped",
    "status_error",
    "wants_long_rest",
    "was_dropped",
]


class ElsewhereError(Exception):
    """A bucket is in another region, which its host has named; not for callers.

    Parameters
    ----------
    region : str
        The name; also an attribute.
    error : HTTPStatusError
        What a caller gets if it is not followed; also an attribute.
    """

    def __init__(self, region: str, error: HTTPStatusError) -> None:
        super().__init__(region)
        self.region = region
        self.error = error


class Cuttable(Protocol):
    """What a disconnect cuts: `wire.Wire`."""

    @property
    def is_cut(self) -> bool:
        """Whether the store was disconnected, or what this thread does was canceled."""
        ...


#: What requests, urllib3 and http.client raise.
OF_LIBRARIES = (RequestException, HTTPError, HTTPException)
# All that is mapped; http.client raises the last two for the size of a chunk.
_FOREIGN = (*OF_LIBRARIES, OSError, ValueError, OverflowError)
#: What `mapped` maps; the store's own errors among these pass unchanged.
OUTSIDE = (*_FOREIGN, InnerAddressError)
#: Refusals that may concern a header field (Range, a condition) and not the document:
#: firewalls use many statuses, and only a request without the field shows which.
FIELD_REFUSED = frozenset(range(400, 500)) - {401, 404, 407, 408, 410, 425, 429} | {501, 505}
_NEVER_HEALS = (
    InvalidHeader,
    InvalidProxyURL,
    InvalidSchema,
    InvalidURL,
    LocationValueError,
    MissingSchema,
    UnicodeError,
    HeaderError,
    ssl.SSLCertVerificationError,
)
_RETRIED_STATUSES = frozenset({429, 500, 502, 503, 504})
_OF_FILES = {403: "the file may not be read", 404: "there is no such file"}
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d{3})")


@contextlib.contextmanager
def mapped(wire: Cuttable, *, key: str | None, url: str | None) -> Iterator[None]:
    """Map errors of libraries and sockets in the block to a `StoreError`.

    Parameters
    ----------
    wire : Wire
        The sockets concerned: once they are cut, every error means that the
        store was disconnected.
    key, url : str or None
        For the error.
    """
    try:
        yield
    except OUTSIDE as error:
        raise_mapped(error, wire, key=key, url=url)


def raise_mapped(error: Exception, wire: Cuttable, *, key: str | None, url: str | None) -> NoReturn:
    """Raise the `StoreError` for an error of a library or socket, as `mapped` does."""
    if isinstance(error, StoreError):
        raise error
    raise_alone(_our_error(error, wire, key=key, url=url), error)


def _our_error(error: Exception, wire: Cuttable, *, key: str | None, url: str | None) -> StoreError:
    if isinstance(error, InnerAddressError):
        return TransportError(str(error), key=key, url=url)
    if wire.is_cut:
        return NotConnectedError("the store was disconnected", key=key, url=url)
    causes = list(causes_of(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TransportError(
                f"the host's certificate is not trusted: {cause.verify_message}", key=key, url=url
            )
        if refused := _TUNNEL_REFUSED.search(str(cause)):
            return status_error(int(refused[1]), key=key, url=url)
    for cause in causes:
        if isinstance(cause, TimeoutError):
            detail = str(cause) if cause.args and "timed out" not in str(cause) else ""
            return TransportTimeout(
                f"the host was silent or too slow for too long{detail and ': ' + detail}",
                key=key,
                url=url,
            )
    return TransportError(_what_happened(causes), key=key, url=url)


def _what_happened(causes: list[BaseException]) -> str:
    if any(isinstance(cause, InvalidProxyURL | LocationValueError) for cause in causes):
        return "the URL of the proxy cannot be used"
    if any(isinstance(cause, InvalidSchema) and "SOCKS" in str(cause) for cause in causes):
        return "a SOCKS proxy needs the package PySocks, which is not installed"
    # The innermost cause first: outer ones quote URLs and their secrets.
    for cause in reversed(causes):
        if isinstance(cause, HeaderError):
            return str(cause)
        if isinstance(cause, CodingError):
            return f"the body cannot be decoded: {cause.args[0]}"
        if isinstance(cause, IncompleteRead):
            return f"the connection broke after {cause.partial} bytes"
        if isinstance(cause, OSError) and cause.strerror:
            return f"the connection failed: {cause.strerror}"
    return f"the connection failed: {type(causes[-1]).__name__}"


def status_error(
    status: int, *, key: str | None, url: str | None, retry_after: str | None = None
) -> HTTPStatusError:
    """Return the error for an HTTP status that refuses a request."""
    said = f"{status} {_REASONS.get(status, '')}".rstrip()
    of_file = _OF_FILES.get(status) if url is not None and url.startswith("file:") else None
    if status in (401, 403, 407):
        who = "the proxy" if status == 407 else "the host"
        hint = "" if status == 403 else ": the right user and password are needed"
        message = of_file or f"{who} refused with {said}{hint}"
        return AuthorizationError(message, key=key, url=url, status=status)
    message = of_file or f"the host answered {said}"
    if status in (404, 410) and key is not None:
        message += ": the index names this key, so it is older than what the host has now"
    error = HTTPStatusError(
        message, key=key, url=url, status=status, retry_after=parse_retry_after(retry_after)
    )
    if wants_long_rest(error):
        error.args = (f"{message}: it wants no request for {_duration(error.retry_after or 0)}",)
    return error


def _duration(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{seconds:.0f} seconds"


def parse_retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After field; None for nonsense.

    The field holds seconds or a date (RFC 9110, section 10.2.3).

    Examples
    --------
    >>> parse_retry_after("5"), parse_retry_after("10000000"), parse_retry_after("soon")
    (5.0, 10000000.0, None)
    """
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    seconds = (date - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else None


def may_heal(error: BaseException) -> bool:
    """Return whether the same request may succeed a little later."""
    if isinstance(error, HTTPStatusError):
        return error.status in _RETRIED_STATUSES and not wants_long_rest(error)
    if not isinstance(error, TransportError):
        return False
    # An error without a foreign cause says that the host answers wrongly, and would again.
    kinds = [kind for kind in _kinds(error) if not issubclass(kind, StoreError)]
    return any(issubclass(kind, _FOREIGN) for kind in kinds) and not any(
        issubclass(kind, _NEVER_HEALS) for kind in kinds
    )


def backoff(number: int, error: TransportError) -> float:
    """Return how many seconds to wait after a failed attempt, counted from 0."""
    if number == 0 and was_dropped(error):
        return 0.0
    doubled = tuning.FIRST_BACKOFF_SECONDS * 2 ** min(number, 30)
    longest = min(doubled, tuning.LONGEST_BACKOFF_SECONDS)
    return random.uniform(0, longest) + (getattr(error, "retry_after", None) or 0.0)


def wants_long_rest(error: BaseException) -> bool:
    """Return whether the host asks for a longer wait than any caller is made to wait."""
    return (getattr(error, "retry_after", None) or 0.0) > tuning.LONGEST_RETRY_AFTER_SECONDS


def was_dropped(error: BaseException) -> bool:
    """Return whether the host closed the connection instead of answering.

    That happens to a connection that was idle for longer than the host keeps
    it open (RFC 9112, section 9.3.1).
    """
    return any(issubclass(kind, ConnectionResetError | BrokenPipeError) for kind in _kinds(error))


def cannot_be_decoded(error: BaseException) -> bool:
    """Return whether a body arrived that could not be decoded."""
    return any(issubclass(kind, CodingError) for kind in _kinds(error))


def _kinds(error: BaseException) -> Iterator[type[BaseException]]:
    for cause in causes_of(error):
        yield from cause.kinds if isinstance(cause, ForeignError) else (type(cause),)
