"""Where the island lies: a grid of square cells, and positions as whole numbers.

A position is a pair of integers, longitude and latitude in units of 0.00001
degree (about 1 m).  A `Grid` is a flat list of integers, row by row from the
northwest corner, one for each cell.
"""

from itertools import pairwise
from math import isqrt

WIDTH = 240
HEIGHT = 200
UNITS = 100_000
"""Units of a position in one degree."""

WEST = -1_960_000
NORTH = 4_825_000
# At 48.19 degrees north a degree of longitude is two thirds of one of latitude, so these
# steps make cells that are square on the ground, and pictures of them need no stretching.
STEP_X = 90
STEP_Y = 60
EAST = WEST + WIDTH * STEP_X
SOUTH = NORTH - HEIGHT * STEP_Y

CELL_M = 67
"""Side of a cell in meters, on the ground."""

Grid = list[int]
Point = tuple[int, int]
"""Longitude and latitude in 0.00001 degree."""

SIDES = (-1, 1, -WIDTH, WIDTH)
CORNERS = (-WIDTH - 1, -WIDTH + 1, WIDTH - 1, WIDTH + 1)
AROUND = SIDES + CORNERS
"""Steps from a cell to its neighbors.  They need no check: at the border all is sea."""


def center(cell: int) -> Point:
    """Return the position of the middle of a cell."""
    row, column = divmod(cell, WIDTH)
    return WEST + column * STEP_X + STEP_X // 2, NORTH - row * STEP_Y - STEP_Y // 2


def degrees(units: int) -> float:
    """Return a longitude or latitude in degrees; its shortest decimal form is exact."""
    return units / UNITS


def bounds(points: list[Point]) -> list[float]:
    """Return west, south, east and north of the points, in degrees."""
    xs, ys = zip(*points, strict=True)
    return [degrees(min(xs)), degrees(min(ys)), degrees(max(xs)), degrees(max(ys))]


def length_m(points: list[Point]) -> int:
    """Return the length of a line in meters, as on the ground."""
    return sum(distance_m(a, b) for a, b in pairwise(points))


def distance_m(a: Point, b: Point) -> int:
    """Return the distance of two positions in meters, as on the ground."""
    east = (b[0] - a[0]) * CELL_M * STEP_Y
    north = (b[1] - a[1]) * CELL_M * STEP_X
    return isqrt(east * east + north * north) // (STEP_X * STEP_Y)
