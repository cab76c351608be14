"""Documents of STAC in the shape of real ones, made for tests and benchmarks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

__all__ = ["catalog_files", "item", "pages", "sha256_multihash"]

_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")

_SHARES = ("nodata_pixel", "dark_features", "cloud_shadow", "vegetation", "water", "snow_ice")


def sha256_multihash(body: bytes) -> str:
    """Return the digest of some bytes as a multihash in hex."""
    return "1220" + hashlib.sha256(body).hexdigest()


def item(number: int, assets: int = 12, *, version: str = "1.1.0") -> dict[str, Any]:
    """Return an item in the shape of Earth Search's for Sentinel-2, with half its properties."""
    name = f"S2A_32TMS_{20240101 + number % 28}_{number}_L2A"
    west, south = number % 360 - 180.0, number % 170 - 85.5
    ring = [[west, south], [west + 1.2, south], [west + 1.2, south + 1], [west, south + 1]]
    root = f"https://data.example.org/sentinel-2/{number % 60}/{name}"
    bands = {
        band if assets <= len(_BANDS) else f"{band}-{at}": {
            "href": f"{root}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "title": f"Band {band}",
            "eo:bands": [
                {
                    "name": band,
                    "common_name": "nir",
                    "description": f"Near infrared (band {at})",
                    "center_wavelength": 0.842,
                    "full_width_half_max": 0.145,
                }
            ],
            "gsd": 10 + at % 3 * 10,
            "proj:shape": [10980, 10980],
            "proj:transform": [10, 0, 399960, 0, -10, 5200020],
            "raster:bands": [
                {
                    "nodata": 0,
                    "data_type": "uint16",
                    "bits_per_sample": 15,
                    "spatial_resolution": 10,
                    "scale": 0.0001,
                    "offset": -0.1,
                }
            ],
            "file:size": 1000 + number,
            "file:checksum": sha256_multihash(f"{number}/{band}".encode()),
            "roles": ["data", "reflectance"],
        }
        for at, band in enumerate((_BANDS * (assets // len(_BANDS) + 1))[:assets])
    }
    return {
        "type": "Feature",
        "stac_version": version,
        "stac_extensions": ["https://stac-extensions.github.io/file/v2.1.0/schema.json"],
        "id": name,
        "bbox": [west, south, west + 1.2, south + 1],
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "properties": {
            "datetime": f"2024-01-{number % 28 + 1:02}T10:31:09.024000Z",
            "created": "2024-02-01T00:00:00Z",
            "updated": "2024-02-01T00:00:00Z",
            "platform": "sentinel-2a",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": number % 101,
            "proj:epsg": 32632,
            "proj:centroid": {"lat": south + 0.5, "lon": west + 0.6},
            "mgrs:utm_zone": 32,
            "mgrs:latitude_band": "T",
            "mgrs:grid_square": "MS",
            "grid:code": "MGRS-32TMS",
            "view:sun_azimuth": 160.7 + number % 7,
            "view:sun_elevation": 20.25 + number % 9,
            **{f"s2:{name}_percentage": number % 89 / 8 for name in _SHARES},
            "s2:product_type": "S2MSI2A",
            "s2:processing_baseline": "05.10",
            "s2:product_uri": f"{name}.SAFE",
            "s2:generation_time": "2024-01-05T13:10:12.000000Z",
            "s2:datatake_id": f"GS2A_20240105T103421_{number:06}_N05.10",
            "s2:reflectance_conversion_factor": 1.03436,
        },
        "collection": "sentinel-2-l2a",
        "assets": bands,
        "links": [
            {"rel": "self", "href": f"{root}.json", "type": "application/geo+json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
            {"rel": "root", "href": "../../catalog.json"},
        ],
    }


def pages(count: int, each: int, href: str = "?token={}") -> Iterator[bytes]:
    """Yield pages of an item collection, as a server of the API gives them, with `href` links."""
    for start in range(0, count, each):
        last = start + each >= count
        following = [] if last else [{"rel": "next", "href": href.format(start // each + 1)}]
        yield json.dumps(
            {
                "type": "FeatureCollection",
                "features": [item(number) for number in range(start, min(start + each, count))],
                "links": [{"rel": "self", "href": href.format(start // each)}, *following],
                "numberReturned": min(each, count - start),
            }
        ).encode()


def catalog_files(collections: int, items: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a static catalog, by their paths: a folder for each collection."""
    head = {"stac_version": "1.0.0", "description": "Made for a test"}
    children = [f"c{number}/collection.json" for number in range(collections)]
    links = [{"rel": "child", "href": f"./{path}"} for path in children]
    yield (
        "catalog.json",
        json.dumps({"type": "Catalog", "id": "all", **head, "links": links}).encode(),
    )
    for number, path in enumerate(children):
        files = [f"{at}/{at}.json" for at in range(items)]
        extent = {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [[None, None]]},
        }
        body = {
            "type": "Collection",
            "id": f"c{number}",
            **head,
            "license": "CC0-1.0",
            "extent": extent,
            "links": [{"rel": "item", "href": f"./{file}"} for file in files],
        }
        yield path, json.dumps(body).encode()
        for at, file in enumerate(files):
            one = {
                **item(at, assets=2, version="1.0.0"),
                "id": f"i{at}",
                "collection": f"c{number}",
            }
            one["assets"] = {
                "data": {"href": f"./{at}.tif", "type": "image/tiff"},
                "thumbnail": {"href": "./thumbnail.png", "roles": ["thumbnail"]},
            }
            one["links"] = [{"rel": "collection", "href": "../collection.json"}]
            yield f"c{number}/{file}", json.dumps(one).encode()
