"""Values and ranges that coroutines await at the same time."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import threading
import urllib.request
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from tests.servers import RawServer, Request, Wire, serve_files
from tests.sites import index_of

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


def _beside_a_slow_answer(seconds: float) -> Run:
    """Await 50 values, the answer to the first of which takes so long; measure the others."""
    values = {f"k{number:02}": bytes(1 << 10) for number in range(50)}
    files = {f"data/{key}": value for key, value in values.items()}
    first, *others = values

    def run(place: Place) -> Figures:
        end = threading.Event()

        def slow(request: Request, wire: Wire) -> None:
            end.wait(seconds)
            wire.response(body=values[first])

        answers = serve_files({**files, "index.json": index_of(values)}).but(
            {f"data/{first}": slow}
        )
        with RawServer(answers) as server, connect_ours(server.url) as store:

            async def read_others() -> asyncio.Task[bytes]:
                reading = asyncio.create_task(store.read_async(first))
                await asyncio.gather(*map(store.read_async, others))
                return reading

            async def finish(reading: asyncio.Task[bytes]) -> None:
                end.set()
                assert await reading == values[first]

            with asyncio.Runner() as runner:
                runner.run(store.read_async(others[0]))  # so that all is imported
                with place.meter.measuring() as figures:
                    reading = runner.run(read_others())
                assert not (seconds and reading.done()), "it was not slow"
                runner.run(finish(reading))
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
        "async-slow",
        "49 values of 1 KiB, awaited at once with another one",
        {
            "ours, with `fast`, whose answer takes 3 s": with_fast(_beside_a_slow_answer(3.0)),
            "ours, with `fast`, whose answer is prompt": with_fast(_beside_a_slow_answer(0.0)),
            "ours, whose answer takes 3 s": without_fast(_beside_a_slow_answer(3.0)),
            "ours, whose answer is prompt": without_fast(_beside_a_slow_answer(0.0)),
        },
        (
            Target(
                "ours, with `fast`, whose answer takes 3 s",
                "seconds",
                1,
                "ours, with `fast`, whose answer is prompt",
                is_significant=True,
            ),
        ),
        rounds=15,
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
