"""Indexes such as real sites have, of any size, the same at each run."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

__all__ = ["entries", "write_index"]

_PLACES = ["alps", "andes", "atlas", "karakoram", "pamir", "tatra", "urals"]
_TYPES = ["raster", "raster", "raster", "vector", "table"]


def entries(count: int, *, seed: int = 1) -> dict[str, dict[str, Any]]:
    """Return the entries of an index: eight fields, keys in folders of a thousand."""
    chance = random.Random(seed)
    return {
        f"{_PLACES[number % 7]}/{number // 1000:04}/scene-{number:07}.tif": {
            "type": chance.choice(_TYPES),
            "title": f"Scene {number} of the {_PLACES[number % 7].title()}",
            "bbox": [round(chance.uniform(-180, 180), 4) for _ in range(4)],
            "cloud_cover": round(chance.random(), 2),
            "size": chance.randrange(10**9),
            "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
            "modified": f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T12:00:00Z",
            "media_type": "image/tiff",
        }
        for number in range(count)
    }


def write_index(path: Path, index: dict[str, dict[str, Any]]) -> None:
    """Write an index in canonical form."""
    lines = (
        json.dumps(key) + ":" + json.dumps(index[key], sort_keys=True, separators=(",", ":"))
        for key in sorted(index)
    )
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
