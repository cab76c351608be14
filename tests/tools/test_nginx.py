"""Nginx with the lines of docs/hosting, and without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.servers import Nginx
from tests.tools.web_server import LINES, Host, WebServerSuite, ask_for_gzip


@pytest.fixture(scope="module")
def host(hosted_site: Path) -> Iterator[Host]:
    with Nginx(hosted_site, gzip=True, extra=f"include {LINES}/nginx.conf;") as server:
        yield Host(hosted_site, server, server.url)


class TestNginx(WebServerSuite):
    """The lines do what the page says."""


def test_without_the_lines_it_ignores_ranges_and_its_tags_are_weak(
    hosted_site: Path, session: requests.Session
) -> None:
    with Nginx(hosted_site, gzip=True) as server:
        whole, part = ask_for_gzip(session, server.url)
    assert "Content-Length" not in whole.headers
    assert whole.headers["ETag"].startswith("W/")
    assert part.status_code == 200
