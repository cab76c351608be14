"""Runs the tests that need a window, in processes of their own: one for each toolkit."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.debian import Unavailable, unavailable

ROOT = Path(__file__).resolve().parents[2]
WINDOWS = Path(__file__).parent / "windows"
BOUND = 110  # seconds: less than a test may take
BINDINGS = {"PySide6": "pyside6", "PyQt6": "pyqt6"}


def run_tests(*arguments: str | Path, environment: dict[str, str]) -> None:
    """Run tests in a process of their own; fail with what it says."""
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


def require_import(name: str, *modules: str) -> None:
    """Skip the test, or fail it on CI, if modules cannot be imported."""
    code = f"import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        unavailable(Unavailable(name, done.stderr.strip().splitlines()[-1]))


@pytest.mark.parametrize("binding", BINDINGS)
def test_what_needs_qt(binding: str) -> None:
    require_import(binding, f"{binding}.QtWidgets", f"{binding}.QtTest", "pytestqt")
    run_tests(
        *sorted(WINDOWS.glob("test_qt_*.py")),
        *["-o", "qt_log_level_fail=WARNING"],  # what Qt's tester of models finds, for one
        environment={"QT_QPA_PLATFORM": "offscreen", "PYTEST_QT_API": BINDINGS[binding]},
    )


def test_what_needs_tk() -> None:
    require_import("Tk", "tkinter")
    if (xvfb := shutil.which("xvfb-run")) is None:
        unavailable(Unavailable("Xvfb", "not installed"))
    run_tests(
        *sorted(WINDOWS.glob("test_tk_*.py")),
        "-p",
        "no:pytest-qt",
        environment={"DISPLAY": xvfb or ""},
    )
