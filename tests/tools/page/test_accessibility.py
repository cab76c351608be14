"""What axe-core, which knows the rules of accessibility, finds in the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from staticstore.site.server import SiteServer
from tests.tools.page.browsing import Look, choose, expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

axe = pytest.importorskip("axe_playwright_python.sync_playwright")


def shows_list(page: Page) -> None:
    page.fill("#search", "a")


def shows_nothing(page: Page) -> None:
    page.fill("#search", "nothing like it")


def shows_tree(page: Page) -> None:
    page.click("#tree")
    page.locator(".folder").first.click()


def shows_table(page: Page) -> None:
    choose(page, "tables/rain.csv")
    expect(page.locator("figure svg .curve")).to_have_count(2)
    page.get_by_role("button", name="URL", exact=True).click()


def shows_filters(page: Page) -> None:
    if page.locator("#unfold").is_visible():
        page.click("#unfold")
    page.get_by_label("raster").check()


def shows_help(page: Page) -> None:
    page.click("#help")


VIEWS = [shows_list, shows_nothing, shows_tree, shows_table, shows_filters, shows_help]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("shows", VIEWS)
def test_axe_finds_nothing(
    server: SiteServer, look: Look, shows: Callable[[Page], None], width: int
) -> None:
    page = look(server.url, width=width)
    shows(page)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page, runOnly=["color-contrast"]) == []


def violations(page: Page, **options: object) -> list[str]:
    found = axe.Axe().run(page, options=options).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]


def test_nothing_needs_more_than_the_width_of_a_phone_with_text_twice_as_large(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url, width=390, height=844)
    page.evaluate("document.documentElement.style.fontSize = '32px'")
    page.wait_for_function("() => state.rowHeight > 60")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator(".row").first).to_be_in_viewport()


def test_every_target_is_at_least_24_pixels_tall(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    choose(page, "tables/rain.csv")
    targets = page.locator("button:visible, fieldset label:visible, a.get")
    heights = targets.evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
    assert min(heights) >= 24


def test_nothing_moves_by_itself(server: SiteServer, look: Look) -> None:
    page = look(server.url, reduced_motion="reduce")
    choose(page, "tables/rain.csv")
    assert page.evaluate("document.getAnimations().length") == 0
    style = page.locator("style").text_content() or ""
    assert not any(word in style for word in ("transition", "animation", "@keyframes", "smooth"))


def test_a_selection_is_seen_with_the_colors_of_the_system(server: SiteServer, look: Look) -> None:
    page = look(server.url, forced_colors="active")
    choose(page, "tables/rain.csv")
    selected = page.locator(".row[aria-selected=true]")
    assert selected.evaluate("row => getComputedStyle(row).outlineStyle") == "solid"
