"""The index of a connected store: fetched, swapped, kept over a disconnect, released."""

from __future__ import annotations

import functools
import gc
import logging
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    Change,
    Changes,
    HTTPStatusError,
    IndexFormatError,
    NotConnectedError,
    StaticStore,
    StoreError,
    TransportError,
    index_updated,
    key_set,
    key_updated,
)
from staticstore.client.following import current_index
from staticstore.client.following.connection import seconds_since_boot
from tests.client.scene import TIMEOUT, Call, MemorySite, pollers
from tests.servers import Answer, Request, Wire


@contextmanager
def signaled_changes(store: StaticStore) -> Iterator[list[str]]:
    """Collect the changes that `index_updated` sends, one text for each poll."""
    heard: list[str] = []

    def hear(sender: object, *, changes: Changes) -> None:
        heard.append(" ".join(f"{change.action} {change.key}" for change in changes))

    with index_updated.connected_to(hear, sender=store):
        yield heard


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    site.write({"a": {"v": 0}})
    with site.open() as connected:
        yield connected


# -- polls that overlap ----------------------------------------------------------------------


class Slow:
    """An answer with the index of the time of the request, sent when the test allows it."""

    def __init__(self, site: MemorySite) -> None:
        self.reached = threading.Event()
        self.release = threading.Event()
        self._site = site

    def __call__(self, request: Request, wire: Wire) -> None:
        body = self._site.files["index.json"]
        self.reached.set()
        wire.wait(self.release)
        wire.response(200, body)


def test_a_second_poll_waits_so_that_no_old_index_replaces_a_newer_one(
    site: MemorySite, store: StaticStore
) -> None:
    with signaled_changes(store) as signaled:
        site.write({"older": {}})
        slow = Slow(site)
        site.spoil(slow)
        first = Call(store.update_index)
        assert slow.reached.wait(TIMEOUT)
        site.restore()
        site.write({"newer": {}})
        second = Call(store.update_index)
        assert not second.is_back(0.05)
        slow.release.set()
        assert [change.key for change in first.result()] == ["a", "older"]
        assert [change.key for change in second.result()] == ["newer", "older"]
        assert list(store) == ["newer"]
    assert signaled == ["delete a set older", "set newer delete older"]


def test_a_site_that_changed_back_during_a_slow_poll_is_seen_as_it_is(
    site: MemorySite, store: StaticStore
) -> None:
    held = site.files["index.json"]
    site.write({"older": {}})
    slow = Slow(site)
    site.spoil(slow)
    first = Call(store.update_index)
    assert slow.reached.wait(TIMEOUT)
    site.restore()
    site.write(held)
    second = Call(store.update_index)
    assert not second.is_back(0.05)
    slow.release.set()
    first.result()
    second.result()
    assert list(store) == ["a"]


def test_two_polls_of_the_same_change_signal_it_once(site: MemorySite, store: StaticStore) -> None:
    with signaled_changes(store) as signaled:
        site.write({"b": {}})
        slow = Slow(site)
        site.spoil(slow)
        first = Call(store.update_index)
        assert slow.reached.wait(TIMEOUT)
        second = Call(store.update_index)
        slow.release.set()
        assert (len(first.result()), len(second.result())) == (2, 0)
    assert signaled == ["delete a set b"]


def test_a_poll_that_waited_for_a_failed_one_succeeds(site: MemorySite, store: StaticStore) -> None:
    reached, release = threading.Event(), threading.Event()

    def fail_late(request: Request, wire: Wire) -> None:
        reached.set()
        wire.wait(release)
        wire.response(404)

    site.spoil(fail_late)
    first = Call(store.update_index)
    assert reached.wait(TIMEOUT)
    second = Call(store.update_index)
    site.restore()
    release.set()
    with pytest.raises(HTTPStatusError):
        first.result()
    second.result()


def test_readers_do_not_wait_for_a_poll_that_waits_for_another(
    site: MemorySite, store: StaticStore
) -> None:
    slow = Slow(site)
    site.spoil(slow)
    polls = [Call(store.update_index) for _ in range(2)]
    assert slow.reached.wait(TIMEOUT)
    assert Call(lambda: [store.exists(key) for key, _ in store.query()]).result() == [True]
    slow.release.set()
    for poll in polls:
        poll.result()


# -- over a disconnect -----------------------------------------------------------------------


