"""A Qt window that shows a site: ``python examples/browser_qt.py [URL_OR_FOLDER]``."""

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
    """Show sizes with a unit."""

    def displayText(self, text: str, locale: QLocale) -> str:
        """Return the text of a cell; a site may give anything as a size."""
        si, is_size = QLocale.DataSizeFormat.DataSizeSIFormat, text.isdecimal() and len(text) < 19
        return locale.formattedDataSize(int(text), 1, si) if is_size else text


class Window(qt.QMainWindow):
    """An address, a table of the entries there, a preview, and a status line."""

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
        self.state.setMinimumWidth(1)  # a long error is cut, and does not widen the window
        self.report = self.statusBar().showMessage
        self.lay_out()
        self.address.returnPressed.connect(self.open)
        self.secret.returnPressed.connect(lambda: self.open((self.user.text(), self.secret.text())))
        self.search.textChanged.connect(self.filter)
        self.types.currentTextChanged.connect(self.filter)
        self.download.clicked.connect(self.save)
        QTimer(self, interval=500, timeout=self.show_state).start()
        self.close_site()
        self.report("Type an address and press Return.")

    def lay_out(self) -> None:
        """Arrange the widgets."""
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
        """Close the current site, and connect to the one at the address."""
        self.close_site()
        try:
            store = StaticStore(self.address.text().strip(), poll_interval=self.poll_interval)
        except ValueError as error:
            self.report(str(error))
            return

        def fail(error: Exception) -> None:
            if store is self.store:
                self.report(str(error))
                self.login.setVisible(isinstance(error, AuthorizationError))

        self.store = store
        self.report("connecting …")
        in_thread(lambda: store.connect(auth), self.follow, failed=fail, dispatch=self.dispatch)

    def close_site(self) -> None:
        """Close the current site."""
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
        """Show a connected site, and follow its changes."""
        if store is not self.store:  # another address was opened in the meantime
            threading.Thread(target=store.disconnect, daemon=True).start()
            return
        self.report("Select a row to see its value.")
        self.model = StoreTableModel(store, [*WIDTHS][1:], self, glow="#ffc233")
        self.model.changed.connect(self.show_changes)
        self.table.setModel(self.model)
        self.table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        for column, width in enumerate(WIDTHS.values()):
            self.table.setColumnWidth(column, width)
        self.table.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.ResizeMode.Stretch)
        self.table.selectionModel().currentRowChanged.connect(self.show_value)
        self.types.clear()
        self.types.addItem("all types")  # this calls `filter`
        self.add_types(kind for _, kind in store.index.field_values("type"))

    def add_types(self, types: Iterable[object]) -> None:
        """Add types to the menu, each once; a site may give anything as a type."""
        store = self.store

        def add(names: set[str]) -> None:
            if store is self.store:  # no other site was opened in the meantime
                self.types.addItems(sorted(name for name in names if self.types.findText(name) < 0))

        in_thread(lambda: {t for t in types if isinstance(t, str)}, add, dispatch=self.dispatch)

    def show_changes(self, changes: Changes) -> None:
        """Report the changes of a poll; the model has applied them to the table."""
        new, updated, gone = map(len, (changes.set, changes.update, changes.delete))
        self.report(f"{new} new, {updated} updated, {gone} deleted")
        self.add_types((change.metadata or {}).get("type") for change in changes)
        self.show_value()

    def filter(self) -> None:
        """Show only entries with the text of the search field and the chosen type."""
        if self.model is not None:
            where = {"type": self.types.currentText()} if self.types.currentIndex() > 0 else {}
            self.model.set_filter(self.search.text(), where=where)
            self.show_value()

    def show_value(self) -> None:
        """Show the current value of the selected row."""
        value, row = None, self.table.currentIndex().row()
        if self.store is not None and self.model is not None and row >= 0:
            value = self.store.get(self.model.key(row), None)
        self.preview.show_value(value)
        self.download.setEnabled(value is not None)

    def save(self) -> None:
        """Ask for a file name, and save the value there: verified, complete or not at all."""
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
                raise StoreError("Download cancelled; the next one resumes here.")
            self.dispatch(lambda: bar.setValue(100 * done // (total or done or 1)))

        def end(error: Exception | None) -> None:
            bar.deleteLater()
            self.report(str(error) if error else f"{value.key} was saved.")

        in_thread(lambda: value.to_file(path, progress), end, failed=end, dispatch=self.dispatch)

    def show_state(self) -> None:
        """Show the number of entries, the last poll and any error."""
        if self.store is not None and self.model is not None:
            age, entries, error = map(self.store.info().get, ("age", "entries", "last_error"))
            wrong = f"offline: {error} · " if error else ""
            self.state.setText(f"{wrong}last poll {age:.0f} s ago · {entries} entries")

    def closeEvent(self, event: QCloseEvent) -> None:
        """Close the site; Qt calls this when the window is closed."""
        self.close_site()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C exits
    application = qt.QApplication(sys.argv)
    window = Window(*application.arguments()[1:2])
    window.show()
    if window.address.text():
        window.open()
    sys.exit(application.exec())
