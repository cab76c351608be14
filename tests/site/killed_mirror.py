"""Mirrors a site into copies of a folder, and kills itself at every third system call.

Run as ``python -m tests.site.killed_mirror URL TEMPLATE FOLDER FIRST``; it makes ``FOLDER/0``,
``FOLDER/1`` and so on, the first of which is killed at the call FIRST, and prints how many, when a
mirror has come to its end.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import filelock  # noqa: F401  # before the fork, to be fast
import requests  # noqa: F401

from staticstore import StaticStore
from staticstore.site.mirror import mirror
from tests.killing import Instants, until_one_survives

STEP = 3  # system calls between two instants


def main() -> None:
    """Fork a mirror for each instant, until one survives."""
    url = sys.argv[1]
    template, folder = map(Path, sys.argv[2:4])
    first = int(sys.argv[4])

    def act(copy: Path, number: int) -> int:
        os.cpu_count = lambda: 1  # one thread: the instants are nearly the same in each run
        with StaticStore(url, poll_interval=0) as store:
            Instants(first + STEP * number).count()
            return len(mirror(store, copy, workers=1).failed)

    until_one_survives(folder, partial(shutil.copytree, template), act)


if __name__ == "__main__":
    main()
