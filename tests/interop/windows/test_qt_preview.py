"""A widget of Qt that shows values from a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore
from staticstore.interop.qt_core import qt_core, qt_module
from staticstore.interop.qt_preview import ValuePreview
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.sites import entry

QtCore: Any = qt_core()
QtGui: Any = qt_module(QtCore, "QtGui")
CSV = b"name,height\n<i>Summit</i>,1574\n"


class Scene:
    """A site, a store of it, and a preview."""

    def __init__(self, qtbot: Any, memory: MemorySite) -> None:
        self.memory = memory
        self.store: StaticStore | None = None
        self.pane = ValuePreview(largest=1000)
        self.qtbot = qtbot
        qtbot.addWidget(self.pane)

    def publish(self, **files: bytes) -> None:
        """Publish exactly these values; their media types follow from their names."""
        named = {name.replace("_", "."): data for name, data in files.items()}
        self.memory.files.update({f"data/{name}": data for name, data in named.items()})
        self.memory.write({name: entry(data) for name, data in named.items()})
        if self.store is None:
            self.store = self.memory.open()
        else:
            Call(self.store.update_index).result()

    def show(self, key: str) -> None:
        """Select a value."""
        assert self.store is not None
        self.pane.show_value(self.store[key])

    def show_text(self, key: str, text: str) -> None:
        """Select a value, and wait until its text is shown."""
        self.show(key)
        self.until(lambda: self.text == text)

    def until(self, condition: Callable[[], object]) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=int(TIMEOUT * 1000))

    @property
    def text(self) -> str:
        return str(self.pane.toPlainText())

    @property
    def picture(self) -> Any:
        """The picture that is shown, or None."""
        kind = QtGui.QTextDocument.ResourceType.ImageResource
        return self.pane.document().resource(kind.value, QtCore.QUrl("value"))


@pytest.fixture
def scene(qtbot: Any, site: MemorySite) -> Iterator[Scene]:
    own = Scene(qtbot, site)
    yield own
    if own.store is not None:
        own.store.disconnect()


def picture(width: int, height: int, form: str = "PNG") -> bytes:
    """Return a picture."""
    data = QtCore.QByteArray()
    buffer = QtCore.QBuffer(data)
    buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
    image = QtGui.QImage(width, height, QtGui.QImage.Format.Format_Mono)
    image.fill(1)
    assert image.save(buffer, form)
    return bytes(data.data())


GIF = bytes.fromhex(
    "47494638396101000100800000ff000000000021f90400000000002c00000000010001000002024401003b"
)


def svg(reference: str) -> bytes:
    """Return a picture that refers to another one."""
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    image = f'<image xlink:href="{reference}" width="20" height="20"/>'
    return f'<svg {spaces} width="20" height="20">{image}</svg>'.encode()


def test_a_picture_is_scaled_to_the_pane(scene: Scene) -> None:
    scene.publish(map_png=picture(800, 200))
    scene.show("map.png")
    scene.until(lambda: scene.picture is not None)
    assert (scene.picture.width(), scene.picture.height()) == (400, 100)


@pytest.mark.parametrize("form", ["bmp", "gif", "jpeg", "png", "tiff", "webp"])
def test_a_picture_of_each_known_format_is_shown(scene: Scene, form: str) -> None:
    data = GIF if form == "gif" else picture(40, 40, form)
    scene.publish(**{f"map_{'tif' if form == 'tiff' else form}": data})
    scene.show(f"map.{'tif' if form == 'tiff' else form}")
    scene.until(lambda: scene.picture is not None)


@pytest.mark.parametrize(
    "name", ["map.png", "map.jpeg", "map.gif", "map.tif", "map.webp", "map.bmp"]
)
def test_f10_a_picture_of_another_format_than_its_media_type_is_not_shown(
    scene: Scene, tmp_path: Path, name: str
) -> None:
    (tmp_path / "own.png").write_bytes(picture(20, 20))
    other = picture(4, 4, "BMP" if name != "map.bmp" else "PNG")
    for data in (svg(str(tmp_path / "own.png")), b"/* XPM */ static char *x[] = {", other):
        scene.publish(**{name.replace(".", "_"): data})
        scene.pane.show_value(None)
        scene.show(name)
        scene.until(lambda: "Qt cannot read this" in scene.text)
    assert scene.picture is None


@pytest.mark.parametrize("name", ["map.svg", "map.ico", "map.avif", "map.pdf", "map.jp2"])
def test_f10_pictures_of_other_formats_are_not_decoded(scene: Scene, name: str) -> None:
    scene.publish(**{name.replace(".", "_"): svg("file:///etc/hosts")})
    scene.show(name)
    scene.until(lambda: "There is no preview of" in scene.text)


def test_f10_a_picture_of_too_many_pixels_is_not_decoded(scene: Scene) -> None:
    scene.pane = ValuePreview()
    scene.qtbot.addWidget(scene.pane)
    scene.publish(map_png=picture(8000, 8000))
    scene.show("map.png")
    scene.until(lambda: "too many pixels" in scene.text)


def test_a_very_long_picture_is_shown(scene: Scene) -> None:
    scene.publish(map_png=picture(3000, 1))
    scene.show("map.png")
    scene.until(lambda: scene.picture is not None)
    assert (scene.picture.width(), scene.picture.height()) == (400, 1)


def test_parameters_of_the_media_type_do_not_matter(scene: Scene) -> None:
    scene.publish(a_bin=CSV)
    scene.memory.write({"a.bin": entry(CSV, media_type="Text/CSV; charset=utf-8")})
    assert scene.store is not None
    Call(scene.store.update_index).result()
    scene.show("a.bin")
    scene.until(lambda: "1574" in scene.text)
    assert "<table" in scene.pane.toHtml()


def test_a_value_of_unknown_size_is_read_up_to_the_limit(scene: Scene) -> None:
    scene.publish(a_txt=b"short", b_txt=bytes(5000))
    scene.memory.write({key: {"media_type": "text/plain"} for key in ("a.txt", "b.txt")})
    assert scene.store is not None
    Call(scene.store.update_index).result()
    scene.show("a.txt")
    scene.until(lambda: "short" in scene.text)
    scene.show("b.txt")
    scene.until(lambda: "too large" in scene.text)


def test_csv_is_shown_as_a_table_and_its_markup_as_text(scene: Scene) -> None:
    scene.publish(places_csv=CSV)
    scene.show("places.csv")
    scene.until(lambda: "1574" in scene.text)
    assert "<table" in scene.pane.toHtml()
    assert "<i>Summit</i>" in scene.text


def test_markup_in_a_text_is_shown_as_text(scene: Scene) -> None:
    text = "<b>bold</b> <img src='file:///etc/hosts'>"
    scene.publish(page_html=text.encode())
    scene.show_text("page.html", text)


def test_of_a_long_text_the_first_lines_are_shown(scene: Scene) -> None:
    scene.publish(many_txt=b"x\n" * 300)
    scene.show("many.txt")
    scene.until(lambda: scene.text.split() == ["x"] * 100)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("big_txt", bytes(1001), "too large"),
        ("part_bin", b"?", "There is no preview of"),
        ("map_png", b"no picture", "Qt cannot read this as image/png"),
    ],
)
def test_a_value_that_cannot_be_shown_has_a_message(
    scene: Scene, name: str, data: bytes, words: str
) -> None:
    scene.publish(**{name: data})
    scene.show(name.replace("_", "."))
    scene.until(lambda: words in scene.text)


def test_g10_a_failed_verification_is_shown_and_so_is_the_next_value(
    scene: Scene,
) -> None:
    scene.publish(bad_txt=b"as published", good_txt=b"good")
    scene.memory.files["data/bad.txt"] = b"in its place"
    scene.show("bad.txt")
    scene.until(lambda: "sha256" in scene.text)
    assert "in its place" not in scene.text
    scene.show_text("good.txt", "good")


def test_none_clears_the_pane(scene: Scene) -> None:
    scene.publish(a_txt=b"text")
    scene.show_text("a.txt", "text")
    scene.pane.show_value(None)
    assert scene.text == ""
    assert scene.pane.value is None


def test_a_value_that_arrives_too_late_is_not_shown(scene: Scene) -> None:
    scene.publish(slow_txt=b"slow", fast_txt=b"fast")
    stall = scene.memory.stall("body", "data/slow.txt")
    scene.show("slow.txt")
    assert stall.reached.wait(TIMEOUT)
    scene.show_text("fast.txt", "fast")


def test_a_value_is_read_again_only_if_it_was_updated(scene: Scene) -> None:
    scene.publish(a_txt=b"text")
    scene.show_text("a.txt", "text")
    value = scene.pane.value
    scene.show("a.txt")
    assert scene.pane.value is value
    scene.publish(a_txt=b"another")
    scene.show("a.txt")
    assert scene.text == "text"  # until the other one has been read
    scene.until(lambda: scene.text == "another")
