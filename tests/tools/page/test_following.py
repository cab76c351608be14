"""What the page does when the site changes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer
from tests.site.sitefolder import fill
from tests.tools.page.browsing import (
    CSV,
    METADATA,
    Look,
    choose,
    expect,
    keys,
    poll,
)

if TYPE_CHECKING:
    pass


def test_a_change_arrives(site: Path, server: SiteServer, look: Look) -> None:
    page = look(server.url)
    choose(page, "tables/rain.csv")
    fill(site / "data", {"new.txt": b"new", "tables/rain.csv": CSV + b"2026-01-03,A,7\n"})
    (site / "data/pictures/pixel.png").unlink()
    publish(site, metadata=METADATA)
    poll(page)
    expect(page.locator("#status")).to_contain_text("1 new, 1 changed, 1 gone")
    assert keys(page) == ["maps/isle.geojson", "new.txt", "notes/100% é+#?.txt", "tables/rain.csv"]
    assert page.locator(".row.fresh .key").all_inner_texts() == ["new.txt", "tables/rain.csv"]
    expect(page.locator("figure tbody tr")).to_have_count(5)  # what is looked at is read again


def test_a_change_arrives_without_a_head(site: Path, server: SiteServer, look: Look) -> None:
    (site / "index.head.json").unlink()
    page = look(server.url)
    (site / "index.json").write_text('{"only": {}}', "utf-8")
    poll(page)
    expect(page.locator(".row")).to_have_count(1)
    assert keys(page) == ["only"]


def test_a_bad_index_changes_nothing_and_is_told(
    site: Path, server: SiteServer, look: Look
) -> None:
    (site / "index.head.json").unlink()
    page = look(server.url)
    good = (site / "index.json").read_bytes()
    (site / "index.json").write_text("<html>Welcome", "utf-8")
    poll(page)
    expect(page.locator("#status")).to_contain_text("index.json is not JSON")
    assert len(keys(page)) == 4
    (site / "index.json").write_bytes(good)
    poll(page)
    expect(page.locator("#status")).to_contain_text("4 entries")


def test_a_change_leaves_the_focus_where_it_is(site: Path, server: SiteServer, look: Look) -> None:
    page = look(server.url)
    for place in (page.get_by_label("vector"), page.get_by_role("button", name="Size")):
        place.focus()
        fill(site / "data", {"tables/rain.csv": place.evaluate("one => one.outerHTML").encode()})
        publish(site, metadata=METADATA)
        poll(page)
        expect(page.locator(".row.fresh")).to_have_count(1)
        expect(place).to_be_focused()
