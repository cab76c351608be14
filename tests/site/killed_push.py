"""Pushes a site to copies of a folder, and kills itself before the first, second… file is there.

Run as ``python killed_push.py SITE TEMPLATE FOLDER``; it makes ``FOLDER/0``, ``FOLDER/1`` and so
on, and prints how many, when a push has come to its end.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from staticstore.site.push import push
from tests.site.killed_publish import die_at

CALLS = ("fsync", "replace", "unlink")


def main() -> None:
    """Fork a push for each instant, until one survives."""
    site, template, folder = map(Path, sys.argv[1:4])
    for number in range(1000):
        target = folder / str(number)
        shutil.copytree(template, target)
        child = os.fork()
        if not child:
            die_at(number, CALLS)
            push(site, target, delete=True, workers=1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            print(number, os.WEXITSTATUS(status))
            return


if __name__ == "__main__":
    main()
