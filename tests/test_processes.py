"""What each process has of its own; a fork is a process id that changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from staticstore.processes import PerProcess, is_held
from tests.client.scene import Call

Fork = Callable[[], None]


@pytest.fixture
def fork(monkeypatch: pytest.MonkeyPatch) -> Fork:
    """Let this process look like a child of itself."""

    def fork() -> None:
        pid = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: pid)

    return fork


def test_a_process_has_one() -> None:
    own: PerProcess[Any] = PerProcess(object)
    assert own.get() is own.get()


def test_a_child_has_another(fork: Fork) -> None:
    own: PerProcess[Any] = PerProcess(object)
    parents = own.get()
    fork()
    assert own.get() is not parents
    assert own.get() is own.get()


def test_a_child_of_a_child_has_another(fork: Fork) -> None:
    made: list[int] = []
    own = PerProcess(lambda: made.append(0))
    for _ in range(3):
        own.get()
        fork()
    assert len(made) == 3


def test_a_child_makes_its_own_of_its_parents(fork: Fork) -> None:
    own = PerProcess(list[int], after_fork=lambda parents: [*parents, len(parents)])
    for length in range(3):
        assert own.get() == list(range(length))
        fork()


def test_what_the_parent_had_is_let_go(fork: Fork) -> None:
    own: PerProcess[Any] = PerProcess(object)
    own.get()
    fork()
    own.get()
    assert len(own._made) == 1


def test_threads_of_a_child_get_the_same(fork: Fork) -> None:
    barrier = threading.Barrier(4)

    def make() -> object:
        barrier.wait(10)  # until all have found none
        return object()

    own = PerProcess(make)
    calls = [Call(own.get) for _ in range(4)]
    assert len({id(call.result()) for call in calls}) == 1


def test_a_lock_that_a_thread_holds_is_held() -> None:
    lock = threading.Lock()
    assert not is_held(lock)
    with lock:
        assert is_held(lock)
    assert not is_held(lock)
