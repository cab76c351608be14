"""An index of bounding boxes: those that intersect one are found in a few leaves."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ... import tuning
from ...query.boxes import Box
from .found import Found

__all__ = ["BoxIndex"]

_BOX_BYTES = 4 * 8 + 4


class _Node(NamedTuple):
    """Boxes or nodes near each other, and the box around them."""

    west: float
    south: float
    east: float
    north: float
    content: Any


class _Leaf(NamedTuple):
    positions: array[int]
    west: Sequence[float]
    south: Sequence[float]
    east: Sequence[float]
    north: Sequence[float]


class BoxIndex:
    """The bounding boxes in a field, in a tree of two levels; built in one pass.

    Boxes are cut into slices by their west, and slices into leaves by their south (sort,
    tile, recurse).  What crosses the antimeridian is looked at box by box.

    Parameters
    ----------
    runs : iterable of list
        The values of all entries, in key order; what is no box is not found.

    Examples
    --------
    >>> index = BoxIndex([[[0, 0, 1, 1], None], [[5, 5, 6, 6, 7, 7]]])
    >>> index.intersecting(Box(1, 1, 2, 2)).positions()
    [0]
    """

    __slots__ = ("_crossing", "_slices", "size", "total")

    def __init__(self, runs: Iterable[list[Any]]) -> None:
        boxes: list[tuple[float, float, float, float, int]] = []
        #: Positions and boxes that cross the antimeridian.
        self._crossing: list[tuple[int, Box]] = []
        total = 0
        of = Box.of
        for run in runs:
            for position, value in enumerate(run, total):
                if value is not None and (box := of(value)) is not None:
                    if box[0] > box[2]:
                        self._crossing.append((position, box))
                    else:
                        boxes.append((*box, position))
            total += len(run)
        self.total = total
        self.size = _BOX_BYTES * len(boxes)
        self._slices = [_node(_leaves(some)) for some in _cut(boxes)]

    def intersecting(self, box: Box) -> Found:
        """Return the positions of the boxes that have a point in common with one."""
        found = [position for position, other in self._crossing if box.intersects(other)]
        if box.west <= box.east:
            self._search(box, found)
        else:  # east of its west, or west of its east
            one: list[int] = []
            self._search(box._replace(east=float("inf")), one)
            self._search(box._replace(west=float("-inf")), one)
            found += set(one)
        found.sort()
        return Found(self.total, positions=found)

    def _search(self, box: Box, found: list[int]) -> None:
        west, south, east, north = box
        for one in self._slices:
            if one[0] > east or one[2] < west or one[1] > north or one[3] < south:
                continue
            for leaf in one[4]:
                if leaf[0] > east or leaf[2] < west or leaf[1] > north or leaf[3] < south:
                    continue
                content = leaf[4]
                if west <= leaf[0] and leaf[2] <= east and south <= leaf[1] and leaf[3] <= north:
                    found += content.positions
                else:
                    found += [
                        position
                        for position, w, s, e, n in zip(*content, strict=True)
                        if w <= east and e >= west and s <= north and n >= south
                    ]


def _cut(boxes: list[tuple[float, float, float, float, int]]) -> list[list[Any]]:
    """Cut boxes into slices by their west, without sorting all of them at once."""
    count = max(int((len(boxes) / tuning.LEAF_BOXES) ** 0.5), 1)
    step = max(len(boxes) // tuning.SAMPLED_VALUES, 1)
    sample = sorted(box[0] for box in boxes[::step])
    bounds = [sample[len(sample) * number // count] for number in range(1, count)]
    slices: list[list[Any]] = [[] for _ in range(count)]
    for box in boxes:
        slices[bisect_right(bounds, box[0])].append(box)
    return [some for some in slices if some]


def _leaves(boxes: list[Any]) -> list[_Node]:
    boxes.sort(key=lambda box: box[1])
    count = tuning.LEAF_BOXES
    return [_leaf(boxes[at : at + count]) for at in range(0, len(boxes), count)]


def _leaf(boxes: Sequence[Any]) -> _Node:
    west, south, east, north, positions = zip(*boxes, strict=True)
    content = _Leaf(array("I", positions), *map(_numbers, (west, south, east, north)))
    return _Node(min(west), min(south), max(east), max(north), content)


def _numbers(side: tuple[float, ...]) -> Sequence[float]:
    """Return numbers in an array, or as they are if some are no 64-bit floats."""
    try:
        found = array("d", side)
    except OverflowError:
        return side
    return found if found.tolist() == list(side) else side


def _node(nodes: list[_Node]) -> _Node:
    west, south, east, north, _ = zip(*nodes, strict=True)
    return _Node(min(west), min(south), max(east), max(north), nodes)
