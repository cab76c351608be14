"""D11: of several roots the first is the site and decides; the others are copies of it."""

from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    IntegrityError,
    StaticStore,
    StoreError,
    TransportError,
    mirror,
    poll_failed,
    publish,
)
from staticstore.errors import HTTPStatusError, NotConnectedError
from staticstore.transport.values import download
from tests.client.following.conftest import VALUES, Host, HostedSite
from tests.client.scene import Call
from tests.servers import Answer, Request, Wire

EVIL = b"VALUE OF A"


@pytest.fixture
def stores() -> Iterator[list[StaticStore]]:
    made: list[StaticStore] = []
    yield made
    for one in made:
        one.disconnect()


@pytest.fixture
def connect(hosted: HostedSite, stores: list[StaticStore]) -> Callable[..., StaticStore]:
    def connect(**options: Any) -> StaticStore:
        stores.append(StaticStore(hosted.roots, poll_interval=0, **options))
        return stores[-1].connect(retries=0)

    return connect


Connect = Callable[..., StaticStore]


def with_status(status: int) -> Answer:
    return lambda request, wire: wire.response(status)


def change_head(host: Host, **fields: Any) -> None:
    """Change fields of the head that a host serves."""
    said = json.loads(host.files["index.head.json"])
    host.files["index.head.json"] = json.dumps({**said, **fields}).encode()


def make_hostile(copy: Host, folder: Path) -> None:
    """Let a copy serve another site of the same lineage, with a far higher generation."""
    lineage = json.loads(copy.files["index.head.json"])["lineage"]
    (folder / "data").mkdir(parents=True)
    for key in VALUES:
        (folder / "data" / key).write_bytes(EVIL)
    publish(folder)
    copy.copy(folder)
    change_head(copy, lineage=lineage, generation=2**62)


# Who decides


def test_a_copy_is_not_asked_for_a_head_while_the_first_answers(
    connect: Connect, copy: Host
) -> None:
    store = connect()
    store.update_index()
    assert store.to_bytes("a.txt") == VALUES["a.txt"]
    assert copy.server.requests == []


def test_a_higher_generation_of_a_copy_is_ignored(
    connect: Connect, copy: Host, tmp_path: Path
) -> None:
    make_hostile(copy, tmp_path / "hostile")
    store = connect()
    for _ in range(12):
        store.update_index()
    assert store.to_bytes("a.txt") == VALUES["a.txt"]
    assert store.info()["generation"] == 1


@pytest.mark.parametrize("trouble", ["down", "503", "401", "a page", "cut"])
def test_the_snapshot_stays_while_the_first_root_fails(
    connect: Connect, first: Host, copy: Host, tmp_path: Path, trouble: str
) -> None:
    store = connect()
    make_hostile(copy, tmp_path / "hostile")
    if trouble == "down":
        first.server.stop()
    elif trouble == "a page":
        first.server.answer = lambda request, wire: wire.response(200, b"<html>")
    elif trouble == "cut":
        first.server.answer = lambda request, wire: wire.reset()
    else:
        first.server.answer = with_status(int(trouble))
    for _ in range(4):
        with pytest.raises(StoreError):
            store.update_index()
    assert store.info()["generation"] == 1
    assert store.info()["stale"]


def test_a_failing_first_root_is_a_failed_poll(connect: Connect, first: Host) -> None:
    store, failures = connect(), list[StoreError]()
    first.server.stop()
    heard = poll_failed.connected_to(lambda sender, error: failures.append(error), sender=store)
    with heard, pytest.raises(TransportError):
        store.update_index()
    assert len(failures) == 1


def test_a_poll_requests_the_first_root_once_without_retries(
    hosted: HostedSite, stores: list[StaticStore], first: Host
) -> None:
    stores.append(StaticStore(hosted.roots, poll_interval=0).connect(retries=4))
    first.server.answer = with_status(503)
    before = len(first.server.requests)
    with pytest.raises(HTTPStatusError):
        stores[-1].update_index()
    assert len(first.server.requests) == before + 1


