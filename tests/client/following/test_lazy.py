"""A lazy store reads only the parts of the index that it needs, until it needs the whole."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, index_updated, key_deleted, key_set, key_updated, publish
from staticstore.index.head import Head
from tests.servers import Nginx, RawServer, Request, Wire, serve_files

KEYS = [f"{number:04}.txt" for number in range(600)]


class Site:
    """A folder that is published and served."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.server = RawServer(serve_files(self.files), heads=True)
        (folder / "data").mkdir(parents=True)
        self.publish(**{key: b"value of %b" % key.encode() for key in KEYS})

    def publish(self, **values: bytes) -> None:
        for key, value in values.items():
            (self.folder / "data" / key).write_bytes(value)
        publish(self.folder)
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not name.startswith("."):
                self.files[name] = path.read_bytes()

    @property
    def head(self) -> Head:
        return Head.parse(self.files["index.head.json"])

    def requests(self) -> list[str]:
        """Return what was requested: folders of files that are named by their digests."""
        names = [request.path.lstrip("/") for request in self.server.requests]
        parts = ["Range" in request.headers for request in self.server.requests]
        return [
            f"{name.partition('/')[0]}{' part' if part else ''}"
            for name, part in zip(names, parts, strict=True)
        ]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a small index have many blocks and pages."""
    monkeypatch.setattr("staticstore.index.blocks._BLOCK_BYTES", 2000)
    monkeypatch.setattr("staticstore.index.blocks._PAGE_BYTES", 1000)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    with made.server:
        yield made


@pytest.fixture
def store(site: Site) -> Iterator[StaticStore]:
    lazy = StaticStore(site.server.url, poll_interval=0, lazy=True)
    with lazy.connect(retries=0, timeout=(5, 5)) as store:
        yield store


LOOK_UP = ["index.head.json", "blocks", "blocks part", "index part"]


def test_connecting_requests_only_the_head(site: Site, store: StaticStore) -> None:
    assert site.requests() == ["index.head.json"]


def test_a_key_is_found_by_root_page_and_block(site: Site, store: StaticStore) -> None:
    assert store.get_metadata("0300.txt", ["size"]) == {"size": 17}
    assert site.requests() == LOOK_UP


def test_a_key_in_the_same_block_needs_no_request(site: Site, store: StaticStore) -> None:
    for _ in range(3):
        assert "0300.txt" in store
    assert site.requests() == LOOK_UP


def test_a_missing_key_costs_the_same(site: Site, store: StaticStore) -> None:
    assert "0300.tx" not in store
    assert site.requests() == LOOK_UP
    with pytest.raises(KeyError):
        store["0300.tx"]


def test_a_key_before_the_first_needs_only_the_root(site: Site, store: StaticStore) -> None:
    assert not store.exists("+")
    assert site.requests() == ["index.head.json", "blocks"]


@pytest.mark.parametrize("key", ["\ud800", "", "../x", 5, None])
def test_an_impossible_key_is_not_contained(store: StaticStore, key: Any) -> None:
    assert key not in store


def test_every_key_is_found(store: StaticStore) -> None:
    assert [store.to_bytes(key) for key in KEYS] == [b"value of %b" % k.encode() for k in KEYS]


def test_a_value_is_verified(site: Site, store: StaticStore) -> None:
    value = store["0300.txt"]
    assert (value.size, value.sha256 is not None) == (17, True)
    assert value.read() == b"value of 0300.txt"


def test_info_is_based_on_the_head(site: Site, store: StaticStore) -> None:
    info = store.info()
    assert (info["entries"], info["generation"], info["stale"]) == (600, 1, False)
    assert len(store) == 600
    assert site.requests() == ["index.head.json"]


def test_a_poll_requests_only_the_head(site: Site, store: StaticStore) -> None:
    site.publish(**{"0300.txt": b"another by now"})
    assert not store.update_index()
    assert site.requests() == ["index.head.json"] * 2
    assert store.to_bytes("0300.txt") == b"another by now"


def test_a_poll_without_changes_keeps_the_parts_read(site: Site, store: StaticStore) -> None:
    assert "0300.txt" in store
    store.update_index()
    assert "0300.txt" in store
    assert site.requests() == [*LOOK_UP, "index.head.json"]


def test_a_value_belongs_to_its_snapshot(site: Site, store: StaticStore) -> None:
    value = store["0300.txt"]
    site.publish(**{"0300.txt": b"another by now"})
    store.update_index()
    assert value.size == 17


WHOLE: list[Callable[[StaticStore], object]] = [
    lambda store: list(store),
    lambda store: list(store.items()),
    lambda store: list(store.query(size=17)),
    lambda store: list(store.query_keys(size=17)),
    lambda store: list(store.glob("*")),
    lambda store: store.index,
    lambda store: store.subscribe(print),
    lambda store: store.watch(0),
    lambda store: store.update_index().index,
]


@pytest.mark.parametrize("use", WHOLE)
def test_an_operation_on_all_keys_fetches_the_whole_index(
    site: Site, store: StaticStore, use: Callable[[StaticStore], object]
) -> None:
    use(store)
    assert "index" in site.requests()
    assert len(store.index) == 600


def test_the_whole_index_is_fetched_once(site: Site, store: StaticStore) -> None:
    for use in WHOLE:
        use(store)
    assert site.requests().count("index") == 1


def test_from_then_on_the_store_is_like_any_other(site: Site, store: StaticStore) -> None:
    list(store)
    site.publish(**{"new.txt": b"new"})
    assert [(one.action, one.key) for one in store.update_index()] == [("set", "new.txt")]


@pytest.mark.parametrize("signal", [key_set, key_updated, key_deleted, index_updated])
def test_the_first_poll_with_a_handler_fetches_the_whole_index(
    site: Site, store: StaticStore, signal: Any
) -> None:
    def handler(sender: object, **_: object) -> None: ...

    with signal.connected_to(handler, sender=store):
        store.update_index()
    assert "index" in site.requests()


def test_a_handler_receives_the_changes_since_the_last_poll(site: Site, store: StaticStore) -> None:
    told: list[str] = []

    def handler(sender: object, key: str, **_: object) -> None:
        told.append(key)

    with key_set.connected_to(handler, sender=store):
        site.publish(**{"new.txt": b"new"})
        store.update_index()
    assert told == ["new.txt"]


def test_a_handler_of_another_store_has_no_effect(site: Site, store: StaticStore) -> None:
    def handler(sender: object, **_: object) -> None: ...

    other = StaticStore(site.server.url, poll_interval=0)
    with key_set.connected_to(handler, sender=other):
        store.update_index()
    assert site.requests() == ["index.head.json"] * 2


@pytest.mark.parametrize("what", ["root", "page", "block"])
@pytest.mark.parametrize("how", ["damaged", "missing", "without ranges", "another range"])
def test_with_missing_or_wrong_parts_the_whole_index_is_fetched(
    site: Site, store: StaticStore, what: str, how: str
) -> None:
    good = serve_files(site.files)

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

    site.server.answer = answer
    assert store.to_bytes("0300.txt") == b"value of 0300.txt"
    assert "index" in site.requests()
    assert store.info()["last_error"] is None


@pytest.mark.parametrize("lacking", ["index.head.json", "blocks"])
def test_without_a_head_or_blocks_the_whole_index_is_fetched(site: Site, lacking: str) -> None:
    if lacking == "blocks":
        head = site.files["index.head.json"].replace(b'"blocks"', b'"others"')
        site.files["index.head.json"] = head
    else:
        del site.files[lacking]
    with StaticStore(site.server.url, poll_interval=0, lazy=True).connect() as store:
        assert store.to_bytes("0300.txt") == b"value of 0300.txt"
        store.update_index()
    assert "index part" not in site.requests()


def test_an_older_head_is_ignored_and_counted(site: Site, store: StaticStore) -> None:
    old = site.files["index.head.json"]
    site.publish(**{"0300.txt": b"another by now"})
    store.update_index()
    site.files["index.head.json"] = old
    store.update_index()
    assert store.info()["generation"] == 2
    assert any("older index 1 times" in warning for warning in store.info()["warnings"])


def test_if_the_index_has_gone_the_current_one_is_fetched(site: Site, store: StaticStore) -> None:
    old = site.head.index.href
    site.publish(**{"0300.txt": b"another by now"})
    del site.files[old]
    assert len(list(store.query_keys(size=14))) == 1


def test_after_a_disconnect_the_store_is_lazy_again(store: StaticStore) -> None:
    store.disconnect()
    assert store.info()["entries"] == 600
    assert "600 keys, not connected" in repr(store)


def test_a_store_with_a_whole_index_stays_whole(site: Site) -> None:
    store = StaticStore(site.server.url, poll_interval=0, lazy=True)
    with store.connect():
        list(store)
    with store.connect():
        assert len(store.index) == 600
    assert site.requests().count("index") == 1


def test_laziness_is_pickled_with_the_store() -> None:
    store = pickle.loads(pickle.dumps(StaticStore("http://host/", lazy=True)))
    assert store._options["lazy"] is True


def test_a_bad_entry_is_absent_and_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "staticstore.client.following.held.line_problem", lambda key, raw: "it is bad"
    )
    with StaticStore(site.server.url, poll_interval=0, lazy=True).connect() as store:
        assert "0300.txt" not in store
        assert store.info()["warnings"] == ["'0300.txt' is left out: it is bad"]


def test_it_works_with_nginx(site: Site) -> None:
    with (
        Nginx(site.folder) as nginx,
        StaticStore(nginx.url, poll_interval=0, lazy=True).connect() as store,
    ):
        assert store.to_bytes("0300.txt") == b"value of 0300.txt"
    assert [request.status for request in nginx.requests()] == [200, 200, 206, 206, 200]
