"""The page says who has signed a site, and until when."""

from __future__ import annotations

from staticstore.site.documents.page import page_of
from staticstore.site.folder.site_folder import SiteFolder
from tests.trust_sites import SignedSite


def test_the_page_says_who_has_signed_and_until_when(site: SignedSite) -> None:
    page = page_of(SiteFolder(site.root)).decode()
    signer = site.keys["targets"][0].public_key.keyid[:12]
    assert f'data-signers="{signer}"' in page
    assert f"Signed by the key {signer}, until 20" in page


def test_the_page_of_a_site_that_is_not_signed_says_nothing(site: SignedSite) -> None:
    (site.trust / "timestamp.json").unlink()
    page = page_of(SiteFolder(site.root)).decode()
    assert 'data-signers=""' in page
    assert "<p>Signed" not in page


def test_signatures_of_garbage_are_not_shown(site: SignedSite) -> None:
    name = "1.targets.json"
    body = (site.trust / name).read_bytes()
    signer = site.keys["targets"][0].public_key.keyid.encode()
    (site.trust / name).write_bytes(body.replace(signer, b"<b>evil</b>"))
    assert "evil" not in page_of(SiteFolder(site.root)).decode()
