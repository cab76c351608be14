"""The list of keys: its rows, columns and order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.servers import PythonServer
from tests.tools.page.browsing import (
    FILES,
    Look,
    choose,
    expect,
    keys,
    write_site,
)

if TYPE_CHECKING:
    pass


def test_all_keys_are_listed(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    assert keys(page) == sorted(FILES)
    expect(page.locator("#status")).to_contain_text("4 entries")


def test_a_column_sorts_both_ways(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    by_size = sorted(FILES, key=lambda key: len(FILES[key]))
    page.get_by_role("button", name="Size").click()
    assert keys(page) == by_size
    page.get_by_role("button", name="Size").click()
    assert keys(page) == by_size[::-1]


def test_where_there_is_little_room_the_preview_takes_that_of_the_filters(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url, width=800)
    expect(page.locator("#filters")).to_be_visible()
    choose(page, "tables/rain.csv")
    expect(page.locator("#filters")).to_be_hidden()
    page.click("#close")
    expect(page.locator("#filters")).to_be_visible()


def test_on_a_phone_the_preview_covers_the_table_and_back_closes_it(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    choose(page, "tables/rain.csv")
    box = page.locator("#preview").bounding_box()
    assert box is not None
    assert box["width"] == 390
    page.go_back()
    expect(page.locator("#preview")).to_be_hidden()


def test_a_path_with_a_bare_percent_sign_is_a_name_as_well(site: Path, look: Look) -> None:
    publish(site, browse=True)
    site.rename(site.with_name("100%"))
    with PythonServer(site.parent) as server:
        page = look(server.url + "100%/")
        expect(page.locator("h1")).to_have_text("100%")


def test_100_000_entries_are_a_few_rows_of_the_page(site: Path, look: Look) -> None:
    publish(site, browse=True)
    (site / "index.head.json").unlink()
    entries = {f"{number:06}": {"type": f"t{number % 5}"} for number in range(100_000)}
    (site / "index.json").write_text(json.dumps(entries), "utf-8")
    with serve(site, port=0) as server:
        page = look(server.url)
        assert page.locator(".row").count() < 60
        page.keyboard.press("End")
        expect(page.locator(".row[aria-selected=true] .key")).to_have_text("099999")
        expect(page.locator(".row[aria-selected=true]")).to_be_in_viewport(ratio=1)
        page.fill("#search", "04321")
        assert keys(page) == ["004321", *(f"04321{digit}" for digit in range(10))]
        page.close()  # or the server may end while it reads the index again, which is large


SEARCH = """words => {
    const begin = performance.now();
    page.search.value = words;
    page.search.dispatchEvent(new Event("input"));
    document.body.offsetHeight;  // lays out what was drawn
    return performance.now() - begin;
}"""


@pytest.mark.parametrize(("width", "height"), [(390, 844), (640, 360), (1280, 800)])
def test_of_20_000_entries_only_those_that_are_seen_are_in_the_document(
    large_server: SiteServer, look: Look, width: int, height: int
) -> None:
    page = look(large_server.url, width=width, height=height)
    first = page.evaluate("performance.now()")
    counts = [page.locator(".row").count()]
    times = []
    for words in ("19", "type:raster scene", "size:>1MB", ""):
        times.append(page.evaluate(SEARCH, words))
        counts.append(page.locator(".row").count())
    page.click("#tree")
    page.evaluate(SEARCH, "scene")  # opens all folders
    counts.append(page.locator(".row").count())
    assert min(counts) >= 2
    assert max(counts) < 60
    took = ", ".join(f"{time:.0f}" for time in times)
    print(f"{width} px: the first row after {first:.0f} ms, searches in {took} ms")


def test_opened_filters_leave_room_for_the_list_of_a_phone(
    large_server: SiteServer, look: Look
) -> None:
    page = look(large_server.url, width=640, height=360)
    page.click("#unfold")
    expect(page.locator("#filters")).to_be_visible()
    expect(page.locator(".row").first).to_be_in_viewport(ratio=1)
    assert page.locator(".row").count() < 40


def test_names_with_numbers_sort_as_people_expect_and_what_is_missing_comes_last(
    tmp_path: Path, look: Look
) -> None:
    index = {
        "file10": {"size": 5, "title": "b2"},
        "file2": {"size": 40, "title": "B10"},
        "File1": {"title": "ä"},
        "file002": {"size": 300},
    }
    with serve(write_site(tmp_path / "site", index), port=0) as server:
        page = look(server.url)
        assert keys(page) == ["File1", "file002", "file2", "file10"]
        orders = {
            "Key": ["file10", "file002", "file2", "File1"],
            "Size": ["file10", "file2", "file002", "File1"],
            "Title": ["File1", "file10", "file2", "file002"],
        }
        for label, order in orders.items():
            page.get_by_role("columnheader").get_by_role("button", name=label).click()
            assert keys(page) == order, label
        page.get_by_role("button", name="Title").press("Enter")
        assert keys(page) == ["file2", "file10", "File1", "file002"]
        states = page.locator("[role=columnheader]").evaluate_all(
            "cells => cells.map(cell => cell.ariaSort)"
        )
        assert states == ["none", "descending", "none"]
