"""Download a value, killing the process at each system call or piece in turn.

Run as ``python -m tests.transport.values.killed_download URL KEY FOLDER``; it downloads to
``FOLDER/0``, ``FOLDER/1`` and so on, until a download completes, and prints their number.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from staticstore import StaticStore, tuning
from tests.killing import Instants, until_one_survives

CALLS = ("open", "fdopen", "fstat", "fsync", "replace", "unlink")


def main() -> None:
    """Fork a download for each instant, until one survives."""
    url, key = sys.argv[1:3]
    tuning.VALUE_PIECE_BYTES = 1 << 16  # more instants

    def act(folder: Path, number: int) -> int:
        instant = Instants(number)
        with StaticStore(url, poll_interval=0) as store:
            instant.count(CALLS)
            store.to_file(key, folder / "copy", instant)
        return 0

    with (  # import all before the forks, to be fast
        tempfile.TemporaryDirectory() as scratch,
        StaticStore(url, poll_interval=0) as store,
    ):
        store.to_file(key, Path(scratch) / "copy")
    until_one_survives(Path(sys.argv[3]), Path.mkdir, act)


if __name__ == "__main__":
    main()
