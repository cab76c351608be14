"""A site in a container of Azure: Azurite checks signatures and shared access signatures."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from staticstore import AuthorizationError, StaticStore, publish
from staticstore.site.push import push
from tests.servers import AzureServer, require_azurite
from tests.servers.azure import ACCOUNT, ACCOUNT_KEY
from tests.site.sitefolder import make_site
from tests.transport.buckets.conftest import environment  # noqa: F401

VALUES = {f"small/{number:03}.txt": b"value %d" % number for number in range(30)}
VALUES["large é+%.bin"] = bytes(range(256)) * 8000
KEY = (ACCOUNT, ACCOUNT_KEY)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_site(tmp_path_factory.mktemp("sites") / "site", VALUES)
    publish(folder, pack=True)
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[AzureServer]:
    require_azurite()
    pytest.importorskip("obstore")
    with AzureServer() as server:
        server.container("maps")
        server.container("public", is_public=True)
        yield server


@pytest.fixture
def keys(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:  # noqa: F811
    environment.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    environment.setenv("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY)
    return environment


def store_at(server: AzureServer, container: str = "maps", **connect: Any) -> StaticStore:
    root = f"az://{container}/my site"
    return StaticStore(root, endpoint=server.endpoint, poll_interval=0).connect(**connect)


@pytest.mark.usefixtures("keys")
def test_a_store_reads_what_was_pushed_in_every_way(server: AzureServer, site: Path) -> None:
    push(site, "az://maps/my site", endpoint=server.endpoint)
    whole = VALUES["large é+%.bin"]
    with store_at(server) as store:
        value = store["large é+%.bin"]
        assert value.read() == whole
        assert value.range(-5).read() == whole[-5:]
        assert value.get_ranges([(0, 3), (10**6, 10**6 + 4)]) == [whole[:3], whole[10**6 :][:4]]
        assert store["small/000.txt"].etag
        assert dict(store.read_many(VALUES)) == VALUES
        assert not store.update_index()


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("by", ["key", "shared access signature"])
def test_a_head_and_a_query_past_caches_are_signed(
    server: AzureServer, site: Path, by: str
) -> None:
    push(site, "az://maps/my site", endpoint=server.endpoint)
    auth: Any = KEY if by == "key" else {"sas_token": _container_access()}
    with store_at(server, auth=auth) as store:
        session = store["small/000.txt"].remote_value.session
        for method, path in [("HEAD", "data/small/000.txt"), ("GET", "index.json?sha256=%20x&B=1")]:
            answer = session.request(method, path)
            assert answer.status == 200
            answer.close()


@pytest.mark.usefixtures("keys")
def test_a_signed_url_gives_this_value_and_no_other(server: AzureServer, site: Path) -> None:
    push(site, "az://maps/my site", endpoint=server.endpoint)
    with store_at(server) as store:
        url = store.sign("large é+%.bin", expires=60)
        other = store["small/000.txt"].url
    assert requests.get(url, timeout=10).content == VALUES["large é+%.bin"]
    query = urlsplit(url).query
    assert requests.get(f"{other}?{query}", timeout=10).status_code == 403
    assert requests.get(url.partition("?")[0], timeout=10).status_code in (403, 404)


@pytest.mark.usefixtures("keys")
def test_a_shared_access_signature_reads_the_site(server: AzureServer, site: Path) -> None:
    push(site, "az://maps/my site", endpoint=server.endpoint)
    with store_at(server, auth={"sas_token": _container_access()}) as store:
        assert store["small/001.txt"].range(2, 4).read() == VALUES["small/001.txt"][2:4]
        assert "sig=" not in store["small/001.txt"].url


def _container_access() -> str:
    """Return a shared access signature for a container, as Microsoft describes it."""
    expiry = (datetime.now(UTC) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    lines = ["r", "", expiry, f"/blob/{ACCOUNT}/maps", "", "", "", "2020-12-06", "c", *[""] * 7]
    text = "\n".join(lines).encode()
    digest = hmac.digest(base64.b64decode(ACCOUNT_KEY), text, "sha256")
    query = {"sp": "r", "se": expiry, "sv": "2020-12-06", "sr": "c"}
    return urlencode({**query, "sig": base64.b64encode(digest).decode()})


@pytest.mark.usefixtures("keys")
def test_a_public_container_is_read_without_credentials(server: AzureServer, site: Path) -> None:
    push(site, "az://public/my site", endpoint=server.endpoint)
    with store_at(server, "public", anonymous=True) as store:
        assert store.to_bytes("small/002.txt") == VALUES["small/002.txt"]


@pytest.mark.parametrize("auth", [(ACCOUNT, "b3Blbi1zZXNhbWU="), {"token": "open-sesame"}])
def test_a_wrong_key_is_an_authorization_error(server: AzureServer, auth: Any) -> None:
    with pytest.raises(AuthorizationError, match="403"):
        store_at(server, auth=auth)
