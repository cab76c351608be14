"""What the page shows without its script, and until the index can be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.tools.page.browsing import FILES, Look, expect, keys, poll

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def plain(browser: Browser) -> Iterator[Page]:
    """A window without JavaScript."""
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


def test_without_scripts_the_keys_are_links_to_their_values(
    server: SiteServer, plain: Page
) -> None:
    plain.goto(server.url)
    links = plain.locator("#first li a")
    assert links.all_inner_texts() == sorted(FILES)
    assert [link.get_attribute("href") for link in links.all()] == [
        f"data/{quote(key)}" for key in sorted(FILES)
    ]
    expect(plain.locator("#first")).to_contain_text("JavaScript")
    expect(plain.locator("#app")).to_be_hidden()
    for link in links.all():
        href = plain.evaluate("a => a.href", link.element_handle())
        assert plain.request.get(href).body() == FILES[link.inner_text()]


def test_without_scripts_it_fits_into_the_window(server: SiteServer, plain: Page) -> None:
    plain.goto(server.url)
    for width in (390, 1280):
        plain.set_viewport_size({"width": width, "height": 800})
        assert plain.evaluate("document.documentElement.scrollWidth") <= width


def test_the_script_replaces_it_before_it_is_seen(server: SiteServer, browser: Browser) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        # Before a list that has been parsed is painted.
        page.add_init_script(
            "new MutationObserver(() => { const first = document.querySelector('#first');"
            " if (first) window.seen ||= first.checkVisibility(); })"
            ".observe(document, {childList: true, subtree: true}); window.seen = false;"
        )
        page.goto(server.url)
        page.wait_for_selector(".row")
        assert page.evaluate("window.seen") is False
        assert page.locator("#first").count() == 0


def test_a_page_that_is_opened_as_a_file_shows_it_and_says_why(
    site: Path, browser: Browser
) -> None:
    publish(site, browse=True)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto((site / "index.html").as_uri())
        expect(page.locator("#status")).to_contain_text("staticstore serve")
        expect(page.locator("#first li")).to_have_count(len(FILES))
        expect(page.locator("#first .allow")).to_be_hidden()
        page.get_by_text("rain.csv").click(trial=True)


def test_a_site_without_a_page_is_served_with_one(site: Path, look: Look) -> None:
    publish(site)
    with serve(site, port=0) as server:
        assert keys(look(server.url)) == sorted(FILES)


def test_a_site_without_an_index_says_how_to_get_one(site: Path, browser: Browser) -> None:
    with serve(site, port=0) as server, browser.new_context() as context:
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator("#status")).to_contain_text("404 for index.json")
        expect(page.locator("#first")).to_contain_text("staticstore publish")
        publish(site)
        poll(page)
        expect(page.locator(".row")).to_have_count(len(FILES))
        expect(page.locator("#first")).to_have_count(0)


def test_a_site_that_has_gone_is_told_and_the_rows_stay(site: Path, look: Look) -> None:
    publish(site, browse=True)
    with serve(site, port=0) as server:
        page = look(server.url, allow=("ERR_CONNECTION_REFUSED",))
    poll(page)
    expect(page.locator("#status")).to_contain_text("the site does not answer")
    assert keys(page) == sorted(FILES)
