"""State of one process, and forks that wait; most forks here are a changed process id."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from staticstore.processes import ForkGate, KeptObjects, PerProcess, fork_gate, is_held
from tests.client.scene import TIMEOUT, Call

Fork = Callable[[], None]


@pytest.fixture
def fork(monkeypatch: pytest.MonkeyPatch) -> Fork:
    """Make this process look like a child of itself."""

    def fork() -> None:
        pid = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: pid)

    return fork


def test_a_process_has_one_object() -> None:
    own: PerProcess[Any] = PerProcess(object)
    assert own.get() is own.get()


def test_a_child_has_another_object(fork: Fork) -> None:
    own: PerProcess[Any] = PerProcess(object)
    parents = own.get()
    fork()
    assert own.get() is not parents
    assert own.get() is own.get()


def test_a_child_of_a_child_has_another_object(fork: Fork) -> None:
    made: list[int] = []
    own = PerProcess(lambda: made.append(0))
    for _ in range(3):
        own.get()
        fork()
    assert len(made) == 3


def test_a_child_makes_its_object_from_that_of_its_parent(fork: Fork) -> None:
    own = PerProcess(list[int], after_fork=lambda parents: [*parents, len(parents)])
    for length in range(3):
        assert own.get() == list(range(length))
        fork()


def test_the_object_of_the_parent_is_released(fork: Fork) -> None:
    own: PerProcess[Any] = PerProcess(object)
    own.get()
    fork()
    own.get()
    assert len(own._made) == 1


def test_threads_of_a_child_get_the_same_object(fork: Fork) -> None:
    barrier = threading.Barrier(4)

    def make() -> object:
        barrier.wait(10)  # until all have found that there is none
        return object()

    own = PerProcess(make)
    calls = [Call(own.get) for _ in range(4)]
    assert len({id(call.result()) for call in calls}) == 1


def test_a_lock_held_by_a_thread_is_held() -> None:
    lock = threading.Lock()
    assert not is_held(lock)
    with lock:
        assert is_held(lock)
    assert not is_held(lock)


# -- forks that wait for the TLS library --------------------------------------------------


@pytest.fixture
def gate() -> ForkGate:
    return ForkGate(patience=TIMEOUT)


class Visit:
    """A thread inside a gate, until it is told to leave."""

    def __init__(self, gate: ForkGate) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()
        self.call = Call(lambda: self._visit(gate))

    def _visit(self, gate: ForkGate) -> None:
        with gate.passing():
            self.entered.set()
            assert self.leave.wait(TIMEOUT)


def test_a_fork_waits_for_threads_inside(gate: ForkGate) -> None:
    visit = Visit(gate)
    assert visit.entered.wait(TIMEOUT)
    closing = Call(gate.close)
    assert not closing.is_back(0.05)
    visit.leave.set()
    closing.result()
    gate.open()


def test_no_thread_enters_before_the_fork_is_done(gate: ForkGate) -> None:
    gate.close()
    visit = Visit(gate)
    assert not visit.entered.wait(0.05)
    gate.open()
    assert visit.entered.wait(TIMEOUT)
    visit.leave.set()
    visit.call.result()


def test_many_threads_can_be_inside_at_once(gate: ForkGate) -> None:
    visits = [Visit(gate) for _ in range(3)]
    assert all(visit.entered.wait(TIMEOUT) for visit in visits)
    for visit in visits:
        visit.leave.set()
        visit.call.result()


def test_a_fork_does_not_wait_forever() -> None:
    gate = ForkGate(patience=0.01)
    with gate.passing():
        gate.close()
        gate.open()


def test_a_closed_gate_is_open_in_a_child(gate: ForkGate) -> None:
    gate.close()
    gate._reset()  # done by the child after the fork
    with gate.passing():
        pass


def test_a_process_has_one_gate() -> None:
    assert fork_gate() is fork_gate()


def test_objects_are_kept_while_others_come() -> None:
    kept: KeptObjects[str, Thing] = KeptObjects(Thing, lambda: 60.0)
    first = id(kept.get("a"))
    gc.collect()
    assert id(kept.get("a")) == first
    assert kept.get("b").key == "b"


def test_an_object_ends_some_seconds_after_it_was_asked_for_last() -> None:
    kept: KeptObjects[str, Thing] = KeptObjects(Thing, lambda: 0.01)
    ended = threading.Event()
    weakref.finalize(kept.get("a"), ended.set)
    assert ended.wait(TIMEOUT)


def test_an_object_lives_as_long_as_it_is_held() -> None:
    seconds = [0.0]
    kept: KeptObjects[str, Thing] = KeptObjects(Thing, lambda: seconds[0])
    held = kept.get("a")
    ended = threading.Event()
    weakref.finalize(kept.get("b"), ended.set)
    assert ended.wait(TIMEOUT)
    assert kept.get("a") is held


def test_an_object_that_is_kept_for_less_ends_before_the_others() -> None:
    seconds = [60.0]
    kept: KeptObjects[str, Thing] = KeptObjects(Thing, lambda: seconds[0])
    kept.get("a")
    seconds[0] = 0.0
    ended = threading.Event()
    weakref.finalize(kept.get("b"), ended.set)
    assert ended.wait(TIMEOUT)


def test_threads_that_ask_at_once_get_the_same_object() -> None:
    kept: KeptObjects[str, Thing] = KeptObjects(Thing, lambda: 60.0)
    calls = [Call(lambda: kept.get("a")) for _ in range(8)]
    assert len({id(call.result()) for call in calls}) == 1


class Thing:
    def __init__(self, key: str) -> None:
        self.key = key
