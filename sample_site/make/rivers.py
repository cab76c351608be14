"""Streams, lakes, coast and contour lines: what can be read off the land as lines."""

from typing import NamedTuple

from .flow import catchments, drain
from .geojson import Feature
from .grid import AROUND, CELL_M, Grid, Point, center, length_m
from .outline import area_m2, outlines, simplified, smoothed
from .terrain import Terrain, regions

STREAM_CELLS = 110
"""Cells that must drain through a cell before a brook is seen there: about half a km²."""
SHORTEST = 10
"""Cells of the shortest stream that is drawn."""

RIVER_NAMES = ("Ache", "Mühlbach", "Steinach", "Rabenbach", "Große Föhr", "Ostbach", "Lauter")
LAKE_NAMES = ("Spiegelsee", "Grünsee", "Rabensee")
ISLE_NAMES = ("Ilvar", "Klein-Ilvar", "Möwenstein")


class Stream(NamedTuple):
    """A stream from its source to the sea or to the stream that it joins."""

    cells: list[int]
    """Its cells on land, downstream."""
    line: list[Point]
    """Its line on the map, downstream."""
    catchment: int
    """Cells that drain to its last one."""
    into: int
    """Which stream of the list it flows into; -1: the sea."""


def find_streams(height: Grid) -> list[Stream]:
    """Return all streams of some length, each after the one that it flows into."""
    drainage = drain(height)
    count = catchments(drainage)
    wet = {cell for cell in drainage.order if count[cell] >= STREAM_CELLS}
    ends = [(drainage.receiver[c], c, -1) for c in wet if height[drainage.receiver[c]] <= 0]
    ends.sort(key=lambda end: (-count[end[1]], end[1]))
    streams: list[Stream] = []
    drawn: dict[int, Point] = {}
    for target, cell, into in ends:  # grows on the way
        cells = [cell]
        others: list[tuple[int, int, int]] = []
        while feeders := _feeders(drainage.receiver, wet, count, cells[-1]):
            # The largest feeder is the stream itself; the others get their turn.
            others += [(cells[-1], other, len(streams)) for other in feeders[1:]]
            cells.append(feeders[0])
        if len(cells) < SHORTEST:
            continue
        ends += others
        mouth = drawn.get(target) or _halfway(center(cell), center(target))
        line = smoothed([*(center(c) for c in reversed(cells)), mouth])
        drawn.update(zip(reversed(cells), line, strict=False))
        streams.append(Stream(cells[::-1], line, count[cell], into))
    return streams


def _feeders(receiver: list[int], wet: set[int], count: Grid, cell: int) -> list[int]:
    """Return the stream cells that drain to a cell, the one with most water first."""
    near = [cell + step for step in AROUND]
    found = [c for c in near if c in wet and receiver[c] == cell]
    return sorted(found, key=lambda c: (-count[c], c))


def _halfway(a: Point, b: Point) -> Point:
    """Return the middle of two positions."""
    return (a[0] + b[0]) // 2, (a[1] + b[1]) // 2


def stream_features(streams: list[Stream], height: Grid) -> list[Feature]:
    """Return the streams as lines."""
    features = []
    for number, stream in enumerate(streams):
        features.append(Feature("LineString", simplified(stream.line, 12), {
            "id": f"R{number + 1:02}",
            "name": RIVER_NAMES[number] if number < len(RIVER_NAMES) else None,
            "flows_into": "sea" if stream.into < 0 else f"R{stream.into + 1:02}",
            "length_km": km(length_m(stream.line)),
            "catchment_km2": km2(stream.catchment),
            "source_m": height[stream.cells[0]],
        }))  # fmt: skip
    return features


def lake_features(terrain: Terrain) -> list[Feature]:
    """Return the lakes as polygons, the largest first."""
    features = []
    for name, lake in zip(LAKE_NAMES, regions(terrain.depth), strict=True):
        features.append(Feature("Polygon", _ring(lake, len(terrain.depth)), {
            "name": name,
            "level_m": terrain.height[lake[0]],
            "deepest_m": max(terrain.depth[cell] for cell in lake),
            "area_km2": km2(len(lake)),
        }))  # fmt: skip
    return features


def _ring(cells: list[int], size: int) -> list[Point]:
    """Return the line around some cells, rounded off."""
    mask = [0] * size
    for cell in cells:
        mask[cell] = 1
    (ring,) = outlines(mask, 1)
    return simplified(smoothed(ring), 6)


def coast_features(height: Grid) -> list[Feature]:
    """Return the islands as polygons, the largest first."""
    rings = sorted(outlines(height, 1), key=area_m2, reverse=True)
    features = []
    for name, ring in zip(ISLE_NAMES, rings, strict=True):
        features.append(Feature("Polygon", simplified(ring, 10), {
            "name": name,
            "area_km2": round(area_m2(ring) / 1e6, 2),
            "coast_km": km(length_m(ring)),
        }))  # fmt: skip
    return features


def contour_features(height: Grid, interval: int) -> list[Feature]:
    """Return contour lines every so many meters, each hill or hollow a line of its own."""
    features = []
    for level in range(interval, max(height) + 1, interval):
        for line in outlines(height, level):
            if length_m(line) > 12 * CELL_M:
                points = simplified(line, 20)
                features.append(Feature("LineString", points, {"elevation_m": level}))
    return features


def km(meters: int) -> float:
    """Return meters as kilometers with one decimal."""
    return round(meters / 1000, 1)


def km2(cells: int) -> float:
    """Return a number of cells as square kilometers with two decimals."""
    return round(cells * CELL_M * CELL_M / 1e6, 2)
