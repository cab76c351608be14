"""Subscriptions: which changes they receive, in which thread, and until when."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import Change, Changes, NotConnectedError, StaticStore, index_updated
from staticstore.query import any_where, ge, lt, missing, ne
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.sites import write_index

BEFORE = {
    "map": {"type": "raster", "size": 1},
    "old": {"type": "raster"},
    "table": {"type": "table", "size": 1},
}
AFTER = {
    "map": {"type": "raster", "size": 2},
    "new": {"type": "raster"},
    "table": {"type": "vector", "size": None},
}
ALL = ["update map", "set new", "delete old", "update table"]


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    site.write(BEFORE)
    with site.open() as connected:
        yield connected


class Recorder:
    """A callback that records what it receives."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, change: Change) -> None:
        self.lines.append(f"{change.action} {change.key}")


def change(site: MemorySite, store: StaticStore) -> None:
    site.write(AFTER)
    store.update_index()


@pytest.mark.parametrize("callback", [None, "show"])
def test_what_cannot_be_called_is_refused_at_once(store: StaticStore, callback: Any) -> None:
    with pytest.raises(TypeError, match="callback is a function of a change, not"):
        store.subscribe(callback)


# -- filters ------------------------------------------------------------------------------


def test_by_default_every_change_is_delivered_in_key_order(
    site: MemorySite, store: StaticStore
) -> None:
    recorder = Recorder()
    store.subscribe(recorder)
    change(site, store)
    assert recorder.lines == ALL


def test_a_change_has_the_metadata_before_and_after(site: MemorySite, store: StaticStore) -> None:
    heard: list[Change] = []
    store.subscribe(heard.append)
    change(site, store)
    assert [(each.previous, each.metadata) for each in heard] == [
        (BEFORE["map"], AFTER["map"]),
        (None, AFTER["new"]),
        (BEFORE["old"], None),
        (BEFORE["table"], AFTER["table"]),
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"actions": ["set"]}, ["set new"]),
        ({"actions": {"update", "delete"}}, ["update map", "delete old", "update table"]),
        ({"actions": iter(["delete"])}, ["delete old"]),
        ({"actions": []}, []),
        # Before or after:
        ({"type": "raster"}, ["update map", "set new", "delete old"]),
        ({"type": "table"}, ["update table"]),
        ({"type": "vector"}, ["update table"]),
        ({"type": "nothing"}, []),
        ({"where": {"type": "raster"}, "size": 2}, ["update map"]),
        ({"size": lambda size: size == 1}, ["update map", "update table"]),
        ({"where": {"type": "raster"}, "actions": ["delete"]}, ["delete old"]),
        # A missing field equals None, but a missing side matches nothing.
        ({"size": None}, ["set new", "delete old", "update table"]),
        ({"nowhere": None}, ALL),
    ],
)
def test_a_change_is_delivered_if_action_and_metadata_or_previous_match(
    site: MemorySite, store: StaticStore, options: dict[str, Any], expected: list[str]
) -> None:
    recorder = Recorder()
    store.subscribe(recorder, **options)
    change(site, store)
    assert recorder.lines == expected


def test_conditions_must_hold_together_on_one_side(site: MemorySite, store: StaticStore) -> None:
    # The table had size 1 and is now a vector of size None: never a table of size None.
    recorder = Recorder()
    store.subscribe(recorder, type="table", where={"size": None})
    change(site, store)
    assert recorder.lines == []


@pytest.mark.parametrize("actions", ["set", ["sets"], ["set", "changed"], [None], [1]], ids=str)
def test_an_unknown_action_is_a_value_error_immediately(store: StaticStore, actions: Any) -> None:
    with pytest.raises(ValueError, match="no such action"):
        store.subscribe(print, actions=actions)


def test_a_wrong_condition_is_a_type_error_immediately(store: StaticStore) -> None:
    with pytest.raises(TypeError):
        store.subscribe(print, where="type")  # type: ignore[call-overload]


