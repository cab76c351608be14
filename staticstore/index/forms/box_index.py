"""An index of bounding boxes: those that touch one are found in a few slices."""

from __future__ import annotations

import math
import operator
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import tuning
from ...processes import fork_gate
from ...query.comparison import Box
from .box_tree import BoxTree, has_shapely
from .found import Found

if TYPE_CHECKING:
    from .box_tree import Sides

__all__ = ["BoxIndex"]

_BOX_BYTES = 4 * 8 + 4
_MOST_INTEGER = 1 << 53  # integers up to this are 64-bit floats
_OUTSIZE_FACTOR = 8  # times the usual width or height
_MOST_LEVELS = 4


class BoxIndex:
    """The bounding boxes in a field, in slices by west and south; built in one pass.

    Many boxes are in a tree instead where shapely is installed.  Boxes that are much wider or
    higher than most are in slices of their own, so that few boxes can lie between the west of
    a slice and that of its boxes; so are those that cross the antimeridian, in two parts.

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

    __slots__ = ("_has_halves", "_levels", "_singly", "_tree", "size", "total")

    def __init__(self, runs: Iterable[list[Any]]) -> None:
        boxes, halves = _Boxes(), _Boxes()
        # What is beyond 64-bit floats is looked at one by one.
        self._singly: list[tuple[int, Box]] = []
        #: The number of entries.
        self.total = 0
        for run in runs:
            for position, value in enumerate(run, self.total):
                if value is None:
                    continue
                if (sides := _exact_sides(value)) is None:
                    if (box := Box.of(value)) is not None:
                        self._singly.append((position, box))
                    continue
                west, south, east, north = sides
                if south > north:
                    continue
                if west <= east:
                    boxes.add(position, west, south, east, north)
                else:
                    halves.add(position, west, south, math.inf, north)
                    halves.add(position, -math.inf, south, east, north)
            self.total += len(run)
        count = len(boxes) + len(halves)
        self._has_halves = bool(halves)
        levels = [(some, numbers) for some in (boxes, halves) for numbers in some.levels()]
        self._levels: list[_Level] = []
        self._tree: BoxTree | None = None
        if _may_be_tree(count):
            self._tree = BoxTree([(some.sides(), numbers) for some, numbers in levels], count)
        else:
            self._levels = [_Level(some, numbers) for some, numbers in levels]
        #: Memory, about, in bytes.
        self.size = _BOX_BYTES * count if self._tree is None else self._tree.size

    def intersecting(self, box: Box) -> Found:
        """Return the positions of the boxes that have a point in common with one."""
        # Rounded inwards to floats, which says the same of boxes of floats.
        inner = _rounded(box)
        parts = [inner]
        if box.west > box.east:  # what is east of its west, and what is west of its east
            parts = [inner._replace(east=math.inf), inner._replace(west=-math.inf)]
        may_repeat = self._has_halves or len(parts) > 1
        singly = [position for position, one in self._singly if box.intersects(one)]
        found, tree, most = array("I", singly), self._tree, self.total * tuning.MARKED_PART
        if tree is not None:
            arrays = tree.search(parts)
            if singly:
                arrays.append(found)
            if sum(map(len, arrays)) <= most:
                return Found(self.total, array=tree.in_order(arrays, may_repeat=may_repeat))
            return Found(self.total, marks=tree.marks(arrays, self.total))
        for level in self._levels:
            for part in parts:
                level.search(part, found)
        if len(found) <= most:
            return Found(self.total, positions=sorted(set(found) if may_repeat else found))
        marks = bytearray(self.total)
        for position in found:  # a sort would keep other threads waiting
            marks[position] = 1
        return Found(self.total, marks=marks)


class _Boxes:
    """Boxes in arrays: a million tuples would keep the garbage collector busy."""

    def __init__(self) -> None:
        self.position = array("I")
        self.west, self.south, self.east, self.north = (array("d") for _ in range(4))

    def __len__(self) -> int:
        return len(self.position)

    def add(self, position: int, west: float, south: float, east: float, north: float) -> None:
        self.position.append(position)
        self.west.append(west)
        self.south.append(south)
        self.east.append(east)
        self.north.append(north)

    def sides(self) -> Sides:
        """Return the positions and the four sides."""
        return self.position, self.west, self.south, self.east, self.north

    def levels(self) -> Iterator[Sequence[int]]:
        """Yield the numbers of boxes of similar size."""
        left: Sequence[int] = range(len(self))
        for _ in range(_MOST_LEVELS - 1):
            if left:
                usual, left = self._split(left)
                yield usual
        if left:
            yield left

    def _split(self, numbers: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Return the numbers of the boxes of usual size, and of much larger ones."""
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
        """Cut boxes into slices by west, each sorted by south; never sorts many at once."""
        count = max(int(len(numbers) ** 0.5 / tuning.SLICE_DIVISOR), 1)
        step = max(len(numbers) // tuning.SAMPLED_VALUES, 1)
        sample = sorted(self.west[number] for number in numbers[::step])
        bounds = [sample[len(sample) * number // count] for number in range(1, count)]
        slices = [array("I") for _ in range(count)]
        for number in numbers:
            slices[bisect_right(bounds, self.west[number])].append(number)
        most = tuning.SLICE_ENTRIES  # also of boxes that have one west
        for some in slices:
            for start in range(0, len(some), most):
                yield sorted(some[start : start + most], key=self.south.__getitem__)

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

    __slots__ = ("_greatest_wests", "_slices", "_wests", "_width")

    def __init__(self, boxes: _Boxes, numbers: Sequence[int]) -> None:
        slices = [(min(one.west), one) for one in map(boxes.slice, boxes.cut(numbers))]
        slices.sort(key=operator.itemgetter(0))
        self._slices = [one for _, one in slices]
        self._wests = [west for west, _ in slices]
        self._greatest_wests = list(accumulate((one.greatest_west for _, one in slices), max))
        self._width = _upwards(max(one.width for _, one in slices))

    def search(self, box: Box, found: array[int]) -> None:
        """Add the positions of the boxes that touch a box with west <= east."""
        west, south, east, north = box
        first = bisect_left(self._greatest_wests, west - self._width)
        for one in self._slices[first : bisect_right(self._wests, east)]:
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


def _may_be_tree(count: int) -> bool:
    if count < tuning.BOX_TREE_ENTRIES:
        return False
    with fork_gate().passing():  # it may import shapely
        return has_shapely()


def _exact_sides(value: Any) -> tuple[float, float, float, float] | None:
    """Return four sides if a value has them and 64-bit floats express them exactly."""
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
    if type(west) is type(south) is type(east) is type(north) is float or (
        _is_exact(west) and _is_exact(south) and _is_exact(east) and _is_exact(north)
    ):
        return west, south, east, north
    return None


def _is_exact(number: Any) -> bool:
    return type(number) is float or (
        type(number) is int and -_MOST_INTEGER <= number <= _MOST_INTEGER
    )


def _rounded(box: Box) -> Box:
    """Return the largest box of floats within a box."""
    west, south, east, north = box
    if type(west) is type(south) is type(east) is type(north) is float:
        return box
    return Box(-_at_most(-west), -_at_most(-south), _at_most(east), _at_most(north))


def _at_most(number: float) -> float:
    """Return the greatest float that is not greater than a number."""
    near = float(number)  # never too large: `Box.of` refuses that
    return near if near <= number else math.nextafter(near, -math.inf)


def _upwards(difference: float) -> float:
    """Return a little more, so that rounding errors leave nothing out."""
    return difference * (1 + 1e-9) + 1e-9
