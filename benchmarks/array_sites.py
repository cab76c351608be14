"""Sites with an array of zarr, of random bytes that no codec compresses.

small-chunks    2,000 chunks of 16 KiB
large-chunks    64 chunks of 4 MiB
sharded         4 shards of 256 chunks of 16 KiB
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

from staticstore import publish

__all__ = ["ARRAY", "CHUNK_SIZE", "make_array_sites"]

#: The prefix of the array.
ARRAY = "cube.zarr"
#: Bytes of a small chunk.
CHUNK_SIZE = 16 << 10
_LARGE_SIZE = 4 << 20  # of a large chunk, and of a shard


def make_array_sites(folder: Path, *, small: int = 2_000, large: int = 64, shards: int = 4) -> None:
    """Make a folder for each state, with so many chunks or shards; none without zarr."""
    try:
        import zarr
    except ImportError:
        return
    chance = random.Random(1)
    for state, count, chunk, shard in [
        ("small-chunks", small, CHUNK_SIZE, None),
        ("large-chunks", large, _LARGE_SIZE, None),
        ("sharded", shards * _LARGE_SIZE // CHUNK_SIZE, CHUNK_SIZE, _LARGE_SIZE),
    ]:
        array: Any = zarr.create_array(
            str(folder / state / "data" / ARRAY),
            shape=(count * chunk,),
            chunks=(chunk,),
            shards=None if shard is None else (shard,),
            dtype="u1",
            compressors=None,
        )
        step = shard or chunk
        for start in range(0, count * chunk, step):
            array[start : start + step] = memoryview(chance.randbytes(step))
        publish(folder / state)


if __name__ == "__main__":
    make_array_sites(Path(sys.argv[1]))
