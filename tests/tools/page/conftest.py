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
from tests.tools.page.browsing import FILES, METADATA, Look, looking, write_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Open a page in a window of its own; what goes wrong in it fails the test."""
    with looking(browser) as look:
        yield look


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
