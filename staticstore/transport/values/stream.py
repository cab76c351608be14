"""Read a value as a stream: resumed when a connection breaks, verified at its end."""

from __future__ import annotations

import contextlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn

from ... import tuning
from ...disk.atomic import spooled_file
from ...errors import HTTPStatusError, IntegrityError, StoreError, TransportError
from .answers import ValueAnswer, VerifiedAnswer, ask
from .remote_value import RemoteValue, first_right

if TYPE_CHECKING:
    from ..http.response import Response
    from .verifier import Verifier

__all__ = [
    "ReadProgress",
    "ValueReader",
    "ValueStream",
    "copy_from",
    "copy_whole",
    "open_whole",
    "spooled",
    "stream_whole",
    "verified_answer",
    "whole_or_raise",
]

#: Progress of one read, called as ``progress(done, total)`` in bytes; the total may be unknown.
ReadProgress = Callable[[int, int | None], object]


class ValueStream(io.RawIOBase):
    """Bytes `start` to `end` of a value as one stream.

    If a connection breaks, the stream resumes at the byte reached, provided that a
    strong ETag or the digest binds the parts together.

    Parameters
    ----------
    value : RemoteValue
        The value.
    answer : ValueAnswer
        The answer to a request for these bytes.
    start, end : int, int or None
        Half-open; `end` None for the end of the value.
    verifier : Verifier, optional
        Checks the bytes; for a read of the whole only.
    """

    def __init__(
        self,
        value: RemoteValue,
        answer: ValueAnswer,
        start: int,
        end: int | None,
        verifier: Verifier | None,
    ) -> None:
        self._value = value
        self._answer = answer
        self._verifier = verifier
        self._end = end
        self._position = start
        self._ahead = b""
        self._broken_at = start
        self._breaks = 0
        self._finished = False
        self._failure: StoreError | None = None
        #: The first answer; None for that of a compressed copy.
        self.response = None if answer.is_compressed else answer.response

    @property
    def total(self) -> int | None:
        """Size of the whole value, if it is known."""
        return self._value.size if self._value.size is not None else self._answer.total

    @property
    def etag(self) -> str | None:
        """The strong entity tag of the answer that is read now, or None."""
        return None if self._answer.is_compressed else self._answer.response.strong_etag

    @property
    def is_bound(self) -> bool:
        """Whether parts that are read at different times surely belong together."""
        return self.etag is not None or self._digest_binds

    @property
    def _digest_binds(self) -> bool:
        return self._verifier is not None and self._verifier.sha256 is not None

    @property
    def _last(self) -> int | None:
        return self._end if self._end is not None else self.total

    def readable(self) -> bool:
        """Return True."""
        return True

    def skip(self, count: int) -> None:
        """Read and discard the next bytes."""
        buffer = memoryview(bytearray(min(count, tuning.VALUE_PIECE_BYTES)))
        while count and (skipped := self.readinto(buffer[:count])):
            count -= skipped

    def readall(self) -> bytes:
        """Read all that is left."""
        return b"".join(map(bytes, self.pieces(None)))

    def pieces(self, progress: ReadProgress | None, done: int = 0) -> Iterator[memoryview]:
        """Read to the end in pieces, without copying them.

        A piece is valid until the next one is requested: a few buffers are reused.
        Unless the host is slow, all but the last have the same size.  `progress`
        counts the `done` bytes that were there before, too.
        """
        last = self._last
        most = tuning.VALUE_PIECE_BYTES
        size = most if last is None else min(most, max(last - self._position, 1))
        buffers = (
            itertools.repeat(memoryview(bytearray(size)))
            if self._verifier is None
            else self._verifier.buffers(size)
        )
        total = self.total
        for buffer in buffers:
            filled = 0
            for count in self._fill(buffer):
                filled += count
                if progress is not None:
                    progress(done + filled, total)
            if not filled:
                return
            done += filled
            yield buffer[:filled]

    def _fill(self, buffer: memoryview) -> Iterator[int]:
        """Fill a buffer as far as bytes arrive in time; yield how many arrive at once."""
        until = time.monotonic() + tuning.VALUE_PIECE_SECONDS
        filled = 0
        while filled < len(buffer) and (not filled or time.monotonic() < until):
            try:
                count = self.readinto(buffer[filled:])
            except StoreError:
                if not filled:
                    raise
                return  # pass on what arrived; the next read raises the error again
            if not count:
                return
            filled += count
            yield count

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes into a buffer; the last only if the verifier accepts all."""
        if self.closed:
            raise ValueError("read of a closed stream")
        if self._failure is not None:  # and stays the reason for which no more bytes come
            raise self._failure
        view = memoryview(buffer).cast("B")
        if self._finished or not view:
            return 0
        last = self._last
        try:
            return self._read_ahead(view) if last is None else self._read_until(last, view)
        except StoreError as error:
            self._failure = error
            raise

    def _read_until(self, last: int, view: memoryview) -> int:
        view = view[: max(last - self._position, 0)]
        count = self._read(view) if view else 0
        if not count or self._position >= last:
            if self._verifier is not None and self._position >= last:
                self._check_no_more(self._verifier, last)
            self._finish()
        return count

    def _check_no_more(self, verifier: Verifier, last: int) -> None:
        is_more = 0  # what is behind the frames of a copy is read to use the connection again
        with contextlib.suppress(TransportError, IntegrityError):
            is_more = self._answer.readinto(memoryview(bytearray(1)))
        if is_more:
            raise verifier.size_error(f"more than {last}")

    def _read_ahead(self, view: memoryview) -> int:
        # Where the end is unknown, a piece is held back until the next one, or the end, is
        # there: so the last bytes are verified before they are passed on.
        if not self._ahead:
            self._ahead = self._next_piece()
        count = min(len(view), len(self._ahead))
        view[:count], self._ahead = self._ahead[:count], self._ahead[count:]
        if not self._ahead:
            self._ahead = self._next_piece()
            if not self._ahead:
                self._finish()
        return count

    def _next_piece(self) -> bytes:
        buffer = memoryview(bytearray(tuning.STREAM_BUFFER_BYTES))
        return bytes(buffer[: self._read(buffer)])

    def _read(self, view: memoryview) -> int:
        while True:
            try:
                self._answer.skip_to(self._position)  # an answer may begin before it
                count = self._answer.readinto(view)
                break
            except (TransportError, IntegrityError) as error:  # the latter of a compressed copy
                self._resume(error)
        self._position += count
        if self._verifier is not None:
            self._verifier.feed(view[:count])
        return count

    def _resume(self, error: TransportError | IntegrityError) -> None:
        """Request the rest of the value; raise `error` if that cannot be done safely."""
        self._answer.close()
        if self._value.compressed is not None:
            self._value = self._value.plain
            if not self._digest_binds:  # the host may have replaced the value of this copy
                self._answer = whole_or_raise(self._value, error)
                return
        else:
            if self._position - self._broken_at >= tuning.STREAM_PROGRESS_BYTES:
                self._breaks = 0
            self._broken_at = self._position
            self._breaks += 1
            if self._breaks > self._value.session.retries or not self.is_bound:
                raise error
        if self._value.is_elsewhere:
            self._value, self._answer = first_right(
                self._value, self._ask_rest, whole=self._digest_binds
            )
        else:
            _, self._answer = self._ask_rest(self._value)

    def _ask_rest(self, value: RemoteValue) -> tuple[RemoteValue, ValueAnswer]:
        # The digest binds parts from any host; an entity tag only those from the same one.
        is_same_host = value.session is self._value.session
        if_range = self.etag if is_same_host else None
        answer = ask(value, self._position, self._end, if_range=if_range)
        if is_same_host and not self._digest_binds and answer.response.strong_etag != self.etag:
            answer.close()
            replaced = self._value.replaced(expected=self.etag, actual=answer.response.etag)
            answer = whole_or_raise(value, replaced)
        return value, answer

    def _finish(self) -> None:
        if self._verifier is not None:
            self._verifier.finish()
        elif self._end is not None and self.total is not None:
            end = min(self._end, self.total)  # a range may end beyond the value
            if self._position < end:
                raise self._value.changed("it ended early", expected=end, actual=self._position)
        self._finished = True
        self._answer.close()

    def close(self) -> None:
        """Release the connection, without reading the rest."""
        if not self.closed:
            self._answer.close()
            if self._verifier is not None:
                self._verifier.close()
        super().close()


class ValueReader(io.BufferedReader):
    """A buffered stream of a value."""

    raw: ValueStream

    def __init__(self, stream: ValueStream) -> None:
        super().__init__(stream, tuning.STREAM_BUFFER_BYTES)

    @property
    def response(self) -> Response | None:
        """Status and header fields of the first answer, unless it is a copy's."""
        return self.raw.response

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse: its connection is of this process."""
        raise TypeError("a stream cannot be pickled or copied: send the value, or its open()")


def stream_whole(value: RemoteValue, answer: ValueAnswer | None = None) -> ValueStream:
    """Return a verified stream of a whole value, from an answer or from a new request."""
    return ValueStream(value, answer or ask(value, 0, None), 0, None, value.verifier())


def open_whole(value: RemoteValue) -> ValueReader:
    """Open a value as a stream that checks size and digest before its last bytes.

    Raises
    ------
    TransportError, IntegrityError
        Now, or while the stream is read.
    """

    def opened(value: RemoteValue) -> ValueStream:
        # From a root of another snapshot, not even the first byte is passed on unverified.
        return stream_whole(value.verified() if value.is_of_a_copy else value)

    return ValueReader(first_right(value, opened, whole=True))


def verified_answer(value: RemoteValue, answer: ValueAnswer) -> VerifiedAnswer:
    """Read an answer with the whole value to its end, verified, into a file.

    Raises
    ------
    TransportError, IntegrityError
        The bytes cannot be read, or differ from the index.
    """
    file = spooled_file()
    try:
        with stream_whole(value, answer) as stream:
            for piece in stream.pieces(None):
                file.write(piece)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return VerifiedAnswer(answer.response, file, size)


def whole_or_raise(value: RemoteValue, failure: StoreError) -> VerifiedAnswer:
    """Read the whole value after two parts of it had different entity tags.

    Hosts behind one name often have different tags for the same bytes: the digest decides,
    and so it does where a part of a compressed copy cannot be read.

    Raises
    ------
    IntegrityError, TransportError
        `failure`, if there is no digest, or the whole cannot be read either.
    """
    if value.sha256 is None:
        raise failure
    try:
        answer = ask(value, 0, None)
        return answer if isinstance(answer, VerifiedAnswer) else verified_answer(value, answer)
    except (TransportError, IntegrityError) as error:
        raise failure from error


def copy_whole(value: RemoteValue, file: BinaryIO, progress: ReadProgress | None = None) -> int:
    """Copy a value into a file, verified, and return its size.

    The file is overwritten from its start; after an error, its content is undefined.

    Raises
    ------
    TransportError, IntegrityError
        The bytes cannot be read, or differ from the index.
    """
    return first_right(value, lambda value: copy_from(value, file, progress), whole=True)


def copy_from(
    value: RemoteValue,
    file: BinaryIO,
    progress: ReadProgress | None,
    note: Callable[[ValueStream], object] | None = None,
) -> int:
    """Copy a value into a file as `copy_whole` does, but from this root only.

    `note` is called with each stream, before any of its bytes are written.
    """
    tries = value.session.retries + 1
    while True:
        tries -= 1
        file.seek(0)
        file.truncate()
        with stream_whole(value) as stream:
            if note is not None:
                note(stream)
            try:
                for piece in stream.pieces(progress):
                    file.write(piece)
                return file.tell()
            except TransportError as error:
                # The stream has resumed a bound value itself; any other begins again.
                if stream.is_bound or not tries or isinstance(error, HTTPStatusError):
                    raise


def spooled(value: RemoteValue) -> tuple[BinaryIO, int]:
    """Read a whole value, verified, into a temporary file; return that, and its size."""
    file = spooled_file()
    try:
        return file, copy_whole(value, file)
    except BaseException:
        file.close()
        raise
