"""Whatever a site says, the page shows it as text and asks nobody else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.servers import PythonServer
from tests.site.sitefolder import make_site
from tests.tools.page.browsing import (
    METADATA,
    Look,
    PlaywrightError,
    choose,
    expect,
    keys,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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
        with pytest.raises(PlaywrightError, match="TypeError"):
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
