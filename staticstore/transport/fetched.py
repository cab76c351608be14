"""A document, read whole and within bounds."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from ..errors import IndexFormatError, TransportError
from .digest import Digest
from .response import Response

__all__ = ["Fetched", "read_bounded", "use_up"]

_PIECE = 1 << 20  # bytes
_SHORT = 1 << 16  # bytes


class Fetched(NamedTuple):
    """A document that was read to its end."""

    #: The answer, closed.
    response: Response
    #: Content codings undone.
    body: bytearray
    #: Of the body, lowercase hex.
    sha256: str


def read_bounded(response: Response, max_bytes: int) -> Fetched:
    """Read a body whole, without ever holding more than it may have."""
    is_coded = response.content_encoding is not None
    if not is_coded:
        _check_size(response.content_length or 0, max_bytes, response.url)
    # It grows in place, so that a large one is neither held twice nor filled with
    # zeros beforehand, for which all other threads would wait.
    body = bytearray()
    with Digest() as digest:
        for buffer in digest.buffers(_PIECE):
            count = response.readinto(buffer, decode=is_coded)
            if not count:
                break
            _check_size(len(body) + count, max_bytes, response.url)
            body += buffer[:count]
            digest.update(buffer[:count])
        return Fetched(response, body, digest.hexdigest())


def use_up(response: Response) -> None:
    """Read a short body to its end, so that the connection serves the next request, too."""
    if (response.content_length or 0) <= _SHORT:
        with contextlib.suppress(TransportError):
            response.read(_SHORT)


def _check_size(count: int, max_bytes: int, url: str) -> None:
    if count > max_bytes:
        raise IndexFormatError(f"the index is larger than max_index_bytes={max_bytes}", url=url)
