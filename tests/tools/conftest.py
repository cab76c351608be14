"""A site for web servers, and a browser."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from staticstore import publish
from tests.site.sitefolder import fill, make_site
from tests.tools.file_system_site import FilesOfSite, files_of_site
from tests.tools.web_server import ORIGIN, VALUES

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def hosted_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with every kind of file that a publisher writes."""
    root = make_site(tmp_path_factory.mktemp("site"), VALUES)
    publish(root, pack=True, browse=True)
    fill(root / "data", {"small/new.txt": b"new"})
    publish(root, pack=True, browse=True)  # so that there is a change file, too
    return root


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FilesOfSite]:
    """A site with those files of the cookbook that the module names in `FILES`."""
    with files_of_site(tmp_path_factory.mktemp("site"), *request.module.FILES) as site:
        yield site


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client that takes every content coding, and says that it comes from another origin."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Accept-Encoding"] = "gzip, deflate, br, zstd"
        session.headers["Origin"] = ORIGIN
        yield session


def chromium() -> str | None:
    """Return the path of this machine's Chromium, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextlib.contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run the Chromium of this machine; skip the test if there is none."""
    if (program := chromium()) is None:
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        # Chromium has no sandbox for root.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = running.chromium.launch(
            executable_path=program, args=[*options, "--disable-gpu", "--disable-quic"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page."""
    with browser.new_page() as page:
        yield page
