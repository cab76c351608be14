"""E5: when the poller polls, with a clock that the test controls."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    StaticStore,
    StoreError,
    TransportError,
    poll_failed,
)
from staticstore.client.following.connection import Poller, seconds_since_boot
from tests.client.scene import TIMEOUT, MemorySite, pollers

HOUR = 3600.0
WEEK = 7 * 24 * HOUR
YEAR = 365 * 24 * HOUR

Outcome = StoreError | bool | None


class Clock(threading.Event):
    """A clock, and an event whose waits take no time but that of the clock.

    Parameters
    ----------
    sleeps : mapping, optional
        From times to seconds: a wait that passes such a time takes longer by
        that much, since the machine sleeps.
    """

    def __init__(self, sleeps: Mapping[float, float] | None = None) -> None:
        super().__init__()
        self.now = 0.0
        self.waits: list[float] = []
        self._sleeps = dict(sleeps or {})

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "a wait without a timeout"
        if not self.is_set():
            self.waits.append(timeout)
            self.now += timeout
            for begin in [begin for begin in self._sleeps if begin <= self.now]:
                self.now += self._sleeps.pop(begin)
        return self.is_set()


def times_of_polls(
    interval: float, outcomes: list[Outcome], clock: Clock | None = None
) -> list[float]:
    """Run a poller whose polls have these outcomes, and return when they were made."""
    clock = clock or Clock()
    times: list[float] = []

    def poll() -> Outcome:
        times.append(clock.now)
        return outcomes[len(times) - 1] if len(times) <= len(outcomes) else False

    Poller(poll, interval, clock, clock=clock).run()
    return times


def test_e6_a_store_that_began_offline_polls_soon_and_then_normally() -> None:
    clock, times, offline = Clock(), [], TransportError("nobody there")
    outcomes: list[Outcome] = [offline, offline, None, None, False]

    def poll() -> Outcome:
        times.append(clock.now)
        return outcomes[len(times) - 1]

    Poller(poll, HOUR, clock, has_polled=False, clock=clock).run()
    for pause, expected in zip(pauses(times), [5, 10, 20, HOUR, HOUR], strict=True):
        assert is_about(pause, expected)


def test_the_poller_begins_with_its_first_action_even_if_that_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[str] = []

    def begin() -> None:
        calls.append("begin")
        raise RuntimeError("a defect")

    def poll() -> Outcome:
        calls.append("poll")
        return False

    clock = Clock()
    Poller(poll, 1.0, clock, begin=begin, clock=clock).run()
    assert calls == ["begin", "poll"]
    assert "a defect" in caplog.text


def pauses(times: list[float]) -> list[float]:
    """Return the seconds between the polls."""
    return [after - before for before, after in zip([0.0, *times], times, strict=False)]


def is_about(pause: float, expected: float) -> bool:
    return 0.9 * expected <= pause <= 1.1 * expected


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Give every run of a test the same random numbers."""
    random.seed(5)


# -- the machine sleeps, the clock jumps ---------------------------------------------------


@pytest.mark.parametrize("sleep", [HOUR, WEEK, YEAR])
@pytest.mark.parametrize("begin", [0.0, 100.0, 299.0])
def test_e5_after_sleeping_the_machine_polls_once(sleep: float, begin: float) -> None:
    clock = Clock({begin: sleep})
    first, second, third = times_of_polls(300, [None, None], clock)
    assert begin + sleep <= first <= begin + 15 + sleep + 30
    assert is_about(second - first, 300)
    assert is_about(third - second, 300)


def test_e5_machines_that_slept_do_not_all_poll_at_the_same_moment() -> None:
    first_polls = {times_of_polls(300, [], Clock({15.0: WEEK}))[0] for _ in range(50)}
    assert len(first_polls) == 50
    assert all(WEEK + 15 <= first <= WEEK + 15 + 10 for first in first_polls)


def test_e5_with_a_short_interval_the_poll_after_sleeping_comes_soon() -> None:
    clock = Clock({5.0: WEEK})
    first = times_of_polls(10, [], clock)[0]
    assert WEEK + 5 <= first <= WEEK + 10 * 1.1 + 1


def test_e5_after_a_sleep_shorter_than_the_interval_the_poll_is_on_time() -> None:
    (first,) = times_of_polls(300, [], Clock({30.0: 100.0}))
    assert is_about(first, 300)


