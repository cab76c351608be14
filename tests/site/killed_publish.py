"""Publishes copies of a site, and kills itself at the first, second, third… system call.

Run as ``python -m tests.site.killed_publish TEMPLATE FOLDER [more]``; it makes
``FOLDER/0``, ``FOLDER/1`` and so on, and prints how many, when a publish has come to its end.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

from staticstore.site.publisher import publish
from tests.killing import Instants, until_one_survives


def main() -> None:
    """Fork a publisher for each instant, until one survives."""
    template, folder = map(Path, sys.argv[1:3])
    more = sys.argv[3:] == ["more"]  # packs and compressed copies

    def publish_so(site: Path) -> None:
        publish(site, pack=more, compress="*" if more else None)

    def act(site: Path, number: int) -> int:
        os.cpu_count = lambda: 1  # one thread: the instants are the same in each run
        Instants(number).count()
        publish_so(site)
        return 0

    with tempfile.TemporaryDirectory() as scratch:  # import all before the forks, to be fast
        publish_so(Path(shutil.copytree(template, Path(scratch) / "site")))
    until_one_survives(folder, partial(shutil.copytree, template), act)


if __name__ == "__main__":
    main()
