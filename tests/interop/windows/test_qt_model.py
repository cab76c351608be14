"""A table model of Qt on a store with a real server, checked by Qt's model tester."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    Index,
    JoinedStore,
    MountedStore,
    NotConnectedError,
    StaticStore,
    publish,
)
from staticstore.index import fields
from staticstore.interop.qt_core import qt_core, qt_module
from staticstore.interop.qt_model import StoreTableModel
from staticstore.query import ge
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.servers import Nginx

QtCore: Any = qt_core()
QtTest: Any = qt_module(QtCore, "QtTest")
QtWidgets: Any = qt_module(QtCore, "QtWidgets")

Qt = QtCore.Qt
UP, DOWN = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder
FIELDS = ["title", "size"]
ENTRIES: dict[str, Any] = {
    "a.tif": {"title": "Relief", "size": 30, "type": "raster"},
    "b.csv": {"title": "Stations", "size": 4, "type": "table"},
    "c.tif": {"title": "Slope", "type": "raster"},
    "d.csv": {"title": "Weather", "size": 200, "type": "table"},
}


class Scene:
    """A site, a store, a model of it, the signals of the model, and Qt's tester."""

    def __init__(
        self, site: MemorySite, qtbot: Any, entries: dict[str, Any], is_watched: bool
    ) -> None:
        self.site = site
        site.write(entries)
        self.store = site.open()
        self.qtbot = qtbot
        self.model = StoreTableModel(self.store, FIELDS)
        if is_watched:
            mode = QtTest.QAbstractItemModelTester.FailureReportingMode.Warning
            self.tester = QtTest.QAbstractItemModelTester(self.model, mode)
        self.received: list[Any] = []
        model = self.model
        model.rowsInserted.connect(
            lambda _, first, last: self.received.append(("new", first, last))
        )
        model.rowsRemoved.connect(
            lambda _, first, last: self.received.append(("gone", first, last))
        )
        model.rowsMoved.connect(lambda *_: self.received.append("moved"))
        model.dataChanged.connect(
            lambda first, last, *_: self.received.append(("changed", first.row(), last.row()))
        )
        model.modelReset.connect(lambda: self.received.append("reset"))

    def change(self, entries: dict[str, Any] | bytes) -> None:
        """Let another thread poll a change, and let the window apply it."""
        self.site.write(entries)
        if Call(self.store.update_index).result():
            self.wait()

    def wait(self) -> None:
        """Run the window until nothing is waiting."""
        settled: list[None] = []
        QtCore.QTimer.singleShot(20, lambda: settled.append(None))
        is_done = lambda: bool(settled) and not self.model._steps  # noqa: E731
        self.qtbot.waitUntil(is_done, timeout=int(TIMEOUT * 1000))

    @property
    def keys(self) -> list[str]:
        return [self.model.key(row) for row in range(self.model.rowCount())]

    def cells(self, column: int, role: Any = Qt.ItemDataRole.DisplayRole) -> list[Any]:
        """Return the data of a column's cells."""
        model = self.model
        return [model.data(model.index(row, column), role) for row in range(model.rowCount())]


@pytest.fixture
def open_scene(site: MemorySite, qtbot: Any) -> Iterator[Callable[..., Scene]]:
    scenes: list[Scene] = []

    def open_scene(entries: dict[str, Any] = ENTRIES, *, is_watched: bool = True) -> Scene:
        scenes.append(Scene(site, qtbot, entries, is_watched))
        return scenes[-1]

    yield open_scene
    for scene in scenes:
        scene.store.disconnect()


@pytest.fixture
def scene(open_scene: Callable[..., Scene]) -> Scene:
    return open_scene()


# -- cells ------------------------------------------------------------------------------------


def test_rows_are_entries_in_key_order(scene: Scene) -> None:
    assert scene.keys == list(ENTRIES)


def test_columns_are_the_key_and_the_fields(scene: Scene) -> None:
    titles = [
        scene.model.headerData(column, Qt.Orientation.Horizontal)
        for column in range(scene.model.columnCount())
    ]
    assert titles == ["key", "title", "size"]


