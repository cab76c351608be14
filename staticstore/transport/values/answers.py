"""Ask a host for a value or a part of it; accept only an answer that fits."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO

from ... import tuning
from ...disk.atomic import spooled_file
from ...errors import IntegrityError, StoreError, TransportError
from ..http.conditions import DECODABLE, GZIP_MAGIC, CodingError, decoded
from ..http.failures import FIELD_REFUSED, may_heal, was_dropped
from .remote_value import RemoteValue, first_right

if TYPE_CHECKING:
    from ..http.response import Response
    from .verifier import Verifier

__all__ = ["ValueAnswer", "VerifiedAnswer", "ask", "ask_head", "ask_size"]

_SLACK_BYTES = 1 << 20  # by which a coding makes longer what cannot be compressed


class ValueAnswer:
    """An answer whose next byte is byte `position` of the value.

    Parameters
    ----------
    response : Response
        The HTTP answer.
    position : int
        Offset of its first byte.
    total : int or None
        Size of the whole value according to this answer.
    decode : bool, optional
        Whether to undo its content coding while it is read.
    is_empty : bool, optional
        Whether the value has no byte at `position`, so that the body is not read.
    """

    is_verified = False
    #: Whether it comes out of a compressed copy; its response is that of the copy.
    is_compressed = False

    def __init__(
        self,
        response: Response,
        position: int,
        total: int | None,
        *,
        decode: bool = False,
        is_empty: bool = False,
    ) -> None:
        self.response = response
        self.position = position
        self.total = total
        self._decode = decode
        self._is_empty = is_empty

    @property
    def is_partial(self) -> bool:
        """Whether the host sent no more than was asked for."""
        return self.response.status != 200

    def must_be_verified(self, value: RemoteValue) -> bool:
        """Return whether to read and verify the whole before returning a part of it.

        The page of a portal and another version of the value have the status 200,
        too.  If its length is right, a reader of the whole verifies it; a large
        value is not read whole for a few bytes.
        """
        if self.is_partial or self.is_verified or value.is_undescribed:
            return False
        if self._decode or self.response.content_length is None:
            return True
        return value.has_digest and (self.total or 0) <= tuning.VERIFIED_FIRST_BYTES

    def readinto(self, buffer: memoryview) -> int:
        """Read the next bytes into a buffer; return how many, 0 at the end of the answer."""
        if self._is_empty:
            return 0
        count = self.response.readinto(buffer, decode=self._decode)
        self.position += count
        return count

    def skip_to(self, position: int) -> None:
        """Read and discard the bytes before `position`."""
        if self.position < position:
            buffer = memoryview(bytearray(min(position - self.position, tuning.VALUE_PIECE_BYTES)))
            while self.position < position and self.readinto(buffer[: position - self.position]):
                pass

    def close(self) -> None:
        """Close the answer."""
        self.response.close()


class VerifiedAnswer(ValueAnswer):
    """The whole value in a file, after it was verified; its response is closed."""

    is_verified = True

    def __init__(self, response: Response, file: BinaryIO, size: int) -> None:
        super().__init__(response, 0, size)
        self.file = file

    def readinto(self, buffer: memoryview) -> int:
        """Read the next bytes into a buffer; return how many, 0 at the end."""
        piece = self.file.read(len(buffer))
        buffer[: len(piece)] = piece
        self.position += len(piece)
        return len(piece)

    def skip_to(self, position: int) -> None:
        """Go to `position`, also backward."""
        self.position = self.file.seek(position)

    def close(self) -> None:
        """Remove the file."""
        self.file.close()


def ask(
    value: RemoteValue, start: int, end: int | None, if_range: str | None = None
) -> ValueAnswer:
    """Request the bytes from `start` to `end`; the answer may begin before them.

    A partial answer must be exactly what was asked for, without a content coding,
    whose offsets would be those of the coded bytes.  Otherwise, and if the part is
    refused, the whole value is requested.

    Parameters
    ----------
    value : RemoteValue
        The value.
    start, end : int, int or None
        Half-open; `end` None for the end of the value.
    if_range : str, optional
        The strong entity tag for which a part is wanted (RFC 9110, section 13.1.5).

    Raises
    ------
    TransportError, IntegrityError
        The host does not answer, or has a value of another size.
    """
    if value.compressed is not None:
        answer: ValueAnswer = value.compressed.ask(value, start, end)
        return answer
    if (start > 0 or end is not None) and value.session.takes_ranges:
        last = "" if end is None else str(end - 1)
        headers = {"Range": f"bytes={start}-{last}"}
        if if_range is not None:
            headers["If-Range"] = if_range
        try:
            response = _get(value, headers)
        except TransportError as error:
            if not _may_be_due_to_range(value, error):
                raise
            # A request that was retried and failed is sent once more, without the range.
            whole = _ask_whole(value, is_retried=(error.status or 500) < 500)
            if error.status in FIELD_REFUSED:  # any other failure may have been by chance
                value.session.note_refused_range()
            return whole
        part = _accepted_part(value, response, start, end)
        if part is not None:
            return part
    return _ask_whole(value)


def ask_head(value: RemoteValue) -> Response:
    """Request the header fields of a value: by HEAD or, if refused, with one byte.

    Returns
    -------
    Response
        Closed.
    """

    def asked(value: RemoteValue) -> Response:
        fields = dict(value.fields)
        try:
            return value.session.request(
                "HEAD", value.url_path, headers=fields, key=value.key, is_retried=False
            )
        except TransportError as error:
            if error.status in (401, 407):  # a GET would be refused, too
                raise
            answer = ask(value, 0, 1)
        if answer.response.status == 416:  # with the fields of the refusal
            answer.close()
            answer = ask(value, 0, None)
        answer.close()  # perhaps a file with the whole value
        return answer.response

    response = first_right(value.plain, asked)
    response.close()
    return response


def ask_size(value: RemoteValue) -> int | None:
    """Return the size of a value according to the host; None if it does not say.

    The first byte is requested: some hosts answer HEAD with a wrong size.
    """

    def asked(value: RemoteValue) -> int | None:
        answer = ask(value, 0, 1)
        if answer.is_partial:
            answer.skip_to(1)  # so that the connection can be used again
        answer.close()
        return answer.total

    return first_right(value, asked)


def _may_be_due_to_range(value: RemoteValue, error: TransportError) -> bool:
    if error.status in FIELD_REFUSED or error.status in (404, 410):
        return True
    # A failure that may heal was retried with the field only.
    is_failure = (error.status or 0) >= 500 and may_heal(error)
    return value.session.retries > 0 and (is_failure or was_dropped(error))


def _ask_whole(value: RemoteValue, *, is_retried: bool = True) -> ValueAnswer:
    response = _get(value, {}, is_retried=is_retried)
    if response.status != 200:
        response.close()
        raise TransportError(
            f"the host answered {response.status} to a request for the whole value",
            key=value.key,
            url=value.url,
            status=response.status,
        )
    return _accepted_whole(value, response)


def _get(value: RemoteValue, headers: dict[str, str], *, is_retried: bool = True) -> Response:
    headers.update(value.fields)
    return value.session.request(
        "GET", value.url_path, headers=headers, key=value.key, is_retried=is_retried
    )


def _accepted_part(
    value: RemoteValue, response: Response, start: int, end: int | None
) -> ValueAnswer | None:
    """Return the answer to a range request, or close it and return None."""
    if response.status == 200:
        return _accepted_whole(value, response)
    given = response.content_range
    if (
        response.status == 206
        and given is not None
        and not response.codings
        and given.start == start
        and value.size in (None, given.total)
        and _is_requested_end(given.end, given.total, end)
        and response.content_length in (None, given.end - given.start)
    ):
        return ValueAnswer(response, start, given.total)
    response.close()
    if response.status == 416 and response.unsatisfied_total == start == (value.size or start):
        return ValueAnswer(response, start, start, is_empty=True)  # the value ends at `start`
    return None


def _is_requested_end(given: int, total: int | None, requested: int | None) -> bool:
    if total is None:
        return given == requested
    return given == (total if requested is None else min(requested, total))


def _accepted_whole(value: RemoteValue, response: Response) -> ValueAnswer:
    """Return an answer that holds the whole value, coded or not."""
    length = response.content_length
    is_other = value.size is not None and length not in (None, value.size)
    if response.codings:
        # Of another length, it must be coded: a large one is decoded while it is read.
        is_large = (value.size or 0) > tuning.VERIFIED_FIRST_BYTES
        if (
            is_other
            and is_large
            and len(response.codings) == 1
            and response.codings[0] in DECODABLE
        ):
            return ValueAnswer(response, 0, value.size, decode=True)
        return _decoded_answer(value, response)
    if is_other:
        response.close()
        raise value.changed(
            "the host has a value of another size than the index says",
            expected=value.size,
            actual=length,
        )
    return ValueAnswer(response, 0, value.size if length is None else length)


# -- content codings -------------------------------------------------------------------
#
# The field Content-Encoding may be wrong, so the whole body is received, and read as sent
# and with the codings decoded, one after another.  The index decides which reading is
# right.  If it says nothing, as many codings are decoded as possible, unless the bytes are
# evidently not coded.


def _decoded_answer(value: RemoteValue, response: Response) -> VerifiedAnswer:
    given = [response]

    def attempt() -> VerifiedAnswer:
        answer = given.pop() if given else _get(value, {})
        try:
            return VerifiedAnswer(answer, *_decoded(value, answer))
        finally:
            answer.close()

    return value.session.retried(attempt)


def _decoded(value: RemoteValue, response: Response) -> tuple[BinaryIO, int]:
    codings = response.codings
    failure: StoreError | None = None
    found: BinaryIO | None = None
    files = [sent := spooled_file()]
    try:
        _receive(response, sent, value.verifier())
        for count in _counts_to_undo(value, sent, codings):
            pieces = decoded(_pieces_of(sent), codings[len(codings) - count :])
            file = spooled_file() if count else sent
            files.append(file)
            try:
                size = _verify(pieces, value.verifier(), file if count else None)
                file.seek(0)
                found = file
                return file, size
            except IntegrityError as error:
                failure = error
            except CodingError as error:
                # A label on plain bytes does not say why those are wrong: keep that error.
                if failure is None or not DECODABLE.issuperset(codings):
                    message = f"the host used a content coding that cannot be decoded: {error}"
                    failure = TransportError(message, key=value.key, url=response.url)
        assert failure is not None, "at least one reading was tried"
        raise failure
    finally:
        for file in files:
            if file is not found:
                file.close()


def _counts_to_undo(value: RemoteValue, file: BinaryIO, codings: Sequence[str]) -> Iterable[int]:
    """Return how many codings to undo, in the order in which to try."""
    if not value.has_digest and value.size == file.seek(0, os.SEEK_END):
        return range(len(codings), -1, -1)  # bytes as sent fit in any case: try them last
    if not value.is_undescribed:
        return range(len(codings) + 1)
    return range(len(codings), 0, -1) if _is_coded(file, codings) else [0]


def _receive(response: Response, file: BinaryIO, verifier: Verifier) -> None:
    most = None if verifier.size is None else verifier.size + verifier.size // 8 + _SLACK_BYTES
    buffer = memoryview(bytearray(tuning.VALUE_PIECE_BYTES))
    while count := response.readinto(buffer):
        file.write(buffer[:count])
        if most is not None and file.tell() > most:
            raise verifier.size_error(f"more than {verifier.size}")


def _is_coded(file: BinaryIO, codings: Sequence[str]) -> bool:
    if codings[-1] == "deflate":
        try:
            for _ in decoded(_pieces_of(file), codings[-1:]):
                break
        except CodingError:
            return False
        return True
    file.seek(0)
    return codings[-1] not in DECODABLE or file.read(2) == GZIP_MAGIC


def _verify(pieces: Iterator[bytes], verifier: Verifier, file: BinaryIO | None) -> int:
    with contextlib.closing(verifier):
        for piece in pieces:
            verifier.feed(piece)
            if file is not None:
                file.write(piece)
        verifier.finish()
        return verifier.count


def _pieces_of(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while piece := file.read(tuning.VALUE_PIECE_BYTES):
        yield piece
