"""E6, E7: offline stores with a cache, and caches that are unusable or damaged."""

from __future__ import annotations

import errno
import hashlib
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from staticstore import StaticStore, TransportError
from staticstore.client.cache.folder import CacheFolder
from staticstore.client.cache.values import ValueCache
from tests.client.scene import TIMEOUT, MemorySite
from tests.sites import entry

VALUE = b"value " * 1000
LARGE = b"0123456789abcdef" * (1 << 17)  # 2 MiB
SHA256 = hashlib.sha256(VALUE).hexdigest()


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite({"a": entry(VALUE), "large": entry(LARGE)}) as memory_site:
        memory_site.files |= {"data/a": VALUE, "data/large": LARGE}
        yield memory_site


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def opened(site: MemorySite, cache: Path) -> StaticStore:
    return StaticStore(site.url, poll_interval=0, cache=cache).connect(retries=0)


def fill(site: MemorySite, cache: Path) -> None:
    with opened(site, cache) as store:
        read_all(store)


def read_all(store: StaticStore) -> None:
    """Read in every way that uses the cache, and check the results."""
    assert store["a"].read() == b"".join(store["a"].iterdata()) == VALUE
    assert store["large"].read() == b"".join(store["large"].iterdata()) == LARGE
    with store["large"] as stream:
        assert stream.read() == LARGE


# -- E6 ----------------------------------------------------------------------------------


def test_e6_offline_at_the_start_cached_index_and_values_are_used(
    site: MemorySite, cache: Path
) -> None:
    fill(site, cache)
    site.server.stop()
    with opened(site, cache) as store:
        assert store.info()["stale"] is True
        assert store.info()["last_error"]
        read_all(store)


def test_e6_offline_a_value_not_read_before_is_an_error(site: MemorySite, cache: Path) -> None:
    opened(site, cache).disconnect()
    site.server.stop()
    with opened(site, cache) as store, pytest.raises(TransportError):
        store["a"].read()


def test_e6_offline_without_a_cache_is_an_error(site: MemorySite, cache: Path) -> None:
    fill(site, cache)
    site.server.stop()
    with pytest.raises(TransportError):
        StaticStore(site.url, poll_interval=0).connect(retries=0)


# -- E7: damaged -------------------------------------------------------------------------


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def shorten(path: Path, position: int) -> None:
    path.write_bytes(path.read_bytes()[:position])


def lengthen(path: Path, position: int) -> None:
    path.write_bytes(path.read_bytes() + b"x")


DAMAGES: list[Callable[[Path, int], None]] = [flip, shorten, lengthen]


@pytest.mark.parametrize("position", [0, 40, 70, 100, -1])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["note.json", "index.json"])
def test_e7_a_damaged_index_is_fetched_again_and_repaired(
    site: MemorySite, cache: Path, name: str, damage: Callable[[Path, int], None], position: int
) -> None:
    fill(site, cache)
    [path] = cache.glob(f"indexes/*/{name}")
    damage(path, position)
    with opened(site, cache) as store:
        assert set(store) == {"a", "large"}
        assert "If-None-Match" not in site.requests()[-1].headers
    site.server.stop()
    with opened(site, cache) as store:
        assert set(store) == {"a", "large"}


def test_e7_offline_a_damaged_index_counts_as_missing(site: MemorySite, cache: Path) -> None:
    fill(site, cache)
    [path] = cache.glob("indexes/*/index.json")
    flip(path, 5)
    site.server.stop()
    with pytest.raises(TransportError):
        opened(site, cache)


@pytest.mark.parametrize("damage", DAMAGES)
def test_e7_damaged_values_are_fetched_again_and_repaired(
    site: MemorySite, cache: Path, damage: Callable[[Path, int], None]
) -> None:
    fill(site, cache)
    for kept in list(CacheFolder(cache).values()):
        damage(kept.paths[0], 100)
    with opened(site, cache) as store:
        read_all(store)
    assert len(site.requests("data/a")) == len(site.requests("data/large")) == 2
    site.server.stop()
    with opened(site, cache) as store:
        read_all(store)


