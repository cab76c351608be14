"""The bytes of one value, streamed: resumed where they break, held against the index."""

from __future__ import annotations

import contextlib
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from ..errors import HTTPStatusError, IntegrityError, StoreError, TransportError
from .integrity import Verifier
from .parts import FilePart, Part, Target, ask, first_right
from .readings import IN_MEMORY
from .response import Response

__all__ = [
    "BUFFERED",
    "PIECE",
    "Progress",
    "ValueReader",
    "ValueStream",
    "copied",
    "copy_whole",
    "exact_pieces",
    "open_part",
    "open_whole",
    "verified_part",
    "whole_or_raise",
]

#: Called with bytes done and bytes in all, the latter None if unknown.
Progress = Callable[[int, int | None], object]

#: Bytes asked of a connection at once: so many that nothing else costs much beside.
PIECE = 1 << 20
#: Bytes that a reader in small steps has ahead.
BUFFERED = 1 << 16
# A piece that has not come whole by then is given as far as it has.
_PIECE_SECONDS = 0.5
_PROGRESS_MADE = 1 << 20  # bytes after which a connection that breaks counts as the first again


class ValueStream(io.RawIOBase):
    """Bytes `start` to `end` of a value, as one unbroken stream.

    A connection that breaks is taken up again at the byte reached, if a strong
    ETag binds the two parts together, or the digest that is checked in the end.

    Parameters
    ----------
    target : Target
        The value.
    part : Part
        The answer to a request for them.
    start, end : int or None
        Half-open; `end` None for the end of the value.
    verifier : Verifier, optional
        What the bytes are held against; for a whole read only.
    """

    def __init__(
        self, target: Target, part: Part, start: int, end: int | None, verifier: Verifier | None
    ) -> None:
        self._target = target
        self._part = part
        self._verifier = verifier
        self._end = end
        self._position = start
        self._ahead = b""
        self._broken_at = start
        self._breaks = 0
        self._finished = False
        self._failure: StoreError | None = None
        self.etag = part.response.strong_etag
        self.response = part.response

    @property
    def total(self) -> int | None:
        """Size of the whole value, as far as it is known."""
        return self._target.size if self._target.size is not None else self._part.total

    @property
    def is_bound(self) -> bool:
        """Whether two parts of this stream, read at different times, belong together."""
        return self.etag is not None or self._digest_binds

    @property
    def _digest_binds(self) -> bool:
        return self._verifier is not None and self._verifier.sha256 is not None

    @property
    def left(self) -> int | None:
        """Bytes that are still to come, if that is known."""
        end = self._end if self._end is not None else self.total
        return None if end is None else end - self._position

    def readable(self) -> bool:
        """Return True."""
        return True

    def skip(self, count: int) -> None:
        """Read the next bytes and throw them away."""
        buffer = memoryview(bytearray(min(count, PIECE)))
        while count and (skipped := self.readinto(buffer[:count])):
            count -= skipped

    def readall(self) -> bytes:
        """Read all that is left."""
        return b"".join(map(bytes, self.pieces(None)))

    def pieces(self, progress: Progress | None, done: int = 0) -> Iterator[memoryview]:
        """Read to the end, and tell how far it has come.

        A piece stands in one of a few buffers, and may be gone when the next
        one is asked for.  Unless the host is slow, all but the last are of one size.
        """
        total = self.total
        size = PIECE if self.left is None else min(PIECE, max(self.left, 1))
        buffers = (
            itertools.repeat(memoryview(bytearray(size)))
            if self._verifier is None
            else self._verifier.buffers(size)
        )
        for buffer in buffers:
            filled = 0
            for count in self._filling(buffer):
                filled += count
                if progress is not None:
                    progress(done + filled, total)
            if not filled:
                return
            done += filled
            yield buffer[:filled]

    def _filling(self, buffer: memoryview) -> Iterator[int]:
        """Fill a buffer as far as bytes come soon; yield how many come at a time."""
        until = time.monotonic() + _PIECE_SECONDS
        filled = 0
        while filled < len(buffer) and (not filled or time.monotonic() < until):
            try:
                count = self.readinto(buffer[filled:])
            except StoreError:
                if not filled:
                    raise
                return  # what has come counts; the next read raises it again
            if not count:
                return
            filled += count
            yield count

    def readinto(self, buffer: Any) -> int:
        """Read what comes next into a buffer; the last bytes only once all have proved right."""
        if self.closed:
            raise ValueError("read of a closed stream")
        if self._failure is not None:  # what it broke with is still true
            raise self._failure
        view = memoryview(buffer).cast("B")
        if self._finished or not view:
            return 0
        end = self._end if self._end is not None else self.total
        try:
            return self._read_ahead(view) if end is None else self._read_until(end, view)
        except StoreError as error:
            self._failure = error
            raise

    def _read_until(self, end: int, view: memoryview) -> int:
        """Read what is known to end at `end`."""
        view = view[: max(end - self._position, 0)]
        count = self._read(view) if view else 0
        if not count or self._position >= end:
            if self._verifier is not None and self._position >= end:
                self._check_nothing_follows(self._verifier, end)
            self._finish()
        return count

    def _check_nothing_follows(self, verifier: Verifier, end: int) -> None:
        with contextlib.suppress(TransportError):  # a connection that breaks here breaks nothing
            if self._part.readinto(memoryview(bytearray(1))):
                raise verifier.size_error(f"more than {end}")

    def _read_ahead(self, view: memoryview) -> int:
        """Read a piece while another is held back, since the end is not known."""
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
        buffer = memoryview(bytearray(BUFFERED))
        return bytes(buffer[: self._read(buffer)])

    def _read(self, view: memoryview) -> int:
        """Read from the host, taking a broken connection up again."""
        while True:
            try:
                # An answer may begin before the byte that is wanted.
                self._part.skip_to(self._position)
                count = self._part.readinto(view)
                break
            except TransportError as error:
                self._resume(error)
        self._position += count
        if self._verifier is not None:
            self._verifier.feed(view[:count])
        return count

    def _resume(self, error: TransportError) -> None:
        """Open the rest of the value; raise `error` if that cannot be done safely."""
        self._part.close()
        if self._position - self._broken_at >= _PROGRESS_MADE:
            self._breaks = 0
        self._broken_at = self._position
        self._breaks += 1
        if self._breaks > self._target.session.retries or not self.is_bound:
            raise error
        if self._target.is_elsewhere:
            self._target, self._part = first_right(
                self._target, self._rest, whole=self._digest_binds
            )
            self.etag = self._part.response.strong_etag
        else:
            _, self._part = self._rest(self._target)

    def _rest(self, target: Target) -> tuple[Target, Part]:
        """Ask for what is still to come; what binds it to the rest is the tag, or the digest."""
        is_same_host = target.session is self._target.session
        if_range = self.etag if is_same_host else None
        part = ask(target, self._position, self._end, if_range=if_range)
        if is_same_host and not self._digest_binds and part.response.strong_etag != self.etag:
            part.close()
            replaced = self._target.changed(
                "the host has replaced the value while it was read",
                expected=self.etag,
                actual=part.response.etag,
            )
            part = whole_or_raise(target, replaced)
        return target, part

    def _finish(self) -> None:
        if self._verifier is not None:
            self._verifier.finish()
        elif self._end is not None and self._position < self._end:
            self._check_short_end(self._end)
        self._finished = True
        self._part.close()

    def _check_short_end(self, end: int) -> None:
        """Refuse an end of a range that is not the end of the value."""
        total = self.total
        if total is not None and self._position < min(end, total):
            raise self._target.changed(
                "the value ended early", expected=min(end, total), actual=self._position
            )

    def close(self) -> None:
        """Give the connection back; the bytes not read are not asked for."""
        if not self.closed:
            self._part.close()
            if self._verifier is not None:
                self._verifier.close()
        super().close()


