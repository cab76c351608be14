"""``python -m staticstore``, and the console script of the same name."""

from __future__ import annotations

import gc
import importlib.util
import signal
import sys
from typing import NoReturn

from . import tuning

__all__ = ["main"]

_NEEDED = ("click", "rich", "werkzeug")


def main() -> int:
    """Run the command line if its dependencies are installed.

    Returns
    -------
    int
        The exit code.
    """
    gc.set_threshold(tuning.COLLECTION_ALLOCATIONS)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _end)
    try:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            needs = f"the command line needs the package `{missing[0]}`"
            print(f"{needs}, which the extra `cli` brings", file=sys.stderr)
            return 1
        from .cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # during these imports
        return 130


def _end(number: int, frame: object) -> NoReturn:
    # As an exception, so that temporary files are removed.
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
