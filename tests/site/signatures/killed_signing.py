"""Signs copies of a site, and kills itself at the first, second, third… system call.

Run as ``python -m tests.site.signatures.killed_signing TEMPLATE FOLDER ACTION STEP``, where ACTION
is one of `ACTIONS`, and TEMPLATE has a site and keys.  Of the instants each STEP-th is taken.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

import filelock  # noqa: F401  # before the fork, to be fast

from staticstore.site.documents.exports import EXPORTS
from staticstore.site.publisher import publish
from staticstore.site.signatures.renewal import renew
from staticstore.site.signatures.rotation import rotate_keys
from tests.killing import Instants, until_one_survives
from tests.site.signatures.conftest import PASSPHRASE, opened

__all__ = ["ACTIONS", "EVERYTHING", "act_on"]

#: What a publisher does, and which of the instants of it a test takes.
ACTIONS = {
    "publish": 1,
    "everything": 6,
    "unsign": 4,
    "renew": 1,
    "rotate-publish": 1,
    "rotate-renew": 2,
    "rotate-root": 1,
}
#: The options of a publish that writes files of every kind.
EVERYTHING: dict[str, Any] = {"pack": True, "compress": "*.csv", "also": sorted(EXPORTS)}
# Between two of them readers find the same files.
_CALLS = ("mkdir", "link", "utime", "rename", "replace", "unlink", "rmdir")


def act_on(folder: Path, action: str) -> None:
    """Do what a test kills, in a folder with a site and keys."""
    site, keys = folder / "site", opened(folder / "keys")
    if action == "publish":
        publish(site, sign=keys)
    elif action == "everything":
        publish(site, sign=keys, **EVERYTHING)
    elif action == "unsign":
        publish(site, unsign=True)
    elif action == "renew":
        renew(site, keys)
    else:
        rotate_keys(site, action.removeprefix("rotate-"), keys, lambda: [PASSPHRASE])


def main() -> None:
    """Fork a publisher for each instant, until one survives."""
    template, folder = map(Path, sys.argv[1:3])
    step = int(sys.argv[4])

    def act(copy: Path, number: int) -> int:
        os.cpu_count = lambda: 1  # one thread: the instants are the same in each run
        Instants(step * number).count(_CALLS)
        act_on(copy, sys.argv[3])
        return 0

    until_one_survives(folder, partial(shutil.copytree, template), act)


if __name__ == "__main__":
    main()
