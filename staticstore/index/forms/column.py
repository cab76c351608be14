"""The values of one field in order, so that conditions on it are ranges of ranks."""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from itertools import accumulate, chain, groupby, pairwise, repeat
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

    __slots__ = ("_by_rank", "_sorted", "is_uniform", "positions", "values")

    def __init__(self, values: MutableSequence[Any]) -> None:
        self.positions = array("I")  # rising
        #: In the order of the positions; one for all if they are equal.
        self.values: Any = values
        #: Whether all values are equal.
        self.is_uniform = False
        self._sorted: tuple[Sequence[int], Sequence[Any]] | None = None
        self._by_rank: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def finish(self) -> None:
        """Let the garbage collector pass over the values, after they have been filled in."""
        values = self.values
        self.is_uniform = _are_equal(values)
        if self.is_uniform:
            self.values = values[:1]
            while values:  # freed bit by bit, too
                del values[-tuning.COLUMN_RUN_ENTRIES :]
        elif isinstance(values, list):
            self.values = passed_over(values)

    def sorted(self) -> tuple[Sequence[int], Sequence[Any]]:
        """Return the positions by value, and the values; sorted at the first call."""
        if self._sorted is None:
            positions, values = self.positions, self.values
            assert values is not None
            if self.is_uniform:  # as a frequent value is
                self._sorted = positions, values
            else:
                order = sorted(range(len(values)), key=values.__getitem__)
                by_value = map(values.__getitem__, order)
                in_order: Sequence[Any] = (
                    passed_over(by_value) if isinstance(values, tuple) else array("d", by_value)
                )
                self._sorted = array("I", map(positions.__getitem__, order)), in_order
        return self._sorted

    def rank(self, value: Any, *, is_after: bool) -> int:
        """Return how many values are less than one, or also those that equal it."""
        rank = (bisect_right if is_after else bisect_left)(self.sorted()[1], value)
        return rank * len(self.positions) if self.is_uniform else rank

    def by_rank(self, start: int, end: int) -> tuple[int, ...]:
        """Return the positions of some ranks, mostly in order."""
        # To sort them costs half if parts are sorted.  benchmark: range one in a thousand
        count = tuning.SORTED_RANKS
        if self._by_rank is None:
            every = tuple(self.sorted()[0])
            parts = (sorted(every[at : at + count]) for at in range(0, len(every), count))
            self._by_rank = every, tuple(chain.from_iterable(parts))
        every, in_parts = self._by_rank
        first, last = -(-start // count) * count, end // count * count
        if first >= last:
            return every[start:end]
        return every[start:first] + in_parts[first:last] + every[last:end]

    def is_within(self, position: int, ranks: Ranks) -> bool:
        """Return whether the value of a position has one of some ranks.

        All equal values are inside, or none is.
        """
        value, values = self.value_at(position), self.sorted()[1]
        return self.is_uniform or any(
            values[start] <= value <= values[end - 1] for start, end in ranks
        )

    def value_at(self, position: int) -> Any:
        """Return the value of a position."""
        return self.values[0 if self.is_uniform else bisect_left(self.positions, position)]


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
        are_numbers = bool(runs) and all(isinstance(run, array) for run in runs or ())
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
        del add_value  # which would keep the values of all buckets until the end
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
        """Iterate over distinct texts, dates and times: first and last ranks."""
        text_of = self._instants.text_of
        for code in range(self._first[Kind.INSTANT], self._first[Kind.TEXT + 1]):
            bucket, start, last = self.buckets[code], self.starts[code], 0
            _, values = bucket.sorted()
            is_text = code >= self._first[Kind.TEXT]
            for at in range(1, len(values) + 1):
                value = values[last]
                if at == len(values) or values[at] != value:
                    end = len(bucket.positions) if bucket.is_uniform else at
                    yield start + last, start + end, value if is_text else text_of(value)
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
        if bucket.is_uniform:
            yield some
            return
        has_all = len(some) == len(bucket.positions)
        values = bucket.values if has_all else map(bucket.value_at, some)
        if self._first[Kind.INSTANT] <= code < self._first[Kind.TEXT]:
            values = map(self._instants.place_of, values)
        # Without a tuple for each, of which the garbage collector would visit thousands.
        place = dict(zip(some, values, strict=True)).__getitem__
        for _, group in groupby(sorted(some, key=place, reverse=is_falling), place):
            yield list(group)


class _KnownBuckets(dict[Any, int]):
    """The buckets of values, each found by bisection once."""

    def __init__(self, bounds: list[Any]) -> None:
        super().__init__()
        self._bounds = bounds

    def __missing__(self, value: Any) -> int:
        number = self[value] = bisect_right(self._bounds, value)
        return number


def _are_equal(values: Sequence[Any]) -> bool:
    if not values or values[0] != values[-1]:
        return not values
    # A part at a time: to compare a million numbers takes as long as 30 ms.
    parts = range(0, len(values), tuning.COLUMN_RUN_ENTRIES)
    some = (values[at : at + parts.step] for at in parts)
    return all(part.count(values[0]) == len(part) for part in some)


def _sample(runs: list[Sequence[Any]]) -> list[Any]:
    part = tuning.SAMPLED_VALUES / max(sum(map(len, runs)), 1)
    if part >= 1:
        return list(chain.from_iterable(runs))
    # By chance, since values may repeat themselves at every step; but always the same.
    choose = random.Random(0).choices
    return [value for run in runs for value in choose(run, k=math.ceil(part * len(run)))]


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
