"""What a site says of itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer
from tests.tools.page.browsing import (
    FILES,
    METADATA,
    Look,
    expect,
    keys,
    poll,
)

if TYPE_CHECKING:
    pass


def test_the_page_shows_what_the_site_says_of_itself(
    site: Path, server: SiteServer, look: Look
) -> None:
    page = look(server.url)
    expect(page.locator("#about")).to_be_hidden()
    (site / "about.toml").write_text(
        'title = "Ilvar"\ndescription = "An island."\nlicense = "CC0-1.0"\n'
        'homepage = "https://example.org/ilvar"\n'
    )
    (site / "README.md").write_text("# Ilvar\n")
    publish(site, browse=True, metadata=METADATA)
    poll(page)
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
