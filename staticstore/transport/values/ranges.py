"""Read parts of values: one as a stream, or many at once."""

from __future__ import annotations

import contextlib
import io
import operator
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from ... import tuning
from ..many.request import ByteRange, SizedRequest, coalesced
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

if TYPE_CHECKING:
    from ..http.session import Session
    from ..many.request import SizedAnswer

__all__ = [
    "Bounds",
    "RangesPlan",
    "WantedParts",
    "WantedRanges",
    "checked_bounds",
    "checked_ranges",
    "checked_ranges_many",
    "open_range",
    "read_ranges",
]

T = TypeVar("T")

#: Start and end, as in a slice.
Bounds = tuple[int | None, int | None]


class WantedRanges(NamedTuple):
    """Ranges of one value, each with bounds as in a slice."""

    value: RemoteValue
    ranges: Sequence[Bounds]


class WantedParts(NamedTuple):
    """What one call wants of a value."""

    #: As in slices.
    ranges: Sequence[Bounds]
    #: As of `StaticStore.get_ranges`, in bytes.
    max_gap: int = 1 << 12
    max_size: int = 1 << 23
    #: Whether the result is one part, not a list of parts.
    is_single: bool = False

    @classmethod
    def of(
        cls,
        ranges: Sequence[Bounds],
        max_gap: int = 1 << 12,
        max_size: int = 1 << 23,
        *,
        is_single: bool = False,
    ) -> WantedParts:
        """Return what a caller wants; wrong arguments must not disturb the reads of others.

        Raises
        ------
        TypeError
            `max_gap` or `max_size` is no integer.
        """
        return cls(ranges, operator.index(max_gap), operator.index(max_size), is_single)


def checked_bounds(start: Any, end: Any) -> Bounds:
    """Return a range as in a slice.

    Raises
    ------
    TypeError
        A bound is neither a whole number nor None.
    """
    try:
        return (
            None if start is None else operator.index(start),
            None if end is None else operator.index(end),
        )
    except TypeError:
        text = f"start and end are whole numbers of bytes, or None, not {start!r} and {end!r}"
        raise TypeError(text) from None


def checked_ranges(ranges: Iterable[Any]) -> list[Bounds]:
    """Return ranges of one value, as pairs.

    Raises
    ------
    TypeError
        One is no pair, or a bound is neither a whole number nor None.
    """
    return [checked_bounds(*one) for one in _in_groups(ranges, "start", "end")]


def checked_ranges_many(ranges: Iterable[Any]) -> list[tuple[str, Bounds]]:
    """Return ranges of many values, each with its key.

    Raises
    ------
    TypeError
        One has not key, start and end, or a bound is neither a whole number nor None.
    """
    groups = _in_groups(ranges, "key", "start", "end")
    return [(key, checked_bounds(start, end)) for key, start, end in groups]


def _in_groups(ranges: Iterable[Any], *names: str) -> Iterator[Any]:
    for one in ranges:
        try:
            group = tuple(one)
        except TypeError:
            group = ()
        if len(group) != len(names):
            raise TypeError(f"ranges is a list of ({', '.join(names)}), not of {one!r}")
        yield group


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
    if last is not None:
        value = value.for_parts([ByteRange(first, last)])
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


def read_ranges(wanted: Sequence[WantedRanges], gap: int, most: int) -> list[list[bytes]]:
    """Read the bytes ``value[start:end]`` of ranges of some values, in the order given.

    All are requested together, and what did not come as expected again, value by value.

    Parameters
    ----------
    wanted : sequence of WantedRanges
        The values, each once, and their ranges.
    gap, most : int
        As in `coalesced`, in bytes.

    Returns
    -------
    list of list of bytes
        For each value the bytes of each of its ranges.

    Raises
    ------
    TransportError
        The bytes cannot be read.
    IntegrityError
        The host has another value than the index says, or has replaced it meanwhile.
    """
    from ..many.batch import Batch  # `open_range` does not need it

    gap, most = operator.index(gap), operator.index(most)
    plans = _each([partial(RangesPlan, one, gap, most) for one in wanted], _knows_sizes(wanted))
    batches = []
    for session, some in _by_session(plan for plan in plans if plan.is_fetched_at_once):
        batches.append(
            (some, Batch(session, [one for plan in some for one in plan.requests(plan.value)]))
        )
    for some, batch in batches:
        answers = batch.answers()
        for plan in some:
            plan.fetched = list(islice(answers, len(plan.stretches)))
    return _each([plan.read for plan in plans], all(plan.has_come for plan in plans))


