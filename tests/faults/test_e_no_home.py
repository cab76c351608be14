"""E8: without home folder and account there is no cache, with a warning; netrc is an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from staticstore import StaticStore, StoreError
from staticstore.cli import run
from tests.client.scene import MemorySite
from tests.sites import index_of


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite(index_of({"a": b"value"})) as memory_site:
        memory_site.files["data/a"] = b"value"
        yield memory_site


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def no_account(uid: int) -> None:
        raise KeyError(uid)

    for name in ("HOME", "XDG_CACHE_HOME", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_account)


def test_e8_a_store_without_a_home_for_its_cache_works_without_a_cache(site: MemorySite) -> None:
    with StaticStore(site.url, poll_interval=0, cache=True) as store:
        assert store["a"].read() == b"value"
        assert "nothing is cached: the user has no home folder" in "".join(store.info()["warnings"])


def test_e8_the_missing_cache_is_logged(site: MemorySite, caplog: pytest.LogCaptureFixture) -> None:
    StaticStore(site.url, cache=True)
    assert "nothing is cached" in caplog.text


def test_e8_a_cache_given_by_path_is_used(site: MemorySite, tmp_path: Path) -> None:
    with StaticStore(site.url, poll_interval=0, cache=tmp_path) as store:
        store["a"].read()
        assert store.info()["warnings"] == []
    assert any(path.is_file() for path in tmp_path.rglob("*"))


def test_e8_netrc_without_a_home_is_a_store_error(site: MemorySite) -> None:
    with pytest.raises(StoreError, match="no home folder with a netrc file"):
        StaticStore(site.url).connect("netrc")


def test_e8_a_netrc_given_by_path_is_read(
    site: MemorySite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ali password sesame")
    os.chmod(tmp_path / "netrc", 0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with StaticStore(site.url, poll_interval=0).connect("netrc"):
        assert "Authorization" in site.requests()[0].headers


def test_e8_a_command_about_the_cache_asks_for_a_folder(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["cache", "info"]) != 0
    shown = capsys.readouterr().err
    assert "the user has no home folder: name a folder for the cache" in shown
    assert "Traceback" not in shown


def test_e8_a_reading_command_works_without_a_cache(
    site: MemorySite, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["ls", site.url, "--cache", "user"]) == 0
    shown = capsys.readouterr()
    assert "a" in shown.out
    assert "nothing is cached" in shown.err
