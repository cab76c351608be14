"""The window of examples/browser_qt.py, with real servers."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QFileDialog, QProgressDialog, QPushButton

from staticstore import publish, serve
from tests.client.scene import TIMEOUT, MemorySite, pollers
from tests.servers import Request, Wire
from tests.sites import entry

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))
from browser_qt import Window

POLL = 0.05  # seconds
KEYS = 16  # in the sample site
TABLE, PICTURE, TEXT = "stations/stations.csv", "terrain/relief.png", "places/places.geojson"


class Scene:
    """A window, and the actions of its user."""

    def __init__(self, qtbot: Any) -> None:
        self.qtbot = qtbot
        self.window: Any = Window(poll_interval=POLL)
        qtbot.addWidget(self.window)
        self.window.show()

    def open(self, url: str) -> None:
        """Type an address."""
        self.window.address.setText(url)
        self.qtbot.keyClick(self.window.address, Qt.Key.Key_Return)

    def open_well(self, url: str) -> None:
        """Type the address of a site, and wait until it is shown."""
        self.open(url)
        self.until(lambda: self.window.model is not None)

    def until(self, condition: Callable[[], object]) -> None:
        """Run the window until a condition holds."""
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=int(TIMEOUT * 1000))

    @property
    def keys(self) -> list[str]:
        """The texts of the first column."""
        model = self.window.table.model()
        return [model.index(row, 0).data() for row in range(model.rowCount())]

    @property
    def news(self) -> str:
        """The line with the last action."""
        return str(self.window.statusBar().currentMessage())

    @property
    def state(self) -> str:
        """The status line."""
        return str(self.window.state.text())

    @property
    def preview(self) -> str:
        """The text of the preview."""
        return str(self.window.preview.toPlainText())

    def select(self, key: str) -> None:
        """Choose a row."""
        self.window.table.selectRow(self.keys.index(key))

    def download(self, key: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Choose a row, press the button, and name a file."""
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
        self.select(key)
        self.window.download.click()


@pytest.fixture
def scene(qtbot: Any) -> Iterator[Scene]:
    """An empty window; at the end, check that no store is polling."""
    own = Scene(qtbot)
    yield own
    own.window.close()
    own.until(lambda: not pollers())


@pytest.fixture
def site(sample_site: Path) -> Path:
    """The sample site, published."""
    publish(sample_site)
    return sample_site


@pytest.fixture
def url(site: Path) -> Iterator[str]:
    """The URL of the sample site."""
    with serve(site, port=0) as server:
        yield server.url


@pytest.fixture
def opened(scene: Scene, url: str) -> Scene:
    """The window, showing the sample site."""
    scene.open_well(url)
    return scene


# -- contents ---------------------------------------------------------------------------------


def test_it_shows_the_keys_their_number_and_freshness(opened: Scene) -> None:
    assert len(opened.keys) == KEYS
    opened.until(lambda: opened.state)
    assert opened.state.startswith("last poll 0 s ago")
    assert opened.state.endswith(f"{KEYS} entries")


def test_a_folder_can_be_the_address(scene: Scene, site: Path) -> None:
    scene.open_well(str(site))
    assert len(scene.keys) == KEYS


def test_set_and_updated_rows_appear_and_glow_for_a_second(opened: Scene, site: Path) -> None:
    with (site / "data" / TABLE).open("a") as file:
        file.write("W9,weather,Summit,-19.5,48.2,1574,\n")
    (site / "data" / "hello.txt").write_text("hello")
    publish(site)
    opened.until(lambda: "hello.txt" in opened.keys and "updated" in opened.news)
    assert opened.news == "1 new, 1 updated, 0 deleted"
    assert amber(opened, "hello.txt") > amber(opened, PICTURE)
    assert amber(opened, TABLE) > amber(opened, PICTURE)
    opened.until(lambda: amber(opened, "hello.txt") == amber(opened, PICTURE))
    opened.until(lambda: amber(opened, TABLE) == amber(opened, PICTURE))


def amber(scene: Scene, key: str) -> int:
    """Return how much less blue than red a row is on the screen."""
    table = scene.window.table
    cell = table.visualRect(table.model().index(scene.keys.index(key), 1))
    color = table.viewport().grab().toImage().pixelColor(cell.right() - 3, cell.top() + 2)
    return int(color.red() - color.blue())


