"""A document, read whole and within bounds."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

from ..errors import IndexFormatError, TransportError
from .beginnings import Beginning
from .digest import Digest
from .response import Response

__all__ = ["Absent", "Fetched", "SizeLimit", "read_bounded", "use_up"]

_PIECE = 1 << 20  # bytes
_SHORT = 1 << 16  # bytes
# A text is compressed to a fiftieth at best, and zeros by gzip to a thousandth.
_MOST_RATIO = 500
_SURELY_NO_BOMB = 64 << 20  # bytes, decoded


class Fetched(NamedTuple):
    """A document that was read to its end."""

    #: The answer, closed.
    response: Response
    #: Content codings undone.
    body: bytearray
    #: Of the body, lowercase hex.
    sha256: str
    #: How many there are in the body.
    newlines: int


class Absent(NamedTuple):
    """What a host says of a document that it has not."""

    status: int
    url: str
    #: What is wrong with what stands in its place; None if nothing does.
    problem: str | None = None


class SizeLimit(NamedTuple):
    """The most bytes that a document may have, decoded, and how an error names both."""

    most_bytes: int
    #: The document.
    what: str
    #: The argument that the user has set; None for a bound that is fixed.
    argument: str | None = None

    def check(self, count: int, url: str) -> None:
        """Raise `IndexFormatError` if there are more bytes."""
        if count > self.most_bytes:
            bound = (
                f"{self.argument}={self.most_bytes}"
                if self.argument
                else f"{self.most_bytes} bytes"
            )
            raise IndexFormatError(f"{self.what} is larger than {bound}", url=url)

    def check_ratio(self, count: int, received: int, url: str) -> None:
        """Raise `IndexFormatError` if so many bytes came from too few."""
        if count > _SURELY_NO_BOMB and count > _MOST_RATIO * received:
            raise IndexFormatError(
                f"{self.what} is refused: it is compressed more than {_MOST_RATIO} to 1", url=url
            )


def read_bounded(
    response: Response, limit: SizeLimit, beginning: Beginning | None = None
) -> Fetched:
    """Read a body whole, without ever holding more than it may have.

    Parameters
    ----------
    response : Response
        The answer.
    limit : SizeLimit
        The most that the body may have.
    beginning : Beginning, optional
        What came before, and takes what comes.

    Raises
    ------
    IndexFormatError
        It is larger, or compressed more than any text is.
    """
    is_coded = response.content_encoding is not None
    # It grows in place, so that a large one is neither held twice nor filled with
    # zeros beforehand, for which all other threads would wait.
    body = bytearray() if beginning is None else beginning.body
    if not is_coded:
        limit.check(len(body) + (response.content_length or 0), response.url)
    with Digest(counts_newlines=True) as digest:
        for start in range(0, len(body), _PIECE):
            digest.update(bytes(body[start : start + _PIECE]))
        for buffer in digest.buffers(_PIECE):
            count = response.readinto(buffer, decode=is_coded)
            if not count:
                break
            size = len(body) + count
            limit.check(size, response.url)
            if is_coded:
                limit.check_ratio(size, response.received, response.url)
            if beginning is None:
                body += buffer[:count]
            else:
                beginning.grow(buffer[:count])
            digest.update(buffer[:count])
        sha256 = digest.hexdigest()
        return Fetched(response, body, sha256, digest.newlines)


def use_up(response: Response) -> None:
    """Read a short body to its end, so that the connection serves the next request, too."""
    if (response.content_length or 0) <= _SHORT:
        with contextlib.suppress(TransportError):
            response.read(_SHORT)
