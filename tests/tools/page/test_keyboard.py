"""The page by keyboard alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from staticstore.site.server import SiteServer
from tests.tools.page.browsing import (
    Look,
    expect,
    poll,
)

if TYPE_CHECKING:
    pass


def test_keys_move_through_the_table(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    chosen = page.locator(".row[aria-selected=true] .key")
    for pressed, key in [
        ("ArrowDown", "maps/isle.geojson"),
        ("ArrowDown", "notes/100% é+#?.txt"),
        ("End", "tables/rain.csv"),
        ("ArrowUp", "pictures/pixel.png"),
        ("Home", "maps/isle.geojson"),
    ]:
        page.keyboard.press(pressed)
        assert chosen.inner_text() == key
    page.keyboard.press("Escape")
    expect(page.locator("#preview")).to_be_hidden()


def test_after_escape_the_arrows_go_on_from_the_same_row(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    for pressed in ("ArrowDown", "ArrowDown", "Escape", "ArrowDown"):
        page.keyboard.press(pressed)
    expect(page.locator(".row[aria-selected=true] .key")).to_have_text("pictures/pixel.png")


def test_enter_goes_into_the_preview_and_escape_back_to_the_list(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#view")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#view")).to_be_focused()


def test_on_a_phone_the_preview_takes_the_focus_and_gives_it_back(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url, width=390)
    page.keyboard.press("ArrowDown")
    expect(page.locator("#preview")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator("#close")).to_be_focused()
    for _ in range(12):  # what is covered is never reached
        page.keyboard.press("Tab")
        assert page.evaluate(
            "[document.body, page.preview].includes(document.activeElement)"
            " || page.preview.contains(document.activeElement)"
        )
    page.go_back()
    expect(page.locator("#view")).to_be_focused()


def test_the_first_tab_skips_to_the_list(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the list")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    expect(page.locator("#view")).to_be_focused()
    assert page.url == server.url


def test_the_current_row_is_told_to_screen_readers(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    page.keyboard.press("End")
    active = page.locator("#view").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active} .key")).to_have_text("tables/rain.csv")
    assert page.locator(f"#{active}").get_attribute("aria-rowindex") == "5"
    assert page.locator("#view").get_attribute("aria-rowcount") == "5"


def test_a_poll_without_changes_says_nothing(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    page.evaluate(
        """() => {
            globalThis.said = [];
            for (const region of document.querySelectorAll("[role=status]")) {
                new MutationObserver(() => said.push(region.textContent))
                    .observe(region, {childList: true, characterData: true, subtree: true});
            }
        }"""
    )
    poll(page)
    assert page.evaluate("said") == []
