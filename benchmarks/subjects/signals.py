"""Signals for many changes, with a handler and without."""

from __future__ import annotations

from typing import Any

from ..indexes import changed, entries, other_form
from . import Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_MOST = 100_000


def _announced(with_handler: bool) -> Run:
    """Announce changes, and measure the seconds of each."""

    def run(place: Place) -> Figures:
        from staticstore import Index, key_updated
        from staticstore.client.telling.deliveries import announce_changes
        from staticstore.index.changes import diff

        count = min(place.count, _MOST)
        index = entries(count)
        changes = diff(
            Index.parse(other_form(index)), Index.parse(other_form(changed(index, count)))
        )
        assert len(changes) == count
        sender, heard = object(), [0]

        def handler(store: object, **arguments: Any) -> None:
            heard[0] += 1

        if with_handler:
            key_updated.connect(handler, sender=sender)
        with place.meter.measuring() as figures:
            announce_changes(sender, changes, ())
        assert heard[0] == (count if with_handler else 0)
        return {"seconds": figures["seconds"] / count}

    return run


def _blinker(place: Place) -> Figures:
    """Send as many signals by blinker alone."""
    from blinker import Signal

    signal, sender, count = Signal(), object(), min(place.count, _MOST)
    metadata = {"title": "x"}

    def handler(store: object, **arguments: Any) -> None: ...

    signal.connect(handler, sender=sender)
    with place.meter.measuring() as figures:
        for _ in range(count):
            signal.send(sender, key="k", metadata=metadata, previous=metadata)
    return {"seconds": figures["seconds"] / count}


SUBJECTS = [
    Subject(
        "signals",
        "100,000 changes, each",
        {"ours": _announced(True), "ours, no handler": _announced(False), "blinker": _blinker},
        (Target("ours", "seconds", 6e-6), Target("ours, no handler", "seconds", 1e-8)),
    )
]
