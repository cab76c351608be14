"""A store is a mapping of one snapshot at a time, equal only to itself, and always true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from staticstore import NotConnectedError, StaticStore, URLValue
from tests.client.scene import MemorySite

ENTRIES: dict[str, dict[str, Any]] = {
    "a": {"type": "raster", "list": [1]},
    "b": {"type": "table"},
    "c": {},
}


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    site.write(ENTRIES)
    for key in ENTRIES:
        site.files[f"data/{key}"] = key.encode()
    with site.open() as connected:
        yield connected


def change(site: MemorySite, store: StaticStore) -> None:
    site.write({"z": {}})
    store.update_index()


def test_it_is_a_mapping_from_keys_to_values(store: StaticStore) -> None:
    assert isinstance(store, Mapping)
    plain = dict(store)
    assert list(plain) == ["a", "b", "c"]
    assert all(isinstance(value, URLValue) and value.key == key for key, value in plain.items())


def test_iterating_continues_in_the_snapshot_it_began_in(
    site: MemorySite, store: StaticStore
) -> None:
    found: list[str] = []
    for key in store:
        found.append(key)
        change(site, store)
    assert found == ["a", "b", "c"]


VIEWS: dict[str, Callable[[StaticStore], Any]] = {
    "keys": lambda store: store.keys(),
    "values": lambda store: (value.key for value in store.values()),
    "items": lambda store: (key for key, value in store.items() if value.key == key),
    "query": lambda store: (key for key, _ in store.query()),
    "query_keys": lambda store: store.query_keys(),
    "glob": lambda store: store.glob("?"),
    "multiget": lambda store: (value.key for value in store.multiget(["a", "b", "c"])),
    "index": lambda store: store.index,
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_a_view_belongs_to_the_snapshot_of_its_creation(
    site: MemorySite, store: StaticStore, view: Callable[[StaticStore], Any]
) -> None:
    seen = view(store)
    change(site, store)
    assert list(seen) == ["a", "b", "c"]
    assert list(store) == ["z"]


def test_views_have_a_size_and_members(site: MemorySite, store: StaticStore) -> None:
    keys, values, items = store.keys(), store.values(), store.items()
    change(site, store)
    assert (len(keys), len(values), len(items)) == (3, 3, 3)
    assert "a" in keys
    assert "z" not in keys
    assert keys & {"a", "z"} == {"a"}


def test_it_equals_only_itself(site: MemorySite, store: StaticStore) -> None:
    with site.open() as other:
        assert store == store
        assert store != other
        assert store != dict(store)
        assert {store: 1, other: 2}[store] == 1
        assert hash(store) == hash(store)


def test_it_is_true_even_without_keys_or_a_connection(site: MemorySite) -> None:
    store = StaticStore(site.url, poll_interval=0)
    assert store
    with store:
        assert len(store) == 0
        assert store


def test_get_returns_a_value_or_the_default_or_raises(store: StaticStore) -> None:
    assert store.get("a").key == "a"
    assert store.get("nowhere", None) is None
    assert store.get("nowhere", default=5) == 5
    assert store.get("a", 5).key == "a"
    with pytest.raises(KeyError):
        store.get("nowhere")


@pytest.mark.parametrize("key", ["", "../a", "/a", "a/../a", "\ud800", None, 5, b"a", ["a"]])
def test_a_key_of_any_type_is_merely_not_contained(store: StaticStore, key: Any) -> None:
    assert key not in store
    assert not store.exists(key)
    assert store.get(key, "default") == "default"


@pytest.mark.parametrize("key", ["nowhere", "../a", "", 5, None])
def test_a_missing_key_is_a_key_error_everywhere(store: StaticStore, key: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: store[key],
        lambda: store.get_data(key),
        lambda: store.get_data_range(key, 0, 1),
        lambda: store.get_metadata(key),
        lambda: store.to_bytes(key),
        lambda: store.to_file(key, "nowhere"),
        lambda: next(store.multiget([key])),
        lambda: next(store.multiget_data([key])),
        lambda: next(store.multiget_metadata([key])),
    ]
    for call in calls:
        with pytest.raises(KeyError) as caught:
            call()
        assert caught.value.args == (key,)


def test_many_values_come_in_the_order_requested(store: StaticStore) -> None:
    assert [value.key for value in store.multiget(iter("cab"))] == ["c", "a", "b"]
    assert [stream.read() for stream in store.multiget_data(list("cab"))] == [b"c", b"a", b"b"]
    assert list(store.multiget_metadata(list("cab"))) == [ENTRIES[key] for key in "cab"]
    assert list(store.multiget_metadata(["a", "c"], ["type"])) == [{"type": "raster"}, {}]


def test_a_key_requested_twice_comes_twice(store: StaticStore) -> None:
    assert [value.key for value in store.multiget(list("aa"))] == ["a", "a"]


def test_no_stream_is_opened_before_it_is_requested(site: MemorySite, store: StaticStore) -> None:
    streams = store.multiget_data(["a", "b"])
    assert site.requests("data/a") == []
    with next(streams):
        assert len(site.requests("data/a")) == 1


def test_metadata_can_be_selected_and_is_a_copy(store: StaticStore) -> None:
    assert store.get_metadata("a") == ENTRIES["a"]
    assert store.get_metadata("a", ["type", "nowhere"]) == {"type": "raster"}
    store.get_metadata("a", ["list"])["list"].append(2)
    next(store.multiget_metadata(["a"]))["list"].append(2)
    assert store.get_metadata("a") == ENTRIES["a"]


def test_a_wrong_selection_is_a_type_error_immediately(store: StaticStore) -> None:
    with pytest.raises(TypeError):
        store.get_metadata("a", "type")
    with pytest.raises(TypeError):
        store.multiget_metadata(["a"], "type")
    with pytest.raises(TypeError):
        store.query("type")


def test_queries_are_those_of_the_index(store: StaticStore) -> None:
    assert list(store.query(["type"], type="table")) == [("b", {"type": "table"})]
    assert list(store.query_keys(where={"type": None})) == ["c"]
    assert list(store.glob("[ab]")) == ["a", "b"]


def test_mapping_methods_make_no_request(site: MemorySite, store: StaticStore) -> None:
    before = len(site.server.requests)
    for value in store.values():
        assert value.metadata == store.get_metadata(value.key)
    assert len(store) == len(list(store.query())) == 3
    assert repr(store)
    assert len(site.server.requests) == before


CALLS: dict[str, Callable[[StaticStore], Any]] = {
    "item": lambda store: store["a"],
    "get": lambda store: store.get("a", None),
    "exists": lambda store: store.exists("a"),
    "in": lambda store: "a" in store,
    "len": len,
    "iter": iter,
    "keys": lambda store: store.keys(),
    "values": lambda store: store.values(),
    "items": lambda store: store.items(),
    "get_data": lambda store: store.get_data("a"),
    "get_data_range": lambda store: store.get_data_range("a"),
    "get_metadata": lambda store: store.get_metadata("a"),
    "multiget": lambda store: store.multiget(["a"]),
    "multiget_data": lambda store: store.multiget_data(["a"]),
    "multiget_metadata": lambda store: store.multiget_metadata(["a"]),
    "query": lambda store: store.query(),
    "query_keys": lambda store: store.query_keys(),
    "glob": lambda store: store.glob("*"),
    "to_bytes": lambda store: store.to_bytes("a"),
    "to_file": lambda store: store.to_file("a", "nowhere"),
    "subscribe": lambda store: store.subscribe(print),
    "watch": lambda store: store.watch(),
    "update_index": lambda store: store.update_index(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_a_store_that_is_not_connected_raises_not_connected(
    site: MemorySite, call: Callable[[StaticStore], Any]
) -> None:
    store = StaticStore(site.url, poll_interval=0)
    with pytest.raises(NotConnectedError):
        call(store)
    store.connect()
    store.disconnect()
    with pytest.raises(NotConnectedError):
        call(store)


def test_before_the_first_connect_there_is_no_index(site: MemorySite) -> None:
    with pytest.raises(NotConnectedError):
        len(StaticStore(site.url).index)
