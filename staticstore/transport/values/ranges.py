"""Read parts of one value: one as a stream, or many at once."""

from __future__ import annotations

import contextlib
import io
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

from ... import tuning
from .answers import VerifiedAnswer, ask, ask_size
from .remote_value import RemoteValue, first_right
from .stream import (
    ValueReader,
    ValueStream,
    spooled,
    stream_whole,
    verified_answer,
    whole_or_raise,
)

__all__ = ["ByteRange", "coalesced", "open_range", "read_ranges"]


class ByteRange(NamedTuple):
    """Some bytes of a value or file: half-open, not empty."""

    start: int
    end: int


def open_range(value: RemoteValue, start: int | None, end: int | None) -> BinaryIO:
    """Open bytes ``value[start:end]`` of a value as a stream.

    Parameters
    ----------
    value : RemoteValue
        The value.
    start, end : int or None
        As in a slice.

    Raises
    ------
    TransportError, IntegrityError
        Now, or while the stream is read.
    """
    size = value.size
    if size is None and ((start or 0) < 0 or (end or 0) < 0):
        size = ask_size(value)
        if size is None:
            return _open_spooled(value, start, end)
        value = value._replace(size=size)  # which the answer must then have, too
    if size is not None:
        start, end, _ = slice(start, end).indices(size)
    first, last = start or 0, end
    if last is not None and first >= last:
        return io.BytesIO()
    return first_right(value, lambda value: _open_part(value, first, last))


def _open_part(value: RemoteValue, start: int, end: int | None) -> ValueReader:
    """Open bytes of a value; if the host sends all to the end, they are verified."""
    answer = ask(value, start, end)
    if answer.must_be_verified(value):
        answer = verified_answer(value, answer)
    is_to_the_end = end is None or (answer.total is not None and end >= answer.total)
    if answer.position or answer.is_verified or value.is_undescribed or not is_to_the_end:
        return ValueReader(ValueStream(value, answer, start, end, None))
    stream = stream_whole(value, answer)
    try:
        stream.skip(start)
    except BaseException:
        stream.close()
        raise
    return ValueReader(stream)


def _open_spooled(value: RemoteValue, start: int | None, end: int | None) -> BinaryIO:
    # Only the whole value shows where the end is from which to count.
    file, size = spooled(value)
    start, end, _ = slice(start, end).indices(size)
    file.truncate(max(start, end))
    file.seek(start)
    return file


def coalesced(ranges: Iterable[ByteRange], gap: int, most: int) -> Iterator[ByteRange]:
    """Yield fewer and longer ranges that cover all given ones, in order.

    Parameters
    ----------
    ranges : iterable of ByteRange
        In any order.
    gap : int
        Bytes between two ranges up to which they are joined.
    most : int
        Bytes up to which ranges are joined; a longer one stays as it is.

    Examples
    --------
    >>> list(coalesced([ByteRange(0, 5), ByteRange(8, 9), ByteRange(20, 21)], gap=3, most=100))
    [ByteRange(start=0, end=9), ByteRange(start=20, end=21)]
    """
    in_order = iter(sorted(ranges))
    first = next(in_order, None)
    if first is None:
        return
    start, end = first
    for next_start, next_end in in_order:
        if next_start <= end + gap and (next_end <= end or next_end - start <= most):
            end = max(end, next_end)
        else:
            yield ByteRange(start, end)
            start, end = next_start, next_end
    yield ByteRange(start, end)


def read_ranges(
    value: RemoteValue, ranges: Sequence[tuple[int | None, int | None]], gap: int, most: int
) -> list[bytes]:
    """Read the bytes ``value[start:end]`` of each range, in the order given.

    Parameters
    ----------
    value : RemoteValue
        The value.
    ranges : sequence of (int or None, int or None)
        As in slices.
    gap, most : int
        As in `coalesced`, in bytes.

    Raises
    ------
    TransportError
        The bytes cannot be read.
    IntegrityError
        The host has another value than the index says, or has replaced it meanwhile.
    """
    size = value.size if value.size is not None else ask_size(value)
    if size is None:
        return _read_spooled(value, ranges)
    value = value._replace(size=size)  # which all answers must then have, too
    asked = [ByteRange(*slice(*one).indices(size)[:2]) for one in ranges]
    requests = list(coalesced((one for one in asked if one.start < one.end), gap, most))
    bodies = first_right(value, lambda value: _read_all(value, requests, size))
    if bodies is None:
        return _read_spooled(value, ranges)
    return list(_cut(asked, requests, bodies))


def _read_spooled(
    value: RemoteValue, ranges: Sequence[tuple[int | None, int | None]]
) -> list[bytes]:
    file, size = spooled(value)
    return _read_from(file, [slice(*one).indices(size)[:2] for one in ranges])


def _read_from(file: BinaryIO, ranges: Iterable[tuple[int, int]]) -> list[bytes]:
    with file:
        bodies = []
        for start, end in ranges:
            file.seek(start)
            bodies.append(file.read(max(end - start, 0)))
        return bodies


def _read_all(value: RemoteValue, ranges: Sequence[ByteRange], size: int) -> list[bytes] | None:
    """Read ranges of one version of a value; None if the host ignores ranges.

    If they cover the value, they are verified.
    """
    from ..many.batch import fetch_all  # `open_range` does not need them
    from ..many.request import SizedRequest

    requests = [SizedRequest(value.url_path, end - start, start, size) for start, end in ranges]
    # A request past a cache has header fields of its own.
    one_by_one = value.fields or any(one.size > tuning.RANGE_AT_ONCE_BYTES for one in requests)
    fetched = [None] * len(ranges) if one_by_one else fetch_all(value.session, requests)
    bodies: list[bytes] = []
    etags: set[str | None] = set()
    for one, found in zip(ranges, fetched, strict=True):
        if found is not None:
            bodies.append(found.body)
            etags.add(found.etag)
            continue
        answer = ask(value, *one)
        if isinstance(answer, VerifiedAnswer):
            return _read_from(answer.file, ranges)
        if not answer.is_partial and one.end - one.start < size:
            answer.close()
            return None
        is_part = answer.is_partial
        stream = ValueStream(value, answer, *one, None) if is_part else stream_whole(value, answer)
        with stream:
            bodies.append(stream.readall())
            etags.add(stream.etag)
    if len(etags) > 1:
        replaced = value.replaced(expected="one entity tag", actual=sorted(map(str, etags)))
        return _read_from(whole_or_raise(value, replaced).file, ranges)
    _verify(value, ranges, bodies)
    return bodies


def _verify(value: RemoteValue, ranges: Sequence[ByteRange], bodies: Sequence[bytes]) -> None:
    # Only if the ranges cover the value: the sha256 of parts is unknown.
    if value.sha256 is None:
        return
    with contextlib.closing(value.verifier()) as verifier:
        for (start, end), body in zip(ranges, bodies, strict=True):
            if start > verifier.count:
                return
            if end > verifier.count:
                verifier.feed(memoryview(body)[verifier.count - start :])
        if verifier.count == value.size:
            verifier.finish()


def _cut(
    asked: Iterable[ByteRange], requests: Sequence[ByteRange], bodies: Sequence[bytes]
) -> Iterator[bytes]:
    starts = [one.start for one in requests]
    for start, end in asked:
        if start >= end:
            yield b""
            continue
        number = bisect_right(starts, start) - 1
        at = start - starts[number]
        yield bodies[number][at : at + end - start]
