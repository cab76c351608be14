"""A tree of bounding boxes, by shapely (the extra ``geo``)."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ... import tuning

if TYPE_CHECKING:
    from array import array

    from ...query.comparison import Box

    #: The positions of boxes; their west, south, east and north.
    Sides = tuple[array[int], array[float], array[float], array[float], array[float]]

__all__ = ["BoxTree", "has_shapely"]

_MOST = sys.float_info.max
_LEAF_BYTES = 480  # of its geometry, and in the tree


def has_shapely() -> bool:
    """Return whether shapely can be imported; this imports it."""
    # An import makes so many objects that the garbage collector would look at all of the
    # program's, and keep other threads waiting for 20 ms (benchmark: waits of predicates).
    is_paused = "shapely" not in sys.modules and gc.isenabled()
    if is_paused:
        gc.disable()
    try:
        import shapely
    except ImportError:
        return False
    finally:
        if is_paused:
            gc.collect(1)
            gc.enable()
    return hasattr(shapely, "STRtree")  # since shapely 2


class BoxTree:
    """Bounding boxes in an STRtree of leaves, each of many boxes close together.

    An STRtree of the boxes themselves would need a geometry of 480 bytes for each, and be built
    in one call that keeps other threads waiting (benchmark: waits of predicates).

    Parameters
    ----------
    groups : iterable of (Sides, sequence of int)
        Boxes, and the numbers of those that are of similar size.
    count : int
        The number of boxes in all groups.
    """

    __slots__ = ("_box", "_numpy", "_positions", "_query", "_sides", "size")

    def __init__(self, groups: Iterable[tuple[Sides, Sequence[int]]], count: int) -> None:
        import numpy as np
        import shapely

        entries = max(-(-count // tuning.BOX_LEAVES), tuning.BOX_LEAF_ENTRIES)
        leaves = [_leaves(sides, numbers, entries) for sides, numbers in groups]
        self._numpy, self._box = np, shapely.box
        self._positions = np.concatenate([positions for positions, _ in leaves])
        west, south, east, north = self._sides = tuple(
            np.concatenate([sides[side] for _, sides in leaves]) for side in range(4)
        )
        bounds = (west.min(1), south.min(1), east.max(1), north.max(1))
        finite = np.clip(bounds, -_MOST, _MOST)  # the tree does not take what is infinite
        step = tuning.BOX_TREE_STEP_LEAVES
        starts = range(0, len(west), step)
        geometries = [shapely.box(*finite[:, start : start + step]) for start in starts]
        self._query = shapely.STRtree(np.concatenate(geometries)).query
        #: Memory, about, in bytes.
        self.size = self._positions.nbytes + 4 * west.nbytes + _LEAF_BYTES * len(west)

    def search(self, parts: Iterable[Box]) -> list[Any]:
        """Return arrays of the positions of the boxes that touch at least one of some.

        Parameters
        ----------
        parts : iterable of Box
            Of 64-bit floats, west no greater than east.
        """
        return [run for part in parts for run in self._touching(part)]

    def in_order(self, runs: list[Any], *, may_repeat: bool) -> Any:
        """Return arrays of positions as one array, in order, each position once."""
        np = self._numpy
        found = runs[0] if len(runs) == 1 else np.concatenate([np.empty(0, np.uint32), *runs])
        if may_repeat:
            return np.unique(found)
        found.sort()
        return found

    def marks(self, runs: list[Any], total: int) -> bytearray:
        """Return 1 for each position in some arrays, and 0 for the others."""
        marks = bytearray(total)
        view = self._numpy.frombuffer(marks, self._numpy.uint8)
        for run in runs:
            view[run] = 1
        return marks

    def _touching(self, part: Box) -> list[Any]:
        west, south, east, north = part
        # An array of one box: shapely takes longer for the box alone.
        box = self._box(
            [max(west, -_MOST)], max(south, -_MOST), min(east, _MOST), min(north, _MOST)
        )
        leaves, step = self._query(box)[1], tuning.BOX_TREE_STEP_LEAVES
        if len(leaves) <= step:
            return [self._in_leaves(leaves, part)]
        starts = range(0, len(leaves), step)
        return [self._in_leaves(leaves[start : start + step], part) for start in starts]

    def _in_leaves(self, leaves: Any, part: Box) -> Any:
        west, south, east, north = self._sides
        touches = west.take(leaves, 0) <= part.east
        touches &= south.take(leaves, 0) <= part.north
        touches &= east.take(leaves, 0) >= part.west
        touches &= north.take(leaves, 0) >= part.south
        return self._positions.take(leaves, 0)[touches]


def _leaves(sides: Sides, numbers: Sequence[int], entries: int) -> tuple[Any, list[Any]]:
    """Return positions and sides of boxes, in leaves of boxes close together.

    All that takes long here releases the interpreter.
    """
    import numpy as np

    some = np.arange(len(numbers)) if isinstance(numbers, range) else np.asarray(numbers)
    position, west, south, east, north = (np.frombuffer(one, one.typecode) for one in sides)
    count = -(-len(some) // entries)
    column = -(-count // int(count**0.5 + 1)) * entries
    # Of the halves of boxes that cross the antimeridian, one has no west.
    wests = west.take(some)
    places = np.where(np.isinf(wests), east.take(some), wests)
    some = some.take(places.argsort())
    columns = [some[start : start + column] for start in range(0, len(some), column)]
    some = np.concatenate([one.take(south.take(one).argsort()) for one in columns])
    positions = np.zeros(count * entries, np.uint32)
    positions[: len(some)] = position.take(some)
    # The last ones touch nothing.
    filled = [np.full(count * entries, last) for last in (np.inf, np.inf, -np.inf, -np.inf)]
    for side, one in zip((west, south, east, north), filled, strict=True):
        one[: len(some)] = side.take(some)
    shape = count, entries
    return positions.reshape(shape), [one.reshape(shape) for one in filled]
