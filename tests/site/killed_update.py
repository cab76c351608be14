"""Publishes a few changes to copies of a site, killed at the first, second… system call.

Run as ``python -m tests.site.killed_update TEMPLATE FOLDER [pack]``, as `killed_publish`.
Each copy is published before it is changed, so that only the changes are looked at.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import filelock  # noqa: F401  # before the fork, to be fast

from staticstore.site.publisher import PublishOptions, publish, publish_touched
from tests.killing import Instants, until_one_survives

from .sitefolder import fill

__all__ = ["CHANGED", "change"]

#: The paths at which `change` changes something.
CHANGED = ("f01", "a/f03", "new")


def change(site: Path) -> None:
    """Change one file, remove one and add one."""
    fill(site / "data", {"f01": b"other", "new": b"new"})
    (site / "data" / "a" / "f03").unlink()


def main() -> None:
    """Fork a publisher for each instant, until one survives."""
    template, folder = map(Path, sys.argv[1:3])
    pack = sys.argv[3:] == ["pack"]

    def prepare(site: Path) -> None:
        shutil.copytree(template, site)
        publish(site, pack=pack)
        change(site)

    def act(site: Path, number: int) -> int:
        os.cpu_count = lambda: 1  # one thread: the instants are the same in each run
        Instants(number).count()
        publish_touched(site, CHANGED, PublishOptions(pack=pack))
        return 0

    until_one_survives(folder, prepare, act)


if __name__ == "__main__":
    main()
