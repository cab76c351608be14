"""Defects of the ancestor, encore.storage: a test for each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    IntegrityError,
    InvalidKeyError,
    StaticStore,
    index_updated,
    poll_failed,
)
from staticstore.index.fields import key_to_path
from tests.client.scene import TIMEOUT, Call, MemorySite, pollers
from tests.servers import Nginx, Request, Wire, require, serve_files
from tests.sites import entry, write_site

VALUE = b"0123456789" * 10


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    site.write({"a": entry(VALUE, nested={"list": [1]}), "b": {"type": "raster"}})
    site.files["data/a"] = site.files["data/b"] = VALUE
    with site.open() as connected:
        yield connected


# Its disconnect() joined the poll thread before telling it to end.
def test_disconnect_does_not_wait_for_the_next_poll(site: MemorySite) -> None:
    store = StaticStore(site.url, poll_interval=3600).connect()
    assert Call(store.disconnect).is_back(1.0)


# Its query() yielded while it held the lock that exists() needs.
def test_a_query_can_use_the_store_while_it_runs(store: StaticStore) -> None:
    def ask() -> list[bool]:
        return [store.exists(key) for key, _ in store.query()]

    assert Call(ask).result() == [True, True]


def test_a_query_continues_over_an_update(site: MemorySite, store: StaticStore) -> None:
    def ask() -> list[tuple[str, bool]]:
        found = []
        for key, _ in store.query():
            site.write({"c": {}})
            store.update_index()
            found.append((key, store.exists(key)))
        return found

    assert Call(ask).result() == [("a", False), ("b", False)]


def test_an_unfinished_query_blocks_nobody(store: StaticStore) -> None:
    query = store.query()
    next(query)
    assert not Call(store.update_index).result()
    assert Call(lambda: store.exists("a")).result()
    assert next(query)[0] == "b"


# It downloaded the index under the lock that every reader needs.
def test_readers_do_not_wait_for_a_download_of_the_index(
    site: MemorySite, store: StaticStore
) -> None:
    stall = site.stall("body")
    update = Call(store.update_index)
    assert stall.reached.wait(TIMEOUT)

    def read() -> tuple[bool, int, bytes]:
        return store.exists("a"), len(list(store.query())), store.to_bytes("a")

    assert Call(read).result() == (True, 2, VALUE)
    assert not update.is_back(0)


# One truncated index silently ended its poll thread.
def test_a_truncated_index_does_not_end_the_polling(site: MemorySite) -> None:
    others = pollers()
    failed, changed = threading.Event(), threading.Event()

    def on_failure(sender: object, **_: Any) -> None:
        failed.set()

    def on_change(sender: object, **_: Any) -> None:
        changed.set()

    with (
        StaticStore(site.url, poll_interval=0.01) as store,
        poll_failed.connected_to(on_failure, sender=store),
        index_updated.connected_to(on_change, sender=store),
    ):
        (thread,) = pollers() - others
        site.write(b'{"a": {"v": 1}, "b')
        assert failed.wait(TIMEOUT)
        assert thread.is_alive()
        site.write({"a": {"v": 1}})
        assert changed.wait(TIMEOUT)


# range(1, 3) was 2 bytes from a file and 3 from a 206; range(None, 3) the first or the last three.
@pytest.mark.parametrize("bounds", [(1, 3), (None, 3), (0, 3), (-3, None), (3, None), (None, None)])
@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("describe", [lambda key, value: entry(value), lambda key, value: {}])
def test_a_range_is_the_same_from_a_file_and_from_a_host(
    site: MemorySite,
    tmp_path: Path,
    bounds: tuple[int | None, int | None],
    ranges: bool,
    describe: Callable[[str, bytes], dict[str, Any]],
) -> None:
    write_site(tmp_path, {"a": VALUE}, describe)
    site.write({"a": describe("a", VALUE)})
    site.files["data/a"] = VALUE
    site.server.answer = serve_files(site.files, ranges=ranges)
    expected = VALUE[slice(*bounds)]
    for root in (tmp_path, site.url):
        with StaticStore(root, poll_interval=0) as store, store["a"].range(*bounds) as stream:
            assert stream.read() == expected


# A proxy without credentials crashed it.
def test_a_proxy_needs_no_credentials(site: MemorySite) -> None:
    site.write({"a": {}})

    def pass_on(request: Request, wire: Wire) -> None:
        assert request.target == "http://data.example.org/site/index.json"
        assert "Proxy-Authorization" not in request.headers
        wire.response(200, site.files["index.json"])

    site.server.answer = pass_on
    store = StaticStore("http://data.example.org/site/", poll_interval=0)
    with store.connect(proxies={"http": site.url}):
        assert list(store) == ["a"]


# The documented credentials crashed it, and its default realm matched no server.
@pytest.mark.parametrize(
    "auth", [("ali", "open sesame"), {"username": "ali", "password": "open sesame"}], ids=str
)
@pytest.mark.parametrize("realm", ["", "site", "Any other realm", "é"])
def test_the_documented_credentials_work_with_any_realm(
    site: MemorySite, auth: Any, realm: str
) -> None:
    def ask_for_credentials(request: Request, wire: Wire) -> None:
        if request.headers.get("Authorization") == "Basic YWxpOm9wZW4gc2VzYW1l":
            site.good(request, wire)
        else:
            wire.response(401, headers={"WWW-Authenticate": f'Basic realm="{realm}"'})

    site.server.answer = ask_for_credentials
    with site.open(auth=auth) as store:
        assert store.is_connected()


def test_the_documented_credentials_work_with_a_real_server(tmp_path: Path) -> None:
    require("nginx")
    write_site(tmp_path, {"a": VALUE})
    with Nginx(tmp_path, auth=("ali", "open sesame")) as nginx:
        store = StaticStore(nginx.url, poll_interval=0)
        with store.connect(auth={"username": "ali", "password": "open sesame"}):
            assert store.to_bytes("a") == VALUE


# Its size was None until the data was opened, and asking again reopened the stream.
@pytest.mark.parametrize("key", ["a", "b"])
def test_the_size_is_known_before_the_data_is_opened(store: StaticStore, key: str) -> None:
    assert store[key].size == len(VALUE)


def test_asking_for_the_size_again_opens_no_stream(site: MemorySite, store: StaticStore) -> None:
    value = store["b"]
    with value.data as stream:
        assert stream.read(5) == VALUE[:5]
        for _ in range(3):
            assert value.size == len(VALUE)
        assert value.data is stream
        assert stream.read() == VALUE[5:]
    assert len(site.requests("data/b")) == 1


# Its copies of metadata were shallow: a caller corrupted the index and the next comparison.
def test_metadata_is_copied_deeply(site: MemorySite, store: StaticStore) -> None:
    for metadata in (
        store.get_metadata("a"),
        store["a"].metadata,
        next(store.query())[1],
        store.index["a"],
    ):
        metadata["nested"]["list"].append("spoiled")
    assert store.get_metadata("a")["nested"] == {"list": [1]}
    site.write(site.files["index.json"] + b" ")
    assert not store.update_index()


# It could not read an index that was not ASCII.
@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=iso-8859-1"])
def test_an_index_need_not_be_ascii(site: MemorySite, content_type: str) -> None:
    body = '{"Zürich/日本 𝄞.tif": {"title": "Übersicht"}}'.encode()
    site.spoil(lambda request, wire: wire.response(200, body, {"Content-Type": content_type}))
    site.files["data/Zürich/日本 𝄞.tif"] = VALUE
    with site.open() as store:
        assert store.get_metadata("Zürich/日本 𝄞.tif") == {"title": "Übersicht"}
        assert store.to_bytes("Zürich/日本 𝄞.tif") == VALUE


# A key with ".." left its data folder.
@pytest.mark.parametrize(
    "key", ["../secret", "a/../../secret", "..", "%2e%2e/secret", "..\\secret"]
)
def test_no_key_leaves_the_data_folder(tmp_path: Path, key: str) -> None:
    write_site(tmp_path / "site", {"good": VALUE})
    (tmp_path / "site/secret").write_bytes(b"secret")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "site/index.json").write_bytes(
        b'{"good": {}, "%s": {}}' % key.replace("\\", "\\\\").encode()
    )
    with StaticStore(tmp_path / "site", poll_interval=0) as store:
        assert "good" in store
        with pytest.raises((KeyError, OSError)):
            store.to_bytes(key)


def test_dots_in_a_key_never_form_a_path() -> None:
    with pytest.raises(InvalidKeyError):
        key_to_path("../secret")


# It never noticed that data had changed under unchanged metadata.
@pytest.mark.parametrize("new", [VALUE[::-1], VALUE[:-1], VALUE + b"!"])
@pytest.mark.parametrize("local", [True, False])
def test_data_that_changed_under_unchanged_metadata_is_detected(
    site: MemorySite, tmp_path: Path, new: bytes, local: bool
) -> None:
    write_site(tmp_path, {"a": VALUE})
    site.write({"a": entry(VALUE)})
    with StaticStore(tmp_path if local else site.url, poll_interval=0) as store:
        (tmp_path / "data/a").write_bytes(new)
        site.files["data/a"] = new
        assert not store.update_index()
        with pytest.raises(IntegrityError):
            store.to_bytes("a")
        with pytest.raises(IntegrityError), store.get_data("a") as stream:
            stream.read()


def test_data_that_changed_between_two_reads_of_a_stream_is_detected(
    site: MemorySite, store: StaticStore
) -> None:
    big = bytes(1_000_000)

    def answer(request: Request, wire: Wire) -> None:
        start = request.range[0] if request.range else 0
        wire.response(
            206 if start else 200,
            b"\1" * 500_000 if start else big[:500_000],
            {
                "Content-Length": str(len(big) - start),
                "Content-Range": f"bytes {start}-{len(big) - 1}/{len(big)}",
            },
        )
        wire.close()

    site.write({"a": entry(big)})
    store.update_index()
    site.spoil(answer, "data/a")
    store.disconnect()
    store.connect(retries=2)
    with pytest.raises(IntegrityError):
        store.to_bytes("a")
