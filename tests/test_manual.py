"""The page of the manual is current, and comes with the package."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from staticstore.cli import cli
from staticstore.commands.exits import ExitCode

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "man"
PAGE = (FOLDER / "staticstore.1").read_text("utf-8")
# Without the marks of roff: fonts, and what stands for hyphens and quotation marks.
TEXT = re.sub(r"\\f.|\\(?=-)", "", PAGE).replace(r"\(aq", "'").replace(r"\(dq", '"')


def _commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path}{name} ")


COMMANDS = dict(_commands(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_described_with_all_its_options_and_examples(name: str) -> None:
    command = COMMANDS[name]
    section = re.search(rf"^\.SS {name}$(.*?)(?=^\.S[SH] )", TEXT, re.MULTILINE | re.DOTALL)
    assert section is not None
    described = section[1]
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert set(parameter.opts) <= set(re.findall(r"-[-\w]+", described))
    examples = (command.epilog or "").partition("Examples:\n")[2]
    for example in examples.splitlines():
        assert example.strip() in described


def test_every_exit_code_is_described() -> None:
    section = TEXT.partition(".SH EXIT STATUS")[2].partition(".SH")[0]
    assert list(map(int, re.findall(r"^(\d+)$", section, re.MULTILINE))) == list(ExitCode)


def test_every_environment_variable_of_an_option_is_described() -> None:
    variables = {
        str(option.envvar)
        for command in COMMANDS.values()
        for option in command.params
        if option.envvar
    }
    section = TEXT.partition(".SH ENVIRONMENT")[2].partition(".SH")[0]
    assert variables
    assert variables <= set(re.findall(r"[A-Z_]+", section))


def test_the_page_is_what_make_man_writes(tmp_path: Path) -> None:
    for name in ("sphinx", "sphinx_click"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    command = [sys.executable, "-m", "sphinx", "-b", "man", "-q", "-W", str(FOLDER), str(tmp_path)]
    subprocess.run(command, check=True, cwd=ROOT)
    assert (tmp_path / "staticstore.1").read_text("utf-8") == PAGE, "run: make man"


def test_the_page_is_part_of_the_wheel() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    (source, place), *others = build["targets"]["wheel"]["shared-data"].items()
    assert (ROOT / source).read_text("utf-8") == PAGE
    assert (place, others) == ("share/man/man1/staticstore.1", [])
