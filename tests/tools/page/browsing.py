"""A small site for the page, and what its tests ask of the page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from staticstore.site.documents.page import render_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
PlaywrightError = playwright.Error

Look = Callable[..., "Page"]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000a49444154789c6300010000050001"
    "0d0a2db40000000049454e44ae426082"
)
CSV = b"day,station,rain\n2026-01-01,A,1.5\n2026-01-01,B,2\n2026-01-02,A,3\n2026-01-02,B,\n"
GEOJSON = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": "<b>isle</b>"},
                "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 1], [0, 0]]]},
            },
            {"type": "Feature", "properties": None, "geometry": None},
            {"type": "Point", "coordinates": [1, 1]},
        ],
    }
).encode()
FILES = {
    "maps/isle.geojson": GEOJSON,
    "notes/100% é+#?.txt": "Grüße\n".encode(),
    "pictures/pixel.png": PIXEL,
    "tables/rain.csv": CSV,
}
METADATA = {
    "*.csv": {"type": "table", "title": "Rain of two days"},
    "*.png": {"type": "raster"},
    "*.geojson": {"type": "vector"},
    "*.txt": {"type": "vector"},
}


def write_site(folder: Path, index: Mapping[str, Any]) -> Path:
    """Write an index as it is given, without values, and the page."""
    folder.mkdir(exist_ok=True)
    (folder / "index.json").write_text(json.dumps(index), "utf-8")
    (folder / "index.html").write_bytes(render_page())
    return folder


@contextlib.contextmanager
def looking(browser: Browser) -> Iterator[Look]:
    """Return what opens a page in a window of its own; the block fails if something goes wrong."""
    wrong: list[str] = []
    contexts = []
    expected = ["404"]  # that a site has no head is no error

    def opened(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def said(message: ConsoleMessage) -> None:
        if message.type == "error" and not any(text in message.text for text in expected):
            wrong.append(message.text)

    def look(
        url: str,
        *,
        width: int = 1280,
        height: int = 800,
        allow: Iterable[str] = (),
        **options: Any,
    ) -> Page:
        expected.extend(allow)
        options["viewport"] = {"width": width, "height": height}
        context = browser.new_context(**options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", opened)
        page.on("console", said)
        page.goto(url)
        page.wait_for_selector(".row")
        return page

    yield look
    for context in contexts:
        context.close()
    assert not wrong


def keys(page: Page) -> list[str]:
    return page.locator(".row .key").all_inner_texts()


def choose(page: Page, key: str) -> None:
    page.locator(".row .key").get_by_text(key, exact=True).click()


def shown_rows(page: Page) -> list[str]:
    """Return the first cells of the rows, folders with their counts."""
    return page.locator(".row > :first-child").all_inner_texts()


def poll(page: Page) -> None:
    """Have the page look for changes now."""
    page.evaluate("follow()")
