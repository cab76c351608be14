"""Deliveries in the event loop of Tk."""

from __future__ import annotations

import gc
import tkinter
from collections.abc import Callable, Iterator

import pytest

from staticstore import Change, StaticStore
from staticstore.client.telling.subscription import Dispatch
from staticstore.interop.desktop import tk_dispatch
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.interop.loops import DispatchContract, Loop, write


class TkLoop(Loop):
    """The event loop of a root, with a window that may be destroyed."""

    def __init__(self) -> None:
        self.errors = []
        self.root = tkinter.Tk()
        self.window = tkinter.Toplevel(self.root)
        self.root.report_callback_exception = lambda kind, error, trace: self.errors.append(error)

    def dispatch(self) -> Dispatch:
        return tk_dispatch(self.window)

    def run_until(self, condition: Callable[[], bool]) -> None:
        deadline = self.root.after(int(TIMEOUT * 1000), self.root.quit)

        def look() -> None:
            if condition():
                self.root.quit()
            else:
                self.root.after(1, look)

        self.root.after(0, look)
        self.root.mainloop()
        self.root.after_cancel(deadline)
        assert condition()

    def call_later(self, call: Callable[[], object]) -> None:
        self.root.after(3, call)

    def end(self) -> None:
        self.window.destroy()


@pytest.fixture
def loop() -> Iterator[TkLoop]:
    own = TkLoop()
    yield own
    own.root.destroy()
    del own
    gc.collect()  # in this thread: Tcl aborts the process if another one finds the root


class TestTk(DispatchContract):
    """The contract of a dispatch."""


def test_the_root_can_be_the_widget(site: MemorySite, store: StaticStore, loop: TkLoop) -> None:
    heard: list[str] = []
    store.subscribe(lambda change: heard.append(change.key), dispatch=tk_dispatch(loop.root))
    Call(lambda: write(site, store, "a", "b")).result()
    loop.run_until(lambda: len(heard) == 2)


def test_a_widget_destroyed_by_a_callback_receives_nothing_more(
    site: MemorySite, store: StaticStore, loop: TkLoop
) -> None:
    heard: list[Change] = []

    def hear(change: Change) -> None:
        heard.append(change)
        loop.end()

    store.subscribe(hear, dispatch=loop.dispatch())
    write(site, store, "a", "b")
    loop.run_until(lambda: bool(heard))
    past = tk_dispatch(loop.root)
    loop.run_past(past)
    assert len(heard) == 1


def test_g1_the_loop_of_a_dialog_opened_by_a_callback_delivers_the_following(
    site: MemorySite, store: StaticStore, loop: TkLoop
) -> None:
    heard: list[str] = []

    def hear(change: Change) -> None:
        heard.append(change.key)
        if change.key == "a":
            loop.root.wait_variable(closed)
            heard.append("closed")
        if change.key == "c":
            closed.set(1)

    closed = tkinter.IntVar(loop.root)
    store.subscribe(hear, dispatch=loop.dispatch())
    write(site, store, "a", "b", "c")
    loop.run_until(lambda: len(heard) == 4)
    assert heard == ["a", "b", "c", "closed"]


def test_no_timer_is_left_when_the_dispatch_is_collected(loop: TkLoop) -> None:
    dispatch = loop.dispatch()
    loop.run_past(dispatch)
    del dispatch
    ticks: list[None] = []
    loop.root.after(120, lambda: ticks.append(None))
    loop.run_until(lambda: bool(ticks))
    assert loop.root.tk.call("after", "info") == ""


def test_no_timer_is_left_when_the_widget_is_destroyed(loop: TkLoop) -> None:
    dispatch = loop.dispatch()
    loop.end()
    assert loop.root.tk.call("after", "info") == ""
    with pytest.raises(RuntimeError, match="destroyed"):
        dispatch(lambda: None)
