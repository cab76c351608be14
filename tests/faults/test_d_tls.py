"""FAULTS D9: a host with an invalid certificate gets no request, and no retry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from staticstore import StaticStore, StoreError, TransportError
from tests.servers import (
    Certificates,
    RawServer,
    Squid,
    require,
    serve_files,
    write_certificates,
)
from tests.servers.certificates import Pair
from tests.sites import index_of, write_site

VALUE = b"0123456789" * 100
SITE = serve_files({"index.json": index_of({"a": VALUE}), "data/a": VALUE})

Start = Callable[..., RawServer]
Connect = Callable[..., StaticStore]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A self-signed certificate."""
    folder = tmp_path_factory.mktemp("self-signed")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "certificate.pem")
    authority.private_key_pem.write_to_path(folder / "key.pem")
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def safe(start: Start, certificates: Certificates) -> RawServer:
    """The site over TLS, with a good certificate of our own authority."""
    return start(SITE, ssl_context=certificates.context(certificates.server))


def test_d9_a_custom_authority_is_trusted(
    connect: Connect, certificates: Certificates, safe: RawServer
) -> None:
    store = connect(safe.url, verify=certificates.authority)
    assert store["a"].read() == VALUE


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_d9_every_name_in_the_certificate_is_accepted(
    connect: Connect, certificates: Certificates, safe: RawServer, host: str
) -> None:
    root = f"https://{host}:{safe.port}/"
    assert list(connect(root, verify=str(certificates.authority))) == ["a"]


BAD = {"expired": "expired", "other_host": "not valid for", "foreign": "unable to get"}


@pytest.mark.parametrize("name", BAD)
def test_d9_a_bad_certificate_is_a_transport_error_without_a_retry(
    start: Start, connect: Connect, certificates: Certificates, name: str
) -> None:
    server = start(SITE, ssl_context=certificates.context(getattr(certificates, name)))
    with pytest.raises(
        TransportError, match=f"certificate is not trusted: .*{BAD[name]}"
    ) as caught:
        connect(server.url, auth=("ali", "sesame"), verify=certificates.authority)
    assert caught.value.url == f"{server.url}index.head.json"
    assert server.connections == 1
    assert not server.requests


def test_d9_a_self_signed_certificate_is_a_transport_error_without_a_retry(
    start: Start, connect: Connect, certificates: Certificates, self_signed: Pair
) -> None:
    server = start(SITE, ssl_context=certificates.context(self_signed))
    with pytest.raises(TransportError, match="certificate is not trusted: self"):
        connect(server.url)
    assert server.connections == 1
    assert not server.requests


def test_d9_an_unknown_authority_is_not_trusted(connect: Connect, safe: RawServer) -> None:
    with pytest.raises(TransportError, match="certificate is not trusted"):
        connect(safe.url)
    assert safe.connections == 1


def test_d9_a_custom_authority_is_the_only_one_trusted(
    connect: Connect, certificates: Certificates, safe: RawServer
) -> None:
    with pytest.raises(TransportError, match="certificate is not trusted"):
        connect(safe.url, verify=certificates.foreign_authority)
    assert safe.connections == 1


def test_d9_when_a_certificate_becomes_invalid_the_old_snapshot_stays(
    connect: Connect, certificates: Certificates, safe: RawServer
) -> None:
    store = connect(safe.url, verify=certificates.authority)
    safe.stop()
    bad = RawServer(SITE, ssl_context=certificates.context(certificates.expired))
    bad.port = safe.port
    with bad, pytest.raises(TransportError, match="expired"):
        store.update_index()
    assert list(store) == ["a"]


def test_d9_a_value_behind_a_redirect_to_a_bad_certificate_is_not_read(
    start: Start, connect: Connect, certificates: Certificates, safe: RawServer
) -> None:
    bad = start(SITE, ssl_context=certificates.context(certificates.foreign))
    safe.answer = SITE.but(
        {
            "data/a": lambda request, wire: wire.response(
                302, headers={"Location": f"{bad.url}data/a"}
            )
        }
    )
    store = connect(safe.url, verify=certificates.authority)
    with pytest.raises(TransportError, match="certificate is not trusted"):
        store["a"].read()
    assert (bad.connections, len(bad.requests)) == (1, 0)


