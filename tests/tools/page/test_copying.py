"""Lines to copy from the preview, each run for real."""

from __future__ import annotations

import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from tests.site.sitefolder import fill
from tests.tools.page.browsing import Look, choose, expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

KEY = "plain/one.txt"
VALUES = {
    KEY: b"one",
    'it\'s "q" \\ $(x) `y` é {1-2}[a] #1.txt': b"two",
    "-f": b"three",
}


@pytest.fixture(params=["data", "my 100% values"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SiteServer]:
    site = tmp_path / "a site"
    fill(site / request.param, VALUES)
    publish(site, browse=True, data=request.param)
    with serve(site, port=0) as server:
        yield server


def lines(page: Page) -> dict[str, str]:
    """Return what the buttons copy, by their names."""
    found: dict[str, str] = {}
    for name in ("URL", "Python", "curl", "staticstore get"):
        page.get_by_role("group", name="Copy").get_by_role("button", name=name, exact=True).click()
        expect(page.locator(".copy [role=status]")).to_contain_text("Copied")
        found[name] = page.evaluate("navigator.clipboard.readText()")
    return found


def test_the_lines_get_the_value(server: SiteServer, look: Look, tmp_path: Path) -> None:
    page = look(server.url, permissions=["clipboard-read", "clipboard-write"])
    script = [f'staticstore() {{ "{sys.executable}" -m staticstore "$@"; }}']
    python: list[str] = []
    for number, (key, value) in enumerate(VALUES.items()):
        choose(page, key)
        found = lines(page)
        with urllib.request.urlopen(found["URL"]) as response:
            assert response.read() == value
        for name in ("curl", "staticstore get"):
            place = f"'{tmp_path}/{name} {number}'"
            script.append(f"(mkdir {place}; cd {place}; {found[name]})")
        python.append(f"{found['Python']}; print(data)")
    script.append(f"{sys.executable} -c {shlex.quote(chr(10).join(python))}")
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [repr(value) for value in VALUES.values()]
    for number, (key, value) in enumerate(VALUES.items()):
        for name in ("curl", "staticstore get"):
            written = tmp_path / f"{name} {number}" / key.split("/")[-1]
            assert written.read_bytes() == value


def test_without_a_clipboard_the_text_is_selected(server: SiteServer, look: Look) -> None:
    page = look(server.url)
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    choose(page, KEY)
    page.get_by_role("button", name="URL", exact=True).click()
    selected = page.evaluate("String(document.getSelection())")
    assert selected == server.url + page.evaluate("quoted(document.body.dataset.path)") + KEY
    expect(page.locator(".copy [role=status]")).to_contain_text("Ctrl+C")
