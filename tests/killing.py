"""Runs something repeatedly, each time killed by ``kill -9`` at a later instant.

A script calls `until_one_survives`, in a process of its own that has no threads
before it forks; a test starts the script with `killed`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Instants", "killed", "until_one_survives"]

ROOT = Path(__file__).parents[1]
CALLS = ("open", "fdopen", "fstat", "mkdir", "utime", "fsync", "replace", "unlink", "scandir")


class Instants:
    """Counts instants, and kills this process at the one with a certain number.

    Parameters
    ----------
    number : int
        How many instants are survived.
    """

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, *counted: object) -> None:
        """Count one instant."""
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def count(self, calls: Sequence[str] = CALLS) -> None:
        """Count each of some system calls, before it is made."""
        for name in calls:
            setattr(os, name, self._before(getattr(os, name)))

    def _before(self, call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            self()
            return call(*arguments, **options)

        return wrapper


def until_one_survives(
    folder: Path, prepare: Callable[[Path], object], act: Callable[[Path, int], int]
) -> None:
    """Fork a child for each instant, until one survives; print its number and its status.

    Parameters
    ----------
    folder : Path
        Each child has a folder of its own in it, named by its number.
    prepare : callable
        Creates that folder.
    act : callable
        The work in it, done by a child that kills itself at the instant with its
        number; returns the status to exit with.
    """
    os.fsync = lambda fd: None  # a kill loses nothing that was written, unlike a power cut
    for number in range(1000):
        own = folder / str(number)
        prepare(own)
        child = os.fork()
        if not child:
            os._exit(act(own, number))
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            print(number, os.WEXITSTATUS(status))
            return


def killed(script: str, *arguments: object) -> int:
    """Run a script, and return how many of its children were killed; the last one succeeded.

    Parameters
    ----------
    script : str
        Its name as a module.
    arguments
        For the script.
    """
    run = subprocess.run(
        [sys.executable, "-m", script, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    survived, status = map(int, run.stdout.split())
    assert status == 0
    return survived