def test_cells_show_text_or_nothing_for_missing_fields(scene: Scene) -> None:
    assert scene.cells(0) == list(ENTRIES)
    assert scene.cells(1) == ["Relief", "Stations", "Slope", "Weather"]
    assert scene.cells(2) == ["30", "4", "", "200"]


def test_the_user_role_returns_the_values(scene: Scene) -> None:
    assert scene.cells(2, Qt.ItemDataRole.UserRole) == [30, 4, None, 200]


def test_an_integer_too_large_for_qt_is_text(scene: Scene) -> None:
    huge = 2**63
    scene.change({"a": {"size": huge}, "b": {"size": [-huge - 1]}, "c": {"size": -huge}})
    assert scene.cells(2, Qt.ItemDataRole.UserRole) == [str(huge), [str(-huge - 1)], -huge]


def test_numbers_are_aligned_right(scene: Scene) -> None:
    role = Qt.ItemDataRole.TextAlignmentRole
    assert [bool(alignment) for alignment in scene.cells(2, role)] == [True, True, False, True]
    assert scene.cells(1, role) == [None] * 4


def test_row_metadata_and_row_of_a_key_can_be_looked_up(scene: Scene) -> None:
    assert scene.model.metadata(1) == ENTRIES["b.csv"]
    assert scene.model.row("c.tif") == 2
    assert scene.model.row("nowhere") is None


def test_qts_model_tester_accepts_it(scene: Scene, qtmodeltester: Any) -> None:
    qtmodeltester.check(scene.model)


def test_a_single_string_for_fields_is_a_type_error(scene: Scene) -> None:
    with pytest.raises(TypeError):
        StoreTableModel(scene.store, "title")


# -- changes ----------------------------------------------------------------------------------


def test_a_new_entry_is_inserted_as_a_row_at_its_place(scene: Scene) -> None:
    scene.change({**ENTRIES, "b.tif": {"title": "New"}})
    assert scene.received == [("new", 2, 2)]
    assert scene.keys == ["a.tif", "b.csv", "b.tif", "c.tif", "d.csv"]


def test_adjacent_new_entries_are_inserted_together(scene: Scene) -> None:
    scene.change({**ENTRIES, "b1": {}, "b2": {}, "b3": {}, "e": {}})
    assert scene.received == [("new", 4, 4), ("new", 2, 4)]


def test_deleted_entries_are_removed_adjacent_ones_together(
    scene: Scene,
) -> None:
    scene.change({"c.tif": ENTRIES["c.tif"]})
    assert scene.received == [("gone", 3, 3), ("gone", 0, 1)]
    assert scene.keys == ["c.tif"]


def test_an_update_changes_only_its_row(scene: Scene) -> None:
    scene.change({**ENTRIES, "b.csv": {"title": "Anew"}})
    assert scene.received == [("changed", 1, 1)]
    assert scene.cells(1)[1] == "Anew"


def test_a_poll_with_all_kinds_of_changes_is_no_reset(scene: Scene) -> None:
    entries = {**ENTRIES, "a.tif": {}, "e": {}}
    del entries["c.tif"]
    scene.change(entries)
    assert scene.received == [("gone", 2, 2), ("new", 3, 3), ("changed", 0, 0)]


def test_the_selection_stays_while_rows_are_inserted_and_removed(scene: Scene) -> None:
    selected = QtCore.QPersistentModelIndex(scene.model.index(2, 0))
    scene.change({"B": {}, "C": {}, "c.tif": {"title": "Anew"}})
    assert scene.model.key(selected.row()) == "c.tif"


def test_a_poller_and_a_published_site_on_nginx(
    qtbot: Any, tmp_path: Path, open_scene: Callable[..., Scene]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "b.txt").write_text("b")
    publish(tmp_path)
    with Nginx(tmp_path) as nginx, StaticStore(nginx.url, poll_interval=0.05) as store:
        model = StoreTableModel(store, ["size"])
        (tmp_path / "data" / "a.txt").write_text("first")
        (tmp_path / "data" / "b.txt").unlink()
        (tmp_path / "data" / "c.txt").write_text("c")
        publish(tmp_path)
        qtbot.waitUntil(lambda: model.row("b.txt") is None, timeout=int(TIMEOUT * 1000))
        shown = [(model.key(row), model.data(model.index(row, 1))) for row in range(2)]
    assert shown == [("a.txt", "5"), ("c.txt", "1")]


