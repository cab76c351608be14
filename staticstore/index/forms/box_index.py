"""An index of bounding boxes: those that touch one are found in a few slices."""

from __future__ import annotations

import math
import operator
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ... import tuning
from ...query.comparison import Box
from .found import Found

__all__ = ["BoxIndex"]

_BOX_BYTES = 4 * 8 + 4
_MOST_INTEGER = 1 << 53  # integers up to this are 64-bit floats
_OUTSIZE_FACTOR = 8  # times the usual width or height
_MOST_LEVELS = 4


class BoxIndex:
    """The bounding boxes in a field, in slices by west and south; built in one pass.

    Boxes that are much wider or higher than most are in slices of their own, so that few
    boxes can lie between the west of a slice and that of its boxes.

    Parameters
    ----------
    runs : iterable of list
        The values of all entries, in key order; what is no box is not found.

    Examples
    --------
    >>> index = BoxIndex([[[0, 0, 1, 1], None], [[5, 5, 0, 6, 6, 9]]])
    >>> index.intersecting(Box(1, 1, 2, 2)).positions()
    [0]
    """

    __slots__ = ("_levels", "_singly", "size", "total")

    def __init__(self, runs: Iterable[list[Any]]) -> None:
        boxes = _Boxes()
        # What crosses the antimeridian, or is beyond 64-bit floats, is looked at one by one:
        # position and sides.
        self._singly: list[tuple[Any, ...]] = []
        #: The number of entries.
        self.total = 0
        for run in runs:
            for position, value in enumerate(run, self.total):
                if (sides := _exact_sides(value)) is not None:
                    boxes.add(position, *sides)
                elif value is not None and (box := Box.of(value)) is not None:
                    self._singly.append((position, *box))
            self.total += len(run)
        #: Memory, about, in bytes.
        self.size = _BOX_BYTES * len(boxes.position)
        self._levels: list[_Level] = []
        left: Sequence[int] = range(len(boxes.position))
        while left:
            is_last = len(self._levels) == _MOST_LEVELS - 1
            usual, left = (left, ()) if is_last else boxes.split(left)
            self._levels.append(_Level(boxes, usual))

    def intersecting(self, box: Box) -> Found:
        """Return the positions of the boxes that have a point in common with one."""
        singly = [at for at, *sides in self._singly if box.intersects(Box(*sides))]
        found = array("I", singly)
        for level in self._levels:
            if box.west <= box.east:
                level.search(box, found)
            else:  # what is east of its west, and what is west of its east
                some = array("I")
                level.search(box._replace(east=math.inf), some)
                level.search(box._replace(west=-math.inf), some)
                found.extend(set(some))
        if len(found) <= self.total * tuning.MARKED_PART:
            return Found(self.total, positions=_in_order(found))
        marks = bytearray(self.total)
        for position in found:  # a sort would keep other threads waiting
            marks[position] = 1
        return Found(self.total, marks=marks)


def _in_order(positions: array[int]) -> list[int]:
    # Where the program has numpy already, it sorts five times faster.
    numpy = sys.modules.get("numpy")
    if numpy is None or not positions:
        return sorted(positions)
    view = numpy.frombuffer(positions, dtype=positions.typecode)
    view.sort()
    ordered: list[int] = view.tolist()
    return ordered


