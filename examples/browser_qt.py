"""A window of Qt that shows what a site has, and what is published while it is open.

    python examples/browser_qt.py [URL_OR_FOLDER]

Connecting, reading and downloading are done in threads, so that the window never
waits; what comes of it is handed to the window by the same dispatch as the changes.
"""

import signal
import sys
import threading
from collections.abc import Iterable
from functools import partial
from typing import Any

from PySide6 import QtWidgets as qt
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent
from qt_parts import Glow, ValuePane, in_thread

from staticstore import AuthorizationError, Changes, StaticStore
from staticstore.interop.desktop import qt_dispatch
from staticstore.interop.qt_model import StoreTableModel

WIDTHS = {"key": 220, "title": 330, "type": 70, "size": 80}  # of the columns
ALL_TYPES = "all types"


def types_of(entries: Iterable[dict[str, Any]]) -> set[str]:
    """Return the types of entries; what a site says may be anything."""
    types = (metadata.get("type") for metadata in entries)
    return {name for name in types if isinstance(name, str)}


class Window(qt.QMainWindow):
    """An address, a table of what there is at it, a value, and a line of words."""

    def __init__(self, address: str = "", poll_interval: float = 5.0) -> None:
        super().__init__(windowTitle="staticstore")
        self.resize(1180, 620)
        self.poll_interval, self.in_window = poll_interval, qt_dispatch(self)
        self.store: StaticStore | None = None
        self.model: StoreTableModel | None = None
        self.key = ""
        self.address = qt.QLineEdit(address, placeholderText="URL or folder of a site")
        self.user = qt.QLineEdit(placeholderText="user")
        self.password = qt.QLineEdit(placeholderText="password")
        self.password.setEchoMode(qt.QLineEdit.EchoMode.Password)
        self.search = qt.QLineEdit(placeholderText="search", clearButtonEnabled=True)
        self.types = qt.QComboBox()
        self.table, self.value = qt.QTableView(showGrid=False, sortingEnabled=True), ValuePane()
        self.table.setSelectionBehavior(qt.QTableView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.glow = Glow(self.table)
        self.table.setItemDelegate(self.glow)
        self.news, self.state = qt.QLabel("Type an address, and press Return."), qt.QLabel()
        self.address.returnPressed.connect(self.open)
        self.password.returnPressed.connect(
            lambda: self.open((self.user.text(), self.password.text()))
        )
        self.search.textChanged.connect(self.filter)
        self.types.currentTextChanged.connect(self.filter)
        self.value.news.connect(self.news.setText)
        QTimer(self, interval=500, timeout=self.tell_state).start()
        self.lay_out()
        self.leave()

    def lay_out(self) -> None:
        """Put everything in its place."""
        area = qt.QWidget()
        grid = qt.QGridLayout(area)
        grid.setColumnStretch(0, 5)
        grid.setColumnStretch(2, 4)
        grid.addWidget(self.address, 0, 0, 1, 3)
        for row, parts in enumerate([(self.user, self.password), (self.search, self.types)]):
            for column, part in enumerate(parts):
                grid.addWidget(part, 1 + row, column)
        grid.addWidget(self.table, 3, 0, 1, 2)
        grid.addWidget(self.value, 2, 2, 2, 1)
        self.setCentralWidget(area)
        for label in (self.news, self.state):
            label.setTextFormat(Qt.TextFormat.PlainText)  # names and errors are no markup
            label.setMinimumWidth(1)  # a long text is cut, and does not widen the window
        self.statusBar().addWidget(self.news, 1)
        self.statusBar().addPermanentWidget(self.state)

    def open(self, auth: tuple[str, str] | None = None) -> None:
        """Leave the site that is shown, and connect to that of the address."""
        self.leave()
        try:
            store = StaticStore(self.address.text().strip(), poll_interval=self.poll_interval)
        except ValueError as error:
            self.news.setText(str(error))
            return

        def connect() -> set[str]:
            return types_of(metadata for _, metadata in store.connect(auth).query(select=["type"]))

        self.store = store
        self.news.setText("connecting …")
        in_thread(connect, partial(self.follow, store), self.in_window)

    def leave(self) -> None:
        """Let go of the site that is shown."""
        self.value.cancelled.set()
        self.value.show_value(None)
        self.user.hide()
        self.password.hide()
        if self.store is not None:
            threading.Thread(target=self.store.disconnect, daemon=True).start()
        if self.model is not None:
            self.model.deleteLater()
        self.store, self.model, self.key = None, None, ""

    def follow(self, store: StaticStore, outcome: set[str] | Exception) -> None:
        """Show a site that was connected to and what becomes of it, or say what went wrong."""
        if store is not self.store:  # another address was opened meanwhile
            threading.Thread(target=store.disconnect, daemon=True).start()
        elif isinstance(outcome, Exception):
            is_refused = isinstance(outcome, AuthorizationError)
            self.news.setText(
                "The site wants a user and a password." if is_refused else f"{outcome}"
            )
            self.user.setVisible(is_refused)
            self.password.setVisible(is_refused)
        else:
            self.news.setText("Select a row to see its value.")
            self.types.clear()
            self.types.addItems([ALL_TYPES, *sorted(outcome)])
            self.model = StoreTableModel(store, [*WIDTHS][1:], parent=self)
            self.table.setModel(self.model)
            self.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
            for column, width in enumerate(WIDTHS.values()):
                self.table.setColumnWidth(column, width)
            self.table.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.ResizeMode.Stretch)
            self.table.selectionModel().currentRowChanged.connect(self.select)
            self.filter()
            store.subscribe(partial(self.take, store), batch=True, dispatch=self.in_window)

    def take(self, store: StaticStore, changes: Changes) -> None:
        """Tell what a poll found; the model takes it into the table by itself."""
        if store is not self.store:
            return
        new, updated, gone = changes.set, changes.update, changes.delete
        self.glow.light(change.key for change in (*new, *updated))
        self.add_types(types_of(change.metadata or {} for change in (*new, *updated)))
        self.news.setText(f"{len(new)} new, {len(updated)} updated, {len(gone)} deleted")
        self.tell_state()
        if any(change.key == self.key for change in changes):
            self.value.show_value(store.get(self.key))

    def add_types(self, types: set[str]) -> None:
        """Offer types to choose from, each once."""
        for name in sorted(types):
            if self.types.findText(name) < 0:
                self.types.addItem(name)

    def filter(self) -> None:
        """Show what has the text of the search, and the type."""
        if self.model is not None:
            name = self.types.currentText()
            self.model.set_filter(
                self.search.text(), where={} if name == ALL_TYPES else {"type": name}
            )

    def select(self, index: Any) -> None:
        """Show the value of a row."""
        if self.store is not None and self.model is not None and index.isValid():
            self.key = self.model.key(index.row())
            self.value.show_value(self.store.get(self.key))

    def tell_state(self) -> None:
        """Say how many entries there are, how fresh they are, and what is wrong."""
        info = self.store.info() if self.store is not None else {"age": None}
        if info["age"] is not None:
            wrong = f"offline: {info['last_error']} · " if info["last_error"] else ""
            self.state.setText(
                f"{wrong}last poll {info['age']:.0f} s ago · {info['entries']} entries"
            )
        else:
            self.state.clear()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Leave the site with the window; Qt calls this."""
        self.leave()
        super().closeEvent(event)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it
    application = qt.QApplication(sys.argv)
    window = Window(*application.arguments()[1:2])
    window.show()
    if window.address.text():
        window.open()
    sys.exit(application.exec())
