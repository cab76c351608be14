"""Where water runs: from each cell of the land to the lowest neighbor, and down to the sea."""

from heapq import heappop, heappush
from typing import NamedTuple

from .grid import AROUND, CORNERS, SIDES, Grid


class Drainage(NamedTuple):
    """The way of the water.  Only what it says of land is of use."""

    order: list[int]
    """The cells of the land, each after the one it drains to."""
    receiver: list[int]
    """The cell that each cell drains to; -1 in the sea."""
    level: Grid
    """The height to which water stands before it runs off: above the ground in lakes."""


def drain(height: Grid) -> Drainage:
    """Flood the land from the sea inwards, always over the lowest threshold first.

    Whatever is not above 0 is sea.  No basin is left without a way out.
    """
    order: list[int] = []
    receiver = [-1] * len(height)
    level = [max(ground, 0) for ground in height]
    # The third member is the cell.  The second makes equals come out in the order they went
    # in, so that water crosses the flat surface of a lake by the shortest way.
    shore: list[tuple[int, int, int]] = []
    land = [cell for cell, ground in enumerate(height) if ground > 0]
    for cell in land:
        for step in AROUND:
            if height[cell + step] <= 0:
                receiver[cell] = cell + step
                heappush(shore, (level[cell], len(shore), cell))
                break
    count = len(shore)
    while shore:
        below, _, cell = heappop(shore)
        order.append(cell)
        for step in AROUND:
            above = cell + step
            if height[above] > 0 and receiver[above] < 0:
                receiver[above] = cell
                level[above] = max(height[above], below)
                heappush(shore, (level[above], count, above))
                count += 1
    for cell in order:
        receiver[cell] = _steepest(level, cell, receiver[cell])
    return Drainage(order, receiver, level)


def _steepest(level: Grid, cell: int, otherwise: int) -> int:
    """Return the neighbor to which the way down is steepest, if any way leads down."""
    best, fall = otherwise, 0
    for steps, share in ((SIDES, 99), (CORNERS, 70)):
        for step in steps:
            if (level[cell] - level[cell + step]) * share > fall:
                best, fall = cell + step, (level[cell] - level[cell + step]) * share
    return best


def catchments(drainage: Drainage) -> Grid:
    """Count the cells whose water passes each cell of the land, itself included."""
    cells = [0] * len(drainage.level)
    for cell in reversed(drainage.order):
        cells[cell] += 1
        cells[drainage.receiver[cell]] += cells[cell]
    return cells
