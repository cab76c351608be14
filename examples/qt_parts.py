"""The parts of browser_qt.py: threads, rows that glow, and the pane of a value."""

import csv
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from html import escape
from typing import Any

from PySide6 import QtWidgets as qt
from PySide6.QtCore import QLocale, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QColor, QImage, QTextDocument

from staticstore import StoreError, URLValue
from staticstore.interop.desktop import qt_dispatch

LARGEST_PREVIEW = 4 << 20  # bytes
LINES = 100
AMBER = "#ffc233"
SI = QLocale.DataSizeFormat.DataSizeSIFormat


class Cancelled(Exception):
    """The download is not wanted any more."""


def in_thread(
    work: Callable[[], Any],
    done: Callable[[Any], object],
    in_window: Callable[[Callable[[], object]], object],
) -> None:
    """Do in a thread what may take its time; give the window what it returns or raises."""

    def run() -> None:
        try:
            outcome = work()
        except (StoreError, OSError, Cancelled) as error:
            outcome = error
        with suppress(RuntimeError):  # the window is gone
            in_window(lambda: done(outcome))

    threading.Thread(target=run, daemon=True).start()


def preview_of(value: URLValue) -> QImage | str:
    """Read a value, verified; return a picture of it, or what can be shown of it as HTML."""
    kind = value.media_type or "what is of an unknown type"
    if (value.size or 0) > LARGEST_PREVIEW:
        return "This is too large for a preview; it can be downloaded."
    data = value.read()
    if kind.startswith("image/") and not (image := QImage.fromData(data)).isNull():
        keep, smooth = (
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        return image.scaled(400, 400, keep, smooth)
    if not (kind.startswith("text/") or kind.endswith("json")):
        return f"There is no preview of {escape(kind)}."
    lines = [line[:500] for line in data.decode("utf-8", "replace").splitlines()[:LINES]]
    if kind != "text/csv":
        return f"<pre>{'<br>'.join(map(escape, lines))}</pre>"
    rows = ["<td>" + "<td>".join(map(escape, cells)) for cells in csv.reader(lines)]
    return f"<table cellpadding=3><tr style='font-weight: bold'>{'<tr>'.join(rows)}</table>"


class Glow(qt.QStyledItemDelegate):
    """Paints cells: sizes with a unit, and rows that changed in a color that fades in a second."""

    def __init__(self, table: qt.QTableView) -> None:
        super().__init__(table)
        self._ends: dict[str, float] = {}
        self._timer = QTimer(self, interval=40, timeout=self._fade)
        self._timer.timeout.connect(table.viewport().update)

    def light(self, keys: Iterable[str]) -> None:
        """Let the rows of some keys glow from now on."""
        self._ends.update(dict.fromkeys(keys, time.monotonic() + 1))
        self._timer.start()

    def strength(self, key: str) -> float:
        """Return how much the row of a key glows, from 1 to 0."""
        return max(self._ends.get(key, 0) - time.monotonic(), 0)

    def initStyleOption(self, option: Any, index: Any) -> None:
        """Say how a cell is painted; Qt asks for it."""
        super().initStyleOption(option, index)
        name = index.model().headerData(index.column(), Qt.Orientation.Horizontal)
        if name == "size" and option.text.isdecimal() and len(option.text) < 19:
            option.text = option.locale.formattedDataSize(int(option.text), 1, SI)
        color = QColor(AMBER)
        color.setAlphaF(self.strength(index.siblingAtColumn(0).data()))
        option.backgroundBrush = color

    def _fade(self) -> None:
        self._ends = {key: end for key, end in self._ends.items() if end > time.monotonic()}
        if not self._ends:
            self._timer.stop()


class ValuePane(qt.QWidget):
    """A preview, and below it a button to download, or a bar and a button to cancel."""

    #: What is to be said of a download.
    news = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.in_window = qt_dispatch(self)
        self.value: URLValue | None = None
        self.cancelled = threading.Event()
        self.preview, self.bar = qt.QTextBrowser(), qt.QProgressBar()
        self.download, self.cancel = qt.QPushButton("Download …"), qt.QPushButton("Cancel")
        self.download.clicked.connect(self.ask_where_to_save)
        self.cancel.clicked.connect(lambda: self.cancelled.set())
        column, row = qt.QVBoxLayout(self), qt.QHBoxLayout()
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.preview)
        column.addLayout(row)
        for widget in (self.bar, self.cancel, self.download):
            row.addWidget(widget)
        self.show_value(None)
        self.show_running(False)

    def show_value(self, value: URLValue | None) -> None:
        """Read a value and show it, or show none."""
        before, self.value = self.value, value
        self.download.setEnabled(value is not None)
        if value is None or before is None or before.key != value.key:
            self.preview.setPlainText("" if value is None else "reading …")
        if value is None:
            return

        def show(outcome: QImage | str | Exception) -> None:
            if value is not self.value:  # another one is shown meanwhile
                return
            if isinstance(outcome, QImage):
                picture = QTextDocument.ResourceType.ImageResource
                self.preview.document().addResource(picture, QUrl("value"), outcome)
                outcome = '<img src="value">'
            text = outcome if isinstance(outcome, str) else escape(str(outcome))
            self.preview.setHtml(text)

        in_thread(lambda: preview_of(value), show, self.in_window)

    def ask_where_to_save(self) -> None:
        """Ask for a file, and copy the value into it."""
        if (value := self.value) is not None:
            name = value.key.rpartition("/")[2]
            path, _ = qt.QFileDialog.getSaveFileName(self, "Download", name)
            if path:
                self.save(value, path)

    def save(self, value: URLValue, path: str) -> None:
        """Copy a value into a file, verified, whole or not at all."""
        cancelled = self.cancelled = threading.Event()

        def progress(done: int, total: int | None) -> None:
            if cancelled.is_set():
                raise Cancelled("The download is cancelled; the next one goes on from there.")
            with suppress(RuntimeError):  # the window is gone
                self.in_window(lambda: self.bar.setValue(100 * done // (total or done or 1)))

        def saved(outcome: Exception | None) -> None:
            self.show_running(False)
            self.news.emit(f"{value.key} is saved." if outcome is None else str(outcome))

        self.bar.setValue(0)
        self.show_running(True)
        in_thread(lambda: value.to_file(path, progress), saved, self.in_window)

    def show_running(self, is_running: bool) -> None:
        """Show a bar and how to cancel, or how to download."""
        self.bar.setVisible(is_running)
        self.cancel.setVisible(is_running)
        self.download.setHidden(is_running)
