"""The option --data: a site whose values are in a folder that is not called data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from staticstore import publish, serve
from tests.commands.conftest import Run
from tests.commands.test_completion import Shell


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a file to publish in rasters/."""
    folder = tmp_path / "site"
    (folder / "rasters").mkdir(parents=True)
    (folder / "rasters" / "a.txt").write_text("a")
    return folder


@pytest.fixture
def url(site: Path) -> Iterator[str]:
    """The URL of that site, published."""
    publish(site, data="rasters")
    with serve(site, port=0) as server:
        yield server.url


def test_the_next_publish_goes_on_with_the_folder_and_says_so(cli: Run, site: Path) -> None:
    assert "for the files in rasters/" in cli("publish", site, "--data", "rasters").errors
    assert cli("publish", site).errors == (
        f"no key has changed; {site} is at generation 1 for the files in rasters/\n"
    )
    assert cli("publish", site, "--check").code == 0


def test_a_folder_out_of_the_site_is_an_error(cli: Run, site: Path) -> None:
    ended = cli("publish", site, "--data", "..")
    assert ended.code == 1
    assert "is not below" in ended.errors


def test_values_of_a_folder_are_read_without_the_option(cli: Run, site: Path) -> None:
    cli("publish", site, "--data", "rasters")
    assert cli("get", site, "a.txt").out == b"a"


def test_values_of_a_url_are_read_with_the_option(cli: Run, url: str, tmp_path: Path) -> None:
    assert cli("get", url, "a.txt", "--data", "rasters").out == b"a"
    assert cli("mirror", url, tmp_path / "copy", "--data", "rasters/").code == 0
    assert cli("get", tmp_path / "copy", "a.txt").out == b"a"


def test_a_pushed_folder_is_read_without_the_option(cli: Run, site: Path, tmp_path: Path) -> None:
    cli("publish", site, "--data", "rasters")
    assert cli("push", site, tmp_path / "target").code == 0
    assert cli("get", tmp_path / "target", "a.txt").out == b"a"


def test_keys_of_such_a_site_are_completed_from_the_cache(
    cli: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = f"{url} --data rasters --cache {tmp_path / 'cache'}"
    cli("ls", *cached.split())
    assert Shell(cli, monkeypatch)(f"staticstore get {cached} a") == ["plain,a.txt"]
