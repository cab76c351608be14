"""Copies a signed site into copies of a folder, and kills itself at each few system calls.

Run as ``python -m tests.site.signatures.killed_copying ACTION SITE TEMPLATE FOLDER STEP``, where
ACTION is one of `ACTIONS`: ``verified`` mirrors with the site's first root document.
"""

from __future__ import annotations

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import filelock  # noqa: F401  # before the fork, to be fast
import requests  # noqa: F401
import tuf.ngclient  # noqa: F401

from staticstore import StaticStore
from staticstore.site.mirror import mirror
from staticstore.site.push import push
from tests.killing import Instants, until_one_survives

__all__ = ["ACTIONS", "copy_site"]

ACTIONS = ("mirror", "verified", "push")
# Between two of them readers find the same files.
_CALLS = ("mkdir", "link", "utime", "rename", "replace", "unlink", "rmdir")


def copy_site(site: Path, target: Path, action: str, began: Instants | None = None) -> None:
    """Copy a site; count instants from when the copy begins."""
    if action == "push":
        if began is not None:
            began.count(_CALLS)
        report = push(site, target, delete=True, workers=1)
        assert not report.failed
        return
    trust = site / "trust" / "1.root.json" if action == "verified" else None
    with StaticStore(site, poll_interval=0, trust=trust) as store:
        if began is not None:
            began.count(_CALLS)
        assert not mirror(store, target, workers=1).failed


def main() -> None:
    """Fork a copying process for each instant, until one survives."""
    action = sys.argv[1]
    site, template, folder = map(Path, sys.argv[2:5])
    step = int(sys.argv[5])

    def act(target: Path, number: int) -> int:
        os.cpu_count = lambda: 1  # one thread: the instants are nearly the same in each run
        copy_site(site, target, action, Instants(step * number))
        return 0

    until_one_survives(folder, partial(shutil.copytree, template), act)


if __name__ == "__main__":
    main()