# -- filters ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        ("", {"type": "raster"}, ["a.tif", "c.tif"]),
        ("", {"where": {"size": None}}, ["c.tif"]),
        ("", {"size": lambda size: size > 10}, ["a.tif", "d.csv"]),
        ("TIF", {}, ["a.tif", "c.tif"]),  # in a key
        ("weath", {}, ["d.csv"]),  # in a field, in any case
        ("20", {}, ["d.csv"]),  # in a number as it is shown
        ("raster", {}, []),  # in a field that is not shown
        ("s", {"type": "raster"}, ["c.tif"]),
        ("", {}, list(ENTRIES)),
    ],
    ids=str,
)
def test_a_filter_shows_the_results_of_a_query_that_contain_a_text(
    scene: Scene, text: str, query: dict[str, Any], expected: list[str]
) -> None:
    scene.model.set_filter("nothing at all")
    assert scene.keys == []
    scene.model.set_filter(text, **query)
    assert scene.keys == expected


def test_an_entry_appears_and_disappears_as_it_matches_the_filter(scene: Scene) -> None:
    scene.model.set_filter(type="raster")
    scene.received.clear()
    scene.change({**ENTRIES, "b.csv": {"type": "raster"}, "x": {"type": "table"}})
    assert (scene.received, scene.keys) == ([("new", 1, 1)], ["a.tif", "b.csv", "c.tif"])
    scene.received.clear()
    scene.change({**ENTRIES, "a.tif": {"type": "table"}})
    assert (scene.received, scene.keys) == ([("gone", 0, 1)], ["c.tif"])


def test_a_condition_that_raises_is_the_callers_error_and_changes_nothing(scene: Scene) -> None:
    with pytest.raises(TypeError):
        scene.model.set_filter(title=lambda title: title > 5)
    assert scene.keys == list(ENTRIES)


def test_g7_a_condition_that_raises_for_a_change_hides_that_entry(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.model.set_filter(size=lambda size: size > 5)
    scene.change({**ENTRIES, "a.tif": {"size": "large"}, "e": {"size": 6}})
    assert scene.keys == ["d.csv", "e"]
    assert len(caplog.records) == 1


# -- sorting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "order", "expected"),
    [
        (0, DOWN, ["d.csv", "c.tif", "b.csv", "a.tif"]),
        (1, UP, ["a.tif", "c.tif", "b.csv", "d.csv"]),
        (1, DOWN, ["d.csv", "b.csv", "c.tif", "a.tif"]),
        (2, UP, ["c.tif", "b.csv", "a.tif", "d.csv"]),
        (0, UP, list(ENTRIES)),
        (-1, UP, list(ENTRIES)),  # no column: Qt's convention for "unsorted"
    ],
)
def test_rows_can_be_sorted_by_any_column(
    scene: Scene, column: int, order: Any, expected: list[str]
) -> None:
    scene.model.sort(1, DOWN)
    scene.model.sort(column, order)
    assert scene.keys == expected


def test_values_of_several_types_are_sorted_by_type(open_scene: Callable[..., Scene]) -> None:
    values = [None, -1, 2.5, 10, "10", "a", "B", {"a": 1}, [1], [2]]
    shuffled = random.Random(1).sample(range(len(values)), len(values))
    scene = open_scene({str(number): {"size": values[number]} for number in shuffled})
    scene.model.sort(2, UP)
    assert scene.cells(2, Qt.ItemDataRole.UserRole) == [*values[:7], [1], [2], {"a": 1}]


@pytest.mark.parametrize("order", [UP, DOWN])
def test_a_row_moves_when_its_sort_value_changes(scene: Scene, order: Any) -> None:
    scene.model.sort(2, order)
    row = QtCore.QPersistentModelIndex(scene.model.index(scene.model.row("b.csv"), 0))
    scene.received.clear()
    scene.change({**ENTRIES, "b.csv": {"size": 100}})
    assert [one if isinstance(one, str) else one[0] for one in scene.received] == [
        "moved",
        "changed",
    ]
    keys = ["c.tif", "a.tif", "b.csv", "d.csv"]
    assert scene.keys == (keys if order == UP else keys[::-1])
    assert scene.model.key(row.row()) == "b.csv"