def test_e5_a_machine_that_sleeps_repeatedly_polls_each_time_it_wakes() -> None:
    clock = Clock({number * HOUR: HOUR * 0.9 for number in range(1, 4)})
    times = times_of_polls(600, [None] * 30, clock)
    assert all(is_about(pause, 600) or pause >= 0.9 * HOUR for pause in pauses(times))


def test_e5_a_long_wait_checks_the_clock_regularly() -> None:
    # The timeout of a wait stops while the machine sleeps.
    clock = Clock()
    times_of_polls(HOUR, [], clock)
    assert max(clock.waits) <= 15


def test_e5_disconnect_after_sleeping_ends_the_thread_without_a_poll() -> None:
    class LastWait(Clock):
        def wait(self, timeout: float | None = None) -> bool:
            if self.now > WEEK:
                self.set()
            return super().wait(timeout)

    assert times_of_polls(300, [], LastWait({15.0: WEEK})) == []


def test_e5_the_wall_clock_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    polled = threading.Semaphore(0)
    cut = threading.Event()

    def no_wall_clock() -> float:
        raise AssertionError("somebody looked at the wall clock")

    def poll() -> Outcome:
        polled.release()
        return None

    monkeypatch.setattr(time, "time", no_wall_clock)
    monkeypatch.setattr(time, "time_ns", no_wall_clock)
    poller = Poller(poll, 0.01, cut)
    poller.start()
    for _ in range(3):
        assert polled.acquire(timeout=TIMEOUT)
    cut.set()
    poller.join(TIMEOUT)
    assert not poller.is_alive()


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_e5_a_jump_of_the_wall_clock_does_not_affect_polls(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    wall_clock = time.time
    with MemorySite({"a": {}}) as site, StaticStore(site.url, poll_interval=0.02) as store:
        changes = store.watch(timeout=TIMEOUT)
        monkeypatch.setattr(time, "time", lambda: wall_clock() + jump)
        site.write({"b": {}})
        assert {next(changes).key for _ in range(2)} == {"a", "b"}
        age = store.info()["age"]
        assert 0 <= age < TIMEOUT


def test_e5_the_clock_of_a_poller_never_goes_back() -> None:
    times = [seconds_since_boot() for _ in range(100)]
    assert times == sorted(times)


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no such clock")
def test_e5_the_clock_of_a_poller_includes_the_sleep_of_the_machine() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= seconds_since_boot() <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_e5_the_age_of_a_snapshot_includes_the_sleep_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # CLOCK_MONOTONIC stops while the machine sleeps, CLOCK_BOOTTIME does not.
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no such clock")
    clock = time.clock_gettime
    with MemorySite({"a": {}}) as site, site.open() as store:
        monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + WEEK)
        assert store.info()["age"] >= WEEK


# -- how long it waits ---------------------------------------------------------------------


def test_e5_it_polls_once_an_interval_plus_or_minus_a_tenth() -> None:
    times = times_of_polls(300, [None] * 100)
    assert all(is_about(pause, 300) for pause in pauses(times))
    assert len({round(pause, 6) for pause in pauses(times)}) == 101


def test_e5_the_first_poll_comes_an_interval_after_the_start() -> None:
    assert is_about(times_of_polls(300, [])[0], 300)


def test_e5_after_failures_the_pause_doubles_up_to_an_hour() -> None:
    times = times_of_polls(300, [TransportError("no")] * 8)
    expected = [300, 600, 1200, 2400, HOUR, HOUR, HOUR, HOUR, HOUR]
    assert all(map(is_about, pauses(times), expected))


def test_e5_after_a_thousand_failures_it_still_polls() -> None:
    times = times_of_polls(300.0, [TransportError("no")] * 1100)
    assert len(times) == 1101
    assert is_about(pauses(times)[-1], HOUR)


def test_e5_a_success_ends_the_backoff() -> None:
    error = TransportError("no")
    times = times_of_polls(300, [error, error, error, None, error])
    assert all(map(is_about, pauses(times), [300, 600, 1200, 2400, 300, 600]))


def test_e5_an_interval_beyond_an_hour_is_not_shortened_by_a_failure() -> None:
    times = times_of_polls(24 * HOUR, [TransportError("no")] * 3)
    assert all(is_about(pause, 24 * HOUR) for pause in pauses(times))


def test_e5_after_refused_credentials_it_waits_four_times_as_long() -> None:
    refused = AuthorizationError("no", status=401)
    times = times_of_polls(60, [refused] * 3)
    assert all(map(is_about, pauses(times), [60, 480, 960, 1920]))


