"""Directory listings of real servers: every file is found, and its URL is right."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import requests

from staticstore.formats import Document, autoindex
from tests.formats.walk import walk
from tests.servers import Apache, Caddy, Lighttpd, Nginx, PythonServer
from tests.site.sitefolder import fill

PATIENCE = 10.0
VALUES = {
    "a.txt": b"a" * 7,
    "large.bin": b"b" * 123_456,
    "two words.txt": b"words",
    "100%.txt": b"percent",
    "a+b;c&d=e.txt": b"signs",
    "a:b.txt": b"colon",
    "x?y#z.txt": b"query",
    "quo\"te's.txt": b"quotes",
    "<b>.txt": b"tag",
    "é日本.txt": b"letters",
    f"{'long-' * 30}.txt": b"long",
    "sub dir/b.txt": b"below",
    "sub dir/deep#er/c.txt": b"deeper",
    "é/d.txt": b"letters below",
}
TABLE = "IndexOptions FancyIndexing HTMLTable FoldersFirst"

SERVERS: dict[str, Callable[[Path], AbstractContextManager[Any]]] = {
    "nginx": lambda site: Nginx(site, extra="autoindex on;"),
    "nginx-rounded": lambda site: Nginx(site, extra="autoindex on;\nautoindex_exact_size off;"),
    "nginx-json": lambda site: Nginx(site, extra="autoindex on;\nautoindex_format json;"),
    "apache": lambda site: Apache(site, extra="IndexOptions FancyIndexing NameWidth=20"),
    "apache-plain": lambda site: Apache(site),
    "apache-table": lambda site: Apache(site, extra=f"{TABLE} IconsAreLinks"),
    "caddy": lambda site: Caddy(site, extra="file_server browse"),
    "lighttpd": Lighttpd,
    "python": PythonServer,
}
EXACT = {"nginx", "nginx-json", "caddy"}


@pytest.mark.parametrize("name", SERVERS)
def test_a_listing_has_every_file_with_its_url(name: str, tmp_path: Path) -> None:
    fill(tmp_path, VALUES)
    with SERVERS[name](tmp_path) as server:
        found = walk(autoindex.read, server.url)
        bodies = {
            key: requests.get(url, timeout=PATIENCE).content for key, (_, url) in found.items()
        }
    assert bodies == VALUES
    sizes = {key: metadata["size"] for key, (metadata, _) in found.items() if "size" in metadata}
    assert sizes == {key: len(VALUES[key]) for key in sizes}
    assert name not in EXACT or sizes.keys() == VALUES.keys()


@pytest.mark.parametrize("name", sorted(set(SERVERS) - {"python", "apache-plain"}))
def test_a_file_that_grows_has_another_row(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {"a.bin": b"a" * 5_000})
    with SERVERS[name](tmp_path) as server:
        before = walk(autoindex.read, server.url)
        fill(tmp_path, {"a.bin": b"a" * 20_000})
        assert walk(autoindex.read, server.url) != before


@pytest.mark.parametrize("name", SERVERS)
def test_it_is_recognized(name: str, tmp_path: Path) -> None:
    fill(tmp_path, {"a.txt": b"a"})
    with SERVERS[name](tmp_path) as server:
        body = requests.get(server.url, timeout=PATIENCE).content
    assert autoindex.is_likely(Document(server.url, body, None, None))
