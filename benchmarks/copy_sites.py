"""Sites to copy and to publish again; each run makes the same.

mirrored    10,000 values of 4 KiB, in a hundred folders
packs       the same, published with packs
gigabytes   four large values
many        100,000 values of 4 KiB; and ``many-copy``, a mirror of it
unpublished links to the files of ``many`` and ``gigabytes``, to be published as new files
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path

from staticstore import StaticStore, mirror, publish

__all__ = ["make_copy_sites"]

_SMALL_SIZE = 4 << 10
_PIECE = 1 << 20


def make_copy_sites(folder: Path, *, large: int, small: int = 10_000, many: int = 100_000) -> None:
    """Make a folder for each state.

    Parameters
    ----------
    folder : Path
        Where to make it.
    large : int
        Bytes of each large value.
    small, many : int
        The number of values of 4 KiB.
    """
    chance = random.Random(1)
    for state, count in (("mirrored", small), ("many", many)):
        for number in range(count):
            path = folder / state / "data" / f"{number % 100:02}" / f"{number:06}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(chance.randbytes(_SMALL_SIZE))
    for number in range(4):
        path = folder / "gigabytes" / "data" / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for start in range(0, large, _PIECE):
                file.write(chance.randbytes(min(_PIECE, large - start)))
    _link(folder, "mirrored", "packs")
    for state in ("many", "gigabytes"):
        _link(folder, state, f"unpublished-{state}")
    publish(folder / "packs", pack=True)
    for state in ("mirrored", "many", "gigabytes"):
        publish(folder / state)
    with StaticStore(folder / "many", poll_interval=0) as store:
        mirror(store, folder / "many-copy")


def _link(folder: Path, state: str, other: str) -> None:
    shutil.copytree(folder / state, folder / other, copy_function=os.link)


if __name__ == "__main__":
    make_copy_sites(Path(sys.argv[1]), large=int(sys.argv[2]))
