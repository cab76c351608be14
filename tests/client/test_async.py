"""What a store does when it is awaited."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from staticstore import (
    AuthorizationError,
    Change,
    IntegrityError,
    JoinedStore,
    MountedStore,
    NotConnectedError,
    StaticStore,
    StoreError,
    TransportError,
    publish,
)
from staticstore.client.live_store import LiveStore
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.servers import RawServer, Request, Wire, serve_files
from tests.sites import index_of

T = TypeVar("T")

VALUES = {f"{number:03}": bytes([number]) * (100 + number) for number in range(100)}


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new loop; if it hangs, the test fails."""

    async def main() -> T:
        async with asyncio.timeout(TIMEOUT):
            return await coroutine

    return asyncio.run(main())


@pytest.fixture
def values(site: MemorySite) -> dict[str, bytes]:
    """The values of the site."""
    site.write(index_of(VALUES))
    site.files.update({f"data/{key}": value for key, value in VALUES.items()})
    return VALUES


@pytest.fixture
def store(site: MemorySite, values: dict[str, bytes]) -> StaticStore:
    return site.open()


# Connecting


def test_a_block_connects_and_disconnects(site: MemorySite, values: dict[str, bytes]) -> None:
    async def main() -> StaticStore:
        async with StaticStore(site.url).connect_async(retries=0) as store:
            assert store.is_connected()
            assert await store.read_async("001") == values["001"]
        return store

    assert not run(main()).is_connected()


def test_a_connect_that_is_awaited_returns_the_store(site: MemorySite) -> None:
    async def main() -> None:
        store = StaticStore(site.url)
        assert await store.connect_async() is store
        assert store.is_connected()
        await store.disconnect_async()
        assert not store.is_connected()

    run(main())


def test_an_asynchronous_block_of_a_store_connects_and_disconnects(
    site: MemorySite, values: dict[str, bytes]
) -> None:
    async def main() -> StaticStore:
        async with StaticStore(site.url, poll_interval=0) as store:
            assert await store.read_async("001") == values["001"]
        return store

    assert not run(main()).is_connected()


def test_an_asynchronous_block_of_a_view_connects_what_was_not_connected(
    site: MemorySite, store: StaticStore
) -> None:
    other = StaticStore(site.url, poll_interval=0)

    async def main() -> None:
        async with MountedStore({"a/": store, "b/": other}) as view:
            assert await view.read_async("b/001") == VALUES["001"]

    run(main())
    assert store.is_connected()
    assert not other.is_connected()


def test_what_is_asked_of_a_connect_that_was_not_awaited_says_so(site: MemorySite) -> None:
    store: Any = StaticStore(site.url).connect_async()
    with pytest.raises(AttributeError, match=r"store = await store\.connect_async\(\)"):
        store.read_async("001")


def test_a_block_that_does_not_await_says_so(site: MemorySite) -> None:
    connecting: Any = StaticStore(site.url).connect_async()
    with pytest.raises(TypeError, match="'async with', not 'with'"), connecting:
        pass


def test_nothing_is_requested_before_a_connect_is_awaited(site: MemorySite) -> None:
    StaticStore(site.url).connect_async()
    assert site.server.requests == []


def test_a_second_connect_is_refused_and_leaves_the_store_connected(store: StaticStore) -> None:
    with pytest.raises(StoreError, match="connected already"):
        run(connected(store))
    assert run(store.read_async("001")) == VALUES["001"]


def test_a_connect_raises_what_connect_raises(site: MemorySite) -> None:
    site.spoil(lambda request, wire: wire.response(401))
    with pytest.raises(AuthorizationError):
        run(connected(StaticStore(site.url)))
    with pytest.raises(ValueError, match="max_index_bytes"):
        run(connected(StaticStore(site.url), max_index_bytes=0))


async def connected(store: StaticStore, **arguments: Any) -> StaticStore:
    return await store.connect_async(**arguments)


def test_an_argument_of_connect_is_one_of_connect_async() -> None:
    parameters = inspect.signature(StaticStore.connect).parameters
    assert inspect.signature(StaticStore.connect_async).parameters == parameters


async def reached(stage: threading.Event) -> None:
    while not stage.is_set():
        await asyncio.sleep(0.001)