class ValueReader(io.BufferedReader):
    """A stream of a value; `response` is the answer it came with first."""

    raw: ValueStream

    @property
    def response(self) -> Response:
        """Status and header fields of the first answer."""
        return self.raw.response


def open_part(target: Target, start: int, end: int | None) -> ValueReader:
    """Open bytes `start` to `end` of a value as the host of the target has them.

    A reader of all bytes verifies them: the last are given once all have proved
    right.  Where the host gives no parts, the bytes before `start` count as read.

    Raises
    ------
    TransportError, IntegrityError
        Now, or while the stream is read.
    """
    part = ask(target, start, end)
    if part.must_be_verified(target):
        part = verified_part(target, part)
    is_to_the_end = end is None or (part.total is not None and end >= part.total)
    if part.position or part.is_verified or target.says_nothing or not is_to_the_end:
        return ValueReader(ValueStream(target, part, start, end, None), BUFFERED)
    stream = ValueStream(target, part, 0, None, target.verifier())
    try:
        stream.skip(start)
    except BaseException:
        stream.close()
        raise
    return ValueReader(stream, BUFFERED)


def verified_part(target: Target, part: Part) -> FilePart:
    """Read an answer that holds the whole value to its end, verified, into a file.

    Raises
    ------
    TransportError, IntegrityError
        The bytes could not be had, or are others than the index says.
    """
    file: Any = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 -- the part's
    try:
        with ValueStream(target, part, 0, None, target.verifier()) as stream:
            for piece in stream.pieces(None):
                file.write(piece)
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return FilePart(part.response, file, size)


