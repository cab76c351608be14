"""Deliveries in an event loop of asyncio."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from staticstore import Change, StaticStore
from staticstore.client.telling.subscription import Dispatch
from staticstore.interop.desktop import asyncio_dispatch, in_thread, qt_dispatch
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.interop.loops import DispatchContract, Loop, write


class AsyncioLoop(Loop):
    """An event loop that runs only within `run_until`."""

    def __init__(self) -> None:
        self.errors = []
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _, context: self.errors.append(context["exception"]))

    def dispatch(self) -> Dispatch:
        return asyncio_dispatch(self.loop)

    def run_until(self, condition: Callable[[], bool]) -> None:
        async def wait() -> None:
            async with asyncio.timeout(TIMEOUT):
                while not condition():
                    await asyncio.sleep(0.001)

        self.loop.run_until_complete(wait())

    def call_later(self, call: Callable[[], object]) -> None:
        self.loop.call_later(0.003, call)

    def end(self) -> None:
        self.loop.close()


@pytest.fixture
def loop() -> Iterator[AsyncioLoop]:
    own = AsyncioLoop()
    yield own
    if not own.loop.is_closed():
        own.run_until(lambda: not asyncio.all_tasks(own.loop) or len(asyncio.all_tasks()) == 1)
    own.loop.close()


class TestAsyncio(DispatchContract):
    """The contract of a dispatch."""


def test_coroutines_are_awaited_one_after_the_other(site: MemorySite, store: StaticStore) -> None:
    steps: list[str] = []

    async def hear(change: Change) -> None:
        steps.append(f"begin {change.key}")
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        steps.append(f"end {change.key}")

    async def main() -> None:
        store.subscribe(hear, dispatch=asyncio_dispatch())
        await asyncio.to_thread(write, site, store, "a", "b", "c")
        while len(steps) < 6:
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(main(), TIMEOUT))
    assert steps == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


def test_no_coroutine_begins_after_close_and_the_running_one_completes(
    site: MemorySite, store: StaticStore, loop: AsyncioLoop
) -> None:
    steps: list[str] = []

    async def hear(change: Change) -> None:
        steps.append(f"begin {change.key}")
        subscription.close()
        await asyncio.sleep(0.001)
        steps.append(f"end {change.key}")

    dispatch = loop.dispatch()
    subscription = store.subscribe(hear, dispatch=dispatch)
    write(site, store, "a", "b")
    loop.run_past(dispatch)
    assert steps == ["begin a", "end a"]


def test_an_exception_of_a_coroutine_goes_to_the_loops_exception_handler(
    site: MemorySite, store: StaticStore, loop: AsyncioLoop
) -> None:
    async def fail(change: Change) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError(change.key)

    dispatch = loop.dispatch()
    store.subscribe(fail, dispatch=dispatch)
    write(site, store, "a", "b")
    loop.run_past(dispatch)
    assert [str(error) for error in loop.errors] == ["a", "b"]


def test_a_cancelled_wait_in_a_coroutine_stops_nothing(
    site: MemorySite, store: StaticStore, loop: AsyncioLoop
) -> None:
    async def wait(change: Change) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    dispatch = loop.dispatch()
    store.subscribe(wait, dispatch=dispatch)
    write(site, store, "a", "b")
    loop.run_past(dispatch)
    assert [type(error) for error in loop.errors] == [asyncio.CancelledError] * 2


def test_closing_the_loop_cancels_the_running_coroutine(
    site: MemorySite, store: StaticStore
) -> None:
    begun = False

    async def hear(change: Change) -> None:
        nonlocal begun
        begun = True
        await asyncio.sleep(TIMEOUT)

    async def main() -> None:
        store.subscribe(hear, dispatch=asyncio_dispatch())
        await asyncio.to_thread(write, site, store, "a", "b")
        while not begun:
            await asyncio.sleep(0.001)

    before = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - before < TIMEOUT / 2


def test_a_coroutine_for_a_delivery_that_waited_at_disconnect_is_awaited_too(
    site: MemorySite, store: StaticStore, loop: AsyncioLoop
) -> None:
    heard: list[str] = []

    async def hear(change: Change) -> None:
        await asyncio.sleep(0)
        heard.append(change.key)

    dispatch = loop.dispatch()
    store.subscribe(hear, dispatch=dispatch)
    write(site, store, "a", "b")
    store.disconnect()
    loop.run_past(dispatch)
    assert heard == []
    site.write({"a": {}, "b": {}, "c": {}})
    Call(lambda: store.connect(retries=0)).result()
    loop.run_until(lambda: len(heard) == 3)
    assert heard == ["a", "b", "c"]


def test_the_result_of_in_thread_may_go_to_a_coroutine_function(
    site: MemorySite, loop: AsyncioLoop
) -> None:
    heard: list[str] = []

    async def hear(text: str) -> None:
        await asyncio.sleep(0)
        heard.append(text)

    in_thread(lambda: "read", hear, dispatch=loop.dispatch())
    loop.run_until(lambda: heard == ["read"])


def test_a_coroutine_function_without_a_loop_is_a_type_error_immediately(
    store: StaticStore,
) -> None:
    async def hear(change: Change) -> None: ...

    with pytest.raises(TypeError, match="asyncio_dispatch"):
        store.subscribe(hear)


def test_without_a_running_loop_one_must_be_given() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio_dispatch()


def test_without_qt_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PySide6", "PyQt6"):
        monkeypatch.setitem(sys.modules, f"{name}.QtCore", None)
    with pytest.raises(ImportError, match="which the extra `qt` brings"):
        qt_dispatch()


@pytest.mark.parametrize("module", ["desktop", "call_queue", "rows", "qt_core"])
def test_no_toolkit_is_imported_before_it_is_used(module: str) -> None:
    code = f"import sys, staticstore.interop.{module}; print(*sys.modules)"
    found: Any = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    names = {name.partition(".")[0] for name in found}
    assert not names & {"PySide6", "PyQt6", "tkinter", "asyncio"}
