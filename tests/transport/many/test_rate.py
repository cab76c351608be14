"""Limits on the transfer rate: how long a receiver has to wait."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

import pytest

from staticstore.errors import NotConnectedError
from staticstore.transport.http.wire import RateLimit
from staticstore.transport.many.batch import fetch_all
from staticstore.transport.many.request import SizedRequest
from tests.engines import ENGINES, sending_by
from tests.servers import Answer, Request, Wire
from tests.transport.conftest import Call, SessionAt, Start, fetch, noted_waits

BODY = bytes(range(256)) * 100


class Clock:
    """A clock that advances only by waiting."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def served(body: bytes) -> Answer:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(body=body)

    return answer


def test_bytes_take_the_time_that_the_rate_requires() -> None:
    clock = Clock()
    limit = RateLimit(1000, clock.wait, clock=clock)
    assert [limit.spend(count) for count in (500, 250, 0)] == [0.5, 0.25, 0]
    assert clock.waits == [0.5, 0.25]


def test_idle_time_is_not_saved_up() -> None:
    clock = Clock()
    limit = RateLimit(1000, clock.wait, clock=clock)
    clock.now += 1000
    assert limit.spend(500) == 0.5


def test_all_threads_share_the_rate() -> None:
    clock = Clock()
    waits: list[float] = []
    limit = RateLimit(1000, waits.append, clock=clock)
    for _ in range(3):
        limit.spend(100)
    assert waits == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("rate", [1024, 1e5, 1e12])
def test_waits_are_short_and_requests_few(rate: float) -> None:
    limit = RateLimit(rate, print)
    assert limit.piece <= max(rate / 16, 256)
    assert limit.requests == max(rate // 65536, 1)


def test_a_limited_session_waits_for_every_received_byte(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_at(start(served(BODY)).url)
    waits = noted_waits(session, monkeypatch)
    with session.wire.limited(1e5):
        assert fetch(session) == BODY
    # Nobody really waits, so each wait includes all waits before it.
    assert len(BODY) / 1e5 * 0.9 < max(waits) < (len(BODY) + 500) / 1e5
    waits.clear()
    assert fetch(session) == BODY
    assert not waits


@pytest.mark.parametrize("engine", ENGINES)
def test_parallel_requests_share_the_rate_with_each_engine(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    session = session_at(start(served(BODY)).url)
    waits = noted_waits(session, monkeypatch)
    with session.wire.limited(1e6), sending_by(engine):
        got = fetch_all(session, [SizedRequest(str(n), len(BODY)) for n in range(9)])
    assert [one is not None and one.body == BODY for one in got] == [True] * 9
    assert max(waits) > 9 * len(BODY) / 1e6 * 0.5


def test_waits_for_the_rate_count_for_neither_deadline_nor_minimum_rate(
    start: Start, session_at: SessionAt
) -> None:
    session = session_at(start(served(BODY)).url, timeout=0.1, min_rate=10**9)
    with session.wire.limited(len(BODY) * 2):
        assert fetch(session, seconds=0.2) == BODY
        assert session.request("GET", "value").read(len(BODY)) == BODY


def test_closing_the_session_ends_a_wait_for_the_rate(start: Start, session_at: SessionAt) -> None:
    waiting = threading.Event()
    session = session_at(start(served(BODY)).url)
    wait: Callable[[float | None], bool] = session.wire.cut.wait

    def noted(timeout: float | None = None) -> bool:
        waiting.set()
        return wait(timeout)

    session.wire.cut.wait = noted  # type: ignore[method-assign]
    with session.wire.limited(0.1):
        call = Call(partial(fetch, session))
        assert waiting.wait(5)
        session.close()
        with pytest.raises(NotConnectedError):
            call.result()