def _knows_sizes(wanted: Iterable[WantedRanges]) -> bool:
    return all(value.size is not None for value, _ in wanted)


def _by_session(plans: Iterable[RangesPlan]) -> Iterable[tuple[Session, list[RangesPlan]]]:
    found: dict[Session, list[RangesPlan]] = {}
    for plan in plans:
        found.setdefault(plan.value.session, []).append(plan)
    return found.items()


def _each(calls: Sequence[Callable[[], T]], is_quick: bool) -> list[T]:
    # Those that wait for a host are called by several threads.
    if is_quick or len(calls) == 1:
        return [call() for call in calls]
    from ...workers import Workers  # slow to import: concurrent.futures

    with Workers(tuning.CAREFUL_THREADS, "staticstore ranges") as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


class RangesPlan:
    """The ranges of one value, and the stretches that are requested for them."""

    def __init__(self, wanted: WantedRanges, gap: int, most: int) -> None:
        value, self._ranges = wanted
        size = value.size if value.size is not None else ask_size(value)
        self.value = value._replace(size=size)  # which all answers must then have, too
        self._asked = [ByteRange(*slice(*one).indices(size or 0)[:2]) for one in self._ranges]
        joined = coalesced((one for one in self._asked if one.start < one.end), gap, most)
        self.stretches = list(joined)
        self.value = self.value.for_parts(self.stretches)
        self.fetched: Sequence[SizedAnswer | None] | None = None
        # Long ones are streamed: less memory.
        most_bytes = tuning.RANGE_AT_ONCE_BYTES
        self._is_short = all(end - start <= most_bytes for start, end in self.stretches)

    @property
    def is_fetched_at_once(self) -> bool:
        """Whether to request it together with others, from the root that is asked first."""
        value = self.value
        is_first = value.sources is None or not value.session.is_failing
        is_plain = value.size is not None and value.compressed is None
        return self._is_short and is_plain and is_first

    @property
    def is_whole(self) -> bool:
        """Whether the ranges cover the value, so that they are verified."""
        size = self.value.size or 0
        return size > 0 and sum(end - start for start, end in self.stretches) >= size

    @property
    def has_come(self) -> bool:
        """Whether all answers are as expected."""
        return self.fetched is not None and None not in self.fetched

    def requests(self, value: RemoteValue) -> Iterator[SizedRequest]:
        """Yield the requests to the root of a value."""
        for start, end in self.stretches:
            yield SizedRequest(value.url_path, end - start, start, value.size)

    def read(self) -> list[bytes]:
        """Return the bytes of the ranges; request what has not come as expected."""
        bodies = None
        if self.value.size is not None:
            bodies = first_right(self.value, self._read_all)
        if bodies is None:
            return _read_spooled(self.value, self._ranges)
        return list(_cut(self._asked, self.stretches, bodies))

    def _read_all(self, value: RemoteValue) -> list[bytes] | None:
        """Read the stretches of one version; None if the host ignores ranges.

        If they cover the value, they are verified.
        """
        from ..many.batch import fetch_all

        assert value.size is not None, "the size was asked for"
        if value.compressed is not None:
            bodies = value.compressed.read_parts(value, self.stretches)
            _verify(value, self.stretches, bodies)
            return bodies
        fetched = self.fetched if value is self.value else None
        # A request past a cache has header fields of its own.
        if fetched is None and self._is_short and not value.fields:
            fetched = fetch_all(value.session, list(self.requests(value)))
        bodies = []
        etags: set[str | None] = set()
        for one, found in zip(self.stretches, fetched or repeat(None), strict=False):
            if found is not None:
                bodies.append(found.body)
                etags.add(found.etag)
                continue
            answer = ask(value, *one)
            if isinstance(answer, VerifiedAnswer):
                return _read_from(answer.file, self.stretches)
            if not answer.is_partial and one.end - one.start < value.size:
                answer.close()
                return None
            is_part = answer.is_partial
            stream = (
                ValueStream(value, answer, *one, None) if is_part else stream_whole(value, answer)
            )
            with stream:
                bodies.append(stream.readall())
                etags.add(stream.etag)
        if len(etags) > 1:
            replaced = value.replaced(expected="one entity tag", actual=sorted(map(str, etags)))
            return _read_from(whole_or_raise(value, replaced).file, self.stretches)
        _verify(value, self.stretches, bodies)
        return bodies


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


def _verify(value: RemoteValue, ranges: Sequence[ByteRange], bodies: Sequence[bytes]) -> None:
    # Only if the ranges cover the value: the digest of parts is unknown.
    if not value.has_digest:
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
