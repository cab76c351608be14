"""FAULTS D7, D13: a given secret is sent where it belongs, and shown nowhere."""

from __future__ import annotations

import base64
import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from staticstore import (
    HTTPStatusError,
    IntegrityError,
    StaticStore,
    StoreError,
    TransportError,
)
from staticstore.transport.http.arguments import SessionOptions
from staticstore.transport.http.root import Root
from staticstore.transport.http.session import Session
from tests.reports import texts_behind
from tests.servers import Answer, RawServer, Request, Squid, Wire, require, serve_files
from tests.sites import index_of

VALUE = b"0123456789" * 100
FILES = {"index.json": index_of({"a": VALUE}), "data/a": VALUE}
SITE = serve_files(FILES)

SECRET = "hush-sesame"
FORMS = (SECRET, base64.b64encode(f"ali:{SECRET}".encode()).decode())


class Way(NamedTuple):
    """A way to give a store a secret: in the root URL, or to `connect`."""

    userinfo: str = ""
    query: str = ""
    connect: Callable[[RawServer], dict[str, Any]] = lambda server: {}


WAYS = {
    "user and password": Way(userinfo=f"ali:{SECRET}@"),
    "query": Way(query=f"?sig={SECRET}&v=1"),
    "auth": Way(connect=lambda server: {"auth": ("ali", SECRET)}),
    "header": Way(connect=lambda server: {"headers": {"X-Api-Key": SECRET}}),
    "cookie": Way(connect=lambda server: {"headers": {"Cookie": f"session={SECRET}"}}),
    "proxy": Way(
        connect=lambda server: {"proxies": {"http": f"http://ali:{SECRET}@127.0.0.1:{server.port}"}}
    ),
}


class Given(NamedTuple):
    """A server, and a store that has been given a secret for it."""

    server: RawServer
    store: StaticStore
    options: dict[str, Any]

    def connect(self, **options: Any) -> StaticStore:
        limits: dict[str, Any] = {"timeout": (2, 2), "retries": 0}
        return self.store.connect(**{**limits, **self.options, **options})


@pytest.fixture(params=WAYS)
def given(request: pytest.FixtureRequest) -> Iterator[Given]:
    """Give a store a secret in each of the ways."""
    way = WAYS[request.param]
    with RawServer(SITE) as server:
        root = f"http://{way.userinfo}127.0.0.1:{server.port}/{way.query}"
        store = StaticStore(root, poll_interval=0)
        server.answer = by_path(SITE)
        yield Given(server, store, way.connect(server))
        store.disconnect()


def by_path(answer: Answer) -> Answer:
    """Answer a request for a proxy as if it were for the server itself."""

    def answer_by_path(request: Request, wire: Wire) -> None:
        path = "/" + request.target.removeprefix("http://").partition("/")[2]
        answer(request.__class__(**{**request.__dict__, "target": path}), wire)

    return answer_by_path


def is_shown(text: object) -> bool:
    return any(form in str(text) for form in FORMS)


def shown_by(error: BaseException) -> str:
    """Return all visible texts of an error, and of whatever it refers to."""
    parts = ["".join(traceback.format_exception(error)), repr(error), str(pickle.dumps(error))]
    return "\n".join([*parts, *texts_behind(error)])


# -- where secrets are sent ------------------------------------------------------------


def test_d7_the_secret_is_sent_with_each_request(given: Given) -> None:
    given.server.answer = by_path(serve_files({"index.json": b'{"a": {}}', "data/a": VALUE}))
    store = given.connect()
    value = store["a"]
    assert (value.size, value.range(3, 7).read(), value.read()) == (1000, VALUE[3:7], VALUE)
    store.update_index()
    assert [request.method for request in given.server.requests] == ["GET", "HEAD", *["GET"] * 3]
    for request in given.server.requests:
        assert is_shown((request.target, request.header_list))


