"""Folders with the index of a conda channel, without its packages.

channel         so many packages, of 510 bytes each, but at most 100,000
large-channel   five times as many
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.formats.channels import repodata_bytes

__all__ = ["DOCUMENT", "make_channels"]

#: The name of the index.
DOCUMENT = "repodata.json"
_LARGE_FACTOR = 5
_MOST_PACKAGES = 100_000  # ten times as many would take minutes to make and read


def make_channels(folder: Path, count: int) -> None:
    """Make a folder for each state."""
    count = min(count, _MOST_PACKAGES)
    for state, packages in (("channel", count), ("large-channel", _LARGE_FACTOR * count)):
        (folder / state).mkdir()
        (folder / state / DOCUMENT).write_bytes(repodata_bytes(packages))


if __name__ == "__main__":
    make_channels(Path(sys.argv[1]), int(sys.argv[2]))
