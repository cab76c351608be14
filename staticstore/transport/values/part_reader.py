"""Read a value at any offset, with few requests; verify it if read in order."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cachetools import LRUCache

from ... import tuning
from ...errors import IntegrityError, TransportError
from .answers import ValueAnswer, ask, ask_size
from .remote_value import RemoteValue, first_right
from .seek_table import FRAME_BYTES
from .stream import ValueStream, copy_whole, spooled
from .verifier import OrderedVerifier

if TYPE_CHECKING:
    from ..http.response import Response

__all__ = ["Fragment", "PartReader"]


class Fragment(NamedTuple):
    """Some bytes of a value, and their offset."""

    start: int
    data: bytes

    @property
    def end(self) -> int:
        """Offset of the byte after the last."""
        return self.start + len(self.data)


class _BlockCache:
    """Fragments of a value, at most one per 32 KiB; the least recently used go."""

    def __init__(self, size: int) -> None:
        self._block_bytes = tuning.READ_BLOCK_BYTES
        self._fragments: LRUCache[int, Fragment] = LRUCache(max(size // self._block_bytes, 1))

    def at(self, position: int) -> Fragment | None:
        found = self._fragments.get(position // self._block_bytes)
        return found if found is not None and found.start <= position < found.end else None

    def __iter__(self) -> Iterator[Fragment]:
        return iter(list(self._fragments.values()))

    def add(self, new: Fragment) -> None:
        start = new.start
        while start < new.end:
            number = start // self._block_bytes
            end = min((number + 1) * self._block_bytes, new.end)
            part = Fragment(start, new.data[start - new.start : end - new.start])
            self._fragments[number] = _joined(self._fragments.get(number), part)
            start = end


def _joined(old: Fragment | None, new: Fragment) -> Fragment:
    """Return both fragments as one if they touch, else the new one."""
    if old is None or old.start > new.end or old.end < new.start:
        return new
    before = old.data[: max(new.start - old.start, 0)]
    after = old.data[new.end - old.start :] if new.end < old.end else b""
    return Fragment(min(old.start, new.start), before + new.data + after)


class PartReader:
    """Fetch parts of one value, and verify the bytes if all are read in order.

    For one thread at a time.  A forked child opens connections of its own.

    Parameters
    ----------
    value : RemoteValue
        The value.
    cache_size : int
        Bytes that are kept in memory to be read again; one block at least.
    """

    def __init__(self, value: RemoteValue, cache_size: int) -> None:
        self._whole_value = value
        compressed = value.compressed
        is_by_copy = compressed is not None and compressed.is_for_short_reads(value)
        self._value = value if is_by_copy else value.plain
        # Whether bytes of the copy were returned, with which those of the host may not be mixed.
        self._has_copied = False
        self._size = value.size
        self._cache_size = cache_size
        # The last part, even if the cache is too small for it.
        self._last = Fragment(0, b"")
        # Where the last request ended or will end, and how much the next one may read ahead.
        self._end_of_last = 0
        self._ahead = tuning.READ_BLOCK_BYTES
        self._validators: tuple[str | None, ...] | None = None
        self._failure: IntegrityError | None = None
        self._start_in_process()

    def _start_in_process(self) -> None:
        # A connection, an open file and a hashing thread belong to one process.  So does the
        # cache, which another thread may have been changing at the time of the fork.
        self._process = os.getpid()
        self._blocks = _BlockCache(self._cache_size)
        # A part that is being read, and the offset that it has reached.
        self._stream: ValueStream | None = None
        self._stream_at = 0
        # End and read-ahead of a short part that was requested between two reads of the stream.
        self._between: tuple[int, int] | None = None
        # The whole value, if the host ignores ranges.
        self._whole: Any = None
        self._order = OrderedVerifier(self._value.verifier())

    @property
    def size(self) -> int:
        """Size of the value in bytes: from the index, else from the host."""
        if self._size is None:
            self._check()
            self._size = ask_size(self._value)
            if self._size is None:
                self._read_whole()
            self._value = self._whole_value = self._value._replace(size=self._size)
        assert self._size is not None, "a whole value has a size"
        return self._size

    @property
    def keeps_whole(self) -> bool:
        """Whether the whole value is kept here, or will be once it was read."""
        is_small = self._size is not None and self._size <= tuning.CACHED_PART_BYTES
        return self._whole is not None or is_small

    def read_whole(self) -> bytes:
        """Read the whole value by one request and verify it, without keeping it."""
        self._check()
        file = io.BytesIO()
        self._size = copy_whole(self._whole_value, file)
        return file.getvalue()

    def readinto(self, position: int, buffer: memoryview, wanted: int) -> int:
        """Read bytes at an offset; return how many, perhaps fewer than the buffer takes.

        Parameters
        ----------
        position : int
            Offset, before the end of the value.
        buffer : memoryview
            For the bytes; no longer than the rest of the value.
        wanted : int
            Bytes that the caller will read from there, by this call and later ones.

        Raises
        ------
        TransportError
            The bytes cannot be read.
        IntegrityError
            The host has another value, as far as that is known yet.
        """
        found = self._find(position, wanted)
        if found is None:
            return self._read_next(position, buffer)
        data = memoryview(found.data)[position - found.start :][: len(buffer)]
        buffer[: len(data)] = data
        return len(data)

    def fragment(self, position: int, wanted: int) -> Fragment:
        """Return bytes that include the one at an offset; see `readinto`."""
        found = self._find(position, wanted)
        if found is None:
            buffer = memoryview(bytearray(min(tuning.READ_BLOCK_BYTES, self.size - position)))
            count = self._read_next(position, buffer)
            found = Fragment(position, bytes(buffer[:count]))
        return found

    def close(self) -> None:
        """Discard what was fetched and not read."""
        if self._process == os.getpid():
            self._end_stream()
            self._order.close()
        if self._whole is not None:
            self._whole.close()

    def _check(self) -> None:
        if self._process != os.getpid():
            # The parent goes on with that connection and that file: keep them, so that not
            # even the end of an object closes them here.
            self._inherited = self._stream, self._whole
            self._start_in_process()
        if self._failure is not None:
            raise self._failure

    def _find(self, position: int, wanted: int) -> Fragment | None:
        """Return bytes in memory, fetched if need be, or None if `_read_next` has them."""
        self._check()
        found = self._cached(position)
        if found is None and self._whole is None and not self._is_next(position):
            self._fetch(position, wanted)
            found = self._cached(position)
        if found is not None:
            self._verify(found.start, found.data)
        return found

    def _is_next(self, position: int) -> bool:
        """Return whether the stream is at an offset, if need be after skipping a short gap."""
        if self._stream is None:
            return False
        gap = position - self._stream_at
        if 0 < gap <= tuning.READ_BLOCK_BYTES and position < self._end_of_last:
            self._skip(gap)
        return self._stream_at == position

    def _skip(self, count: int) -> None:
        start, skipped = self._stream_at, memoryview(bytearray(count))
        while self._stream is not None and self._stream_at < start + count:
            self._read_stream(skipped[self._stream_at - start :])
        self._blocks.add(Fragment(start, bytes(skipped[: self._stream_at - start])))

    def _cached(self, position: int) -> Fragment | None:
        if self._last.start <= position < self._last.end:
            return self._last
        return self._blocks.at(position)

    def _read_next(self, position: int, buffer: memoryview) -> int:
        if self._whole is not None:
            self._whole.seek(position)
            count: int = self._whole.readinto(buffer)
        else:
            count = self._read_stream(buffer)
        self._verify(position, buffer[:count])
        return count

    def _read_stream(self, buffer: memoryview) -> int:
        assert self._stream is not None, "a part is being read"
        try:
            count = self._stream.readinto(buffer)
        except BaseException:  # after an interrupt, too, its position is unknown
            self._end_stream()
            raise
        self._between = None
        self._stream_at += count
        if not count or self._stream_at >= self._end_of_last:
            self._end_stream()
        return count

    def _end_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._between is not None:
            self._end_of_last, self._ahead = self._between
            self._between = None

    def _verify(self, start: int, data: bytes | memoryview) -> None:
        """Hash the bytes that continue those before, and check the digest at the end."""
        if not self._order.take(start, data):
            return
        while (after := self._cached(self._order.position)) is not None:
            self._order.take(*after)
        if self._order.position == self.size:
            try:
                self._order.finish()
            except IntegrityError as error:
                self._failure = error
                raise

    def _fetch(self, position: int, wanted: int) -> None:
        """Request a part with the byte at an offset: cache it, or begin to stream it.

        The whole value is read instead if it is small, or if the host ignores ranges.  A
        stream stays open during one short read elsewhere: HDF5 looks up where chunks are,
        and then goes on.
        """
        if self._between is not None:
            self._end_stream()
        start, end, ahead = self._window(position, wanted)
        is_short = end - start <= tuning.CACHED_PART_BYTES
        if self._value.compressed is not None:
            start, end = self._whole_frames(start, end, is_short=is_short)
        if not is_short:
            self._end_stream()
        if start == 0:
            self._order.close()
            self._order = OrderedVerifier(self._value.verifier())
        if start == 0 and end == self.size <= tuning.IN_MEMORY_BYTES:
            self._read_whole()
            return
        stream = self._open(start, end)
        if stream is None:
            return
        if self._stream is not None:
            self._between = end, ahead
        else:
            self._end_of_last, self._ahead = end, ahead
        if not is_short:
            self._stream, self._stream_at = stream, start
            return
        with stream:
            self._last = Fragment(start, stream.readall())
        self._blocks.add(self._last)

    def _window(self, position: int, wanted: int) -> tuple[int, int, int]:
        """Return start and end of the next request, and how much it reads ahead.

        A read of a block or more requests just its bytes, a shorter one the blocks
        around it.  Both request more if they continue the last request.
        """
        block, most_after_one = tuning.READ_BLOCK_BYTES, tuning.READ_AHEAD_AFTER_ONE_BYTES
        is_short = wanted < block
        start, end = position, position + wanted
        if position == self._end_of_last and (position or is_short):
            doubled = min(2 * self._ahead, tuning.READ_AHEAD_BYTES)
            ahead = max(doubled, min(wanted, most_after_one))
            if ahead > wanted:
                end = _whole_blocks(position + ahead)
        elif is_short:
            start, end, ahead = position - position % block, _whole_blocks(end), block
        else:
            ahead = min(wanted, most_after_one)
        return start, min(end, self.size), ahead

    def _whole_frames(self, start: int, end: int, *, is_short: bool) -> tuple[int, int]:
        # What comes out of a frame anyway is cached, too; a stream begins where it is read.
        if is_short and start // FRAME_BYTES == (end - 1) // FRAME_BYTES:
            start -= start % FRAME_BYTES
        return start, min(-(-end // FRAME_BYTES) * FRAME_BYTES, self.size)

    def _open(self, start: int, end: int) -> ValueStream | None:
        """Open a part; None if the whole value was read instead."""

        def asked(value: RemoteValue) -> tuple[RemoteValue, ValueAnswer]:
            return value, ask(value, start, end)

        # The host that had the right value is asked from then on, in the same way.
        if self._validators is None or self._value.is_elsewhere:
            before = self._value
            self._value, answer = first_right(before, asked)
            if answer.is_compressed:
                self._has_copied = True
                return ValueStream(self._value, answer, start, end, None)
            if self._has_copied:  # the host has perhaps replaced the value since
                answer.close()
                self._read_whole()
                return None
            if self._value.session is not before.session:
                self._validators = None  # another host has other tags
        else:
            _, answer = asked(self._value)
        if not answer.is_partial:
            answer.close()
            self._read_whole()
            return None
        validators = _validators(answer.response)
        if self._validators not in (None, validators):
            answer.close()
            self._read_replaced(validators)
            return None
        self._validators = validators
        return ValueStream(self._value, answer, start, end, None)

    def _read_whole(self) -> None:
        """Read the whole value, verified, into a file, and parts from there from now on.

        Raises
        ------
        IntegrityError
            It differs from a part that was read before, for instance.
        """
        self._end_stream()
        self._whole, self._size = spooled(self._whole_value)
        for one in (self._last, *self._blocks):
            self._whole.seek(one.start)
            if self._whole.read(len(one.data)) != one.data:
                self._failure = self._value.replaced()
                raise self._failure

    def _read_replaced(self, validators: tuple[str | None, ...]) -> None:
        # Two servers behind one name may have different tags for the same bytes: the digest
        # of the whole decides.
        replaced = self._value.replaced(expected=self._validators, actual=validators)
        if self._value.sha256 is None:
            raise replaced
        try:
            self._read_whole()
        except (IntegrityError, TransportError) as error:
            raise replaced from error


def _whole_blocks(end: int) -> int:
    block = tuning.READ_BLOCK_BYTES
    return -(-end // block) * block


def _validators(response: Response) -> tuple[str | None, ...]:
    """Return what two answers have in common if they are of one version of a value."""
    return response.etag, response.header("Last-Modified")