def test_a_deleted_row_disappears_from_table_and_preview(opened: Scene, site: Path) -> None:
    opened.select(TABLE)
    opened.until(lambda: "catchment_km2" in opened.preview)
    (site / "data" / TABLE).unlink()
    publish(site)
    opened.until(lambda: TABLE not in opened.keys and "catchment_km2" not in opened.preview)


def test_an_updated_selected_value_is_shown_again(opened: Scene, site: Path) -> None:
    opened.select(TABLE)
    opened.until(lambda: "catchment_km2" in opened.preview)
    (site / "data" / TABLE).write_text("station,place\nW9,Summit\n")
    publish(site)
    opened.until(lambda: "Summit" in opened.preview)


def test_previews_show_pictures_tables_and_text(opened: Scene) -> None:
    document = opened.window.preview.document()
    picture = QTextDocument.ResourceType.ImageResource
    opened.select(PICTURE)
    opened.until(lambda: document.resource(picture, QUrl("value")) is not None)
    assert document.resource(picture, QUrl("value")).width() == 400
    opened.select(TABLE)
    opened.until(lambda: "catchment_km2" in opened.preview)
    assert "<table" in document.toHtml()
    opened.select(TEXT)
    opened.until(lambda: "FeatureCollection" in opened.preview)


def test_markup_in_a_value_is_shown_as_text(opened: Scene, site: Path) -> None:
    (site / "data" / "page.txt").write_text("<b>bold</b> <img src='file:///etc/hosts'>")
    publish(site)
    opened.until(lambda: "page.txt" in opened.keys)
    opened.select("page.txt")
    opened.until(lambda: "<b>bold</b>" in opened.preview)


def test_search_and_type_filter_the_rows_and_later_changes(opened: Scene, site: Path) -> None:
    opened.window.search.setText("ilvar")
    opened.until(lambda: opened.window.types.findText("table") >= 0)
    opened.window.types.setCurrentText("table")
    assert len(opened.keys) == 3
    opened.window.search.setText("WEATHER")
    assert opened.keys == ["measurements/weather-2025.csv", TABLE]
    (site / "data" / "weather.csv").write_text("a,b\n1,2\n")
    (site / "data" / "weather.txt").write_text("rain")
    publish(site)
    opened.until(lambda: "weather.csv" in opened.keys)
    assert "weather.txt" not in opened.keys


def test_a_new_type_can_be_chosen(opened: Scene, site: Path) -> None:
    assert opened.window.types.findText("note") < 0
    (site / "data" / "hello.txt").write_text("hello")
    with (site / "metadata.toml").open("a") as file:
        file.write('["hello.txt"]\ntype = "note"\n')
    publish(site)
    opened.until(lambda: opened.window.types.findText("note") >= 0)
    opened.window.types.setCurrentText("note")
    assert opened.keys == ["hello.txt"]


def test_a_second_address_replaces_the_first(opened: Scene, tmp_path: Path, url: str) -> None:
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    (other / "data" / "hello.txt").write_text("hello")
    publish(other)
    opened.open(str(other))
    opened.until(lambda: opened.window.model is not None and opened.keys == ["hello.txt"])
    opened.until(lambda: len(pollers()) == 1)


def test_a_site_may_have_any_texts(scene: Scene) -> None:
    key = "<img src=x>.txt"
    index = {key: {"type": ["a"], "title": {"b": 1}, "size": 1 << 80}, "b": {"type": 5, "size": -1}}
    with MemorySite(index) as memory:
        scene.open_well(memory.url)
        assert scene.keys == [key, "b"]
        assert scene.window.types.count() == 1
        scene.window.grab()  # painted without an error
        scene.select(key)
        scene.until(lambda: "404" in scene.preview)
        scene.window.close()


# -- downloads --------------------------------------------------------------------------------


