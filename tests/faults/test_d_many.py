"""FAULTS D on the quick way of many requests: what it sends where, and whom it believes."""

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


def test_the_secrets_go_to_the_root(start: Start, connect: Connect) -> None:
    server = start(serve_files(FILES))
    assert dict(connect(server.url, auth=AUTH, headers=SECRETS).read_many(VALUES)) == VALUES
    assert {one.headers["Authorization"] for one in values_of(server)} == {BASIC}
    assert {one.headers["X-Api-Key"] for one in values_of(server)} == {"sesame"}
    assert len(values_of(server)) == len(VALUES)


def test_d1_no_secret_goes_to_where_it_redirects(start: Start, connect: Connect) -> None:
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


def test_d6_no_netrc_is_read_that_nobody_asked_for(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("default login ali password sesame\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server = start(serve_files(FILES))
    assert dict(connect(server.url).read_many(VALUES)) == VALUES
    assert not any("Authorization" in request.headers for request in server.requests)


def test_d7_a_query_of_the_root_is_sent_and_a_fragment_of_a_key_is_not_one(
    start: Start, connect: Connect
) -> None:
    values = {"a?b#c %41": b"1", "d": b"2"}
    files = {"index.json": index_of(values), **{f"data/{key}": v for key, v in values.items()}}
    server = start(serve_files(files))
    assert dict(connect(f"{server.url}?sig=sesame").read_many(values)) == values
    assert {request.target.partition("?")[2] for request in server.requests} == {"sig=sesame"}


def test_no_cookie_is_kept(start: Start, connect: Connect) -> None:
    def sets(request: Request, wire: Wire) -> None:
        wire.response(200, VALUES["00"], {"Set-Cookie": "a=b"})

    server = start(serve_files(FILES).but({"data/00": sets}))
    store = connect(server.url)
    for _ in range(2):
        assert dict(store.read_many(VALUES)) == VALUES
    assert not any("Cookie" in request.headers for request in server.requests)


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_d8_no_proxy_of_the_environment_is_used_where_none_is_wanted(
    start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server = start(serve_files(FILES))
    monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "")
    assert dict(connect(server.url, proxies={}).read_many(VALUES)) == VALUES
    assert len(values_of(server)) == len(VALUES)


def test_d8_through_a_proxy_with_a_password_the_origin_sees_none_of_it(
    start: Start, connect: Connect
) -> None:
    require("squid")
    server = start(serve_files(FILES))
    with Squid(auth=("próxy", "p@ss word:/%#?€")) as squid:
        store = connect(server.url, auth=AUTH, proxies={"http": squid.url_with_auth})
        assert dict(store.read_many(VALUES)) == VALUES
        assert len([one for one in squid.requests() if "/data/" in one.target]) == len(VALUES)
    assert not any("Proxy-Authorization" in request.headers for request in server.requests)
    assert {one.headers["Authorization"] for one in values_of(server)} == {BASIC}


def test_d8_a_tunnel_learns_no_password_of_the_origin(
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


def test_tls_with_an_authority_and_a_certificate_of_ones_own(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    context = certificates.context(certificates.server, ask_client=True)
    server = start(serve_files(FILES), ssl_context=context)
    chain, key = map(str, certificates.client)
    store = connect(server.url, verify=str(certificates.authority), cert=(chain, key))
    assert dict(store.read_many(VALUES)) == VALUES
    assert len(values_of(server)) == len(VALUES)


@pytest.mark.parametrize("wrong", ["expired", "other_host", "foreign"])
def test_d9_a_certificate_that_turns_bad_is_believed_by_nobody(
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