class _Boxes:
    """Boxes in arrays: a million tuples would keep the garbage collector busy."""

    def __init__(self) -> None:
        self.position = array("I")
        self.west, self.south, self.east, self.north = (array("d") for _ in range(4))

    def add(self, position: int, west: float, south: float, east: float, north: float) -> None:
        self.position.append(position)
        self.west.append(west)
        self.south.append(south)
        self.east.append(east)
        self.north.append(north)

    def split(self, numbers: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Return the numbers of the boxes of usual size, and of those that are much larger."""
        widths, heights = self._widths(numbers), self._heights(numbers)
        step = max(len(numbers) // tuning.SAMPLED_VALUES, 1)
        at = len(range(0, len(numbers), step)) * 9 // 10
        widest, highest = (
            sorted(sizes[::step])[at] * _OUTSIZE_FACTOR for sizes in (widths, heights)
        )
        usual, larger = array("I"), array("I")
        for number, width, height in zip(numbers, widths, heights, strict=True):
            (usual if width <= widest and height <= highest else larger).append(number)
        return usual, larger

    def _widths(self, numbers: Sequence[int]) -> array[float]:
        return array("d", (self.east[number] - self.west[number] for number in numbers))

    def _heights(self, numbers: Sequence[int]) -> array[float]:
        return array("d", (self.north[number] - self.south[number] for number in numbers))

    def cut(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Cut boxes into slices by west, each sorted by south, without a sort of all at once."""
        count = max(int(len(numbers) ** 0.5 / tuning.SLICE_DIVISOR), 1)
        step = max(len(numbers) // tuning.SAMPLED_VALUES, 1)
        sample = sorted(self.west[number] for number in numbers[::step])
        bounds = [sample[len(sample) * number // count] for number in range(1, count)]
        slices = [array("I") for _ in range(count)]
        for number in numbers:
            slices[bisect_right(bounds, self.west[number])].append(number)
        return (sorted(some, key=self.south.__getitem__) for some in slices if some)

    def slice(self, numbers: list[int]) -> _Slice:
        """Return boxes as a slice."""
        west, south, east, north = (
            array("d", map(side.__getitem__, numbers))
            for side in (self.west, self.south, self.east, self.north)
        )
        return _Slice(
            positions=array("I", map(self.position.__getitem__, numbers)),
            west=west,
            south=south,
            east=east,
            north=north,
            greatest_west=max(west),
            least_east=min(east),
            width=max(map(operator.sub, east, west)),
            height=_upwards(max(map(operator.sub, north, south))),
        )


class _Slice(NamedTuple):
    """Boxes of similar west, by their south."""

    positions: array[int]
    west: array[float]
    south: array[float]
    east: array[float]
    north: array[float]
    greatest_west: float
    least_east: float
    width: float  # of the widest
    height: float  # of the highest, and a little more


class _Level:
    """Slices of boxes of similar size."""

    __slots__ = ("_slices", "_wests", "_width")

    def __init__(self, boxes: _Boxes, numbers: Sequence[int]) -> None:
        self._slices = [boxes.slice(some) for some in boxes.cut(numbers)]
        self._wests = [min(one.west) for one in self._slices]
        self._width = _upwards(max(one.width for one in self._slices))

    def search(self, box: Box, found: array[int]) -> None:
        """Add the positions of the boxes that touch one whose west is no greater than its east."""
        west, south, east, north = box
        first = bisect_left(self._wests, west - self._width) - 1
        for one in self._slices[max(first, 0) : bisect_right(self._wests, east)]:
            souths, positions = one.south, one.positions
            start = bisect_left(souths, south - one.height)
            end = bisect_right(souths, north, start)
            if one.greatest_west <= east and one.least_east >= west:
                inner = bisect_left(souths, south, start, end)
                found += positions[inner:end]
                if start < inner:
                    near = zip(positions[start:inner], one.north[start:inner], strict=True)
                    found.extend([at for at, n in near if n >= south])
            elif start < end:
                sides = one.west[start:end], one.east[start:end], one.north[start:end]
                some = zip(positions[start:end], *sides, strict=True)
                found.extend([at for at, w, e, n in some if w <= east and e >= west and n >= south])


def _exact_sides(value: Any) -> tuple[float, float, float, float] | None:
    """Return the box of a value, as `Box.of`, if 64-bit floats express it exactly."""
    if type(value) is not list:
        return None
    if len(value) == 4:
        west, south, east, north = value
    elif len(value) == 6:
        west, south, low, east, north, high = value
        if not (_is_exact(low) and _is_exact(high)):
            return None
    else:
        return None
    if not (_is_exact(west) and _is_exact(south) and _is_exact(east) and _is_exact(north)):
        return None
    return (west, south, east, north) if west <= east and south <= north else None


def _is_exact(number: Any) -> bool:
    return type(number) is float or (
        type(number) is int and -_MOST_INTEGER <= number <= _MOST_INTEGER
    )


def _upwards(difference: float) -> float:
    """Return a little more, so that rounding errors leave nothing out."""
    return difference * (1 + 1e-9) + 1e-9
