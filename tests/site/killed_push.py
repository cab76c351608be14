"""Pushes a site to copies of a folder, and kills itself before the first, second… file is there.

Run as ``python -m tests.site.killed_push SITE TEMPLATE FOLDER``; it makes ``FOLDER/0``,
``FOLDER/1`` and so on, and prints how many, when a push has come to its end.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from pathlib import Path

from staticstore.site.push import push
from tests.killing import Instants, until_one_survives

CALLS = ("fsync", "replace", "unlink")


def main() -> None:
    """Fork a push for each instant, until one survives."""
    site, template, folder = map(Path, sys.argv[1:4])

    def act(target: Path, number: int) -> int:
        Instants(number).count(CALLS)
        push(site, target, delete=True, workers=1)
        return 0

    until_one_survives(folder, partial(shutil.copytree, template), act)


if __name__ == "__main__":
    main()
