"""Caddy with the lines of docs/hosting, and without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.servers import Caddy
from tests.tools.web_server import LINES, TEXT, Host, WebServerSuite, ask_for_gzip


@pytest.fixture(scope="module")
def host(hosted_site: Path) -> Iterator[Host]:
    with Caddy(hosted_site, extra=f"encode zstd gzip\n    import {LINES}/Caddyfile") as server:
        yield Host(hosted_site, server, server.url)


class TestCaddy(WebServerSuite):
    """The lines do what the page says."""


def test_without_the_lines_it_gives_ranges_of_the_plain_bytes(
    hosted_site: Path, session: requests.Session
) -> None:
    with Caddy(hosted_site, extra="encode zstd gzip\n    file_server") as server:
        _, part = ask_for_gzip(session, server.url)
    assert part.status_code == 206
    assert part.headers["Content-Range"].endswith(f"/{len(TEXT)}")