async def canceled(awaitable: Awaitable[object]) -> None:
    """Cancel a task, and wait for its end."""
    task = asyncio.ensure_future(awaitable)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


def test_a_canceled_connect_ends_and_leaves_the_store_disconnected(site: MemorySite) -> None:
    stall = site.stall("head")
    store = StaticStore(site.url, poll_interval=0)

    async def main() -> None:
        connecting = asyncio.create_task(connected(store))
        await reached(stall.reached)
        await canceled(connecting)
        assert not store.is_connected()
        site.restore()
        async with store.connect_async():
            assert store.is_connected()

    run(main())


def test_a_connect_canceled_while_credentials_are_asked_for_never_connects(
    site: MemorySite,
) -> None:
    asked, go_on, done = threading.Event(), threading.Event(), threading.Event()
    before = set(threading.enumerate())

    def auth() -> tuple[str, str]:
        asked.set()
        assert go_on.wait(TIMEOUT)
        done.set()
        return "ali", "sesame"

    store = StaticStore(site.url, poll_interval=0)

    async def main() -> None:
        connecting = asyncio.create_task(connected(store, auth=auth))
        await reached(asked)
        await canceled(connecting)

    run(main())
    threads = [one for one in threading.enumerate() if one.name == "staticstore async"]
    threads = [one for one in threads if one not in before]
    go_on.set()
    assert done.wait(TIMEOUT)
    for one in threads:
        one.join(TIMEOUT)
    assert not store.is_connected()
    assert site.server.requests == []


def test_a_view_connects_and_disconnects_what_was_not_connected(
    site: MemorySite, store: StaticStore
) -> None:
    other = StaticStore(site.url, poll_interval=0)

    async def main() -> None:
        async with MountedStore({"a/": store, "b/": other}).connect_async() as view:
            assert await view.read_async("b/001") == VALUES["001"]
            assert other.is_connected()

    run(main())
    assert store.is_connected()
    assert not other.is_connected()


# Reading


def test_reads_give_what_the_methods_that_block_give(
    store: StaticStore, values: dict[str, bytes], tmp_path: Path
) -> None:
    async def main() -> None:
        assert (await store.get_async("007")).read() == values["007"]
        assert await store.read_async("007") == values["007"]
        assert await store.get_range_async("007", 2, -3) == values["007"][2:-3]
        assert await store.get_range_async("007", -3) == values["007"][-3:]
        assert await store.get_range_async("007", 5, 2) == b""
        ranges: list[tuple[int | None, int | None]] = [(5, 9), (None, 3), (-2, None), (4, 4)]
        parts = [values["007"][start:end] for start, end in ranges]
        assert await store.get_ranges_async("007", ranges) == parts
        many = [("007", 5, 9), ("009", None, 3), ("007", -2, None)]
        expected = [values[key][start:end] for key, start, end in many]
        assert await store.get_ranges_many_async(many) == expected
        await store.to_file_async("007", tmp_path / "seven")
        assert (tmp_path / "seven").read_bytes() == values["007"]

    run(main())


def test_many_reads_at_once_give_their_own_values(
    store: StaticStore, values: dict[str, bytes]
) -> None:
    async def main() -> list[bytes]:
        return await asyncio.gather(*map(store.read_async, values))

    assert run(main()) == list(values.values())


@pytest.mark.parametrize("as_view", [False, True])
def test_read_many_async_keeps_the_order(
    store: StaticStore, values: dict[str, bytes], as_view: bool
) -> None:
    keys = [*reversed(values), "001", "001"]
    whole: Any = JoinedStore([store]) if as_view else store

    async def main() -> list[tuple[str, bytes]]:
        return [pair async for pair in whole.read_many_async(keys)]

    assert run(main()) == [(key, values[key]) for key in keys]


def test_read_many_async_yields_a_value_before_the_next_key_comes(
    store: StaticStore, values: dict[str, bytes]
) -> None:
    taken = asyncio.Event()

    async def keys() -> AsyncIterator[str]:
        yield "001"
        await taken.wait()
        yield "002"

    async def main() -> list[str]:
        found = []
        async for key, data in store.read_many_async(keys()):
            assert data == values[key]
            found.append(key)
            taken.set()
        return found

    assert run(main()) == ["001", "002"]


