"""Publishes copies of a site, and kills itself at the first, second, third… system call.

Run as ``python killed_publish.py TEMPLATE FOLDER [pack]``; it makes ``FOLDER/0``, ``FOLDER/1`` and
so on, and prints how many, when a publish has come to its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import filelock  # noqa: F401  # before the fork, to be fast

from staticstore.site.publisher import publish

CALLS = ("open", "fdopen", "fstat", "mkdir", "utime", "fsync", "replace", "unlink", "scandir")


def die_at(number: int, calls: Sequence[str] = CALLS) -> None:
    """Kill this process at the call with that number, before it is made."""
    made = 0

    def counted(call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            if made == number:
                os.kill(os.getpid(), signal.SIGKILL)
            made += 1
            return call(*arguments, **options)

        return wrapper

    for name in calls:
        setattr(os, name, counted(getattr(os, name)))


def main() -> None:
    """Fork a publisher for each instant, until one survives."""
    template, folder = map(Path, sys.argv[1:3])
    pack = sys.argv[3:] == ["pack"]
    for number in range(1000):
        site = folder / str(number)
        shutil.copytree(template, site)
        child = os.fork()
        if not child:
            os.cpu_count = lambda: 1  # one thread: the instants are the same in each run
            die_at(number)
            publish(site, pack=pack)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            print(number, os.WEXITSTATUS(status))
            return


if __name__ == "__main__":
    main()
