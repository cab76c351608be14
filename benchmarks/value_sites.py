"""Sites with large values and many small ones; each run makes the same.

values      a large value, one to read ranges of, and many of 1 KiB, as `publish` writes them
bare        the large value; the index has only its size, so nothing can be verified
packed      the small values, published with packs
chunks      24 values of 4 MiB
mebibytes   200 values of 1 MiB
columns     a table in Parquet, if pyarrow is installed
features    a GeoJSON of roads, with a compressed copy if that can be made
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import urllib.request
from array import array
from pathlib import Path

from staticstore import publish
from staticstore.zstd import find_zstd

__all__ = [
    "COLUMN",
    "FEATURES",
    "LARGE",
    "RANGED",
    "SMALL_SIZE",
    "TABLE",
    "make_value_sites",
    "size_of",
]

LARGE, RANGED = "large.bin", "ranged.bin"
SMALL_SIZE = 1 << 10
_CHUNKS = 24
TABLE, COLUMN = "table.parquet", "c2"
FEATURES = "roads.geojson"
_FEATURES_ONCE = 4_000  # about 2 MB, repeated: frames are compressed each by itself
_PIECE = 1 << 20


def make_value_sites(
    folder: Path,
    *,
    large: int,
    ranged: int = 256 << 20,
    small: int = 2_000,
    rows: int = 1_512_500,
    chunk: int = 4 << 20,
    mebibytes: int = 200,
    features: int = 100_000_000,
) -> None:
    """Make a folder for each state.

    Parameters
    ----------
    folder : Path
        Where to make it.
    large, ranged : int
        Bytes of the large value, and of the one to read ranges of.
    small : int
        The number of values of 1 KiB.
    rows : int
        Rows of the table, each with 8 bytes in each column.
    chunk : int
        Bytes of each of 24 values.
    mebibytes : int
        The number of values of 1 MiB.
    features : int
        Bytes of the GeoJSON.
    """
    chance = random.Random(1)
    data = folder / "values" / "data"
    _write(data / LARGE, large, chance)
    _write(data / RANGED, ranged, chance)
    for number in range(small):
        _write(data / "small" / f"{number:05}.bin", SMALL_SIZE, chance)
    publish(folder / "values")

    bare = folder / "bare"
    (bare / "data").mkdir(parents=True)
    os.link(data / LARGE, bare / "data" / LARGE)
    (bare / "index.json").write_text(json.dumps({LARGE: {"size": large}}), "ascii")

    for number in range(_CHUNKS):
        _write(folder / "chunks" / "data" / f"chunk-{number:02}.bin", chunk, chance)
    publish(folder / "chunks")

    for number in range(mebibytes):
        _write(folder / "mebibytes" / "data" / f"{number:03}.bin", 1 << 20, chance)
    publish(folder / "mebibytes")

    (folder / "columns" / "data").mkdir(parents=True)
    _write_table(folder / "columns" / "data" / TABLE, rows)
    publish(folder / "columns")

    (folder / "features" / "data").mkdir(parents=True)
    (folder / "features" / "data" / FEATURES).write_bytes(_roads(features))
    publish(folder / "features", compress="*.geojson" if find_zstd() else None)

    packed = folder / "packed"
    shutil.copytree(data / "small", packed / "data" / "small", copy_function=os.link)
    publish(packed, pack=True)


def _roads(size: int) -> bytes:
    chance = random.Random(1)
    lines = []
    for number in range(_FEATURES_ONCE):
        x, y, ring = chance.uniform(5, 15), chance.uniform(45, 50), []
        for _ in range(20):
            x, y = x + chance.gauss(0, 0.0008), y + chance.gauss(0, 0.0006)
            ring.append([round(x, 5), round(y, 5)])
        kind = chance.choice(["residential", "service", "track", "path"])
        properties = {"id": number, "class": kind, "name": None, "surface": "asphalt"}
        geometry = {"type": "LineString", "coordinates": ring}
        lines.append({"type": "Feature", "properties": properties, "geometry": geometry})
    text = ",\n".join(map(json.dumps, lines)).encode() + b",\n"
    return (text * (size // len(text) + 1))[:size]


def size_of(url: str) -> int:
    """Return the size of a value, according to the host."""
    request = urllib.request.Request(url, method="HEAD")
    with urllib.request.urlopen(request) as answer:
        return int(answer.headers["Content-Length"])


def _write(path: Path, size: int, chance: random.Random) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, size, _PIECE):
            file.write(chance.randbytes(min(_PIECE, size - start)))


def _write_table(path: Path, rows: int) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return
    chance = array("d", random.Random(1).randbytes(8 * rows))
    column = pyarrow.array(memoryview(chance))
    table = pyarrow.table({f"c{number}": column for number in range(4)})
    parquet.write_table(
        table, path, row_group_size=200_000, compression="none", use_dictionary=False
    )


if __name__ == "__main__":
    make_value_sites(Path(sys.argv[1]), large=int(sys.argv[2]))
