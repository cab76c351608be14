"""The picture that a value's metadata names, and the sound and the texts of values."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.servers import RawServer, Request, Wire
from tests.site.sitefolder import make_site
from tests.tools.page.browsing import PIXEL, Look, choose, expect, looking

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
)


def sound() -> bytes:
    """Return a tenth of a second of silence."""
    body = io.BytesIO()
    with wave.open(body, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    return body.getvalue()


REFUSED = {
    "script": "javascript:alert(1)",
    "data": "data:image/png;base64,AAAA",
    "other": "//127.0.0.1/x.png",
    "above": "../../../x.png",
    "user": "https://ali:sesame@127.0.0.1/x.png",
    "missing": "thumbs/none.png",
    "text": "a/key.bin",
}
METADATA: dict[str, dict[str, Any]] = {
    "a/key.bin": {"preview": "thumbs/pixel.png"},
    "a/beside.bin": {"preview": "../thumbs/pixel.png"},
    "a/vector.bin": {"preview": "thumbs/x.svg"},
    "a/number.bin": {"preview": 7},
    "thumbs/pixel.png": {"preview": "thumbs/pixel.png"},
    **{f"refused/{name}": {"preview": preview} for name, preview in REFUSED.items()},
}
TEXTS = {
    "nice.json": b'{"a":[1,2.50],"b":{"c":12345678901234567890},"d":{}, "e":"{\\"x\\": 1}"}',
    "broken.json": b'{"a": [1,',
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {**dict.fromkeys(METADATA, b"\0"), "thumbs/pixel.png": PIXEL, "thumbs/x.svg": SVG}
    root = tmp_path_factory.mktemp("pictures") / "site"
    site = make_site(root, {**files, **TEXTS, "tone.wav": sound()})
    publish(site, browse=True, metadata=METADATA)
    return site


@pytest.fixture(scope="module")
def server(pictures: Path) -> Iterator[SiteServer]:
    with serve(pictures, port=0) as server:
        yield server


@pytest.fixture(scope="module")
def page(browser: Browser, server: SiteServer) -> Iterator[Page]:
    """One window for the tests that only look."""
    with looking(browser) as look:
        yield look(server.url)


@pytest.mark.parametrize("key", ["a/key.bin", "a/beside.bin"])
def test_the_picture_is_a_value_of_the_site_and_verified(page: Page, key: str) -> None:
    choose(page, key)
    expect(page.locator(".picture .note")).to_have_text("thumbs/pixel.png ✓ verified")
    assert page.locator(".picture img").evaluate("image => image.naturalWidth") == 1


def test_a_picture_that_differs_from_the_index_is_not_shown(pictures: Path, page: Page) -> None:
    try:
        (pictures / "data/thumbs/pixel.png").write_bytes(PIXEL[:-1] + b"\0")
        choose(page, "a/key.bin")
        expect(page.locator(".picture")).to_contain_text("not those that the index describes")
    finally:
        (pictures / "data/thumbs/pixel.png").write_bytes(PIXEL)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_f10_what_is_neither_a_picture_of_the_site_nor_a_web_address_is_told(
    page: Page, name: str
) -> None:
    choose(page, f"refused/{name}")
    expect(page.locator(".picture .failed")).to_contain_text(f"No picture “{REFUSED[name]}”")
    assert page.locator("#preview img").count() == 0


def test_a_picture_is_not_shown_twice_and_a_number_names_none(page: Page) -> None:
    choose(page, "thumbs/pixel.png")
    expect(page.locator("#preview img")).to_have_count(1)
    choose(page, "a/number.bin")
    expect(page.locator("#preview .picture")).to_have_count(0)


def test_f10_an_svg_is_a_picture_and_runs_nothing(page: Page) -> None:
    choose(page, "a/vector.bin")
    expect(page.locator(".picture img")).to_be_visible()
    assert page.locator("#preview svg").count() == 0


def named(tmp_path: Path, url: str) -> Path:
    site = make_site(tmp_path / "site", {"value.bin": b"\0"})
    publish(site, browse=True, metadata={"*": {"preview": url}})
    return site


def test_a_picture_on_the_web_is_asked_for_when_its_value_is_opened(
    tmp_path: Path, look: Look
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        fields = {"Content-Type": "image/png", "Access-Control-Allow-Origin": "*"}
        wire.response(200, PIXEL, fields)

    with RawServer(answer) as web, serve(named(tmp_path, f"{web.url}x.png"), port=0) as server:
        page = look(server.url)
        assert web.requests == []
        choose(page, "value.bin")
        expect(page.locator(".picture .note")).to_have_text(
            f"From 127.0.0.1:{web.port}, not verified"
        )
        expect(page.locator(".picture img")).to_be_visible()
        [request] = web.requests
        assert {"referer", "cookie", "authorization"}.isdisjoint(map(str.lower, request.headers))


def test_a_picture_whose_host_does_not_allow_it_is_told_and_linked(
    tmp_path: Path, server: SiteServer, look: Look
) -> None:
    url = f"http://localhost:{server.port}/data/thumbs/pixel.png"  # another origin, and no CORS
    with serve(named(tmp_path, url), port=0) as other:
        page = look(other.url, allow=("CORS", "ERR_FAILED"))
        choose(page, "value.bin")
        expect(page.locator(".picture .failed")).to_contain_text("does not give it to this page")
        expect(page.locator(".picture a")).to_have_attribute("href", url)
        assert page.locator(".picture a").get_attribute("rel") == "noopener noreferrer"


def test_sound_can_be_played(page: Page) -> None:
    choose(page, "tone.wav")
    expect(page.locator("figure audio[controls]")).to_be_visible()
    assert page.locator("audio").evaluate("audio => audio.duration") == pytest.approx(0.1)
    expect(page.locator(".sha256")).to_contain_text("verified")


def test_json_is_indented_and_its_numbers_stay_as_they_are(page: Page) -> None:
    choose(page, "nice.json")
    expect(page.locator("figure pre")).to_contain_text("\n")
    shown = page.locator("figure pre").inner_text()
    assert '  "a": [1, 2.50],\n  "b": {\n    "c": 12345678901234567890\n  },\n  "d": {},' in shown
    assert json.loads(shown) == json.loads(TEXTS["nice.json"])


def test_what_is_not_json_is_shown_as_it_is(page: Page) -> None:
    choose(page, "broken.json")
    expect(page.locator("figure pre")).to_have_text('{"a": [1,')