@pytest.mark.parametrize(
    ("userinfo", "sent"),
    [
        ("ali:open%20sesame", "ali:open sesame"),
        ("al%40i:s%3Aes%2Fa%23me%3F%25", "al@i:s:es/a#me?%"),
        ("al%C3%AD:s%C3%A9same", "alí:sésame"),
        ("alí:sésame", "alí:sésame"),
        ("ali:s@same", "ali:s@same"),
        ("ali:", "ali:"),
        ("ali", "ali:"),
        (":token", ":token"),
    ],
)
def test_d7_user_and_password_of_the_root_are_unquoted(userinfo: str, sent: str) -> None:
    with RawServer(SITE) as server:
        root = f"http://{userinfo}@127.0.0.1:{server.port}/"
        with StaticStore(root, poll_interval=0).connect(retries=0):
            pass
        encoded = base64.b64encode(sent.encode()).decode()
        assert server.requests[0].headers["Authorization"] == f"Basic {encoded}"


def test_d7_credentials_for_connect_take_precedence_over_those_of_the_root() -> None:
    with RawServer(SITE) as server:
        root = f"http://ali:{SECRET}@127.0.0.1:{server.port}/"
        with StaticStore(root, poll_interval=0).connect(("eve", "other"), retries=0):
            pass
        encoded = base64.b64encode(b"eve:other").decode()
        assert server.requests[0].headers["Authorization"] == f"Basic {encoded}"


def test_d7_a_query_of_the_root_is_sent_byte_for_byte() -> None:
    query = "sv=2024-01-01&se=2026%3A00Z&sig=a%2Bb%2Fc%3D"
    with RawServer(SITE) as server:
        with StaticStore(f"{server.url}?{query}", poll_interval=0).connect(retries=0) as store:
            store["a"].read()
        assert [request.target for request in server.requests] == [
            f"/index.json?{query}",
            f"/data/a?{query}",
        ]


# -- where secrets are not shown -------------------------------------------------------


def test_d7_nothing_that_a_store_shows_contains_the_secret(given: Given) -> None:
    for _ in range(2):
        shown: list[object] = [repr(given.store), str(given.store), given.store.info()]
        shown += [pickle.dumps(given.store), repr(copy.copy(given.store))]
        assert not is_shown(shown)
        given.store.disconnect()
        given.connect()
    value = given.store["a"]
    assert not is_shown([repr(value), value.metadata, repr(given.store.index)])


def test_d7_an_unpickled_store_has_no_secret(given: Given) -> None:
    given.connect()
    copied = pickle.loads(pickle.dumps(given.store))
    assert not copied.is_connected()
    assert copied.info()["root_url"] == f"http://127.0.0.1:{given.server.port}/"
    before = len(given.server.requests)
    with copied.connect(retries=0):
        pass
    # A query is part of the address, and is kept.
    assert is_shown(given.server.requests[before:]) == bool(given.store._root.query)


def answer_with(status: int, body: bytes = b"", **fields: str) -> Answer:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda request, wire: wire.response(status, body, headers)


def send(data: bytes, then: str = "close") -> Answer:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(data)
        {"close": wire.close, "reset": wire.reset, "stall": wire.stall}[then]()

    return answer


