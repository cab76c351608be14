"""A request among many, and whether an answer is just what was wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .coding import codings_of
from .conditions import parse_content_range, parse_strong_etag

__all__ = ["Got", "Wanted", "believed"]


class Wanted(NamedTuple):
    """A request: the whole of something, or a part of it."""

    #: Quoted path below the root.
    url_path: str
    #: Bytes that the answer must have; one at least, of a part.
    size: int
    #: Where the part begins; None for the whole.
    start: int | None = None
    #: Bytes of the whole of which this is a part, if that is known.
    total: int | None = None

    @property
    def range(self) -> str:
        """What the field Range says (RFC 9110, section 14.2), without its unit."""
        assert self.start is not None, "a part is wanted"
        return f"{self.start}-{self.start + self.size - 1}"


class Got(NamedTuple):
    """An answer that is just what was wanted."""

    body: bytes
    #: The entity tag, if it is a strong one.
    etag: str | None


def believed(wanted: Wanted, status: int, headers: Mapping[str, str], body: bytes) -> Got | None:
    """Return an answer if it is just what was wanted.

    Parameters
    ----------
    wanted : Wanted
        What was asked for.
    status : int
        The HTTP status code.
    headers : mapping
        Header fields, at least those about content and tag; names in lower case.
    body : bytes
        As it was sent.
    """
    if len(body) != wanted.size or codings_of(headers.get("content-encoding")):
        return None
    if wanted.start is None:
        return Got(body, None) if status == 200 else None
    said = parse_content_range(headers.get("content-range"))
    if (
        status != 206
        or said is None
        or (said.start, said.end) != (wanted.start, wanted.start + wanted.size)
        or wanted.total not in (None, said.total)
    ):
        return None
    return Got(body, parse_strong_etag(headers.get("etag")))
