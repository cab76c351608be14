"""Indexes like those of real sites, of any size; each run makes the same."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Entries", "canonical", "changed", "entries", "other_form"]

Entries = dict[str, dict[str, Any]]

_PLACES = ["alps", "andes", "atlas", "karakoram", "pamir", "tatra", "urals"]
_TYPES = ["raster", "raster", "raster", "vector", "table"]


def entries(count: int, *, seed: int = 1) -> Entries:
    """Return the entries of an index: eight fields, keys in folders of a thousand.

    `title` is unique, `tile` the same for one in a thousand, `type` is
    ``"vector"`` for one in five.
    """
    return dict(_entries(count, random.Random(seed)))


def _entries(count: int, chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    for number in range(count):
        place = _PLACES[number % 7]
        yield (
            f"{place}/{number // 1000:04}/scene-{number:07}.tif",
            {
                "type": chance.choice(_TYPES),
                "title": f"Scene {number} of the {place.title()}",
                "bbox": [round(chance.uniform(-180, 180), 4) for _ in range(4)],
                "tile": f"T{chance.randrange(1000):03}",
                "size": chance.randrange(10**9),
                "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
                "modified": f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T12:00:00Z",
                "media_type": "image/tiff",
            },
        )


def changed(index: Entries, count: int) -> Entries:
    """Return an index in which evenly spread entries have another title."""
    keys = list(index)[:: max(len(index) // count, 1)][:count]
    return {**index, **{key: {**index[key], "title": f"changed: {key}"} for key in keys}}


def canonical(index: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Write an index in canonical form."""
    lines = (
        json.dumps(key) + ":" + json.dumps(index[key], sort_keys=True, separators=(",", ":"))
        for key in sorted(index)
    )
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def other_form(index: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Write an index as `json` does by default: entries in their order, with spaces."""
    return json.dumps(index).encode()
