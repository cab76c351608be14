"""Run the tests of the Qt window of examples/, in processes of their own."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from tests.commands.shell import ROOT
from tests.interop.screen import Screen, require_modules
from tests.interop.test_windows import QT_PACKAGES, WINDOWS, run_tests, screen
from tests.servers.debian import Unavailable, install, unavailable

__all__ = ["screen"]  # a fixture

# Needed by Qt on an X server.
XCB_PACKAGES = ["libxcb-cursor0", "libxcb-icccm4", "libxcb-keysyms1", "libxkbcommon-x11-0"]
APPLICATION = "from PySide6.QtGui import QGuiApplication; QGuiApplication([])"


def run_qt(environment: dict[str, str]) -> None:
    """Run the tests of the Qt window."""
    run_tests(
        WINDOWS / "test_browser_qt.py", environment={"PYTEST_QT_API": "pyside6", **environment}
    )


def starts(environment: dict[str, str]) -> bool:
    """Return whether a Qt program starts; without a platform it would abort."""
    command = [sys.executable, "-c", APPLICATION]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, check=False
    )
    return done.returncode == 0


def test_the_qt_window_without_a_screen() -> None:
    require_modules("PySide6.QtWidgets", "pytestqt", packages=QT_PACKAGES)
    run_qt({"QT_QPA_PLATFORM": "offscreen"})


def test_the_qt_window_on_a_screen(screen: Screen) -> None:
    require_modules("PySide6.QtWidgets", "pytestqt", packages=QT_PACKAGES)
    environment = {"QT_QPA_PLATFORM": "xcb", "DISPLAY": screen.name}
    try:
        if not starts(environment):
            install("Qt on X", *XCB_PACKAGES)
    except Unavailable as error:
        unavailable(error)
    run_qt(environment)


@pytest.mark.parametrize(
    ("name", "toolkit"), [("browser_qt.py", "PySide6"), ("browser_tk.py", "tkinter")]
)
def test_a_window_is_one_file_that_needs_only_its_toolkit_and_staticstore(
    name: str, toolkit: str
) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / "examples" / name).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            imported.add(node.module or "")
    roots = {module.partition(".")[0] for module in imported}
    assert roots - sys.stdlib_module_names - {toolkit} == {"staticstore"}


@pytest.mark.parametrize(("name", "lines"), [("browser_qt.py", 200), ("browser_tk.py", 80)])
def test_a_window_is_a_short_program(name: str, lines: int) -> None:
    assert len((ROOT / "examples" / name).read_text("utf-8").splitlines()) < lines
