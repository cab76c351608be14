"""Which entries a condition finds: sets of positions, and the keys at positions."""

from __future__ import annotations

import gc
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import compress, filterfalse, islice
from typing import TYPE_CHECKING, Any

from ... import tuning

if TYPE_CHECKING:
    from .column import FieldColumn, Ranks

__all__ = ["Found", "KeysByPosition", "intersection", "joined", "union"]

_FLIPPED = bytes([1, 0]) + bytes(254)
# In a table of buckets: the whole bucket, and some of its values.
_WHOLE, _PARTLY = b"\1\2"


class Found:
    """A set of positions of entries: as ranks of a column, as positions, or as marks.

    One form is made of another when it is needed, and kept.  Never changed otherwise.

    Parameters
    ----------
    total : int
        The number of entries.
    positions : sequence of int, optional
        In order.
    marks : bytes, optional
        1 for each position that is in the set, and 0 for the others.
    ranked : (FieldColumn, list), optional
        Ranks of a column.
    array : numpy.ndarray, optional
        Positions, in order, of 32 bits.

    Examples
    --------
    >>> some = Found(5, positions=[1, 4])
    >>> len(some.complement()), some.complement().positions(), some.among([0, 4])
    (3, [0, 2, 3], [4])
    """

    __slots__ = ("_count", "_marks", "_members", "_positions", "array", "ranked", "total")

    def __init__(
        self,
        total: int,
        *,
        positions: Sequence[int] | None = None,
        marks: bytes | bytearray | None = None,
        ranked: tuple[FieldColumn, Ranks] | None = None,
        array: Any = None,
    ) -> None:
        self.total = total
        self.array = array
        self._positions = positions
        self._marks = marks
        self._members: frozenset[int] | None = None
        self.ranked = ranked
        if ranked is not None:
            self._count = sum(end - start for start, end in ranked[1])
        elif positions is not None:
            self._count = len(positions)
        elif array is not None:
            self._count = len(array)
        else:
            assert marks is not None
            self._count = marks.count(1)

    def __len__(self) -> int:
        """Count the positions, without making them."""
        return self._count

    @property
    def is_few(self) -> bool:
        """Whether the positions are so few that they are best handled one by one."""
        return self._count <= self.total * tuning.MARKED_PART

    def positions(self) -> Sequence[int]:
        """Return the positions, in order."""
        if self._positions is None:
            if self.array is not None:
                self._positions = self.array.tolist()
            elif self.ranked is None or not self.is_few:
                self._positions = self._marked()
            else:
                table, some = self._buckets()
                buckets = self.ranked[0].buckets
                found: list[int] = []
                for code, start, end in some:
                    found += buckets[code].by_rank(start, end)
                for code in compress(range(len(table)), table):
                    if table[code] == 1:
                        found += buckets[code].positions
                found.sort()
                self._positions = found
        return self._positions

    def _marked(self) -> list[int]:
        # A part at a time, so that other threads get a turn.
        marks, count, found = self.marks(), tuning.MARKED_KEYS, list[int]()
        for start in range(0, self.total, count):
            found += compress(range(start, self.total), marks[start : start + count])
        return found

    def marks(self) -> bytes | bytearray:
        """Return 1 for each position that is in the set, and 0 for the others."""
        if self._marks is None:
            if self.ranked is None:
                marks = bytearray(self.total)
                places: Iterable[int] = self.positions()
            else:
                column = self.ranked[0]
                table, some = self._buckets()
                # Of whole buckets all at once (benchmark: range one in five).
                marks = column.codes.translate(table.replace(b"\2", b"\0"))
                places = (
                    position
                    for code, start, end in some
                    for position in column.buckets[code].by_rank(start, end)
                )
            for position in places:
                marks[position] = 1
            self._marks = marks
        return self._marks

    def among(self, positions: Iterable[int]) -> list[int]:
        """Return those of some positions that are in the set."""
        marks = self._marks
        if marks is not None:
            return [position for position in positions if marks[position]]
        if self.ranked is None:
            if self._members is None:
                self._members = frozenset(self.positions())
            return list(filter(self._members.__contains__, positions))
        column = self.ranked[0]
        table, some = self._buckets()
        codes = column.codes
        bounds: dict[int, list[tuple[int, int]]] = {}
        for code, start, end in some:
            bounds.setdefault(code, []).append((start, end))
        return [
            position
            for position in positions
            if (whole := table[codes[position]]) == 1
            or (
                whole
                and column.buckets[codes[position]].is_within(position, bounds[codes[position]])
            )
        ]

    def _buckets(self) -> tuple[bytes, list[tuple[int, int, int]]]:
        """Return which buckets are in the set: table of codes, and single ranks."""
        assert self.ranked is not None
        column, ranks = self.ranked
        table, some, starts = bytearray(256), [], column.starts
        for start, end in ranks:
            code = bisect_right(starts, start) - 1
            while start < end:
                first, last = starts[code], min(starts[code + 1], end)
                if start == first and last == starts[code + 1]:
                    table[code] = _WHOLE
                elif start < last:
                    table[code] = _PARTLY
                    some.append((code, start - first, last - first))
                start, code = last, code + 1
        return bytes(table), some

    def in_both(self, other: Found) -> list[int]:
        """Return the positions that are also in another set, in order."""
        fewer, more = sorted((self, other), key=len)
        return more.among(fewer.positions())

    def without(self, others: Found) -> Found:
        """Return the positions that are not among others."""
        if not self.is_few:
            marks = bytearray(self.marks())
            for position in others.positions():
                marks[position] = 0
            return Found(self.total, marks=marks)
        excluded = frozenset(self.in_both(others))
        if not excluded:
            return self
        kept = list(filterfalse(excluded.__contains__, self.positions()))
        return Found(self.total, positions=kept)

    def complement(self) -> Found:
        """Return the other positions."""
        if self.ranked is None:
            return Found(self.total, marks=self.marks().translate(_FLIPPED))
        column, ranks = self.ranked
        return Found(self.total, ranked=(column, column.others(ranks)))


