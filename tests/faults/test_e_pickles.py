"""E4: a pickle of a store contains no secret, and the unpickled store is disconnected."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPBasicAuth

from staticstore import NotConnectedError, StaticStore, StoreError, request_finished
from tests.client.scene import Call, MemorySite, pollers
from tests.sites import write_site

SECRET = "sesame"


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite({"a": {}}) as memory_site:
        yield memory_site


def root_with_secrets(site: MemorySite) -> str:
    return site.url.replace("http://", f"http://ali:{SECRET}@") + f"?signature={SECRET}"


CONNECTS: list[dict[str, Any]] = [
    {},
    {"auth": ("ali", SECRET)},
    {"auth": {"username": "ali", "password": SECRET}},
    {"auth": HTTPBasicAuth("ali", SECRET)},
    {"headers": {"X-Api-Key": SECRET}},
    {"proxies": {"ftp": f"http://ali:{SECRET}@127.0.0.1:1"}},
]

WAYS: dict[str, Callable[[StaticStore], StaticStore]] = {
    "pickle": lambda store: pickle.loads(pickle.dumps(store)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("connect", CONNECTS, ids=lambda connect: "".join(connect))
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_e4_a_pickle_of_a_store_contains_no_secret(
    site: MemorySite, connect: dict[str, Any], protocol: int
) -> None:
    with StaticStore(root_with_secrets(site), poll_interval=0).connect(**connect) as store:
        assert SECRET.encode() not in pickle.dumps(store, protocol)


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_e4_an_unpickled_store_is_disconnected(
    site: MemorySite, way: Callable[[StaticStore], StaticStore]
) -> None:
    with site.open() as store:
        again = way(store)
        _ = repr(again), again.info()
        assert (store.is_connected(), again.is_connected()) == (True, False)


USES: dict[str, Callable[[StaticStore], object]] = {
    "get": lambda store: store["a"],
    "index": lambda store: store.index,
    "len": len,
    "iter": list,
    "query": lambda store: list(store.query()),
    "read_many": lambda store: list(store.read_many([])),
    "about": lambda store: store.about(),
    "update_index": lambda store: store.update_index(),
    "subscribe": lambda store: store.subscribe(print),
    "watch": lambda store: store.watch(0),
    "with": lambda store: store.__enter__(),
}


@pytest.mark.parametrize("use", USES.values(), ids=list(USES))
def test_e4_an_unpickled_store_connects_at_its_first_use(
    site: MemorySite, use: Callable[[StaticStore], object]
) -> None:
    again = pickle.loads(pickle.dumps(StaticStore(site.url)))
    use(again)
    assert again.is_connected()
    again.disconnect()


def test_e4_an_unpickled_store_does_not_poll_by_itself(site: MemorySite) -> None:
    before = pollers()
    with pickle.loads(pickle.dumps(StaticStore(site.url))) as again:
        assert list(again) == ["a"]
        assert pollers() == before


def test_e4_many_threads_connect_an_unpickled_store_only_once(site: MemorySite) -> None:
    again = pickle.loads(pickle.dumps(StaticStore(site.url, poll_interval=0)))
    calls = [Call(lambda: list(again)) for _ in range(8)]
    assert [call.result() for call in calls] == [["a"]] * 8
    assert len(site.requests()) == 1
    again.disconnect()


def test_e4_an_unpickled_store_retries_to_connect(site: MemorySite) -> None:
    site.spoil(lambda request, wire: wire.response(404))
    again = pickle.loads(pickle.dumps(StaticStore(site.url, poll_interval=0)))
    with pytest.raises(StoreError, match="404"):
        list(again)
    site.restore()
    assert list(again) == ["a"]
    again.disconnect()


def test_e4_a_disconnected_store_stays_disconnected(site: MemorySite) -> None:
    again = pickle.loads(pickle.dumps(StaticStore(site.url, poll_interval=0)))
    again.disconnect()
    with pytest.raises(NotConnectedError):
        list(again)


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_e4_an_unpickled_store_can_be_connected(
    site: MemorySite, way: Callable[[StaticStore], StaticStore]
) -> None:
    with site.open() as store, way(store).connect() as again:
        assert list(again) == ["a"]
        store.disconnect()
        assert list(again) == ["a"]


def test_e4_location_and_polling_options_are_kept(site: MemorySite) -> None:
    site.files["sub dir/list.json"] = b'{"a": {}}'
    site.files["values/a"] = b"value"
    store = StaticStore(
        site.url, data_path="values/", index_path="sub dir/list.json", poll_interval=1234
    )
    again = pickle.loads(pickle.dumps(store))
    assert again.info()["root_url"] == site.url
    assert again._poll_interval == 1234
    with again:
        assert again.to_bytes("a") == b"value"


def test_e4_a_local_site_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_site(tmp_path / "a % ü", {"a": b"value"})
    monkeypatch.chdir(tmp_path)
    pickled = pickle.dumps(StaticStore("a % ü", poll_interval=0))
    monkeypatch.chdir("/")
    with pickle.loads(pickled) as again:
        assert again.to_bytes("a") == b"value"


def test_e4_a_store_that_was_never_connected_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(StaticStore("https://data.example.org/site")))
    assert again.info()["root_url"] == "https://data.example.org/site/"


def test_e4_subscriptions_are_not_pickled(site: MemorySite) -> None:
    heard: list[Any] = []
    with site.open() as store:
        store.subscribe(heard.append)
        with pickle.loads(pickle.dumps(store)) as again:
            site.write({"b": {}})
            assert len(again.update_index()) == 2
    assert heard == []


def test_e4_an_error_of_a_store_contains_no_secret(site: MemorySite) -> None:
    site.spoil(lambda request, wire: wire.response(500))
    store = StaticStore(root_with_secrets(site), poll_interval=0)
    with pytest.raises(StoreError) as caught:
        store.connect(retries=0)
    assert SECRET.encode() not in pickle.dumps(caught.value)
    assert SECRET not in f"{caught.value!r} {caught.value}"


def test_e4_repr_and_info_show_no_secret(site: MemorySite) -> None:
    with StaticStore(root_with_secrets(site), poll_interval=0) as store:
        assert SECRET not in f"{store!r} {store.info()!r} {store._root!r} {store['a']!r}"


def test_e4_a_connect_that_fails_changes_no_pickle(site: MemorySite) -> None:
    with site.open(timeout=(7, 7)) as store:
        pickled = pickle.dumps(store)
        with pytest.raises(StoreError, match="connected already"):
            store.connect(timeout=(9, 9))
        assert pickle.dumps(store) == pickled


Heard = list[tuple[object, str]]


def _note(heard: Heard) -> Callable[..., None]:
    def handler(sender: object, *, url: str, **_: Any) -> None:
        heard.append((sender, url))

    return handler


def test_e4_a_handler_of_requests_hears_those_of_an_unpickled_store(site: MemorySite) -> None:
    site.files["data/a"] = b"value"
    store = pickle.loads(pickle.dumps(StaticStore(site.url, poll_interval=0)))
    own, every = Heard(), Heard()
    handlers = _note(own), _note(every)
    with (
        request_finished.connected_to(handlers[0], sender=store),
        request_finished.connected_to(handlers[1]),
        store,
    ):
        assert store["a"].read() == b"value"
        site.write({"a": {}, "b": {}})
        assert len(store.update_index()) == 1
    assert {sender for sender, _ in every} == {store}
    assert len(every) == len(site.server.requests) + 1  # one for a head, which is not there
    assert own == every


def test_e4_unpickled_stores_that_share_requests_hear_each_once(site: MemorySite) -> None:
    site.files["data/a"] = b"value"
    pickled = pickle.dumps(StaticStore(site.url, poll_interval=0))
    one: StaticStore = pickle.loads(pickled)
    other: StaticStore = pickle.loads(pickled)
    heard = {name: Heard() for name in ("one", "other", "every", "both")}
    handlers = {name: _note(into) for name, into in heard.items()}
    _ = list(one), list(other)
    with (
        request_finished.connected_to(handlers["one"], sender=one),
        request_finished.connected_to(handlers["other"], sender=other),
        request_finished.connected_to(handlers["every"]),
        request_finished.connected_to(handlers["both"], sender=one),
        request_finished.connected_to(handlers["both"], sender=other),
    ):
        assert one["a"].read() == b"value"
        assert {name: len(into) for name, into in heard.items()} == dict.fromkeys(heard, 1)
        assert heard["other"][0][0] is other
        one.disconnect()
        assert other["a"].read() == b"value"
        assert {name: len(into) for name, into in heard.items()} == {
            **dict.fromkeys(heard, 2),
            "one": 1,
        }
    other.disconnect()
