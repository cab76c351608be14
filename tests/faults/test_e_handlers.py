"""E2: a handler may raise, block, disconnect, poll and read; the others are called anyway."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from blinker import Signal

from staticstore import (
    Change,
    IndexFormatError,
    NotConnectedError,
    StaticStore,
    StoreError,
    Subscription,
    index_updated,
    key_deleted,
    key_set,
    key_updated,
    poll_failed,
)
from tests.client.scene import TIMEOUT, Call, MemorySite, pollers

SIGNALS: dict[str, tuple[Signal, bytes]] = {
    "key_set": (key_set, b'{"a": {"v": 1}, "b": {}}'),
    "key_updated": (key_updated, b'{"a": {"v": 2}}'),
    "key_deleted": (key_deleted, b"{}"),
    "index_updated": (index_updated, b"{}"),
    "poll_failed": (poll_failed, b"no index"),
}
each_signal = pytest.mark.parametrize(("signal", "index"), SIGNALS.values(), ids=list(SIGNALS))


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite({"a": {"v": 1}}) as memory_site:
        yield memory_site


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    with site.open() as connected:
        yield connected


def update(store: StaticStore) -> None:
    """Poll in a thread, so that a deadlock fails the test; a bad index does not matter here."""

    def poll() -> None:
        with contextlib.suppress(IndexFormatError):
            store.update_index()

    Call(poll).result()


# -- raising -----------------------------------------------------------------------------


@each_signal
def test_e2_when_a_handler_raises_all_others_are_called(
    site: MemorySite,
    store: StaticStore,
    signal: Signal,
    index: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    called: list[int] = []

    def handler(number: int) -> Callable[..., None]:
        def handle(sender: object, **_: Any) -> None:
            called.append(number)
            raise ZeroDivisionError(f"handler {number}")

        return handle

    handlers = [handler(number) for number in range(5)]
    for each in handlers:
        signal.connect(each, sender=store)
    site.write(index)
    update(store)
    assert sorted(called) == [0, 1, 2, 3, 4]
    raised = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert sorted(raised) == [f"handler {number}" for number in range(5)]
    assert {record.name for record in caplog.records} == {"staticstore"}


def test_e2_a_handler_that_raises_does_not_block_later_signals(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []

    def hear(sender: object, *, key: str, **_: Any) -> None:
        heard.append(key)
        raise ZeroDivisionError

    def hear_all(sender: object, *, changes: Any) -> None:
        heard.append("all")

    with (
        key_set.connected_to(hear, sender=store),
        index_updated.connected_to(hear_all, sender=store),
    ):
        site.write({"a": {"v": 1}, "b": {}, "c": {}})
        update(store)
        site.write({"a": {"v": 1}, "b": {}, "c": {}, "d": {}})
        update(store)
    assert heard == ["b", "c", "all", "d", "all"]


def test_e2_a_subscription_that_raises_continues_and_so_do_the_others(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[int, str]] = []

    def hear(number: int, change: Change) -> None:
        heard.append((number, change.key))
        raise ZeroDivisionError

    store.subscribe(lambda change: hear(1, change))
    store.subscribe(lambda change: hear(2, change))
    site.write({"a": {"v": 2}, "b": {}})
    update(store)
    assert heard == [(1, "a"), (2, "a"), (1, "b"), (2, "b")]
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 4


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, GeneratorExit], ids=repr)
@pytest.mark.parametrize("way", ["signal", "subscription"])
def test_e2_the_polling_thread_survives_any_exception_of_a_handler(
    site: MemorySite, error: type[BaseException], way: str
) -> None:
    others = pollers()
    heard = threading.Semaphore(0)

    def hear(*_: Any, **__: Any) -> None:
        heard.release()
        raise error

    with StaticStore(site.url, poll_interval=0.01) as store:
        (thread,) = pollers() - others
        if way == "signal":
            index_updated.connect(hear, sender=store)
        else:
            store.subscribe(hear)
        for version in range(2, 5):
            site.write({"a": {"v": version}})
            assert heard.acquire(timeout=2.0)
        assert thread.is_alive()


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit], ids=repr)
def test_e2_in_the_polling_thread_all_handlers_are_called_whatever_one_raises(
    site: MemorySite, error: type[BaseException]
) -> None:
    heard = threading.Semaphore(0)

    def hear(sender: object, **_: Any) -> None:
        heard.release()
        raise error

    def hear_too(sender: object, **_: Any) -> None:
        heard.release()
        raise error

    with StaticStore(site.url, poll_interval=0.01) as store:
        index_updated.connect(hear, sender=store)
        index_updated.connect(hear_too, sender=store)
        site.write({})
        for _ in range(2):
            assert heard.acquire(timeout=2.0)


# -- blocking ----------------------------------------------------------------------------


@pytest.fixture
def blocked(site: MemorySite, store: StaticStore) -> Iterator[Call[None]]:
    """A poll whose handler blocks during the test."""
    reached, release = threading.Event(), threading.Event()

    def block(sender: object, **_: Any) -> None:
        reached.set()
        release.wait(TIMEOUT)

    with key_set.connected_to(block, sender=store):
        site.write({"a": {"v": 2}, "b": {}, "c": {}})
        poll = Call(lambda: update(store))
        assert reached.wait(TIMEOUT)
        yield poll
        release.set()
        poll.result()


READS: dict[str, Callable[[StaticStore], Any]] = {
    "exists": lambda store: store.exists("b"),
    "get": lambda store: store["b"].metadata,
    "query": lambda store: [store.exists(key) for key, _ in store.query()],
    "len": len,
    "index": lambda store: store.index,
    "info": lambda store: store.info(),
    "repr": repr,
    "subscribe": lambda store: store.subscribe(print).close(),
    "watch": lambda store: list(store.watch(timeout=0)),
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_e2_a_blocking_handler_blocks_no_reader(
    store: StaticStore, blocked: Call[None], read: Callable[[StaticStore], Any]
) -> None:
    Call(lambda: read(store)).result()
    assert not blocked.is_back(0)


def test_e2_readers_see_the_new_snapshot_while_its_handler_blocks(
    store: StaticStore, blocked: Call[None]
) -> None:
    assert list(store) == ["a", "b", "c"]


def test_e2_a_poll_waits_for_its_turn_behind_a_blocking_handler(
    site: MemorySite, store: StaticStore, blocked: Call[None]
) -> None:
    site.write({"a": {"v": 3}})
    second = Call(store.update_index)
    assert not second.is_back(0.1)


# -- connecting and disconnecting handlers ---------------------------------------------------


def test_e2_a_handler_may_disconnect_itself(site: MemorySite, store: StaticStore) -> None:
    heard: list[str] = []

    def once(sender: object, *, key: str, **_: Any) -> None:
        heard.append(key)
        key_set.disconnect(once)

    def always(sender: object, *, key: str, **_: Any) -> None:
        heard.append(key.upper())

    key_set.connect(once, sender=store)
    key_set.connect(always, sender=store)
    site.write({"a": {"v": 1}, "b": {}, "c": {}})
    update(store)
    assert sorted(heard) == ["B", "C", "b"]


def test_e2_a_handler_that_another_one_has_disconnected_is_not_called(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []

    def one(sender: object, **_: Any) -> None:
        heard.append("one")
        index_updated.disconnect(other)

    def other(sender: object, **_: Any) -> None:
        heard.append("other")
        index_updated.disconnect(one)

    index_updated.connect(one, sender=store)
    index_updated.connect(other, sender=store)
    site.write({})
    update(store)
    assert len(heard) == 1


def test_e2_a_handler_may_connect_another_one(site: MemorySite, store: StaticStore) -> None:
    heard: list[str] = []

    def second(sender: object, *, key: str, **_: Any) -> None:
        heard.append(key)

    def first(sender: object, **_: Any) -> None:
        key_set.connect(second, sender=store)

    with key_set.connected_to(first, sender=store):
        site.write({"a": {"v": 1}, "b": {}, "c": {}})
        update(store)
    assert heard[-1] == "c"


def test_e2_a_callback_may_close_its_subscription(site: MemorySite, store: StaticStore) -> None:
    heard: list[str] = []

    def once(change: Change) -> None:
        heard.append(change.key)
        subscription.close()

    subscription = store.subscribe(once)
    site.write({"a": {"v": 2}, "b": {}})
    update(store)
    assert heard == ["a"]


def test_e2_a_callback_may_close_another_subscription(site: MemorySite, store: StaticStore) -> None:
    heard: list[str] = []
    second: list[Subscription] = []
    store.subscribe(lambda change: second[0].close())
    second.append(store.subscribe(lambda change: heard.append(change.key)))
    site.write({"a": {"v": 2}, "b": {}})
    update(store)
    assert heard == []


@pytest.mark.parametrize("initial", [False, True])
def test_e2_a_callback_may_subscribe(site: MemorySite, store: StaticStore, initial: bool) -> None:
    heard: list[tuple[str, str]] = []

    def subscribe(change: Change) -> None:
        store.subscribe(lambda later: heard.append((later.action, later.key)), initial=initial)
        subscription.close()

    subscription = store.subscribe(subscribe)
    site.write({"a": {"v": 2}, "b": {}})
    update(store)
    site.write({"a": {"v": 2}, "b": {}, "c": {}})
    update(store)
    expected = [("set", "a"), ("set", "b")] if initial else []
    assert heard == [*expected, ("set", "c")]


# -- using the store ---------------------------------------------------------------------------


@each_signal
def test_e2_a_handler_may_read_everything(
    site: MemorySite, store: StaticStore, signal: Signal, index: bytes
) -> None:
    site.files["data/a"] = b"value"
    value = store["a"]
    read: list[Any] = []

    def read_all(sender: StaticStore, **_: Any) -> None:
        for key, metadata in sender.query():
            assert sender.exists(key)
            assert sender.get_metadata(key) == metadata
        read.append((value.read(), len(sender), sender.info()["entries"], list(sender.glob("*"))))

    with signal.connected_to(read_all, sender=store):
        site.write(index)
        update(store)
    keys = list(store)
    assert read == [(b"value", len(keys), len(keys), keys)]


def test_e2_a_handler_sees_the_snapshot_of_its_signal(site: MemorySite, store: StaticStore) -> None:
    seen: list[bool] = []

    def look(sender: StaticStore, *, key: str, metadata: Any, previous: Any) -> None:
        seen.append(sender.index[key] == metadata)

    with key_set.connected_to(look, sender=store):
        site.write({"a": {"v": 1}, "b": {"v": 5}})
        update(store)
    assert seen == [True]


def test_e2_a_poll_in_a_handler_returns_immediately_and_its_signals_follow(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []

    def poll(sender: StaticStore, *, key: str, **_: Any) -> None:
        heard.append(f"set {key}")
        if key == "b":
            site.write({"d": {}})
            changes = sender.update_index()
            heard.append(f"polled {[change.key for change in changes]}")

    def on_delete(sender: object, *, key: str, **_: Any) -> None:
        heard.append(f"delete {key}")

    def on_end(sender: object, *, changes: Any) -> None:
        heard.append(f"end of {len(changes)}")

    with (
        key_set.connected_to(poll, sender=store),
        key_deleted.connected_to(on_delete, sender=store),
        index_updated.connected_to(on_end, sender=store),
    ):
        site.write({"a": {"v": 1}, "b": {}, "c": {}})
        update(store)
    assert heard == [
        *["set b", "polled ['a', 'b', 'c', 'd']", "set c", "end of 2"],
        *["delete a", "delete b", "delete c", "set d", "end of 4"],
    ]


def test_e2_a_failed_poll_in_a_handler_raises_there_and_is_signaled_afterwards(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []

    def poll(sender: StaticStore, **_: Any) -> None:
        site.write(b"no index")
        with pytest.raises(IndexFormatError):
            sender.update_index()
        heard.append("polled")

    def on_failure(sender: object, *, error: StoreError) -> None:
        heard.append(type(error).__name__)

    with (
        index_updated.connected_to(poll, sender=store),
        poll_failed.connected_to(on_failure, sender=store),
    ):
        site.write({})
        update(store)
    assert heard == ["polled", "IndexFormatError"]


def test_e2_a_handler_that_polls_after_each_failure_ends_at_disconnect(
    site: MemorySite, store: StaticStore
) -> None:
    failures = threading.Semaphore(0)

    def again(sender: StaticStore, *, error: StoreError) -> None:
        failures.release()
        sender.update_index()

    with poll_failed.connected_to(again, sender=store):
        site.write(b"no index")
        poll = Call(lambda: update(store))
        for _ in range(3):
            assert failures.acquire(timeout=TIMEOUT)
        store.disconnect()
        assert poll.is_back()


@each_signal
def test_e2_a_handler_may_disconnect_the_store_and_connect_it_again(
    site: MemorySite, store: StaticStore, signal: Signal, index: bytes
) -> None:
    done: list[bool] = []

    def reconnect(sender: StaticStore, **_: Any) -> None:
        sender.disconnect()
        site.write({"new": {}})
        sender.connect(retries=0)
        done.append(sender.is_connected())
        signal.disconnect(reconnect)

    heard: list[str] = []

    def hear(sender: object, *, key: str, **_: Any) -> None:
        heard.append(key)

    signal.connect(reconnect, sender=store)
    with key_set.connected_to(hear, sender=store):
        site.write(index)
        update(store)
    assert done == [True]
    assert store.is_connected()
    assert heard.count("new") == 1


def test_e2_the_other_handlers_of_a_poll_are_called_although_one_disconnects_the_store(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[str] = []

    def disconnect(sender: StaticStore, *, key: str, **_: Any) -> None:
        heard.append(key)
        sender.disconnect()

    def on_end(sender: StaticStore, *, changes: Any) -> None:
        with pytest.raises(NotConnectedError):
            sender.query()
        heard.append("end")

    with (
        key_set.connected_to(disconnect, sender=store),
        index_updated.connected_to(on_end, sender=store),
    ):
        site.write({"a": {"v": 1}, "b": {}, "c": {}})
        update(store)
    assert heard == ["b", "c", "end"]


def test_e2_a_handler_that_waits_for_a_reader_in_another_thread_does_not_deadlock(
    site: MemorySite, store: StaticStore
) -> None:
    read: list[list[str]] = []

    def wait(sender: StaticStore, **_: Any) -> None:
        read.append(Call(lambda: [key for key in sender if sender.exists(key)]).result())

    with index_updated.connected_to(wait, sender=store):
        site.write({"b": {}})
        update(store)
    assert read == [["b"]]


def test_e2_a_handler_of_one_store_may_use_another(site: MemorySite, store: StaticStore) -> None:
    with site.open() as other:
        polled: list[int] = []

        def poll(sender: object, **_: Any) -> None:
            polled.append(len(other.update_index()))

        with index_updated.connected_to(poll, sender=store):
            site.write({"b": {}})
            update(store)
        assert polled == [2]
