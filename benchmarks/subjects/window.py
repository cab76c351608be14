"""How long a window freezes: the longest pause of a Qt event loop."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..stores import connect_ours
from ..value_sites import LARGE
from . import CannotRun, Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_TICK = 1  # milliseconds
_BEFORE = 0.3  # seconds until the loop is idle


def _paused(work: Callable[[], object]) -> Figures:
    """Run an event loop while a thread works; return its longest pause."""
    from PySide6.QtCore import Qt, QTimer

    application = _application()
    os.sync()  # what was made before, such as sites, must not be written meanwhile
    figures: Figures = {"seconds": 0.0}
    last: list[float] = []
    errors: list[BaseException] = []
    ended = threading.Event()

    def tick() -> None:
        now = time.perf_counter()
        if last:
            figures["seconds"] = max(figures["seconds"], now - last[0] - _TICK / 1000)
        last[:] = [now]
        if ended.is_set():
            application.quit()

    def run() -> None:
        time.sleep(_BEFORE)
        last.clear()
        figures["seconds"] = 0.0
        try:
            work()
            time.sleep(_BEFORE)  # show what was delivered
        except BaseException as error:
            errors.append(error)
        finally:
            ended.set()

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(_TICK)
    threading.Thread(target=run, daemon=True).start()
    application.exec()
    timer.stop()
    if errors:
        raise errors[0]
    return figures


def _application() -> Any:
    """Return an application that draws into memory."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    try:
        from PySide6.QtWidgets import QApplication
    except ImportError as error:
        raise CannotRun("PySide6 is not installed, or lacks a library") from error
    return QApplication.instance() or QApplication([])


def _idle(place: Place) -> Figures:
    return _paused(lambda: time.sleep(0.5))


def _poll(before: str, after: str) -> Run:
    """Return a run in which a table shows a store that polls once."""

    def run(place: Place) -> Figures:
        _application()
        from PySide6.QtWidgets import QTableView

        from staticstore.interop.qt_model import StoreTableModel

        place.site.show(before)
        store = connect_ours(place.site.url)
        table = QTableView()
        model = StoreTableModel(store, fields=["title", "size"])
        table.setModel(model)
        table.resize(800, 600)
        table.show()
        place.site.show(after)
        figures = _paused(lambda: _found(store.update_index()))
        table.close()
        return figures

    return run


def _found(changes: Any) -> None:
    assert len(changes), "the site shows another state"


def _download(place: Place) -> Figures:
    place.site.show("values")
    store = connect_ours(place.site.url)
    with tempfile.TemporaryDirectory() as folder:
        return _paused(lambda: store.to_file(LARGE, Path(folder) / LARGE, progress=_progress))


def _progress(done: int, total: int | None) -> None:
    """Stand for a progress bar, which costs too little to be measured."""


_POLLS: dict[str, Run] = {
    "idle": _idle,
    "poll: change file": _poll("first", "ten"),
    "poll: blocks": _poll("first", "blocks"),
    "poll: whole": _poll("first", "whole"),
    "poll: whole, other form, no head": _poll("other", "other-ten"),
}

SUBJECTS = [
    Subject(
        "window-poll",
        "the longest pause of a window that shows the index while it is polled",
        _POLLS,
        (
            Target("poll: change file", "seconds", 16e-3),
            Target("poll: blocks", "seconds", 16e-3),
            Target("poll: whole", "seconds", 50e-3),
        ),
    ),
    Subject(
        "window-download",
        "the longest pause of a window while a large value is downloaded and verified",
        {"idle": _idle, "download": _download},
        (Target("download", "seconds", 16e-3),),
        sites="values",
    ),
]
