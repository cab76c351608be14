"""Read values by their compressed copies: whole, or the frames that a part needs.

A part of a value is no better verified than without a copy; but each frame of a published
copy has a checksum of its own, and a copy never changes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cachetools import LRUCache

from ... import tuning
from ...errors import IntegrityError, TransportError
from ...zstd import Decompression, DecompressionError, decompressed
from ..many.request import ByteRange, SizedRequest, coalesced
from .answers import ValueAnswer, ask
from .remote_value import RemoteValue
from .seek_table import FRAME_BYTES, MOST_TABLE_BYTES, SeekTable, table_bytes
from .stream import ValueStream, stream_whole

if TYPE_CHECKING:
    from ...index.hidden import CompressedCopy
    from ..http.session import Session
    from ..http.wire import Wire

__all__ = ["CompressedAnswer", "CompressedReads"]

# A longer frame, which nobody needs, is passed on before its end.
_MOST_HELD_BYTES = 8 << 20


class CompressedAnswer(ValueAnswer):
    """Bytes of a value out of its compressed copy.

    Parameters
    ----------
    value : RemoteValue
        The value.
    source : ValueStream
        The copy from its start, or some of its frames.
    start, end : int
        Which bytes of the value these hold.
    """

    is_partial = True
    is_compressed = True

    def __init__(self, value: RemoteValue, source: ValueStream, start: int, end: int) -> None:
        assert source.response is not None, "it is no compressed copy of a copy"
        super().__init__(source.response, start, value.size)
        self._value = value
        self._source = source
        self._decompression = Decompression(end - start)
        self._piece = memoryview(bytearray(tuning.STREAM_BUFFER_BYTES))
        # Bytes are passed on with the end of their frame, where its checksum is.
        self._held = bytearray()
        self._ready = memoryview(b"")

    def must_be_verified(self, value: RemoteValue) -> bool:
        """Return False: a page in the place of a copy is none."""
        return False

    def readinto(self, buffer: memoryview) -> int:
        """Read the next bytes into a buffer; return how many, 0 at the end."""
        try:
            while not self._ready and self._fill():
                pass
        except DecompressionError as error:
            raise _unusable(self._value, error) from error
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        self.position += count
        return count

    def _fill(self) -> bool:
        """Decompress some more; False at the end."""
        found = self._decompression
        if data := found.read(tuning.VALUE_PIECE_BYTES):
            self._held += data
        if self._held and (found.is_between_frames or len(self._held) >= _MOST_HELD_BYTES):
            self._ready, self._held = memoryview(bytes(self._held)), bytearray()
        elif not data:
            count = self._source.readinto(self._piece)
            if not count:
                found.finish()
                return False
            found.feed(self._piece[:count])
        return True

    def close(self) -> None:
        """Close the answer."""
        self._source.close()


class CompressedReads:
    """Reads one value by its compressed copy; any thread may use it.

    Parameters
    ----------
    copy : CompressedCopy
        The copy, of fewer bytes than the value, whose size and digest are known; also an
        attribute.
    """

    def __init__(self, copy: CompressedCopy) -> None:
        self.copy = copy

    def ask(self, value: RemoteValue, start: int, end: int | None) -> CompressedAnswer:
        """Request the bytes from `start` to `end`; the answer may begin before them.

        Raises
        ------
        TransportError, IntegrityError
            The copy, or the part of it, cannot be had.
        """
        copy, size = self._of(value), value.size or 0
        end = size if end is None else min(end, size)
        if start == 0 and end == size:
            return CompressedAnswer(value, stream_whole(copy), 0, size)
        table = self._table(value)
        frames = table.frames(start, end)
        first, last = table.place_of(frames)
        begin = frames.start * table.frame_bytes
        until = min(frames.stop * table.frame_bytes, size)
        return CompressedAnswer(value, _part(copy, first, last), begin, until)

    def is_shorter(self, value: RemoteValue, ranges: Sequence[ByteRange]) -> bool:
        """Return whether fewer bytes are fetched for parts by the copy than without it.

        Parameters
        ----------
        value : RemoteValue
            The value.
        ranges : sequence of ByteRange
            The parts, in order, not overlapping.
        """
        size = value.size or 0
        if not value.session.takes_ranges or self.is_failing(value.session):
            return False
        table = value.session.companion(_CopyNotes).table(self.copy.sha256)
        frame = FRAME_BYTES if table is None else table.frame_bytes
        frames = sum(len(run) for run in _runs(ranges, frame))
        cost = min(frames * frame, size) * self.copy.size // max(size, 1)
        if table is None:
            cost += table_bytes(-(-size // frame)) + tuning.SEEK_TABLE_COST_BYTES
        return cost < sum(end - start for start, end in ranges)

    def is_for_short_reads(self, value: RemoteValue) -> bool:
        """Return whether to read a value by its copy that is going to be read in places."""
        is_small = self.copy.size <= (value.size or 0) * tuning.COMPRESSED_OPEN_PART
        return is_small and value.session.takes_ranges and not self.is_failing(value.session)

    def read_parts(self, value: RemoteValue, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Read ordered, disjoint parts of a value, by as few requests as possible.

        Raises
        ------
        TransportError, IntegrityError
            The copy, or a part of it, cannot be had.
        """
        from ..many.batch import fetch_all  # a single part does not need it

        copy, table = self._of(value), self._table(value)
        runs = list(_runs(ranges, table.frame_bytes))
        places = [ByteRange(*table.place_of(run)) for run in runs]
        joined = list(coalesced(places, tuning.PACK_GAP_BYTES, tuning.RANGE_AT_ONCE_BYTES))
        requests = [
            SizedRequest(copy.url_path, end - start, start, copy.size) for start, end in joined
        ]
        answers = [None] * len(joined) if value.fields else fetch_all(value.session, requests)
        bodies = iter(zip(joined, answers, strict=True))
        parts, waiting = list[bytes](), deque(ranges)
        coming, body = ByteRange(0, 0), b""
        for run, (first, last) in zip(runs, places, strict=True):
            if last > coming.end:
                coming, answer = next(bodies)
                body = _read_part(copy, coming) if answer is None else answer.body
            frames = memoryview(body)[first - coming.start : last - coming.start]
            begin = run.start * table.frame_bytes
            until = min(run.stop * table.frame_bytes, table.size)
            try:
                data = decompressed(frames, until - begin)
            except DecompressionError as error:
                raise _unusable(value, error) from error
            while waiting and waiting[0].end <= until:
                start, end = waiting.popleft()
                parts.append(data[start - begin : end - begin])
        return parts

    def is_failing(self, session: Session) -> bool:
        """Return whether the copy, or several others, failed at a root a short time ago."""
        return session.companion(_CopyNotes).is_failing(self.copy.sha256)

    def note(self, session: Session, *, failed: bool) -> None:
        """Note whether the value could be read by its copy."""
        session.companion(_CopyNotes).note(self.copy.sha256, failed=failed)

    def _of(self, value: RemoteValue) -> RemoteValue:
        copy = self.copy
        return value._replace(
            url_path=copy.href, size=copy.size, sha256=copy.sha256, compressed=None
        )

    def _table(self, value: RemoteValue) -> SeekTable:
        notes, sha256 = value.session.companion(_CopyNotes), self.copy.sha256
        if (known := notes.table(sha256)) is not None and known.size == value.size:
            return known
        try:
            table = _read_table(self._of(value), value.size or 0)
        except ValueError as error:
            raise _unusable(value, error) from error
        notes.note_table(sha256, table)
        return table


