"""Apache with the lines of docs/hosting, and without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.servers import Apache
from tests.tools.web_server import LINES, TEXT, TIMEOUT, Host, WebServerSuite, ask_for_gzip


@pytest.fixture(scope="module")
def host(hosted_site: Path) -> Iterator[Host]:
    with Apache(hosted_site, compression=True, extra=f'Include "{LINES}/apache.conf"') as server:
        yield Host(hosted_site, server, server.url)


class TestApache(WebServerSuite):
    """The lines do what the page says."""


def test_without_the_lines_it_gives_ranges_of_compressed_bytes_and_downloads_at_each_poll(
    hosted_site: Path, session: requests.Session
) -> None:
    with Apache(hosted_site, compression=True) as server:
        whole, part = ask_for_gzip(session, server.url)
        tag = whole.headers["ETag"]
        again = session.get(whole.url, headers={"If-None-Match": tag}, timeout=TIMEOUT)
    assert part.status_code == 206
    assert not part.headers["Content-Range"].endswith(f"/{len(TEXT)}")
    assert tag.endswith('-gzip"')
    assert again.status_code == 200
