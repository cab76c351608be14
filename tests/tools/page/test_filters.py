"""Filters by the values of a field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from staticstore.site.server import SiteServer, serve
from tests.tools.page.browsing import (
    Look,
    expect,
    keys,
    write_site,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_facet_shows_the_values_of_a_field_and_filters_by_them(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url)
    facet = page.locator("fieldset").filter(has=page.locator("legend", has_text="type")).first
    assert facet.locator("label").all_inner_texts() == ["raster\n1", "table\n1", "vector\n2"]
    facet.get_by_label("vector").check()
    assert keys(page) == ["maps/isle.geojson", "notes/100% é+#?.txt"]
    facet.get_by_label("table").check()
    assert len(keys(page)) == 3


def test_escape_clears_search_and_filters(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    page.get_by_label("raster").check()
    page.fill("#search", "isle")
    expect(page.locator("#empty")).to_contain_text("Escape")
    page.keyboard.press("Escape")
    assert len(keys(page)) == 4
    expect(page.get_by_label("raster")).not_to_be_checked()


def facet(page: Page, field: str) -> list[str]:
    found = page.get_by_role("group", name=field, exact=True)
    return [text.split("\n")[0] for text in found.locator("label").all_inner_texts()]


def test_sizes_dates_and_digests_are_no_filters(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    legends = page.locator("legend").all_inner_texts()
    assert "type" in legends
    assert not {"size", "modified", "sha256"} & set(legends)


def test_the_values_of_a_filter_are_in_natural_order(tmp_path: Path, look: Look) -> None:
    index = {
        f"{number}": {
            "level": number % 3 * 5 - 5,
            "station": f"S{number % 12}",
            "MD5": number % 2,
            "x-sha512": number % 2,
        }
        for number in range(60)
    }
    with serve(write_site(tmp_path / "site", index), port=0) as server:
        page = look(server.url)
        assert facet(page, "level") == ["-5", "0", "5"]
        assert facet(page, "station") == [f"S{number}" for number in range(12)]
        assert page.locator("legend").all_inner_texts() == ["station", "level"]


def test_a_long_filter_scrolls(large_server: SiteServer, look: Look) -> None:
    page = look(large_server.url)
    assert len(facet(page, "station")) == 37
    box = page.locator("fieldset").nth(1).bounding_box()
    assert box is not None
    assert box["height"] < 300


def test_the_list_says_how_many_it_shows_and_clears_by_a_button(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url)
    expect(page.locator("#clear")).to_be_hidden()
    page.get_by_label("vector").check()
    expect(page.locator("#count")).to_contain_text("2 of 4")
    page.click("#clear")
    assert len(keys(page)) == 4
    expect(page.locator("#search")).to_be_focused()
