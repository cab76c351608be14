"""Polls of a site where nothing has changed, and where ten entries have."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ..stores import connect_encore, connect_ours
from . import Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]


def _poll(connect: Callable[[str], Any], before: str, after: str | None) -> Run:
    """Poll again after the site has changed from one state to another."""

    def run(place: Place) -> Figures:
        place.site.show(before)
        store = connect(place.site.url)
        if after is not None:
            place.site.show(after)
        with place.meter.measuring() as figures:
            store.update_index()
        return figures

    return run


def _told(place: Place) -> Figures:
    """Poll as soon as the new head has its name, and time a subscriber's call."""
    place.site.show("first")
    store = connect_ours(place.site.url)
    told: list[float] = []
    store.subscribe(lambda change: told.append(time.perf_counter()))
    place.site.show("ten")  # the head last
    began = time.perf_counter()
    store.update_index()
    return {"seconds": told[0] - began}


def _from_the_last_byte(connect: Callable[[str], Any], parser: str, before: str, after: str) -> Run:
    """Poll, timed from the call of the parser, when the last byte has been hashed."""

    def run(place: Place) -> Figures:
        place.site.show(before)
        store = connect(place.site.url)
        place.site.show(after)
        with _noting_calls(parser) as called:
            store.update_index()
            ended = time.perf_counter()
        return {"seconds": ended - called[-1]}

    return run


@contextmanager
def _noting_calls(name: str) -> Iterator[list[float]]:
    """Record when a function is called."""
    from staticstore import Index

    called: list[float] = []
    owner, attribute = (Index, "parse") if name == "Index.parse" else (json, "loads")
    function: Callable[..., Any] = getattr(owner, attribute)

    def noting(*arguments: Any, **options: Any) -> Any:
        called.append(time.perf_counter())
        return function(*arguments, **options)

    with mock.patch.object(owner, attribute, noting):
        yield called


SUBJECTS = [
    Subject(
        "nothing",
        "a poll that finds nothing",
        {
            "ours": _poll(connect_ours, "first", None),
            "encore": _poll(connect_encore, "first", None),
        },
        (Target("ours", "cpu", 2e-3), Target("ours", "wire", 2e3)),
        rounds=3,
    ),
    Subject(
        "changes",
        "10 changes, by head and change file",
        {
            "ours": _poll(connect_ours, "first", "ten"),
            "encore": _poll(connect_encore, "first", "ten"),
        },
        (Target("ours", "cpu", 5e-3), Target("ours", "wire", 5e3 + 10 * 400)),
        rounds=3,
    ),
    Subject(
        "told",
        "10 changes: from the new head's rename to the first call of a subscriber",
        {"ours": _told},
        (Target("ours", "seconds", 50e-3),),
        rounds=7,
    ),
    Subject(
        "blocks",
        "10 changes, by blocks",
        {"ours": _poll(connect_ours, "first", "blocks")},
        (Target("ours", "seconds", 150e-3), Target("ours", "wire", 2e6)),
    ),
    Subject(
        "whole",
        "10 changes, whole index: from the last byte to the swap",
        {
            "ours": _from_the_last_byte(connect_ours, "Index.parse", "first", "whole"),
            "ours, other form": _from_the_last_byte(
                connect_ours, "Index.parse", "other", "other-ten"
            ),
            "encore": _from_the_last_byte(connect_encore, "json.loads", "first", "whole"),
        },
        (
            Target("ours", "seconds", 100, "encore"),
            Target("ours, other form", "seconds", 6, "encore"),
        ),
        rounds=3,
    ),
]
