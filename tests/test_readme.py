"""The commands and examples of the README print the output that it shows."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import SAMPLE_SITE
from staticstore import publish, serve

ROOT = SAMPLE_SITE.parent
README = (ROOT / "README.md").read_text("utf-8")
SHOWN_URL = "http://127.0.0.1:8000/"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def _commands() -> list[tuple[str, str]]:
    """Return the commands of the console blocks, and the output shown for each."""
    found = []
    for block in _blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a folder like a fresh checkout, for all commands in turn."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(SAMPLE_SITE, folder / "sample_site")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Serve what the README publishes, at a free port."""
    shutil.copytree(SAMPLE_SITE, folder / "served")
    publish(folder / "served")
    with serve(folder / "served", port=0) as server:
        yield server.url


@pytest.mark.parametrize(("command", "output"), _commands())
def test_a_command_prints_what_the_readme_shows(
    folder: Path, url: str, command: str, output: str
) -> None:
    if command.startswith("staticstore serve"):
        pytest.importorskip("werkzeug")
        assert output.startswith(SHOWN_URL)  # that it serves until Ctrl-C is tested elsewhere
        return
    environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    _install_command(folder)
    done = subprocess.run(
        ["bash", "-c", command.replace(SHOWN_URL, url)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    printed = done.stdout.replace(url, SHOWN_URL).rstrip("\n")
    shown = output.rstrip("\n")
    if "…" in shown:  # lines left out
        beginning, end = shown.split("…")
        assert printed.startswith(beginning)
        assert printed.endswith(end)
    else:
        assert printed == shown


def _install_command(folder: Path) -> None:
    script = folder / "bin" / "staticstore"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f'#!/bin/sh\nexec {sys.executable} -m staticstore "$@"\n')
    script.chmod(0o755)


def test_the_python_examples_print_what_the_readme_shows(
    folder: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    source = "\n".join(_blocks("pycon")).replace(SHOWN_URL, url)
    names: dict[str, object] = {}
    example = doctest.DocTestParser().get_doctest(source, names, "README", "README.md", 0)
    assert len(example.examples) >= 7
    assert doctest.DocTestRunner().run(example, clear_globs=False).failed == 0
    example.globs["store"].disconnect()


def test_the_longer_examples_are_valid_python(url: str) -> None:
    for block in _blocks("python"):
        compile(block, "README.md", "exec")


@pytest.mark.parametrize("link", re.findall(r"\]\(((?!https?:)[^)#]+)\)", README))
def test_a_link_works(link: str) -> None:
    assert (ROOT / link).exists()
