"""Deliveries in an event loop of Qt, with either binding."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from staticstore import Change, StaticStore
from staticstore.client.telling.subscription import Dispatch
from staticstore.interop.desktop import qt_dispatch
from staticstore.interop.qt_core import qt_core
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.interop.loops import DispatchContract, Loop, write

QtCore: Any = qt_core()


class QtLoop(Loop):
    """The loop of the application, and an object that may be destroyed."""

    def __init__(self, qtbot: Any) -> None:
        self.errors = []
        self.receiver: Any = QtCore.QObject()
        self._qtbot = qtbot

    def dispatch(self) -> Dispatch:
        return qt_dispatch(self.receiver)

    def run_until(self, condition: Callable[[], bool]) -> None:
        self._qtbot.waitUntil(condition, timeout=int(TIMEOUT * 1000))

    def call_later(self, call: Callable[[], object]) -> None:
        QtCore.QTimer.singleShot(3, call)

    def end(self) -> None:
        if self.receiver is not None:
            destroy(self.receiver)
            self.receiver = None


def destroy(receiver: Any) -> None:
    """Delete an object as Qt does."""
    receiver.deleteLater()
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)


@pytest.fixture
def loop(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[QtLoop]:
    own = QtLoop(qtbot)
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: own.errors.append(error))
    yield own
    own.end()


class TestQt(DispatchContract):
    """The contract of a dispatch."""


def test_the_default_receiver_is_the_application(
    loop: QtLoop, site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []
    store.subscribe(lambda change: heard.append(change.key), dispatch=qt_dispatch())
    Call(lambda: write(site, store, "a", "b")).result()
    loop.run_until(lambda: len(heard) == 2)


def test_deliveries_waiting_when_the_receiver_is_destroyed_are_not_made(
    loop: QtLoop, site: MemorySite, store: StaticStore
) -> None:
    heard: list[Change] = []
    store.subscribe(heard.append, dispatch=loop.dispatch())
    write(site, store, "a", "b")
    loop.end()
    later: list[None] = []
    loop.call_later(lambda: later.append(None))
    loop.run_until(lambda: bool(later))
    assert heard == []


def test_a_receiver_destroyed_by_a_callback_receives_nothing_more(
    loop: QtLoop, site: MemorySite, store: StaticStore
) -> None:
    heard: list[Change] = []

    def hear(change: Change) -> None:
        heard.append(change)
        loop.end()

    store.subscribe(hear, dispatch=loop.dispatch())
    write(site, store, "a", "b")
    loop.run_until(lambda: bool(heard))
    later: list[None] = []
    loop.call_later(lambda: later.append(None))
    loop.run_until(lambda: bool(later))
    assert len(heard) == 1


def test_g1_the_loop_of_a_dialog_opened_by_a_callback_delivers_the_following(
    loop: QtLoop, site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []
    dialog = QtCore.QEventLoop()

    def hear(change: Change) -> None:
        heard.append(change.key)
        if change.key == "a":
            dialog.exec()
            heard.append("closed")
        if change.key == "c":
            dialog.quit()

    store.subscribe(hear, dispatch=loop.dispatch())
    write(site, store, "a", "b", "c")
    loop.run_until(lambda: len(heard) == 4)
    assert heard == ["a", "b", "c", "closed"]


def test_a_receiver_in_another_thread_is_called_there(
    loop: QtLoop, site: MemorySite, store: StaticStore
) -> None:
    threads: list[threading.Thread] = []
    ready = threading.Event()

    def work() -> None:
        receiver = QtCore.QObject()
        inner = QtCore.QEventLoop()

        def hear(change: Change) -> None:
            threads.append(threading.current_thread())
            inner.quit()

        with store.subscribe(hear, dispatch=qt_dispatch(receiver)):
            ready.set()
            inner.exec()

    worker = Call(work)
    assert ready.wait(TIMEOUT)
    write(site, store, "a")
    worker.result()
    assert threads == [worker]


def test_without_an_application_there_is_a_clear_error() -> None:
    code = f"""
import {QtCore.__name__}
from staticstore.interop.desktop import qt_dispatch
try:
    qt_dispatch()
except RuntimeError as error:
    print(error)
"""
    received = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "create a QApplication first" in received


def test_the_receiver_must_be_in_the_calling_thread(loop: QtLoop) -> None:
    with pytest.raises(RuntimeError, match="thread of its receiver"):
        Call(loop.dispatch).result()


def test_a_coroutine_function_is_an_error_that_is_shown(
    loop: QtLoop, site: MemorySite, store: StaticStore
) -> None:
    async def hear(change: Change) -> None: ...

    store.subscribe(hear, dispatch=loop.dispatch())
    write(site, store, "a")
    loop.run_until(lambda: bool(loop.errors))
    assert "asyncio_dispatch" in str(loop.errors[0])


def test_a_receiver_may_be_destroyed_while_polls_deliver(qtbot: Any, site: MemorySite) -> None:
    done = threading.Event()
    dispatches: list[Dispatch] = []

    def deliver() -> None:
        while not done.wait(1e-4):
            for dispatch in dispatches[-3:]:
                try:
                    dispatch(lambda: None)
                except RuntimeError as error:
                    assert "destroyed" in str(error)  # noqa: PT017

    callers = [Call(deliver) for _ in range(3)]
    for _ in range(200):
        receiver = QtCore.QObject()
        dispatches.append(qt_dispatch(receiver))
        QtCore.QCoreApplication.processEvents()
        destroy(receiver)
    done.set()
    for caller in callers:
        caller.result()
