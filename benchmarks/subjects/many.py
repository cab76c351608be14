"""Many small values: one request after another, many at once, or all from a pack."""

from __future__ import annotations

import hashlib
import json
import sys
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest import mock

from ..fetchers import (
    Client,
    Piece,
    aiohttp_client,
    fsspec_client,
    http_client,
    obstore_client,
    obstore_threads,
    pycurl_client,
    requests_client,
    urllib3_client,
)
from ..line import line_to
from ..stores import connect_encore, connect_ours
from ..value_sites import SMALL_SIZE
from . import CannotRun, Figures, Place, Run, Site, Subject, Target

__all__ = ["FAST", "SUBJECTS", "far_away", "with_fast", "without_fast"]

#: The modules of the extra `fast`.
FAST = "pycurl"

_DELAY = 20e-3  # seconds a round trip


def with_fast(run: Run) -> Run:
    """Run with the extra `fast`, or not at all."""

    def run_with(place: Place) -> Figures:
        try:
            __import__(FAST)
        except ImportError as error:
            raise CannotRun(str(error)) from error
        return run(place)

    return run_with


def without_fast(run: Run) -> Run:
    """Run as if the extra `fast` were not installed."""

    def run_without(place: Place) -> Figures:
        with mock.patch.dict(sys.modules, {FAST: None}):
            return run(place)

    return run_without


def _read_many(state: str = "values") -> Run:
    def run(place: Place) -> Figures:
        place.site.show(state)
        digests = _digests(place)
        with connect_ours(place.site.url) as store:
            list(store.read_many([min(digests)]))  # so that all is imported
            with place.meter.measuring() as figures:
                found = dict(store.read_many(digests))
        _check([found[key] for key in digests], digests)
        return figures

    return run


def _one_by_one_by_encore(place: Place) -> Figures:
    place.site.show("values")
    digests = _digests(place)
    store = connect_encore(place.site.url)
    with place.meter.measuring() as figures:
        bodies = [store.get_data(key).read() for key in digests]
    _check(bodies, digests)
    return figures


def _fetch(client: Client, at_once: int, *, as_ranges: bool = False) -> Run:
    """Fetch each value, or as its equivalent the range that it fills."""

    def run(place: Place) -> Figures:
        place.site.show("values")
        digests = _digests(place)
        end = SMALL_SIZE if as_ranges else None
        pieces = [Piece(f"data/{key}", end=end) for key in digests]
        with client(place.site.url, at_once) as fetch, place.meter.measuring() as figures:
            bodies = fetch(pieces)
        _check(bodies, digests)
        return figures

    return run


def far_away(run: Run, *, rate: float | None = None) -> Run:
    """Run through a relay that delays; loopback then counts each byte twice.

    With a rate, each connection gives so many bytes a second, at most.
    """

    def run_far_away(place: Place) -> Figures:
        with line_to(place.site.url, delay=_DELAY, rate=rate) as (url, _):
            figures = run(replace(place, site=_Moved(place.site, url)))
        return {name: value for name, value in figures.items() if name != "wire"}

    return run_far_away


@dataclass
class _Moved:
    """A site at another URL."""

    site: Site
    url: str

    def folder(self, state: str) -> Path:
        return self.site.folder(state)

    def at(self, state: str) -> str:
        return self.site.at(state)

    def scratch(self) -> Path:
        return self.site.scratch()

    def show(self, state: str) -> None:
        self.site.show(state)


def _digests(place: Place) -> dict[str, str]:
    """Return the sha256 of each small value by its key."""
    with urllib.request.urlopen(f"{place.site.url}index.json") as answer:
        index = json.load(answer)
    return {key: entry["sha256"] for key, entry in index.items() if key.startswith("small/")}


def _check(bodies: Iterable[Any], digests: dict[str, str]) -> None:
    found = [hashlib.sha256(body).hexdigest() for body in bodies]
    assert found == list(digests.values()), "these are other bytes"


_OBSTORE = {
    "obstore, 16 at once": _fetch(obstore_client, 16),
    "obstore, 32 at once": _fetch(obstore_client, 32),
    "obstore, get_range, 16 at once": _fetch(obstore_client, 16, as_ranges=True),
    "obstore, 4 threads": _fetch(obstore_threads, 4),
    "obstore, 16 threads": _fetch(obstore_threads, 16),
}

SUBJECTS = [
    Subject(
        "many",
        "2,000 values of 1 KiB",
        {
            "ours, packed": _read_many("packed"),
            "ours, with `fast`": with_fast(_read_many()),
            "ours": without_fast(_read_many()),
            **_OBSTORE,
            "aiohttp, 16 at once": _fetch(aiohttp_client, 16),
            "aiohttp, 32 at once": _fetch(aiohttp_client, 32),
            "fsspec": _fetch(fsspec_client, 32),
            "pycurl, 16 at once": _fetch(pycurl_client, 16),
            "pycurl, 32 at once": _fetch(pycurl_client, 32),
            "requests, 16 threads": _fetch(requests_client, 16),
            "urllib3, 1 thread": _fetch(urllib3_client, 1),
            "urllib3, 16 threads": _fetch(urllib3_client, 16),
            "http.client, 4 threads": _fetch(http_client, 4),
            "encore": _one_by_one_by_encore,
        },
        (
            Target("ours, packed", "seconds", 10, tuple(_OBSTORE)),
            Target("ours, with `fast`", "seconds", 1.5, tuple(_OBSTORE)),
            Target("ours", "seconds", 2.5, "requests, 16 threads"),
        ),
        sites="values",
    ),
    Subject(
        "many-far",
        "2,000 values of 1 KiB, at 20 ms a round trip",
        {
            "ours, packed": far_away(_read_many("packed")),
            "ours, with `fast`": far_away(with_fast(_read_many())),
            "ours": far_away(without_fast(_read_many())),
            "obstore, 16 at once": far_away(_fetch(obstore_client, 16)),
            "aiohttp, 16 at once": far_away(_fetch(aiohttp_client, 16)),
            "pycurl, 16 at once": far_away(_fetch(pycurl_client, 16)),
            "requests, 16 threads": far_away(_fetch(requests_client, 16)),
        },
        (
            Target(
                "ours, packed",
                "seconds",
                50,
                ("obstore, 16 at once", "aiohttp, 16 at once", "pycurl, 16 at once"),
            ),
        ),
        rounds=2,
        sites="values",
    ),
]
