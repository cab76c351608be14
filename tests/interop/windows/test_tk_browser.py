"""The window of examples/browser_tk.py, with real servers."""

from __future__ import annotations

import gc
import sys
import tkinter
from collections.abc import Callable, Iterator
from pathlib import Path
from tkinter import filedialog
from typing import Any

import pytest

from staticstore import StaticStore, publish
from tests.client.scene import TIMEOUT, MemorySite
from tests.sites import entry

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples"))
from browser_tk import Browser

POLL = 0.05  # seconds


class Scene:
    """A window, and the actions of its user."""

    def __init__(self) -> None:
        self.root = tkinter.Tk()
        self.errors: list[Any] = []
        self.root.report_callback_exception = lambda *error: self.errors.append(error)
        self.browser: Any = None
        self.store: StaticStore | None = None

    def open(self, url: str) -> None:
        """Start the program."""
        self.store = StaticStore(url, poll_interval=POLL)
        self.browser = Browser(self.root, self.store)

    def until(self, condition: Callable[[], object]) -> None:
        """Run the window until a condition holds."""
        deadline = self.root.after(int(TIMEOUT * 1000), self.root.quit)

        def look() -> None:
            if condition():
                self.root.quit()
            else:
                self.root.after(5, look)

        self.root.after(0, look)
        self.root.mainloop()
        self.root.after_cancel(deadline)
        assert condition(), (self.news, self.state)

    @property
    def rows(self) -> tuple[str, ...]:
        """The keys that are shown."""
        return tuple(self.browser.table.get_children())

    @property
    def news(self) -> str:
        """The line with the last action."""
        return str(self.browser.news["text"])

    @property
    def state(self) -> str:
        """The status line."""
        return str(self.browser.state["text"])

    def glows(self, key: str) -> bool:
        """Return whether a row glows."""
        return "glow" in self.browser.table.item(key, "tags")


@pytest.fixture
def scene() -> Iterator[Scene]:
    own = Scene()
    yield own
    if own.store is not None:
        own.store.disconnect()
    own.root.destroy()
    assert own.errors == []
    del own
    gc.collect()  # in this thread: Tcl aborts the process if another one finds the root


def test_it_shows_the_keys_their_number_and_freshness(scene: Scene, sample_site: Path) -> None:
    publish(sample_site)
    scene.open(str(sample_site))
    scene.until(lambda: len(scene.rows) == 16 and scene.state)
    assert scene.rows == tuple(sorted(scene.rows))
    assert scene.browser.table.set("stations/stations.csv") == {
        "title": "Weather stations and river gauges of Ilvar",
        "bytes": "438",
    }
    assert scene.state == "16 entries, polled 0 s ago"


def test_changed_rows_are_inserted_updated_and_removed_and_glow_for_a_second(scene: Scene) -> None:
    with MemorySite({"a": {}, "c": {}, "d": {}}) as memory:
        scene.open(memory.url)
        scene.until(lambda: scene.rows == ("a", "c", "d"))
        scene.until(lambda: not any(map(scene.glows, scene.rows)))
        memory.write({"a": {}, "b": {}, "d": {"title": "new"}})
        scene.until(lambda: scene.rows == ("a", "b", "d") and scene.glows("d"))
        assert [scene.glows(key) for key in scene.rows] == [False, True, True]
        assert scene.browser.table.set("d", "title") == "new"
        scene.until(lambda: not any(map(scene.glows, scene.rows)))


def test_g14_a_value_is_saved_and_a_failed_verification_is_shown(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "saved"
    monkeypatch.setattr(filedialog, "asksaveasfilename", lambda **_: str(path))
    with MemorySite({"bad": entry(b"as published"), "good": entry(b"good")}) as memory:
        memory.files.update({"data/bad": b"another one!", "data/good": b"good"})
        scene.open(memory.url)
        scene.until(lambda: len(scene.rows) == 2)
        scene.browser.save("bad")
        scene.until(lambda: "sha256" in scene.news)
        assert not path.exists()
        scene.browser.save("good")
        scene.until(lambda: scene.news == "saved")
        assert path.read_bytes() == b"good"


def test_g11_a_missing_site_is_shown(scene: Scene) -> None:
    scene.open("http://127.0.0.1:9/")
    scene.until(lambda: "Connection refused" in scene.news)


def test_g12_a_required_password_is_shown(scene: Scene) -> None:
    with MemorySite() as memory:
        memory.spoil(lambda request, wire: wire.response(401))
        scene.open(memory.url)
        scene.until(lambda: "401" in scene.news)


def test_g13_an_invalid_index_keeps_the_rows_until_it_is_repaired(scene: Scene) -> None:
    with MemorySite({"a": {}}) as memory:
        scene.open(memory.url)
        scene.until(lambda: scene.rows == ("a",))
        memory.write(b"<html>")
        scene.until(lambda: "offline" in scene.state)
        assert scene.rows == ("a",)
        memory.write({"b": {}})
        scene.until(lambda: scene.rows == ("b",))
        scene.until(lambda: "offline" not in scene.state)
