"""Many short ranges of one large value, far apart."""

from __future__ import annotations

import random
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from ..fetchers import (
    Client,
    Fetch,
    Piece,
    aiohttp_client,
    fsspec_client,
    http_client,
    obstore_client,
    pycurl_client,
    requests_client,
    urllib3_client,
)
from ..line import line_to
from ..stores import connect_ours
from ..value_sites import RANGED, size_of
from . import Figures, Place, Run, Subject, Target
from .many import with_fast, without_fast

__all__ = ["SUBJECTS"]

_COUNT, _SIZE = 2_000, 1 << 10

#: Connects to a root URL.
Connect = Callable[[str], AbstractContextManager[Fetch]]


@contextmanager
def _ours(root: str) -> Iterator[Fetch]:
    with connect_ours(root) as store:
        yield lambda pieces: store.get_ranges(RANGED, [(one.start, one.end) for one in pieces])


@contextmanager
def _get_ranges(root: str, *, coalesce: int) -> Iterator[Fetch]:
    """Fetch by the function of obstore that takes all ranges together."""
    import obstore
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(root, client_options={"allow_http": True})
    obstore.get_range(store, "index.json", start=0, end=1)

    def fetch(pieces: Sequence[Piece]) -> Sequence[Any]:
        found: Sequence[Any] = obstore.get_ranges(
            store,
            pieces[0].path,
            starts=[piece.start for piece in pieces],
            ends=[piece.end for piece in pieces if piece.end is not None],
            coalesce=coalesce,
        )
        return found

    yield fetch


def _at_once(client: Client, count: int) -> Connect:
    return lambda root: client(root, count)


def _fetched(connect: Connect) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("values")
        pieces = _pieces(place)
        with connect(place.site.url) as fetch, place.meter.measuring() as figures:
            found = fetch(pieces)
        _check(found, pieces, place)
        return figures

    return run


def _counted(connect: Connect) -> Run:
    """Count the bytes fetched of the value, without those of the requests."""

    def run(place: Place) -> Figures:
        place.site.show("values")
        pieces = _pieces(place)
        with line_to(place.site.url) as (url, fetched), connect(url) as fetch:
            before = fetched()
            with place.meter.measuring() as figures:
                fetch(pieces)
            return {"seconds": figures["seconds"], "wire": fetched() - before}

    return run


def _pieces(place: Place) -> list[Piece]:
    path = f"data/{RANGED}"
    last, chance = size_of(place.site.url + path) - _SIZE, random.Random(2)
    starts = [chance.randrange(last) for _ in range(_COUNT)]
    return [Piece(path, start, start + _SIZE) for start in starts]


def _check(found: Sequence[Any], pieces: Sequence[Piece], place: Place) -> None:
    with urllib.request.urlopen(place.site.url + pieces[0].path) as answer:
        value = answer.read()
    for body, piece in zip(found, pieces, strict=True):
        assert bytes(body) == value[piece.start : piece.end], "these are other bytes"


_GET_RANGES: dict[str, Connect] = {
    "obstore, get_ranges": partial(_get_ranges, coalesce=1 << 20),  # its default
    "obstore, get_ranges, not coalesced": partial(_get_ranges, coalesce=0),
}
_ONE_BY_ONE: dict[str, Connect] = {
    "obstore, get_range, 16 at once": _at_once(obstore_client, 16),
    "aiohttp, 16 at once": _at_once(aiohttp_client, 16),
    "fsspec, cat_ranges": _at_once(fsspec_client, 32),
    "pycurl, 16 at once": _at_once(pycurl_client, 16),
    "requests, 16 threads": _at_once(requests_client, 16),
    "urllib3, 16 threads": _at_once(urllib3_client, 16),
    "http.client, 4 threads": _at_once(http_client, 4),
}
_ASKED = _COUNT * _SIZE

SUBJECTS = [
    Subject(
        "ranges",
        "2,000 ranges of 1 KiB in 256 MiB",
        {
            "ours, with `fast`": with_fast(_fetched(_ours)),
            "ours": without_fast(_fetched(_ours)),
            **{name: _fetched(one) for name, one in {**_GET_RANGES, **_ONE_BY_ONE}.items()},
        },
        (
            Target(
                "ours, with `fast`",
                "seconds",
                1,
                (*_GET_RANGES, "obstore, get_range, 16 at once"),
            ),
        ),
        sites="values",
    ),
    Subject(
        "ranges-fetched",
        "2,000 ranges of 1 KiB in 256 MiB: bytes of the value alone",
        {
            "ours, with `fast`": with_fast(_counted(_ours)),
            "ours": without_fast(_counted(_ours)),
            **{name: _counted(one) for name, one in _GET_RANGES.items()},
        },
        (
            Target("ours, with `fast`", "wire", 1.1 * _ASKED),
            Target("ours", "wire", 1.1 * _ASKED),
        ),
        rounds=1,
        sites="values",
    ),
]
