"""All of it: every key of the sample site with its bytes and its metadata."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .cover import CLASSES, COLORS, NO_SLOPE, hillshade, land_cover, slope_percent
from .geojson import Feature, extent, feature_collection
from .geotiff import geotiff
from .grid import CELL_M, EAST, HEIGHT, NORTH, SOUTH, WEST, WIDTH, Grid, bounds, center, degrees
from .pictures import overview_png, relief_png, true_color
from .places import Place, find_places, find_trails, place_features, trail_features
from .png import gray_png
from .rivers import (
    Stream,
    coast_features,
    contour_features,
    find_streams,
    lake_features,
    stream_features,
)
from .tables import csv_table
from .terrain import Terrain, make_terrain
from .toml import Fields
from .weather import (
    Station,
    discharge_rows,
    find_stations,
    station_rows,
    weather_rows,
)

_EXTENT = [degrees(WEST), degrees(SOUTH), degrees(EAST), degrees(NORTH)]
_RASTER: Fields = {"type": "raster", "crs": "EPSG:4326", "bbox": _EXTENT}

COMMON: Mapping[str, Fields] = {
    "*": {"license": "CC0-1.0", "place": "Ilvar"},
    "*.tif": _RASTER,
    "*.png": _RASTER,
    # RFC 7946 fixes it: WGS 84, longitude first.
    "*.geojson": {"type": "vector", "crs": "OGC:CRS84"},
    "*.csv": {"type": "table"},
    "terrain/*": {"acquired": "2024-09-12"},
    "measurements/*": {"acquired": "2025-12-31", "start": "2025-01-01", "end": "2025-12-31"},
}
"""Fields that all keys of a pattern have; no key gets a field from two of them."""


class Value(NamedTuple):
    """A file of the site."""

    key: str
    content: bytes
    fields: Fields
    """What its patterns in `COMMON` do not say of it."""


class Island(NamedTuple):
    """What all the files tell of."""

    terrain: Terrain
    slope: Grid
    light: Grid
    cover: Grid
    streams: list[Stream]
    places: list[Place]
    stations: list[Station]
    layers: dict[str, list[Feature]]
    """Features by the name of their map layer."""


def make_values() -> list[Value]:
    """Return all values of the site, by key."""
    island = _island()
    return sorted([*_pictures(island), *_rasters(island), *_layers(island), *_tables(island)])


def _island() -> Island:
    """Make the island, from the ground up."""
    terrain = make_terrain()
    height = terrain.height
    slope = slope_percent(height)
    streams = find_streams(height)
    places = find_places(terrain, slope, streams)
    settlements = [place.cell for place in places if place.people]
    layers = {
        "coast": coast_features(height),
        "contours": contour_features(height, 100),
        "lakes": lake_features(terrain),
        "places": place_features(places, height),
        "rivers": stream_features(streams, height),
        "trails": trail_features(find_trails(terrain, slope, places), height),
    }
    cover = land_cover(terrain, slope, settlements)
    stations = find_stations(places, streams)
    return Island(terrain, slope, hillshade(height), cover, streams, places, stations, layers)


def _pictures(island: Island) -> list[Value]:
    """Return what is for the eye."""
    terrain, cover, light = island.terrain, island.cover, island.light
    overview = overview_png(terrain, cover, light, island.layers, "Ilvar: Übersicht")
    return [
        Value("karten/ilvar-übersicht.png", overview, {
            "title": "Übersichtskarte von Ilvar",
            "description": "Overview map: land cover, water, contour lines, trails, settlements",
            "width": 2 * WIDTH, "height": 2 * HEIGHT, "bands": 1, "resolution_m": CELL_M / 2,
            "acquired": "2025-08-01", "tags": ["map", "overview"], "language": "de",
        }),
        Value("terrain/hillshade.png", gray_png(WIDTH, light, "Ilvar: hillshade"), {
            "title": "Hillshade of Ilvar, lit from the northwest",
            "width": WIDTH, "height": HEIGHT, "bands": 1, "resolution_m": CELL_M,
            "tags": ["elevation", "map"],
        }),
        Value("terrain/relief.png", relief_png(terrain, light, "Ilvar: relief"), {
            "title": "Shaded relief of Ilvar, colored by height",
            "width": WIDTH, "height": HEIGHT, "bands": 1, "resolution_m": CELL_M,
            "tags": ["elevation", "map"],
        }),
    ]  # fmt: skip


def _rasters(island: Island) -> list[Value]:
    """Return what is for computing."""
    height, slope, cover = island.terrain.height, island.slope, island.cover
    above = true_color(island.terrain, cover, island.light)
    return [
        Value("imagery/true-color.tif", geotiff(
            above, description="Ilvar: true color image", samples=3, cells=2,
        ), {
            "title": "True color image of Ilvar",
            "width": WIDTH // 2, "height": HEIGHT // 2, "bands": 3, "resolution_m": 2 * CELL_M,
            "band_names": ["red", "green", "blue"],
            "acquired": "2025-07-14", "cloud_cover": 0.0, "tags": ["imagery"],
        }),
        Value("landcover/landcover.tif", geotiff(
            cover, description="Ilvar: land cover", colors=COLORS,
        ), {
            "title": "Land cover of Ilvar in eight classes",
            "width": WIDTH, "height": HEIGHT, "bands": 1, "resolution_m": CELL_M,
            "classes": list(CLASSES), "acquired": "2025-07-14", "tags": ["land cover"],
        }),
        Value("terrain/dem.tif", geotiff(
            height, description="Ilvar: elevation in m above mean sea level", code="h",
        ), {
            "title": "Elevation model of Ilvar and the sea around it",
            "description": "The ground, the surface of lakes, the floor of the sea",
            "width": WIDTH, "height": HEIGHT, "bands": 1, "resolution_m": CELL_M, "units": "m",
            "minimum": min(height), "maximum": max(height), "tags": ["elevation"],
        }),
        Value("terrain/slope.tif", geotiff(
            slope, description="Ilvar: slope in percent", no_data=NO_SLOPE,
        ), {
            "title": "Slope of the land of Ilvar",
            "width": WIDTH, "height": HEIGHT, "bands": 1, "resolution_m": CELL_M,
            "units": "percent", "no_data": NO_SLOPE, "tags": ["elevation"],
        }),
    ]  # fmt: skip


def _layers(island: Island) -> list[Value]:
    """Return the layers of a map."""
    told: list[tuple[str, str, Fields]] = [
        ("coast", "borders/coastline.geojson", {
            "title": "Coastlines of Ilvar and its isles", "acquired": "2024-09-12",
            "tags": ["water", "borders"],
        }),
        ("contours", "terrain/contours.geojson", {
            "title": "Contour lines of Ilvar, every 100 m",
            "interval_m": 100, "units": "m", "tags": ["elevation"],
        }),
        ("lakes", "water/lakes.geojson", {
            "title": "Lakes of Ilvar", "acquired": "2025-07-14", "tags": ["water"],
        }),
        ("places", "places/places.geojson", {
            "title": "Settlements of Ilvar, and its summit", "acquired": "2025-08-01",
            "tags": ["people"],
        }),
        ("rivers", "water/rivers.geojson", {
            "title": "Rivers and brooks of Ilvar", "acquired": "2025-07-14", "tags": ["water"],
        }),
        ("trails", "places/trails.geojson", {
            "title": "Hiking trails of Ilvar", "acquired": "2025-08-01",
            "tags": ["people", "tourism"],
        }),
    ]  # fmt: skip
    values = []
    for layer, key, fields in told:
        features = island.layers[layer]
        counted: Fields = {
            "features": len(features),
            "geometry": features[0].geometry,
            "bbox": extent(features),
        }
        values.append(Value(key, feature_collection(features), fields | counted))
    return values


def _tables(island: Island) -> list[Value]:
    """Return what is measured."""
    height, stations = island.terrain.height, island.stations
    weather = [station for station in stations if station.kind == "weather"]
    gauges = [station for station in stations if station.kind == "discharge"]
    return [
        _table("measurements/discharge-2025.csv", discharge_rows(gauges), gauges, {
            "title": "Daily mean discharge of three rivers of Ilvar, 2025",
            "description": "A day without a measurement has an empty field",
            "units": "l/s", "tags": ["water", "time series"],
        }),
        _table("measurements/weather-2025.csv", weather_rows(weather, height), weather, {
            "title": "Daily temperature and rain at five stations of Ilvar, 2025",
            "units": "°C, mm", "tags": ["weather", "time series"],
        }),
        _table("stations/stations.csv", station_rows(stations, height), stations, {
            "title": "Weather stations and river gauges of Ilvar",
            "acquired": "2025-01-01", "crs": "EPSG:4326", "tags": ["weather", "water"],
        }),
    ]  # fmt: skip


def _table(key: str, rows: list[list[str]], at: Sequence[Station], fields: Fields) -> Value:
    """Return a table of what is measured at some stations."""
    counted: Fields = {
        "rows": len(rows) - 1,  # without the names of the columns
        "columns": len(rows[0]),
        "bbox": bounds([center(station.cell) for station in at]),
    }
    return Value(key, csv_table(rows), fields | counted)
