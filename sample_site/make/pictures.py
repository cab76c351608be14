"""What is drawn for the eye: a relief, a view from above, an overview map."""

from itertools import pairwise

from .cover import BEACH, FARMLAND, FOREST, HEATH, LAKE, ROCK, SEA
from .geojson import Feature
from .grid import HEIGHT, NORTH, STEP_X, STEP_Y, UNITS, WEST, WIDTH, Grid, Point
from .noise import ONE, dice
from .png import Color, indexed_png
from .terrain import Terrain

FLAT_LIGHT = 180
"""Brightness of level ground in a hillshade."""

_TINTS: tuple[Color, ...] = (
    (0x4F, 0x8F, 0xBC), (0x6F, 0xA8, 0xCE), (0x90, 0xC0, 0xDE), (0x4A, 0x90, 0xD0),
    (0x6E, 0xA8, 0x6A), (0x86, 0xB4, 0x72), (0x9F, 0xC0, 0x7C), (0xB8, 0xCB, 0x88),
    (0xCF, 0xD4, 0x92), (0xDE, 0xD4, 0x94), (0xDC, 0xC2, 0x84), (0xD0, 0xA9, 0x72),
    (0xC0, 0x92, 0x68), (0xB4, 0x88, 0x70), (0xC8, 0xB4, 0xAC), (0xEE, 0xEA, 0xE8),
)  # fmt: skip
"""Three depths of the sea, lakes, and the land in steps from the shore to the summit."""


