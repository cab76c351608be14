"""FAULTS D for many requests at once: which secrets are sent where, and who is trusted."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from staticstore import AuthorizationError, StaticStore, TransportError
from tests.engines import ENGINES, sending_by
from tests.servers import (
    Certificates,
    Nginx,
    RawServer,
    Request,
    Squid,
    Wire,
    require,
    serve_files,
    write_certificates,
)
from tests.sites import index_of, write_site

VALUES = {f"{number:02}": b"%d" % number * 100 for number in range(10)}
FILES = {"index.json": index_of(VALUES), **{f"data/{key}": v for key, v in VALUES.items()}}
AUTH = ("alí", "open:sesame")
SECRETS = {"X-Api-Key": "sesame"}
BASIC = "Basic " + base64.b64encode(":".join(AUTH).encode()).decode()

Start = Callable[..., RawServer]
Connect = Callable[..., StaticStore]


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with sending_by(request.param):
        yield


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


def values_of(server: RawServer) -> list[Request]:
    return [request for request in server.requests if request.path.startswith("/data/")]


def test_secrets_are_sent_to_the_root(start: Start, connect: Connect) -> None:
    server = start(serve_files(FILES))
    assert dict(connect(server.url, auth=AUTH, headers=SECRETS).read_many(VALUES)) == VALUES
    assert {one.headers["Authorization"] for one in values_of(server)} == {BASIC}
    assert {one.headers["X-Api-Key"] for one in values_of(server)} == {"sesame"}
    assert len(values_of(server)) == len(VALUES)


def test_d1_no_secret_is_sent_after_a_redirect_elsewhere(start: Start, connect: Connect) -> None:
    other = start(serve_files(FILES))

    def redirects(request: Request, wire: Wire) -> None:
        wire.response(302, headers={"Location": other.url.removesuffix("/") + request.target})

    here = start(serve_files(FILES).but({f"data/{key}": redirects for key in VALUES}))
    store = connect(here.url, auth=AUTH, headers=SECRETS)
    assert dict(store.read_many(VALUES)) == VALUES
    assert len(other.requests) == len(VALUES)
    for request in other.requests:
        assert not {"Authorization", "Cookie", "X-Api-Key"} & set(request.headers)


def test_d4_a_wrong_password_is_one_authorization_error(tmp_path: Path, connect: Connect) -> None:
    require("nginx")
    write_site(tmp_path, VALUES)
    with Nginx(tmp_path, auth=AUTH) as nginx:
        store = connect(nginx.url, auth=AUTH)
        nginx.stop()
        nginx.auth = ("other", "password")
        nginx.start()
        with pytest.raises(AuthorizationError):
            list(store.read_many(VALUES))


def test_d6_netrc_is_not_read_without_being_requested(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login ali password sesame\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = start(serve_files(FILES))
    assert dict(connect(server.url).read_many(VALUES)) == VALUES
    assert not any("Authorization" in request.headers for request in server.requests)


def test_d7_the_query_of_the_root_is_sent_and_a_hash_sign_in_a_key_is_quoted(
    start: Start, connect: Connect
) -> None:
    values = {"a?b#c %41": b"1", "d": b"2"}
    files = {"index.json": index_of(values), **{f"data/{key}": v for key, v in values.items()}}
    server = start(serve_files(files))
    assert dict(connect(f"{server.url}?sig=sesame").read_many(values)) == values
    assert {request.target.partition("?")[2] for request in server.requests} == {"sig=sesame"}


def test_cookies_are_not_kept(start: Start, connect: Connect) -> None:
    def sets(request: Request, wire: Wire) -> None:
        wire.response(200, VALUES["00"], {"Set-Cookie": "a=b"})

    server = start(serve_files(FILES).but({"data/00": sets}))
    store = connect(server.url)
    for _ in range(2):
        assert dict(store.read_many(VALUES)) == VALUES
    assert not any("Cookie" in request.headers for request in server.requests)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_d8_proxies_of_the_environment_are_not_used_with_an_empty_mapping(
    start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server = start(serve_files(FILES))
    monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "")
    assert dict(connect(server.url, proxies={}).read_many(VALUES)) == VALUES
    assert len(values_of(server)) == len(VALUES)


def test_d8_the_origin_does_not_see_the_password_of_a_proxy(start: Start, connect: Connect) -> None:
    require("squid")
    server = start(serve_files(FILES))
    with Squid(auth=("próxy", "p@ss word:/%#?€")) as squid:
        store = connect(server.url, auth=AUTH, proxies={"http": squid.url_with_auth})
        assert dict(store.read_many(VALUES)) == VALUES
        assert len([one for one in squid.requests() if "/data/" in one.target]) == len(VALUES)
    assert not any("Proxy-Authorization" in request.headers for request in server.requests)
    assert {one.headers["Authorization"] for one in values_of(server)} == {BASIC}


def test_d8_a_proxy_does_not_see_the_password_of_the_origin_in_a_tunnel(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    require("squid")
    server = start(serve_files(FILES), ssl_context=certificates.context(certificates.server))
    with Squid(auth=("proxy", "sesame")) as squid:
        store = connect(
            server.url,
            auth=AUTH,
            proxies={"https": squid.url_with_auth},
            verify=str(certificates.authority),
        )
        assert dict(store.read_many(VALUES)) == VALUES
        assert len(values_of(server)) == len(VALUES)
        store.disconnect()
        tunnels = squid.requests()
    assert {one.method for one in tunnels} == {"CONNECT"}
    assert not any("Authorization" in one.headers for one in tunnels)


def test_tls_works_with_a_custom_authority_and_a_client_certificate(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    context = certificates.context(certificates.server, ask_client=True)
    server = start(serve_files(FILES), ssl_context=context)
    chain, key = map(str, certificates.client)
    store = connect(server.url, verify=str(certificates.authority), cert=(chain, key))
    assert dict(store.read_many(VALUES)) == VALUES
    assert len(values_of(server)) == len(VALUES)


@pytest.mark.parametrize("wrong", ["expired", "other_host", "foreign"])
def test_d9_a_certificate_that_becomes_invalid_is_refused(
    start: Start, connect: Connect, certificates: Certificates, wrong: str
) -> None:
    good = start(serve_files(FILES), ssl_context=certificates.context(certificates.server))
    store = connect(good.url, verify=str(certificates.authority), retries=0)
    good.stop()
    bad = RawServer(
        serve_files(FILES), ssl_context=certificates.context(getattr(certificates, wrong))
    )
    bad.port = good.port
    with bad, pytest.raises(TransportError, match="not trusted"):
        list(store.read_many(VALUES))
    assert bad.requests == []
