"""F8, F13: a refusal exits with 1, and ``--force`` and ``--after`` are the two remedies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from staticstore import push, serve
from tests.commands.conftest import Run
from tests.site.sitefolder import tree


def empty(site: Path) -> None:
    shutil.rmtree(site / "data")
    (site / "data").mkdir()


@pytest.fixture
def site(cli: Run, folder: Path) -> Path:
    assert cli("publish", folder).code == 0
    return folder


@pytest.fixture
def checkout(site: Path, tmp_path: Path) -> Path:
    shutil.copytree(site / "data", tmp_path / "checkout" / "data")
    shutil.copy(site / "metadata.toml", tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--pack", "--browse")])
def test_f13_an_empty_mount_point_is_not_published(
    cli: Run, site: Path, options: tuple[str, ...]
) -> None:
    empty(site)
    before = tree(site)
    ended = cli("publish", site, *options)
    assert ended.code == 1
    assert "would leave 0 of 16 entries" in ended.errors
    assert "--force=shrink" in ended.errors
    assert tree(site) == before


@pytest.mark.parametrize("force", ["--force", "--force=shrink", "--force=lineage,shrink"])
def test_it_can_be_forced(cli: Run, site: Path, force: str) -> None:
    empty(site)
    assert cli("publish", force, site).code == 0


def test_another_name_does_not_force_it(cli: Run, site: Path) -> None:
    empty(site)
    assert cli("publish", site, "--force=lineage").code == 1


def test_f13_a_push_over_another_lineage_says_what_to_do(
    cli: Run, site: Path, tmp_path: Path
) -> None:
    push(site, tmp_path / "host")
    (site / "index.head.json").unlink()
    cli("publish", site)
    ended = cli("push", site, tmp_path / "host")
    assert ended.code == 1
    assert f"--after '{tmp_path / 'host'}'" in ended.errors
    assert cli("push", "--force=lineage", site, tmp_path / "host").code == 0


def test_a_checkout_goes_on_after_a_url_with_credentials(
    cli: Run, site: Path, checkout: Path
) -> None:
    (checkout / "data" / "new.txt").write_bytes(b"new")
    with serve(site, port=0, auth=("ali", "sesame")) as server:
        refused = cli("publish", checkout, "--after", server.url)
        assert refused.code == 4
        assert not (checkout / "index.json").exists()
        ended = cli("publish", checkout, "--after", server.url, "--auth", "ali:sesame", "--json")
    assert (ended.code, ended.records[0]["generation"]) == (0, 2)
    assert ended.records[0]["set"] == ["new.txt"]


def test_a_checkout_that_went_on_is_pushed_without_force(
    cli: Run, site: Path, checkout: Path, tmp_path: Path
) -> None:
    host = tmp_path / "host"
    push(site, host)
    (checkout / "data" / "new.txt").write_bytes(b"new")
    assert cli("publish", checkout, "--after", host).code == 0
    assert cli("push", checkout, host).code == 0


def test_nothing_to_go_on_from_is_a_warning(cli: Run, checkout: Path, tmp_path: Path) -> None:
    ended = cli("publish", checkout, "--after", tmp_path / "nothing")
    assert ended.code == 0
    assert "there is no published site" in ended.errors


@pytest.mark.parametrize(
    "options",
    [
        ("--check", "--after", "x"),
        ("--check", "--force"),
        ("--watch", "--after", "x"),
        ("--force=part,none",),
    ],
)
def test_options_that_do_not_go_together_are_a_mistake(
    cli: Run, site: Path, options: tuple[str, ...]
) -> None:
    assert cli("publish", site, *options).code == 2


def test_a_location_that_is_none_is_an_error_without_a_traceback(cli: Run, checkout: Path) -> None:
    ended = cli("publish", checkout, "--after", "ftp://host/site")
    assert ended.code == 1
    assert "a root is an http(s) URL" in ended.errors