def test_a_predicate_that_raises_is_logged_and_the_subscription_continues(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()
    store.subscribe(recorder, size=lambda size: size > 1)  # fails for None
    change(site, store)
    assert recorder.lines == ["update map"]
    assert len(caplog.records) == 1


def test_a_callback_gets_its_own_metadata(site: MemorySite, store: StaticStore) -> None:
    heard: list[Any] = []

    def spoil(received: Change) -> None:
        heard.append(received.metadata)
        if received.metadata is not None:
            received.metadata["type"] = "spoiled"
            received.metadata.clear()

    store.subscribe(spoil, actions=["set"])
    store.subscribe(spoil, actions=["set"])
    change(site, store)
    assert heard == [{"type": "raster"}, {"type": "raster"}]
    assert store.get_metadata("new") == {"type": "raster"}


@pytest.mark.parametrize("most_singly", [0, 10**9], ids=["together", "singly"])
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"size": ge(2)}, ["update map"]),
        ({"size": lt(2)}, ["update map", "update table"]),
        ({"type": "raster", "size": missing()}, ["set new", "delete old"]),
        ({"size": lambda size: size == 2}, ["update map"]),
        ({"where": any_where({"size": 2}, {"type": ne("raster")})}, ["update map", "update table"]),
        ({"where": {}}, ALL),
    ],
)
def test_conditions_match_the_same_changes_one_by_one_and_together(
    site: MemorySite,
    store: StaticStore,
    monkeypatch: pytest.MonkeyPatch,
    conditions: dict[str, Any],
    expected: list[str],
    batch: bool,
    most_singly: int,
) -> None:
    monkeypatch.setattr("staticstore.tuning.MATCHED_SINGLY_CHANGES", most_singly)
    monkeypatch.setattr("staticstore.tuning.MATCHED_TOGETHER_CHANGES", 3)
    recorder = Recorder()

    def hear(delivery: Any) -> None:
        for one in delivery if batch else [delivery]:
            recorder(one)

    subscribe: Any = store.subscribe
    with subscribe(hear, batch=batch, **conditions):
        change(site, store)
    assert recorder.lines == expected


@pytest.mark.parametrize("most_singly", [0, 10**9], ids=["together", "singly"])
def test_a_condition_that_raises_is_logged_with_the_key_and_the_others_go_on(
    site: MemorySite,
    store: StaticStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    most_singly: int,
) -> None:
    monkeypatch.setattr("staticstore.tuning.MATCHED_SINGLY_CHANGES", most_singly)
    failing, other = Recorder(), Recorder()
    with (
        store.subscribe(failing, size=lambda size: 1 / (size - 2)),
        store.subscribe(other, size=ge(0)),
    ):
        change(site, store)
    assert "ZeroDivisionError" in caplog.text
    assert "'map'" in caplog.text
    assert failing.lines == []
    assert other.lines == ["update map", "update table"]


