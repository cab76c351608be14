"""Run the examples of a page of documentation, from the first to the last.

The blocks of a page, by their language:

``console``
    Each line after a ``$`` is run by a shell on a terminal, and has to print the lines
    below it.  A command that goes on, such as ``staticstore serve``, is left running.
``text``
    What the last program that was started prints from then on.
``pycon``
    Run as a doctest, in one namespace for the page.
``python``
    Run as a program, if it imports staticstore, but neither Tk, which needs a display, nor
    uses a host that does not exist.  Others are only compiled.  With Qt, where it is
    installed, the window is not shown, and the event loop ends at once.

After a line that ends with a path in backquotes and a colon, a block of another language
than the first and the third is the content of that file.  An ellipsis (``…``) stands for
any text.
"""

from __future__ import annotations

import doctest
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from staticstore import SiteServer, StaticStore
from tests.commands.shell import TIMEOUT, Terminal

__all__ = ["Block", "Session", "blocks_of"]

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GOES_ON = re.compile(r"staticstore (?:serve|watch) |staticstore .* --watch|python live\.py")
_SERVES = re.compile(r"staticstore serve \S+")
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_RUNS = re.compile(r"^(?:from|import) staticstore\b", re.MULTILINE)
_NEEDS_MORE = re.compile(r"\btkinter\b|\.example\.(?:org|net)|(?:s3|gs|az)://")
# Before a program with Qt.
_SHORT_LOOP = """
try:
    from PySide6.QtWidgets import QApplication
except ImportError:
    raise SystemExit
QApplication.exec = QApplication.processEvents
"""


class Block(NamedTuple):
    """A block of code."""

    language: str
    text: str
    #: Its first line in the page, counted from 1.
    line: int
    #: The file that it is the content of.
    path: str | None

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield the commands of a console, each with the output that is shown for it."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks_of(page: str) -> list[Block]:
    """Return the blocks of code of a page, in order."""
    found = []
    for match in _FENCE.finditer(page):
        language, text = match.groups()
        before = page[: match.start()]
        path = re.search(r"`([^`\s]+)`:\s*\Z", before)
        is_file = path is not None and language not in ("console", "pycon")
        found.append(
            Block(language, text, before.count("\n") + 2, path[1] if path and is_file else None)
        )
    return found


class _Program:
    """A program on a terminal of its own, and how much of its output was compared."""

    def __init__(self, line: str, cwd: Path, env: dict[str, str]) -> None:
        self._terminal = Terminal()
        self._process = self._terminal.shell(line, cwd=cwd, env=env)
        self._compared = 0

    def expect(self, shown: str, *, is_all: bool) -> None:
        """Compare what the program prints next, or all of it, with what a page shows."""
        if is_all:
            printed = _lines(self._terminal.read())
            self._process.wait(TIMEOUT)
            assert re.fullmatch(_pattern(shown), printed, re.DOTALL), (
                f"the page shows\n{shown}\nbut this was printed:\n{printed}"
            )
            return
        pattern = re.compile(rf"\n?{_pattern(shown)}(?=\n|\Z)", re.DOTALL)

        def found(text: str) -> re.Match[str] | None:
            return pattern.match(_lines(text), self._compared)

        text = self._terminal.read_until_it(lambda text: found(text) is not None, repr(shown))
        match = found(text)
        assert match is not None
        self._compared = match.end()

    def first_line(self) -> str:
        """Wait for the first line that the program prints."""
        return self._terminal.read_until("\n").splitlines()[0]

    @property
    def code(self) -> int:
        """The exit code of a program that has ended."""
        return self._process.wait(TIMEOUT)

    def close(self) -> None:
        """End the program, unless it has ended."""
        with self._process:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGTERM)
                try:
                    self._process.wait(TIMEOUT)
                except subprocess.TimeoutExpired:
                    os.killpg(self._process.pid, signal.SIGKILL)
        self._terminal.close()


class Session:
    """Runs the blocks of a page, in a folder.

    Parameters
    ----------
    folder : Path
        Where the first command is run.
    name : str
        The page, for messages.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._cwd = folder
        self._name = name
        self._stack = ExitStack()
        self._urls: dict[str, str] = {}  # of servers: as shown, and as they are
        self._last: _Program | None = None
        self._names: dict[str, object] = {}
        programs = folder.parent / "bin"
        programs.mkdir()
        for program, start in (("staticstore", "-m staticstore"), ("python", "")):
            path = programs / program
            path.write_text(f'#!/bin/sh\nexec {sys.executable} {start} "$@"\n')
            path.chmod(0o755)
        self._state = folder.parent / "cwd"
        self._environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder.parent),
            "TERM": "dumb",  # neither colors nor moving bars
            "QT_QPA_PLATFORM": "offscreen",
        }

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        for found in self._names.values():
            if isinstance(found, StaticStore):
                found.disconnect()
            elif isinstance(found, SiteServer):
                found.close()
        self._stack.close()

    def run(self, block: Block) -> None:
        """Run a block, and compare its output with what the page shows."""
        text = self._real(block.text)
        if block.path is not None:
            path = self._cwd / block.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            if path.suffix == ".py":
                compile(text, block.path, "exec")
        elif block.language == "console":
            for command, output in block._replace(text=text).commands():
                self._run_command(command, output)
        elif block.language == "pycon":
            self._run_doctest(text, block.line)
        elif block.language == "python":
            compile(text, self._name, "exec")
            if _RUNS.search(text) and not _NEEDS_MORE.search(text):
                self._run_program(text)
        elif block.language == "text" and self._last is not None:
            self._last.expect(text, is_all=False)

    def _real(self, text: str) -> str:
        for shown, real in self._urls.items():
            text = text.replace(shown, real)
        return text

    def _start(self, line: str) -> _Program:
        program = _Program(line, self._cwd, self._environment)
        self._stack.callback(program.close)
        return program

    def _run_command(self, command: str, output: str) -> None:
        if _SERVES.match(command):
            program = self._start(re.sub(r" --port \d+", "", command) + " --port 0")
            shown = output.partition("\n")[0]
            self._urls[shown] = program.first_line()
            program.expect(self._real(output), is_all=False)
        elif _GOES_ON.match(command):
            self._last = self._start(command)
            self._last.expect(output, is_all=False)
        else:
            after = f"status=$?; pwd > '{self._state}'; exit $status"
            self._start(f"{command}\n{after}").expect(output, is_all=True)
            self._cwd = Path(self._state.read_text("utf-8").rstrip("\n"))

    def _run_program(self, text: str) -> None:
        path = self._state.with_name("program.py")
        path.write_text(_SHORT_LOOP + text if "PySide6" in text else text, "utf-8")
        self._last = self._start(f"python {path}")
        assert self._last.code == 0, text

    def _run_doctest(self, source: str, line: int) -> None:
        os.chdir(self._cwd)  # the test returns to where it was
        parser, messages = doctest.DocTestParser(), list[str]()
        example = parser.get_doctest(source, self._names, self._name, self._name, line - 1)
        runner = doctest.DocTestRunner(verbose=False, optionflags=_FLAGS)
        outcome = runner.run(example, out=messages.append, clear_globs=False)
        self._names = example.globs
        assert outcome.failed == 0, "".join(messages)


def _lines(text: str) -> str:
    # Without empty lines, which a progress bar leaves, and spaces at the end of cells.
    lines = text.replace("\r", "").split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _pattern(shown: str) -> str:
    return ".*?".join(map(re.escape, _lines(shown).split("…")))
