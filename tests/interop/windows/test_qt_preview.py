"""A pane of Qt that shows a value over a real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        """Have the site consist of these values, whose types are those of their names."""
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
        """Select a value, and wait until its text is there."""
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


def png(width: int, height: int) -> bytes:
    """Return a picture."""
    data = QtCore.QByteArray()
    buffer = QtCore.QBuffer(data)
    buffer.open(QtCore.QIODevice.OpenModeFlag.WriteOnly)
    image = QtGui.QImage(width, height, QtGui.QImage.Format.Format_Mono)
    image.fill(1)
    image.save(buffer, "PNG")
    return bytes(data.data())


def test_a_picture_is_shown_as_large_as_the_pane_likes_it(scene: Scene) -> None:
    scene.publish(map_png=png(800, 200))
    scene.show("map.png")
    scene.until(lambda: scene.picture is not None)
    assert (scene.picture.width(), scene.picture.height()) == (400, 100)


def test_csv_is_a_table_and_markup_in_it_is_text(scene: Scene) -> None:
    scene.publish(places_csv=CSV)
    scene.show("places.csv")
    scene.until(lambda: "1574" in scene.text)
    assert "<table" in scene.pane.toHtml()
    assert "<i>Summit</i>" in scene.text


def test_markup_in_a_text_is_shown_and_not_followed(scene: Scene) -> None:
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
        ("map_png", b"no picture", "This is no image/png"),
    ],
)
def test_what_cannot_be_shown_is_said_in_words(
    scene: Scene, name: str, data: bytes, words: str
) -> None:
    scene.publish(**{name: data})
    scene.show(name.replace("_", "."))
    scene.until(lambda: words in scene.text)


def test_g10_a_value_that_fails_its_check_is_said_in_words_and_the_next_one_is_shown(
    scene: Scene,
) -> None:
    scene.publish(bad_txt=b"as published", good_txt=b"good")
    scene.memory.files["data/bad.txt"] = b"in its place"
    scene.show("bad.txt")
    scene.until(lambda: "sha256" in scene.text)
    assert "in its place" not in scene.text
    scene.show_text("good.txt", "good")


def test_none_is_an_empty_pane(scene: Scene) -> None:
    scene.publish(a_txt=b"text")
    scene.show_text("a.txt", "text")
    scene.pane.show_value(None)
    assert scene.text == ""
    assert scene.pane.value is None


def test_a_value_that_is_read_too_late_is_not_shown(scene: Scene) -> None:
    scene.publish(slow_txt=b"slow", fast_txt=b"fast")
    stall = scene.memory.stall("body", "data/slow.txt")
    scene.show("slow.txt")
    assert stall.reached.wait(TIMEOUT)
    scene.show_text("fast.txt", "fast")


def test_what_is_shown_already_is_not_read_again_and_what_was_updated_is(scene: Scene) -> None:
    scene.publish(a_txt=b"text")
    scene.show_text("a.txt", "text")
    value = scene.pane.value
    scene.show("a.txt")
    assert scene.pane.value is value
    scene.publish(a_txt=b"another")
    scene.show("a.txt")
    assert scene.text == "text"  # until the other is there
    scene.until(lambda: scene.text == "another")
