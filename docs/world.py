"""Make the world outline of the page: ``python docs/world.py WHEEL > …/script/world.js``.

WHEEL is ``geopandas-0.14.4-py3-none-any.whl`` of PyPI.  It contains the countries of Natural
Earth (https://www.naturalearthdata.com), at 1:110 million, which are in the public domain.
The result is the same on each machine: sums of integers, and no library.
"""

from __future__ import annotations

import io
import re
import struct
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

Point = tuple[int, int]
Ring = list[Point]

_SHAPES = "geopandas/datasets/naturalearth_lowres/naturalearth_lowres.shp"
_POLYGON = 5  # ESRI Shapefile Technical Description, 1998, page 8
_FINE = 10_000  # units in a degree, in which vertices of neighbors are the same
_UNITS = 4  # units in a degree, in the result
_LEAST_AREA = 14  # tenths of a square degree, of a ring and of the triangle at a vertex
_WIDTH = 96  # characters in a line

_HEAD = """\
// The land of the world: x is 4 (longitude + 180), y is 4 (90 - latitude).
// Made by docs/world.py from Natural Earth, 1:110 million (naturalearthdata.com, public domain).

const WORLD = `
"""


def rings_of(shapes: bytes) -> Iterator[Ring]:
    """Yield the rings of all polygons of a shapefile, clockwise if they are land."""
    file = io.BytesIO(shapes)
    file.seek(100)  # the header of the file
    while header := file.read(8):
        record = file.read(2 * struct.unpack(">2i", header)[1])
        kind, parts, points = struct.unpack_from("<i32x2i", record)
        assert kind == _POLYGON
        starts = [*struct.unpack_from(f"<{parts}i", record, 44), points]
        numbers = struct.unpack_from(f"<{2 * points}d", record, 44 + 4 * parts)
        for start, end in pairwise(starts):
            flat = [round(number * _FINE) for number in numbers[2 * start : 2 * end]]
            yield list(zip(flat[::2], flat[1::2], strict=True))


def outlines(rings: Iterator[Ring]) -> list[Ring]:
    """Join rings into outlines: what two neighbors share is no coast."""
    edges = Counter(edge for ring in rings for edge in pairwise(ring))
    after = defaultdict(list)
    for start, end in sorted(edges):
        if (end, start) not in edges:
            after[start].append(end)
    joined = []
    while after:
        first = at = min(after)
        ring = [first]
        while at in after:
            following = after[at].pop()
            if not after[at]:
                del after[at]
            at = following
            ring.append(at)
            if at == first:
                break
        joined.append(ring)
    return joined


def area(*points: Point) -> int:
    """Return twice the area between some points, in square units."""
    pairs = zip(points, (*points[1:], points[0]), strict=True)
    return abs(sum(x * v - u * y for (x, y), (u, v) in pairs))


def simplified(ring: Ring) -> Ring:
    """Return a ring without the vertices that matter least (Visvalingam's algorithm)."""
    least = 2 * _LEAST_AREA * _FINE**2 // 10
    ring = ring[:-1]
    if area(*ring) < least:
        return []
    while len(ring) > 3:
        sizes = [area(ring[i - 1], ring[i], ring[(i + 1) % len(ring)]) for i in range(len(ring))]
        smallest = min(sizes)
        if smallest >= least:
            break
        del ring[sizes.index(smallest)]
    return ring


def path_of(ring: Ring) -> str:
    """Return a ring as path data of SVG, in whole units, each point relative to the last one."""
    step = _FINE // _UNITS
    points = [((x + 180 * _FINE) // step, (90 * _FINE - y) // step) for x, y in ring]
    steps = [(u - x, v - y) for (x, y), (u, v) in pairwise(points) if (x, y) != (u, v)]
    # A minus sign needs no space before it.
    numbers = re.sub(r" (?=-)", "", " ".join(f"{x} {y}" for x, y in steps))
    return f"M{points[0][0]} {points[0][1]}l{numbers}z"


def main(wheel: str) -> None:
    """Print the part of the script."""
    with zipfile.ZipFile(wheel) as archive:
        rings = [simplified(ring) for ring in outlines(rings_of(archive.read(_SHAPES)))]
    path = "".join(path_of(ring) for ring in rings if ring)
    lines, line = [], ""
    for word in path.replace("z", "z ").split(" "):
        if len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = word
        else:
            line += f" {word}" if line else word
    print(_HEAD + "\n".join([*lines, line]).strip() + "`;")


if __name__ == "__main__":
    main(sys.argv[1])
