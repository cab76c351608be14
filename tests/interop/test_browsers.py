"""Runs the tests of the window of Qt in examples/, in processes of their own."""

from __future__ import annotations

import pytest

from tests.cli.shell import ROOT
from tests.interop.screen import Screen, require_modules
from tests.interop.test_windows import QT_PACKAGES, WINDOWS, run_tests, screen

__all__ = ["screen"]  # a fixture

# What Qt needs to speak to an X server.
XCB_PACKAGES = [*QT_PACKAGES, "libxcb-cursor0", "libxkbcommon-x11-0"]


def run_qt(platform: str, display: str) -> None:
    """Run the tests of the window of Qt."""
    require_modules("PySide6.QtWidgets", "pytestqt", packages=XCB_PACKAGES)
    run_tests(
        WINDOWS / "test_browser_qt.py",
        environment={"QT_QPA_PLATFORM": platform, "PYTEST_QT_API": "pyside6", "DISPLAY": display},
    )


def test_the_window_of_qt_without_a_screen() -> None:
    run_qt("offscreen", "")


def test_the_window_of_qt_on_a_screen(screen: Screen) -> None:
    run_qt("xcb", screen.name)


@pytest.mark.parametrize(("name", "lines"), [("browser_qt.py", 200), ("browser_tk.py", 80)])
def test_a_window_is_a_short_program(name: str, lines: int) -> None:
    assert len((ROOT / "examples" / name).read_text("utf-8").splitlines()) < lines
