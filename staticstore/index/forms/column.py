"""The values of one field in order, so that conditions on it are ranges of ranks."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from itertools import accumulate, pairwise, repeat
from typing import Any

from ... import tuning
from ...query.comparison import Interval, Kind, OrderKey, order_key
from .instant_texts import InstantTexts
from .value_groups import MISSING, UNORDERED, ValueGroups, joined_runs, passed_over

__all__ = ["FieldColumn", "Ranks"]

#: Some ranks: from the first to before the last, rising, and apart from one another.
Ranks = list[tuple[int, int]]

_MOST_BUCKETS = 256  # their numbers are bytes
# Its code, and twice its place in a bucket, with a number or a reference.
_POSITION_BYTES = 1 + 2 * (4 + 8)
_TEXT_BYTES = 60  # of one that no other position shares


class Bucket:
    """The positions of some values that follow one another, and the values.

    Parameters
    ----------
    values : list or array
        To be filled; None in the end if they have no order.
    """

    __slots__ = ("_sorted", "positions", "values")

    def __init__(self, values: MutableSequence[Any]) -> None:
        self.positions = array("I")  # rising
        self.values: Any = values
        self._sorted: tuple[Sequence[int], Sequence[Any]] | None = None

    def finish(self) -> None:
        """Let the garbage collector pass over the values, after they have been filled in."""
        if isinstance(self.values, list):
            self.values = passed_over(self.values)

    def sorted(self) -> tuple[Sequence[int], Sequence[Any]]:
        """Return the positions by value, and the values; sorted at the first call."""
        if self._sorted is None:
            positions, values = self.positions, self.values
            assert values is not None
            # A frequent value has a bucket of its own.
            if self.is_uniform:
                self._sorted = positions, values
            else:
                order = sorted(range(len(values)), key=values.__getitem__)
                by_value = map(values.__getitem__, order)
                in_order: Sequence[Any] = (
                    passed_over(by_value) if isinstance(values, tuple) else array("d", by_value)
                )
                self._sorted = array("I", map(positions.__getitem__, order)), in_order
        return self._sorted

    @property
    def is_uniform(self) -> bool:
        """Whether all values are equal."""
        values = self.values
        return not values or values.count(values[0]) == len(values)

    def rank(self, value: Any, *, is_after: bool) -> int:
        """Return how many values are less than one, or also those that equal it."""
        return (bisect_right if is_after else bisect_left)(self.sorted()[1], value)

    def by_rank(self, start: int, end: int) -> Sequence[int]:
        """Return the positions of some ranks."""
        return self.sorted()[0][start:end]

    def is_within(self, position: int, ranks: Ranks) -> bool:
        """Return whether the value of a position has one of some ranks.

        All equal values are inside, or none is.
        """
        assert self.values is not None
        value = self.values[bisect_left(self.positions, position)]
        values = self.sorted()[1]
        return any(values[start] <= value <= values[end - 1] for start, end in ranks)


class FieldColumn:
    """The values of one field, in buckets of a few thousand; built in one pass.

    Positions count the entries in key order, ranks count the values in the order of
    `Kind`, then lists and objects, then missing ones.  The rank of a value is found by
    bisection, first among the buckets.  A bucket is sorted when it is first looked into,
    so that no step keeps other threads waiting.

    Parameters
    ----------
    runs : iterable of list
        The values of all entries, in key order; None for a missing one.

    Examples
    --------
    >>> column = FieldColumn([[5, "x", None], [1.5]])
    >>> column.between(Interval(Kind.NUMBER, low=1))
    [(0, 2)]
    >>> [column.buckets[code].positions[0] for code in column.codes]
    [0, 1, 2, 0]
    """

    __slots__ = ("_bounds", "_first", "_instants", "buckets", "codes", "size", "starts")

    def __init__(self, runs: Iterable[list[Any]]) -> None:
        self._instants = InstantTexts()
        groups = ValueGroups(self._instants)
        for run in joined_runs(runs):
            groups.add(run)
        total = groups.count
        #: The number of the bucket of each position.
        self.codes = bytearray(total)
        self.buckets: list[Bucket] = []
        self._bounds: list[list[Any]] = []
        self._first = [0]  # of each kind, its first bucket
        for kind, (positions, values) in enumerate(groups.all()):
            bounds: list[Any] = [True] if kind == Kind.BOOLEAN else []
            if values is not None and kind != Kind.BOOLEAN:
                sample = _sample(values)
                if kind == Kind.INSTANT:  # so that all of an instant are in one bucket
                    sample = list(map(self._instants.place_of, sample))
                part = len(positions) * (_MOST_BUCKETS - 7) // max(total, 1)
                bounds = _bounds(sample, min(part, len(positions) // tuning.BUCKET_ENTRIES))
            self._distribute(positions, values, bounds, are_few=groups.are_few(kind))
        counts = [len(bucket.positions) for bucket in self.buckets]
        #: The rank with which each bucket begins, and the number of entries.
        self.starts = [0, *accumulate(counts)]
        #: Memory, about, in bytes.
        self.size = _POSITION_BYTES * total + _TEXT_BYTES * groups.unshared_texts

    def _distribute(
        self,
        positions: array[int],
        runs: list[Sequence[Any]] | None,
        bounds: list[Any],
        *,
        are_few: bool,
    ) -> None:
        first, codes = self._first[-1], self.codes
        are_numbers = runs is not None and len(runs) == 1 and isinstance(runs[0], array)
        buckets = [Bucket(array("d") if are_numbers else []) for _ in range(len(bounds) + 1)]
        self.buckets += buckets
        self._bounds.append(bounds)
        self._first.append(len(self.buckets))
        if runs is None:
            buckets[0].positions = positions
            buckets[0].values = None
            for position in positions:
                codes[position] = first
            return
        known = _KnownBuckets(bounds)
        add_position = [bucket.positions.append for bucket in buckets]
        add_value = [bucket.values.append for bucket in buckets]
        start = 0
        for at, run in enumerate(runs):
            numbers = (
                map(known.__getitem__, run) if are_few else map(bisect_right, repeat(bounds), run)
            )
            some = positions[start : start + len(run)]
            start += len(run)
            for position, value, number in zip(some, run, numbers, strict=True):
                codes[position] = first + number
                add_position[number](position)
                add_value[number](value)
            runs[at] = ()  # freed bit by bit: all at once would keep other threads waiting
        for bucket in buckets:
            bucket.finish()

    def __len__(self) -> int:
        """Count the positions."""
        return len(self.codes)

    # -- ranks ---------------------------------------------------------------------------

    def others(self, ranks: Ranks) -> Ranks:
        """Return the ranks that are not among some."""
        edges = [0, *(edge for some in ranks for edge in some), len(self)]
        return [
            (start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end
        ]

    def missing(self) -> Ranks:
        """Return the ranks of the entries without the field."""
        return self._of_kind(MISSING)

    def unordered(self) -> Ranks:
        """Return the ranks of the lists and objects."""
        return self._of_kind(UNORDERED)

    def _of_kind(self, kind: int) -> Ranks:
        return _range(self.starts[self._first[kind]], self.starts[self._first[kind + 1]])

    def between(self, interval: Interval) -> Ranks:
        """Return the ranks of the values in an interval."""
        kind, low, high, has_low, has_high = interval
        ((start, end),) = self._of_kind(kind) or [(0, 0)]
        if end and low is not None:
            start = self._rank(kind, low, is_after=not has_low)
        if end and high is not None:
            end = self._rank(kind, high, is_after=has_high)
        return _range(start, end)

    def _rank(self, kind: int, place: Any, *, is_after: bool) -> int:
        if kind == Kind.INSTANT:
            place, is_after = self._instants.needle(place, is_after=is_after)
        return self._rank_of(kind, place, is_after=is_after)

    def _rank_of(self, kind: int, value: Any, *, is_after: bool) -> int:
        code = self._first[kind] + bisect_right(self._bounds[kind], value)
        return self.starts[code] + self.buckets[code].rank(value, is_after=is_after)

    def equal_to(self, value: Any) -> Ranks:
        """Return the ranks of the values that equal a number, a text, true or false."""
        key = order_key(value)
        if key is None:  # NaN
            return []
        if key[0] is Kind.INSTANT:
            written = self._instants.written(value)
            ranks = self._equal(Kind.INSTANT, written) if written is not None else []
        elif key[0] is Kind.TEXT:
            ranks = self._equal(Kind.TEXT, value)
        else:
            ranks = self._equal(Kind.BOOLEAN, bool(value)) if value in (0, 1) else []
            ranks += self._equal(Kind.NUMBER, value)
        return ranks

    def _equal(self, kind: Kind, value: Any) -> Ranks:
        if not self._of_kind(kind):
            return []
        return _range(
            self._rank_of(kind, value, is_after=False), self._rank_of(kind, value, is_after=True)
        )

    def same_instant(self, key: OrderKey) -> Ranks:
        """Return the ranks of the times that name an instant, however they are written."""
        return self.between(Interval(key[0], key[1], key[1]))

    def texts(self) -> Iterator[tuple[int, int, str]]:
        """Iterate over the distinct texts, dates and times too: their first and last ranks."""
        text_of = self._instants.text_of
        for code in range(self._first[Kind.INSTANT], self._first[Kind.TEXT + 1]):
            start, last = self.starts[code], 0
            _, values = self.buckets[code].sorted()
            for at in range(1, len(values) + 1):
                value = values[last]
                if at == len(values) or values[at] != value:
                    is_text = code >= self._first[Kind.TEXT]
                    yield start + last, start + at, value if is_text else text_of(value)
                    last = at

    # -- order ---------------------------------------------------------------------------

    def groups(
        self, positions: Sequence[int], mask: Sequence[int] | None, *, is_falling: bool
    ) -> Iterator[list[int]]:
        """Sort positions: yield those that have equal values together, each time in order.

        Lists and objects come after all that has an order, and missing ones last.

        Parameters
        ----------
        positions : sequence of int
            In order.
        mask : sequence of int, optional
            The same, as 1 for each position that is one of them and 0 for others; then
            nothing is sorted before it is needed.
        is_falling : bool
            Whether to begin with the greatest value.
        """
        first = self._first[UNORDERED]
        ordered = range(first)
        codes = (*(reversed(ordered) if is_falling else ordered), first, first + 1)
        found: list[list[int]] = [[] for _ in self.buckets]
        if mask is None:
            code_of = self.codes
            for position in positions:
                found[code_of[position]].append(position)
        for code in codes:
            some = found[code]
            if mask is not None:
                some = [position for position in self.buckets[code].positions if mask[position]]
            if len(some) > 1 and code < first:
                yield from self._sorted(code, some, is_falling=is_falling)
            elif some:
                yield some

    def _sorted(self, code: int, some: list[int], *, is_falling: bool) -> Iterator[list[int]]:
        bucket = self.buckets[code]
        values = bucket.values
        assert values is not None
        if bucket.is_uniform:
            yield some
            return
        place_of = self._instants.place_of
        is_instant = self._first[Kind.INSTANT] <= code < self._first[Kind.TEXT]
        last: list[int] = []
        before: Any = None
        for value, position in sorted(
            ((values[bisect_left(bucket.positions, position)], position) for position in some),
            key=(lambda pair: place_of(pair[0])) if is_instant else (lambda pair: pair[0]),
            reverse=is_falling,
        ):
            place = place_of(value) if is_instant else value
            if last and place != before:
                yield last
                last = []
            last.append(position)
            before = place
        yield last


class _KnownBuckets(dict[Any, int]):
    """The buckets of values, each found by bisection once."""

    def __init__(self, bounds: list[Any]) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, value: Any) -> int:
        number = self[value] = bisect_right(self._bounds, value)
        return number


def _sample(runs: list[Sequence[Any]]) -> list[Any]:
    step = max(sum(map(len, runs)) // tuning.SAMPLED_VALUES, 1)
    return [value for run in runs for value in run[::step]]


def _bounds(sample: list[Any], count: int) -> list[Any]:
    """Return the least places of the second and further buckets, at most so many.

    A place that is several bounds gets a bucket of its own: the next one begins after it.
    """
    sample.sort()
    bounds = [sample[len(sample) * number // (count + 1)] for number in range(1, count + 1)]
    frequent = {one for one, following in pairwise(bounds) if one == following}
    return sorted({*bounds, *map(_successor, frequent)})


def _successor(place: Any) -> Any:
    if isinstance(place, str):
        return place + "\0"
    if isinstance(place, tuple):  # the place of an instant
        return place[0], place[1] + "\0"
    return math.nextafter(place, math.inf) if isinstance(place, float) else place + 1


def _range(start: int, end: int) -> Ranks:
    return [(start, end)] if start < end else []
