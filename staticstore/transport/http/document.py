"""A document: the body of an answer, read whole within bounds."""

from __future__ import annotations

import contextlib
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ... import tuning
from ...errors import TransportError
from ..values.verifier import Hasher
from .conditions import GZIP_MAGIC, decoded

if TYPE_CHECKING:
    from ...disk.part_file import PartialDocument
    from .response import Response
    from .wire import DocumentProgress, SizeLimit

__all__ = ["Absent", "Fetched", "read_bounded"]

_SLACK_BYTES = 1 << 10  # that a coding adds to a short text
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


class Fetched(NamedTuple):
    """A document that was read to its end."""

    #: The answer, closed.
    response: Response
    #: Decoded; an array if it has a beginning.
    body: bytes | bytearray
    #: Of the body, lowercase hex.
    sha256: str
    #: How many the body has.
    newlines: int


class Absent(NamedTuple):
    """The answer of a host that does not have a document."""

    status: int
    url: str
    #: What is wrong with the document in its place; None if there is none.
    problem: str | None = None


def read_bounded(
    response: Response,
    limit: SizeLimit,
    beginning: PartialDocument | None = None,
    progress: DocumentProgress | None = None,
) -> Fetched:
    """Read a body whole, never holding more bytes than the limit allows.

    Parameters
    ----------
    response : Response
        The answer.
    limit : SizeLimit
        The most that the body may have.
    beginning : PartialDocument, optional
        The bytes of earlier attempts, to which these are appended; it also has
        the digest, if that is known.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes as they are sent; in decoded bytes
        if the host does not say how many it sends.

    Raises
    ------
    IndexFormatError
        The body is larger, or compressed more than any text is.
    TransportError
        The connection broke, or the coding was not asked for or is damaged.
    """
    if response.codings:
        return _read_coded(_Received(response, progress), limit, beginning)
    append, body = _growing(beginning)
    done = 0 if beginning is None else len(beginning.body)
    size = response.content_length
    total = limit.named_size if size is None else done + size
    limit.check(done + (size or 0), response.url)
    with Hasher(counts_newlines=True) as digest:
        size = tuning.DOCUMENT_PIECE_BYTES
        for start in range(0, done, size):
            digest.update(bytes(body()[start : start + size]))
        for buffer in digest.buffers(size):
            count = response.readinto(buffer)
            if not count:
                break
            done += count
            limit.check(done, response.url)
            append(buffer[:count])
            digest.update(buffer[:count])
            if progress is not None:
                progress(done, total)
        return Fetched(response, body(), digest.hexdigest(), digest.newlines)


def _growing(
    beginning: PartialDocument | None,
) -> tuple[Callable[[bytes | memoryview], object], Callable[[], bytes | bytearray]]:
    # It grows in place: a large one is not held twice, also not to make bytes of it, nor filled
    # with zeros beforehand, which would hold up all other threads.
    if beginning is not None:
        return beginning.grow, lambda: beginning.body
    grown = io.BytesIO()
    return grown.write, grown.getvalue


def _read_coded(
    received: _Received, limit: SizeLimit, beginning: PartialDocument | None
) -> Fetched:
    response, sha256 = received.response, None if beginning is None else beginning.sha256
    first = next(received, b"")
    pieces = itertools.chain([first], received)
    codings = response.codings
    if codings in (("gzip",), ("x-gzip",)):  # by far the most frequent: decoded as it arrives
        codings = codings if first.startswith(GZIP_MAGIC) else ()
        return _read_decoded(response, pieces, codings, received, limit, beginning)
    # Other labels are rare, so the bytes as sent may be held beside the decoded ones.
    slack = limit._replace(most_bytes=limit.most_bytes + limit.most_bytes // 8 + _SLACK_BYTES)
    sent = _read_decoded(response, pieces, (), received, slack)
    failure: TransportError | None = None
    for count in range(len(codings), 0, -1):
        try:
            found = _read_decoded(response, [bytes(sent.body)], codings[-count:], received, limit)
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
    def __init__(self, response: Response, progress: DocumentProgress | None) -> None:
        self.response = response
        self._progress = progress
        self._buffer = memoryview(bytearray(tuning.DOCUMENT_PIECE_BYTES))
        self.count = 0

    def __next__(self) -> bytes:
        count = filled = self.response.readinto(self._buffer)
        while count and filled < len(GZIP_MAGIC):  # the first piece decides
            count = self.response.readinto(self._buffer[filled:])
            filled += count
        if not filled:
            raise StopIteration
        self.count += filled
        total = self.response.content_length
        if self._progress is not None and total is not None:
            self._progress(self.count, total)
        return bytes(self._buffer[:filled])

    def note_decoded(self, count: int, limit: SizeLimit) -> None:
        if self._progress is not None and self.response.content_length is None:
            self._progress(count, limit.named_size)


def _read_decoded(
    response: Response,
    pieces: Iterable[bytes],
    codings: Sequence[str],
    received: _Received,
    limit: SizeLimit,
    beginning: PartialDocument | None = None,
) -> Fetched:
    append, body = _growing(beginning)
    size = 0 if beginning is None else len(beginning.body)
    with Hasher(counts_newlines=True) as digest, response.mapped():
        for piece in decoded(pieces, codings):
            size += len(piece)
            limit.check(size, response.url)
            limit.check_ratio(size, received.count, response.url)
            append(piece)
            digest.update(piece)
            received.note_decoded(size, limit)
        return Fetched(response, body(), digest.hexdigest(), digest.newlines)


def _is_text(body: bytes | bytearray) -> bool:
    # Coded bytes are hardly ever valid UTF-8 without control characters.
    with contextlib.suppress(UnicodeDecodeError):
        body.decode()
        return _CONTROL.search(body) is None
    return False