def test_an_unknown_key_is_a_key_error(store: StaticStore) -> None:
    async def main() -> None:
        reads: list[Coroutine[Any, Any, object]] = [
            store.get_async("nothing"),
            store.read_async("nothing"),
            store.head_async("nothing"),
            store.get_range_async("nothing", 0, 1),
            store.get_ranges_async("nothing", [(0, 1)]),
            store.to_file_async("nothing", "nowhere"),
        ]
        found = await asyncio.gather(*reads, return_exceptions=True)
        assert [type(one) for one in found] == [KeyError] * len(reads)
        assert await store.get_async("nothing", None) is None
        with pytest.raises(KeyError):
            _ = [pair async for pair in store.read_many_async(["001", "nothing"])]

    run(main())


def test_a_wrong_digest_is_an_integrity_error(site: MemorySite, store: StaticStore) -> None:
    site.files["data/001"] = b"?" * len(VALUES["001"])
    with pytest.raises(IntegrityError, match="001"):
        run(store.read_async("001"))


def test_a_failure_of_the_host_is_a_transport_error(site: MemorySite, store: StaticStore) -> None:
    del site.files["data/001"]
    with pytest.raises(TransportError, match="404"):
        run(store.read_async("001"))


def test_a_value_of_head_async_needs_no_request_any_more(
    site: MemorySite, store: StaticStore
) -> None:
    value = run(store.head_async("001"))
    before = len(site.server.requests)
    assert (value.size, value.media_type) == (len(VALUES["001"]), "application/octet-stream")
    assert value.etag is not None
    assert len(site.server.requests) == before


def test_a_store_that_is_not_connected_says_so(site: MemorySite) -> None:
    with pytest.raises(NotConnectedError):
        run(StaticStore(site.url).read_async("001"))


def test_a_lazy_store_looks_up_without_blocking_the_loop(start: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(1000):
        (tmp_path / "data" / f"{number:04}").write_bytes(b"%d" % number)
    publish(tmp_path)
    paths = [path for path in tmp_path.rglob("*") if path.is_file()]
    good = serve_files({path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths})
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: Request, wire: Wire) -> None:
        if request.path.startswith("/index") and "Range" in request.headers:
            asked.set()
            wire.wait(go_on)
        good(request, wire)

    server: RawServer = start(slow, heads=True)

    async def main() -> bytes:
        async with StaticStore(server.url, lazy=True, poll_interval=0).connect_async() as store:
            reading = asyncio.create_task(store.read_async("0005"))
            await reached(asked)
            assert not reading.done()
            go_on.set()
            return await reading

    assert run(main()) == b"5"


# Loops, threads and cancellation


def test_several_loops_may_read_from_one_store(
    store: StaticStore, values: dict[str, bytes]
) -> None:
    async def main() -> list[bytes]:
        return await asyncio.gather(*map(store.read_async, values))

    calls = [Call(lambda: run(main())) for _ in range(4)]
    assert [call.result() for call in calls] == [list(values.values())] * 4


def test_a_canceled_read_ends_although_the_host_is_silent(
    site: MemorySite, store: StaticStore
) -> None:
    stall = site.stall("head", "data/001")

    async def main() -> bytes:
        reading = asyncio.create_task(store.read_async("001"))
        await reached(stall.reached)
        await canceled(reading)
        return await store.read_async("002")

    assert run(main()) == VALUES["002"]


def test_the_end_of_a_loop_does_not_wait_for_a_read(site: MemorySite, store: StaticStore) -> None:
    stall = site.stall("body", "data/001")

    async def main() -> None:
        reading = asyncio.create_task(store.read_async("001"))
        await reached(stall.reached)
        assert not reading.done()

    assert Call(lambda: asyncio.run(main())).is_back()


def test_disconnect_ends_reads(site: MemorySite, store: StaticStore) -> None:
    stall = site.stall("head", "data/001")

    async def main() -> None:
        reading = asyncio.create_task(store.read_async("001"))
        await reached(stall.reached)
        await store.disconnect_async()
        with pytest.raises(NotConnectedError):
            await reading

    run(main())


