"""The files of docs/operations.md work, and the page names only options that exist."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from conftest import SAMPLE_SITE
from staticstore import publish, serve
from staticstore.cli import cli
from staticstore.commands.exits import ExitCode

ROOT = Path(__file__).parent.parent
FILES = ROOT / "docs" / "operations"
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
INSTALLED = "/opt/staticstore/bin/staticstore"
CRON = (FILES / "crontab").read_text("utf-8").splitlines()


@pytest.mark.parametrize("name", sorted(path.name for path in FILES.iterdir()))
def test_the_page_shows_the_files(name: str) -> None:
    shown = re.findall(
        rf"\]\(operations/{name}\).*?^```\w*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    )
    assert shown[:1] == [(FILES / name).read_text("utf-8")]


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!https?:)[^)#]+)\)", PAGE))
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


def _commands() -> Iterator[str]:
    """Yield what follows ``staticstore`` in the commands of the page."""
    names = "|".join(cli.list_commands(click.Context(cli)))
    yield from re.findall(rf"(?<=[/` (]staticstore )(?:{names}) [^`\n>)]+", PAGE)


@pytest.mark.parametrize("line", sorted(set(_commands())))
def test_the_options_of_a_command_exist(line: str) -> None:
    name, *arguments = shlex.split(line)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    context = click.Context(command)
    _, surplus, _ = command.make_parser(context).parse_args(arguments)
    assert surplus == []


def test_the_page_has_commands() -> None:
    assert len(set(_commands())) >= 8


def test_the_page_describes_every_exit_code() -> None:
    rows = re.findall(r"^\| ([0-9, ]+) \|", PAGE.partition("## Exit codes")[2], re.MULTILINE)
    assert [int(code) for row in rows for code in row.split(", ")] == list(ExitCode)


# -- systemd -------------------------------------------------------------------------------


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in (*FILES.glob("*.service"), *FILES.glob("*.timer")):
        text = unit.read_text("utf-8")
        (tmp_path / unit.name).write_text(text.replace(INSTALLED, "/bin/true"))
    units = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        [program, "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# -- what a shell runs -----------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The command, in a folder of its own."""
    script = tmp_path / "bin" / "staticstore"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m staticstore "$@"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the sample site, published."""
    folder = tmp_path / "site"
    shutil.copytree(SAMPLE_SITE / "data", folder / "data")
    publish(folder)
    return folder


@pytest.fixture
def url(site: Path) -> Iterator[str]:
    """The URL of that site."""
    with serve(site, port=0) as server:
        yield server.url


def _run(line: str, program: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{program.parent}:/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["sh", "-c", line], env=environment, capture_output=True, text=True, check=False
    )


def test_the_page_makes_the_folders_that_the_user_writes_to() -> None:
    made = re.search(r"^install -d -o staticstore (.*)$", PAGE, re.MULTILINE)
    assert made is not None
    assert {"/srv/site", "/srv/site/data", "/srv/copy"} == set(made[1].split())


@pytest.mark.parametrize("line", CRON, ids=lambda line: line.split("staticstore ")[1][:15])
def test_cron_runs_a_line_without_a_word(
    line: str, program: Path, site: Path, url: str, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    _, command = line.rsplit("* ", 1)
    if command.startswith("flock") and shutil.which("flock") is None:
        pytest.skip("flock is not installed")
    for there, here in {
        INSTALLED: program,
        "/srv/site": site,
        "/srv/copy": tmp_path / "copy",
        "https://data.example.org/site/": url,
    }.items():
        command = command.replace(there, str(here))
    done = _run(command, program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _checked(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for name in ("jq", "curl"):
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    return _run(shlex.join(["sh", str(FILES / "healthy.sh"), *arguments]), program)


def test_the_check_passes_for_a_site_that_is_current(program: Path, url: str) -> None:
    done = _checked(program, url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_check_complains_of_a_site_that_was_not_published_for_long(
    program: Path, site: Path, url: str
) -> None:
    head = site / "index.head.json"
    past = datetime.now(UTC) - timedelta(hours=50)
    text = re.sub(r'("published":\s*)"[^"]*"', rf'\1"{past:%Y-%m-%dT%H:%M:%SZ}"', head.read_text())
    head.write_text(text)
    done = _checked(program, url, "48")
    assert (done.returncode, done.stdout) == (1, "nothing was published for 50 hours\n")


def test_the_check_complains_of_what_was_left_out_of_the_index(
    program: Path, site: Path, url: str
) -> None:
    (site / "index.head.json").unlink()
    (site / "index.json").write_text('{"a": 1}')
    done = _checked(program, url)
    assert done.returncode == 1
    assert done.stdout.startswith("warning: ")


def test_the_check_ends_with_the_exit_code_of_what_failed(program: Path) -> None:
    done = _checked(program, "http://127.0.0.1:1/")
    assert done.returncode == 5
    assert "Connection refused" in done.stderr
