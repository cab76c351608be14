"""The commands of the cache, and the option --cache of those that read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from staticstore import StaticStore, serve
from staticstore.client.cache.folder import CacheFolder
from tests.commands.conftest import Run


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


@pytest.fixture
def cache(tmp_path: Path, sample: Path) -> Path:
    """A cache with an index and two values."""
    folder = tmp_path / "cache"
    with StaticStore(sample, poll_interval=0, cache=folder) as store:
        store["terrain/dem.tif"].read()
        store["stations/stations.csv"].read()
    return folder


def values(cache: Path) -> list[Path]:
    return [kept.paths[0] for kept in CacheFolder(cache).values()]


# -- the option --------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["ls"], ["query"], ["info"], ["get"]])
def test_commands_that_read_do_without_the_host(
    cli: Run, sample: Path, tmp_path: Path, command: list[str]
) -> None:
    folder = tmp_path / "cache"
    key = ["stations/stations.csv"] if command == ["get"] else []
    with serve(sample, port=0) as server:
        cli("ls", server.url, "--cache", folder)
        before = cli(*command, server.url, *key, "--cache", folder)
    ended = cli(*command, server.url, *key, "--cache", folder)
    assert ended.code == before.code == 0
    assert ended.lines[:2] == before.lines[:2]
    assert "the old snapshot is kept" in ended.errors


def test_info_says_that_the_index_is_stale(cli: Run, sample: Path, tmp_path: Path) -> None:
    with serve(sample, port=0) as server:
        cli("ls", server.url, "--cache", tmp_path)
    ended = cli("info", server.url, "--cache", tmp_path)
    assert any(line.startswith("stale\t") and "refused" in line for line in ended.lines)


def test_without_the_option_nothing_is_kept(cli: Run, url: str, tmp_path: Path) -> None:
    cli("ls", url)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_says_where(
    cli: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATICSTORE_CACHE", str(tmp_path / "there"))
    cli("get", url, "stations/stations.csv")
    assert len(values(tmp_path / "there")) == 1
    assert cli("cache", "info", "--json").records[0]["values"] == 1


def test_user_is_the_user_s_own_folder(cli: Run, url: str, tmp_path: Path) -> None:
    cli("ls", url, "--cache", "user")
    [record] = cli("cache", "info", "--json").records
    assert record["folder"] == str(tmp_path / "home/staticstore")
    assert [index["root_url"] for index in record["indexes"]] == [url]


def test_a_folder_without_a_name_is_a_wrong_usage(cli: Run, url: str) -> None:
    assert cli("ls", url, "--cache", "").code == 2


# -- info ----------------------------------------------------------------------------------


def test_info_tells_what_the_cache_holds(cli: Run, cache: Path, sample: Path) -> None:
    ended = cli("cache", "info", "--cache", cache)
    assert ended.code == 0
    assert ended.lines[0] == f"folder\t{cache}"
    assert ended.lines[1].startswith("values\t2 values\t")
    assert ended.lines[2].startswith(f"index\t{sample.as_uri()}/\t16 entries\t")


def test_info_tells_it_as_json(cli: Run, cache: Path) -> None:
    [record] = cli("cache", "info", "--cache", cache, "--json").records
    assert record["values"] == 2
    assert record["bytes"] > 90_000
    [index] = record["indexes"]
    assert index["entries"] == 16


def test_info_of_a_cache_that_is_not_there(cli: Run, tmp_path: Path) -> None:
    ended = cli("cache", "info", "--cache", tmp_path / "none")
    assert ended.code == 0
    assert ended.lines[1] == "values\t0 values\t0 bytes"
    assert not (tmp_path / "none").exists()


def test_info_leaves_out_an_index_that_cannot_be_read(cli: Run, cache: Path) -> None:
    next(cache.glob("indexes/*/note.json")).write_bytes(b"nonsense")
    assert cli("cache", "info", "--cache", cache, "--json").records[0]["indexes"] == []


# -- prune ---------------------------------------------------------------------------------


def test_prune_removes_what_was_not_used_for_longest(cli: Run, cache: Path) -> None:
    old, new = values(cache)
    os.utime(old, (1e9, 1e9))
    [record] = cli("cache", "prune", "--cache", cache, "--max-bytes", 5_000_000, "--json").records
    assert record["removed"] == 0
    total = sum(kept.disk_use for kept in CacheFolder(cache).values())
    total += sum(kept.disk_use for kept in CacheFolder(cache).indexes())
    ended = cli("cache", "prune", "--cache", cache, "--max-bytes", total - 1)
    assert ended.code == 0
    assert ended.text.startswith("1 removed, ")
    assert values(cache) == [new]


def test_prune_all_removes_everything(cli: Run, cache: Path) -> None:
    ended = cli("cache", "prune", "--cache", cache, "--all")
    assert ended.code == 0
    assert ended.text.startswith("3 removed, ")
    assert not list(cache.rglob("*.json"))
    assert not values(cache)


@pytest.mark.parametrize("options", [[], ["--all", "--max-bytes", "1"], ["--max-bytes", "-1"]])
def test_prune_must_be_told_how_much(cli: Run, cache: Path, options: list[str]) -> None:
    assert cli("cache", "prune", "--cache", cache, *options).code == 2
    assert len(values(cache)) == 2


def test_prune_tells_what_could_not_be_removed(
    cli: Run, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "unlink", refuse)
    ended = cli("cache", "prune", "--cache", cache, "--all")
    assert ended.code == 8
    assert "3 values and indexes could not be removed" in ended.errors


# -- verify --------------------------------------------------------------------------------


def test_verify_finds_nothing_wrong(cli: Run, cache: Path) -> None:
    ended = cli("cache", "verify", "--cache", cache)
    assert ended.code == 0
    assert ended.text == "3 values and indexes, all intact\n"


def test_verify_removes_a_damaged_value(cli: Run, cache: Path) -> None:
    damaged, good = values(cache)
    damaged.write_bytes(b"damaged")
    ended = cli("cache", "verify", "--cache", cache)
    assert ended.code == 6
    assert ended.lines == [f"removed\t{damaged}\tthe value has another sha256"]
    assert values(cache) == [good]
    assert cli("cache", "verify", "--cache", cache).code == 0


@pytest.mark.parametrize("name", ["note.json", "index.json"])
def test_verify_removes_a_damaged_index(cli: Run, cache: Path, name: str) -> None:
    [path] = cache.glob(f"indexes/*/{name}")
    path.write_bytes(path.read_bytes().replace(b"1", b"2", 1))
    ended = cli("cache", "verify", "--cache", cache, "--json")
    assert ended.code == 6
    [removed] = ended.records[0]["removed"]
    assert "damaged" in removed["reason"]
    assert not list(cache.rglob("*.json"))


@pytest.mark.parametrize("name", ["note.json", "index.json"])
def test_verify_removes_what_is_left_of_an_index(cli: Run, cache: Path, name: str) -> None:
    next(cache.glob(f"indexes/*/{name}")).unlink()
    cli("cache", "verify", "--cache", cache)
    assert not list(cache.rglob("*.json"))


def test_a_cache_command_alone_explains_itself(cli: Run) -> None:
    ended = cli("cache")
    assert ended.code == 2
    assert "verify" in ended.errors


# -- of others -----------------------------------------------------------------------------


def test_e9_nothing_is_removed_through_a_link(cli: Run, cache: Path) -> None:
    before = [path.name for path in values(cache)]
    (cache / "values").rename(cache / "elsewhere")
    (cache / "values").symlink_to("elsewhere")
    assert cli("cache", "prune", "--all", "--cache", cache).code == 0
    assert sorted(path.name for path in cache.glob("elsewhere/*/*")) == sorted(before)


@pytest.mark.skipif(os.name == "nt", reason="no permissions")
@pytest.mark.parametrize("command", [["info"], ["prune", "--all"], ["verify"]])
def test_e9_a_folder_that_others_may_write_is_refused(
    cli: Run, cache: Path, command: list[str]
) -> None:
    before = values(cache)
    cache.chmod(0o777)
    ended = cli("cache", *command, "--cache", cache)
    assert ended.code == 1
    assert "may be written by other users" in ended.errors
    cache.chmod(0o700)
    assert values(cache) == before
