"""E9: a cache that others own, can write or have linked is not used, with a warning."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from staticstore import StaticStore, TransportError
from staticstore.client.cache.note import read_note
from staticstore.index import codec
from tests.client.scene import MemorySite
from tests.sites import entry

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no owners and no permissions")

VALUE = b"value " * 1000


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite({"a": entry(VALUE)}) as memory_site:
        memory_site.files["data/a"] = VALUE
        yield memory_site


@pytest.fixture
def cache(tmp_path: Path, site: MemorySite) -> Path:
    """Return a cache that holds the index and the value of the site."""
    with opened(site, tmp_path / "cache") as store:
        assert store["a"].read() == VALUE
    return tmp_path / "cache"


def opened(site: MemorySite, cache: Path) -> StaticStore:
    return StaticStore(site.url, poll_interval=0, cache=cache).connect(retries=0)


def is_read_from(site: MemorySite, cache: Path) -> bool:
    """Return whether a store reads the value from the cache without a request."""
    before = len(site.requests("data/a"))
    with opened(site, cache) as store:
        assert store["a"].read() == VALUE
    return len(site.requests("data/a")) == before


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def for_group(path: Path) -> None:
    path.chmod(path.stat().st_mode | stat.S_IWGRP)


def for_all(path: Path) -> None:
    path.chmod(path.stat().st_mode | stat.S_IWOTH)


def for_all_but_sticky(path: Path) -> None:
    path.chmod(0o1777)


def with_hard_link(path: Path) -> None:
    os.link(path, path.parents[3] / f"second name of {path.name}")


Spoil = Callable[[Path], None]
FOLDERS = [".", "values", "values/*", "indexes", "indexes/*"]
FILES = ["values/*/*", "indexes/*/index.json", "indexes/*/note.json"]


def found(cache: Path, pattern: str) -> Path:
    [path] = [cache] if pattern == "." else cache.glob(pattern)
    return path


def test_e9_the_cache_of_the_user_is_used(site: MemorySite, cache: Path) -> None:
    assert is_read_from(site, cache)
    site.server.stop()
    with opened(site, cache) as store:
        assert list(store) == ["a"]


def test_e9_only_the_owner_can_write_a_cache(cache: Path) -> None:
    modes = {path.stat().st_mode & 0o77 for path in [cache, *cache.rglob("*")]}
    assert modes == {0}


@pytest.mark.parametrize("spoil", [linked, for_group, for_all, for_all_but_sticky])
@pytest.mark.parametrize("pattern", [".", "values", "values/*"])
def test_e9_values_in_a_folder_that_others_can_write_are_not_used(
    site: MemorySite, cache: Path, pattern: str, spoil: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(found(cache, pattern))
    assert not is_read_from(site, cache)
    assert "is not used" in caplog.text


@pytest.mark.parametrize("spoil", [linked, for_group, for_all, for_all_but_sticky])
@pytest.mark.parametrize("pattern", [".", "indexes", "indexes/*"])
def test_e9_an_index_in_a_folder_that_others_can_write_is_not_used(
    site: MemorySite, cache: Path, pattern: str, spoil: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(found(cache, pattern))
    site.server.stop()
    with pytest.raises(TransportError):
        opened(site, cache)
    assert "is not used" in caplog.text


@pytest.mark.parametrize("pattern", FOLDERS)
def test_e9_nothing_is_written_into_a_folder_that_others_can_write(
    site: MemorySite, cache: Path, pattern: str
) -> None:
    place = found(cache, pattern)
    for path in list(place.iterdir()):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    for_all(place)
    with opened(site, cache) as store:
        assert store["a"].read() == VALUE
        assert any("is not used" in warning for warning in store.info()["warnings"])
    assert not list(place.iterdir())


@pytest.mark.parametrize("spoil", [linked, for_group, for_all, with_hard_link])
@pytest.mark.parametrize("pattern", FILES)
def test_e9_a_file_that_others_can_write_is_not_used_and_replaced(
    site: MemorySite, cache: Path, pattern: str, spoil: Spoil
) -> None:
    path = found(cache, pattern)
    spoil(path)
    with opened(site, cache) as store:
        assert store["a"].read() == VALUE
        assert "If-None-Match" not in site.requests()[-1].headers or pattern == FILES[0]
    assert stat.S_ISREG(path.lstat().st_mode)
    assert (path.lstat().st_nlink, path.lstat().st_mode & 0o22) == (1, 0)
    site.server.stop()
    with opened(site, cache) as store:
        assert store["a"].read() == VALUE


def test_e9_a_cache_of_another_user_is_not_used(
    site: MemorySite,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert not is_read_from(site, cache)
    assert f"belongs to another user (number {owner})" in caplog.text
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == before


def test_e9_the_warning_is_given_once(
    site: MemorySite, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for_all(cache)
    with opened(site, cache) as store:
        for _ in range(3):
            assert store["a"].read() == VALUE
            store.update_index()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_e9_a_lock_file_with_a_hard_link_is_not_truncated(site: MemorySite, cache: Path) -> None:
    victim = cache.parent / "victim"
    victim.write_bytes(b"precious")
    lock = found(cache, "indexes/*/lock")
    lock.unlink()
    os.link(victim, lock)
    site.write({"a": entry(VALUE), "b": entry(b"")})
    with opened(site, cache) as store:
        assert len(store) == 2
    assert victim.read_bytes() == b"precious"


VALIDATORS: list[object] = [
    {"If-None-Match": '"a"\r\nX-Evil: 1'},
    {"If-None-Match": "no quotes"},
    {"If-None-Match": f'"{"x" * 1025}"'},
    {"If-None-Match": ["a"]},
    {"If-Modified-Since": "yesterday"},
    {"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Evil: 1"},
    {"If-Range": '"a"'},
    {"X-Evil": "1"},
    ['"a"'],
    None,
]


@pytest.mark.parametrize("validators", VALIDATORS)
def test_e9_invalid_validators_in_a_note_are_ignored(
    site: MemorySite, cache: Path, validators: object
) -> None:
    note = found(cache, "indexes/*/note.json")
    said = json.loads(note.read_bytes().partition(b"\n")[2])
    line = codec.encode({**said, "validators": validators})
    note.write_bytes(hashlib.sha256(line).hexdigest().encode() + b"\n" + line)
    with opened(site, cache) as store:
        assert store["a"].read() == VALUE
    asked = site.requests()[-1].headers
    assert not {"If-None-Match", "If-Modified-Since", "If-Range", "X-Evil"} & set(asked)


def test_e9_a_note_that_is_too_large_is_ignored(site: MemorySite, cache: Path) -> None:
    note = found(cache, "indexes/*/note.json")
    with note.open("ab") as file:
        file.truncate(9 << 20)
    with pytest.raises(OSError, match="larger than"):
        read_note(note.parent)
    with opened(site, cache) as store:
        assert store["a"].read() == VALUE
