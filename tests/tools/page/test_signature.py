"""The page of a signed site says who has signed it, and until when."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from staticstore.site.documents.page import renew_page
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.server import serve
from tests.tools.page.browsing import Look, expect, keys
from tests.trust_sites import SignedSite


def test_it_shows_who_has_signed_and_until_when(tmp_path: Path, look: Look) -> None:
    site = SignedSite(tmp_path / "site")
    renew_page(SiteFolder(site.root))
    site.lives["timestamp"] = timedelta(days=20_000)  # renewed since the page was written
    site.write_timestamp()
    with serve(site.root, port=0) as server:
        page = look(server.url)
        assert keys(page) == ["a.txt"]
        signer = site.keys["targets"][0].public_key.keyid[:12]
        expect(page.locator("#about")).to_contain_text(f"Signed by the key {signer}, until 208")


def test_it_shows_that_the_signature_has_expired(tmp_path: Path, look: Look) -> None:
    site = SignedSite(tmp_path / "site")
    site.lives["timestamp"] = timedelta(days=-1)
    site.write_timestamp()
    renew_page(SiteFolder(site.root))
    with serve(site.root, port=0) as server:
        expect(look(server.url).locator("#about")).to_contain_text("Signature expired on 20")