def intersection(sets: Sequence[Found]) -> Found:
    """Return the positions that are in all of some sets; starts from the smallest."""
    if len(sets) == 1:
        return sets[0]
    found, *others = sorted(sets, key=len)
    while others and found.is_few:
        found = Found(found.total, positions=others.pop(0).among(found.positions()))
    return _combined([found, *others], int.__and__) if others else found


def union(sets: Sequence[Found], total: int) -> Found:
    """Return the positions that are in at least one of some sets."""
    if not sets:
        return Found(total, positions=())
    ranked = [one.ranked for one in sets if one.ranked is not None]
    if len(ranked) == len(sets) and all(column is ranked[0][0] for column, _ in ranked):
        ranks = joined(pair for _, some in ranked for pair in some)
        return Found(total, ranked=(ranked[0][0], ranks))
    if sum(map(len, sets)) <= total * tuning.MARKED_PART:
        return Found(total, positions=sorted(set().union(*(one.positions() for one in sets))))
    return _combined(sets, int.__or__)


def joined(ranks: Iterable[tuple[int, int]]) -> Ranks:
    """Return ranks in order, joined where they overlap or touch.

    Examples
    --------
    >>> joined([(5, 7), (0, 2), (2, 3), (6, 9)])
    [(0, 3), (5, 9)]
    """
    found: Ranks = []
    for start, end in sorted(ranks):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _combined(sets: Sequence[Found], operate: Callable[[int, int], int]) -> Found:
    total = sets[0].total
    numbers = (int.from_bytes(one.marks(), "little") for one in sets)
    return Found(total, marks=reduce(operate, numbers).to_bytes(total, "little"))


class KeysByPosition:
    """The keys of all entries by position.

    They stand in some tuples: the garbage collector visits each once, and then keeps all
    other threads waiting (benchmark: waits of predicates).

    Parameters
    ----------
    keys : iterable of str
        In order.
    """

    __slots__ = ("_array", "_firsts", "_runs", "_size")

    def __init__(self, keys: Iterable[str]) -> None:
        self._size = tuning.MARKED_KEYS  # of each tuple but the last
        remaining = iter(keys)
        self._runs: list[tuple[str, ...]] = []
        while run := tuple(islice(remaining, self._size)):
            self._runs.append(run)
            gc.collect(0)  # visits this one now, and not several together
        self._array: Any = None
        self._firsts = [run[0] for run in self._runs]

    def __len__(self) -> int:
        """Count the keys."""
        return self._size * (len(self._runs) - 1) + len(self._runs[-1]) if self._runs else 0

    def __getitem__(self, position: int) -> str:
        """Return the key at a position."""
        number, at = divmod(position, self._size)
        return self._runs[number][at]

    def runs(self, found: Found) -> Iterator[Iterable[str]]:
        """Yield the keys of a set, in order, in some parts."""
        if found.array is not None:
            yield self._in_array().take(found.array).tolist()
            return
        if found.is_few:
            parts = self._parts(found.positions())
            # Nothing is looked up but the key (benchmark: range one in a thousand).
            yield [run[position - first] for run, first, some in parts for position in some]
            return
        # A part at a time, so that other threads get a turn (benchmark: waits).
        marks, size = found.marks(), self._size
        for number, run in enumerate(self._runs):
            yield compress(run, marks[number * size : (number + 1) * size])

    def _parts(
        self, positions: Sequence[int]
    ) -> Iterator[tuple[Sequence[str], int, Sequence[int]]]:
        size, start = self._size, 0
        while start < len(positions):
            number = positions[start] // size
            end = bisect_left(positions, (number + 1) * size, start)
            yield self._runs[number], number * size, positions[start:end]
            start = end

    def _in_array(self) -> Any:
        """Return the keys as an array of numpy, for fast selection."""
        array = self._array
        if array is None:
            import numpy as np

            array = np.empty(len(self), object)
            for start, run in zip(range(0, len(self), self._size), self._runs, strict=True):
                array[start : start + self._size] = run
            self._array = array
        return array

    def found(self, keys: Iterable[str]) -> Found:
        """Return the positions of those of some keys, in order, that are there."""
        positions = []
        for key in keys:
            number = bisect_right(self._firsts, key) - 1
            run = self._runs[number] if number >= 0 else ()
            at = bisect_left(run, key)
            if at < len(run) and run[at] == key:
                positions.append(number * self._size + at)
        return Found(len(self), positions=positions)