def test_a_download_is_verified_with_a_message(
    opened: Scene, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.download(PICTURE, tmp_path / "relief.png", monkeypatch)
    opened.until(lambda: "saved" in opened.news)
    assert (tmp_path / "relief.png").read_bytes() == (site / "data" / PICTURE).read_bytes()
    opened.until(lambda: opened.window.findChild(QProgressDialog) is None)


def test_a_download_shows_its_progress_and_can_be_cancelled(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, go_on = bytes(8 << 20), threading.Event()

    def half(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(value))
        wire.send(value[: 6 << 20])
        wire.wait(go_on)
        wire.send(value[6 << 20 :])

    with MemorySite({"big": entry(value)}) as memory:
        memory.spoil(half, "data/big")
        scene.open_well(memory.url)
        scene.download("big", tmp_path / "big", monkeypatch)
        bar = scene.window.findChild(QProgressDialog)
        scene.until(lambda: bar.isVisible() and 0 < bar.value() < 100)
        assert bar.windowTitle() == "big"
        bar.findChild(QPushButton).click()
        go_on.set()
        scene.until(lambda: "cancelled" in scene.news)
        scene.until(lambda: scene.window.findChild(QProgressDialog) is None)
    assert not (tmp_path / "big").exists()


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9/", "Connection refused"),
        ("/there/is/nothing", "no such folder"),
        ("gopher://host/", "not gopher:"),
        ("", "must not be empty"),
    ],
)
def test_g11_an_address_without_a_site_is_reported_and_another_can_be_entered(
    scene: Scene, site: Path, address: str, words: str
) -> None:
    scene.open(address)
    scene.until(lambda: words in scene.news)
    assert scene.window.model is None
    scene.open_well(str(site))


def test_g12_a_wrong_password_is_asked_for_again(scene: Scene, site: Path) -> None:
    with serve(site, port=0, auth=("ali", "open sesame")) as server:
        scene.open(server.url)
        user, password = scene.window.user, scene.window.secret
        scene.until(password.isVisible)
        user.setText("ali")
        for text in ("wrong", "open sesame"):
            password.setText(text)
            scene.qtbot.keyClick(password, Qt.Key.Key_Return)
            scene.until(lambda: scene.news != "connecting …")
        scene.until(lambda: scene.window.model is not None)
        assert len(scene.keys) == KEYS
        assert not password.isVisible()
        scene.window.close()


def test_g13_an_invalid_index_keeps_the_rows_and_is_followed_again_when_repaired(
    scene: Scene,
) -> None:
    with MemorySite({"a": {}, "b": {}}) as memory:
        scene.open_well(memory.url)
        memory.write(b"<html>under construction</html>")
        scene.until(lambda: "offline" in scene.state)
        assert scene.keys == ["a", "b"]
        memory.write({"c": {}})
        scene.until(lambda: scene.keys == ["c"])
        scene.until(lambda: "offline" not in scene.state)
        scene.window.close()


def test_g11_a_host_that_goes_down_is_reported_and_found_again(scene: Scene) -> None:
    with MemorySite({"a": {}}) as memory:
        scene.open_well(memory.url)
        memory.server.stop()
        scene.until(lambda: "offline" in scene.state)
        memory.server.start()
        memory.write({"a": {}, "b": {}})
        scene.until(lambda: scene.keys == ["a", "b"])
        scene.window.close()


def test_g14_a_failed_verification_is_shown_and_other_values_can_be_seen(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = {"bad.txt": entry(b"what was published"), "good.txt": entry(b"good")}
    with MemorySite(index) as memory:
        memory.files.update({"data/bad.txt": b"something else....", "data/good.txt": b"good"})
        scene.open_well(memory.url)
        scene.download("bad.txt", tmp_path / "bad.txt", monkeypatch)
        scene.until(lambda: "sha256" in scene.preview)
        scene.until(lambda: "sha256" in scene.news)
        assert not (tmp_path / "bad.txt").exists()
        scene.select("good.txt")
        scene.until(lambda: scene.preview == "good")
        scene.window.close()


def test_a_file_that_cannot_be_written_is_reported(
    opened: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.download(TABLE, tmp_path / "no" / "folder.csv", monkeypatch)
    opened.until(lambda: "there is no folder" in opened.news)


def test_while_waiting_for_a_site_another_one_can_be_opened(scene: Scene, site: Path) -> None:
    with MemorySite() as memory:
        stall = memory.stall("head")
        scene.open(memory.url)
        assert stall.reached.wait(TIMEOUT)
        scene.window.search.setText("weather")  # the window responds meanwhile
        scene.open_well(str(site))
    assert scene.keys == ["measurements/weather-2025.csv", TABLE]


def test_a_closed_window_disconnects_its_store(opened: Scene) -> None:
    opened.window.close()
    opened.until(lambda: not pollers())