def test_of_several_subscriptions_each_change_goes_to_the_first_one_first(
    site: MemorySite, store: StaticStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.MATCHED_SINGLY_CHANGES", 0)
    heard: list[str] = []
    with (
        store.subscribe(lambda change: heard.append(f"1 {change.key}"), size=ge(0)),
        store.subscribe(lambda change: heard.append(f"2 {change.key}")),
    ):
        change(site, store)
    assert heard == ["1 map", "2 map", "2 new", "2 old", "1 table", "2 table"]


# -- begin and end ------------------------------------------------------------------------


def test_a_closed_subscription_receives_nothing(site: MemorySite, store: StaticStore) -> None:
    recorder = Recorder()
    subscription = store.subscribe(recorder)
    subscription.close()
    subscription.close()
    change(site, store)
    assert recorder.lines == []


def test_a_with_block_ends_a_subscription(site: MemorySite, store: StaticStore) -> None:
    recorder = Recorder()
    with store.subscribe(recorder):
        site.write({})
        store.update_index()
    site.write(BEFORE)
    store.update_index()
    assert recorder.lines == ["delete map", "delete old", "delete table"]


def test_a_subscription_closed_by_another_thread_during_a_poll_receives_no_more(
    site: MemorySite, store: StaticStore
) -> None:
    received, go_on = threading.Event(), threading.Event()
    recorder = Recorder()

    def hear(each: Change) -> None:
        recorder(each)
        received.set()
        assert go_on.wait(TIMEOUT)

    subscription = store.subscribe(hear)
    poll = Call(lambda: change(site, store))
    assert received.wait(TIMEOUT)
    subscription.close()
    go_on.set()
    poll.result()
    assert recorder.lines == ALL[:1]


def test_after_disconnect_a_subscription_receives_nothing_until_the_next_connect(
    site: MemorySite, store: StaticStore
) -> None:
    recorder = Recorder()
    store.subscribe(recorder)
    store.disconnect()
    site.write(AFTER)
    assert recorder.lines == []
    store.connect()
    assert recorder.lines == ALL


def test_the_callback_is_referenced_strongly(site: MemorySite, store: StaticStore) -> None:
    lines: list[str] = []
    store.subscribe(lambda each: lines.append(each.key))
    gc.collect()
    change(site, store)
    assert len(lines) == 4


def test_the_callback_is_released_when_the_subscription_is_closed(store: StaticStore) -> None:
    recorder = Recorder()
    subscription = store.subscribe(recorder)
    reference = weakref.ref(recorder)
    subscription.close()
    del recorder, subscription
    gc.collect()
    assert reference() is None


def test_a_subscription_may_outlive_its_store(site: MemorySite) -> None:
    subscription = site.open().subscribe(print)
    gc.collect()
    subscription.close()
    assert subscription.is_closed


def test_a_store_that_is_not_connected_refuses_a_subscription(site: MemorySite) -> None:
    with pytest.raises(NotConnectedError):
        StaticStore(site.url).subscribe(print)


def test_two_subscriptions_of_one_callback_are_called_twice(
    site: MemorySite, store: StaticStore
) -> None:
    recorder = Recorder()
    first = store.subscribe(recorder)
    store.subscribe(recorder)
    change(site, store)
    assert recorder.lines == [line for line in ALL for _ in range(2)]
    first.close()
    site.write({})
    store.update_index()
    assert len(recorder.lines) == 2 * len(ALL) + 3


# -- dispatch ---------------------------------------------------------------------------------

Calls = list[Callable[[], None]]


def test_dispatch_gets_the_calls_and_makes_them_when_it_wants(
    site: MemorySite, store: StaticStore
) -> None:
    recorder, calls = Recorder(), Calls()
    store.subscribe(recorder, dispatch=calls.append)
    change(site, store)
    assert recorder.lines == []
    assert len(calls) == 4
    for call in calls:
        call()
    assert recorder.lines == ALL


def test_dispatch_gets_only_matching_changes(site: MemorySite, store: StaticStore) -> None:
    calls = Calls()
    store.subscribe(print, dispatch=calls.append, type="table")
    change(site, store)
    assert len(calls) == 1


def test_a_call_waiting_in_a_loop_is_not_made_after_close(
    site: MemorySite, store: StaticStore
) -> None:
    recorder, calls = Recorder(), Calls()
    subscription = store.subscribe(recorder, dispatch=calls.append)
    change(site, store)
    calls[0]()
    subscription.close()
    for call in calls[1:]:
        call()
    assert recorder.lines == ALL[:1]


def test_a_call_waiting_in_a_loop_is_not_made_after_disconnect(
    site: MemorySite, store: StaticStore
) -> None:
    recorder, calls = Recorder(), Calls()
    store.subscribe(recorder, dispatch=calls.append)
    change(site, store)
    calls[0]()
    store.disconnect()
    for call in calls[1:]:
        call()
    assert recorder.lines == ALL[:1]


def test_a_call_waiting_in_a_loop_at_disconnect_is_delivered_after_the_next_connect(
    site: MemorySite, store: StaticStore
) -> None:
    recorder, calls = Recorder(), Calls()
    store.subscribe(recorder, dispatch=calls.append)
    change(site, store)
    store.disconnect()
    store.connect()
    for call in calls:
        call()
    assert recorder.lines == ALL


def test_a_dispatch_that_raises_is_logged_and_the_others_are_called(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    def closed_loop(call: object) -> None:
        raise RuntimeError("Event loop is closed")

    recorder = Recorder()
    store.subscribe(print, dispatch=closed_loop)
    store.subscribe(recorder)
    change(site, store)
    assert recorder.lines == ALL
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == [
        "Event loop is closed"
    ] * 4


def test_an_exception_of_a_dispatched_callback_is_left_to_the_loop(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(each: Change) -> None:
        raise ZeroDivisionError

    calls = Calls()
    store.subscribe(fail, dispatch=calls.append)
    change(site, store)
    with pytest.raises(ZeroDivisionError):
        calls[0]()
    assert caplog.records == []


def test_calls_given_to_a_dispatch_that_raised_are_not_delivered_later(
    site: MemorySite, store: StaticStore
) -> None:
    recorder, calls = Recorder(), Calls()

    def dispatch(call: Callable[[], None]) -> None:
        if len(calls) == 1:
            calls.append(lambda: None)
            raise RuntimeError("just once")
        calls.append(call)

    store.subscribe(recorder, dispatch=dispatch)
    change(site, store)
    for call in calls:
        call()
    assert recorder.lines == [ALL[0], *ALL[2:]]


def test_an_event_loop_can_be_the_dispatch(site: MemorySite, store: StaticStore) -> None:
    async def listen() -> list[str]:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[Change] = asyncio.Queue()
        store.subscribe(heard.put_nowait, dispatch=loop.call_soon_threadsafe)
        await asyncio.to_thread(change, site, store)
        found = [await asyncio.wait_for(heard.get(), TIMEOUT) for _ in range(4)]
        return [f"{each.action} {each.key}" for each in found]

    assert asyncio.run(listen()) == ALL


def test_without_dispatch_the_polling_thread_calls(site: MemorySite, store: StaticStore) -> None:
    threads: list[threading.Thread] = []
    store.subscribe(lambda each: threads.append(threading.current_thread()))
    poll = Call(lambda: change(site, store))
    poll.result()
    assert set(threads) == {poll}


# -- batch ------------------------------------------------------------------------------------


class Batches:
    """A callback that records the batches it receives."""

    def __init__(self) -> None:
        self.lines: list[list[str]] = []
        self.received: list[Changes] = []

    def __call__(self, changes: Changes) -> None:
        self.received.append(changes)
        self.lines.append([f"{each.action} {each.key}" for each in changes])


def test_a_batch_has_all_changes_of_a_poll_in_one_call(
    site: MemorySite, store: StaticStore
) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True)
    change(site, store)
    site.write({})
    store.update_index()
    assert batches.lines == [ALL, ["delete map", "delete new", "delete table"]]


def test_a_batch_gives_access_to_its_snapshot(site: MemorySite, store: StaticStore) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True, actions=["delete"])
    change(site, store)
    assert batches.received[0].index is store.index


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"actions": ["set"]}, ["set new"]),
        ({"type": "table"}, ["update table"]),
        ({"where": {"type": "raster"}, "actions": ["delete", "set"]}, ["set new", "delete old"]),
        ({"size": lambda size: size == 1}, ["update map", "update table"]),
    ],
)
def test_a_batch_has_only_matching_changes(
    site: MemorySite, store: StaticStore, options: dict[str, Any], expected: list[str]
) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True, **options)
    change(site, store)
    assert batches.lines == [expected]