def _runs(ranges: Sequence[ByteRange], frame_bytes: int) -> Iterator[range]:
    """Yield the frames that hold some parts, those in a row together."""
    run = range(0)
    for start, end in ranges:
        first, stop = start // frame_bytes, -(-end // frame_bytes)
        if run and first <= run.stop:
            run = range(run.start, max(run.stop, stop))
            continue
        if run:
            yield run
        run = range(first, stop)
    if run:
        yield run


def _part(copy: RemoteValue, start: int, end: int) -> ValueStream:
    answer = ask(copy, start, end)
    if not answer.is_partial:
        answer.close()
        raise TransportError(
            "the host gives no part of the compressed copy", key=copy.key, url=copy.url
        )
    return ValueStream(copy, answer, start, end, None)


def _read_part(copy: RemoteValue, wanted: ByteRange) -> bytes:
    with _part(copy, *wanted) as stream:
        return stream.readall()


def _read_table(copy: RemoteValue, size: int) -> SeekTable:
    """Read the seek table of a copy; one request for copies that we publish."""
    assert copy.size is not None, "that of a copy is known"
    length = table_bytes(-(-size // FRAME_BYTES))
    if not length < copy.size or length > MOST_TABLE_BYTES:
        raise ValueError("it has no room for a seek table, or too large a one")
    text = _read_part(copy, ByteRange(copy.size - length, copy.size))
    claimed = SeekTable.claimed_bytes(text)
    if claimed is not None and length < claimed < copy.size:
        text = _read_part(copy, ByteRange(copy.size - claimed, copy.size))
    return SeekTable.parse(text, copy.size, size)


def _unusable(value: RemoteValue, reason: Exception) -> IntegrityError:
    return value.changed(f"the compressed copy of the value cannot be used: {reason}")


class _CopyNotes:
    """What a session knows of compressed copies, by digest; thread-safe."""

    def __init__(self, wire: Wire) -> None:
        self._lock = threading.Lock()
        most = tuning.SEEK_TABLES_BYTES
        self._tables: LRUCache[str, SeekTable] = LRUCache(most, getsizeof=_memory_of)
        self._failed: LRUCache[str, float] = LRUCache(tuning.FAILED_COPIES_ENTRIES)
        # Failures of different copies, without a success.
        self._in_a_row = 0
        self._failed_at = 0.0

    def table(self, sha256: str) -> SeekTable | None:
        with self._lock:
            return self._tables.get(sha256)

    def note_table(self, sha256: str, table: SeekTable) -> None:
        with self._lock:
            if _memory_of(table) <= self._tables.maxsize:
                self._tables[sha256] = table

    def note(self, sha256: str, *, failed: bool) -> None:
        with self._lock:
            if not failed:
                self._in_a_row = 0
                return
            self._failed_at = self._failed[sha256] = time.monotonic()
            self._in_a_row += 1

    def is_failing(self, sha256: str) -> bool:
        with self._lock:
            since = self._failed.get(sha256)
            if self._in_a_row >= tuning.COPY_FAILURES:
                since = self._failed_at
        return since is not None and time.monotonic() - since < tuning.NO_COPIES_SECONDS

    def close(self) -> None:
        with self._lock:
            self._tables.clear()


def _memory_of(table: SeekTable) -> int:
    return 8 * len(table) + 200
