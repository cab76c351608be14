"""The land itself: raised from the sea, carved by rain, with lakes where there was ice."""

from math import isqrt
from typing import NamedTuple

from .flow import catchments, drain
from .grid import AROUND, HEIGHT, WIDTH, Grid
from .noise import ONE, dice, fractal_noise, value_noise

SEED = 283
"""Chooses among all islands that could have been; what is named below is of this one."""

ROUNDS = 20
"""How often the rain gets at the island."""

BASINS = ((130, 65, 12, 11_000), (176, 106, 10, 7_000), (88, 86, 7, 7_000), (131, 90, 6, 5_000))
"""Column, row, radius in cells and depth in centimeters of what the ice has dug."""

LEAST_LAKE = 12
"""Cells of the smallest lake; what is smaller has been filled by its brook."""


class Terrain(NamedTuple):
    """The finished island, all heights in meters above mean sea level."""

    height: Grid
    """The ground, the surface of a lake, or the floor of the sea (which is not above 0)."""
    depth: Grid
    """Depth of a lake, at least 1; 0 where there is none."""


def make_terrain() -> Terrain:
    """Raise the island from the sea, let the rain carve it, and fill its lakes."""
    first = [_first_height(x, y) for y in range(HEIGHT) for x in range(WIDTH)]
    height = first
    for _ in range(ROUNDS):
        height = _smooth(_erode(height, first))
    for column, row, radius, deep in BASINS:
        height = _dig(height, column, row, radius, deep)
    return _fill(height)


def _first_height(x: int, y: int) -> int:
    """Return the height of a cell before the first rain, in centimeters."""
    across, down = (2 * x - WIDTH) * ONE // WIDTH, (2 * y - HEIGHT) * ONE // HEIGHT
    away = (across * across + down * down) // ONE
    coast = ONE * 60 // 100 - away + (fractal_noise(x, y, 70, 5, SEED + 11) - ONE // 2) * 14 // 10
    if min(x, y, WIDTH - 1 - x, HEIGHT - 1 - y) < 3:
        coast = min(coast, -ONE // 8)
    if coast <= 0:
        return coast * 18_000 // ONE
    ridge = ONE - abs(2 * fractal_noise(x, y, 44, 5, SEED + 23) - ONE)
    mountain = ridge * ridge // ONE
    return 50 + coast * (30_000 + 150_000 * mountain // ONE + dice(x, y, 47) // 2) // ONE


def _erode(height: Grid, rise: Grid) -> Grid:
    """Let the rivers cut in for an age: the more water, the closer to what lies downstream."""
    drainage = drain(height)
    cells = catchments(drainage)
    carved = height.copy()
    for cell in drainage.order:
        below = max(carved[drainage.receiver[cell]], 0)
        force = isqrt(cells[cell] << 8)
        ground = carved[cell] + rise[cell] // 66
        carved[cell] = max((ground * 512 + below * force) // (512 + force), 30)
    return carved


def _smooth(height: Grid) -> Grid:
    """Round the land off: half a cell's own height, half the mean of those around it."""
    return [
        max((ground * 24 + sum(height[cell + step] for step in AROUND)) // 32, 30)
        if ground > 0
        else ground
        for cell, ground in enumerate(height)
    ]


def _dig(height: Grid, column: int, row: int, radius: int, deep: int) -> Grid:
    """Lower the ground around a cell, most in the middle, with an uneven edge."""
    dug = height.copy()
    for y in range(row - 2 * radius, row + 2 * radius + 1):
        for x in range(column - 2 * radius, column + 2 * radius + 1):
            wide = radius * (ONE // 2 + value_noise(x, y, 7, 31))
            inside = ONE - ((x - column) ** 2 + (y - row) ** 2) * ONE * ONE // wide * ONE // wide
            cell = y * WIDTH + x
            if inside > 0 and height[cell] > 0:
                dug[cell] = max(height[cell] - deep * inside // ONE, 30)
    return dug


def _fill(height: Grid) -> Terrain:
    """Turn centimeters into meters, deep basins into lakes and the others into plains."""
    drainage = drain(height)
    meters = [
        (level + 99) // 100 if level > 0 else (ground - 99) // 100
        for level, ground in zip(drainage.level, height, strict=True)
    ]
    depth = [
        (level - ground + 99) // 100 if level - ground > 100 and ground > 0 else 0
        for level, ground in zip(drainage.level, height, strict=True)
    ]
    for lake in regions(depth):
        if len(lake) < LEAST_LAKE:
            for cell in lake:
                depth[cell] = 0
    return Terrain(meters, depth)


def regions(mask: Grid) -> list[list[int]]:
    """Return the cells of each connected part of what is not 0, the largest part first."""
    left = dict.fromkeys(cell for cell, value in enumerate(mask) if value)
    found: list[list[int]] = []
    while left:
        part = [next(iter(left))]
        del left[part[0]]
        for cell in part:
            for step in AROUND:
                if cell + step in left:
                    del left[cell + step]
                    part.append(cell + step)
        found.append(part)
    return sorted(found, key=lambda part: (-len(part), part[0]))
