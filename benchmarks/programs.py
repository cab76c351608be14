"""Programs that are measured from their start: ours and others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .subjects import CannotRun, Figures, Place, Run

__all__ = ["FAST", "FIND", "find_files", "measured", "staticstore"]

#: The modules of the extra `fast`.
FAST = "pycurl"
#: The name of `find_files` as a contender.
FIND = "find -printf '%s %T@'"

_WITHOUT_FAST = f"""
import sys
sys.modules[{FAST!r}] = None
from staticstore.__main__ import main
sys.exit(main())
"""


def staticstore(*arguments: object, fast: bool = True) -> list[str]:
    """Return the command line of our program, with the extra `fast` or without it."""
    started = ["-m", "staticstore"] if fast else ["-c", _WITHOUT_FAST]
    return [sys.executable, *started, *map(str, arguments), "--quiet"]


def measured(place: Place, *command: object, output: Path | None = None) -> Figures:
    """Run and measure a program; its output is discarded, or written to a file."""
    program = str(command[0])
    if shutil.which(program) is None:
        raise CannotRun(f"there is no program {program}")
    with (output or Path("/dev/null")).open("wb") as file, place.meter.measuring() as figures:
        subprocess.run([str(part) for part in command], stdout=file, check=True)
    return {name: figures[name] for name in ("seconds", "wire")}


def find_files(state: str) -> Run:
    """Return the run of `FIND` over the values of a site, the least that looks at each."""

    def run(place: Place) -> Figures:
        data = place.site.folder(state) / "data"
        return measured(place, "find", data, "-type", "f", "-printf", r"%s %T@\n")

    return run