def test_the_selection_stays_when_rows_are_sorted(scene: Scene) -> None:
    selected = QtCore.QPersistentModelIndex(scene.model.index(1, 0))
    scene.model.sort(1, DOWN)
    assert scene.model.key(selected.row()) == "b.csv"


def test_a_filter_keeps_the_order(scene: Scene) -> None:
    scene.model.sort(2, DOWN)
    scene.model.set_filter(type="table")
    assert scene.keys == ["d.csv", "b.csv"]


# -- histories --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_after_any_history_the_rows_are_the_results_of_a_query(
    open_scene: Callable[..., Scene], seed: int
) -> None:
    chance = random.Random(seed)
    keys = [f"key {number:02}" for number in range(40)]

    def metadata() -> dict[str, Any]:
        found = {"title": chance.choice(["one", "two", "Three"]), "size": chance.randrange(9)}
        return {field: value for field, value in found.items() if chance.random() < 0.9}

    entries = {key: metadata() for key in chance.sample(keys, 20)}
    scene = open_scene(entries)
    text, query, column, order = "", dict[str, Any](), 0, UP
    for _ in range(25):
        if chance.random() < 0.2:
            text = chance.choice(["", "o", "3", "THREE"])
            query = chance.choice([{}, {"size": 4}, {"title": "one"}])
            scene.model.set_filter(text, where=query)
        if chance.random() < 0.3:
            column, order = chance.choice([0, 1, 2]), chance.choice([UP, DOWN])
            scene.model.sort(column, order)
        for key in chance.sample(keys, chance.choice([1, 3, 15])):
            if chance.random() < 0.4:
                entries.pop(key, None)
            else:
                entries[key] = metadata()
        watched = [QtCore.QPersistentModelIndex(scene.model.index(row, 0)) for row in range(5)]
        before = [scene.model.key(one.row()) if one.isValid() else "" for one in watched]
        scene.received.clear()
        scene.change(entries)
        assert "reset" not in scene.received
        found = [
            key
            for key, fields in scene.store.query(where=query)
            if any(text.casefold() in str(one).casefold() for one in (key, *fields.values()))
        ]
        assert sorted(scene.keys) == found
        if column == 0:
            assert scene.keys == (found if order == UP else found[::-1])
        else:
            values = scene.cells(column, Qt.ItemDataRole.UserRole)
            ranked = [(one is not None, str(one).casefold()) for one in values]
            assert ranked == sorted(ranked, reverse=order == DOWN)
        for one, key in zip(watched, before, strict=True):
            assert not one.isValid() or scene.model.key(one.row()) == key


# -- cost -------------------------------------------------------------------------------------


