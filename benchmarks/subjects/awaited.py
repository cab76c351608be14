"""Values and ranges that coroutines await at the same time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from ..fetchers import Fetch, Piece
from ..stores import connect_ours
from ..value_sites import RANGED, size_of
from . import Figures, Place, Run, Subject, Target
from .many import with_fast, without_fast

__all__ = ["SUBJECTS"]

_RANGES, _RANGE_BYTES = 2_000, 1 << 10

#: Connects to a root URL.
Connect = Callable[[str], AbstractContextManager[Fetch]]


@contextmanager
def _ours(root: str) -> Iterator[Fetch]:
    with connect_ours(root) as store, asyncio.Runner() as runner:

        def one(piece: Piece) -> Coroutine[Any, Any, bytes]:
            key = piece.path.removeprefix("data/")
            if piece.end is None:
                read: Coroutine[Any, Any, bytes] = store.read_async(key)
                return read
            part: Coroutine[Any, Any, bytes] = store.get_range_async(key, piece.start, piece.end)
            return part

        yield _in(runner, one, None)


@contextmanager
def _obstore(root: str, *, at_once: int | None) -> Iterator[Fetch]:
    from obstore import get_async, get_range_async
    from obstore.store import HTTPStore

    store = HTTPStore.from_url(root, client_options={"allow_http": True})

    async def one(piece: Piece) -> Any:
        if piece.end is None:
            return (await get_async(store, piece.path)).bytes()
        return await get_range_async(store, piece.path, start=piece.start, end=piece.end)

    with asyncio.Runner() as runner:
        yield _in(runner, one, at_once)


@contextmanager
def _aiohttp_store(root: str, *, at_once: int | None) -> Iterator[Fetch]:
    """Fetch by the store of obspec-utils, whose connector has 100 connections."""
    from obspec_utils.stores import AiohttpStore

    async def one(piece: Piece) -> Any:
        if piece.end is None:
            return await (await store.get_async(piece.path)).buffer_async()
        return await store.get_range_async(piece.path, start=piece.start, end=piece.end)

    with asyncio.Runner() as runner:
        store = AiohttpStore(root.rstrip("/"))
        runner.run(store.__aenter__())
        yield _in(runner, one, at_once)
        runner.run(store.__aexit__(None, None, None))


def _in(
    runner: asyncio.Runner, one: Callable[[Piece], Awaitable[Any]], at_once: int | None
) -> Fetch:
    async def limited(pieces: Sequence[Piece]) -> list[Any]:
        if at_once is None:
            return await asyncio.gather(*map(one, pieces))
        found: list[Any] = [None] * len(pieces)
        waiting = iter(enumerate(pieces))

        async def work() -> None:
            for number, piece in waiting:
                found[number] = await one(piece)

        await asyncio.gather(*(work() for _ in range(at_once)))
        return found

    return lambda pieces: runner.run(limited(pieces))


def _fetched(state: str, prefix: str, connect: Connect, *, verify: bool = False) -> Run:
    """Fetch whole values; with `verify`, hash each, as ours does."""

    def run(place: Place) -> Figures:
        place.site.show(state)
        digests = _digests(place, prefix)
        pieces = [Piece(f"data/{key}") for key in digests]
        with connect(place.site.url) as fetch:
            fetch(pieces[:1])  # so that all is imported
            with place.meter.measuring() as figures:
                bodies = fetch(pieces)
                if verify:
                    found = [hashlib.sha256(body).hexdigest() for body in bodies]
        found = [hashlib.sha256(body).hexdigest() for body in bodies]
        assert found == list(digests.values()), "these are other bytes"
        return figures

    return run


def _ranges(connect: Connect) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("values")
        path = f"data/{RANGED}"
        last, chance = size_of(place.site.url + path) - _RANGE_BYTES, random.Random(2)
        starts = [chance.randrange(last) for _ in range(_RANGES)]
        pieces = [Piece(path, start, start + _RANGE_BYTES) for start in starts]
        with connect(place.site.url) as fetch:
            fetch(pieces[:1])
            with place.meter.measuring() as figures:
                found = fetch(pieces)
        with urllib.request.urlopen(place.site.url + path) as answer:
            value = answer.read()
        for body, piece in zip(found, pieces, strict=True):
            assert bytes(body) == value[piece.start : piece.end], "these are other bytes"
        return figures

    return run


def _digests(place: Place, prefix: str) -> dict[str, str]:
    with urllib.request.urlopen(f"{place.site.url}index.json") as answer:
        index = json.load(answer)
    return {key: entry["sha256"] for key, entry in index.items() if key.startswith(prefix)}


_PEERS: dict[str, Connect] = {
    "obstore": partial(_obstore, at_once=None),
    "obstore, 16 at once": partial(_obstore, at_once=16),
    "obstore, 32 at once": partial(_obstore, at_once=32),
    "AiohttpStore": partial(_aiohttp_store, at_once=None),
    "AiohttpStore, 16 at once": partial(_aiohttp_store, at_once=16),
}

SUBJECTS = [
    Subject(
        "async",
        "2,000 values of 1 KiB, awaited at once",
        {
            "ours, packed": with_fast(_fetched("packed", "small/", _ours)),
            "ours, with `fast`": with_fast(_fetched("values", "small/", _ours)),
            "ours": without_fast(_fetched("values", "small/", _ours)),
            **{name: _fetched("values", "small/", one) for name, one in _PEERS.items()},
        },
        (Target("ours, with `fast`", "seconds", 1.5, tuple(_PEERS)),),
        rounds=7,
        sites="values",
    ),
    Subject(
        "async-ranges",
        "2,000 ranges of 1 KiB in 256 MiB, awaited at once",
        {
            "ours, with `fast`": with_fast(_ranges(_ours)),
            "ours": without_fast(_ranges(_ours)),
            **{name: _ranges(one) for name, one in _PEERS.items()},
        },
        (Target("ours, with `fast`", "seconds", 1, tuple(_PEERS)),),
        rounds=7,
        sites="values",
    ),
    Subject(
        "async-large",
        "200 values of 1 MiB, awaited at once",
        {
            "ours, with `fast`": with_fast(_fetched("mebibytes", "", _ours)),
            "ours": without_fast(_fetched("mebibytes", "", _ours)),
            **{
                f"{name}, and sha256": _fetched("mebibytes", "", one, verify=True)
                for name, one in _PEERS.items()
            },
        },
        (
            Target(
                "ours, with `fast`",
                "seconds",
                1,
                tuple(f"{name}, and sha256" for name in _PEERS if name.startswith("obstore")),
            ),
        ),
        rounds=7,
        sites="values",
    ),
]