def test_a_poll_without_matching_changes_is_no_batch(site: MemorySite, store: StaticStore) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True, type="nothing")
    change(site, store)
    store.update_index()
    assert batches.lines == []


def test_a_predicate_that_raises_removes_only_that_change_from_a_batch(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True, size=lambda size: size > 1)  # fails for None
    change(site, store)
    assert batches.lines == [["update map"]]
    assert len(caplog.records) == 1


def test_the_initial_batch_has_all_entries(site: MemorySite, store: StaticStore) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True, initial=True, type="raster")
    change(site, store)
    assert batches.lines == [["set map", "set old"], ALL[:3]]


def test_the_initial_batch_is_delivered_even_if_empty(store: StaticStore) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True, initial=True, type="nothing")
    assert batches.lines == [[]]


def test_a_batch_is_one_call_for_a_dispatch(site: MemorySite, store: StaticStore) -> None:
    batches, calls = Batches(), Calls()
    store.subscribe(batches, batch=True, initial=True, dispatch=calls.append)
    change(site, store)
    assert len(calls) == 2
    for call in calls:
        call()
    assert batches.lines == [["set map", "set old", "set table"], ALL]


def test_changes_made_while_disconnected_are_one_batch(
    site: MemorySite, store: StaticStore
) -> None:
    batches = Batches()
    store.subscribe(batches, batch=True)
    store.disconnect()
    site.write(AFTER)
    store.connect()
    assert batches.lines == [ALL]


