"""Coroutines that are canceled, and event loops that end, while a host is silent."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from staticstore import StaticStore, key_set
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.client.test_async import reached, run
from tests.sites import index_of

KEYS = ["a", "b"]


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite() as site:
        site.write(index_of({key: key.encode() for key in KEYS}))
        site.files.update({f"data/{key}": key.encode() for key in KEYS})
        yield site


def test_e21_a_canceled_read_ends_at_once_and_the_store_reads_on(site: MemorySite) -> None:
    stall = site.stall("body", "data/a")

    async def main(store: StaticStore) -> bytes:
        reading = asyncio.create_task(store.read_async("a"))
        await reached(stall.reached)
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading
        assert reading.cancelled()
        return await store.read_async("b")

    with site.open() as store:
        assert run(main(store)) == b"b"


def test_e21_the_end_of_a_loop_waits_for_no_read(site: MemorySite) -> None:
    stall = site.stall("retry", "data/a")

    async def main(store: StaticStore) -> None:
        reading = asyncio.create_task(store.read_async("a"))
        await reached(stall.reached)
        assert not reading.done()

    with StaticStore(site.url, poll_interval=0) as store:
        assert Call(lambda: asyncio.run(main(store))).is_back()


def test_e21_a_timeout_of_asyncio_is_one_of_a_read(site: MemorySite) -> None:
    site.stall("head", "data/a")

    async def main(store: StaticStore) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store.read_async("a")

    with site.open() as store:
        run(main(store))


def test_e21_the_interpreter_ends_while_a_read_is_awaited(site: MemorySite) -> None:
    site.stall("retry", "data/a")
    code = f"""
import asyncio
from staticstore import StaticStore
async def main():
    store = await StaticStore({site.url!r}, poll_interval=0).connect_async()
    try:
        async with asyncio.timeout(0.1):
            await store.read_async("a")
    except TimeoutError:
        print("timeout")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    assert (done.stdout, done.stderr) == ("timeout\n", "")


def test_e22_a_coroutine_of_a_closed_loop_stops_no_other_handler(
    site: MemorySite, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    async def coroutine(sender: object, **arguments: Any) -> None: ...

    def handler(sender: object, *, key: str, **arguments: Any) -> None:
        heard.append(key)

    async def connect() -> None:
        key_set.connect(coroutine, sender=store)

    with site.open() as store:
        run(connect())
        key_set.connect(handler, sender=store)
        for number in range(3):
            site.write(index_of({f"{number}": b""}))
            store.update_index()
    assert heard == ["0", "1", "2"]
    assert len(caplog.records) == 1