def relief_png(terrain: Terrain, light: Grid, title: str) -> bytes:
    """Return a picture of the heights by color, lit from the northwest."""
    top = max(terrain.height)
    palette = [_lit(tint, 16 * shade + 8) for tint in _TINTS for shade in range(16)]
    pixels = []
    for cell, ground in enumerate(terrain.height):
        if ground <= 0:
            tint = _sea_step(ground)
        elif terrain.depth[cell]:
            tint = 3
        else:
            tint = 4 + (ground - 1) * 12 // top
        # Half a step of chance hides the steps between sixteen shades.
        grain = dice(cell, 0, 211) * 16 // ONE - 8 if tint > 3 else 0
        pixels.append(16 * tint + min(max(light[cell] + grain, 0), 255) // 16)
    return indexed_png(WIDTH, pixels, palette, title)


def _sea_step(ground: int) -> int:
    """Return 0 for deep sea, 1 for the shelf, 2 for shallow water."""
    return 2 if ground > -25 else 1 if ground > -85 else 0


def _lit(color: Color, light: int) -> Color:
    """Return a color as bright as the light on it."""
    # Half of the light is there even in the shade.
    share = 128 + light * 128 // FLAT_LIGHT
    red, green, blue = (min(band * share // 256, 255) for band in color)
    return red, green, blue


def true_color(terrain: Terrain, cover: Grid, light: Grid) -> list[int]:
    """Return red, green and blue of pixels that are two cells wide, as a satellite sees them."""
    seen = [_seen(terrain, cover, light, cell) for cell in range(WIDTH * HEIGHT)]
    bands = []
    for y in range(0, HEIGHT, 2):
        for x in range(0, WIDTH, 2):
            cell = y * WIDTH + x
            four = (seen[cell], seen[cell + 1], seen[cell + WIDTH], seen[cell + WIDTH + 1])
            bands += [sum(color[band] for color in four) // 4 for band in range(3)]
    return bands


_FROM_ABOVE: tuple[Color, ...] = (
    (0x0C, 0x2A, 0x4A), (0x16, 0x33, 0x45), (0xD8, 0xC8, 0x9C), (0x8E, 0x8C, 0x52),
    (0x2E, 0x4A, 0x2A), (0x6C, 0x70, 0x40), (0x86, 0x7E, 0x76), (0xB8, 0xA6, 0x9C),
)  # fmt: skip
"""What the classes of land cover look like from above."""


def _seen(terrain: Terrain, cover: Grid, light: Grid, cell: int) -> Color:
    """Return what a cell looks like from above."""
    red, green, blue = _FROM_ABOVE[cover[cell]]
    grain = dice(cell, 1, 223) * 14 // ONE - 7
    if cover[cell] == SEA:
        shallow = max(60 + terrain.height[cell], 0)
        return red + shallow // 4, green + shallow, blue + shallow
    return _lit((red + grain, green + grain, blue + grain), light[cell])


# The overview map has four pixels to a cell, and sixteen colors: three for the sea, one each
# for water, beach, trails and ink, and two or three shades of what covers the land.
_WATER, _FOREST, _FARM, _HEATH, _ROCK, _SAND, _TRAIL, _INK = 3, 4, 7, 9, 11, 13, 14, 15
_FIRST = {BEACH: _SAND, FARMLAND: _FARM, FOREST: _FOREST, HEATH: _HEATH, ROCK: _ROCK, LAKE: _WATER}
_MAP_COLORS: tuple[Color, ...] = (
    (0x8F, 0xBE, 0xDC), (0xA6, 0xCE, 0xE6), (0xC2, 0xE0, 0xEF), (0x3C, 0x84, 0xC8),
    (0x6F, 0x9C, 0x64), (0x90, 0xB8, 0x80), (0xB2, 0xD2, 0x9C), (0xC6, 0xC2, 0x7C),
    (0xE2, 0xDE, 0xA2), (0xA6, 0xAC, 0x70), (0xCC, 0xD0, 0x96), (0x96, 0x8C, 0x84),
    (0xCE, 0xC6, 0xBC), (0xF2, 0xE8, 0xC4), (0xC8, 0x38, 0x30), (0x30, 0x2C, 0x2C),
)  # fmt: skip


def overview_png(
    terrain: Terrain,
    cover: Grid,
    light: Grid,
    layers: dict[str, list[Feature]],
    title: str,
) -> bytes:
    """Return a map with water, contours, trails and settlements, four pixels to a cell."""
    pixels = _map_ground(_doubled(terrain.height), _doubled(light), cover)
    _draw_grid(pixels)
    for feature in layers["contours"]:
        for pixel in _trace(feature.points):
            pixels[pixel] = {5: 4, 6: 5, 8: 7, 10: 9, 12: 11}.get(pixels[pixel], pixels[pixel])
    for feature in layers["rivers"]:
        for pixel in _trace(feature.points):
            pixels[pixel] = _WATER
    for feature in layers["trails"]:
        for number, pixel in enumerate(_trace(feature.points)):
            if number % 6 < 4:
                pixels[pixel] = _TRAIL
    for feature in layers["places"]:
        _draw_place(pixels, feature)
    return indexed_png(2 * WIDTH, pixels, _MAP_COLORS, title)


def _doubled(grid: Grid) -> Grid:
    """Return 16 times the values at twice as many rows and columns, smoothly in between."""
    fine = []
    for y in range(2 * HEIGHT):
        row = y // 2
        other = min(max(row + (1 if y % 2 else -1), 0), HEIGHT - 1)
        for x in range(2 * WIDTH):
            column = x // 2
            beside = min(max(column + (1 if x % 2 else -1), 0), WIDTH - 1)
            near = 3 * grid[row * WIDTH + column] + grid[row * WIDTH + beside]
            far = 3 * grid[other * WIDTH + column] + grid[other * WIDTH + beside]
            fine.append(3 * near + far)
    return fine


def _map_ground(height: Grid, light: Grid, cover: Grid) -> list[int]:
    """Return the colors of sea and land, before anything is drawn on them."""
    pixels = []
    for pixel, ground in enumerate(height):
        y, x = divmod(pixel, 2 * WIDTH)
        kind = cover[y // 2 * WIDTH + x // 2]
        if ground <= 0:
            pixels.append(_sea_step(ground // 16))
        elif kind == FOREST:
            pixels.append(_FOREST + (light[pixel] > 105 * 16) + (light[pixel] > 175 * 16))
        elif kind in (FARMLAND, HEATH, ROCK):
            pixels.append(_FIRST[kind] + (light[pixel] > 140 * 16))
        else:
            pixels.append(_FIRST.get(kind, _SAND))
    return pixels


def _draw_grid(pixels: list[int]) -> None:
    """Draw meridians and parallels on the sea, every twentieth of a degree."""
    step = UNITS // 20
    for pixel, color in enumerate(pixels):
        y, x = divmod(pixel, 2 * WIDTH)
        east = (WEST + x * STEP_X // 2) % step < STEP_X // 2
        north = (NORTH - y * STEP_Y // 2) % step < STEP_Y // 2
        if color < 2 and (east or north):
            pixels[pixel] = color + 1


def _trace(points: list[Point]) -> list[int]:
    """Return the pixels along a line."""
    found: list[int] = []
    at = [((x - WEST) * 2 // STEP_X, (NORTH - y) * 2 // STEP_Y) for x, y in points]
    for (x, y), (to_x, to_y) in pairwise(at):
        steps = max(abs(to_x - x), abs(to_y - y), 1)
        for k in range(steps):
            across, down = (to_x - x) * k, (to_y - y) * k
            found.append((y + _rounded(down, steps)) * 2 * WIDTH + x + _rounded(across, steps))
    return found


def _rounded(a: int, b: int) -> int:
    """Return the whole number nearest to a / b."""
    return (2 * a + b) // (2 * b)


def _draw_place(pixels: list[int], feature: Feature) -> None:
    """Draw a light square with a dark edge; for the summit a dark triangle."""
    ((x, y),) = feature.points
    middle = (NORTH - y) * 2 // STEP_Y * 2 * WIDTH + (x - WEST) * 2 // STEP_X
    summit = feature.properties["kind"] == "summit"
    size = 3 if feature.properties["kind"] == "port" else 2
    for down in range(-size, size + 1):
        for across in range(-size, size + 1):
            edge = size in (abs(down), abs(across))
            if summit:
                if 2 * abs(across) <= down + size:
                    pixels[middle + down * 2 * WIDTH + across] = _INK
            else:
                pixels[middle + down * 2 * WIDTH + across] = _INK if edge else _SAND
