"""Downloads a value, and kills itself at the first, second, third… system call or piece.

Run as ``python killed_download.py URL KEY FOLDER``; it downloads to ``FOLDER/0``, ``FOLDER/1`` and
so on, and prints how many, when a download has come to its end.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import filelock  # noqa: F401  # before the fork, to be fast

from staticstore import StaticStore
from staticstore.transport import stream

CALLS = ("open", "fdopen", "fstat", "fsync", "replace", "unlink")


class Instants:
    """Counts, and kills this process at the instant with some number."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, *counted: object) -> None:
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def before(self, call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            self()
            return call(*arguments, **options)

        return wrapper


def main() -> None:
    """Fork a download for each instant, until one survives."""
    url, key = sys.argv[1:3]
    stream.PIECE = 1 << 16  # more instants
    for number in range(1000):
        folder = Path(sys.argv[3]) / str(number)
        folder.mkdir()
        child = os.fork()
        if not child:
            instant = Instants(number)
            with StaticStore(url, poll_interval=0) as store:
                for name in CALLS:
                    setattr(os, name, instant.before(getattr(os, name)))
                store.to_file(key, folder / "copy", instant)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if os.WIFEXITED(status):
            print(number, os.WEXITSTATUS(status))
            return


if __name__ == "__main__":
    main()
