"""Previews of values."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.site.sitefolder import make_site
from tests.tools.page.browsing import (
    CSV,
    FILES,
    Look,
    choose,
    expect,
)

if TYPE_CHECKING:
    pass


def test_a_table_is_shown_and_plotted(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    choose(page, "tables/rain.csv")
    expect(page.locator("figure tbody tr")).to_have_count(4)
    expect(page.locator("figure svg .curve")).to_have_count(2)  # a line for each station
    assert page.locator(".legend span").all_inner_texts() == ["A", "B"]
    expect(page.locator(".sha256")).to_contain_text("verified")


def test_an_image_is_shown(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    choose(page, "pictures/pixel.png")
    expect(page.locator("figure img")).to_be_visible()
    expect(page.locator("figure .note")).to_have_text("1 \N{MULTIPLICATION SIGN} 1 pixels")


def test_a_map_is_drawn(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    choose(page, "maps/isle.geojson")
    expect(page.locator("figure svg .area")).to_have_count(1)
    expect(page.locator("figure svg .dot")).to_have_count(1)
    assert page.locator("figure svg title").text_content() == "<b>isle</b>"


def test_text_is_shown_and_the_link_is_quoted_as_python_quotes(
    server: SiteServer, look: Look
) -> None:
    key = "notes/100% é+#?.txt"
    page = look(server.url)
    choose(page, key)
    expect(page.locator("figure pre")).to_have_text("Grüße\n")
    url = page.locator("a.get").get_attribute("href")
    assert url == server.url + "data/" + urllib.parse.quote(key, safe="/")
    with page.expect_download() as download:
        page.click("a.get")
    assert Path(download.value.path()).read_bytes() == FILES[key]


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("close.csv", b"a,b\n1,1e20\n2,1.0000000000000002e20\n", "2 rows"),
        ("gap.csv", b"x,y\n1,2\n,3\n3,4\n", "3 rows"),
        (
            "wide.csv",
            b"\n".join([b"7," * 3000 + b"7"] * 150),
            "149 rows, 3,001 columns, the first 50",
        ),
        (
            "bent.geojson",
            b'{"type":"LineString","coordinates":[[0,0],["a",1],[1],null]}',
            "1 shape",
        ),
        ("flat.geojson", b'{"type":"Point","coordinates":{"x":1}}', "no geometry"),
        ("deep.json", b"[" * 100_000, "[[["),
        ("empty.txt", b"", "It is empty."),
        ("none.bin", bytes(range(256)), "no text"),
        ("none.png", b"none", "cannot show it"),
    ],
)
def test_an_odd_value_is_shown_as_far_as_it_goes(
    tmp_path: Path, look: Look, key: str, value: bytes, shown: str
) -> None:
    site = make_site(tmp_path / "site", {key: value})
    publish(site, browse=True)
    with serve(site, port=0) as server:
        page = look(server.url)
        choose(page, key)
        expect(page.locator("figure")).to_contain_text(shown)


def test_a_value_that_is_not_that_of_the_index_is_not_shown(
    site: Path, server: SiteServer, look: Look
) -> None:
    (site / "data/tables/rain.csv").write_bytes(CSV.replace(b"1.5", b"9.5"))
    page = look(server.url)
    choose(page, "tables/rain.csv")
    expect(page.locator("figure")).to_contain_text("not those that the index describes")
