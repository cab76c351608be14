"""A document, read whole and within bounds."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import IndexFormatError, TransportError
from .coding import GZIP_MAGIC, undone
from .response import Response
from .verifier import Hasher

if TYPE_CHECKING:
    from .part_file import PartialDocument

__all__ = ["Absent", "Fetched", "SizeLimit", "read_bounded", "use_up"]

_PIECE = 1 << 20  # bytes
_SHORT = 1 << 16  # bytes
_SLACK = 1 << 10  # bytes by which a coding makes longer what is short
# A text is compressed to a fiftieth at best, and zeros by gzip to a thousandth.
_MOST_RATIO = 500
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_GZIP = (("gzip",), ("x-gzip",))
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
    response: Response, limit: SizeLimit, beginning: PartialDocument | None = None
) -> Fetched:
    """Read a body whole, without ever holding more than it may have.

    Parameters
    ----------
    response : Response
        The answer.
    limit : SizeLimit
        The most that it may have.
    beginning : PartialDocument, optional
        What came before, and takes what comes; it also has the digest, if that is known.

    Raises
    ------
    IndexFormatError
        It is larger, or compressed more than any text is.
    TransportError
        The connection broke, or the coding is one that was not asked for or is damaged.
    """
    if response.codings:
        return _read_coded(response, limit, beginning)
    # It grows in place, so that a large one is neither held twice nor filled with
    # zeros beforehand, for which all other threads would wait.
    body = bytearray() if beginning is None else beginning.body
    limit.check(len(body) + (response.content_length or 0), response.url)
    with Hasher(counts_newlines=True) as digest:
        for start in range(0, len(body), _PIECE):
            digest.update(bytes(body[start : start + _PIECE]))
        for buffer in digest.buffers(_PIECE):
            count = response.readinto(buffer)
            if not count:
                break
            limit.check(len(body) + count, response.url)
            if beginning is None:
                body += buffer[:count]
            else:
                beginning.grow(buffer[:count])
            digest.update(buffer[:count])
        return Fetched(response, body, digest.hexdigest(), digest.newlines)


def _read_coded(response: Response, limit: SizeLimit, beginning: PartialDocument | None) -> Fetched:
    """Read a body with a label that may be wrong: what is evidently gzip is decoded as it comes."""
    sha256 = None if beginning is None else beginning.sha256
    received = _Received(response)
    first = next(received, b"")
    pieces = itertools.chain([first], received)
    codings = response.codings
    if codings in _GZIP:
        codings = codings if first.startswith(GZIP_MAGIC) else ()
        return _decoded(response, pieces, codings, received, limit, beginning)
    # Any other label is rare, so that what was sent may be held beside what it says.
    slack = limit._replace(most_bytes=limit.most_bytes + limit.most_bytes // 8 + _SLACK)
    sent = _decoded(response, pieces, (), received, slack)
    failure: TransportError | None = None
    for count in range(len(codings), 0, -1):
        try:
            found = _decoded(response, [bytes(sent.body)], codings[-count:], received, limit)
        except TransportError as error:
            failure = error
            continue
        if sha256 in (None, found.sha256):
            return found
    is_right = sha256 == sent.sha256 or (sha256 is None and _is_text(sent.body))
    if failure is not None and not is_right:
        raise failure
    limit.check(len(sent.body), response.url)
    return sent


class _Received(Iterator[bytes]):
    """The pieces of a body as they are sent, and how many bytes they have."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self._buffer = memoryview(bytearray(_PIECE))
        self.count = 0

    def __next__(self) -> bytes:
        count = filled = self._response.readinto(self._buffer)
        while count and filled < len(GZIP_MAGIC):  # so that the first piece tells
            count = self._response.readinto(self._buffer[filled:])
            filled += count
        if not filled:
            raise StopIteration
        self.count += filled
        return bytes(self._buffer[:filled])


def _decoded(
    response: Response,
    pieces: Iterable[bytes],
    codings: Sequence[str],
    received: _Received,
    limit: SizeLimit,
    beginning: PartialDocument | None = None,
) -> Fetched:
    """Undo codings within bounds."""
    body = bytearray() if beginning is None else beginning.body
    with Hasher(counts_newlines=True) as digest, response.mapped():
        for piece in undone(pieces, codings):
            size = len(body) + len(piece)
            limit.check(size, response.url)
            limit.check_ratio(size, received.count, response.url)
            if beginning is None:
                body += piece
            else:
                beginning.grow(piece)
            digest.update(piece)
        return Fetched(response, body, digest.hexdigest(), digest.newlines)


def _is_text(body: bytearray) -> bool:
    """Return whether bytes are text in UTF-8, which those of a coding hardly ever are."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(body) is None


def use_up(response: Response) -> None:
    """Read a short body to its end, so that the connection serves the next request, too."""
    if (response.content_length or 0) <= _SHORT:
        with contextlib.suppress(TransportError):
            response.read(_SHORT)
