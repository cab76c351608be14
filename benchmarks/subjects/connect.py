"""From start to the first entry, with a server on loopback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..stores import a_key, connect_encore, connect_ours
from . import Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]


def _first_get(connect: Callable[[str], Any], state: str) -> Run:
    """Import, connect, and look a key up."""

    def run(place: Place) -> Figures:
        place.site.show(state)
        with place.meter.measuring() as figures:
            connect(place.site.url).get_metadata(a_key(place.count))
        return figures

    return run


def _with_imports(connect: Callable[[str], Any], state: str) -> Run:
    """Do the same in a process that has connected to another site before."""

    def run(place: Place) -> Figures:
        import requests

        assert requests
        place.site.show("small")
        connect(place.site.url).disconnect()
        return _first_get(connect, state)(place)

    return run


def _lazily(url: str) -> Any:
    return connect_ours(url, lazy=True)


SUBJECTS = [
    Subject(
        "connect",
        "import, connect and first get",
        {
            "ours": _first_get(connect_ours, "first"),
            "ours, other form": _first_get(connect_ours, "other"),
            "ours, lazy": _first_get(_lazily, "first"),
            "encore": _first_get(connect_encore, "first"),
        },
        (
            Target("ours", "seconds", 18, "encore"),
            Target("ours", "peak", 4, "encore"),
            Target("ours, other form", "seconds", 5, "encore"),
            Target("ours, lazy", "seconds", 80, "encore"),
        ),
        rounds=3,
    ),
    Subject(
        "connect-again",
        "connect and first get, all imported",
        {
            "ours, lazy": _with_imports(_lazily, "first"),
            "encore": _with_imports(connect_encore, "first"),
        },
        (
            Target("ours, lazy", "seconds", 1000, "encore"),
            Target("ours, lazy", "wire", 150e3),
            Target("ours, lazy", "grown", 10e6),
        ),
        rounds=3,
    ),
]