# A store without an index


def test_a_store_without_an_index_uses_that_of_a_copy(
    connect: Connect, first: Host, copy: Host
) -> None:
    first.server.stop()
    info = connect().info()
    assert (info["source"], info["stale"], info["entries"]) == (copy.url, True, 3)
    assert "is passed over" in info["warnings"][0]


def test_a_silent_first_root_is_waited_for_at_most_ten_seconds(
    connect: Connect, first: Host, copy: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.FIRST_ROOT_PATIENCE_SECONDS", 0.2)
    first.server.answer = lambda request, wire: wire.stall()
    assert Call(connect).result().info()["source"] == copy.url


def test_the_first_decides_again_when_it_is_back(
    connect: Connect, first: Host, copy: Host, tmp_path: Path
) -> None:
    make_hostile(copy, tmp_path / "hostile")
    first.server.stop()
    store = connect()
    assert store.info()["generation"] == 2**62
    first.server.start()
    assert {change.key for change in store.update_index()} == set(VALUES)
    assert store.to_bytes("a.txt") == VALUES["a.txt"]
    info = store.info()
    assert (info["generation"], info["source"], info["stale"]) == (1, first.url, False)
    assert info["warnings"] == []


def test_a_copy_is_not_followed_while_the_first_root_is_down(
    hosted: HostedSite, connect: Connect, first: Host, copy: Host
) -> None:
    first.server.stop()
    store = connect()
    hosted.publish(copy, **{"new.txt": b"1"})
    with pytest.raises(TransportError):
        store.update_index()
    assert "new.txt" not in store


def test_if_all_are_down_the_error_is_that_of_the_first_root(
    hosted: HostedSite, connect: Connect, first: Host
) -> None:
    for host in hosted.hosts:
        host.server.stop()
    with pytest.raises(TransportError) as caught:
        connect()
    assert str(caught.value.url).startswith(first.url)


def test_a_temporary_failure_of_all_roots_is_retried(
    hosted: HostedSite, stores: list[StaticStore]
) -> None:
    def once(host: Host) -> Answer:
        def answer(request: Request, wire: Wire) -> None:
            host.server.answer = host.good
            wire.response(503)

        return answer

    for host in hosted.hosts:
        host.server.answer = once(host)
    stores.append(StaticStore(hosted.roots, poll_interval=0).connect(retries=2))
    assert stores[0].info()["source"] == hosted.hosts[0].url


def test_a_lazy_store_reads_parts_of_the_index_of_a_copy(
    connect: Connect, first: Host, copy: Host
) -> None:
    first.server.stop()
    store = connect(lazy=True)
    assert store.get_metadata("a.txt")["size"] == len(VALUES["a.txt"])
    assert store.info()["source"] == copy.url


def test_an_index_from_a_copy_is_still_marked_when_it_comes_from_the_cache(
    connect: Connect, first: Host, copy: Host, tmp_path: Path
) -> None:
    first.server.stop()
    connect(cache=tmp_path / "cache").disconnect()
    copy.server.stop()
    assert connect(cache=tmp_path / "cache").info()["source"] == copy.url


# Documents


@pytest.mark.parametrize("folder", ["index", "changes"])
def test_documents_named_by_the_first_root_may_come_from_any(
    hosted: HostedSite, connect: Connect, first: Host, copy: Host, folder: str
) -> None:
    many = {f"{number}.txt": b"%d" % number for number in range(60)}
    hosted.publish(first, copy, **many)
    store = None if folder == "index" else connect()
    hosted.publish(first, copy, **{"new.txt": b"1"})
    for name in list(first.files):
        if name.startswith(f"{folder}/") or name == "index.json":
            first.spoil(name, b"{}")
    store = connect() if store is None else store
    store.update_index()
    assert "new.txt" in store


def test_a_document_of_a_copy_is_verified_with_the_digest_of_the_first_root(
    connect: Connect, first: Host, copy: Host
) -> None:
    for host, body in ((first, None), (copy, b"{}")):
        for name in [name for name in host.files if name.startswith("index")]:
            if name != "index.head.json":
                host.spoil(name, body)
    with pytest.raises(IntegrityError):
        connect()


# Values


def test_a_wrong_or_missing_value_comes_from_a_copy(connect: Connect, first: Host) -> None:
    first.spoil("data/a.txt", EVIL)
    first.spoil("data/b.txt", None)
    store = connect()
    assert dict(store.read_many(["a.txt", "b.txt"])) == {
        key: VALUES[key] for key in ("a.txt", "b.txt")
    }
    assert store.to_bytes("a.txt") == VALUES["a.txt"]


def test_a_wrong_value_of_a_copy_is_refused(connect: Connect, first: Host, copy: Host) -> None:
    store = connect()
    first.server.stop()
    copy.spoil("data/a.txt", EVIL)
    with pytest.raises(StoreError):
        store.to_bytes("a.txt")


def test_a_value_without_a_digest_comes_only_from_the_first_root(
    connect: Connect, first: Host, copy: Host
) -> None:
    for host in (first, copy):
        host.files.pop("index.head.json")
        host.files["index.json"] = b'{"a.txt": {}}'
    store = connect()
    first.spoil("data/a.txt", None)
    with pytest.raises(HTTPStatusError):
        store.to_bytes("a.txt")
    assert copy.requests("data/a.txt") == []


READS: dict[str, Callable[[StaticStore], bytes]] = {
    "range": lambda store: store["large.bin"].range(5, 9).read(),
    "get_data_range": lambda store: store.get_data_range("large.bin", -4).read(),
    "get_ranges": lambda store: b"".join(store.get_ranges("large.bin", [(7, 9), (3, 5)])),
    "open": lambda store: store["large.bin"].open().read(4),
}
EXPECTED = {
    "range": VALUES["large.bin"][5:9],
    "get_data_range": VALUES["large.bin"][-4:],
    "get_ranges": VALUES["large.bin"][7:9] + VALUES["large.bin"][3:5],
    "open": VALUES["large.bin"][:4],
}


@pytest.mark.parametrize("how", READS)
def test_a_part_is_cut_out_of_the_whole_value_of_a_copy(
    connect: Connect, first: Host, copy: Host, how: str
) -> None:
    store = connect()
    first.server.stop()
    assert READS[how](store) == EXPECTED[how]
    assert [request.headers.get("Range") for request in copy.requests("data/large.bin")] == [None]


def test_the_whole_value_is_kept_for_the_next_part(
    connect: Connect, first: Host, copy: Host
) -> None:
    store = connect()
    first.server.stop()
    for how in READS:
        assert READS[how](store) == EXPECTED[how]
    assert len(copy.requests("data/large.bin")) == 1


@pytest.mark.parametrize("how", READS)
def test_a_part_of_a_wrong_value_is_refused(
    connect: Connect, first: Host, copy: Host, how: str
) -> None:
    store = connect()
    first.server.stop()
    copy.spoil("data/large.bin", VALUES["large.bin"][:-1] + b"!")
    with pytest.raises(StoreError):
        READS[how](store)


def test_no_part_is_cut_out_of_a_value_that_is_too_large(
    connect: Connect, first: Host, copy: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_MOST_BYTES", 1000)
    store = connect()
    first.server.stop()
    with pytest.raises(TransportError):
        store["large.bin"].range(5, 9)
    assert copy.requests("data/large.bin") == []


@pytest.mark.usefixtures("immediate_retry")
def test_parts_come_from_the_first_again_when_it_is_back(connect: Connect, first: Host) -> None:
    store = connect()
    first.server.stop()
    READS["range"](store)
    first.server.start()
    assert READS["range"](store) == EXPECTED["range"]
    assert len(first.requests("data/large.bin")) == 1


def test_whole_values_kept_for_parts_are_dropped_at_disconnect(
    connect: Connect, first: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    store = connect()
    first.server.stop()
    READS["range"](store)
    assert [path.name[:12] for path in tmp_path.iterdir() if path.name != "site"]
    store.disconnect()
    assert [path.name for path in tmp_path.iterdir() if path.name != "site"] == []


# Other operations


def test_disconnecting_ends_the_wait_for_the_first_root(connect: Connect, first: Host) -> None:
    store, reached = connect(), threading.Event()

    def stall(request: Request, wire: Wire) -> None:
        reached.set()
        wire.stall()

    first.server.answer = stall
    waiting = Call(store.update_index)
    assert reached.wait(20)
    store.disconnect()
    with pytest.raises(NotConnectedError):
        waiting.result()


def test_a_pickle_contains_all_roots_and_whether_they_are_equal(
    hosted: HostedSite, first: Host
) -> None:
    again = pickle.loads(pickle.dumps(StaticStore(hosted.roots, poll_interval=0)))
    first.server.stop()
    with again.connect(retries=0) as store:
        assert store.info()["source"] == hosted.roots[1]
    equal = StaticStore(hosted.roots, poll_interval=0, equal_roots=True)
    assert pickle.loads(pickle.dumps(equal))._options["equal_roots"]


def test_a_mirror_fetches_from_copies_what_the_first_root_lacks(
    connect: Connect, first: Host, tmp_path: Path
) -> None:
    first.spoil("data/b.txt", None)
    assert mirror(connect(), tmp_path / "copied").failed == []
    assert (tmp_path / "copied" / "data" / "b.txt").read_bytes() == VALUES["b.txt"]


def test_without_heads_one_is_looked_for_at_every_tenth_poll(
    connect: Connect, hosted: HostedSite, first: Host
) -> None:
    for host in hosted.hosts:
        del host.files["index.head.json"]
    store = connect()
    for _ in range(30):
        store.update_index()
    assert len(first.requests("index.head.json")) == 1 + 3
    assert len(hosted.hosts[1].requests("index.head.json")) == 0


# A store with an index


def test_d11_a_lazy_store_does_not_fetch_the_whole_index_from_a_copy(
    connect: Connect, first: Host, copy: Host, tmp_path: Path
) -> None:
    store = connect(lazy=True)
    assert "a.txt" in store
    make_hostile(copy, tmp_path / "hostile")
    first.files.clear()
    with pytest.raises(StoreError):
        list(store)
    assert store.info()["generation"] == 1


def test_d11_a_store_with_a_cached_index_does_not_use_that_of_a_copy(
    connect: Connect, first: Host, copy: Host, tmp_path: Path
) -> None:
    connect(cache=tmp_path / "cache").disconnect()
    make_hostile(copy, tmp_path / "hostile")
    first.server.stop()
    store = connect(lazy=True, cache=tmp_path / "cache")
    assert store.info()["generation"] == 1
    with pytest.raises(StoreError):
        store.to_bytes("b.txt")


@pytest.mark.parametrize("read", ["data", "iterdata", "get_data"])
def test_d11_a_stream_returns_no_byte_of_a_copy_before_it_is_verified(
    connect: Connect, first: Host, copy: Host, read: str
) -> None:
    first.spoil("data/large.bin", None)
    copy.spoil("data/large.bin", bytes(len(VALUES["large.bin"])))
    store = connect()
    reads: dict[str, Callable[[], bytes]] = {
        "data": lambda: store["large.bin"].data.read(4),
        "iterdata": lambda: next(store["large.bin"].iterdata(4)),
        "get_data": lambda: store.get_data("large.bin").read(4),
    }
    with pytest.raises(StoreError):
        reads[read]()
