"""A table model of Qt that shows a store and follows its changes.

Importing this module imports Qt: PySide6 or PyQt6, whichever the program has
imported before, and PySide6 if it has imported neither.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any

from .. import tuning
from ..client.live_store import LiveStore, subscribe_with_snapshot
from ..query.conditions import Where, selection
from .desktop import qt_dispatch
from .qt_core import qt_core, qt_module
from .rows import Filter, Glow, Rank, RowChanges, Rows, as_qt_value, as_text, runs

if TYPE_CHECKING:
    from ..index.changes import Changes

__all__ = ["QtGlow", "Signal", "StoreTableModel"]

QtCore: Any = qt_core()
#: Declares a signal; PySide6 and PyQt6 have different names for it.
Signal: Any = getattr(QtCore, "Signal", None) or QtCore.pyqtSignal
_Qt = QtCore.Qt
_NO_PARENT = QtCore.QModelIndex()
_RIGHT = _Qt.AlignmentFlag.AlignRight | _Qt.AlignmentFlag.AlignVCenter


class QtGlow(QtCore.QObject):  # type: ignore[misc]
    """A `Glow` in a color, with a timer that runs while any key glows.

    Parameters
    ----------
    color : str
        A name that Qt knows, or ``#RRGGBB``.
    parent : QObject
        The owner.

    Raises
    ------
    ValueError
        Qt does not know the color.
    """

    #: Emitted when rows are to be repainted, first in full color and last without any.
    faded = Signal()

    def __init__(self, color: str, parent: Any) -> None:
        super().__init__(parent)
        # Imported here: a program without glow need not have QtGui.
        self._color_of = qt_module(QtCore, "QtGui").QColor
        self._color = self._color_of(color)
        if not self._color.isValid():
            raise ValueError(f"Qt knows no color {color!r}; give '#ffc233', for example")
        self._glow = Glow()
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(tuning.FRAME_MILLISECONDS)
        self._timer.timeout.connect(self._fade)

    def light(self, keys: Set[str]) -> None:
        """Let keys glow from now on."""
        if keys:
            self._glow.light(keys, time.monotonic())
            self._timer.start()
            self.faded.emit()

    def color(self, key: str) -> Any:
        """Return the color of a key, which fades; None if the key does not glow."""
        strength = self._glow.strength(key, time.monotonic())
        if not strength:
            return None
        color = self._color_of(self._color)
        color.setAlphaF(strength)
        return color

    def _fade(self) -> None:
        if self._glow.is_out(time.monotonic()):
            self._timer.stop()
        self.faded.emit()


class StoreTableModel(QtCore.QAbstractTableModel):  # type: ignore[misc]
    """The entries of a store as rows: the key, and a choice of fields.

    Rows are in key order at first.  A poll that finds changes inserts,
    updates and removes only the rows concerned, so that selection and scroll
    position stay.  The model keeps only the keys; metadata is decoded when a
    cell is painted.

    A poll that fails changes no rows, and they stay after a `disconnect`.

    Parameters
    ----------
    store : StaticStore or view
        A connected store, which the model follows until it is disconnected.
    fields : iterable of str
        The fields to show, in columns after that of the key.
    parent : QObject, optional
        The owner.
    glow : str, optional
        A color, such as ``"#ffc233"``, for the background of rows that were
        set or updated; it fades in a second.  By default none.  A proxy model
        on top of this one would process all rows for each frame of it.

    Raises
    ------
    NotConnectedError
        The store is not connected.
    ValueError
        Qt does not know the color.

    Notes
    -----
    Like every model, it must be used in the thread of its event loop.  The
    display role returns text; the user role the value of the field, or the
    key.  With 100,000 entries it is created in 0.1 s, and filtered by text or
    sorted by a field in a quarter of a second; changes are applied a few
    milliseconds at a time.  A lazy store fetches its whole index.

    Examples
    --------
    ::

        model = StoreTableModel(store, fields=["title", "size"], parent=window)
        table.setModel(model)
        table.sortByColumn(0, Qt.SortOrder.AscendingOrder)  # the default is descending
        table.setSortingEnabled(True)
        search.textChanged.connect(model.set_filter)
        model.changed.connect(lambda changes: status.showMessage(f"{len(changes)} changes"))
    """

    #: Emitted with the `Changes` of a poll when the rows show all of them.
    changed = Signal(object)

    def __init__(
        self,
        store: LiveStore,
        fields: Iterable[str],
        parent: Any = None,
        *,
        glow: str | None = None,
    ) -> None:
        super().__init__(parent)
        self._fields = selection(fields) or ()
        self._glow = None if glow is None else QtGlow(glow, self)
        if self._glow is not None:
            self._glow.faded.connect(self._paint_background)
        self._is_descending = False
        # Large changes are applied in slices, so that the window stays responsive.
        self._steps: deque[tuple[Changes, Iterator[None]]] = deque()
        self._is_stepping = False
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._apply_some)
        # Weak: the store holds what it calls, and only the window must hold the model.
        callback = functools.partial(_deliver, weakref.ref(self))
        subscription, index = subscribe_with_snapshot(store, callback, qt_dispatch(self))
        self.destroyed.connect(subscription.close)
        # Held by the timer, which is destroyed after that signal: Qt does not hold the object of
        # a connected method, and PySide crashes if it is destroyed with the model.
        self._timer.setProperty("subscription", subscription)
        self._subscription = subscription
        self._rows = Rows(index, Filter(self._fields))

    # -- for the program --------------------------------------------------------

    def key(self, row: int) -> str:
        """Return the key of a row."""
        return self._rows.key(self._mirrored(row))

    def metadata(self, row: int) -> dict[str, Any]:
        """Return a copy of the metadata of a row, with all fields."""
        return self._rows.index[self.key(row)]

    def row(self, key: str) -> int | None:
        """Return the row of a key; None if it is not shown."""
        position = self._rows.position(key)
        return None if position is None else self._mirrored(position)

    def set_filter(self, text: str = "", *, where: Where | None = None, **equals: Any) -> None:
        """Show only the entries that match all conditions; without any, all entries.

        Parameters
        ----------
        text : str, optional
            A text in the key or in a field that is shown; case is ignored.
        where, **equals
            As in `StaticStore.query`.

        Raises
        ------
        TypeError
            `where` is not a mapping.  An exception of a condition is raised
            as well; the rows then stay as they were.
        RuntimeError
            It is called by a slot of the model's own signals.
        """
        self._apply_all()
        new_filter = Filter(self._fields, text, where, equals)
        rows = Rows(self._rows.index, new_filter, self._rows.by)
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def close(self) -> None:
        """Stop following the store; the rows stay.  Idempotent."""
        self._subscription.close()

    # -- for Qt --------------------------------------------------------------------------

    def rowCount(self, parent: Any = _NO_PARENT) -> int:
        """Return the number of rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Any = _NO_PARENT) -> int:
        """Return the number of columns: the key and the fields."""
        return 0 if parent.isValid() else 1 + len(self._fields)

    def headerData(
        self, section: int, orientation: Any, role: int = _Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the name of a column."""
        is_title = (
            orientation == _Qt.Orientation.Horizontal and role == _Qt.ItemDataRole.DisplayRole
        )
        if is_title and 0 <= section <= len(self._fields):
            return ("key", *self._fields)[section]
        return super().headerData(section, orientation, role)

    def data(self, index: Any, role: int = _Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell (display role), or its value (user role)."""
        roles = _Qt.ItemDataRole
        if not index.isValid() or role not in _ROLES:
            return None
        value: Any = self.key(index.row())
        if role == roles.BackgroundRole:
            return None if self._glow is None else self._glow.color(value)
        if index.column():
            # An entry may turn out to be invalid when it is first decoded, and is gone then.
            metadata = self._rows.index.get(value, {})
            value = metadata.get(self._fields[index.column() - 1])
        if role == roles.TextAlignmentRole:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return _RIGHT if is_number else None
        return as_text(value) if role == roles.DisplayRole else as_qt_value(value)

    def sort(self, column: int, order: Any = _Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column: the key costs nothing, a field is decoded in all entries."""
        self._apply_all()
        by = self._fields[column - 1] if column > 0 else None
        rows = Rows(self._rows.index, self._rows.filter, by) if by != self._rows.by else self._rows
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        keys = [self.key(index.row()) for index in before]
        self._rows, self._is_descending = rows, order == _Qt.SortOrder.DescendingOrder
        after = [
            self.index(self.row(key), index.column())
            for key, index in zip(keys, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    # -- for the store -------------------------------------------------------------------

    def take(self, changes: Changes) -> None:
        """Apply the changes of a poll; the store calls this."""
        self._steps.append((changes, self._steps_of(changes)))
        self._apply_some()

    def _apply_some(self) -> None:
        if self._is_stepping:  # in the loop of a dialog that a step has opened; it continues later
            return
        end = time.monotonic() + tuning.SLICE_SECONDS
        while self._steps:
            if time.monotonic() >= end:
                self._timer.start()
                return
            self._step()

    def _apply_all(self) -> None:
        if self._is_stepping:
            raise RuntimeError("a slot of the model's own signals can neither filter nor sort it")
        while self._steps:
            self._step()

    def _step(self) -> None:
        changes, steps = self._steps[0]
        self._is_stepping = True
        try:
            is_done = next(steps, self) is self
        finally:
            self._is_stepping = False
        if is_done:
            self._steps.popleft()
            self.changed.emit(changes)

    def _steps_of(self, changes: Changes) -> Iterator[None]:
        # At each step, rows and snapshot are consistent.
        rows, pending, lit = self._rows, RowChanges([], [], [], []), set[str]()
        for change in changes:
            rows.add_to(pending, change)
            if self._glow is not None and change.after is not None:
                lit.add(change.key)
            yield
        for run in runs(sorted(pending.gone)):
            self.beginRemoveRows(_NO_PARENT, *self._ends(run, len(rows)))
            rows.remove(run)
            self.endRemoveRows()
            yield
        rows.index = changes.index  # until here removed rows had metadata, from here new ones do
        places: dict[int, list[Rank]] = {}
        for rank in sorted(pending.new):
            places.setdefault(rows.place(rank), []).append(rank)
            yield
        for place, ranks in reversed(places.items()):
            run = range(place, place + len(ranks))
            self.beginInsertRows(_NO_PARENT, *self._ends(run, len(rows) + len(ranks)))
            rows.insert(place, ranks)
            self.endInsertRows()
            yield
        for before, after in pending.moved:
            self._move(before, after)
            yield
        changed: list[int] = []
        for rank in (*pending.updated, *(after for _, after in pending.moved)):
            changed.append(rows.place(rank))
            yield
        for run in runs(sorted(changed)):
            first, last = self._ends(run, len(rows))
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(self._fields)))
            yield
        if self._glow is not None:
            self._glow.light(lit)

    def _paint_background(self) -> None:
        # One signal for all rows: Qt repaints only those on the screen.
        if count := len(self._rows):
            ends = self.index(0, 0), self.index(count - 1, len(self._fields))
            self.dataChanged.emit(*ends, [_Qt.ItemDataRole.BackgroundRole])

    def _move(self, before: Rank, after: Rank) -> None:
        rows = self._rows
        here, there = rows.place(before), rows.place(after)
        is_moved = there not in (here, here + 1)
        if is_moved:
            row = self._mirrored(here)
            # For Qt the target is the row that it is inserted before.
            target = len(rows) - there if self._is_descending else there
            self.beginMoveRows(_NO_PARENT, row, row, _NO_PARENT, target)
        rows.move(before, after)
        if is_moved:
            self.endMoveRows()

    def _mirrored(self, row: int) -> int:
        # Of a position in `Rows` the row of the table, and the reverse.
        return len(self._rows) - 1 - row if self._is_descending else row

    def _ends(self, run: range, count: int) -> tuple[int, int]:
        if self._is_descending:
            return count - run.stop, count - 1 - run.start
        return run.start, run.stop - 1


_ROLES = frozenset(
    [
        _Qt.ItemDataRole.BackgroundRole,
        _Qt.ItemDataRole.DisplayRole,
        _Qt.ItemDataRole.TextAlignmentRole,
        _Qt.ItemDataRole.UserRole,
    ]
)


def _deliver(reference: weakref.ref[StoreTableModel], changes: Changes) -> None:
    if (model := reference()) is not None:
        model.take(changes)
