"""The cost of importing, in a new interpreter."""

from __future__ import annotations

import subprocess
import sys
import time

from . import Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]


def _starting(code: str) -> Run:
    def run(place: Place) -> Figures:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        with_it = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        return {"seconds": 2 * with_it - began - time.perf_counter()}

    return run


SUBJECTS = [
    Subject(
        "imports",
        "import, above Python itself",
        {
            "staticstore": _starting("import staticstore"),
            "requests": _starting("import requests"),
        },
        (Target("staticstore", "seconds", 40e-3),),
        rounds=15,
    )
]
