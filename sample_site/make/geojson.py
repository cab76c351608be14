"""Write GeoJSON (RFC 7946): longitude before latitude, in degrees of WGS 84."""

import json
from typing import NamedTuple

from .grid import Point, bounds, degrees

Properties = dict[str, str | int | float | bool | None]


class Feature(NamedTuple):
    """Something on the map: a point, a line, or a polygon without holes."""

    geometry: str
    """``"Point"``, ``"LineString"`` or ``"Polygon"``."""
    points: list[Point]
    """One position; a line; or a ring that runs counterclockwise, its first position again last."""
    properties: Properties


def feature_collection(features: list[Feature]) -> bytes:
    """Return the features as a FeatureCollection with its bounding box, a feature a line."""
    lines = ",\n".join(_text(_member(feature)) for feature in features)
    box = _text(extent(features))
    text = f'{{"type":"FeatureCollection","bbox":{box},"features":[\n{lines}\n]}}\n'
    return text.encode()


def extent(features: list[Feature]) -> list[float]:
    """Return west, south, east and north of all features, in degrees."""
    return bounds([point for feature in features for point in feature.points])


def _member(feature: Feature) -> dict[str, object]:
    """Return a feature as the object that stands in the file."""
    positions = [[degrees(x), degrees(y)] for x, y in feature.points]
    shapes = {"Point": positions[0], "LineString": positions, "Polygon": [positions]}
    return {
        "type": "Feature",
        "properties": feature.properties,
        "geometry": {"type": feature.geometry, "coordinates": shapes[feature.geometry]},
    }


def _text(value: object) -> str:
    """Return JSON without spaces, and with every letter as itself."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
