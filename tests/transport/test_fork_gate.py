"""A fork waits until no thread is inside the TLS library."""

from __future__ import annotations

import threading

import pytest

from staticstore.transport.fork_gate import ForkGate, fork_gate
from tests.client.scene import TIMEOUT, Call


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


def test_a_fork_waits_for_who_is_inside(gate: ForkGate) -> None:
    visit = Visit(gate)
    assert visit.entered.wait(TIMEOUT)
    closing = Call(gate.close)
    assert not closing.is_back(0.05)
    visit.leave.set()
    closing.result()
    gate.open()


def test_nobody_enters_before_the_fork_is_done(gate: ForkGate) -> None:
    gate.close()
    visit = Visit(gate)
    assert not visit.entered.wait(0.05)
    gate.open()
    assert visit.entered.wait(TIMEOUT)
    visit.leave.set()
    visit.call.result()


def test_many_are_inside_at_once(gate: ForkGate) -> None:
    visits = [Visit(gate) for _ in range(3)]
    assert all(visit.entered.wait(TIMEOUT) for visit in visits)
    for visit in visits:
        visit.leave.set()
        visit.call.result()


def test_a_fork_does_not_wait_for_ever() -> None:
    gate = ForkGate(patience=0.01)
    with gate.passing():
        gate.close()
        gate.open()


def test_a_gate_that_a_child_inherits_closed_is_open(gate: ForkGate) -> None:
    gate.close()
    gate._begin()  # what the child does after the fork
    with gate.passing():
        pass


def test_a_process_has_one_gate() -> None:
    assert fork_gate() is fork_gate()