OK = b"HTTP/1.1 200 OK\r\n"
FAILURES: dict[str, Answer] = {
    "401": answer_with(401, WWW_Authenticate='Basic realm="site"'),
    "403": answer_with(403),
    "404": answer_with(404),
    "407": answer_with(407),
    "503": answer_with(503, Retry_After="100"),
    "unrequested 304": answer_with(304),
    "unrequested 206": answer_with(206, b"x", Content_Range="bytes 0-0/5"),
    "redirect to a file": answer_with(302, Location="file:///etc/passwd"),
    "redirect to nowhere": answer_with(302, Location="http://nowhere.example/"),
    "redirect to no port": answer_with(302, Location="http://127.0.0.1:port/"),
    "endless redirect": answer_with(302, Location=""),
    "unknown coding": answer_with(200, b"x", Content_Encoding="br"),
    "damaged coding": answer_with(200, b"no gzip", Content_Encoding="gzip"),
    "a page": answer_with(200, b"<html>", Content_Type="text/html"),
    "too large": answer_with(200, b'{"a": "' + b"a" * 2000),
    "silent": lambda request, wire: wire.stall(),
    "silent in the head": send(OK + b"Content-", "stall"),
    "silent in the body": send(OK + b"Content-Length: 9\r\n\r\n{", "stall"),
    "closed": send(b""),
    "reset": send(b"", "reset"),
    "closed in the body": send(OK + b"Content-Length: 9\r\n\r\n{"),
    "reset in the body": send(OK + b"Content-Length: 9\r\n\r\n{", "reset"),
    "damaged chunks": send(OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "no http": send(b"220 mail.example ESMTP\r\n\r\n"),
    "long line": send(OK + b"X: " + b"x" * 100_000 + b"\r\n\r\n"),
    "many fields": send(OK + b"X: x\r\n" * 200 + b"\r\n"),
}


# Those that urllib3, requests and we ourselves describe at most length.
TALKATIVE = ("401", "redirect to nowhere", "endless redirect", "silent", "reset in the body")
URLS = ("user and password", "query")


@pytest.mark.parametrize(
    ("given", "failure"),
    [(way, f) for way in WAYS for f in FAILURES if way in URLS or f in TALKATIVE],
    indirect=["given"],
)
def test_d7_no_error_of_an_index_contains_the_secret(given: Given, failure: str) -> None:
    given.server.answer = FAILURES[failure]
    with pytest.raises(StoreError) as caught:
        given.connect(max_index_bytes=1000, timeout=(2, 0.15 if "silent" in failure else 2))
    assert not is_shown(shown_by(caught.value))


@pytest.mark.parametrize(
    "failure",
    ["404", "redirect to nowhere", "damaged coding", "reset in the body"],
)
def test_d7_no_error_of_a_value_contains_the_secret(given: Given, failure: str) -> None:
    store = given.connect()
    given.server.answer = FAILURES[failure]
    with pytest.raises((TransportError, IntegrityError)) as caught:
        store["a"].read()
    assert not is_shown(shown_by(caught.value))


def test_d7_no_error_of_a_host_that_is_down_contains_the_secret(given: Given) -> None:
    given.server.stop()
    with pytest.raises(TransportError) as caught:
        given.connect()
    assert not is_shown(shown_by(caught.value))


def test_d7_no_error_of_an_unknown_host_contains_the_secret() -> None:
    root = f"http://ali:{SECRET}@nowhere.example/?sig={SECRET}"
    store = StaticStore(root, poll_interval=0)
    with pytest.warns(UserWarning, match="in the clear"), pytest.raises(TransportError) as caught:
        store.connect(retries=0)
    assert not is_shown(shown_by(caught.value))


def test_d7_no_error_of_tls_contains_the_secret() -> None:
    with RawServer(SITE) as server:  # which does not use TLS, and waits for the end of a request
        root = f"https://ali:{SECRET}@127.0.0.1:{server.port}/?sig={SECRET}"
        store = StaticStore(root, poll_interval=0)
        with pytest.raises(TransportError) as caught:
            store.connect(retries=0, timeout=(0.15, 0.15))
    assert not is_shown(shown_by(caught.value))


def test_d7_nothing_after_a_failed_poll_contains_the_secret(given: Given) -> None:
    store = given.connect()
    given.server.answer = answer_with(500)
    with pytest.raises(HTTPStatusError):
        store.update_index()
    assert "500" in store.info()["last_error"]
    assert not is_shown(store.info())


def test_d7_no_log_contains_the_secret(given: Given, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = given.connect()
    store["a"].read()
    given.server.answer = answer_with(503)
    with pytest.raises(HTTPStatusError):
        store.update_index()
    given.server.answer = FAILURES["closed"]
    with pytest.raises(TransportError):
        store["a"].read()
    assert "staticstore" in {record.name for record in caplog.records}
    shown = [record.getMessage() for record in caplog.records if is_shown(record.getMessage())]
    assert not shown
    assert not is_shown(caplog.text)


def redirect_to(other: RawServer) -> Answer:
    """Redirect to a signed URL, as object storage does."""
    return answer_with(302, Location=f"{other.url}index.json?X-Amz-Signature={SECRET}")


@pytest.mark.parametrize("failure", ["404", "closed", "a page", "silent in the body"])
def test_d7_no_error_contains_the_secret_query_of_a_redirect(failure: str) -> None:
    with RawServer(FAILURES[failure]) as other:
        with RawServer(redirect_to(other)) as server, pytest.raises(StoreError) as caught:
            StaticStore(server.url, poll_interval=0).connect(retries=0, timeout=(2, 0.3))
        assert SECRET in other.requests[0].target
    assert not is_shown(shown_by(caught.value))


def test_d7_no_error_contains_the_secret_query_of_a_redirect_to_a_host_that_is_down() -> None:
    with RawServer(SITE) as other:
        pass
    with RawServer(redirect_to(other)) as server, pytest.raises(TransportError) as caught:
        StaticStore(server.url, poll_interval=0).connect(retries=0)
    assert not is_shown(shown_by(caught.value))


def test_d7_no_log_contains_the_secret_query_of_a_redirect(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with RawServer(SITE) as other, RawServer(redirect_to(other)) as server:
        with StaticStore(server.url, poll_interval=0).connect(retries=0):
            pass
        assert SECRET in other.requests[0].target
    assert not is_shown(caplog.text)


# -- secrets in invalid arguments ------------------------------------------------------


@pytest.mark.parametrize(
    "root",
    [
        f"https://ali:{SECRET}@[::1/",
        f"https://ali:{SECRET}[@host/",
        f"https://ali:{SECRET}/x@host/",
        f"https://ali:{SECRET}#x@host/",
        f"https://ali:{SECRET}?x@host/",
        f"https://ali:{SECRET}@host:port/",
        f"https://ali:{SECRET}@host:99999/",
        f"https://ali:{SECRET}@",
        f"https://ali:{SECRET}@/path",
        f"https://ali:{SECRET}@host\u2100/",
        f"https://host/#{SECRET}",
        f"ftp://ali:{SECRET}@host/",
        f"s3+http://ali:{SECRET}@host/",
        f"file://ali:{SECRET}@host/",
    ],
)
def test_d7_the_error_for_an_invalid_root_contains_no_secret(root: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        StaticStore(root)
    assert not is_shown(shown_by(caught.value))


@pytest.mark.parametrize("value", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}\r\nX: y", f"{SECRET}€"])
def test_d7_the_error_for_an_invalid_header_contains_no_value(value: str) -> None:
    with RawServer(SITE) as server:
        store = StaticStore(server.url, poll_interval=0)
        with pytest.raises((ValueError, StoreError)) as caught:
            store.connect(headers={"X-Api-Key": value})
        assert not server.requests
    assert not is_shown(shown_by(caught.value))


NO_PROXIES = [
    f"http://ali:{SECRET}@[::1",
    f"http://ali:{SECRET}@proxy:port",
    f"http://ali:{SECRET}@",
    f"http://ali:{SECRET}@:3128",
    f"http://ali:{SECRET}@proxy.example:99999",
    f"http://ali:{SECRET}@proxy..example:3128",
    f"http://ali:{SECRET}@proxy\u2100.example:3128",
    f"gopher://ali:{SECRET}@127.0.0.1:1",
    f"socks5://ali:{SECRET}@127.0.0.1:1",
    f"http://ali:{SECRET}@nowhere.example:1",
]


@pytest.mark.parametrize("proxy", NO_PROXIES)
def test_d7_the_error_for_an_invalid_proxy_contains_no_secret(proxy: str) -> None:
    store = StaticStore("http://127.0.0.1:1/", poll_interval=0)
    with pytest.raises((ValueError, StoreError)) as caught:
        store.connect(proxies={"http": proxy}, retries=0)
    assert not is_shown(shown_by(caught.value))


@pytest.mark.parametrize("proxy", NO_PROXIES)
def test_d7_the_error_for_an_invalid_proxy_of_the_environment_contains_no_secret(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    store = StaticStore("http://127.0.0.1:1/", poll_interval=0)
    with pytest.raises(StoreError) as caught:
        store.connect(retries=0)
    assert not is_shown(shown_by(caught.value))


@pytest.mark.parametrize(
    "auth",
    [SECRET, (SECRET,), ("ali", SECRET, "x"), ("ali:", SECRET), ("ali", SECRET.encode()), 5,
     {"user": "ali", "password": SECRET}, {"username": "ali", "password": [SECRET]}],
)  # fmt: skip
def test_d7_the_error_for_invalid_credentials_does_not_show_them(auth: Any) -> None:
    store = StaticStore("http://127.0.0.1:1/", poll_interval=0)
    with pytest.raises((ValueError, TypeError)) as caught:
        store.connect(auth)
    assert not is_shown(shown_by(caught.value))


def test_d7_the_repr_of_a_session_shows_no_secret(tmp_path: Path) -> None:
    options = SessionOptions(auth=("ali", SECRET), headers={"X-Api-Key": SECRET})
    session = Session(Root(f"https://ali:{SECRET}@host/?sig={SECRET}"), options)
    assert not is_shown([repr(one) for one in (session, session.root, options)])
    assert not is_shown([str(one) for one in (session, session.root, options)])


# -- a password in plaintext -----------------------------------------------------------


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    require("squid")
    with Squid(names=["data.example"]) as proxy:
        yield proxy


@pytest.fixture
def remote_site(squid: Squid) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the URL of a site on another machine, and the options to reach it."""
    with RawServer(SITE) as server:
        yield f"data.example:{server.port}/", {"proxies": {"http": squid.url}, "retries": 0}


def test_d7_a_password_over_plain_http_is_warned_of_once(
    remote_site: tuple[str, dict[str, Any]],
) -> None:
    place, options = remote_site
    store = StaticStore(f"http://{place}", poll_interval=0)
    with pytest.warns(UserWarning, match="in the clear: use https") as warned:
        store.connect(("ali", SECRET), **options)
    assert [str(warning.message) for warning in warned] == store.info()["warnings"]
    assert not is_shown(store.info())
    assert warned[0].filename == __file__
    # A second warning would be an error here.
    store.update_index()
    assert store["a"].read() == VALUE
    assert len(store.info()["warnings"]) == 1
    store.disconnect()


def test_d7_each_connect_warns_again(remote_site: tuple[str, dict[str, Any]]) -> None:
    place, options = remote_site
    store = StaticStore(f"http://ali:{SECRET}@{place}", poll_interval=0)
    for _ in range(2):
        with pytest.warns(UserWarning, match="in the clear"), store.connect(**options):
            assert len(store.info()["warnings"]) == 1


def test_d7_the_warning_ends_with_the_password(remote_site: tuple[str, dict[str, Any]]) -> None:
    place, options = remote_site
    store = StaticStore(f"http://{place}", poll_interval=0)
    with pytest.warns(UserWarning, match="in the clear"), store.connect(("ali", "x"), **options):
        pass
    with store.connect(**options):
        assert store.info()["warnings"] == []


def test_d7_a_refused_second_connect_does_not_remove_the_warning(
    remote_site: tuple[str, dict[str, Any]],
) -> None:
    place, options = remote_site
    store = StaticStore(f"http://{place}", poll_interval=0)
    with pytest.warns(UserWarning, match="in the clear"):
        store.connect(("ali", "x"), **options)
    with store:
        with pytest.raises(StoreError, match="connected already"):
            store.connect(**options)
        assert len(store.info()["warnings"]) == 1


AUTHS: dict[str, Any] = {
    "pair": ("ali", SECRET),
    "mapping": {"username": "ali", "password": SECRET},
    "basic": HTTPBasicAuth("ali", SECRET),
}


@pytest.mark.parametrize("auth", AUTHS)
@pytest.mark.parametrize(
    "root",
    [
        "http://data.example/",
        "HTTP://Data.Example:8080/",
        "http://192.0.2.1/",
        "http://[2001:db8::1]/",
        "http://localhost.example/",
        "http://127.0.0.1.example/",
    ],
)
def test_d7_a_password_sent_to_another_machine_is_exposed(root: str, auth: str) -> None:
    assert Session(Root(root), SessionOptions(AUTHS[auth])).exposes_password


@pytest.mark.parametrize(
    "root",
    [
        "http://127.0.0.1/",
        "http://127.1.2.3:8000/",
        "http://localhost/",
        "http://LocalHost.:8000/",
        "http://[::1]:8000/",
        "https://data.example/",
        "file:///srv/site",
    ],
)
def test_d7_an_encrypted_or_local_password_is_not_exposed(root: str) -> None:
    assert not Session(Root(root), SessionOptions(("ali", SECRET))).exposes_password


def test_d7_without_a_password_nothing_is_exposed() -> None:
    root = Root("http://data.example/")
    assert not Session(root).exposes_password
    digest = SessionOptions(HTTPDigestAuth("ali", SECRET))
    assert not Session(root, digest).exposes_password
    assert Session(Root(f"http://ali:{SECRET}@data.example/")).exposes_password
