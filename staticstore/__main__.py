"""``python -m staticstore``, and the console script of the same name."""

from __future__ import annotations

import gc
import importlib.util
import sys

__all__ = ["main"]

_NEEDED = ("click", "rich", "werkzeug")
# What a command makes of a large site it keeps until it ends.  Looking through that for
# cycles as often as Python does by itself takes a tenth of the time.
_ALLOCATIONS_BETWEEN_COLLECTIONS = 100_000


def main() -> int:
    """Run the command line, if what it needs is installed.

    Returns
    -------
    int
        The exit code.
    """
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS)
    try:
        if any(importlib.util.find_spec(name) is None for name in _NEEDED):
            print("the command line needs more: pip install 'staticstore[cli]'", file=sys.stderr)
            return 1
        from .cli import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:  # while all of that was still being imported
        return 130


if __name__ == "__main__":
    sys.exit(main())
