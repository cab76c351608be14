"""One of many requests to a root, and an answer that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..http.conditions import codings_of, parse_strong_etag
from ..http.failures import status_error
from ..http.response import parse_content_range

if TYPE_CHECKING:
    from ...errors import HTTPStatusError

__all__ = ["SizedAnswer", "SizedRequest", "accepted", "refusal"]


class SizedRequest(NamedTuple):
    """A request for a file of known size, or for a part of one."""

    #: Quoted path below the root.
    url_path: str
    #: Bytes that the answer must have; at least one, of a part.
    size: int
    #: Offset of the part; None for the whole.
    start: int | None = None
    #: Bytes of the whole of which this is a part, if known.
    total: int | None = None

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


def refusal(status: int, url: str) -> HTTPStatusError | None:
    """Return the error of an answer, for `request_finished`; None below 400."""
    return status_error(status, key=None, url=url) if status >= 400 else None


def accepted(
    request: SizedRequest, status: int, headers: Mapping[str, str], body: bytes
) -> SizedAnswer | None:
    """Return an answer if it is exactly what was requested, else None.

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
    if len(body) != request.size or codings_of(headers.get("content-encoding")):
        return None
    if request.start is None:
        return SizedAnswer(body, None) if status == 200 else None
    given = parse_content_range(headers.get("content-range"))
    if (
        status != 206
        or given is None
        or (given.start, given.end) != (request.start, request.start + request.size)
        or request.total not in (None, given.total)
    ):
        return None
    return SizedAnswer(body, parse_strong_etag(headers.get("etag")))
