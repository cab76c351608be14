"""How many connections are opened and kept: far hosts, slow connections, and many calls."""

from __future__ import annotations

import hashlib
import json
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from staticstore import StaticStore
from tests.servers import Nginx, write_certificates

from ..fetchers import Client, Piece, aiohttp_client, obstore_client
from ..stores import connect_ours
from . import Figures, Place, Run, Subject, Target
from .many import far_away, with_fast, without_fast

__all__ = ["SUBJECTS"]

_CALLS, _KEYS_A_CALL = 50, 10
_FAR_VALUES = 500
_BYTES_A_SECOND = 4 << 20  # of each connection

#: Chooses keys of an index.
Choose = Callable[[Sequence[str]], Sequence[str]]


def _small(keys: Sequence[str]) -> Sequence[str]:
    return [key for key in keys if key.startswith("small/")][:_FAR_VALUES]


def _chunks(keys: Sequence[str]) -> Sequence[str]:
    return [key for key in keys if key.startswith("chunk-")]


def _read_many(state: str, choose: Choose) -> Run:
    def run(place: Place) -> Figures:
        place.site.show(state)
        digests = _digests(place, choose)
        with connect_ours(place.site.url) as store:
            store.update_index()  # so that all is imported
            with place.meter.measuring() as figures:
                found = dict(store.read_many(digests))
        _check([found[key] for key in digests], digests)
        return figures

    return run


def _fetch(state: str, choose: Choose, client: Client, at_once: int, *, verify: bool = True) -> Run:
    """Fetch whole values, and hash each, as ours does."""

    def run(place: Place) -> Figures:
        place.site.show(state)
        digests = _digests(place, choose)
        pieces = [Piece(f"data/{key}") for key in digests]
        with client(place.site.url, at_once) as fetch, place.meter.measuring() as figures:
            bodies = fetch(pieces)
            if verify:
                _check(bodies, digests)
        return figures

    return run


def _calls_over_tls(place: Place) -> Figures:
    """Call `read_many` again and again; the first call is measured, too."""
    certificates = write_certificates(place.site.scratch())
    with Nginx(place.site.folder("values"), tls=certificates.server) as nginx:
        store = StaticStore(nginx.url, poll_interval=0).connect(verify=certificates.authority)
        with store, place.meter.measuring() as figures:
            keys = [key for key in store if key.startswith("small/")]
            for start in range(_CALLS):
                wanted = [keys[(start * _KEYS_A_CALL + n) % len(keys)] for n in range(_KEYS_A_CALL)]
                assert len(list(store.read_many(wanted))) == _KEYS_A_CALL
        return figures


def _digests(place: Place, choose: Choose) -> dict[str, str]:
    with urllib.request.urlopen(f"{place.site.url}index.json") as answer:
        index = json.load(answer)
    return {key: index[key]["sha256"] for key in choose(list(index))}


def _check(bodies: Sequence[Any], digests: dict[str, str]) -> None:
    found = [hashlib.sha256(body).hexdigest() for body in bodies]
    assert found == list(digests.values()), "these are other bytes"


_slow = partial(far_away, rate=_BYTES_A_SECOND)
_CHUNKS = {
    "obstore, 10 at once": _slow(_fetch("chunks", _chunks, obstore_client, 10)),
    "obstore, 24 at once": _slow(_fetch("chunks", _chunks, obstore_client, 24)),
}
_FAR = {
    "obstore, 16 at once": far_away(_fetch("values", _small, obstore_client, 16)),
    "obstore, 64 at once": far_away(_fetch("values", _small, obstore_client, 64)),
    "aiohttp, 64 at once": far_away(_fetch("values", _small, aiohttp_client, 64)),
}

SUBJECTS = [
    Subject(
        "chunks-slow",
        "24 values of 4 MiB, at 20 ms a round trip and 4 MiB/s for each connection",
        {
            "ours, with `fast`": _slow(with_fast(_read_many("chunks", _chunks))),
            "ours": _slow(without_fast(_read_many("chunks", _chunks))),
            **_CHUNKS,
        },
        (Target("ours, with `fast`", "seconds", 1, "obstore, 10 at once"),),
        rounds=3,
        sites="values",
    ),
    Subject(
        "few-far",
        "500 values of 1 KiB, at 20 ms a round trip",
        {
            "ours, with `fast`": far_away(with_fast(_read_many("values", _small))),
            "ours": far_away(without_fast(_read_many("values", _small))),
            **_FAR,
        },
        (Target("ours, with `fast`", "seconds", 1, tuple(_FAR)),),
        rounds=3,
        sites="values",
    ),
    Subject(
        "calls-tls",
        "50 calls of `read_many` for 10 values of 1 KiB each, over TLS",
        {"ours, with `fast`": with_fast(_calls_over_tls), "ours": without_fast(_calls_over_tls)},
        sites="values",
    ),
]
