"""Requests that are sent together, their answers, and shared ranges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..http.conditions import codings_of, parse_strong_etag
from ..http.failures import status_error
from ..http.response import parse_content_range

if TYPE_CHECKING:
    from ...errors import HTTPStatusError

__all__ = ["ByteRange", "SizedAnswer", "SizedRequest", "accepted", "coalesced", "refusal"]

_CONDITIONS = frozenset({"If-None-Match", "If-Modified-Since"})


class ByteRange(NamedTuple):
    """Some bytes of a value or file: half-open, not empty."""

    start: int
    end: int


class SizedRequest(NamedTuple):
    """A request for a file of known size, for a part of one, or for a document."""

    #: Quoted path below the root.
    url_path: str
    #: Bytes that the answer must have; at least one, of a part.  Of a document, the most.
    size: int
    #: Offset of the part; None for the whole.
    start: int | None = None
    #: Bytes of the whole of which this is a part, if known.
    total: int | None = None
    #: Header fields, which replace those of all requests; of a document alone.
    fields: Mapping[str, str] | None = None

    def headers(self, common: Mapping[str, str]) -> Mapping[str, str]:
        """Return its header fields: those of all requests, unless it has its own."""
        return {**common, **self.fields} if self.fields else common

    @property
    def range(self) -> str:
        """The value of the field Range (RFC 9110, section 14.2), without its unit."""
        assert self.start is not None, "a part is requested"
        return f"{self.start}-{self.start + self.size - 1}"


class SizedAnswer(NamedTuple):
    """The bytes that a `SizedRequest` asked for."""

    body: bytes
    #: The entity tag, if it is a strong one.
    etag: str | None
    #: Of a document 304, too.
    status: int = 200
    #: The header fields of a document; names in lower case, or of any case.
    headers: Mapping[str, str] | None = None


def refusal(status: int, url: str) -> HTTPStatusError | None:
    """Return the error of an answer, for `request_finished`; None below 400."""
    return status_error(status, key=None, url=url) if status >= 400 else None


def accepted(
    request: SizedRequest, status: int, headers: Mapping[str, str], body: bytes
) -> SizedAnswer | None:
    """Return an answer if it is exactly what was requested, else None.

    The body of a document is not decoded, and 304 only accepted if there was a condition.

    Parameters
    ----------
    request : SizedRequest
        What was requested.
    status : int
        The HTTP status code.
    headers : mapping
        Header fields, at least those about content and tag; names in lower case.
    body : bytes
        As it was sent.
    """
    if request.fields is not None:
        is_answer = status == 200 or (status == 304 and not _CONDITIONS.isdisjoint(request.fields))
        fits = is_answer and len(body) <= request.size
        return SizedAnswer(body, None, status, headers) if fits else None
    if len(body) != request.size or codings_of(headers.get("content-encoding")):
        return None
    if request.start is None:
        return SizedAnswer(body, None) if status == 200 else None
    if status != 206 or not _is_of_part(request, headers.get("content-range")):
        return None
    return SizedAnswer(body, parse_strong_etag(headers.get("etag")))


def _is_of_part(request: SizedRequest, content_range: str | None) -> bool:
    if content_range == f"bytes {request.range}/{request.total}":
        return True  # as most say it (benchmark: async-ranges)
    given = parse_content_range(content_range)
    return (
        given is not None
        and request.start == given.start
        and request.size == given.end - given.start
        and request.total in (None, given.total)
    )


def coalesced(ranges: Iterable[ByteRange], gap: int, most: int) -> Iterator[ByteRange]:
    """Yield fewer and longer ranges that cover all given ones, in order.

    Parameters
    ----------
    ranges : iterable of ByteRange
        In any order.
    gap : int
        Bytes between two ranges up to which they are joined.
    most : int
        Bytes up to which ranges are joined; a longer one stays as it is.

    Examples
    --------
    >>> list(coalesced([ByteRange(0, 5), ByteRange(8, 9), ByteRange(20, 21)], gap=3, most=100))
    [ByteRange(start=0, end=9), ByteRange(start=20, end=21)]
    """
    in_order = iter(sorted(ranges))
    first = next(in_order, None)
    if first is None:
        return
    start, end = first
    for next_start, next_end in in_order:
        if next_start <= end + gap and (next_end <= end or next_end - start <= most):
            end = max(end, next_end)
        else:
            yield ByteRange(start, end)
            start, end = next_start, next_end
    yield ByteRange(start, end)