def test_d9_a_bad_certificate_behind_a_proxy_is_refused_too(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    require("squid")
    server = start(SITE, ssl_context=certificates.context(certificates.expired))
    with Squid() as squid, pytest.raises(TransportError, match="expired"):
        connect(server.url, verify=certificates.authority, proxies={"https": squid.url})
    assert (server.connections, len(server.requests)) == (1, 0)


def test_d9_a_host_without_tls_is_never_asked_in_plaintext(start: Start, connect: Connect) -> None:
    server = start(SITE)
    with pytest.raises(TransportError):
        connect(f"https://127.0.0.1:{server.port}/", timeout=(0.2, 0.2), retries=0)
    assert not server.requests


def test_d9_verification_can_be_turned_off_with_a_warning(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    server = start(SITE, ssl_context=certificates.context(certificates.expired))
    with pytest.warns(match="Unverified HTTPS request"):
        store = connect(server.url, verify=False)
    assert list(store) == ["a"]


# -- authorities -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_d9_authorities_named_in_the_environment_are_trusted(
    connect: Connect,
    certificates: Certificates,
    safe: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, str(certificates.authority))
    assert list(connect(safe.url)) == ["a"]


def test_d9_the_given_authority_takes_precedence_over_the_environment(
    connect: Connect,
    certificates: Certificates,
    safe: RawServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.foreign_authority))
    assert list(connect(safe.url, verify=certificates.authority)) == ["a"]


def test_d9_with_an_empty_folder_of_authorities_nothing_is_trusted(
    connect: Connect, safe: RawServer, tmp_path: Path
) -> None:
    with pytest.raises(TransportError, match="certificate is not trusted"):
        connect(safe.url, verify=tmp_path)
    assert safe.connections == 1


def test_d9_a_missing_authority_is_reported_before_anything_is_sent(
    connect: Connect, safe: RawServer, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="verify names a file that does not exist"):
        connect(safe.url, verify=tmp_path / "none.pem")
    assert not safe.connections


def test_d9_a_missing_authority_named_in_the_environment_is_reported_too(
    connect: Connect, safe: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(StoreError, match=r"REQUESTS_CA_BUNDLE.*not exist.*none\.pem"):
        connect(safe.url, retries=0)
    assert not safe.connections


def test_d9_authorities_in_the_environment_do_not_matter_without_tls(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    write_site(tmp_path, {"a": VALUE})
    assert connect(str(tmp_path))["a"].read() == VALUE


def test_d9_an_authority_that_is_not_a_certificate_is_an_error_without_a_retry(
    connect: Connect, safe: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authority.pem").write_text("no certificate")
    with pytest.raises(StoreError):
        connect(safe.url, verify=tmp_path / "authority.pem", retries=1)
    assert safe.connections <= 1
    assert not safe.requests


# -- certificates of the client --------------------------------------------------------


@pytest.fixture
def site_for_clients(start: Start, certificates: Certificates) -> RawServer:
    """The site, for clients with a certificate."""
    context = certificates.context(certificates.server, ask_client=True)
    return start(SITE, ssl_context=context)


@pytest.mark.parametrize("form", [tuple, list])
def test_d9_a_client_certificate_is_sent_to_a_host_that_asks_for_one(
    connect: Connect,
    certificates: Certificates,
    site_for_clients: RawServer,
    form: Callable[[Any], Any],
) -> None:
    pair = form(str(path) for path in certificates.client)
    store = connect(site_for_clients.url, verify=certificates.authority, cert=pair)
    assert store["a"].read() == VALUE


def test_d9_certificate_and_key_may_be_in_one_file(
    connect: Connect, certificates: Certificates, site_for_clients: RawServer, tmp_path: Path
) -> None:
    both = tmp_path / "client.pem"
    both.write_bytes(b"".join(path.read_bytes() for path in certificates.client))
    store = connect(site_for_clients.url, verify=certificates.authority, cert=str(both))
    assert list(store) == ["a"]


def test_d9_without_a_client_certificate_such_a_host_is_a_transport_error(
    connect: Connect, certificates: Certificates, site_for_clients: RawServer
) -> None:
    with pytest.raises(TransportError):
        connect(site_for_clients.url, verify=certificates.authority, retries=0)
    assert not site_for_clients.requests


@pytest.mark.parametrize("missing", [0, 1])
def test_d9_a_missing_client_certificate_is_reported_before_anything_is_sent(
    connect: Connect,
    certificates: Certificates,
    site_for_clients: RawServer,
    tmp_path: Path,
    missing: int,
) -> None:
    pair = [str(path) for path in certificates.client]
    pair[missing] = str(tmp_path / "none.pem")
    with pytest.raises(StoreError, match="cert names a file that does not exist"):
        connect(site_for_clients.url, verify=certificates.authority, cert=tuple(pair))
    assert not site_for_clients.connections