def test_a_batch_is_delivered_after_the_key_signals_and_before_index_updated(
    site: MemorySite, store: StaticStore
) -> None:
    steps: list[str] = []
    store.subscribe(lambda changes: steps.append("batch"), batch=True)
    store.subscribe(lambda each: steps.append(each.key), actions=["set"])
    with index_updated.connected_to(lambda *_, **__: steps.append("whole"), sender=store):
        change(site, store)
    assert steps == ["new", "batch", "whole"]


# -- initial ----------------------------------------------------------------------------------


def test_initial_first_delivers_existing_entries_as_sets(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[Change] = []
    store.subscribe(heard.append, initial=True)
    assert [(each.action, each.key, each.metadata, each.previous) for each in heard] == [
        ("set", key, BEFORE[key], None) for key in sorted(BEFORE)
    ]
    change(site, store)
    assert len(heard) == len(BEFORE) + len(ALL)


def test_initial_delivers_only_matching_entries(store: StaticStore) -> None:
    recorder = Recorder()
    store.subscribe(recorder, initial=True, type="raster")
    assert recorder.lines == ["set map", "set old"]


def test_initial_delivers_nothing_to_a_subscription_without_sets(store: StaticStore) -> None:
    recorder = Recorder()
    store.subscribe(recorder, initial=True, actions=["update", "delete"])
    assert recorder.lines == []


def test_initial_uses_dispatch_too(store: StaticStore) -> None:
    calls = Calls()
    store.subscribe(print, initial=True, dispatch=calls.append)
    assert len(calls) == len(BEFORE)


def test_initial_is_delivered_only_to_the_new_subscription(store: StaticStore) -> None:
    recorder = Recorder()
    store.subscribe(recorder)
    store.subscribe(print, initial=True, actions=["update"])
    assert recorder.lines == []


def test_a_callback_may_disconnect_during_the_initial_delivery(store: StaticStore) -> None:
    def disconnect(each: Change) -> None:
        store.disconnect()

    def subscribe() -> None:
        with contextlib.suppress(NotConnectedError):
            store.subscribe(disconnect, initial=True)

    Call(subscribe).result()
    assert not store.is_connected()


def test_initial_waits_for_running_deliveries_and_begins_with_the_newest_snapshot(
    site: MemorySite, store: StaticStore
) -> None:
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        blocked.set()
        assert release.wait(TIMEOUT)

    recorder = Recorder()
    with index_updated.connected_to(block, sender=store):
        poll = Call(lambda: change(site, store))
        assert blocked.wait(TIMEOUT)
        subscribe = Call(lambda: store.subscribe(recorder, initial=True))
        assert not subscribe.is_back(0.05)
        assert recorder.lines == []
        release.set()
        subscribe.result()
        poll.result()
    assert recorder.lines == ["set map", "set new", "set table"]


class Replay:
    """A callback that keeps a copy of the index, and records changes that do not fit."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}
        self.problems: list[str] = []

    def __call__(self, received: Change) -> None:
        if received.previous != self.entries.get(received.key):
            self.problems.append(f"{received} after {self.entries.get(received.key)}")
        if received.metadata is None:
            self.entries.pop(received.key, None)
        else:
            self.entries[received.key] = received.metadata


def test_a_subscription_made_during_polls_misses_nothing_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    chance = random.Random(3)
    write_index(tmp_path, {})
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    done = threading.Event()
    replays: list[Replay] = []

    with StaticStore(tmp_path, poll_interval=0).connect() as store:

        def poll() -> None:
            while not done.is_set():
                store.update_index()

        def subscribe() -> None:
            while not done.wait(0.002):
                replay = Replay()
                store.subscribe(replay, initial=True)
                replays.append(replay)

        calls = [Call(poll) for _ in range(3)] + [Call(subscribe) for _ in range(3)]
        for _ in range(60):
            keys = chance.sample("abcdefgh", 4)
            write_index(tmp_path, {key: {"v": chance.randrange(3)} for key in keys})
        done.set()
        for call in calls:
            call.result()
        sys.setswitchinterval(interval)
        store.update_index()
        assert replays
        for replay in replays:
            assert replay.problems == []
            assert replay.entries == dict(store.index)


def test_a_subscription_made_after_an_unannounced_poll_receives_only_later_changes(
    site: MemorySite, store: StaticStore
) -> None:
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        blocked.set()
        release.wait(TIMEOUT)

    early, late = Recorder(), Recorder()
    store.subscribe(early)
    with index_updated.connected_to(block, sender=store):
        first = Call(lambda: change(site, store))
        assert blocked.wait(TIMEOUT)
        site.write({**AFTER, "newer": {}})
        second = Call(store.update_index)
        while "newer" not in store:
            assert not second.is_back(0.005)
        store.subscribe(late)
        store.disconnect()
        release.set()
        first.result()
    assert (early.lines, late.lines) == (ALL, [])
    site.write({**AFTER, "newer": {}, "newest": {}})
    store.connect()
    assert early.lines == [*ALL, "set newer", "set newest"]
    assert late.lines == ["set newest"]
    site.write(AFTER)
    store.update_index()
    assert late.lines == ["set newest", "delete newer", "delete newest"]


def test_a_call_made_by_a_loop_while_disconnected_is_delivered_after_the_next_connect(
    site: MemorySite, store: StaticStore
) -> None:
    recorder, calls = Recorder(), Calls()
    store.subscribe(recorder, dispatch=calls.append)
    change(site, store)
    calls.pop(0)()
    store.disconnect()
    while calls:
        calls.pop(0)()
    assert recorder.lines == ALL[:1]
    store.connect()
    while calls:
        calls.pop(0)()
    assert recorder.lines == ALL


@pytest.mark.parametrize("dispatched", [False, True])
def test_a_subscription_made_before_a_disconnect_misses_nothing_and_repeats_nothing(
    site: MemorySite, store: StaticStore, dispatched: bool
) -> None:
    # The subscription begins with a snapshot whose own announcement still waits behind a
    # handler that blocks, and the store is disconnected before the announcement is made.
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        blocked.set()
        release.wait(TIMEOUT)

    replay = Replay()
    calls = Calls()
    with index_updated.connected_to(block, sender=store):
        first = Call(lambda: change(site, store))
        assert blocked.wait(TIMEOUT)
        site.write({**AFTER, "newer": {}})
        second = Call(store.update_index)
        while "newer" not in store:
            assert not second.is_back(0.005)
        subscribe = Call(
            lambda: store.subscribe(
                replay, initial=True, dispatch=calls.append if dispatched else None
            )
        )
        assert not subscribe.is_back(0.1)
        store.disconnect()
        second.result()
        subscribe.is_back()
        release.set()
        first.result()
    received_before = dict(replay.entries)
    store.connect()
    for call in calls:
        call()
    assert received_before == {}, "a disconnected store delivered changes"
    assert replay.problems == []
    try:
        subscribe.result()
    except NotConnectedError:
        return  # nobody was subscribed, which is also correct
    assert replay.entries == dict(store.index)