def test_the_interpreter_ends_while_a_host_is_silent(site: MemorySite, store: StaticStore) -> None:
    site.stall("head", "data/001")
    code = f"""
import asyncio
from staticstore import StaticStore
store = StaticStore({site.url!r}, poll_interval=0)
async def main():
    await store.connect_async()
    asyncio.create_task(store.read_async("001"))
    await asyncio.sleep(0.05)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=TIMEOUT)


# Files


def test_progress_is_called_by_the_loop(
    store: StaticStore, values: dict[str, bytes], tmp_path: Path
) -> None:
    calls: list[tuple[int, int | None, threading.Thread]] = []

    def progress(done: int, total: int | None) -> None:
        calls.append((done, total, threading.current_thread()))

    run(store.to_file_async("007", tmp_path / "seven", progress))
    size = len(values["007"])
    assert calls[-1] == (size, size, threading.current_thread())


def test_an_exception_of_progress_cancels_a_copy(store: StaticStore, tmp_path: Path) -> None:
    def progress(done: int, total: int | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(store.to_file_async("007", tmp_path / "seven", progress))
    assert not (tmp_path / "seven").exists()


# Following


def test_changes_are_iterated_over_as_they_come(site: MemorySite, store: StaticStore) -> None:
    async def main() -> list[str]:
        found = []
        watch = store.watch_async()
        site.write({"a": {}, "b": {}})
        changes = await store.update_index_async()
        assert len(changes.set) == 2
        async for change in watch:
            found.append(f"{change.action} {change.key}")
            if len(found) == len(changes):
                break
        return found

    found = run(main())
    assert found[-2:] == ["set a", "set b"]
    assert len(found) == len(VALUES) + 2


def test_a_watch_ends_at_disconnect(store: StaticStore) -> None:
    async def main() -> list[Change]:
        watch = store.watch_async()
        await store.disconnect_async()
        return [change async for change in watch]

    assert run(main()) == []


def test_a_watch_ends_after_its_timeout(store: StaticStore) -> None:
    async def main() -> list[Change]:
        return [change async for change in store.watch_async(timeout=0)]

    assert run(main()) == []


def test_a_watch_of_a_lazy_store_fetches_the_index_first(site: MemorySite) -> None:
    async def main(lazy: StaticStore) -> str:
        watch = lazy.watch_async(timeout=TIMEOUT)
        first = asyncio.ensure_future(anext(watch))
        while not store_has_subscriptions(lazy):
            await asyncio.sleep(0.001)
        site.write({"a": {}})
        await lazy.update_index_async()
        return (await first).key

    with StaticStore(site.url, lazy=True, poll_interval=0) as store:
        assert run(main(store)) == "a"


def store_has_subscriptions(store: LiveStore) -> bool:
    return bool(store._live.subscribers._subscriptions)


def test_invalid_arguments_of_a_watch_are_refused_at_once(store: StaticStore) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="timeout"):
            store.watch_async(-1)
        with pytest.raises(TypeError):
            store.watch_async(where=5)  # type: ignore[arg-type]

    run(main())


def test_a_slow_host_does_not_block_the_loop(start: Any) -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(request: Request, wire: Wire) -> None:
        asked.set()
        assert go_on.wait(TIMEOUT)
        wire.response(200, b"slow")

    files = {"index.json": index_of({"a": b"slow"})}
    server: RawServer = start(serve_files(files).but({"data/a": slow}))

    async def main(store: StaticStore) -> bytes:
        reading = asyncio.create_task(store.read_async("a"))
        await reached(asked)
        assert not reading.done()
        go_on.set()
        return await reading

    with StaticStore(server.url, poll_interval=0) as store:
        assert run(main(store)) == b"slow"


def test_a_coroutine_function_cannot_be_told_of_the_progress(
    store: StaticStore, tmp_path: Path
) -> None:
    async def progress(done: int, total: int | None) -> None: ...

    with pytest.raises(TypeError, match="a plain function"):
        run(store.to_file_async("001", tmp_path / "copy", progress))
    assert not (tmp_path / "copy").exists()


def test_a_watch_that_is_closed_ends(store: StaticStore) -> None:
    async def main() -> list[Change]:
        async with contextlib.aclosing(store.watch_async()) as watch:  # type: ignore[type-var]
            pass
        return [change async for change in watch]

    assert run(main()) == []
