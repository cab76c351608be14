"""Publishes copies of a site, and kills itself at the first, second, third… system call.

Run as ``python -m tests.site.killed_publish TEMPLATE FOLDER [pack|compress]``; it makes
``FOLDER/0``, ``FOLDER/1`` and so on, and prints how many, when a publish has come to its end.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import filelock  # noqa: F401  # before the fork, to be fast

from staticstore.site.publisher import publish
from tests.killing import Instants, until_one_survives


def main() -> None:
    """Fork a publisher for each instant, until one survives."""
    template, folder = map(Path, sys.argv[1:3])
    pack, compress = (sys.argv[3:] == [one] for one in ("pack", "compress"))

    def act(site: Path, number: int) -> int:
        os.cpu_count = lambda: 1  # one thread: the instants are the same in each run
        Instants(number).count()
        publish(site, pack=pack, compress="*" if compress else None)
        return 0

    until_one_survives(folder, partial(shutil.copytree, template), act)


if __name__ == "__main__":
    main()
