"""What commands say to somebody who mistypes, or does not know what comes next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands.conftest import Run

# -- where something is --------------------------------------------------------------------


def test_a_bucket_without_its_scheme_is_asked_about(
    cli: Run, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli("push", sample, "b/pre")
    assert ended.code == 2
    assert "./b/pre for a new folder, or s3://b/pre (gs://, az://) for a bucket" in ended.errors
    assert "or s3://b/pre (gs" in cli("push", sample, "s3:/b/pre").errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("target", ["./b", "~/b", "."])
def test_what_is_clearly_a_folder_is_pushed_to(
    cli: Run, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli("push", sample, target).code == 0
    assert (tmp_path / target.replace("~", ".") / "index.json").exists()


def test_a_folder_that_exists_is_pushed_to(
    cli: Run, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    assert cli("push", sample, "b").code == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("data.example.org/site", "did you mean 'https://data.example.org/site'?"),
        ("https://data.example.org/site/index.json", "leave index.json out"),
    ],
)
def test_a_mistyped_root_is_a_usage_error(cli: Run, url: str, said: str) -> None:
    ended = cli("ls", url)
    assert ended.code == 2
    assert said in ended.errors


@pytest.mark.parametrize(
    "line",
    [
        ["publish", ""],
        ["serve", "", "--port", "0"],
        ["push", "", "./target"],
        ["push", "site", ""],
        ["ls", ""],
        ["mirror", "site", ""],
        ["get", "site", "key", "-o", ""],
        ["publish", "site", "--metadata", ""],
        ["publish", "site", "--data", ""],
        ["ls", "site", "--cache", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    cli: Run, sample: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: list[str]
) -> None:
    """As of a variable that is not set."""
    monkeypatch.chdir(tmp_path)
    ended = cli(*[str(sample) if word == "site" else word for word in line])
    assert ended.code == 2
    assert ": it is empty\n" in ended.errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", ["", "/", "../x", "a//b"])
def test_values_in_no_folder_of_a_site_are_a_mistake(cli: Run, url: str, data: str) -> None:
    ended = cli("ls", url, "--data", data)
    assert ended.code == 2
    assert "is no folder below the root of the site, such as rasters" in ended.errors


def test_a_tilde_is_the_home_folder_in_arguments_and_options(
    cli: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (folder / "metadata.toml").rename(tmp_path / "fields.toml")
    assert cli("publish", "~/site", "--metadata=~/fields.toml").code == 0
    assert cli("publish", "~/site", "--metadata=~/fields.toml", "--after=~/site").code == 0
    assert cli("ls", "~/site", "--cache=~/cache").code == 0
    assert cli("get", "~/site", "stations/stations.csv", "-o", "~/out.csv").code == 0
    assert cli("mirror", "~/site", "~/copy").code == 0
    assert {"out.csv", "cache", "copy"} <= {path.name for path in tmp_path.iterdir()}


def test_a_tilde_in_an_authority_and_a_password_file(
    cli: Run, locked_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "auth").write_text("ali:sesame")
    (tmp_path / "auth").chmod(0o600)
    assert cli("ls", locked_url, "--auth-file=~/auth").code == 0
    ended = cli("ls", locked_url, "--ca=~/missing")
    assert f"{tmp_path}/missing' does not exist" in ended.errors


# -- after a publish -----------------------------------------------------------------------


def test_a_publish_says_what_it_wrote_and_how_to_look_at_it(cli: Run, folder: Path) -> None:
    assert cli("publish", folder).errors == (
        f"wrote index.json in {folder}, generation 1; look at it with: staticstore serve {folder}\n"
    )


def test_a_publish_with_a_page_names_the_page(cli: Run, folder: Path) -> None:
    assert "wrote index.json and index.html in " in cli("publish", folder, "--browse").errors


def test_a_publish_that_finds_nothing_new_says_so(cli: Run, folder: Path) -> None:
    cli("publish", folder)
    assert cli("publish", folder).errors == f"no key has changed; {folder} is at generation 1\n"


def test_a_publish_that_only_adds_a_page_says_how_to_look_at_it(cli: Run, folder: Path) -> None:
    cli("publish", folder)
    assert "look at it with: staticstore serve" in cli("publish", folder, "--browse").errors


@pytest.mark.parametrize("option", ["--quiet", "--json", "--dry-run"])
def test_no_next_step_is_said(cli: Run, folder: Path, option: str) -> None:
    assert cli("publish", folder, option).errors == ""


# -- logs ----------------------------------------------------------------------------------


def test_the_log_is_json_too_where_results_are(cli: Run, url: str) -> None:
    logged = [json.loads(line) for line in cli("ls", url, "-vv", "--json").errors.splitlines()]
    assert logged
    assert {name for line in logged for name in line} == {"log"}


# -- what is missing -----------------------------------------------------------------------


def test_no_message_names_a_package_index() -> None:
    package = Path(__file__).parents[2] / "staticstore"
    assert [
        path for path in package.rglob("*.py") if "pip install" in path.read_text("utf-8")
    ] == []
