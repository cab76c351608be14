"""The search and its language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.site.sitefolder import make_site
from tests.tools.page.browsing import (
    Look,
    expect,
    keys,
    write_site,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_the_search_finds_keys_and_fields_as_one_types(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    page.keyboard.press("/")
    page.keyboard.type("PICTURES")
    assert keys(page) == ["pictures/pixel.png"]
    page.fill("#search", "two rain")
    assert keys(page) == ["tables/rain.csv"]
    page.fill("#search", "nothing at all")
    assert keys(page) == []
    expect(page.locator("#empty")).to_be_visible()
    page.keyboard.press("Escape")
    assert len(keys(page)) == 4


def test_the_search_finds_a_digest_as_a_whole_alone(
    site: Path, server: SiteServer, look: Look
) -> None:
    sha256 = json.loads((site / "index.json").read_bytes())["tables/rain.csv"]["sha256"]
    page = look(server.url)
    page.fill("#search", sha256)
    assert keys(page) == ["tables/rain.csv"]
    page.fill("#search", sha256[:4])  # some other word; of many entries one has it by chance
    assert keys(page) == []


def test_the_search_finds_a_letter_however_its_accent_is_written(
    tmp_path: Path, look: Look
) -> None:
    site = make_site(tmp_path / "site", {"cafe\u0301.txt": b""})
    publish(site, browse=True)
    with serve(site, port=0) as server:
        page = look(server.url)
        page.fill("#search", "CAF\u00c9")
        assert page.locator(".row").count() == 1


INDEX = {
    "rain/file10.csv": {"title": "Rain of May", "size": 2_000_000, "year": 2025, "tags": ["wet"]},
    "rain/file2.csv": {"title": "Draft: rain", "size": 999, "year": 2026, "flag": True},
    "köln/übersicht.png": {
        "title": "Straße am Rhein",
        "proj:epsg": 32632,
        "modified": "2026-06-15T12:00:00Z",
    },
    "maps/a b.tif": {
        "Type": "raster",
        "eo": {"cloud": {"cover": 7.5}},
        "modified": "2026-05-31T23:59:59Z",
    },
    "maps/हिंदी.txt": {"title": 'He said "no": 1:2', "bands": [{"name": "red"}, {"name": "nir"}]},
    "code/-x.txt": {"empty": "", "none": None, "level": "12", "year": "old"},
}
MAPS, HINDI, COLOGNE = "maps/a b.tif", "maps/हिंदी.txt", "köln/übersicht.png"
RAIN2, RAIN10, CODE = "rain/file2.csv", "rain/file10.csv", "code/-x.txt"


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Page]:
    """A window on a site with fields of all kinds."""
    folder = write_site(tmp_path_factory.mktemp("searched"), INDEX)
    with serve(folder, port=0) as server, browser.new_page() as page:
        page.goto(server.url)
        page.wait_for_selector(".row")
        yield page


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        # words and phrases
        ("rain csv", {RAIN2, RAIN10}),
        ('"rain of may"', {RAIN10}),
        ('"may of rain"', set()),
        ('"a b', {MAPS}),
        ("rain -draft", {RAIN10}),
        ("rain -", {RAIN2, RAIN10}),
        ('rain -"rain of"', {RAIN2}),
        ('"-x"', {CODE}),
        # letters
        ("ubersicht", {COLOGNE}),
        ("KÖLN", {COLOGNE}),
        ("strasse", {COLOGNE}),
        ("straße", {COLOGNE}),
        ("हिंदी", {HINDI}),
        ("हंद", set()),  # vowel signs are no accents
        # fields
        ("title:rain", {RAIN2, RAIN10}),
        ('title:"rain of"', {RAIN10}),
        ("-title:rain key:csv", set()),
        ("key:maps", {MAPS, HINDI}),
        ("type:ras", {MAPS}),
        ("tags:wet", {RAIN10}),
        ("eo.cloud.cover:7", {MAPS}),
        ("bands.name:nir", {HINDI}),
        ("proj:epsg:32632", {COLOGNE}),
        ("proj:epsg:", {COLOGNE}),
        ("-title:", {MAPS, CODE}),
        ("flag:true", {RAIN2}),
        ("none:null", {CODE}),
        ("level:=12", {CODE}),
        ("level:=1", set()),
        ("1:2", {HINDI}),  # no field is called so
        ("toString:x", set()),
        # numbers and dates
        ("size:>1000", {RAIN10}),
        ("size:<=999", {RAIN2}),
        ("size:>1MB", {RAIN10}),
        ("size:=2e6", {RAIN10}),
        ("size:>", {RAIN2, RAIN10}),
        ("year:>=2026", {RAIN2}),
        ("level:<20", {CODE}),
        ("modified:>2026-05", {COLOGNE}),
        ("modified:<=2026-06-15", {COLOGNE, MAPS}),
        ("modified:>=2027", set()),
        ("key:<maps", {COLOGNE, CODE}),
    ],
)
def test_the_search_finds(searched: Page, typed: str, found: set[str]) -> None:
    searched.fill("#search", typed)
    assert set(keys(searched)) == found


@pytest.mark.parametrize(
    "typed",
    ['"', "-", ":", "a:", '":"', "-:-", "\\", "*", "(", '""', "-" * 999, '"' * 999, "a:" * 499],
)
def test_no_search_is_an_error(searched: Page, typed: str) -> None:
    searched.fill("#search", typed)
    assert searched.evaluate("parseQuery(page.search.value).length") <= 50


def test_the_help_opens_and_closes_by_keyboard(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    page.focus("#help")
    page.keyboard.press("Enter")
    expect(page.locator("#syntax")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#syntax")).to_be_hidden()
    expect(page.locator("#help")).to_be_focused()
