"""FAULTS D8: proxies, with passwords of their own."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from requests.auth import HTTPBasicAuth
from requests.exceptions import InvalidSchema

from staticstore import AuthorizationError, HTTPStatusError, StaticStore, TransportError
from tests.servers import (
    Certificates,
    LoggedRequest,
    Nginx,
    RawServer,
    Squid,
    require,
    serve_files,
    write_certificates,
)
from tests.sites import index_of, write_site

VALUE = b"0123456789" * 100
FILES = {"index.json": index_of({"a": VALUE}), "data/a": VALUE}
SITE = serve_files(FILES)

AUTH = ("alí", "open:sesame")
PROXY_AUTH = ("próxy", "p@ss word:/%#?€")

Start = Callable[..., RawServer]
Connect = Callable[..., StaticStore]
Seen = Callable[[], list[LoggedRequest]]


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    """A proxy that requires a password."""
    require("squid")
    with Squid(auth=PROXY_AUTH, names=["localhost", "data.example"]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def open_squid() -> Iterator[Squid]:
    """A proxy without a password."""
    require("squid")
    with Squid(names=["localhost", "data.example"]) as proxy:
        yield proxy


def _but_heads(requests: list[LoggedRequest]) -> list[LoggedRequest]:
    """Leave out requests for a head, which the sites here do not have."""
    return [one for one in requests if one.status != 404]


@pytest.fixture
def forwarded(squid: Squid) -> Seen:
    """Return the requests to the proxy since the test began."""
    before = len(squid.requests())
    return lambda: _but_heads(squid.requests()[before:])


@pytest.fixture
def openly_forwarded(open_squid: Squid) -> Seen:
    """Return the requests to the open proxy since the test began."""
    before = len(open_squid.requests())
    return lambda: _but_heads(open_squid.requests()[before:])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def safe(start: Start, certificates: Certificates) -> RawServer:
    """The site over TLS."""
    return start(SITE, ssl_context=certificates.context(certificates.server))


def test_d8_basic_auth_works_through_an_authenticated_proxy(
    squid: Squid, forwarded: Seen, connect: Connect, tmp_path: Path
) -> None:
    require("nginx")
    write_site(tmp_path, {"a": VALUE})
    with Nginx(tmp_path, auth=AUTH) as nginx:
        store = connect(nginx.url, auth=AUTH, proxies={"http": squid.url_with_auth})
        assert store["a"].read() == VALUE
        pair = base64.b64encode(":".join(AUTH).encode()).decode()
        assert [request.status for request in _but_heads(nginx.requests())] == [200, 200]
        for request in nginx.requests():
            assert request.headers["Authorization"] == f"Basic {pair}"
            assert "Proxy-Authorization" not in request.headers
        assert [request.status for request in forwarded()] == [200, 200]
        assert all("Proxy-Authorization" in request.headers for request in forwarded())


def test_d8_basic_auth_works_through_an_authenticated_tunnel(
    squid: Squid, forwarded: Seen, connect: Connect, certificates: Certificates, safe: RawServer
) -> None:
    store = connect(
        safe.url,
        auth=AUTH,
        proxies={"https": squid.url_with_auth},
        verify=certificates.authority,
    )
    assert store["a"].read() == VALUE
    store.disconnect()
    safe.stop()
    for request in safe.requests:
        assert "Authorization" in request.headers
        assert "Proxy-Authorization" not in request.headers
    assert {request.method for request in forwarded()} == {"CONNECT"}
    for logged in forwarded():
        assert "Proxy-Authorization" in logged.headers
        assert "Authorization" not in logged.headers


def test_d8_a_query_of_the_root_is_hidden_in_a_tunnel(
    squid: Squid, forwarded: Seen, connect: Connect, certificates: Certificates, safe: RawServer
) -> None:
    proxies = {"https": squid.url_with_auth}
    store = connect(f"{safe.url}?sig=sesame", proxies=proxies, verify=certificates.authority)
    store.disconnect()
    safe.stop()
    assert safe.requests[0].target == "/index.json?sig=sesame"
    assert [logged.target for logged in forwarded()] == [f"127.0.0.1:{safe.port}"]


@pytest.mark.parametrize("user", ["", "eve:wrong@", "pr%C3%B3xy:wrong@", "pr%C3%B3xy@"])
def test_d8_a_refusal_by_the_proxy_is_one_request_and_an_authorization_error(
    squid: Squid, forwarded: Seen, connect: Connect, start: Start, user: str
) -> None:
    server = start(SITE)
    proxies = {"http": f"http://{user}127.0.0.1:{squid.port}"}
    with pytest.raises(AuthorizationError, match="the proxy refused with 407") as caught:
        connect(server.url, auth=AUTH, proxies=proxies)
    assert (caught.value.status, caught.value.url) == (407, f"{server.url}index.head.json")
    assert [logged.status for logged in forwarded()] == [407]
    assert not server.requests


@pytest.mark.parametrize("user", ["", "eve:wrong@"])
def test_d8_a_refused_tunnel_is_one_request_and_an_authorization_error(
    squid: Squid,
    forwarded: Seen,
    connect: Connect,
    certificates: Certificates,
    safe: RawServer,
    user: str,
) -> None:
    proxies = {"https": f"http://{user}127.0.0.1:{squid.port}"}
    with pytest.raises(AuthorizationError, match="the proxy refused with 407") as caught:
        connect(safe.url, auth=AUTH, proxies=proxies, verify=certificates.authority)
    assert (caught.value.status, caught.value.url) == (407, f"{safe.url}index.head.json")
    assert [(logged.method, logged.status) for logged in forwarded()] == [("CONNECT", 407)]
    assert not safe.connections


def test_d8_a_tunnel_that_fails_temporarily_is_retried(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    proxy = start(lambda request, wire: wire.response(503))
    with pytest.raises(HTTPStatusError) as caught:
        connect("https://data.example/", proxies={"https": proxy.url}, retries=1)
    assert caught.value.status == 503
    assert [request.target for request in proxy.requests] == ["data.example:443"] * 2


def test_d8_a_proxy_without_credentials_works(
    open_squid: Squid, openly_forwarded: Seen, connect: Connect, start: Start
) -> None:
    server = start(SITE)
    store = connect(server.url, auth=AUTH, proxies={"http": open_squid.url})
    assert store["a"].read() == VALUE
    assert all("Authorization" in request.headers for request in server.requests)
    assert not any("Proxy-Authorization" in logged.headers for logged in openly_forwarded())


def test_d8_a_proxy_may_be_given_without_a_scheme(
    open_squid: Squid, openly_forwarded: Seen, connect: Connect, start: Start
) -> None:
    connect(start(SITE).url, proxies={"http": f"127.0.0.1:{open_squid.port}"})
    assert len(openly_forwarded()) == 1


def test_d8_a_host_name_known_only_to_the_proxy_is_resolved_there(
    open_squid: Squid, connect: Connect, start: Start
) -> None:
    server = start(SITE)
    store = connect(f"http://data.example:{server.port}/", proxies={"http": open_squid.url})
    assert store["a"].read() == VALUE
    assert server.requests[0].headers["Host"] == f"data.example:{server.port}"


def test_d8_the_origin_sees_no_credentials_of_the_proxy_after_a_redirect(
    squid: Squid, connect: Connect, start: Start
) -> None:
    other, first = start(SITE), start(SITE)
    first.answer = lambda request, wire: wire.response(
        302, headers={"Location": f"{other.url}index.json"}
    )
    connect(first.url, auth=AUTH, proxies={"http": squid.url_with_auth})
    for request in (*first.requests, *other.requests):
        assert "Proxy-Authorization" not in request.headers
    assert "Authorization" in first.requests[0].headers
    assert "Authorization" not in other.requests[0].headers


def test_d8_a_407_of_an_origin_gets_no_credentials(connect: Connect, start: Start) -> None:
    fields = {"Proxy-Authenticate": 'Basic realm="trap"'}
    server = start(lambda request, wire: wire.response(407, headers=fields))
    with pytest.raises(AuthorizationError):
        connect(server.url, auth=HTTPBasicAuth("ali", "sesame"), proxies={})
    assert len(server.requests) == 1
    assert "Proxy-Authorization" not in server.requests[0].headers


def test_d8_the_given_proxies_are_copied(
    open_squid: Squid, openly_forwarded: Seen, connect: Connect, start: Start
) -> None:
    proxies = {"http": open_squid.url}
    store = connect(start(SITE).url, proxies=proxies)
    proxies.clear()
    store.update_index()
    assert len(openly_forwarded()) == 2


# -- proxies of the environment --------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_d8_by_default_the_proxies_of_the_environment_are_used(
    squid: Squid,
    forwarded: Seen,
    connect: Connect,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, squid.url_with_auth)
    store = connect(start(SITE).url)
    assert store["a"].read() == VALUE
    assert len(forwarded()) == 2


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_d8_by_default_the_https_proxy_of_the_environment_is_used(
    squid: Squid,
    forwarded: Seen,
    connect: Connect,
    certificates: Certificates,
    safe: RawServer,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, squid.url_with_auth)
    store = connect(safe.url, verify=certificates.authority)
    store.disconnect()
    safe.stop()
    assert [logged.method for logged in forwarded()] == ["CONNECT"]


@pytest.mark.parametrize("exempt", ["*", "127.0.0.1", "127.0.0.0/8", "a.example, 127.0.0.1"])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_d8_hosts_in_no_proxy_are_asked_directly(
    squid: Squid,
    forwarded: Seen,
    connect: Connect,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    exempt: str,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", squid.url_with_auth)
    monkeypatch.setenv(name, exempt)
    server = start(SITE)
    connect(server.url)
    assert not forwarded()
    assert len(server.requests) == 1


def test_d8_with_an_empty_mapping_no_proxy_is_used(
    squid: Squid,
    forwarded: Seen,
    connect: Connect,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, squid.url_with_auth)
    server = start(SITE)
    connect(server.url, proxies={})
    assert not forwarded()
    assert len(server.requests) == 1


def test_d8_given_proxies_take_precedence_over_the_environment(
    squid: Squid,
    forwarded: Seen,
    connect: Connect,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    connect(start(SITE).url, proxies={"http": squid.url_with_auth})
    assert len(forwarded()) == 1


def test_d8_a_proxy_that_is_down_is_a_transport_error(connect: Connect, start: Start) -> None:
    server = start(SITE)
    with RawServer(SITE) as gone:
        pass
    with pytest.raises(TransportError, match="Connection refused"):
        connect(server.url, proxies={"http": gone.url}, retries=0)
    assert not server.requests


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4a"])
def test_d12_socks_without_pysocks_is_an_error_that_names_it(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    def missing(*args: object, **kwargs: object) -> None:
        raise InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)
    with pytest.raises(TransportError, match="PySocks"):
        connect("http://data.example/", proxies={"http": f"{scheme}://127.0.0.1:9"}, retries=3)


@pytest.mark.parametrize("status", [102, 103])
def test_c18_interim_answers_of_a_proxy_are_skipped(
    connect: Connect, start: Start, status: int
) -> None:
    proxy = start(
        lambda request, wire: wire.send(
            b"HTTP/1.1 %d Interim\r\n\r\nHTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n" % status
        )
    )
    with pytest.raises(AuthorizationError, match="the proxy refused with 407"):
        connect("https://data.example/", proxies={"https": proxy.url}, retries=0)
    assert [request.method for request in proxy.requests] == ["CONNECT"]


def test_d8_a_site_in_a_folder_uses_no_proxy(
    tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    write_site(tmp_path, {"a": VALUE})
    assert connect(tmp_path.as_uri())["a"].read() == VALUE
