"""The signals: their arguments, their receivers, and their order."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from blinker import Signal

import staticstore
from staticstore import (
    Changes,
    IndexFormatError,
    StaticStore,
    StoreError,
    index_updated,
    key_deleted,
    key_set,
    key_updated,
    poll_failed,
)
from staticstore.client.telling import deliveries
from tests.client.scene import MemorySite

BEFORE = {"a": {"v": 1}, "b": {"v": 1}, "d": {"list": [1]}}
AFTER = {"a": {"v": 2}, "b": {"v": 1}, "c": {"list": [2]}}


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    site.write(BEFORE)
    with site.open() as connected:
        yield connected


def change(site: MemorySite, store: StaticStore) -> Changes:
    site.write(AFTER)
    return store.update_index()


def test_each_key_has_its_signal_and_the_poll_has_one_after_them(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[Any] = []

    def on_key(name: str) -> Any:
        def hear(sender: object, *, key: str, metadata: Any, previous: Any) -> None:
            assert sender is store
            heard.append((name, key, metadata, previous))

        return hear

    def on_end(sender: object, *, changes: Changes) -> None:
        assert sender is store
        heard.append(changes)

    handlers = on_key("set"), on_key("update"), on_key("delete")
    for signal, handler in zip((key_set, key_updated, key_deleted), handlers, strict=True):
        signal.connect(handler, sender=store)
    index_updated.connect(on_end, sender=store)
    changes = change(site, store)
    assert heard == [
        ("update", "a", {"v": 2}, {"v": 1}),
        ("set", "c", {"list": [2]}, None),
        ("delete", "d", None, {"list": [1]}),
        changes,
    ]
    assert changes.index is store.index


def test_the_first_snapshot_sends_no_signals(site: MemorySite) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    site.write(BEFORE)
    with (
        key_set.connected_to(hear),
        index_updated.connected_to(hear),
        site.open(),
    ):
        assert heard == []


def test_a_poll_without_changes_sends_no_signals(site: MemorySite, store: StaticStore) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    with index_updated.connected_to(hear, sender=store):
        store.update_index()
        site.write(b'{"d": {"list": [1.0]}, "b": {"v":1}, "a": {"v": 1}}')
        assert not store.update_index()
    assert heard == []


def test_every_handler_gets_its_own_metadata(site: MemorySite, store: StaticStore) -> None:
    heard: list[Any] = []

    def spoil(sender: object, *, key: str, metadata: Any, previous: Any) -> None:
        heard.append((dict(metadata or {}), dict(previous or {})))
        for fields in (metadata, previous):
            if fields is not None:
                fields["v"] = "spoiled"

    def spoil_too(sender: object, **arguments: Any) -> None:
        spoil(sender, **arguments)

    for handler in (spoil, spoil_too):
        key_updated.connect(handler, sender=store)
    changes = change(site, store)
    assert heard == [({"v": 2}, {"v": 1})] * 2
    assert (changes[0].metadata, store.get_metadata("a")) == ({"v": 2}, {"v": 2})


def test_handlers_of_other_stores_receive_nothing(site: MemorySite, store: StaticStore) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    with site.open() as other, index_updated.connected_to(hear, sender=other):
        change(site, store)
        assert heard == []
        other.update_index()
        assert heard == [other]


def test_a_handler_without_a_sender_receives_signals_of_every_store(
    site: MemorySite, store: StaticStore
) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    with site.open() as other, index_updated.connected_to(hear):
        change(site, store)
        other.update_index()
        assert heard == [store, other]


def test_a_handler_is_referenced_weakly(site: MemorySite, store: StaticStore) -> None:
    class Window:
        def hear(self, sender: object, **_: Any) -> None:
            heard.append(sender)

    heard: list[object] = []
    window = Window()
    index_updated.connect(window.hear, sender=store)
    change(site, store)
    assert heard == [store]
    del window
    gc.collect()
    site.write(BEFORE)
    store.update_index()
    assert heard == [store]


@pytest.mark.parametrize(
    ("signal", "index"),
    [(key_set, AFTER), (key_updated, AFTER), (key_deleted, AFTER), (index_updated, AFTER)],
    ids=["key_set", "key_updated", "key_deleted", "index_updated"],
)
def test_a_muted_signal_is_not_sent(
    site: MemorySite, store: StaticStore, signal: Signal, index: Any
) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    with signal.connected_to(hear, sender=store):
        with signal.muted():
            change(site, store)
        assert heard == []
        site.write({"z": {}, "a": {"v": 3}})
        store.update_index()
        assert heard


def test_nothing_is_decoded_without_receivers(
    site: MemorySite, store: StaticStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send_change(*_: Any) -> None:
        raise AssertionError("nobody listens")

    monkeypatch.setattr(deliveries, "_send_change", send_change)

    def hear(sender: object, **_: Any) -> None:
        """Do nothing."""

    with index_updated.connected_to(hear, sender=store):
        change(site, store)


# -- poll_failed ------------------------------------------------------------------------------


def test_a_failed_poll_is_signaled_with_its_error_and_raised(
    site: MemorySite, store: StaticStore, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[StoreError] = []

    def hear(sender: object, *, error: StoreError) -> None:
        assert sender is store
        heard.append(error)

    with poll_failed.connected_to(hear, sender=store):
        site.write(b"<html>")
        with pytest.raises(IndexFormatError) as caught:
            store.update_index()
    assert heard == [caught.value]
    assert list(store) == list(BEFORE)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_failed_poll_sends_no_other_signal(site: MemorySite, store: StaticStore) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    with index_updated.connected_to(hear), key_deleted.connected_to(hear):
        site.files.clear()
        with pytest.raises(StoreError):
            store.update_index()
    assert heard == []


def test_a_failed_connect_is_raised_and_not_signaled(site: MemorySite) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    site.files.clear()
    with poll_failed.connected_to(hear), pytest.raises(StoreError):
        site.open()
    assert heard == []


def test_the_polling_thread_sends_the_signals_of_its_polls(site: MemorySite) -> None:
    threads: list[str] = []
    heard = threading.Event()

    def hear(sender: object, **_: Any) -> None:
        threads.append(threading.current_thread().name)
        heard.set()

    with (
        StaticStore(site.url, poll_interval=0.01) as store,
        index_updated.connected_to(hear, sender=store),
    ):
        site.write(AFTER)
        assert heard.wait(20)
    assert threads == ["staticstore-poller"]


def test_the_signals_are_exported_by_the_package() -> None:
    for signal in (key_set, key_updated, key_deleted, index_updated, poll_failed):
        assert isinstance(signal, Signal)
        assert any(getattr(staticstore, name) is signal for name in staticstore.__all__)
