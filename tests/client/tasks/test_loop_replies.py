"""Calls that threads have a loop make: none is lost, and none waits for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from staticstore.client.tasks.calls import LoopReplies
from tests.client.scene import Call


class Loop:
    """A loop that a finalizer interrupts while it is asked whether it is closed."""

    def __init__(self) -> None:
        self.interruption: Callable[[], object] | None = None
        self.scheduled: list[Callable[[], object]] = []

    def is_closed(self) -> bool:
        if self.interruption is not None:
            interruption, self.interruption = self.interruption, None
            interruption()
        return False

    def call_soon_threadsafe(self, call: Callable[[], object]) -> None:
        self.scheduled.append(call)


def test_a_finalizer_that_runs_within_it_may_put_a_reply() -> None:
    loop: Any = Loop()
    replies, made = LoopReplies(loop), list[str]()
    loop.interruption = lambda: replies.put(lambda: made.append("inner"))
    Call(lambda: replies.put(lambda: made.append("outer"))).result()
    for call in loop.scheduled:
        call()
    assert sorted(made) == ["inner", "outer"]
