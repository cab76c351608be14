"""`watch`: changes since the call, as they arrive."""

from __future__ import annotations

import functools
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from staticstore import Change, NotConnectedError, StaticStore
from staticstore.client.telling.watch import Watch
from staticstore.query import gt
from tests.client.scene import TIMEOUT, Call, MemorySite


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    site.write({"a": {}})
    with site.open() as connected:
        yield connected


def test_it_yields_the_changes_since_the_call(site: MemorySite, store: StaticStore) -> None:
    watch = store.watch(timeout=TIMEOUT)
    site.write({"b": {}, "c": {}})
    store.update_index()
    found = [next(watch) for _ in range(3)]
    assert [(change.action, change.key) for change in found] == [
        ("delete", "a"),
        ("set", "b"),
        ("set", "c"),
    ]


def test_it_does_not_yield_changes_before_the_call(site: MemorySite, store: StaticStore) -> None:
    site.write({"b": {}})
    store.update_index()
    assert list(store.watch(timeout=0)) == []


def test_it_begins_with_the_call_and_not_with_the_first_next(
    site: MemorySite, store: StaticStore
) -> None:
    watch = store.watch(timeout=0)
    site.write({"a": {}, "b": {}})
    store.update_index()
    assert [change.key for change in watch] == ["b"]


def test_it_waits_for_a_change_of_another_thread(site: MemorySite, store: StaticStore) -> None:
    watch = store.watch()
    change = Call(lambda: next(watch))
    assert not change.is_back(0.05)
    site.write({})
    store.update_index()
    assert change.result().key == "a"


def test_it_ends_after_the_timeout_without_a_change(store: StaticStore) -> None:
    watch = store.watch(timeout=0.01)
    assert Call(lambda: list(watch)).result() == []


def test_after_the_timeout_it_has_ended_for_good(site: MemorySite, store: StaticStore) -> None:
    watch = store.watch(timeout=0.01)
    assert list(watch) == []
    site.write({})
    store.update_index()
    assert list(watch) == []


def test_at_disconnect_it_ends_after_the_changes_that_have_arrived(
    site: MemorySite, store: StaticStore
) -> None:
    watch = store.watch()
    site.write({})
    store.update_index()
    store.disconnect()
    assert [change.key for change in Call(lambda: list(watch)).result()] == ["a"]
    assert list(watch) == []


def test_disconnect_ends_it_in_the_waiting_thread(store: StaticStore) -> None:
    watches = [Call(lambda: list(store.watch())) for _ in range(3)]
    assert not any(call.is_back(0.02) for call in watches)
    store.disconnect()
    assert [call.result() for call in watches] == [[], [], []]


def test_one_that_ended_at_disconnect_does_not_restart(
    site: MemorySite, store: StaticStore
) -> None:
    watch = store.watch()
    store.disconnect()
    store.connect()
    site.write({})
    store.update_index()
    assert Call(lambda: list(watch)).result() == []


def test_each_yields_all_changes(site: MemorySite, store: StaticStore) -> None:
    watches = [store.watch(timeout=0) for _ in range(3)]
    site.write({})
    store.update_index()
    assert [[change.key for change in watch] for watch in watches] == [["a"]] * 3


def test_one_without_references_is_collected(site: MemorySite, store: StaticStore) -> None:
    gc.disable()
    try:
        reference = weakref.ref(store.watch())
        assert reference() is None
        assert not store._live._current.subscribers._subscriptions
    finally:
        gc.enable()


def test_one_that_has_ended_collects_no_changes(site: MemorySite, store: StaticStore) -> None:
    watch = store.watch(timeout=0)
    assert list(watch) == []
    assert not store._live._current.subscribers._subscriptions


def test_it_does_not_keep_the_store_alive(site: MemorySite) -> None:
    watch = site.open().watch(timeout=0)
    gc.collect()
    assert list(watch) == []


@pytest.mark.parametrize("poll_interval", [0, 3600])
def test_it_ends_when_its_store_is_collected(site: MemorySite, poll_interval: float) -> None:
    store = StaticStore(site.url, poll_interval=poll_interval).connect()
    watch = store.watch()
    changes: Call[list[Change]] = Call(functools.partial(list, watch))
    del watch
    assert not changes.is_back(0.02)
    del store
    gc.collect()
    assert changes.is_back(2.0)


def test_a_store_that_is_not_connected_cannot_be_watched(site: MemorySite) -> None:
    with pytest.raises(NotConnectedError):
        StaticStore(site.url).watch()


def test_one_made_while_another_thread_disconnects_ends(site: MemorySite) -> None:
    for _ in range(15):
        store = site.open()
        start = threading.Barrier(2)

        def watch(store: StaticStore = store, start: threading.Barrier = start) -> list[str]:
            start.wait(TIMEOUT)
            try:
                return [change.key for change in store.watch()]
            except NotConnectedError:
                return []

        call = Call(watch)
        start.wait(TIMEOUT)
        store.disconnect()
        assert call.result() == []


def test_one_on_a_connection_that_was_closed_meanwhile_ends(
    site: MemorySite, store: StaticStore
) -> None:
    connection = store._live.connected()
    watch = Watch(None, lambda put: store.subscribe(put).close)
    store.disconnect()
    connection.add_watch(watch)
    assert Call(lambda: list(watch)).result() == []


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_an_invalid_timeout_is_a_value_error_immediately(
    store: StaticStore, timeout: float
) -> None:
    with pytest.raises(ValueError, match="timeout"):
        store.watch(timeout)


def test_many_changes_can_wait_without_blocking_the_poll(
    site: MemorySite, store: StaticStore
) -> None:
    watch = store.watch(timeout=0)
    site.write({f"{number:05}": {} for number in range(2000)})
    Call(store.update_index).result()
    assert len(list(watch)) == 2001


def test_it_yields_changes_whose_metadata_before_or_after_fulfills_conditions(
    site: MemorySite, store: StaticStore
) -> None:
    watch = store.watch(timeout=0, where={"size": gt(5)}, type="raster")
    site.write({"a": {"size": 9, "type": "raster"}, "b": {"size": 9}})
    store.update_index()
    site.write({"a": {"size": 1, "type": "raster"}, "b": {"size": 9}})
    store.update_index()
    site.write({"b": {"size": 9}})
    store.update_index()
    assert [(change.action, change.key) for change in watch] == [("update", "a"), ("update", "a")]


def test_conditions_that_cannot_be_understood_are_refused_at_once(store: StaticStore) -> None:
    with pytest.raises(TypeError, match="where takes a mapping"):
        store.watch(where="type=raster")  # type: ignore[arg-type]


def test_one_that_is_closed_ends_without_what_it_has_collected(
    site: MemorySite, store: StaticStore
) -> None:
    watch: Any = store.watch()
    site.write({"x": {}})
    store.update_index()
    watch.close()
    assert list(watch) == []


@pytest.mark.parametrize("name", ["initial", "actions", "batch", "dispatch"])
def test_an_argument_of_subscribe_is_no_condition(store: StaticStore, name: str) -> None:
    with pytest.raises(TypeError, match=f"'{name}' is an argument of subscribe"):
        store.watch(**{name: True})  # type: ignore[arg-type]
    assert list(store.watch(timeout=0, where={name: True})) == []
