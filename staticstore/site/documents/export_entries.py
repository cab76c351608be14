"""An entry as an item of STAC, or as a resource of a data package.

Fields of ours keep their names, unless the other form defines a field of that name otherwise:
then they are prefixed, ``staticstore:type``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ...index.fields import PUBLISHER_FIELDS, key_to_url_path, parse_time
from ...query.comparison import Box, end_of_day

if TYPE_CHECKING:
    from ...index.about import About

__all__ = ["package_fields", "resource_of", "stac_item"]

_PREFIX = "staticstore:"
_STAC_VERSION = "1.1.0"
# The version of the extension that defines `file:size` and `file:checksum`.
_FILE_EXTENSION = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_SHA256_MULTIHASH = "1220"  # the code of the algorithm, and the length of the digest
_NO_TIME = "1970-01-01T00:00:00Z"  # STAC demands one
_PACKAGE_SCHEMA = "https://datapackage.org/profiles/2.0/datapackage.json"
_LICENSE_NAME = re.compile(r"[\w.+-]+", re.ASCII)

_Check = Callable[[Any], object]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and parse_time(value) is not None


def _always(value: Any) -> bool:
    return True


def _never(value: Any) -> bool:
    return False


# The common metadata of STAC 1.1, and what they may be in an item.
_STAC_FIELDS: Mapping[str, _Check] = {
    **dict.fromkeys(("title", "description", "platform", "constellation", "mission"), _is_text),
    **dict.fromkeys(("keywords", "roles", "instruments"), _are_texts),
    **dict.fromkeys(("datetime", "start_datetime", "end_datetime", "created", "updated"), _is_time),
    **dict.fromkeys(("bands", "data_type", "nodata", "providers", "statistics", "unit"), _never),
    "bbox": _never,  # of an item, not of its properties
    "gsd": lambda value: _is_number(value) and value > 0,
    "license": lambda value: _is_text(value) and _LICENSE_NAME.fullmatch(value),
}
# What the specification of resources defines, and its most used reader in addition; texts may stay.
_RESOURCE_TEXTS = ("title", "description", "homepage", "encoding")
_OF_RESOURCES = re.compile(
    r"\$schema|bytes|checklist|compression|control|data|datatype|dialect|extrapaths|fields|format"
    r"|hash|innerpath|jsonschema|layout|licenses|links|mediatype|name|path|pipeline|profile|rows"
    r"|schema|scheme|sources|stats|tabular|type|url|title|description|homepage|encoding"
)


def stac_item(data_path: str, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as an item of STAC with one asset, ``data``.

    Its time is the entry's ``datetime``, or else when the value was modified.

    Parameters
    ----------
    data_path : str
        The path from the root to the values.
    key : str
        The key, which is the item's id.
    entry : mapping
        The entry.
    """
    box = _box_on_earth(entry.get("bbox"))
    fields = {name: value for name, value in entry.items() if name != "bbox" or box is None}
    properties = _own_fields(fields, lambda name, value: _STAC_FIELDS.get(name, _always)(value))
    if not {"start_datetime", "end_datetime"} <= properties.keys():  # only both together
        for name in {"start_datetime", "end_datetime"} & properties.keys():
            properties[_PREFIX + name] = properties.pop(name)
    properties.setdefault("datetime", _time_of(entry, properties))
    asset = {
        "href": key_to_url_path(data_path, key),
        "roles": ["data"],
        "file:size": entry["size"],
        "file:checksum": _SHA256_MULTIHASH + entry["sha256"],
        "type": entry.get("media_type"),
        "updated": entry.get("modified"),
        _PREFIX + "key": key,
    }
    return {
        "type": "Feature",
        "stac_version": _STAC_VERSION,
        "stac_extensions": [_FILE_EXTENSION],
        "id": key,
        "geometry": None if box is None else _geometry(box),
        **({} if box is None else {"bbox": entry["bbox"]}),
        "properties": properties,
        "links": [],
        "assets": {"data": {name: value for name, value in asset.items() if value is not None}},
    }


def _own_fields(entry: Mapping[str, Any], fits: Callable[[str, Any], object]) -> dict[str, Any]:
    # Those that the publisher gave; the ones that do not fit the other form are prefixed.
    return {
        name if fits(name, value) else _PREFIX + name: value
        for name, value in entry.items()
        if name not in PUBLISHER_FIELDS
    }


def _time_of(entry: Mapping[str, Any], properties: Mapping[str, Any]) -> str | None:
    if "start_datetime" in properties:
        return None  # then the two say it
    given = entry.get("datetime")
    if isinstance(given, str) and end_of_day(given) is not None:
        return f"{given}T00:00:00Z"
    modified = entry.get("modified")
    return modified if _is_time(modified) else _NO_TIME


def _box_on_earth(value: object) -> Box | None:
    # STAC knows degrees alone.
    box = Box.of(value)
    if box is None or box.south < -90 or box.north > 90:
        return None
    return box if -180 <= min(box.west, box.east) <= max(box.west, box.east) <= 180 else None


def _geometry(box: Box) -> dict[str, Any]:
    if box.west == box.east and box.south == box.north:
        return {"type": "Point", "coordinates": [box.west, box.south]}
    if box.west <= box.east:
        return {"type": "Polygon", "coordinates": _ring(box)}
    # RFC 7946, section 3.1.9: cut at the antimeridian.
    parts = (box._replace(east=180), box._replace(west=-180))
    return {"type": "MultiPolygon", "coordinates": [_ring(part) for part in parts]}


def _ring(box: Box) -> list[list[list[float]]]:
    west, south, east, north = box
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def resource_of(data_path: str, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry as a resource of a data package; its name is the key.

    Parameters
    ----------
    data_path : str
        The path from the root to the values.
    key : str
        The key.
    entry : mapping
        The entry.
    """
    resource = _own_fields(entry, _fits_resource)
    resource |= {
        "name": key,
        "path": data_path + key,
        "bytes": entry["size"],
        "hash": f"sha256:{entry['sha256']}",
    }
    if "media_type" in entry:
        resource["mediatype"] = entry["media_type"]
    if "modified" in entry:
        resource["modified"] = entry["modified"]
    return resource


def _fits_resource(name: str, value: Any) -> bool:
    return not _OF_RESOURCES.fullmatch(name) or (name in _RESOURCE_TEXTS and _is_text(value))


def package_fields(about: About | None) -> dict[str, Any]:
    """Return the fields of a data package without its resources.

    Parameters
    ----------
    about : About or None
        The site's own words.
    """
    words = dict({} if about is None else about.fields)
    fields: dict[str, Any] = {"$schema": _PACKAGE_SCHEMA}
    contact, license_ = words.pop("contact", None), words.pop("license", None)
    if isinstance(license_, str):
        is_name = _LICENSE_NAME.fullmatch(license_) is not None
        is_url = license_.startswith(("https://", "http://"))
        if is_name or is_url:
            fields["licenses"] = [{"name" if is_name else "path": license_}]
        else:
            fields[_PREFIX + "license"] = license_
    if contact is not None:
        fields["contributors"] = [{"title": contact}]
    if "cite_as" in words:
        fields[_PREFIX + "cite_as"] = words.pop("cite_as")
    return fields | words
