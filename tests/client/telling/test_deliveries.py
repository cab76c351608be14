"""Who sends signals, and when: one thread at a time, whole polls, in the order of swaps."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import Change, StaticStore, index_updated, key_set, key_updated
from staticstore.client.telling.deliveries import Deliveries
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.sites import write_index


def never() -> bool:
    return False


@pytest.fixture
def frequent_thread_switches() -> Iterator[None]:
    """Let Python switch threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


class Gate:
    """A delivery that waits until the test lets it end."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.release.wait(TIMEOUT)


# -- the queue alone ------------------------------------------------------------------------


def test_deliveries_run_in_the_order_they_were_queued() -> None:
    deliveries, ran = Deliveries(), list[int]()
    numbers = [deliveries.put(lambda number=number: ran.append(number)) for number in range(5)]  # type: ignore[misc]
    deliveries.run(numbers[2], given_up=never)
    assert ran[:3] == [0, 1, 2]
    deliveries.run(numbers[-1], given_up=never)
    assert ran == [0, 1, 2, 3, 4]


def test_a_delivery_does_not_run_before_a_thread_waits_for_it() -> None:
    deliveries, ran = Deliveries(), list[int]()
    deliveries.put(lambda: ran.append(1))
    assert ran == []


def test_a_delivery_runs_only_once() -> None:
    deliveries, ran = Deliveries(), list[int]()
    number = deliveries.put(lambda: ran.append(1))
    deliveries.run(number, given_up=never)
    deliveries.run(number, given_up=never)
    assert ran == [1]


def test_a_thread_waits_for_its_delivery_while_another_thread_delivers() -> None:
    deliveries, first_gate, second_gate = Deliveries(), Gate(), Gate()
    first = deliveries.put(first_gate)
    one = Call(lambda: deliveries.run(first, given_up=never))
    assert first_gate.reached.wait(TIMEOUT)
    second = deliveries.put(second_gate)
    other = Call(lambda: deliveries.run(second, given_up=never))
    assert not other.is_back(0.05)
    assert not second_gate.reached.is_set()
    first_gate.release.set()
    assert second_gate.reached.wait(TIMEOUT)
    assert not other.is_back(0.05)
    second_gate.release.set()
    other.result()
    one.result()


def test_a_thread_whose_delivery_is_done_does_not_wait_for_later_ones() -> None:
    deliveries, first_gate, second_gate = Deliveries(), Gate(), Gate()
    first = deliveries.put(first_gate)
    one = Call(lambda: deliveries.run(first, given_up=never))
    assert first_gate.reached.wait(TIMEOUT)
    other = Call(lambda: deliveries.run(first, given_up=never))
    deliveries.put(second_gate)
    first_gate.release.set()
    assert second_gate.reached.wait(TIMEOUT)
    other.result()
    second_gate.release.set()
    one.result()


def test_a_wait_ends_when_it_is_given_up() -> None:
    deliveries, gate, given_up = Deliveries(), Gate(), threading.Event()
    first = deliveries.put(gate)
    one = Call(lambda: deliveries.run(first, given_up=never))
    assert gate.reached.wait(TIMEOUT)
    other = Call(lambda: deliveries.run(deliveries.put(lambda: None), given_up=given_up.is_set))
    assert not other.is_back(0.05)
    given_up.set()
    other.result()
    gate.release.set()
    one.result()


def test_waiting_within_a_delivery_returns_immediately_and_the_next_one_follows() -> None:
    deliveries, ran = Deliveries(), list[str]()

    def outer() -> None:
        ran.append("outer begins")
        deliveries.run(deliveries.put(lambda: ran.append("inner")), given_up=never)
        ran.append("outer ends")

    number = deliveries.put(outer)
    Call(lambda: deliveries.run(number, given_up=never)).result()
    assert ran == ["outer begins", "outer ends", "inner"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_an_interrupt_releases_the_turn_and_loses_no_delivery(error: type[BaseException]) -> None:
    deliveries, ran = Deliveries(), list[int]()

    def interrupted() -> None:
        raise error

    number = deliveries.put(interrupted)
    deliveries.put(lambda: ran.append(1))
    with pytest.raises(error):
        deliveries.run(number, given_up=never)
    last = deliveries.put(lambda: ran.append(2))
    Call(lambda: deliveries.run(last, given_up=never)).result()
    assert ran == [1, 2]


def test_an_interrupt_passes_the_turn_to_a_waiting_thread() -> None:
    deliveries, gate, ran = Deliveries(), Gate(), threading.Event()

    def interrupted() -> None:
        gate()
        raise KeyboardInterrupt

    first = deliveries.put(interrupted)
    one = Call(lambda: deliveries.run(first, given_up=never))
    assert gate.reached.wait(TIMEOUT)
    second = deliveries.put(ran.set)
    other = Call(lambda: deliveries.run(second, given_up=never))
    gate.release.set()
    other.result()
    assert ran.is_set()
    with pytest.raises(KeyboardInterrupt):
        one.result()


@pytest.mark.usefixtures("frequent_thread_switches")
def test_many_threads_deliver_one_at_a_time_each_delivery_once_and_in_order() -> None:
    deliveries = Deliveries()
    busy = threading.Lock()
    ran: list[int] = []
    put = threading.Lock()
    count = 0

    def work() -> None:
        nonlocal count
        for _ in range(50):
            with put:
                count += 1
                number = deliveries.put(deliver(count))
            deliveries.run(number, given_up=never)
            assert number in ran

    def deliver(number: int) -> Callable[[], None]:
        def delivery() -> None:
            assert busy.acquire(blocking=False), "two deliveries at once"
            ran.append(number)
            busy.release()

        return delivery

    for call in [Call(work) for _ in range(8)]:
        call.result()
    assert ran == list(range(1, 401))


# -- polls ------------------------------------------------------------------------------------


def test_the_poll_that_swapped_first_is_delivered_first_and_whole() -> None:
    heard: list[str] = []
    gate = Gate()
    with MemorySite({}) as site, site.open() as store:

        def on_set(sender: object, *, key: str, **_: Any) -> None:
            heard.append(key)
            if key == "a":
                gate()

        def on_end(sender: object, *, changes: Any) -> None:
            heard.append("end")

        with (
            key_set.connected_to(on_set, sender=store),
            index_updated.connected_to(on_end, sender=store),
        ):
            site.write({"a": {}, "b": {}})
            first = Call(store.update_index)
            assert gate.reached.wait(TIMEOUT)
            site.write({"a": {}, "b": {}, "A": {}, "c": {}})
            second = Call(store.update_index)
            while "c" not in store:
                assert not second.is_back(0.005)
            gate.release.set()
            assert [change.key for change in first.result()] == ["a", "b"]
            assert [change.key for change in second.result()] == ["A", "c"]
    assert heard == ["a", "b", "end", "A", "c", "end"]


def test_an_update_returns_after_its_signals_were_sent() -> None:
    heard: list[str] = []
    with MemorySite({}) as site, site.open() as store:

        def on_set(sender: object, *, key: str, **_: Any) -> None:
            heard.append(key)

        with key_set.connected_to(on_set, sender=store):
            for key in "abc":
                site.write({key: {}})
                store.update_index()
                assert heard[-1] == key


def test_a_keyboard_interrupt_in_a_handler_reaches_the_caller_and_ends_nothing_else() -> None:
    heard: list[str] = []
    with MemorySite({}) as site, site.open() as store:

        def interrupt(sender: object, *, key: str, **_: Any) -> None:
            heard.append(key)
            if key == "a":
                raise KeyboardInterrupt

        with key_set.connected_to(interrupt, sender=store):
            site.write({"a": {}, "b": {}})
            with pytest.raises(KeyboardInterrupt):
                store.update_index()
            assert list(store) == ["a", "b"]
            site.write({"a": {}, "b": {}, "c": {}})
            assert [change.key for change in Call(store.update_index).result()] == ["c"]
    assert heard == ["a", "c"]


@pytest.mark.usefixtures("frequent_thread_switches")
def test_concurrent_updates_signal_every_change_once_and_in_order(tmp_path: Path) -> None:
    versions = 60
    write_index(tmp_path, {"k": {"v": 0}})
    received: list[tuple[int, int]] = []
    busy = threading.Lock()
    done = threading.Event()

    def hear(sender: object, *, key: str, metadata: Any, previous: Any) -> None:
        assert busy.acquire(blocking=False), "two handlers at once"
        received.append((previous["v"], metadata["v"]))
        busy.release()

    def poll(store: StaticStore) -> list[tuple[int, int]]:
        returned: list[tuple[int, int]] = []
        last = False
        while not last:
            last = done.is_set()
            for change in store.update_index():
                assert change.previous is not None
                assert change.metadata is not None
                returned.append((change.previous["v"], change.metadata["v"]))
        return returned

    with (
        StaticStore(tmp_path, poll_interval=0).connect() as store,
        key_updated.connected_to(hear, sender=store),
    ):
        calls = [Call(lambda: poll(store)) for _ in range(8)]
        for version in range(1, versions + 1):
            write_index(tmp_path, {"k": {"v": version}})
        done.set()
        returned = [pair for call in calls for pair in call.result()]
        returned += poll(store)
    assert received[0][0] == 0
    assert received[-1][1] == versions
    assert [before for before, _ in received[1:]] == [after for _, after in received[:-1]]
    assert sorted(returned) == sorted(received)


@pytest.mark.usefixtures("frequent_thread_switches")
def test_replaying_the_changes_yields_the_index(tmp_path: Path) -> None:
    chance = random.Random(7)
    write_index(tmp_path, {})
    replayed: dict[str, Any] = {}
    problems: list[str] = []

    def replay(change: Change) -> None:
        if change.previous != replayed.get(change.key):
            problems.append(f"{change} of {change.previous} and not {replayed.get(change.key)}")
        if change.metadata is None:
            del replayed[change.key]
        else:
            replayed[change.key] = change.metadata

    with StaticStore(tmp_path, poll_interval=0).connect() as store:
        store.subscribe(replay)
        done = threading.Event()

        def poll() -> None:
            while not done.is_set():
                store.update_index()

        calls = [Call(poll) for _ in range(4)]
        for _ in range(60):
            keys = chance.sample("abcdefgh", 4)
            write_index(tmp_path, {key: {"v": chance.randrange(3)} for key in keys})
        done.set()
        for call in calls:
            call.result()
        store.update_index()
        assert problems == []
        assert replayed == dict(store.index)
