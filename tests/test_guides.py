"""The examples of README.md and of the pages in docs/ do what the pages show."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from conftest import SAMPLE_SITE
from staticstore.cli import cli
from tests.pages import Session, blocks_of

ROOT = SAMPLE_SITE.parent
# These have tests of their own: tests/test_docs.py, and those of the cookbook.
TESTED_ELSEWHERE = {"index.md", "cookbook.md"}
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text("utf-8")
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if path.name not in TESTED_ELSEWHERE
}
LANGUAGES = {"console", "pycon", "python"}
NAMES = "|".join(cli.list_commands(click.Context(cli)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a folder like a fresh checkout."""
    folder = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("*.py", "make", "__pycache__", ".staticstore")
    shutil.copytree(SAMPLE_SITE, folder / "sample_site", ignore=ignored)
    monkeypatch.chdir(folder)
    return folder


def _pages_with_examples() -> list[str]:
    return [
        name
        for name, text in PAGES.items()
        if LANGUAGES.intersection(block.language for block in blocks_of(text))
    ]


@pytest.mark.parametrize("name", _pages_with_examples())
def test_the_examples_of_a_page_do_what_it_shows(name: str, folder: Path) -> None:
    pytest.importorskip("werkzeug")
    with Session(folder, name) as session:
        for block in blocks_of(PAGES[name]):
            try:
                session.run(block)
            except AssertionError as error:
                error.add_note(f"in {name}, line {block.line}")
                raise


def _commands(text: str) -> Iterator[str]:
    """Yield the commands that a page names but does not run, without ``staticstore``."""
    for block in blocks_of(text):
        if block.language == "sh":
            yield from re.findall(rf"^staticstore ((?:{NAMES}) [^\n>|]+)", block.text, re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(rf"`staticstore ((?:{NAMES}) [^`]+)`", prose)


@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if [*_commands(text)]])
def test_the_options_of_the_commands_exist(name: str) -> None:
    for line in _commands(PAGES[name]):
        first, *arguments = shlex.split(line)
        command = cli.get_command(click.Context(cli), first)
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), arguments.pop(0))
        assert command is not None
        _, surplus, _ = command.make_parser(click.Context(command)).parse_args(arguments)
        assert surplus == [], line
