"""A table of Qt that shows a store, and what changes in it as it changes.

Importing this module imports Qt: PySide6 or PyQt6, whichever the program has
imported before, and PySide6 if it has neither.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..client.store import StaticStore, follow
from ..index.changes import Changes
from ..index.query import selection
from .desktop import qt_dispatch
from .qt_core import qt_core
from .qt_glow import QtGlow, Signal
from .rows import Filter, Rank, Rows, Step, as_qt_value, as_text, runs

__all__ = ["StoreTableModel"]

QtCore: Any = qt_core()
_Qt = QtCore.Qt
# Seconds of steps in a row: less than half of a frame.
_SLICE = 0.005
_NOWHERE = QtCore.QModelIndex()
_RIGHT = _Qt.AlignmentFlag.AlignRight | _Qt.AlignmentFlag.AlignVCenter


class StoreTableModel(QtCore.QAbstractTableModel):  # type: ignore[misc]
    """The entries of a store as rows: the key, and the fields that are wanted.

    Rows are in key order at first.  Each poll that finds changes inserts,
    changes and removes just the rows that these concern, so that selection
    and scroll position stay.  Of an entry no more is kept than its key; what
    is on the screen is decoded when it is painted.

    A host that cannot be reached, or sends nonsense, changes nothing, and
    after a `disconnect` the rows stay as they were.

    Parameters
    ----------
    store : StaticStore
        It is connected.  While it is, the model follows it.
    fields : iterable of str
        The fields that are shown, in columns after that of the key.
    parent : QObject, optional
        What the model lives with.
    glow : str, optional
        A color, such as ``"#ffc233"``: rows that were set or updated have it as
        their background, which fades in a second.  By default none do.  A proxy
        model above this one would look at all rows for each step of that.

    Raises
    ------
    NotConnectedError
        The store is not connected.
    ValueError
        Qt knows no such color.

    Notes
    -----
    It belongs to the thread of its event loop, as every model.  The display
    role gives text; the user role the value of the field, or the key.  For
    100,000 entries it is made in 0.1 s, filtered by text or sorted by a field
    in a quarter of a second; changes are followed some milliseconds at a time.
    A lazy store becomes whole.

    Examples
    --------
    ::

        model = StoreTableModel(store, fields=["title", "size"], parent=window)
        table.setModel(model)
        table.sortByColumn(0, Qt.SortOrder.AscendingOrder)  # it would begin with descending
        table.setSortingEnabled(True)
        search.textChanged.connect(model.set_filter)
        model.changed.connect(lambda changes: status.showMessage(f"{len(changes)} changes"))
    """

    #: Emitted with the `Changes` of a poll when all of them are in the rows.
    changed = Signal(object)

    def __init__(
        self,
        store: StaticStore,
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
        # Large changes are followed little by little, so that the window never stands still.
        self._steps: deque[tuple[Changes, Iterator[None]]] = deque()
        self._is_stepping = False
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._go_on)
        # The store holds what it calls; the window alone shall hold the model.
        take = functools.partial(_take, weakref.ref(self))
        subscription, index = follow(store, take, qt_dispatch(self))
        self.destroyed.connect(subscription.close)
        # A method that is connected is not held, and PySide crashes if its object goes with the
        # model; timers go after that signal.
        self._timer.setProperty("subscription", subscription)
        self._subscription = subscription
        self._rows = Rows(index, Filter(self._fields))

    # -- what a program asks and says -----------------------------------------------------

    def key(self, row: int) -> str:
        """Return the key of a row."""
        return self._rows.key(self._turned(row))

    def metadata(self, row: int) -> dict[str, Any]:
        """Return the metadata of a row, all fields of it: a copy of the caller's own."""
        return self._rows.index[self.key(row)]

    def row(self, key: str) -> int | None:
        """Return the row of a key, None if it is not shown."""
        position = self._rows.position(key)
        return None if position is None else self._turned(position)

    def set_filter(
        self, text: str = "", *, where: Mapping[str, Any] | None = None, **equals: Any
    ) -> None:
        """Show only entries that fulfill all that is said here; without it, all of them.

        Parameters
        ----------
        text : str, optional
            What stands in the key or in a field that is shown, in whatever case.
        where, **equals
            As in `StaticStore.query`.

        Raises
        ------
        TypeError
            `where` is no mapping.  What a condition raises is raised, too; the
            rows then stay as they were.
        RuntimeError
            It is called by a slot of the model's own signals.
        """
        self._finish()
        shown = Filter(self._fields, text, where, equals)
        rows = Rows(self._rows.index, shown, self._rows.by)
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def close(self) -> None:
        """Follow the store no more; the rows stay.  Idempotent."""
        self._subscription.close()

    # -- what Qt asks ---------------------------------------------------------------------

    def rowCount(self, parent: Any = _NOWHERE) -> int:
        """Count the rows."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Any = _NOWHERE) -> int:
        """Count the columns: that of the key, and the fields."""
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
        """Return what a cell shows (display role), or its value (user role)."""
        roles = _Qt.ItemDataRole
        if not index.isValid() or role not in _ROLES:
            return None
        value: Any = self.key(index.row())
        if role == roles.BackgroundRole:
            return None if self._glow is None else self._glow.color(value)
        if index.column():
            # An entry may turn out bad when it is first decoded, and is none any more.
            metadata = self._rows.index.get(value, {})
            value = metadata.get(self._fields[index.column() - 1])
        if role == roles.TextAlignmentRole:
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            return _RIGHT if is_number else None
        return as_text(value) if role == roles.DisplayRole else as_qt_value(value)

    def sort(self, column: int, order: Any = _Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column: by key at no cost, by a field at that of decoding it everywhere."""
        self._finish()
        by = self._fields[column - 1] if column > 0 else None
        rows = Rows(self._rows.index, self._rows.shown, by) if by != self._rows.by else self._rows
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

    # -- what the store says --------------------------------------------------------------

    def take(self, changes: Changes) -> None:
        """Go on to the next snapshot; the store calls this."""
        self._steps.append((changes, self._steps_to(changes)))
        self._go_on()

    def _go_on(self) -> None:
        """Take steps for some milliseconds, and the others when the window has lived a little."""
        if self._is_stepping:  # in a dialog that was opened at a step: what is below goes on
            return
        end = time.monotonic() + _SLICE
        while self._steps:
            if time.monotonic() >= end:
                self._timer.start()
                return
            self._step()

    def _finish(self) -> None:
        """Take all steps that are left."""
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

    def _steps_to(self, changes: Changes) -> Iterator[None]:
        """Follow the changes of a poll; rows and snapshot fit each other at each step."""
        rows, step, lit = self._rows, Step([], [], [], []), set[str]()
        for change in changes:
            rows.take(change, step)
            if self._glow is not None and change.after is not None:
                lit.add(change.key)
            yield
        for run in runs(sorted(step.gone)):
            self.beginRemoveRows(_NOWHERE, *self._ends(run, len(rows)))
            rows.remove(run)
            self.endRemoveRows()
            yield
        rows.index = changes.index  # what is gone could be decoded until now, what is new from now
        places: dict[int, list[Rank]] = {}
        for rank in sorted(step.new):
            places.setdefault(rows.place(rank), []).append(rank)
            yield
        for place, ranks in reversed(places.items()):
            run = range(place, place + len(ranks))
            self.beginInsertRows(_NOWHERE, *self._ends(run, len(rows) + len(ranks)))
            rows.insert(place, ranks)
            self.endInsertRows()
            yield
        for before, after in step.moved:
            self._move(before, after)
            yield
        changed: list[int] = []
        for rank in (*step.kept, *(after for _, after in step.moved)):
            changed.append(rows.place(rank))
            yield
        for run in runs(sorted(changed)):
            first, last = self._ends(run, len(rows))
            self.dataChanged.emit(self.index(first, 0), self.index(last, len(self._fields)))
            yield
        if self._glow is not None:
            self._glow.light(lit)

    def _paint_background(self) -> None:
        """Have the rows painted anew by one signal, however many they are."""
        if count := len(self._rows):
            ends = self.index(0, 0), self.index(count - 1, len(self._fields))
            self.dataChanged.emit(*ends, [_Qt.ItemDataRole.BackgroundRole])

    def _move(self, before: Rank, after: Rank) -> None:
        """Move a row; Qt's target is the row that it comes to stand before."""
        rows = self._rows
        here, there = rows.place(before), rows.place(after)
        is_moved = there not in (here, here + 1)
        if is_moved:
            row = self._turned(here)
            target = len(rows) - there if self._is_descending else there
            self.beginMoveRows(_NOWHERE, row, row, _NOWHERE, target)
        rows.move(before, after)
        if is_moved:
            self.endMoveRows()

    def _turned(self, row: int) -> int:
        """Return the position of a row, or the row of a position."""
        return len(self._rows) - 1 - row if self._is_descending else row

    def _ends(self, run: range, count: int) -> tuple[int, int]:
        """Return the first and the last row of a run of positions, among so many."""
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


def _take(reference: weakref.ref[StoreTableModel], changes: Changes) -> None:
    if (model := reference()) is not None:
        model.take(changes)