def test_only_visible_rows_are_decoded(
    open_scene: Callable[..., Scene], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {f"key {number:06}": {"title": "T", "size": number} for number in range(100_000)}
    decoded: list[Any] = []
    visible = fields.visible_metadata

    def noted(raw: Any) -> dict[str, Any]:
        decoded.append(raw)
        return visible(raw)

    site_bytes = Index.from_entries(entries).canonical()
    monkeypatch.setattr("staticstore.index.snapshot.visible_metadata", noted)
    site = MemorySite(site_bytes)
    with site, site.open() as store:
        model = StoreTableModel(store, FIELDS)
        assert model.rowCount() == len(entries)
        assert decoded == []
        view = QtWidgets.QTableView()
        view.setModel(model)
        view.resize(400, 300)
        qtbot.addWidget(view)
        with qtbot.waitExposed(view):
            view.show()
        qtbot.waitUntil(lambda: bool(decoded), timeout=int(TIMEOUT * 1000))
        assert len({bytes(raw) for raw in decoded}) < 100
        view.setModel(None)


@pytest.mark.parametrize("column", [0, 2])
def test_g5_many_changes_are_applied_in_slices_while_the_window_responds(
    open_scene: Callable[..., Scene], column: int
) -> None:
    many = {f"key {number:05}": {"size": number % 7} for number in range(0, 20_000, 2)}
    more = {f"key {number:05}": {"size": number % 5} for number in range(0, 20_000, 3)}
    scene = open_scene(many, is_watched=False)  # the tester checks all rows at each step
    scene.model.sort(column, DOWN)
    scene.site.write(more)
    Call(scene.store.update_index).result()
    seen = count_events(scene, lambda: sorted(scene.keys) == list(more))
    assert seen >= 3  # so many changes take more slices than that
    assert "reset" not in scene.received


def count_events(scene: Scene, condition: Callable[[], bool]) -> int:
    """Run the loop until a condition holds; count its other events meanwhile."""
    counts: list[None] = []
    timer = QtCore.QTimer()
    timer.timeout.connect(lambda: counts.append(None))
    timer.start(0)
    scene.qtbot.waitUntil(condition, timeout=int(TIMEOUT * 1000))
    timer.stop()
    return len(counts)


def test_a_filter_set_meanwhile_sees_the_whole_change(
    open_scene: Callable[..., Scene],
) -> None:
    scene = open_scene(is_watched=False)
    many = {f"key {number:05}": {"size": number % 7} for number in range(10_000)}
    scene.site.write(many)
    Call(scene.store.update_index).result()
    scene.qtbot.waitUntil(lambda: bool(scene.received), timeout=int(TIMEOUT * 1000))
    scene.model.set_filter("99", size=1)
    assert scene.keys == [key for key in many if "99" in key and many[key]["size"] == 1]
    scene.received.clear()
    scene.wait()
    assert scene.received == []


def test_a_slot_of_its_own_signals_cannot_filter_it(scene: Scene) -> None:
    errors: list[RuntimeError] = []

    def filtered() -> None:
        try:
            scene.model.set_filter("a")
        except RuntimeError as error:
            errors.append(error)

    scene.model.rowsInserted.connect(filtered)
    scene.change({**ENTRIES, "e": {}})
    assert len(errors) == 1
    assert scene.keys == [*ENTRIES, "e"]


def test_a_dialog_opened_by_a_slot_delays_the_next_change_until_it_is_closed(
    scene: Scene,
) -> None:
    dialog = QtCore.QEventLoop()
    during: list[list[str]] = []

    def ask() -> None:
        scene.model.rowsInserted.disconnect(ask)
        scene.site.write({"f": {}})
        Call(scene.store.update_index).result()
        QtCore.QTimer.singleShot(50, dialog.quit)
        dialog.exec()
        during.append(scene.keys)

    scene.model.rowsInserted.connect(ask)
    scene.change({**ENTRIES, "e": {}})
    assert during == [[*ENTRIES, "e"]]
    assert scene.keys == ["f"]


# -- signals, and glowing rows ----------------------------------------------------------------


def test_the_changes_of_a_poll_are_signaled_once_after_all_of_them_are_applied(
    scene: Scene,
) -> None:
    received: list[tuple[str, list[str]]] = []
    scene.model.changed.connect(lambda changes: received.append((repr(changes), scene.keys)))
    scene.change({"a.tif": {"title": "Relief 2"}, "e": {}, "f": {}})
    assert received == [("<Changes: 2 set, 1 update, 3 delete>", ["a.tif", "e", "f"])]


def test_a_slot_that_receives_changes_may_filter(scene: Scene) -> None:
    scene.model.changed.connect(lambda changes: scene.model.set_filter("e"))
    scene.change({"a": {}, "e": {}})
    assert scene.keys == ["e"]


def test_large_changes_are_signaled_after_their_last_row(open_scene: Callable[..., Scene]) -> None:
    scene = open_scene(is_watched=False)
    received: list[int] = []
    scene.model.changed.connect(lambda changes: received.append(scene.model.rowCount()))
    scene.site.write({f"{number:05}": {} for number in range(10_000)})
    Call(scene.store.update_index).result()
    scene.qtbot.waitUntil(lambda: bool(received), timeout=int(TIMEOUT * 1000))
    assert received == [10_000]


class GlowingModel:
    """A model with glowing rows, and its signals about changed backgrounds."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.model = StoreTableModel(scene.store, FIELDS, glow="#ffc233")
        mode = QtTest.QAbstractItemModelTester.FailureReportingMode.Warning
        self.tester = QtTest.QAbstractItemModelTester(self.model, mode)
        self.received: list[tuple[int, int]] = []
        self.model.dataChanged.connect(self.tell)

    def tell(self, first: Any, last: Any, roles: Any) -> None:
        if [int(role) for role in roles] == [int(Qt.ItemDataRole.BackgroundRole)]:
            self.received.append((first.row(), last.row()))

    @property
    def strengths(self) -> list[float]:
        """Return the strength of the glow of each row."""
        role = Qt.ItemDataRole.BackgroundRole
        cells = [self.model.index(row, 1) for row in range(self.model.rowCount())]
        colors = [self.model.data(cell, role) for cell in cells]
        assert {color.name() for color in colors if color} <= {"#ffc233"}
        return [color.alphaF() if color else 0.0 for color in colors]

    def change(self, entries: dict[str, Any]) -> None:
        """Let a change be polled, and run the window only until it is applied."""
        received: list[Any] = []
        self.model.changed.connect(received.append)
        self.scene.site.write(entries)
        Call(self.scene.store.update_index).result()
        self.until(lambda: bool(received))

    def until(self, condition: Callable[[], bool]) -> None:
        self.scene.qtbot.waitUntil(condition, timeout=int(TIMEOUT * 1000))


@pytest.fixture
def glowing(scene: Scene) -> GlowingModel:
    return GlowingModel(scene)


def test_set_and_updated_rows_fade_for_a_second(glowing: GlowingModel) -> None:
    assert glowing.strengths == [0] * 4
    glowing.change({**ENTRIES, "a.tif": {"title": "Relief 2"}, "e": {}})
    first = glowing.strengths
    assert [strength > 0 for strength in first] == [True, False, False, False, True]
    glowing.until(lambda: 0 < glowing.strengths[0] < first[0])
    glowing.until(lambda: glowing.strengths == [0] * 5)


def test_no_time_is_spent_when_nothing_glows_any_more(glowing: GlowingModel) -> None:
    glowing.change({**ENTRIES, "e": {}})
    timers = glowing.model.findChildren(QtCore.QTimer)
    assert any(timer.isActive() for timer in timers)
    glowing.until(lambda: not any(timer.isActive() for timer in timers))
    assert glowing.strengths == [0] * 5
    assert set(glowing.received) == {
        (0, 4)
    }  # one signal for all rows, the last one when all have faded


def test_the_glow_belongs_to_the_entry_wherever_it_moves(glowing: GlowingModel) -> None:
    glowing.model.sort(0, DOWN)
    glowing.change({**ENTRIES, "e": {}})
    assert [strength > 0 for strength in glowing.strengths] == [True, False, False, False, False]
    glowing.model.set_filter("e")
    assert [glowing.model.key(row) for row, glow in enumerate(glowing.strengths) if glow] == ["e"]


def test_for_ten_thousand_glowing_rows_there_is_one_signal_at_a_time(glowing: GlowingModel) -> None:
    many = 10_000
    glowing.tester.deleteLater()  # it would check all rows each time
    QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    glowing.change({f"{number:05}": {} for number in range(many)})
    # A machine that is busy for a second paints only the first and the last step of the glow.
    glowing.until(lambda: len(glowing.received) > 1)
    assert set(glowing.received) == {(0, many - 1)}


def test_a_model_without_glow_has_no_background(scene: Scene) -> None:
    scene.change({**ENTRIES, "e": {}})
    assert scene.cells(1, Qt.ItemDataRole.BackgroundRole) == [None] * 5


def test_an_unknown_color_is_a_value_error(scene: Scene) -> None:
    with pytest.raises(ValueError, match="no color 'ambre'"):
        StoreTableModel(scene.store, FIELDS, glow="ambre")


# -- references ------------------------------------------------------------------------------


def test_only_the_last_snapshot_is_referenced(scene: Scene) -> None:
    reference = weakref.ref(scene.store.index)
    scene.change({**ENTRIES, "e": {}})
    scene.change({"f": {}})
    gc.collect()
    assert reference() is None


# -- errors ----------------------------------------------------------------------------------


def test_a_store_that_is_not_connected_has_no_model(site: MemorySite, qtbot: Any) -> None:
    with pytest.raises(NotConnectedError):
        StoreTableModel(StaticStore(site.url), FIELDS)


@pytest.mark.parametrize("status", [401, 404, 503])
def test_g6_while_a_host_refuses_the_rows_stay_and_later_changes_follow(
    qtbot: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with MemorySite(b'{"a": {}}') as site:
        store = StaticStore(site.url, poll_interval=0.02).connect(retries=0)
        with store:
            model = StoreTableModel(store, FIELDS)
            site.spoil(lambda request, wire: wire.response(status))
            qtbot.waitUntil(lambda: store.info()["last_error"] is not None, timeout=20_000)
            assert model.rowCount() == 1
            site.restore()
            site.write({"a": {}, "b": {}})
            store.update_index()
            qtbot.waitUntil(lambda: model.rowCount() == 2, timeout=20_000)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": NaN}', b"[]"], ids=repr)
def test_g6_while_the_index_is_invalid_the_rows_stay_and_later_changes_follow(
    scene: Scene, body: bytes
) -> None:
    scene.site.write(body)
    with pytest.raises(ValueError, match="index"):
        scene.store.update_index()
    scene.wait()
    assert (scene.keys, scene.received) == (list(ENTRIES), [])
    scene.change({**ENTRIES, "e": {}})
    assert scene.keys == [*ENTRIES, "e"]


def test_an_entry_that_becomes_invalid_is_removed(scene: Scene) -> None:
    scene.change({**ENTRIES, "b.csv": "no object"})
    assert scene.received == [("gone", 1, 1)]


def test_after_a_disconnect_the_rows_stay_and_the_next_connect_applies_changes(
    scene: Scene,
) -> None:
    scene.store.disconnect()
    scene.site.write({**ENTRIES, "e": {}})
    scene.wait()
    assert scene.cells(1) == ["Relief", "Stations", "Slope", "Weather"]
    Call(lambda: scene.store.connect(retries=0)).result()
    scene.wait()
    assert (scene.received, scene.keys) == ([("new", 4, 4)], [*ENTRIES, "e"])


def test_a_closed_model_keeps_its_rows_and_receives_nothing_more(scene: Scene) -> None:
    scene.model.close()
    scene.model.close()
    scene.change({})
    assert scene.keys == list(ENTRIES)


def test_a_model_ends_with_its_window(
    site: MemorySite, qtbot: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site.write(ENTRIES)
    with site.open() as store:
        window = QtWidgets.QWidget()
        StoreTableModel(store, FIELDS, parent=window)
        window.deleteLater()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
        site.write({})
        store.update_index()
    assert caplog.records == []


def test_a_model_without_references_is_collected(site: MemorySite, qtbot: Any) -> None:
    with site.open() as store:
        reference = weakref.ref(StoreTableModel(store, FIELDS))
        gc.collect()
        assert reference() is None
        site.write({"a": {}})
        store.update_index()


def test_a_model_may_hold_the_last_reference_to_its_store(site: MemorySite, qtbot: Any) -> None:
    window = QtCore.QObject()
    for _ in range(30):
        store = site.open()
        model = StoreTableModel(store, FIELDS, window)
        store.disconnect()
        del store
        model.deleteLater()
        del model
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)


def test_a_model_shows_a_view_and_follows_it(scene: Scene, qtbot: Any) -> None:
    view = JoinedStore([MountedStore({"maps/": scene.store}), scene.store.below("d")])
    model = StoreTableModel(view, FIELDS)
    model.set_filter(size=ge(30))
    model.sort(2, DOWN)

    def keys() -> list[str]:
        return [model.key(row) for row in range(model.rowCount())]

    assert keys() == ["maps/d.csv", ".csv", "maps/a.tif"]
    scene.change({**ENTRIES, "b.tif": {"size": 100}, "d.csv": {"size": 5}})
    qtbot.waitUntil(lambda: keys() == ["maps/b.tif", "maps/a.tif"], timeout=int(TIMEOUT * 1000))
