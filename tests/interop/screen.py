"""Requirements of windows: a virtual screen, and a toolkit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from tests.servers.debian import Unavailable, install, unavailable

__all__ = ["Screen", "require_modules"]


class Screen:
    """An X server in memory (Xvfb), at a free display number; `close` stops it."""

    def __init__(self) -> None:
        if shutil.which("Xvfb") is None:
            try:
                install("Xvfb", "xvfb")  # it looks for its keyboards below /usr only
            except Unavailable as error:
                unavailable(error)
        reader, writer = os.pipe()
        self._process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"],
            pass_fds=[writer],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writer)
        with open(reader, encoding="ascii") as received:
            #: The value for `DISPLAY`.
            self.name = f":{received.readline().strip()}"
        assert self.name != ":", "Xvfb did not start"

    def close(self) -> None:
        """Stop the server."""
        self._process.terminate()
        self._process.wait()


def require_modules(*modules: str, packages: Sequence[str]) -> None:
    """Skip the test, or fail it on CI, if modules cannot be imported, even with these packages.

    They are imported by a separate process, since a toolkit cannot be unloaded.
    """
    if _defect(modules):
        try:
            install(modules[0], *packages)
        except Unavailable as error:
            unavailable(error)
    if defect := _defect(modules):
        unavailable(Unavailable(modules[0], defect))


def _defect(modules: Sequence[str]) -> str | None:
    code = f"import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else None