def whole_or_raise(target: Target, replaced: IntegrityError) -> FilePart:
    """Read the value whole, where parts of it had different entity tags.

    Hosts behind one name often disagree on the tags of the same bytes; the
    digest of the index tells.

    Raises
    ------
    IntegrityError
        `replaced`, if there is no digest, or the whole is not to be had either.
    """
    if target.sha256 is None:
        raise replaced
    try:
        part = ask(target, 0, None)
        return part if isinstance(part, FilePart) else verified_part(target, part)
    except (TransportError, IntegrityError) as error:
        raise replaced from error


def open_whole(target: Target) -> ValueReader:
    """Open a value as a stream that checks size and digest before it gives its last piece.

    Raises
    ------
    TransportError, IntegrityError
        Now, or while the stream is read.
    """
    return ValueReader(first_right(target, _verified_stream, whole=True), BUFFERED)


def _verified_stream(target: Target) -> ValueStream:
    """Open a value; what a copy of the site gives is verified before its first byte is given."""
    return _whole_stream(target.verified() if target.is_of_a_copy else target)


def _whole_stream(target: Target) -> ValueStream:
    return ValueStream(target, ask(target, 0, None), 0, None, target.verifier())


def exact_pieces(stream: ValueStream, size: int, progress: Progress | None) -> Iterator[bytes]:
    """Read a stream to its end, in pieces of one size but for the last."""
    total, done = stream.total, 0
    buffer = memoryview(bytearray(size))
    while count := _filled(stream, buffer):
        done += count
        if progress is not None:
            progress(done, total)
        yield bytes(buffer[:count])


def _filled(stream: ValueStream, buffer: memoryview) -> int:
    """Fill a buffer as far as there are bytes; return how many."""
    filled = 0
    while count := stream.readinto(buffer[filled:]):
        filled += count
    return filled


def copy_whole(target: Target, file: BinaryIO, progress: Progress | None = None) -> int:
    """Copy a value into a file, verified, and return its size.

    What was written to the file before the call fails or is taken up from the
    start is overwritten; after an error the file holds anything.

    Raises
    ------
    TransportError, IntegrityError
        The bytes could not be had, or are others than the index says.
    """
    return first_right(target, lambda target: copied(target, file, progress), whole=True)


def copied(
    target: Target,
    file: BinaryIO,
    progress: Progress | None,
    note: Callable[[ValueStream], object] | None = None,
) -> int:
    """Copy a value into a file as `copy_whole` does, from where the target says and no other place.

    Parameters
    ----------
    target, file, progress
        As in `copy_whole`.
    note : callable, optional
        Called with each stream before anything of it is written.
    """
    tries = target.session.retries + 1
    while True:
        tries -= 1
        file.seek(0)
        file.truncate()
        with _whole_stream(target) as stream:
            if note is not None:
                note(stream)
            try:
                for piece in stream.pieces(progress):
                    file.write(piece)
                return file.tell()
            except TransportError as error:
                # What binds two parts has been tried inside; nothing binds these.
                if stream.is_bound or not tries or isinstance(error, HTTPStatusError):
                    raise
