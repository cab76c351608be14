"""Lines along which a grid has one value, and lines made smoother and shorter."""

from itertools import pairwise

from .grid import CELL_M, STEP_X, STEP_Y, WIDTH, Grid, Point, center


def outlines(grid: Grid, level: int) -> list[list[Point]]:
    """Return closed lines between the cells of at least `level` and those below it.

    The higher ground is on the left, so a line around a hill runs
    counterclockwise, as RFC 7946 wants exterior rings.  The first position is
    repeated at the end.  At the border all must be below.
    """
    after = _segments(grid, level)
    lines: list[list[Point]] = []
    while after:
        first = edge = next(iter(after))
        line = [_crossing(grid, level, first)]
        while edge in after:
            edge = after.pop(edge)
            line.append(_crossing(grid, level, edge))
        lines.append(line)
    return lines


# An edge joins the middles of two cells: 2 * cell goes from that cell to the one east of it,
# 2 * cell + 1 to the one south of it.


def _segments(grid: Grid, level: int) -> dict[int, int]:
    """Return which edge the line crosses next after each edge that it crosses."""
    after: dict[int, int] = {}
    for cell in range(len(grid) - WIDTH - 1):
        corners = (cell, cell + 1, cell + WIDTH + 1, cell + WIDTH)
        high = [grid[corner] >= level for corner in corners]
        if all(high) or not any(high):
            continue
        edges = (2 * cell, 2 * cell + 3, 2 * (cell + WIDTH), 2 * cell + 1)
        ends = [k for k in range(4) if high[k] and not high[(k + 1) % 4]]
        # Where high corners face each other, the mean of all four says whether they join.
        joined = sum(grid[corner] for corner in corners) >= 4 * level - 2
        for k in range(4):
            if high[(k + 1) % 4] and not high[k]:
                end = ends[0] if len(ends) == 1 else (k - 1 if joined else k + 1) % 4
                after[edges[k]] = edges[end]
    return after


def _crossing(grid: Grid, level: int, edge: int) -> Point:
    """Return where the value half a unit below `level` is reached on an edge."""
    cell, down = divmod(edge, 2)
    x, y = center(cell)
    here, there = grid[cell], grid[cell + (WIDTH if down else 1)]
    step = STEP_Y if down else STEP_X
    # Never quite at the middle of a cell, where two lines could touch.
    along = min(max(step * (2 * (level - here) - 1) // (2 * (there - here)), 1), step - 1)
    return (x, y - along) if down else (x + along, y)


def smoothed(line: list[Point]) -> list[Point]:
    """Return the line with each position drawn to its neighbors by half; the ends stay.

    A closed line has no ends.
    """
    if line[0] == line[-1]:
        ring = [line[-2], *line, line[1]]
        return [_mean(*three) for three in zip(ring, ring[1:], ring[2:], strict=False)]
    inner = [_mean(*three) for three in zip(line, line[1:], line[2:], strict=False)]
    return [line[0], *inner, line[-1]]


def _mean(before: Point, here: Point, after: Point) -> Point:
    """Return the mean of three positions, the middle one counted twice."""
    return (before[0] + 2 * here[0] + after[0]) // 4, (before[1] + 2 * here[1] + after[1]) // 4


def simplified(line: list[Point], tolerance_m: int) -> list[Point]:
    """Return the line without positions that are within the tolerance of what is left.

    This is the method of Douglas and Peucker (1973), in whole numbers.
    """
    if line[0] == line[-1]:
        # A closed line is cut in two at the position farthest from its start.
        far = max(range(len(line)), key=lambda k: _square(line[0], line[k]))
        pieces = [(0, far), (far, len(line) - 1)]
    else:
        pieces = [(0, len(line) - 1)]
    kept = {0, len(line) - 1}
    limit = (tolerance_m * _SCALE // CELL_M) ** 2
    while pieces:
        start, end = pieces.pop()
        kept.add(start)
        if end - start < 2:
            continue
        off, far = max((_off(line[start], line[end], line[k]), k) for k in range(start + 1, end))
        if off > limit * max(_square(line[start], line[end]), 1):
            pieces += [(start, far), (far, end)]
    return [line[k] for k in sorted(kept)]


_SCALE = STEP_X * STEP_Y
"""Length of a cell's side in the units of the two functions below, the same both ways."""


def _square(a: Point, b: Point) -> int:
    """Return the square of the distance of two positions."""
    return ((b[0] - a[0]) * STEP_Y) ** 2 + ((b[1] - a[1]) * STEP_X) ** 2


def _off(a: Point, b: Point, c: Point) -> int:
    """Return the square of the distance of `c` from the line through `a` and `b`, times theirs.

    If `a` and `b` are one position: the square of the distance of `c` from it.
    """
    if a == b:
        return _square(a, c)
    cross = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (cross * STEP_X * STEP_Y) ** 2


def area_m2(ring: list[Point]) -> int:
    """Return the area within a ring in square meters; negative if it runs clockwise."""
    twice = sum(a[0] * b[1] - b[0] * a[1] for a, b in pairwise(ring))
    return twice * CELL_M * CELL_M // (2 * STEP_X * STEP_Y)
