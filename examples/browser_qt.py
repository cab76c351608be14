"""A window of Qt that follows a site: ``python examples/browser_qt.py [URL_OR_FOLDER]``."""

import signal
import sys
import threading
from collections.abc import Iterable

from PySide6 import QtWidgets as qt
from PySide6.QtCore import QLocale, QSize, Qt, QTimer
from PySide6.QtGui import QCloseEvent

from staticstore import AuthorizationError, Changes, StaticStore, StoreError
from staticstore.interop.desktop import in_thread, qt_dispatch
from staticstore.interop.qt_model import StoreTableModel
from staticstore.interop.qt_preview import ValuePreview

WIDTHS = {"key": 220, "title": 330, "type": 70, "size": 80}  # of the columns


class Sizes(qt.QStyledItemDelegate):
    """Paints sizes with a unit."""

    def displayText(self, text: str, locale: QLocale) -> str:
        """Return what a cell shows: what a site says of a size may be anything."""
        si, is_size = QLocale.DataSizeFormat.DataSizeSIFormat, text.isdecimal() and len(text) < 19
        return locale.formattedDataSize(int(text), 1, si) if is_size else text


class Window(qt.QMainWindow):
    """An address, a table of what there is at it, a value, and a line of words."""

    def __init__(self, address: str = "", poll_interval: float = 5.0) -> None:
        super().__init__(windowTitle="staticstore", size=QSize(1180, 620))
        self.poll_interval, self.dispatch = poll_interval, qt_dispatch(self)
        self.store: StaticStore | None = None
        self.model: StoreTableModel | None = None
        self.address = qt.QLineEdit(address, placeholderText="URL or folder of a site")
        self.user, self.secret = (qt.QLineEdit(placeholderText=t) for t in ("user", "password"))
        self.secret.setEchoMode(qt.QLineEdit.EchoMode.Password)
        self.search = qt.QLineEdit(placeholderText="search", clearButtonEnabled=True)
        self.types, self.state = qt.QComboBox(), qt.QLabel(textFormat=Qt.TextFormat.PlainText)
        self.download, self.preview = qt.QPushButton("Download …"), ValuePreview()
        self.table = qt.QTableView(showGrid=False, sortingEnabled=True, wordWrap=False)
        self.table.setSelectionBehavior(qt.QTableView.SelectionBehavior.SelectRows)
        self.table.setItemDelegateForColumn([*WIDTHS].index("size"), Sizes(self.table))
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(24)
        self.state.setMinimumWidth(1)  # so that a long error is cut and does not widen the window
        self.say = self.statusBar().showMessage
        self.lay_out()
        self.address.returnPressed.connect(self.open)
        self.secret.returnPressed.connect(lambda: self.open((self.user.text(), self.secret.text())))
        self.search.textChanged.connect(self.filter)
        self.types.currentTextChanged.connect(self.filter)
        self.download.clicked.connect(self.save)
        QTimer(self, interval=500, timeout=self.tell_state).start()
        self.leave()
        self.say("Type an address, and press Return.")

    def lay_out(self) -> None:
        """Put everything in its place."""
        found = [self.search, self.types, self.download]
        for widgets in [self.address], [self.user, self.secret], found:
            bar = self.addToolBar("")
            bar.setMovable(False)
            self.addToolBarBreak()
            for widget in widgets:
                bar.addWidget(widget)
        self.login = self.secret.parentWidget()
        parts = qt.QSplitter()
        parts.addWidget(self.table)
        parts.addWidget(self.preview)
        parts.setSizes([670, 450])
        self.setCentralWidget(parts)
        self.statusBar().addPermanentWidget(self.state)

    def open(self, auth: tuple[str, str] | None = None) -> None:
        """Leave the site that is shown, and connect to that of the address."""
        self.leave()
        try:
            store = StaticStore(self.address.text().strip(), poll_interval=self.poll_interval)
        except ValueError as error:
            self.say(str(error))
            return

        def tell(error: Exception) -> None:
            if store is self.store:
                self.say(str(error))
                self.login.setVisible(isinstance(error, AuthorizationError))

        self.store = store
        self.say("connecting …")
        in_thread(lambda: store.connect(auth), self.follow, failed=tell, dispatch=self.dispatch)

    def leave(self) -> None:
        """Let go of the site that is shown."""
        self.table.setModel(None)
        if self.model is not None:
            self.model.deleteLater()
        if self.store is not None:
            threading.Thread(target=self.store.disconnect, daemon=True).start()
        self.store, self.model = None, None
        self.login.hide()
        self.state.clear()
        self.show_value()

    def follow(self, store: StaticStore) -> None:
        """Show a site that was connected to, and what becomes of it."""
        if store is not self.store:  # another address was opened meanwhile
            threading.Thread(target=store.disconnect, daemon=True).start()
            return
        self.say("Select a row to see its value.")
        self.model = StoreTableModel(store, [*WIDTHS][1:], self, glow="#ffc233")
        self.model.changed.connect(self.tell_changes)
        self.table.setModel(self.model)
        self.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        for column, width in enumerate(WIDTHS.values()):
            self.table.setColumnWidth(column, width)
        self.table.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.ResizeMode.Stretch)
        self.table.selectionModel().currentRowChanged.connect(self.show_value)
        self.types.clear()
        self.types.addItem("all types")  # which filters, too
        self.learn_types(kind for _, kind in store.index.field_values("type"))

    def learn_types(self, types: Iterable[object]) -> None:
        """Offer types to choose from, each once; what a site says may be anything."""
        store = self.store

        def add(names: set[str]) -> None:
            if store is self.store:  # and no other site is shown meanwhile
                self.types.addItems(sorted(name for name in names if self.types.findText(name) < 0))

        in_thread(lambda: {t for t in types if isinstance(t, str)}, add, dispatch=self.dispatch)

    def tell_changes(self, changes: Changes) -> None:
        """Tell what a poll found; the model has taken it into the table by itself."""
        new, updated, gone = map(len, (changes.set, changes.update, changes.delete))
        self.say(f"{new} new, {updated} updated, {gone} deleted")
        self.learn_types((change.metadata or {}).get("type") for change in changes)
        self.show_value()

    def filter(self) -> None:
        """Show what has the text of the search, and the type."""
        if self.model is not None:
            where = {"type": self.types.currentText()} if self.types.currentIndex() > 0 else {}
            self.model.set_filter(self.search.text(), where=where)
            self.show_value()

    def show_value(self) -> None:
        """Show the value of the row that is selected, as it is now."""
        value, row = None, self.table.currentIndex().row()
        if self.store is not None and self.model is not None and row >= 0:
            value = self.store.get(self.model.key(row), None)
        self.preview.show_value(value)
        self.download.setEnabled(value is not None)

    def save(self) -> None:
        """Ask for a file, and copy the value into it: verified, whole or not at all."""
        if (value := self.preview.value) is None:
            return
        path, _ = qt.QFileDialog.getSaveFileName(self, "Download", value.key.rpartition("/")[2])
        if not path:
            return
        bar = qt.QProgressDialog(self, windowTitle=value.key, minimumDuration=500, value=0)
        bar.setLabelText("Downloading …")
        cancelled = threading.Event()
        bar.canceled.connect(cancelled.set)

        def progress(done: int, total: int | None) -> None:
            if cancelled.is_set():
                raise StoreError("The download is cancelled; the next one goes on from there.")
            self.dispatch(lambda: bar.setValue(100 * done // (total or done or 1)))

        def end(error: Exception | None) -> None:
            bar.deleteLater()
            self.say(str(error) if error else f"{value.key} is saved.")

        in_thread(lambda: value.to_file(path, progress), end, failed=end, dispatch=self.dispatch)

    def tell_state(self) -> None:
        """Say how many entries there are, how fresh they are, and what is wrong."""
        if self.store is not None and self.model is not None:
            age, entries, error = map(self.store.info().get, ("age", "entries", "last_error"))
            wrong = f"offline: {error} · " if error else ""
            self.state.setText(f"{wrong}last poll {age:.0f} s ago · {entries} entries")

    def closeEvent(self, event: QCloseEvent) -> None:
        """Leave the site with the window; Qt calls this."""
        self.leave()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it
    application = qt.QApplication(sys.argv)
    window = Window(*application.arguments()[1:2])
    window.show()
    if window.address.text():
        window.open()
    sys.exit(application.exec())
