"""A server program that says on its output where it listens, as a process on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Sequence
from typing import Self

from .daemon import GUARD, PATIENCE


class AnnouncedServer:
    """Runs a program until the end of the ``with`` block.

    Parameters
    ----------
    program : sequence of str
        The command.
    ready : pattern of bytes
        Matches the line of its output that has the URL, as its first group.
    """

    def __init__(self, program: Sequence[str], ready: re.Pattern[bytes]) -> None:
        self.url = ""
        self._program = program
        self._ready = ready
        self._lines: list[str] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._program,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._process.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        with self._changed:
            assert self._changed.wait_for(lambda: self.url, PATIENCE * 3), self._lines
        return self

    def __exit__(self, *error: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._guard.communicate()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as log:
            for line in log:
                with self._changed:
                    if ready := self._ready.search(line):
                        self._announced(ready)
                        self.url = ready[1].decode()
                    self._lines.append(line.decode(errors="replace"))
                    self._changed.notify_all()

    def _announced(self, ready: re.Match[bytes]) -> None:
        """Note what else it says."""
