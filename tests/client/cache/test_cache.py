"""The cache of a store on disk: the last index, and values."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    AuthorizationError,
    IndexFormatError,
    NotConnectedError,
    StaticStore,
    TransportError,
    index_updated,
    poll_failed,
    publish,
)
from staticstore.client.cache.folder import CacheFolder, user_folder
from staticstore.client.cache.index import CachedIndex
from staticstore.client.cache.values import ValueCache
from staticstore.index.freshness import Freshness
from tests.client.scene import TIMEOUT, MemorySite
from tests.servers import Request, Wire, serve_files
from tests.sites import entry

VALUE = b"value " * 1000


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def open_(site: MemorySite, cache: Path) -> Iterator[Callable[..., StaticStore]]:
    """Connect stores to the site, all with the same cache, and disconnect them at the end."""
    stores: list[StaticStore] = []

    def open_(*, lazy: bool = False, poll_interval: float = 0, **connect: Any) -> StaticStore:
        stores.append(StaticStore(site.url, poll_interval=poll_interval, cache=cache, lazy=lazy))
        return stores[-1].connect(**{"retries": 0, **connect})

    yield open_
    for store in stores:
        store.disconnect()


def write_value(site: MemorySite, key: str = "a", value: bytes = VALUE) -> None:
    site.files[f"data/{key}"] = value
    site.write({key: entry(value)})


def digest(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()


def cached_files(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if path.is_file()}


def stop_host(site: MemorySite) -> None:
    site.server.stop()


# -- the index ---------------------------------------------------------------------------


def test_a_second_store_requests_only_changes(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {"v": 1}})
    open_().disconnect()
    assert open_().index == {"a": {"v": 1}}
    first, second = site.requests()
    assert "If-None-Match" not in first.headers
    assert "If-None-Match" in second.headers


def test_a_site_with_a_head_is_followed_by_a_change_file(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site"
    (folder / "data").mkdir(parents=True)
    for number in range(200):
        (folder / f"data/{number}").touch()
    publish(folder)
    StaticStore(folder, poll_interval=0, cache=cache).connect().disconnect()
    (folder / "data/new").touch()
    publish(folder)
    for index in [*folder.glob("index/*.json"), folder / "index.json"]:
        index.unlink()
    with StaticStore(folder, poll_interval=0, cache=cache) as store:
        assert "new" in store
        assert len(store) == 201


def test_differences_from_the_cached_index_are_signaled(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {"v": 1}, "b": {}})
    open_().disconnect()
    site.write({"a": {"v": 2}, "c": {}})
    store = StaticStore(site.url, poll_interval=0, cache=cache)
    heard: list[Any] = []

    def hear(sender: Any, *, changes: Any) -> None:
        heard.extend((change.action, change.key) for change in changes)

    with index_updated.connected_to(hear, sender=store), store:
        assert heard == [("update", "a"), ("delete", "b"), ("set", "c")]


def test_no_signal_is_sent_if_the_cached_index_is_current(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {}})
    open_().disconnect()
    store = StaticStore(site.url, poll_interval=0, cache=cache)
    heard: list[Any] = []

    def hear(sender: Any, *, changes: Any) -> None:
        heard.append(changes)

    with index_updated.connected_to(hear, sender=store), store:
        assert heard == []


def test_a_poll_without_changes_writes_nothing(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    store = open_()
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")}
    assert len(before) == 2
    store.update_index()
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.json")} == before


def test_a_poll_with_changes_updates_the_cache(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    store = open_()
    site.write({"new": {}})
    store.update_index()
    stop_host(site)
    assert list(open_()) == ["new"]


def test_the_polling_thread_updates_the_cache(
    site: MemorySite,
    open_: Callable[..., StaticStore],
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write, kept = CachedIndex.write, threading.Event()

    def noted(self: CachedIndex, held: Any, freshness: Any, is_cut: Callable[[], bool]) -> bool:
        is_right = write(self, held, freshness, is_cut)
        if "new" in held.index:
            kept.set()
        return is_right

    monkeypatch.setattr(CachedIndex, "write", noted)
    store = open_(poll_interval=0.05)
    site.write({"new": {}})
    for change in store.watch(timeout=TIMEOUT):
        assert change.key == "new"
        break
    assert kept.wait(TIMEOUT)
    assert b"new" in next(cache.rglob("index.json")).read_bytes()


@pytest.mark.parametrize("body", [b'{"b": {"x": 1}, "a": {}}', b'{\n"a":{},\n"b":{"x":1}\n}\n'])
def test_an_index_in_any_form_is_restored(
    site: MemorySite, open_: Callable[..., StaticStore], body: bytes
) -> None:
    site.write(body)
    before = open_().index
    stop_host(site)
    assert open_().index == before


def test_a_changed_index_is_restored(site: MemorySite, open_: Callable[..., StaticStore]) -> None:
    entries: dict[str, Any] = {f"{number:04}": {"v": number} for number in range(1000)}
    lines = ",\n".join(f'"{key}":{{"v":{number}}}' for number, key in enumerate(entries))
    site.write(f"{{\n{lines}\n}}\n".encode())
    store = open_()
    site.write(f"{{\n{lines.replace(':7}', ':-7}')}\n}}\n".encode())
    assert len(store.update_index()) == 1
    stop_host(site)
    assert open_().index == {**entries, "0007": {"v": -7}}


def test_warnings_about_the_cached_index_are_restored(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {}, "../b": {}})
    warnings = open_().info()["warnings"]
    assert len(warnings) == 1
    stop_host(site)
    assert open_().info()["warnings"] == warnings


@pytest.mark.parametrize("paths", [{"index_path": "other"}, {"data_path": "other/"}], ids=str)
def test_another_path_is_another_site(site: MemorySite, cache: Path, paths: dict[str, Any]) -> None:
    StaticStore(site.url, poll_interval=0, cache=cache).connect().disconnect()
    stop_host(site)
    other = StaticStore(site.url, poll_interval=0, cache=cache, **paths)
    with pytest.raises(TransportError):
        other.connect(retries=0)


def test_no_secret_of_the_root_is_in_the_cache(site: MemorySite, cache: Path) -> None:
    root = site.url.replace("http://", "http://ali:sesame@") + "?signature=sesame"
    with StaticStore(root, poll_interval=0, cache=cache) as store:
        assert store.is_connected()
    assert cached_files(cache)
    for path in cache.rglob("*"):
        assert "sesame" not in str(path)
        assert path.is_dir() or b"sesame" not in path.read_bytes()


# -- offline -------------------------------------------------------------------------------


def test_without_its_host_a_store_starts_from_the_cache(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {"v": 1}})
    open_().disconnect()
    stop_host(site)
    store = open_()
    info = store.info()
    assert store.index == {"a": {"v": 1}}
    assert info["stale"] is True
    assert "refused" in info["last_error"]
    assert info["trust"] == "transport"
    assert info["last_success"] is not None
    assert 0 <= info["age"] < 60


def test_the_failure_of_the_first_poll_is_signaled(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    open_().disconnect()
    stop_host(site)
    store = StaticStore(site.url, poll_interval=0, cache=cache)
    errors: list[Any] = []

    def hear(sender: Any, *, error: Any) -> None:
        errors.append(error)

    with poll_failed.connected_to(hear, sender=store), store.connect(retries=0):
        assert [type(error) for error in errors] == [TransportError]


def test_when_the_host_is_back_the_difference_is_signaled(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {"v": 1}})
    open_().disconnect()
    stop_host(site)
    store = open_()
    site.write({"a": {"v": 2}})
    site.server.start()
    [change] = store.update_index()
    assert (change.action, change.key, change.previous) == ("update", "a", {"v": 1})
    assert store.info()["stale"] is False
    assert store.info()["last_error"] is None


def test_the_poller_retries_soon(site: MemorySite, open_: Callable[..., StaticStore]) -> None:
    open_().disconnect()
    stop_host(site)
    store = open_(poll_interval=0.05)
    site.write({"new": {}})
    site.server.start()
    assert [change.key for change in [next(iter(store.watch(timeout=TIMEOUT)))]] == ["new"]


def test_without_host_and_cached_index_connecting_fails(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    stop_host(site)
    with pytest.raises(TransportError):
        open_()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_user_does_not_get_the_cached_index(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore], status: int
) -> None:
    site.write({"a": {}})
    open_().disconnect()
    site.spoil(lambda request, wire: wire.response(status))
    store = StaticStore(site.url, poll_interval=0, cache=cache)
    with pytest.raises(AuthorizationError):
        store.connect(retries=0)
    with pytest.raises(NotConnectedError):
        store.index  # noqa: B018


def test_an_invalid_index_is_an_error_even_with_a_cached_one(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    open_().disconnect()
    site.write(b"<html>please log in</html>")
    with pytest.raises(IndexFormatError):
        open_()


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_host_without_the_index_counts_as_unreachable(
    site: MemorySite, open_: Callable[..., StaticStore], status: int
) -> None:
    site.write({"a": {}})
    open_().disconnect()
    site.spoil(lambda request, wire: wire.response(status))
    assert list(open_()) == ["a"]


def test_a_lazy_store_falls_back_to_the_whole_cached_index(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {"v": 1}})
    open_().disconnect()
    stop_host(site)
    assert open_(lazy=True).get_metadata("a") == {"v": 1}


def test_an_unconfirmed_index_keeps_its_last_success(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    store = open_()
    fetched = store.info()["last_success"]
    store.disconnect()
    stop_host(site)
    store.connect(retries=0).disconnect()
    age = open_().info()["last_success"] - fetched
    assert abs(age.total_seconds()) < 0.1


def test_an_index_kept_over_a_disconnect_is_used_too(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    site.write({"a": {}})
    store = open_()
    store.disconnect()
    stop_host(site)
    assert list(store.connect(retries=0)) == ["a"]
    assert store.info()["stale"] is True


def test_connecting_with_a_poller_does_not_wait_long_for_a_stalled_host(
    site: MemorySite, open_: Callable[..., StaticStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.CONNECT_PATIENCE_SECONDS", 0.2)
    site.write({"a": {}})
    open_().disconnect()
    site.stall("body")
    before = time.monotonic()
    assert list(open_(poll_interval=300)) == ["a"]
    assert time.monotonic() - before < 4


def test_a_large_index_is_written_by_the_polling_thread(
    site: MemorySite,
    cache: Path,
    open_: Callable[..., StaticStore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("staticstore.tuning.CACHED_AT_ONCE_ENTRIES", 0)
    writers: list[str] = []
    written = threading.Event()
    write = CachedIndex.write

    def noted(self: CachedIndex, *arguments: Any) -> None:
        write(self, *arguments)
        writers.append(threading.current_thread().name)
        written.set()

    monkeypatch.setattr(CachedIndex, "write", noted)
    site.write({"a": {}})
    open_(poll_interval=300)
    assert written.wait(TIMEOUT)
    assert writers == ["staticstore-poller"]
    assert "note.json" in cached_files(cache)


def test_a_disconnected_store_writes_nothing(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    site.write({"old": {}})
    store = open_()
    store.disconnect()
    before = {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()}
    held = store._live.current
    assert held is not None
    new = dataclasses.replace(held, sha256="ab" * 32)
    cached = CachedIndex(CacheFolder(cache), store._root, store._options)
    cached.write(new, Freshness(), lambda: True)
    assert {path: path.read_bytes() for path in cache.rglob("*") if path.is_file()} == before


def test_new_validators_are_cached_without_writing_the_same_index_again(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    store = open_()
    [document], [note] = cache.rglob("index.json"), cache.rglob("note.json")
    written, noted = document.stat().st_mtime_ns, note.read_bytes()
    site.server.answer = serve_files(site.files, etag=None, dates=False)
    store.update_index()
    assert document.stat().st_mtime_ns == written
    assert b"If-None-Match" in noted
    assert b"If-None-Match" not in note.read_bytes()


# -- values --------------------------------------------------------------------------------

READS: dict[str, Callable[[StaticStore, Path], bytes]] = {
    "read": lambda store, folder: store["a"].read(),
    "to_bytes": lambda store, folder: store.to_bytes("a"),
    "iterdata": lambda store, folder: b"".join(store["a"].iterdata(100)),
    "to_file": lambda store, folder: (
        store.to_file("a", folder / "out"),  # type: ignore[func-returns-value]
        (folder / "out").read_bytes(),
    )[1],
}
HITS = {**READS, "data": lambda store, folder: store.get_data("a").read()}


@pytest.mark.parametrize("reread", HITS.values(), ids=HITS)
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_value_read_whole_is_not_requested_again(
    site: MemorySite,
    tmp_path: Path,
    open_: Callable[..., StaticStore],
    read: Callable[[StaticStore, Path], bytes],
    reread: Callable[[StaticStore, Path], bytes],
) -> None:
    write_value(site)
    assert read(open_(), tmp_path) == VALUE
    assert reread(open_(), tmp_path) == VALUE
    assert len(site.requests("data/a")) == 1


def test_progress_includes_bytes_from_the_cache(
    site: MemorySite, tmp_path: Path, open_: Callable[..., StaticStore]
) -> None:
    write_value(site)
    store = open_()
    store["a"].read()
    received: list[tuple[int, int | None]] = []
    store.to_file("a", tmp_path / "out", lambda done, total: received.append((done, total)))
    assert received == [(len(VALUE), len(VALUE))]


def test_the_same_bytes_under_another_key_are_not_requested_again(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    site.files["data/a"] = VALUE
    site.write({"a": entry(VALUE), "b": entry(VALUE)})
    store = open_()
    assert store["a"].read() == store["b"].read() == VALUE
    assert not site.requests("data/b")


def test_a_value_without_a_sha256_is_not_cached(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    write_value(site)
    site.write({"a": {"size": len(VALUE)}})
    store = open_()
    assert store["a"].read() == b"".join(store["a"].iterdata()) == VALUE
    assert len(site.requests("data/a")) == 2
    assert not (cache / "values").exists()


def test_a_value_not_read_to_its_end_is_not_cached(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    write_value(site)
    pieces = open_()["a"].iterdata(100)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert digest(VALUE) not in cached_files(cache)
    assert not list(cache.rglob(".staticstore-*"))


def test_a_wrong_value_is_not_cached(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore], tmp_path: Path
) -> None:
    write_value(site)
    site.files["data/a"] = b"other " * 1000
    store = open_()
    for read in READS.values():
        with pytest.raises(Exception, match="sha256"):
            read(store, tmp_path)
    assert not cached_files(cache / "values")


def test_cached_files_are_readable_by_the_user_only(
    site: MemorySite, cache: Path, open_: Callable[..., StaticStore]
) -> None:
    write_value(site)
    open_()["a"].read()
    for folder in (cache, cache / "values", cache / "indexes"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_pickled_store_keeps_its_cache(site: MemorySite, cache: Path) -> None:
    write_value(site)
    store = StaticStore(site.url, poll_interval=0, cache=cache, max_cache_bytes=1 << 20)
    with pickle.loads(pickle.dumps(store)) as again:
        again["a"].read()
        assert dict(again._settings.options)["max_cache_bytes"] == 1 << 20
    assert digest(VALUE) in cached_files(cache)


def test_a_relative_cache_path_is_resolved_immediately(
    site: MemorySite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = StaticStore(site.url, poll_interval=0, cache="here")
    monkeypatch.chdir("/")
    with store:
        assert (tmp_path / "here").is_dir()


def test_true_means_the_folder_of_the_user(
    site: MemorySite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    store = StaticStore(site.url, poll_interval=0, cache=True)
    with pickle.loads(pickle.dumps(store)) as again:
        assert dict(again._settings.options)["cache"] is True
    assert user_folder() == tmp_path / "staticstore"
    assert list((tmp_path / "staticstore/indexes").iterdir())


@pytest.mark.parametrize("cache", ["", "a\0b", 7, b"folder"])
def test_a_cache_that_is_not_a_folder_is_refused(cache: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="cache"):
        StaticStore("https://data.example.org/", cache=cache)


@pytest.mark.parametrize("size", [-1, True, "1"])
def test_an_invalid_bound_is_refused(cache: Path, size: Any) -> None:
    with pytest.raises(ValueError, match="max_cache_bytes"):
        StaticStore("https://data.example.org/", cache=cache, max_cache_bytes=size)


@pytest.mark.parametrize("cache", [None, False])
def test_without_a_cache_nothing_is_written(site: MemorySite, cache: Any) -> None:
    write_value(site)
    with StaticStore(site.url, poll_interval=0, cache=cache) as store:
        assert store["a"].read() == store["a"].read()
    assert len(site.requests("data/a")) == 2


# -- the bound ------------------------------------------------------------------------------


def value_cache(cache: Path, max_bytes: int) -> ValueCache:
    return ValueCache(CacheFolder(cache, max_bytes))


def put(values: ValueCache, *numbers: int) -> None:
    for number in numbers:
        values.put(digest(b"%d" % number), b"%d" % number)


def is_there(values: ValueCache, number: int) -> bool:
    return values.read(digest(b"%d" % number), None) is not None


def test_the_least_recently_used_value_is_removed_first(cache: Path) -> None:
    values = value_cache(cache, 16 * 4096)
    put(values, *range(10))
    for number in range(10):
        path = CacheFolder(cache).place_of_value(digest(b"%d" % number))
        os.utime(path, (1e9 + number, 1e9 + number))
    assert is_there(values, 0)  # this counts as a use
    put(values, *range(10, 20))
    assert is_there(values, 0)
    assert not is_there(values, 1)
    assert is_there(values, 19)


def test_the_size_bound_is_respected(cache: Path) -> None:
    folder = CacheFolder(cache, 40 * 4096)
    put(ValueCache(folder), *range(200))
    assert 20 <= len(list(folder.values())) <= 40


def test_a_value_larger_than_the_bound_is_not_cached(cache: Path) -> None:
    values = value_cache(cache, 40_000)
    values.put(digest(b"x" * 10_001), b"x" * 10_001)
    values.put(digest(b"y" * 10_000), b"y" * 10_000)
    assert cached_files(cache) == {digest(b"y" * 10_000)}


def test_an_index_counts_towards_the_bound(site: MemorySite, cache: Path) -> None:
    site.write({"a": {}})
    StaticStore(site.url, poll_interval=0, cache=cache).connect().disconnect()
    [index] = CacheFolder(cache).indexes()
    for path in index.paths:
        os.utime(path, (1e9, 1e9))
    put(value_cache(cache, 16 * 4096), *range(20))
    assert not list(CacheFolder(cache).indexes())


def test_only_our_own_files_are_removed(cache: Path) -> None:
    mine = cache / "values/ab/holiday.jpg"
    mine.parent.mkdir(parents=True)
    mine.touch()
    CacheFolder(cache).evict(0)
    assert mine.exists()


def test_files_of_a_killed_process_are_removed_after_a_day(cache: Path) -> None:
    values = value_cache(cache, 1 << 20)
    put(values, 1)
    shelf = next(cache.glob("values/*"))
    for name, age in ((".staticstore-old.tmp", 90_000), (".staticstore-new.tmp", 0)):
        (shelf / name).touch()
        os.utime(shelf / name, (time.time() - age,) * 2)
    list(CacheFolder(cache).values())
    assert cached_files(cache) == {digest(b"1"), ".staticstore-new.tmp"}


def test_a_false_size_does_not_remove_a_good_value(cache: Path) -> None:
    values = value_cache(cache, 1 << 20)
    put(values, 1)
    assert values.read(digest(b"1"), 2) is None
    assert is_there(values, 1)


def test_stores_do_not_wait_for_each_other(
    site: MemorySite, open_: Callable[..., StaticStore]
) -> None:
    """A value that two threads read at once may be requested twice, and is cached once."""
    reached = threading.Barrier(2, timeout=TIMEOUT)
    good = site.good

    def together(request: Request, wire: Wire) -> None:
        reached.wait()
        good(request, wire)

    write_value(site)
    site.spoil(together, "data/a")
    store = open_()
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(store["a"].read())) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    assert found == [VALUE, VALUE]
    assert store["a"].read() == VALUE
