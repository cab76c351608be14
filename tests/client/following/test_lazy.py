"""A lazy store reads only the parts of the index that it needs, until it needs the whole."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from staticstore import (
    IntegrityError,
    StaticStore,
    index_updated,
    key_deleted,
    key_set,
    key_updated,
)
from staticstore.query import ge
from tests.client.following.conftest import KEYS, PublishedSite
from tests.servers import Nginx, Request, Wire, serve_files

LOOK_UP = ["index.head.json", "blocks", "blocks part", "index part"]


def requests(site: PublishedSite) -> list[str]:
    """Return what was requested: folders of files that are named by their digests."""
    requested = [(request.path.lstrip("/"), request.headers) for request in site.server.requests]
    return [
        f"{path.partition('/')[0]}{' part' if 'Range' in headers else ''}"
        for path, headers in requested
    ]


@pytest.fixture
def store(published: PublishedSite) -> Iterator[StaticStore]:
    lazy = StaticStore(published.server.url, poll_interval=0, lazy=True)
    with lazy.connect(retries=0, timeout=(5, 5)) as store:
        yield store


def test_connecting_requests_only_the_head(published: PublishedSite, store: StaticStore) -> None:
    assert requests(published) == ["index.head.json"]


def test_a_key_is_found_by_root_page_and_block(
    published: PublishedSite, store: StaticStore
) -> None:
    assert store.get_metadata("0300.txt", ["size"]) == {"size": 17}
    assert requests(published) == LOOK_UP


def test_a_key_in_the_same_block_needs_no_request(
    published: PublishedSite, store: StaticStore
) -> None:
    for _ in range(3):
        assert "0300.txt" in store
    assert requests(published) == LOOK_UP


def test_a_missing_key_costs_the_same(published: PublishedSite, store: StaticStore) -> None:
    assert "0300.tx" not in store
    assert requests(published) == LOOK_UP
    with pytest.raises(KeyError):
        store["0300.tx"]


def test_a_key_before_the_first_needs_only_the_root(
    published: PublishedSite, store: StaticStore
) -> None:
    assert not store.exists("+")
    assert requests(published) == ["index.head.json", "blocks"]


@pytest.mark.parametrize("key", ["\ud800", "", "../x", 5, None])
def test_an_impossible_key_is_not_contained(store: StaticStore, key: Any) -> None:
    assert key not in store


def test_every_key_is_found(store: StaticStore) -> None:
    assert [store.to_bytes(key) for key in KEYS] == [b"value of %b" % k.encode() for k in KEYS]


def test_a_value_is_verified(published: PublishedSite, store: StaticStore) -> None:
    value = store["0300.txt"]
    assert (value.size, value.sha256 is not None) == (17, True)
    assert value.read() == b"value of 0300.txt"


def test_info_is_based_on_the_head(published: PublishedSite, store: StaticStore) -> None:
    info = store.info()
    assert (info["entries"], info["generation"], info["stale"]) == (600, 1, False)
    assert len(store) == 600
    assert requests(published) == ["index.head.json"]


def test_a_poll_requests_only_the_head(published: PublishedSite, store: StaticStore) -> None:
    published.publish(**{"0300.txt": b"another by now"})
    assert not store.update_index()
    assert requests(published) == ["index.head.json"] * 2
    assert store.to_bytes("0300.txt") == b"another by now"


def test_a_poll_without_changes_keeps_the_parts_read(
    published: PublishedSite, store: StaticStore
) -> None:
    assert "0300.txt" in store
    store.update_index()
    assert "0300.txt" in store
    assert requests(published) == [*LOOK_UP, "index.head.json"]


def test_a_value_belongs_to_its_snapshot(published: PublishedSite, store: StaticStore) -> None:
    value = store["0300.txt"]
    published.publish(**{"0300.txt": b"another by now"})
    store.update_index()
    assert value.size == 17


WHOLE: list[Callable[[StaticStore], object]] = [
    lambda store: list(store),
    lambda store: list(store.items()),
    lambda store: list(store.query(size=17)),
    lambda store: list(store.query_keys(size=17)),
    lambda store: list(store.query_keys(size=ge(17), sort="-size", limit=5)),
    lambda store: store.count(size=ge(17)),
    lambda store: list(store.index.prefixes()),
    lambda store: list(store.glob("*")),
    lambda store: store.index,
    lambda store: store.subscribe(print),
    lambda store: store.watch(0),
    lambda store: store.update_index().index,
]


@pytest.mark.parametrize("use", WHOLE)
def test_an_operation_on_all_keys_fetches_the_whole_index(
    published: PublishedSite, store: StaticStore, use: Callable[[StaticStore], object]
) -> None:
    use(store)
    assert "index" in requests(published)
    assert len(store.index) == 600


def test_the_whole_index_is_fetched_once(published: PublishedSite, store: StaticStore) -> None:
    for use in WHOLE:
        use(store)
    assert requests(published).count("index") == 1


def test_from_then_on_the_store_is_like_any_other(
    published: PublishedSite, store: StaticStore
) -> None:
    list(store)
    published.publish(**{"new.txt": b"new"})
    assert [(one.action, one.key) for one in store.update_index()] == [("set", "new.txt")]


@pytest.mark.parametrize("signal", [key_set, key_updated, key_deleted, index_updated])
def test_the_first_poll_with_a_handler_fetches_the_whole_index(
    published: PublishedSite, store: StaticStore, signal: Any
) -> None:
    def handler(sender: object, **_: object) -> None: ...

    with signal.connected_to(handler, sender=store):
        store.update_index()
    assert "index" in requests(published)


def test_a_handler_receives_the_changes_since_the_last_poll(
    published: PublishedSite, store: StaticStore
) -> None:
    received: list[str] = []

    def handler(sender: object, key: str, **_: object) -> None:
        received.append(key)

    with key_set.connected_to(handler, sender=store):
        published.publish(**{"new.txt": b"new"})
        store.update_index()
    assert received == ["new.txt"]


def test_a_handler_of_another_store_has_no_effect(
    published: PublishedSite, store: StaticStore
) -> None:
    def handler(sender: object, **_: object) -> None: ...

    other = StaticStore(published.server.url, poll_interval=0)
    with key_set.connected_to(handler, sender=other):
        store.update_index()
    assert requests(published) == ["index.head.json"] * 2


@pytest.mark.parametrize("what", ["root", "page", "block"])
@pytest.mark.parametrize("how", ["damaged", "missing", "without ranges", "another range"])
def test_with_missing_or_wrong_parts_the_whole_index_is_fetched(
    published: PublishedSite, store: StaticStore, what: str, how: str
) -> None:
    good = serve_files(published.files)

    def answer(request: Request, wire: Wire) -> None:
        is_part = "Range" in request.headers
        is_it = {
            "root": request.path.startswith("/blocks/") and not is_part,
            "page": request.path.startswith("/blocks/") and is_part,
            "block": request.path.startswith("/index/") and is_part,
        }[what]
        if not is_it:
            good(request, wire)
        elif how == "missing":
            wire.response(404)
        elif how == "without ranges" or not is_part:
            wire.response(200, b"{}")
        else:
            first, last = request.headers["Range"].removeprefix("bytes=").split("-")
            shift = int(how == "another range")
            given = f"bytes {int(first) + shift}-{int(last) + shift}/999999"
            body = b"x" * (int(last) + 1 - int(first))
            wire.response(206, body, {"Content-Range": given})

    published.server.answer = answer
    assert store.to_bytes("0300.txt") == b"value of 0300.txt"
    assert "index" in requests(published)
    assert store.info()["last_error"] is None


@pytest.mark.parametrize("lacking", ["index.head.json", "blocks"])
def test_without_a_head_or_blocks_the_whole_index_is_fetched(
    published: PublishedSite, lacking: str
) -> None:
    if lacking == "blocks":
        head = published.files["index.head.json"].replace(b'"blocks"', b'"others"')
        published.files["index.head.json"] = head
    else:
        del published.files[lacking]
    with StaticStore(published.server.url, poll_interval=0, lazy=True).connect() as store:
        assert store.to_bytes("0300.txt") == b"value of 0300.txt"
        store.update_index()
    assert "index part" not in requests(published)


def test_an_older_head_is_ignored_and_counted(published: PublishedSite, store: StaticStore) -> None:
    old = published.files["index.head.json"]
    published.publish(**{"0300.txt": b"another by now"})
    store.update_index()
    published.files["index.head.json"] = old
    store.update_index()
    assert store.info()["generation"] == 2
    assert any("older index 1 times" in warning for warning in store.info()["warnings"])


def test_if_the_index_has_gone_the_current_one_is_fetched(
    published: PublishedSite, store: StaticStore
) -> None:
    old = published.head.index.href
    published.publish(**{"0300.txt": b"another by now"})
    del published.files[old]
    assert len(list(store.query_keys(size=14))) == 1


@pytest.mark.parametrize("polls", [False, True])
def test_values_of_one_snapshot_never_mix_two_indexes(
    published: PublishedSite, store: StaticStore, polls: bool
) -> None:
    old = published.head.index.href
    values = store.multiget(["0300.txt", "0500.txt"])
    assert next(values).size == 17
    published.publish(**{"0500.txt": b"another by now"})
    del published.files[old]
    if polls:
        store.update_index()
    with pytest.raises(IntegrityError, match="another index"):
        next(values)
    assert store["0500.txt"].size == 14


def test_after_a_disconnect_the_store_is_lazy_again(store: StaticStore) -> None:
    store.disconnect()
    assert store.info()["entries"] == 600
    assert "600 keys, not connected" in repr(store)


def test_a_store_with_a_whole_index_stays_whole(published: PublishedSite) -> None:
    store = StaticStore(published.server.url, poll_interval=0, lazy=True)
    with store.connect():
        list(store)
    with store.connect():
        assert len(store.index) == 600
    assert requests(published).count("index") == 1


def test_laziness_is_pickled_with_the_store() -> None:
    store = pickle.loads(pickle.dumps(StaticStore("http://host/", lazy=True)))
    assert store._options["lazy"] is True


def test_a_bad_entry_is_absent_and_reported(
    published: PublishedSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "staticstore.client.following.held.line_problem", lambda key, raw: "it is bad"
    )
    with StaticStore(published.server.url, poll_interval=0, lazy=True).connect() as store:
        assert "0300.txt" not in store
        assert store.info()["warnings"] == ["'0300.txt' is left out: it is bad"]


def test_it_works_with_nginx(published: PublishedSite) -> None:
    with (
        Nginx(published.folder) as nginx,
        StaticStore(nginx.url, poll_interval=0, lazy=True).connect() as store,
    ):
        assert store.to_bytes("0300.txt") == b"value of 0300.txt"
    assert [request.status for request in nginx.requests()] == [200, 200, 206, 206, 200]