def test_changes_while_disconnected_are_signaled_before_connect_returns(
    site: MemorySite, store: StaticStore
) -> None:
    store.disconnect()
    site.write({"b": {}})
    with signaled_changes(store) as signaled:
        store.connect()
        assert signaled == ["delete a set b"]


def test_after_a_disconnect_the_current_index_is_requested_conditionally(
    site: MemorySite, store: StaticStore
) -> None:
    index = store.index
    store.disconnect()
    with signaled_changes(store) as signaled:
        store.connect()
        assert signaled == []
    assert store.index is index
    assert "If-None-Match" in site.requests()[-1].headers


def test_subscribers_receive_changes_made_while_disconnected(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[Change] = []
    store.subscribe(heard.append)
    store.disconnect()
    site.write({"a": {"v": 1}})
    store.connect()
    assert [(change.previous, change.metadata) for change in heard] == [({"v": 0}, {"v": 1})]


@contextmanager
def pending_announcement(site: MemorySite, store: StaticStore) -> Iterator[None]:
    """Disconnect while version 1 is being announced, and version 2 is swapped and waits."""
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        if not blocked.is_set():
            blocked.set()
            assert release.wait(TIMEOUT)

    with key_updated.connected_to(block, sender=store):
        site.write({"a": {"v": 1}})
        first = Call(store.update_index)
        assert blocked.wait(TIMEOUT)
        site.write({"a": {"v": 2}})
        second = Call(store.update_index)
        while store.get_metadata("a") != {"v": 2}:
            assert not second.is_back(0.005)
        store.disconnect()
        second.result()
        yield
        release.set()
        first.result()


@contextmanager
def signaled_versions(store: StaticStore) -> Iterator[list[tuple[Any, Any]]]:
    heard: list[tuple[Any, Any]] = []

    def hear(sender: object, *, key: str, metadata: Any, previous: Any) -> None:
        heard.append((previous["v"], metadata["v"]))

    with key_updated.connected_to(hear, sender=store):
        yield heard


@pytest.mark.parametrize("last", [2, 3])
def test_a_swapped_poll_that_was_not_announced_is_announced_once_after_the_next_connect(
    site: MemorySite, store: StaticStore, last: int
) -> None:
    with signaled_versions(store) as signaled:
        with pending_announcement(site, store):
            pass
        assert signaled == [(0, 1)]
        site.write({"a": {"v": last}})
        store.connect()
        assert signaled == [(0, 1), (1, last)]
        store.disconnect()
        store.connect()
        assert signaled == [(0, 1), (1, last)]


def test_a_swapped_poll_that_was_undone_meanwhile_is_not_announced(
    site: MemorySite, store: StaticStore
) -> None:
    with signaled_versions(store) as signaled:
        with pending_announcement(site, store):
            pass
        site.write({"a": {"v": 1}})
        store.connect()
        assert signaled == [(0, 1)]


def test_a_connect_announces_after_the_poll_that_is_still_being_announced(
    site: MemorySite, store: StaticStore
) -> None:
    with signaled_versions(store) as signaled:
        with pending_announcement(site, store):
            connect = Call(store.connect)
            assert not connect.is_back(0.05)
        connect.result()
        assert signaled == [(0, 1), (1, 2)]


# -- connecting ---------------------------------------------------------------------------------


def test_a_connected_store_cannot_be_connected_again(site: MemorySite, store: StaticStore) -> None:
    others = pollers()
    with pytest.raises(StoreError, match="connected already"):
        store.connect()
    assert store.is_connected()
    assert pollers() == others
    assert list(store) == ["a"]


def test_of_two_threads_that_connect_one_gets_a_store_error(site: MemorySite) -> None:
    for _ in range(5):
        store = StaticStore(site.url, poll_interval=0)
        start = threading.Barrier(3)

        def connect(store: StaticStore = store, start: threading.Barrier = start) -> bool:
            start.wait(TIMEOUT)
            try:
                store.connect()
            except StoreError:
                return False
            return True

        calls = [Call(connect) for _ in range(2)]
        start.wait(TIMEOUT)
        assert sorted(call.result() for call in calls) == [False, True]
        assert store.is_connected()
        store.disconnect()


def test_a_store_can_be_connected_while_another_thread_is_still_in_disconnect(
    site: MemorySite,
) -> None:
    blocked, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        blocked.set()
        assert release.wait(TIMEOUT)

    store = StaticStore(site.url, poll_interval=0.01).connect()
    with index_updated.connected_to(block, sender=store):
        site.write({"b": {}})
        assert blocked.wait(TIMEOUT)
        disconnect = Call(store.disconnect)
        while store.is_connected():
            assert not disconnect.is_back(0)
        connect = Call(store.connect)
        release.set()
        connect.result()
        disconnect.result()
    assert store.is_connected()
    store.disconnect()


SPOILED: dict[str, tuple[Callable[[MemorySite], None], type[StoreError]]] = {
    "404": (lambda site: site.files.clear(), HTTPStatusError),
    "html": (lambda site: site.write(b"<html>"), IndexFormatError),
    "no server": (lambda site: site.server.stop(), TransportError),
}


@pytest.mark.parametrize(("spoil", "error"), SPOILED.values(), ids=list(SPOILED))
def test_connecting_works_after_a_failed_connect(
    site: MemorySite, spoil: Callable[[MemorySite], None], error: type[StoreError]
) -> None:
    others = pollers()
    store = StaticStore(site.url)
    spoil(site)
    with pytest.raises(error):
        store.connect(retries=0)
    assert not store.is_connected()
    assert pollers() == others
    with pytest.raises(NotConnectedError):
        len(store.index)
    site.server.start()
    site.write({"a": {}})
    with store.connect():
        assert list(store) == ["a"]


def test_after_a_failed_second_connect_the_first_snapshot_is_still_there(
    site: MemorySite, store: StaticStore
) -> None:
    store.disconnect()
    site.write(b"<html>")
    with pytest.raises(IndexFormatError):
        store.connect()
    assert list(store.index) == ["a"]
    assert not store.is_connected()
    site.write({"b": {}})
    with signaled_changes(store) as signaled:
        store.connect()
        assert signaled == ["delete a set b"]


def test_connect_returns_the_store(site: MemorySite) -> None:
    store = StaticStore(site.url, poll_interval=0)
    assert store.connect() is store
    store.disconnect()


def test_a_with_block_connects_if_necessary_and_disconnects_at_its_end(site: MemorySite) -> None:
    store = StaticStore(site.url, poll_interval=0)
    with store as entered:
        assert entered is store
        assert store.is_connected()
        with store:
            assert len(site.requests()) == 1
        assert not store.is_connected()
    assert not store.is_connected()


def test_without_an_interval_there_is_no_polling_thread(site: MemorySite) -> None:
    others = pollers()
    with site.open():
        assert pollers() == others


@pytest.mark.parametrize("interval", [-1, float("nan"), -0.001])
def test_a_negative_interval_is_a_value_error(interval: float) -> None:
    with pytest.raises(ValueError, match="poll_interval"):
        StaticStore("https://data.example.org/", poll_interval=interval)


@pytest.mark.parametrize("path", ["../", "/", "a//", "a/../"])
def test_a_data_path_outside_the_site_is_a_value_error(path: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        StaticStore("https://data.example.org/", data_path=path)
    with pytest.raises(ValueError, match="not a key"):
        StaticStore("https://data.example.org/", index_path=f"{path}index.json")


# -- info ---------------------------------------------------------------------------------------

FIELDS = [
    *["root_url", "source", "generation", "entries", "last_success", "age", "last_error"],
    *["trust", "trust_expires", "stale", "warnings"],
]


def test_info_before_the_first_connect(site: MemorySite) -> None:
    info = StaticStore(site.url).info()
    assert list(info) == FIELDS
    assert info == {
        **dict.fromkeys(FIELDS),
        "root_url": site.url,
        "stale": False,
        "warnings": [],
    }


def test_info_of_a_connected_store(site: MemorySite, store: StaticStore) -> None:
    info = store.info()
    now = datetime.now(UTC)
    assert list(info) == FIELDS
    assert (info["root_url"], info["source"]) == (site.url, site.url)
    assert info["generation"] is None
    assert info["entries"] == 1
    assert info["last_success"].utcoffset() == now.utcoffset()
    assert info["last_success"] <= now
    assert 0 <= info["age"] < TIMEOUT
    assert info["last_error"] is None
    assert info["trust"] == "transport"
    assert info["stale"] is False
    assert info["warnings"] == []


def test_info_after_a_failed_poll_has_its_error_and_the_last_success(
    site: MemorySite, store: StaticStore
) -> None:
    before = store.info()
    site.write(b"<html>")
    with pytest.raises(IndexFormatError) as caught:
        store.update_index()
    info = store.info()
    assert info["last_error"] == str(caught.value)
    assert info["stale"] is True
    assert info["last_success"] == before["last_success"]
    assert info["age"] >= before["age"]
    assert info["entries"] == 1


def test_info_after_a_success_has_no_error(site: MemorySite, store: StaticStore) -> None:
    before = store.info()
    good = site.files["index.json"]
    site.write(b"<html>")
    with pytest.raises(IndexFormatError):
        store.update_index()
    site.write(good)
    store.update_index()
    info = store.info()
    assert (info["last_error"], info["stale"]) == (None, False)
    assert info["last_success"] > before["last_success"]


def test_info_after_disconnect_is_stale_and_keeps_the_rest(store: StaticStore) -> None:
    before = store.info()
    store.disconnect()
    after = store.info()
    assert after.pop("age") >= before.pop("age")
    assert after == {**before, "stale": True}


def test_info_warns_of_entries_that_were_left_out(site: MemorySite) -> None:
    site.write(b'{"../x": {}, "a": {}, "b": []}')
    with site.open() as store:
        assert store.info()["entries"] == 1
        assert ["'../x'" in text or "'b'" in text for text in store.info()["warnings"]] == [
            True
        ] * 2
        store.info()["warnings"].clear()
        assert len(store.info()["warnings"]) == 2


def test_entries_that_were_left_out_are_logged_once(
    site: MemorySite, caplog: pytest.LogCaptureFixture
) -> None:
    site.write(b'{"../x": {}, "a": {}}')
    with site.open() as store:
        store.update_index()
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert ["../x" in record.getMessage() for record in warnings] == [True]


def test_info_warns_of_a_password_in_the_clear_even_after_a_second_connect(
    site: MemorySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *args, **kwargs: resolve("127.0.0.1", *args, **kwargs)
    )
    root = site.url.replace("127.0.0.1", "data.example.org")
    store = StaticStore(root, poll_interval=0)
    with pytest.warns(UserWarning, match="in the clear"):
        store.connect(auth=("ali", "sesame"))
    with store:
        with pytest.raises(StoreError, match="connected already"):
            store.connect()
        assert len(store.info()["warnings"]) == 1


# -- repr ---------------------------------------------------------------------------------------


def test_the_repr_has_the_url_the_number_of_keys_and_the_state(site: MemorySite) -> None:
    store = StaticStore(site.url, poll_interval=0)
    assert repr(store) == f"<StaticStore: {site.url}, not connected>"
    with store:
        assert repr(store) == f"<StaticStore: {site.url}, 0 keys, connected>"
    assert repr(store) == f"<StaticStore: {site.url}, 0 keys, not connected>"


# -- a store without references --------------------------------------------------------------


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


USES: dict[str, Callable[[StaticStore], object]] = {
    "nothing": lambda store: None,
    "subscription": lambda store: store.subscribe(print),
    "watch": lambda store: next(store.watch(timeout=0), None),
    "signal": lambda store: index_updated.connect(print, sender=store),
    "update": lambda store: store.update_index(),
    "failed update": lambda store: _fail(store),
    "value": lambda store: store["a"].metadata,
    "query": lambda store: list(store.query()),
    "initial": lambda store: store.subscribe(lambda change: None, initial=True),
}


def _fail(store: StaticStore) -> None:
    session = store._live.connected().follower.session
    session.close()
    with pytest.raises(NotConnectedError):
        store.update_index()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
@pytest.mark.parametrize("interval", [0, 3600])
def test_a_store_without_references_is_freed_immediately_and_its_thread_ends(
    site: MemorySite, use: Callable[[StaticStore], object], interval: float
) -> None:
    others = pollers()
    site.write({"a": {}})
    store = StaticStore(site.url, poll_interval=interval).connect()
    threads = pollers() - others
    use(store)
    reference = weakref.ref(store)
    del store
    assert reference() is None
    for thread in threads:
        thread.join(2.0)
        assert not thread.is_alive()


@pytest.mark.usefixtures("no_collector")
def test_a_disconnected_store_is_freed_immediately(site: MemorySite) -> None:
    store = site.open()
    store.disconnect()
    reference = weakref.ref(store)
    del store
    assert reference() is None


def test_a_store_in_a_reference_cycle_is_collected_and_its_thread_ends(site: MemorySite) -> None:
    others = pollers()
    store = StaticStore(site.url, poll_interval=3600).connect()
    (thread,) = pollers() - others
    store.subscribe(lambda change, store=store: None)  # type: ignore[misc]
    reference = weakref.ref(store)
    del store
    gc.collect()
    assert reference() is None
    thread.join(2.0)
    assert not thread.is_alive()


def test_a_store_dropped_during_a_stalled_poll_ends_its_thread(site: MemorySite) -> None:
    others = pollers()
    store = StaticStore(site.url, poll_interval=0.01).connect()
    (thread,) = pollers() - others
    connection = store._live.connected()
    assert site.stall("body").reached.wait(TIMEOUT)
    del store
    gc.collect()
    thread.join(2.0)
    has_ended = not thread.is_alive()
    connection.close()
    assert has_ended


def test_a_store_dropped_by_a_handler_in_its_own_thread_ends_the_thread(site: MemorySite) -> None:
    others = pollers()
    stores = [StaticStore(site.url, poll_interval=0.01).connect()]
    (thread,) = pollers() - others

    def drop(sender: object, **_: Any) -> None:
        stores.clear()

    key_set.connect(drop, sender=stores[0])
    site.write({"b": {}})
    thread.join(TIMEOUT)
    assert not thread.is_alive()


READS: dict[str, Callable[[StaticStore], Callable[[], bytes]]] = {
    "value": lambda store: store["a"].read,
    "stream": lambda store: store.get_data("a").read,
    "range": lambda store: store.get_data_range("a", 0, 5).read,
    "file": lambda store: store.open("a").read,
    "many": lambda store: functools.partial(_first_of_many, store.read_many(["a"])),
    "values": lambda store: next(iter(store.values())).read,
    "view": lambda store: store.below("a")[""].read,
}


def _first_of_many(read: Iterator[tuple[str, bytes]]) -> bytes:
    ((_, data),) = read
    return data


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("begin", READS.values(), ids=list(READS))
def test_what_reads_a_value_keeps_the_store_as_long_as_it_is_referenced(
    site: MemorySite, begin: Callable[[StaticStore], Callable[[], bytes]]
) -> None:
    site.write({"a": {"size": 5}})
    site.files["data/a"] = b"value"
    store = site.open()
    reference = weakref.ref(store)
    read = begin(store)
    del store
    assert read() == b"value"
    del read
    assert reference() is None


COLLECTED = """
import gc, sys, threading, weakref
from staticstore import StaticStore

class CollectingSet(weakref.WeakSet):
    def add(self, item):
        gc.collect()
        super().add(item)

store = StaticStore(sys.argv[1], poll_interval=0).connect()
value = store["a"]
value._access._store = None  # which a value keeps alive
store.circle = [store]
gc.disable()
wire = store._live.connected().follower.session.wire
wire._sockets = CollectingSet(wire._sockets)
del store
thread = threading.Thread(target=lambda: print(type(value.read()).__name__), daemon=True)
threading.excepthook = lambda error: print(error.exc_type.__name__)
thread.start()
thread.join(5.0)
print("hangs" if thread.is_alive() else "ends", flush=True)
"""


def test_collecting_a_store_while_its_value_connects_does_not_deadlock(
    site: MemorySite,
) -> None:
    # In a process of its own, since a collector that hangs never runs again.
    site.write({"a": {}})
    site.spoil(lambda request, wire: wire.response(200, b"value", length=False), "data/a")
    site.server.answer = _closing(site.server.answer)
    process = subprocess.run(
        [sys.executable, "-c", COLLECTED, site.url],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout.split()[-1] == "ends", process.stderr


def _closing(answer: Answer) -> Answer:
    """Close the connection after each answer, so that the next request makes a new one."""

    def close(request: Request, wire: Wire) -> None:
        answer(request, wire)
        if not wire.closed:
            wire.close()

    return close


def test_collecting_a_watch_while_the_store_is_busy_does_not_deadlock(
    site: MemorySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The collector may run at any allocation, also where the store holds its lock.
    def collecting_clock() -> float:
        gc.collect()
        return seconds_since_boot()

    store = site.open()
    circle: list[Any] = [store.watch()]
    circle.append(circle)
    gc.disable()
    try:
        del circle
        monkeypatch.setattr(current_index, "seconds_since_boot", collecting_clock)
        is_back = Call(store.update_index).is_back(30.0)  # each collection may take long
    finally:
        gc.enable()
    assert is_back, "the store deadlocks"
