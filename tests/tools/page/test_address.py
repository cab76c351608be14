"""What stands in the address, and what Back undoes."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.tools.page.browsing import (
    METADATA,
    Look,
    choose,
    expect,
    keys,
    write_site,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page


def test_a_value_can_be_linked_to(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    choose(page, "notes/100% é+#?.txt")
    again = look(page.url)
    expect(again.locator("#preview .path")).to_have_text("notes/100% é+#?.txt")


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    index = {
        "a.txt": {"type": "text", "sort": "x", "field.q": "1", "size": 3},
        "b c.txt": {"type": "text & more", "sort": "y", "field.q": "2", "size": 1},
        "d.tif": {"type": "raster", "sort": "x", "field.q": "1", "size": 2},
        "e.tif": {"type": "raster", "sort": "y", "field.q": "2", "size": 4},
    }
    with serve(write_site(tmp_path_factory.mktemp("listed"), index), port=0) as server:
        yield server


def query(page: Page) -> str:
    return urllib.parse.urlsplit(page.url).query


def test_search_filters_sorting_and_view_stand_in_the_address(
    listed: SiteServer, look: Look
) -> None:
    page = look(listed.url)
    page.fill("#search", 'key:t "."')
    page.get_by_label("raster").check()
    page.get_by_role("button", name="Size").click()
    page.get_by_role("button", name="Size").click()
    page.click("#tree")
    assert query(page) == "q=key:t+%22.%22&type=raster&sort=-size&view=tree"
    again = look(page.url)
    assert keys(again) == keys(page) == ["e.tif", "d.tif"]
    assert again.locator("#search").input_value() == 'key:t "."'
    expect(again.get_by_label("raster")).to_be_checked()
    expect(again.locator("#tree")).to_have_attribute("aria-pressed", "true")


def test_back_undoes_each_change_and_forward_repeats_it(listed: SiteServer, look: Look) -> None:
    page = look(listed.url)
    page.get_by_label("raster").check()
    page.get_by_role("button", name="Size").click()
    page.locator("#search").press_sequentially("tif")
    page.keyboard.press("Enter")
    page.click("#tree")
    page.click(".row")
    queries = []
    for _ in range(5):
        page.go_back()
        queries.append(query(page))
    assert queries == [
        "q=tif&type=raster&sort=size&view=tree",
        "q=tif&type=raster&sort=size",
        "type=raster&sort=size",
        "type=raster",
        "",
    ]
    assert len(keys(page)) == 4
    page.go_forward()
    assert keys(page) == ["d.tif", "e.tif"]
    expect(page.get_by_label("raster")).to_be_checked()


def test_a_search_that_is_typed_is_one_step_once_it_has_settled(
    listed: SiteServer, look: Look
) -> None:
    page = look(listed.url)
    before = page.evaluate("history.length")
    page.locator("#search").press_sequentially("raster")
    page.wait_for_url("**/?q=raster")
    assert page.evaluate("history.length") == before + 1


def test_a_field_that_is_called_as_a_parameter_has_a_prefix(listed: SiteServer, look: Look) -> None:
    page = look(listed.url)
    for field in ("field.q", "sort"):
        page.get_by_role("group", name=field, exact=True).locator("input").first.check()
    assert query(page) == "field.field.q=1&field.sort=x"
    assert keys(look(page.url)) == keys(page) == ["a.txt", "d.tif"]


def test_the_tab_names_the_value_and_the_site(site: Path, server: SiteServer, look: Look) -> None:
    (site / "about.toml").write_text('title = "Ilvar"\n')
    publish(site, browse=True, metadata=METADATA)
    page = look(server.url)
    expect(page).to_have_title("Ilvar")
    choose(page, "tables/rain.csv")
    expect(page).to_have_title("Rain of two days \N{EN DASH} Ilvar")
    page.keyboard.press("Escape")
    expect(page).to_have_title("Ilvar")


def test_any_field_can_filter_by_an_address(listed: SiteServer, look: Look) -> None:
    page = look(listed.url + "?size=3")
    assert keys(page) == ["a.txt"]
    page.get_by_label("3").uncheck()
    assert len(keys(page)) == 4


ODD = (
    "?nothing=1&__proto__=2&constructor=3&toString=4",
    "?q=%&sort=%FF&view=%00&open=%E2%28%A1#%E0%A4%A",
    "?sort=--size&view=&open=/&open=../..&poll=-1&poll=NaN",
    "?q=" + "%22:" * 3000,
    "?type=" + "x" * 17_000,
    "?" + "&".join(f"open={number}/" for number in range(1000)),
    "?=&&&==#a.txt/../b",
    "#" + "a/" * 2000,
)


def test_f10_an_odd_address_changes_nothing(listed: SiteServer, look: Look) -> None:
    page = look(listed.url)
    for address in ODD:
        page.goto("about:blank")
        page.goto(listed.url + address)
        page.wait_for_selector(".row, #empty:not([hidden])")
        assert len(keys(page)) == (0 if "q=" in address else 4), address
        page.keyboard.press("Escape")
        assert len(keys(page)) == 4, address


def test_f10_a_million_characters_in_an_address_are_not_read(
    listed: SiteServer, look: Look
) -> None:
    page = look(listed.url)
    page.evaluate("history.replaceState(null, '', '?q=' + 'x'.repeat(1e6) + '#' + 'y'.repeat(1e6))")
    page.evaluate("followAddress()")
    assert len(keys(page)) == 4


def test_polls_are_at_least_5_seconds_apart(listed: SiteServer, look: Look) -> None:
    page = look(listed.url)
    for poll, seconds in {"0.1": 5, "7": 7, "x": 60, "1e9": 86400}.items():
        page.goto(f"{listed.url}?poll={poll}")
        page.wait_for_selector(".row")
        assert page.evaluate("POLL") == seconds * 1000
    page.fill("#search", "tif")
    page.keyboard.press("Enter")
    assert query(page) == "q=tif&poll=1e9"
