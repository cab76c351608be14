"""Handlers and callbacks that are coroutine functions."""

from __future__ import annotations

import asyncio
import functools
import gc
import threading
from typing import Any

import pytest

from staticstore import Change, StaticStore, index_updated, key_set, request_finished
from tests.client.scene import TIMEOUT, MemorySite
from tests.client.test_async import run


@pytest.fixture
def store(site: MemorySite) -> StaticStore:
    return site.open()


async def update(site: MemorySite, store: StaticStore, *keys: str) -> None:
    site.write({key: {} for key in keys})
    await store.update_index_async()


async def until(holds: Any) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not holds():
            await asyncio.sleep(0.001)


def test_a_callback_is_awaited_by_the_loop_that_subscribed_it_in_order(
    site: MemorySite, store: StaticStore
) -> None:
    steps: list[object] = []

    async def hear(change: Change) -> None:
        steps.append(change.key)
        await asyncio.sleep(0.001)
        steps.append(asyncio.get_running_loop())

    async def main() -> list[object]:
        with store.subscribe(hear):
            await update(site, store, "a", "b")
            await until(lambda: len(steps) == 4)
        loop = asyncio.get_running_loop()
        return ["a", loop, "b", loop]

    assert run(main()) == steps


def test_a_slow_callback_holds_up_only_its_own_deliveries(
    site: MemorySite, store: StaticStore
) -> None:
    async def main() -> None:
        heard: list[str] = []
        go_on = asyncio.Event()

        async def slow(change: Change) -> None:
            await go_on.wait()
            heard.append(f"slow {change.key}")

        async def quick(change: Change) -> None:
            heard.append(f"quick {change.key}")

        store.subscribe(slow)
        store.subscribe(quick)
        await update(site, store, "a", "b")
        await until(lambda: len(heard) == 2)
        assert heard == ["quick a", "quick b"]
        go_on.set()
        await until(lambda: len(heard) == 4)
        assert heard[2:] == ["slow a", "slow b"]

    run(main())


def test_an_object_or_a_partial_function_may_be_awaited_too(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []

    class Hearing:
        async def __call__(self, change: Change) -> None:
            heard.append(f"object {change.key}")

        async def method(self, text: str, change: Change) -> None:
            heard.append(f"{text} {change.key}")

    async def main() -> None:
        store.subscribe(Hearing())
        store.subscribe(functools.partial(Hearing().method, "partial"))
        await update(site, store, "a")
        await until(lambda: len(heard) == 2)

    run(main())
    assert heard == ["object a", "partial a"]


def test_nothing_is_delivered_after_disconnect(site: MemorySite, store: StaticStore) -> None:
    heard: list[str] = []

    async def main() -> None:
        go_on = asyncio.Event()

        async def hear(change: Change) -> None:
            heard.append(change.key)
            await go_on.wait()

        store.subscribe(hear)
        await update(site, store, "a", "b")
        await until(lambda: heard == ["a"])
        await store.disconnect_async()
        go_on.set()
        for _ in range(5):
            await asyncio.sleep(0)

    run(main())
    assert heard == ["a"]


def test_a_subscription_of_a_closed_loop_is_logged_once_and_ends(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def hear(change: Change) -> None: ...

    async def main() -> Any:
        return store.subscribe(hear)

    subscription = run(main())
    for keys in (["a"], ["b"], ["c", "d"]):
        run(update(site, store, *keys))
    [record] = caplog.records
    assert "loop" in record.message
    assert subscription.is_closed


def test_without_a_running_loop_a_coroutine_function_is_refused(store: StaticStore) -> None:
    async def hear(change: Change) -> None: ...

    async def handler(sender: object, **arguments: Any) -> None: ...

    with pytest.raises(TypeError, match="event loop"):
        store.subscribe(hear)
    with pytest.raises(TypeError, match="event loop"):
        key_set.connect(handler)
    assert not key_set.receivers


def test_a_handler_of_a_signal_is_awaited_by_the_loop_that_connected_it(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[object] = []

    async def handler(sender: object, *, key: str, **arguments: Any) -> None:
        await asyncio.sleep(0)
        heard.append((key, sender, threading.current_thread()))

    async def main() -> None:
        key_set.connect(handler, sender=store)
        await update(site, store, "a", "b")
        await until(lambda: len(heard) == 2)

    run(main())
    thread = threading.current_thread()
    assert heard == [("a", store, thread), ("b", store, thread)]


def test_one_handler_may_be_connected_in_several_loops(site: MemorySite) -> None:
    heard: list[tuple[object, object]] = []
    stores = [site.open(), site.open()]

    async def handler(sender: object, **arguments: Any) -> None:
        heard.append((sender, asyncio.get_running_loop()))

    async def connect(store: StaticStore) -> None:
        index_updated.connect(handler, sender=store)

    with asyncio.Runner() as one, asyncio.Runner() as other:
        for runner, store in zip((one, other), stores, strict=True):
            runner.run(connect(store))
        site.write({"a": {}})
        for runner, store in zip((one, other), stores, strict=True):
            runner.run(store.update_index_async())
            runner.run(until(lambda: heard and heard[-1][0] is store))  # noqa: B023
        assert heard == [(stores[0], one.get_loop()), (stores[1], other.get_loop())]


def test_a_handler_of_a_closed_loop_is_logged_once_and_disconnected(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(sender: object, **arguments: Any) -> None: ...

    async def main() -> None:
        key_set.connect(handler, sender=store)

    run(main())
    for keys in (["a"], ["b"]):
        run(update(site, store, *keys))
    [record] = caplog.records
    assert "loop" in record.message
    assert not key_set.has_receivers_for(store) or not list(key_set.receivers_for(store))


def test_a_handler_that_is_garbage_leaves_nothing_behind(store: StaticStore) -> None:
    async def main() -> None:
        async def handler(sender: object, **arguments: Any) -> None: ...

        key_set.connect(handler, sender=store)

    run(main())
    gc.collect()
    assert key_set._dispatches == {}


def test_requests_are_reported_to_coroutine_functions(site: MemorySite, store: StaticStore) -> None:
    site.files["data/a"] = b"a"
    urls: list[str] = []

    async def handler(sender: object, *, url: str, **arguments: Any) -> None:
        urls.append(url)

    async def main() -> None:
        await update(site, store, "a")
        request_finished.connect(handler, sender=store)
        await store.read_async("a")
        await until(lambda: urls)

    run(main())
    assert urls == [f"{site.url}data/a"]
