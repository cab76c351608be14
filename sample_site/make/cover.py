"""What can be seen of the land: how steep it is, how the light falls, what grows on it."""

from math import isqrt

from .grid import AROUND, CELL_M, HEIGHT, WIDTH, Grid
from .noise import ONE, fractal_noise
from .terrain import Terrain

NO_SLOPE = 255
"""Written where there is no land."""

SEA, LAKE, BEACH, FARMLAND, FOREST, HEATH, ROCK, SETTLEMENT = range(8)
CLASSES = ("sea", "lake", "beach", "farmland", "forest", "heath", "rock", "settlement")
COLORS = (
    (0x7F, 0xB2, 0xD1), (0x3F, 0x86, 0xC4), (0xEA, 0xDC, 0xA6), (0xCB, 0xCF, 0x7A),
    (0x5C, 0x8F, 0x4E), (0xA7, 0xB0, 0x6B), (0xA3, 0x9A, 0x90), (0xC4, 0x4E, 0x40),
)  # fmt: skip
"""Red, green and blue of each class, for its color table."""


def slope_percent(height: Grid) -> Grid:
    """Return rise over run of each cell in percent, at most 254; `NO_SLOPE` in the sea."""
    slope = [NO_SLOPE] * len(height)
    for cell, ground in enumerate(height):
        if ground > 0:
            east, north = _rise(height, cell)
            slope[cell] = min(100 * isqrt(east * east + north * north) // (2 * CELL_M), 254)
    return slope


def hillshade(height: Grid) -> Grid:
    """Return how bright each cell is, 0 to 255, lit from the northwest at 45 degrees."""
    run = 2 * CELL_M
    # The light comes along (-1, 1, sqrt 2) / 2, in steps to the east, to the north and up.
    upright = isqrt(2 * (1000 * run) ** 2)
    light = [255 * upright // (2000 * run)] * len(height)
    for cell, ground in enumerate(height):
        if ground > 0:
            east, north = _rise(height, cell)
            normal = isqrt((east * east + north * north + run * run) * 1_000_000)
            light[cell] = max(255 * (1000 * (east - north) + upright) // (2 * normal), 0)
    return light


def _rise(height: Grid, cell: int) -> tuple[int, int]:
    """Return how much the land rises to the east and north, in meters over two cells."""
    west, east, north, south = (max(height[cell + s], 0) for s in (-1, 1, -WIDTH, WIDTH))
    return east - west, north - south


def land_cover(terrain: Terrain, slope: Grid, settlements: list[int]) -> Grid:
    """Return the class of each cell, given the cells where the settlements are."""
    cover = [_class(terrain, slope, cell) for cell in range(WIDTH * HEIGHT)]
    for middle in settlements:
        for cell in (middle, *(middle + step for step in AROUND)):
            if cover[cell] in (FARMLAND, FOREST, HEATH, ROCK):
                cover[cell] = SETTLEMENT
    return cover


def _class(terrain: Terrain, slope: Grid, cell: int) -> int:
    """Return what covers a cell where nobody has built."""
    ground, steep = terrain.height[cell], slope[cell]
    if ground <= 0:
        return SEA
    if terrain.depth[cell]:
        return LAKE
    if ground < 12 and steep < 30 and any(terrain.height[cell + step] <= 0 for step in AROUND):
        return BEACH
    y, x = divmod(cell, WIDTH)
    wild = fractal_noise(x, y, 16, 4, 71)
    tree_line = 620 + 300 * wild // ONE
    if ground > tree_line + 330 or steep > 105:
        return ROCK
    if ground > tree_line:
        return HEATH
    if steep < 34 and ground < 330 and wild < ONE * 55 // 100:
        return FARMLAND
    return FOREST if wild > ONE * 36 // 100 else HEATH
