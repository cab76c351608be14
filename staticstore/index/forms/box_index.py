"""An index of bounding boxes: those that touch one are found in a few slices."""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, NamedTuple

from ... import tuning
from ...query.comparison import Box
from .found import Found

__all__ = ["BoxIndex"]

_BOX_BYTES = 4 * 8 + 4
_MOST_INTEGER = 1 << 53  # integers up to this are 64-bit floats
_OUTSIZE_FACTOR = 8  # times the usual width or height
_MOST_LEVELS = 4

#: West, south, east and north, and the position of the entry.
_Placed = tuple[float, float, float, float, int]


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
        boxes: list[_Placed] = []
        # What crosses the antimeridian, or is beyond 64-bit floats, is looked at one by one.
        self._singly: list[tuple[int, Box]] = []
        #: The number of entries.
        self.total = 0
        for run in runs:
            for position, value in enumerate(run, self.total):
                if (placed := _placed(value, position)) is not None:
                    boxes.append(placed)
                elif value is not None and (box := Box.of(value)) is not None:
                    self._singly.append((position, box))
            self.total += len(run)
        #: Memory, about, in bytes.
        self.size = _BOX_BYTES * len(boxes)
        self._levels: list[_Level] = []
        while boxes:
            usual, boxes = _split(boxes) if len(self._levels) < _MOST_LEVELS else (boxes, [])
            self._levels.append(_Level(usual))

    def intersecting(self, box: Box) -> Found:
        """Return the positions of the boxes that have a point in common with one."""
        found = array("I", [at for at, other in self._singly if box.intersects(other)])
        for level in self._levels:
            if box.west <= box.east:
                level.search(box, found)
            else:  # what is east of its west, and what is west of its east
                some = array("I")
                level.search(box._replace(east=math.inf), some)
                level.search(box._replace(west=-math.inf), some)
                found.extend(set(some))
        return Found(self.total, positions=_in_order(found))


def _in_order(positions: array[int]) -> list[int]:
    # Where the program has numpy already, it sorts five times faster.
    numpy = sys.modules.get("numpy")
    if numpy is None or not positions:
        return sorted(positions)
    view = numpy.frombuffer(positions, dtype=positions.typecode)
    view.sort()
    ordered: list[int] = view.tolist()
    return ordered


class _Slice(NamedTuple):
    """Boxes of similar west, by their south."""

    positions: array[int]
    west: array[float]
    south: array[float]
    east: array[float]
    north: array[float]
    greatest_west: float
    least_east: float
    height: float  # of the highest


class _Level:
    """Slices of boxes of similar size."""

    __slots__ = ("_slices", "_wests", "_width")

    def __init__(self, boxes: list[_Placed]) -> None:
        self._slices = [_sliced(some) for some in _cut(boxes)]
        self._wests = [min(one.west) for one in self._slices]
        self._width = _upwards(max(box[2] - box[0] for box in boxes))

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


def _placed(value: Any, position: int) -> _Placed | None:
    """Return the box of a value, as in `Box.of`, if 64-bit floats express it exactly."""
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
    return (west, south, east, north, position) if west <= east and south <= north else None


def _is_exact(number: Any) -> bool:
    return type(number) is float or (
        type(number) is int and -_MOST_INTEGER <= number <= _MOST_INTEGER
    )


def _split(boxes: list[_Placed]) -> tuple[list[_Placed], list[_Placed]]:
    """Return the boxes of usual size, and those that are much larger."""
    sample = boxes[:: max(len(boxes) // tuning.SAMPLED_VALUES, 1)]
    at = len(sample) * 9 // 10
    width = sorted(box[2] - box[0] for box in sample)[at] * _OUTSIZE_FACTOR
    height = sorted(box[3] - box[1] for box in sample)[at] * _OUTSIZE_FACTOR
    usual: list[_Placed] = []
    larger: list[_Placed] = []
    for box in boxes:
        (usual if box[2] - box[0] <= width and box[3] - box[1] <= height else larger).append(box)
    return usual, larger


def _cut(boxes: list[_Placed]) -> list[list[_Placed]]:
    """Cut boxes into slices by their west, without sorting all of them at once."""
    count = max(int(len(boxes) ** 0.5 / tuning.SLICE_DIVISOR), 1)
    sample = sorted(box[0] for box in boxes[:: max(len(boxes) // tuning.SAMPLED_VALUES, 1)])
    bounds = [sample[len(sample) * number // count] for number in range(1, count)]
    slices: list[list[_Placed]] = [[] for _ in range(count)]
    for box in boxes:
        slices[bisect_right(bounds, box[0])].append(box)
    return [some for some in slices if some]


def _sliced(boxes: list[_Placed]) -> _Slice:
    boxes.sort(key=lambda box: box[1])
    west, south, east, north, positions = zip(*boxes, strict=True)
    return _Slice(
        positions=array("I", positions),
        west=array("d", west),
        south=array("d", south),
        east=array("d", east),
        north=array("d", north),
        greatest_west=max(west),
        least_east=min(east),
        height=_upwards(max(box[3] - box[1] for box in boxes)),
    )


def _upwards(difference: float) -> float:
    """Return a little more, so that rounding errors leave nothing out."""
    return difference * (1 + 1e-9) + 1e-9
