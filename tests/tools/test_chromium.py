"""The page to browse a site, as Chromium shows it."""

from __future__ import annotations

import hashlib
import json
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.servers import PythonServer
from tests.site.sitefolder import fill, make_site
from tests.tools.conftest import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
if chromium() is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000a49444154789c6300010000050001"
    "0d0a2db40000000049454e44ae426082"
)
CSV = b"day,station,rain\n2026-01-01,A,1.5\n2026-01-01,B,2\n2026-01-02,A,3\n2026-01-02,B,\n"
GEOJSON = json.dumps(
    {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"name": "<b>isle</b>"},
                "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 1], [0, 0]]]},
            },
            {"type": "Feature", "properties": None, "geometry": None},
            {"type": "Point", "coordinates": [1, 1]},
        ],
    }
).encode()
FILES = {
    "maps/isle.geojson": GEOJSON,
    "notes/100% é+#?.txt": "Grüße\n".encode(),
    "pictures/pixel.png": PIXEL,
    "tables/rain.csv": CSV,
}
METADATA = {
    "*.csv": {"type": "table", "title": "Rain of two days"},
    "*.png": {"type": "raster"},
    "*.geojson": {"type": "vector"},
    "*.txt": {"type": "vector"},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_site(tmp_path / "site", FILES)


@pytest.fixture
def server(site: Path) -> Iterator[SiteServer]:
    publish(site, browse=True, metadata=METADATA)
    with serve(site, port=0) as server:
        yield server


Look = Callable[..., "Page"]


@pytest.fixture
def look(browser: Browser) -> Iterator[Look]:
    """Open a page in a window of its own; what goes wrong in it fails the test."""
    wrong: list[str] = []
    contexts = []

    def opened(dialog: Dialog) -> None:
        wrong.append(dialog.message)
        dialog.dismiss()

    def said(message: ConsoleMessage) -> None:
        # That a site has no head is no error.
        if message.type == "error" and "404" not in message.text:
            wrong.append(message.text)

    def look(url: str, *, width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 800})
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", opened)
        page.on("console", said)
        page.goto(url)
        page.wait_for_selector(".row")
        return page

    yield look
    for context in contexts:
        context.close()
    assert not wrong


def keys(page: Page) -> list[str]:
    return page.locator(".row .key").all_inner_texts()


def choose(page: Page, key: str) -> None:
    page.locator(".row .key").get_by_text(key, exact=True).click()


