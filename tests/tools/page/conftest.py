"""A small site, its server, and windows that look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.site.sitefolder import make_site
from tests.tools.conftest import running_chromium
from tests.tools.page.browsing import FILES, METADATA, Look, write_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine, one for all tests of the page."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


@pytest.fixture
def server(site: Path) -> Iterator[SiteServer]:
    publish(site, browse=True, metadata=METADATA)
    with serve(site, port=0) as server:
        yield server


@pytest.fixture(scope="package")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    """What plain windows share; the page itself keeps nothing in the browser."""
    with browser.new_context() as profile:
        yield profile


@pytest.fixture
def look(browser: Browser, profile: BrowserContext) -> Iterator[Look]:
    """Open a page in a window of its own; what goes wrong in it fails the test."""
    wrong: list[str] = []
    opened: list[Page | BrowserContext] = []

    def alerted(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def said(message: ConsoleMessage) -> None:
        # That a site has no head is no error.
        if message.type == "error" and "404" not in message.text:
            wrong.append(message.text)

    def look(url: str, *, width: int = 1280, height: int = 800, **options: Any) -> Page:
        context = browser.new_context(**options) if options else profile
        page = context.new_page()
        opened.append(context if options else page)
        page.set_default_timeout(20_000)
        page.set_viewport_size({"width": width, "height": height})
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", alerted)
        page.on("console", said)
        page.goto(url)
        page.wait_for_selector(".row")
        return page

    yield look
    for one in opened:
        one.close()
    assert not wrong


KINDS = ("raster", "table", "vector", "text", "grid")


def large_index() -> dict[str, dict[str, Any]]:
    """Return 20,000 entries in 1,000 folders."""
    return {
        f"region-{number % 1000 // 50 + 1}/area-{number % 50 + 1}/scene-{number}.tif": {
            "type": KINDS[number % 5],
            "title": f"Scene {number} of region {number % 1000 // 50 + 1}",
            "size": number * 7919 % 5_000_000,
            "modified": f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00Z",
            "station": f"S{number % 37 + 1}",
            "sha256": f"{number:064x}",
        }
        for number in range(20_000)
    }


@pytest.fixture(scope="package")
def large_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    """A server of 20,000 entries, without their values."""
    folder = write_site(tmp_path_factory.mktemp("large"), large_index())
    with serve(folder, port=0) as server:
        yield server