def test_e7_damage_is_logged_once(
    site: MemorySite, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(site, cache)
    for kept in list(CacheFolder(cache).values()):
        flip(kept.paths[0], 100)
    with opened(site, cache) as store:
        read_all(store)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "damaged" in caplog.text


@pytest.mark.parametrize("note", [b"", b"[]", b"null", b'{"format": "staticstore-cached-index/1"}'])
def test_e7_an_invalid_note_is_ignored(site: MemorySite, cache: Path, note: bytes) -> None:
    fill(site, cache)
    [path] = cache.glob("indexes/*/note.json")
    path.write_bytes(hashlib.sha256(note).hexdigest().encode() + b"\n" + note)
    with opened(site, cache) as store:
        read_all(store)


# -- E7: a folder that cannot be used ------------------------------------------------------


def make_a_file(cache: Path) -> None:
    cache.write_bytes(b"this is a file")


def make_it_a_dangling_link(cache: Path) -> None:
    cache.symlink_to(cache.with_name("nowhere") / "at" / "all")


def make_it_a_link_loop(cache: Path) -> None:
    cache.symlink_to(cache)


def put_files_in_place_of_folders(cache: Path) -> None:
    cache.mkdir()
    (cache / "values").touch()
    (cache / "indexes").touch()


@pytest.mark.parametrize(
    "spoil",
    [make_a_file, make_it_a_dangling_link, make_it_a_link_loop, put_files_in_place_of_folders],
)
def test_e7_something_other_than_a_folder_does_no_harm(
    site: MemorySite, cache: Path, spoil: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    spoil(cache)
    with opened(site, cache) as store:
        read_all(store)
        assert any("cache" in warning for warning in store.info()["warnings"])
    assert "the cache folder" in caplog.text


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT])
def test_e7_a_read_only_folder_is_still_read(
    site: MemorySite,
    cache: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Imitate the system, which lets the superuser write anywhere.
    fill(site, cache)
    site.files["data/new"] = b"new"
    site.write({"a": entry(VALUE), "large": entry(LARGE), "new": entry(b"new")})

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OSError(number, os.strerror(number))

    for name in ("mkdir", "replace", "unlink", "utime"):
        monkeypatch.setattr(os, name, refuse)
    open_file = os.open
    monkeypatch.setattr(
        os,
        "open",
        lambda path, flags, *more: (
            refuse() if flags & (os.O_WRONLY | os.O_RDWR) else open_file(path, flags, *more)
        ),
    )
    with opened(site, cache) as store:
        read_all(store)
        assert store["new"].read() == b"new"
        [warning] = store.info()["warnings"]
        assert os.strerror(number) in warning
    assert len(site.requests("data/a")) == len(site.requests("data/large")) == 1
    assert len(caplog.records) == 1


class FullDisk:
    """A file on a disk that has room for its first bytes only."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._room = 1000

    def write(self, piece: bytes) -> int:
        self._room -= len(piece)
        if self._room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written: int = self._file.write(piece)
        return written

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def test_e7_a_disk_that_fills_up_leaves_nothing_behind(
    site: MemorySite, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(site, cache) as store:
        open_file = os.fdopen
        monkeypatch.setattr(os, "fdopen", lambda *arguments: FullDisk(open_file(*arguments)))
        read_all(store)
        [warning] = store.info()["warnings"]
        assert "No space left" in warning
    assert not [path for path in (cache / "values").rglob("*") if path.is_file()]


def test_e7_a_disk_that_has_room_again_is_used_again(
    site: MemorySite, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.CACHE_PAUSE_SECONDS", 0.0)
    with opened(site, cache) as store:
        with monkeypatch.context() as patched:
            open_file = os.fdopen
            patched.setattr(os, "fdopen", lambda *arguments: FullDisk(open_file(*arguments)))
            read_all(store)
        read_all(store)
        assert store.info()["warnings"] == []
    assert len(list(CacheFolder(cache).values())) == 2


def test_e7_a_folder_deleted_while_in_use_is_created_again(site: MemorySite, cache: Path) -> None:
    with opened(site, cache) as store:
        read_all(store)
        shutil.rmtree(cache)
        read_all(store)
        assert store.info()["warnings"] == []
    assert len(list(CacheFolder(cache).values())) == 2


def test_e7_a_value_deleted_while_it_is_read_is_read_to_its_end(
    site: MemorySite, cache: Path
) -> None:
    fill(site, cache)
    with opened(site, cache) as store, store["large"] as stream:
        assert stream.read(1) == LARGE[:1]
        shutil.rmtree(cache)
        assert stream.read() == LARGE[1:]


def test_e7_a_fifo_instead_of_a_value_does_not_block(site: MemorySite, cache: Path) -> None:
    fill(site, cache)
    for kept in list(CacheFolder(cache).values()):
        kept.paths[0].unlink()
        os.mkfifo(kept.paths[0])
    with opened(site, cache) as store:
        read_all(store)


# -- E7: many processes --------------------------------------------------------------------


def write_and_evict(folder: str, first: int, errors: Any) -> None:
    """Write and read many values in a cache that has room for few."""
    values = ValueCache(CacheFolder(Path(folder), 64 * 4096))
    problem = None
    for number in range(first, first + 400):
        data = b"%d" % (number % 300)
        sha256 = hashlib.sha256(data).hexdigest()
        values.put(sha256, data)
        if values.read(sha256, len(data)) not in (None, data):
            problem = f"another value for {data!r}"
    errors.put(problem or values.problem)


def test_e7_processes_can_write_and_evict_at_once(cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    errors: Any = context.Queue()
    processes = [
        context.Process(target=write_and_evict, args=(str(cache), first, errors))
        for first in (0, 150)
    ]
    for process in processes:
        process.start()
    assert [errors.get(timeout=60) for _ in processes] == [None, None]
    for process in processes:
        process.join(TIMEOUT)
    assert len(list(CacheFolder(cache).values())) <= 2 * 64
    assert not list(cache.rglob(".staticstore-*"))


def test_e7_an_index_that_another_process_is_writing_is_left_alone(
    site: MemorySite, cache: Path
) -> None:
    fill(site, cache)
    [note] = cache.glob("indexes/*/note.json")
    before = note.read_bytes()
    with opened(site, cache) as store:
        with filelock.FileLock(note.with_name("lock")):
            site.write({"new": {}})
            store.update_index()
            assert note.read_bytes() == before
        store.update_index()
        assert note.read_bytes() != before
        assert store.info()["warnings"] == []


KILLED = """
import os, signal, sys
from staticstore import StaticStore
from staticstore.client.cache import index as cached_index
pieces = cached_index._pieces

def killing(document):
    for piece in pieces(document):
        yield piece
        os.kill(os.getpid(), signal.SIGKILL)

cached_index._pieces = killing
StaticStore(sys.argv[1], poll_interval=0, cache=sys.argv[2]).connect()
"""


def test_e7_a_process_killed_while_writing_an_index_damages_nothing(
    site: MemorySite, cache: Path
) -> None:
    fill(site, cache)
    site.write({"new": {}})
    killed = subprocess.run([sys.executable, "-c", KILLED, site.url, str(cache)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(cache.rglob(".staticstore-*.tmp"))) == 1
    address = site.server
    address.stop()
    with opened(site, cache) as store:
        assert set(store) == {"a", "large"}
    address.start()
    with opened(site, cache) as store:
        assert set(store) == {"new"}
    assert not list(cache.rglob(".staticstore-*.tmp"))