def test_all_keys_are_listed(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    assert keys(page) == sorted(FILES)
    expect(page.locator("#status")).to_contain_text("4 entries")


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


def test_where_there_is_little_room_the_preview_takes_that_of_the_filters(
    server: SiteServer, look: Look
) -> None:
    page = look(server.url, width=800)
    expect(page.locator("#filters")).to_be_visible()
    choose(page, "tables/rain.csv")
    expect(page.locator("#filters")).to_be_hidden()
    page.click("#close")
    expect(page.locator("#filters")).to_be_visible()


def test_a_column_sorts_both_ways(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    by_size = sorted(FILES, key=lambda key: len(FILES[key]))
    page.get_by_role("button", name="Size").click()
    assert keys(page) == by_size
    page.get_by_role("button", name="Size").click()
    assert keys(page) == by_size[::-1]


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


def test_a_path_with_a_bare_percent_sign_is_a_name_as_well(site: Path, look: Look) -> None:
    publish(site, browse=True)
    site.rename(site.with_name("100%"))
    with PythonServer(site.parent) as server:
        page = look(server.url + "100%/")
        expect(page.locator("h1")).to_have_text("100%")


def test_a_value_that_is_not_that_of_the_index_is_not_shown(
    site: Path, server: SiteServer, look: Look
) -> None:
    (site / "data/tables/rain.csv").write_bytes(CSV.replace(b"1.5", b"9.5"))
    page = look(server.url)
    choose(page, "tables/rain.csv")
    expect(page.locator("figure")).to_contain_text("not those that the index describes")


def test_a_change_arrives(site: Path, server: SiteServer, look: Look) -> None:
    page = look(server.url + "?poll=0.1")
    choose(page, "tables/rain.csv")
    fill(site / "data", {"new.txt": b"new", "tables/rain.csv": CSV + b"2026-01-03,A,7\n"})
    (site / "data/pictures/pixel.png").unlink()
    publish(site, metadata=METADATA)
    expect(page.locator("#status")).to_contain_text("1 new, 1 changed, 1 gone")
    assert keys(page) == ["maps/isle.geojson", "new.txt", "notes/100% é+#?.txt", "tables/rain.csv"]
    assert page.locator(".row.fresh .key").all_inner_texts() == ["new.txt", "tables/rain.csv"]
    expect(page.locator("figure tbody tr")).to_have_count(5)  # what is looked at is read again


def test_a_change_arrives_without_a_head(site: Path, server: SiteServer, look: Look) -> None:
    (site / "index.head.json").unlink()
    page = look(server.url + "?poll=0.1")
    (site / "index.json").write_text('{"only": {}}', "utf-8")
    expect(page.locator(".row")).to_have_count(1)
    assert keys(page) == ["only"]


def test_a_bad_index_changes_nothing_and_is_told(
    site: Path, server: SiteServer, look: Look
) -> None:
    (site / "index.head.json").unlink()
    page = look(server.url + "?poll=0.1")
    good = (site / "index.json").read_bytes()
    (site / "index.json").write_text("<html>Welcome", "utf-8")
    expect(page.locator("#status")).to_contain_text("index.json is not JSON")
    assert len(keys(page)) == 4
    (site / "index.json").write_bytes(good)
    expect(page.locator("#status")).to_contain_text("4 entries")


HOSTILE = '<img src=x onerror="alert(1)">'


def test_f10_hostile_keys_and_fields_are_shown_as_text(tmp_path: Path, look: Look) -> None:
    fields = {
        "type": HOSTILE,
        "title": "<script>alert(2)</script>",
        "link": "javascript:alert(3)",
        "__proto__": {"size": 7},
        "<svg onload=alert(4)>": {"a": [HOSTILE]},
    }
    site = make_site(tmp_path / "site", {HOSTILE: b"<script>alert(5)</script>", "b": b""})
    publish(site, browse=True, metadata={"*": fields})
    with serve(site, port=0) as server:
        page = look(server.url)
        assert keys(page) == [HOSTILE, "b"]
        choose(page, HOSTILE)
        expect(page.locator("figure pre")).to_have_text("<script>alert(5)</script>")
        assert page.locator("#preview h2").inner_text() == fields["title"]
        shown = page.locator("#preview dd").all_inner_texts()
        assert {HOSTILE, "javascript:alert(3)"} <= set(shown)
        assert page.locator("body img, svg, body script").count() == 1  # the page's own script
        assert page.locator("[href^=javascript]").count() == 0


def test_the_page_shows_what_the_site_says_of_itself(
    site: Path, server: SiteServer, look: Look
) -> None:
    page = look(server.url + "?poll=0.1")
    expect(page.locator("#about")).to_be_hidden()
    (site / "about.toml").write_text(
        'title = "Ilvar"\ndescription = "An island."\nlicense = "CC0-1.0"\n'
        'homepage = "https://example.org/ilvar"\n'
    )
    (site / "README.md").write_text("# Ilvar\n")
    publish(site, browse=True, metadata=METADATA)
    expect(page.locator("h1")).to_have_text("Ilvar")
    expect(page.locator("#about")).to_contain_text("An island.")
    expect(page.locator("#about")).to_contain_text("CC0-1.0")
    links = page.locator("#about a")
    assert [link.get_attribute("href") for link in links.all()] == [
        "https://example.org/ilvar",
        server.url + "README.md",
    ]
    assert "noopener" in (links.first.get_attribute("rel") or "")


def test_f11_hostile_words_are_shown_as_text_and_link_nowhere(
    site: Path, server: SiteServer, look: Look
) -> None:
    file = {"size": 1, "sha256": "ab" * 32}
    markup = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
    names = ["README.php", "../x", "javascript:alert(1)", "README.md/x", "__proto__"]
    body = json.dumps(
        {
            "title": markup,
            "description": markup,
            "license": {"a": markup},
            "homepage": "javascript:alert(1)//https://example.org/",
            "files": dict.fromkeys(names, file),
        }
    ).encode()
    name_in_head(site, body)
    page = look(server.url)
    expect(page.locator("h1")).to_contain_text("<img src=x")
    expect(page.locator("#about p")).to_contain_text("<img src=x")
    assert page.locator("#about a, #about img, h1 img").count() == 0


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"[" * 1000])
def test_words_that_are_none_keep_nothing_from_being_shown(
    site: Path, server: SiteServer, look: Look, body: bytes
) -> None:
    name_in_head(site, body)
    page = look(server.url)
    expect(page.locator("#about")).to_be_hidden()
    assert keys(page) == sorted(FILES)


def name_in_head(site: Path, body: bytes) -> None:
    """Have the head of a site name these bytes as its own words."""
    sha256 = hashlib.sha256(body).hexdigest()
    (site / "about").mkdir()
    (site / "about" / f"{sha256}.json").write_bytes(body)
    head = json.loads((site / "index.head.json").read_bytes())
    head["about"] = {"size": len(body), "sha256": sha256}
    (site / "index.head.json").write_text(json.dumps(head))


def test_f10_what_is_no_key_is_left_out(site: Path, server: SiteServer, look: Look) -> None:
    (site / "index.head.json").unlink()
    no_keys = ["../secret", "a//b", "/x", "", "a/..", "\u202egpj.exe", "x\ny"]
    index = {**{key: {} for key in no_keys}, "none": 7, "good": {}}
    (site / "index.json").write_text(json.dumps(index), "utf-8")
    page = look(server.url)
    assert keys(page) == ["good"]
    expect(page.locator("#status")).to_contain_text("8 left out")


def test_the_policy_allows_no_markup_from_strings_and_no_other_host(
    server: SiteServer, browser: Browser
) -> None:
    page = browser.new_page()
    page.goto(server.url)
    policy = page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for forbidden in ('document.body.innerHTML = "<p>"', 'await fetch("http://127.0.0.1:9/")'):
        with pytest.raises(playwright.Error, match="TypeError"):
            page.evaluate(f"async () => {{ {forbidden} }}")
    page.close()


def test_the_page_asks_nobody_but_its_site_and_works_below_a_path(
    site: Path, browser: Browser
) -> None:
    publish(site, browse=True, metadata=METADATA)
    with PythonServer(site.parent) as server:
        context = browser.new_context()
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url + "site/")
        page.wait_for_selector(".row")
        choose(page, "tables/rain.csv")
        page.wait_for_selector("figure svg")
        context.close()
    assert {url for url in asked if not url.startswith(server.url + "site/")} <= {
        url for url in asked if url.startswith("data:image/svg+xml")
    }


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


def test_a_value_can_be_linked_to(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    choose(page, "notes/100% é+#?.txt")
    again = look(page.url)
    expect(again.locator("#preview .path")).to_have_text("notes/100% é+#?.txt")


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
