"""How long another thread, such as that of a window, waits for the interpreter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..stores import connect_ours
from . import Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS", "watching"]

_PAUSE = 0.001  # seconds


@contextmanager
def watching() -> Iterator[Figures]:
    """Record the longest delay with which a thread woke during the block."""
    figures: Figures = {"seconds": 0.0}
    ended, started = threading.Event(), threading.Event()

    def watch() -> None:
        started.set()
        while not ended.is_set():
            began = time.perf_counter()
            time.sleep(_PAUSE)
            late = time.perf_counter() - began - _PAUSE
            figures["seconds"] = max(figures["seconds"], late)

    thread = threading.Thread(target=watch)
    thread.start()
    started.wait()
    try:
        yield figures
    finally:
        ended.set()
        thread.join()


def _connect(place: Place) -> Figures:
    place.site.show("first")
    import requests

    assert requests
    with watching() as figures:
        connect_ours(place.site.url)
    return figures


def _poll(state: str | None) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("first")
        store = connect_ours(place.site.url)
        list(store.query_keys(type="vector"))
        if state is not None:
            place.site.show(state)
        with watching() as figures:
            store.update_index()
        return figures

    return run


def _query(ask: Callable[[Any], object]) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("first")
        store = connect_ours(place.site.url)
        with watching() as figures:
            ask(store)
        return figures

    return run


def _idle(place: Place) -> Figures:
    with watching() as figures:
        time.sleep(0.5)
    return figures


_RUNS: dict[str, Run] = {
    "idle": _idle,
    "connect": _connect,
    "poll: nothing": _poll(None),
    "poll: change file": _poll("ten"),
    "poll: blocks": _poll("blocks"),
    "poll: whole": _poll("whole"),
    "first query": _query(lambda store: list(store.query_keys(type="vector"))),
    "to_arrow": _query(lambda store: store.to_arrow()),
    "query of two": _query(lambda store: list(store.query_keys(type="vector", tile="T001"))),
}

SUBJECTS = [
    Subject(
        "waits",
        "the longest wait of another thread",
        _RUNS,
        tuple(Target(name, "seconds", 20e-3) for name in _RUNS if name != "idle"),
    )
]
