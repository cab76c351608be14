"""A store whose process id has changed behaves as in a forked child."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import MountedStore, NotConnectedError, StaticStore
from staticstore.transport.values.verifier import Hasher
from tests.client.scene import TIMEOUT, MemorySite
from tests.sites import index_of

LARGE = bytes(range(256)) * (3 << 12)  # 3 MiB
VALUES = {"a": b"value", "large": LARGE}
Fork = Callable[[], None]


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite(index_of(VALUES)) as memory_site:
        memory_site.files |= {f"data/{key}": value for key, value in VALUES.items()}
        yield memory_site


@pytest.fixture
def fork(monkeypatch: pytest.MonkeyPatch) -> Fork:
    """Make this process look like a child of itself."""

    def fork() -> None:
        pid = os.getpid() + 1
        monkeypatch.setattr(os, "getpid", lambda: pid)

    return fork


@pytest.mark.parametrize("options", [{}, {"lazy": True}, {"memory": 1 << 20}])
def test_a_store_works_in_a_child(site: MemorySite, fork: Fork, options: dict[str, Any]) -> None:
    with StaticStore(site.url, poll_interval=0, **options) as store:
        value = store["a"]
        value.read()
        for _ in range(2):
            fork()
            assert store["a"].read() == value.read() == b"value"
            assert dict(store.read_many(VALUES)) == VALUES
            assert len(store.update_index()) == 0
    assert not store.is_connected()


def test_the_poller_ends_and_a_new_one_starts(site: MemorySite, fork: Fork) -> None:
    heard = threading.Event()
    with StaticStore(site.url, poll_interval=0.02) as store:
        parents = store._live.connected()._poller
        store.subscribe(lambda change: heard.set())
        fork()
        own = store._live.connected()._poller
        assert parents is not None
        parents.join(TIMEOUT)
        assert not parents.is_alive()
        assert own is not None
        assert own is not parents
        site.write(index_of({**VALUES, "new": b""}))
        assert heard.wait(TIMEOUT)


def test_closing_resources_of_the_parent_does_nothing(site: MemorySite, fork: Fork) -> None:
    with site.open() as store:
        parents = store._live.connected()
        fork()
        parents.close()
        parents.follower.session.sender.close()
        assert not parents.cut.is_set()
        assert parents.is_cut()


def test_a_stream_of_the_parent_is_refused(site: MemorySite, fork: Fork) -> None:
    with site.open() as store, store["large"].data as stream:
        stream.read(10)
        fork()
        with pytest.raises(NotConnectedError, match="before the process was forked"):
            stream.read()


def test_a_stream_from_the_cache_is_refused(site: MemorySite, tmp_path: Path, fork: Fork) -> None:
    with StaticStore(site.url, poll_interval=0, cache=tmp_path) as store:
        store["large"].read()
        with store["large"].data as stream:
            stream.read(10)
            fork()
            with pytest.raises(NotConnectedError, match="before the process was forked"):
                stream.read()


def test_an_opened_file_works_in_a_child(site: MemorySite, fork: Fork) -> None:
    with site.open() as store, store["large"].open(cache_size=0) as file:
        begun = b"".join(file.read(1 << 18) for _ in range(4))
        fork()
        assert begun + file.read() == LARGE


def test_a_hasher_of_the_parent_is_refused(fork: Fork) -> None:
    with Hasher() as digest:
        digest.update(LARGE)
        buffers = digest.buffers(1 << 20)
        next(buffers)
        fork()
        with pytest.raises(NotConnectedError, match="before the process was forked"):
            next(buffers)


def test_a_copy_read_whole_by_the_parent_is_read_again(site: MemorySite, fork: Fork) -> None:
    with MemorySite(index_of(VALUES)) as copy:
        copy.files |= site.files
        del site.files["data/large"]
        with StaticStore([site.url, copy.url], poll_interval=0).connect(retries=0) as store:
            value = store["large"]
            for _ in range(2):
                assert value.range(256, 260).read() == b"\0\1\2\3"
                fork()


def test_a_rate_limit_works_in_a_child(site: MemorySite, fork: Fork) -> None:
    with site.open() as store:
        wire = store._values().access.session.wire
        with wire.limited(1e9) as limit, limit._lock.get():
            fork()
            assert limit.spend(1) > 0


def test_h6_a_view_works_in_a_child_and_notifies_there(site: MemorySite, fork: Fork) -> None:
    with StaticStore(site.url, poll_interval=0) as store:
        view, heard = MountedStore({"1/": store, "2/": store}), list[str]()
        view.subscribe(lambda change: heard.append(change.key))
        for number in range(2):
            fork()
            site.write(index_of({**VALUES, f"new{number}": b""}))
            assert view.to_bytes("1/a") == b"value"
            before = len(heard)
            assert [change.key for change in view.update_index()] == heard[before:]
            assert f"2/new{number}" in heard[before:]