def test_e5_after_refused_credentials_it_waits_at_most_an_hour() -> None:
    times = times_of_polls(300, [AuthorizationError("no", status=401)] * 20)
    assert is_about(max(pauses(times)), HOUR)


def busy(seconds: float) -> HTTPStatusError:
    return HTTPStatusError("busy", status=503, retry_after=seconds)


def test_e5_a_retry_after_longer_than_the_interval_is_obeyed() -> None:
    times = times_of_polls(10, [busy(100), None] * 50)
    assert all(100 <= pause <= 125 for pause in pauses(times)[1::2])
    assert all(is_about(pause, 10) for pause in pauses(times)[::2])


def test_e5_readers_with_the_same_retry_after_do_not_return_at_the_same_moment() -> None:
    waits = {pauses(times_of_polls(10, [busy(100)]))[1] for _ in range(50)}
    assert len(waits) == 50


def test_c22_a_retry_after_of_a_year_is_limited_to_an_hour() -> None:
    times = times_of_polls(10, [busy(3e7)] * 2)
    assert all(HOUR <= pause <= 1.25 * HOUR for pause in pauses(times)[1:])


def test_e5_a_retry_after_shorter_than_the_interval_is_ignored() -> None:
    times = times_of_polls(300, [busy(1)])
    assert is_about(pauses(times)[1], 600)


# -- the end of the poller --------------------------------------------------------------------


def test_e5_the_event_ends_a_wait_immediately() -> None:
    cut = threading.Event()
    poller = Poller(lambda: None, WEEK, cut)
    poller.start()
    cut.set()
    poller.join(1.0)
    assert not poller.is_alive()


@pytest.mark.parametrize("interval", [300, 0])
def test_e5_an_event_set_before_the_start_prevents_any_poll(interval: float) -> None:
    clock = Clock()
    clock.set()
    assert times_of_polls(interval, [None], clock) == []


def test_e5_it_ends_when_its_store_is_gone() -> None:
    assert len(times_of_polls(300, [None, False, None])) == 2


def test_e5_it_does_not_keep_the_interpreter_alive() -> None:
    assert Poller(lambda: None, 1, threading.Event()).daemon


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, RecursionError, SystemExit])
def test_e5_an_unexpected_exception_is_logged_and_polling_continues(
    caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    clock = Clock()
    times: list[float] = []

    def poll() -> Outcome:
        times.append(clock.now)
        if len(times) < 3:
            raise error("nobody foresaw this")
        return len(times) < 5 and None

    Poller(poll, 300, clock, clock=clock).run()
    assert all(map(is_about, pauses(times), [300, 600, 1200, 300, 300]))
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.exc_info and record.exc_info[0] for record in logged] == [error, error]


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite({"a": {}}) as memory_site:
        yield memory_site


FAILURES: dict[str, Callable[[MemorySite], None]] = {
    "404": lambda site: site.files.clear(),
    "500": lambda site: site.spoil(lambda request, wire: wire.response(500)),
    "html": lambda site: site.write(b"<html>"),
    "empty": lambda site: site.write(b""),
    "reset": lambda site: site.spoil(lambda request, wire: wire.reset()),
    "no server": lambda site: site.server.stop(),
}


@pytest.mark.parametrize("fail", FAILURES.values(), ids=list(FAILURES))
def test_a9_after_failures_a_poller_continues_and_finds_changes(
    site: MemorySite, fail: Callable[[MemorySite], None]
) -> None:
    others = pollers()
    failed = threading.Semaphore(0)
    with StaticStore(site.url, poll_interval=0.01).connect(retries=0) as store:
        (thread,) = pollers() - others

        def on_failure(sender: object, *, error: StoreError) -> None:
            failed.release()

        with poll_failed.connected_to(on_failure, sender=store):
            changes = store.watch(timeout=TIMEOUT)
            fail(site)
            for _ in range(2):
                assert failed.acquire(timeout=TIMEOUT)
            assert list(store) == ["a"]
            assert store.info()["stale"]
            site.server.start()
            site.restore()
            site.write({"b": {}})
            assert [(change.action, change.key) for change in (next(changes), next(changes))] == [
                ("delete", "a"),
                ("set", "b"),
            ]
        assert thread.is_alive()
        assert not store.info()["stale"]
