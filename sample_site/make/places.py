"""Settlements where rivers meet the sea, and the trails between them."""

from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from .cover import NO_SLOPE
from .geojson import Feature
from .grid import CELL_M, CORNERS, SIDES, Grid, Point, center, distance_m, length_m
from .outline import simplified, smoothed
from .rivers import Stream, km
from .terrain import Terrain, regions

PORTS = ("Hafnach", "Nordmünde", "Südhafen", "Weststaad", "Föhrdorf")
UPLAND = "Seealp"
ISLE = "Möwenfähr"
SUMMIT = "Hohe Warte"

WALKS = (
    ("Gipfelweg", UPLAND, SUMMIT), ("Seeweg", PORTS[0], UPLAND), ("Nordpfad", PORTS[1], UPLAND),
    ("Küstenweg I", PORTS[0], PORTS[1]), ("Küstenweg II", PORTS[1], PORTS[2]),
    ("Westgrat", PORTS[3], SUMMIT), ("Nordsteig", PORTS[4], SUMMIT),
)  # fmt: skip


class Place(NamedTuple):
    """A named place on the island."""

    name: str
    kind: str
    cell: int
    people: int


def find_places(terrain: Terrain, slope: Grid, streams: list[Stream]) -> list[Place]:
    """Return the summit, ports at the largest rivers, and villages at the lake and on the isle."""
    height = terrain.height
    mouths = [stream.cells[-3] for stream in streams if stream.into < 0]
    apart: list[int] = []
    for mouth in mouths:
        if all(distance_m(center(mouth), center(other)) > 45 * CELL_M for other in apart):
            apart.append(mouth)
    lake = regions(terrain.depth)[0]
    isle = [cell for cell in regions([max(h, 0) for h in height])[1] if 5 < height[cell] < 40]
    shore = sorted({cell + step for cell in lake for step in SIDES} - set(lake))
    top = max(range(len(height)), key=lambda cell: height[cell])
    ports = [
        Place(name, "port", cell, 4200 // (rank + 1))
        for rank, (name, cell) in enumerate(zip(PORTS, apart, strict=False))
    ]
    return [
        Place(SUMMIT, "summit", top, 0),
        *ports,
        Place(UPLAND, "village", min(shore, key=lambda cell: (slope[cell], cell)), 310),
        Place(ISLE, "village", min(isle, key=lambda cell: (slope[cell], cell)), 85),
    ]


def place_features(places: list[Place], height: Grid) -> list[Feature]:
    """Return the places as points."""
    return [
        Feature("Point", [center(place.cell)], {
            "name": place.name,
            "kind": place.kind,
            "elevation_m": height[place.cell],
            "population": place.people,
        })
        for place in places
    ]  # fmt: skip


class Trail(NamedTuple):
    """The easiest way on foot from one place to another."""

    name: str
    start: str
    end: str
    cells: list[int]
    line: list[Point]


def find_trails(terrain: Terrain, slope: Grid, places: list[Place]) -> list[Trail]:
    """Return the trails of the island."""
    where = {place.name: place.cell for place in places}
    trails = []
    for name, start, end in WALKS:
        cells = _easiest(terrain, slope, where[start], where[end])
        trails.append(Trail(name, start, end, cells, smoothed([center(c) for c in cells])))
    return trails


def _easiest(terrain: Terrain, slope: Grid, start: int, end: int) -> list[int]:
    """Return the cells of the way of least effort over land (Dijkstra, 1959)."""
    height = terrain.height
    steps = [(step, 10) for step in SIDES] + [(step, 14) for step in CORNERS]
    effort, came = {start: 0}, {start: start}
    open_ends = [(0, start)]
    while open_ends:
        spent, cell = heappop(open_ends)
        if cell == end:
            break
        for step, length in steps:
            near = cell + step
            if slope[near] == NO_SLOPE or terrain.depth[near] or spent > effort[cell]:
                continue
            climb = abs(height[near] - height[cell]) * 1000 // (length * CELL_M)
            total = spent + length * (100 + climb * climb // 3)
            if near not in effort or total < effort[near]:
                effort[near], came[near] = total, cell
                heappush(open_ends, (total, near))
    way = [end]
    while way[-1] != start:
        way.append(came[way[-1]])
    return way[::-1]


def trail_features(trails: list[Trail], height: Grid) -> list[Feature]:
    """Return the trails as lines."""
    features = []
    for trail in trails:
        ground = [height[cell] for cell in trail.cells]
        ascent = sum(max(b - a, 0) for a, b in pairwise(ground))
        features.append(Feature("LineString", simplified(trail.line, 10), {
            "name": trail.name,
            "from": trail.start,
            "to": trail.end,
            "length_km": km(length_m(trail.line)),
            "ascent_m": ascent,
            "highest_m": max(ground),
            "difficulty": "easy" if ascent < 400 else "medium" if ascent < 1000 else "hard",
        }))  # fmt: skip
    return features
