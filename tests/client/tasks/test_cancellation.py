"""A canceled read ends its requests, also those that are made carefully."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, tuning
from staticstore.client.tasks.careful_calls import CarefulCalls
from staticstore.transport.http.cancellation import (
    Cancellation,
    cut_when_canceled,
    this_call,
)
from staticstore.workers import Workers
from tests.client.scene import STAGES, TIMEOUT, Stage, Stall
from tests.client.test_async import run
from tests.engines import ENGINES, sending_by
from tests.servers import RawServer, Request, Wire, serve_files

Start = Callable[..., RawServer]
Read = Callable[[StaticStore, Path], Awaitable[object]]

# Without sizes, so that each value is read carefully.
FILES = {"index.json": b'{"a": {}, "b": {}}', "data/a": b"first", "data/b": b"second"}
READS: dict[str, Read] = {
    "whole": lambda store, _: store.read_async("a"),
    "part": lambda store, _: store.get_range_async("a", 1, 3),
    "parts": lambda store, _: store.get_ranges_async("a", [(1, 3), (4, 5)]),
    "head": lambda store, _: store.head_async("a"),
    "file": lambda store, folder: store.to_file_async("a", folder / "a"),
}


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with sending_by(request.param):
        yield


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one read that goes on hold up all others."""
    monkeypatch.setattr(tuning, "CAREFUL_THREADS", 1)


def connected(server: RawServer) -> StaticStore:
    return StaticStore(server.url, poll_interval=0).connect(retries=1, timeout=(5, 1000))


async def until(event: threading.Event) -> None:
    while not event.is_set():
        await asyncio.sleep(0.001)


async def canceled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in found)


@pytest.mark.parametrize(
    ("read", "stage"),
    # The answer to a HEAD has no body.
    [(read, stage) for read in READS for stage in STAGES if (read, stage) != ("head", "body")],
)
def test_a_canceled_read_frees_its_thread(
    start: Start, tmp_path: Path, read: str, stage: Stage
) -> None:
    stall = Stall(stage)

    async def main(store: StaticStore) -> bytes:
        reading = asyncio.ensure_future(READS[read](store, tmp_path))
        await until(stall.reached)
        await canceled(reading)
        return await store.read_async("b")

    with connected(start(serve_files(FILES).but({"data/a": stall}))) as store:
        assert run(main(store)) == b"second"


def test_the_connection_of_a_canceled_read_is_closed(start: Start) -> None:
    reached, gone = threading.Event(), threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        reached.set()
        wire.stall()
        gone.set()

    async def main(store: StaticStore) -> None:
        reading = asyncio.create_task(store.read_async("a"))
        await until(reached)
        await canceled(reading)
        await until(gone)

    with connected(start(serve_files(FILES).but({"data/a": stalls}))) as store:
        run(main(store))


def test_reads_that_are_canceled_while_they_wait_for_a_thread_are_not_begun(start: Start) -> None:
    stall = Stall("head")
    server = start(serve_files(FILES).but({"data/a": stall}))

    async def main(store: StaticStore) -> bytes:
        reading = [asyncio.create_task(store.read_async("a")) for _ in range(20)]
        await until(stall.reached)
        await canceled(*reading[1:])
        await canceled(reading[0])
        return await store.read_async("b")

    with connected(server) as store:
        assert run(main(store)) == b"second"
    assert len([one for one in server.requests if one.path == "/data/a"]) == 1


def test_a_call_for_several_numbers_is_cut_with_the_last_of_them() -> None:
    begun, events = threading.Event(), list[bool]()

    def call() -> None:
        begun.set()
        events.append(this_call.cut.wait(TIMEOUT))

    workers = Workers(1, "test")
    calls = CarefulCalls(workers)
    with workers:
        calls.submit([1, 2], call)
        assert begun.wait(TIMEOUT)
        calls.cancel(1)
        assert not events
        calls.cancel(2)
        calls.submit([1, 2], call)  # for nobody
    assert events == [True]


def test_a_socket_that_is_not_waited_for_is_not_cut() -> None:
    """It may be idle, or serve another call."""
    cancellation = Cancellation()

    def call() -> None:
        with cut_when_canceled(ours):
            pass

    ours, theirs = socket.socketpair()
    with ours, theirs:
        cancellation.run(call)
        cancellation.cancel()
        ours.send(b"x")
        assert theirs.recv(1) == b"x"
        with pytest.raises(ConnectionAbortedError):
            cancellation.run(call)
