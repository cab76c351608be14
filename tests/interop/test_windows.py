"""Run the tests that need a window, in a process for each toolkit."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.screen import Screen, require_modules

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = Path(__file__).parent / "windows"
BOUND = 110  # seconds: less than the time limit of a test
BINDINGS = {"PySide6": "pyside6", "PyQt6": "pyqt6"}
# Needed by PySide6 and PyQt6, and not part of Debian's Python.
QT_PACKAGES = [
    "libegl1",
    "libgl1",
    "libxkbcommon0",
    "libfontconfig1",
    "libdbus-1-3",
    "libglib2.0-0",
]
TK_PACKAGES = ["python3-tk"]


def run_tests(*arguments: str | Path, environment: dict[str, str]) -> None:
    """Run tests in a process of their own; fail with its output."""
    options = ["-o", "addopts=--strict-markers --strict-config -q -p no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture
def screen() -> Iterator[Screen]:
    """A virtual screen."""
    with contextlib.closing(Screen()) as own:
        yield own


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
def test_a_missing_program_skips_a_test_with_one_line_and_fails_it_on_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(outcome, match="apt-get install python3-no-toolkit"):
        require_modules("no_toolkit", packages=["python3-no-toolkit"])


@pytest.mark.parametrize("binding", BINDINGS)
def test_qt_windows_and_dispatch(binding: str) -> None:
    require_modules(f"{binding}.QtWidgets", f"{binding}.QtTest", "pytestqt", packages=QT_PACKAGES)
    run_tests(
        *sorted(WINDOWS.glob("test_qt_*.py")),
        *["-o", "qt_log_level_fail=WARNING"],  # such as those of Qt's model tester
        environment={"QT_QPA_PLATFORM": "offscreen", "PYTEST_QT_API": BINDINGS[binding]},
    )


def test_tk_windows_and_dispatch(screen: Screen) -> None:
    require_modules("tkinter", packages=TK_PACKAGES)
    run_tests(
        *sorted(WINDOWS.glob("test_tk_*.py")),
        *["-p", "no:pytest-qt"],
        environment={"DISPLAY": screen.name},
    )
