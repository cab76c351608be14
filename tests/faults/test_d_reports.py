"""FAULTS D13: no error contains a secret in any object that an error report would include."""

from __future__ import annotations

import base64
import logging
import pickle
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.auth import HTTPDigestAuth

from staticstore import (
    AuthorizationError,
    IntegrityError,
    StaticStore,
    StoreError,
    TransportError,
    mirror,
    poll_failed,
    publish,
)
from staticstore.errors import ForeignError, raise_alone
from staticstore.site.predecessor import PublishedAt
from staticstore.site.push import push
from staticstore.site.pushing.cloud import CloudTarget
from staticstore.transport.http.failures import mapped
from staticstore.transport.http.wire import Wire as Sockets
from tests.engines import ENGINES, sending_by
from tests.reports import texts_behind
from tests.servers import Answer, RawServer, Request, Wire, serve_files
from tests.sites import index_of

SECRET = "hush-sesame"
HEADERS = {"X-Api-Key": SECRET}
AUTH = ("ali", SECRET)
FORMS = (SECRET, base64.b64encode(f"ali:{SECRET}".encode()).decode())
VALUES = {f"v{number}": b"0123456789" * 500 for number in range(8)}
FILES: dict[str, bytes] = {
    "index.json": index_of(VALUES),
    **{f"data/{key}": value for key, value in VALUES.items()},
}
SITE = serve_files(FILES)
NO_HOST = "ho\u2100st".encode().decode("latin-1")  # as in header fields
CHALLENGE = 'Digest realm="r", nonce="n", qop="auth", algorithm="MD5"'


def leaks(error: BaseException) -> list[str]:
    """Return the texts reachable from an error that contain the secret."""
    return [text for text in texts_behind(error) if any(form in text for form in FORMS)]


def closed(request: Request, wire: Wire) -> None:
    wire.send(b"")
    wire.close()


def cut_short(request: Request, wire: Wire) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n0123")
    wire.reset()


def refused(status: int, **fields: str) -> Answer:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda request, wire: wire.response(status, b"no", headers)


def for_values(answer: Answer) -> Answer:
    """Answer requests for values with a script, and all others normally."""

    def answering(request: Request, wire: Wire) -> None:
        (answer if "/data/" in request.target else SITE)(request, wire)

    return answering


def connected(server: RawServer, **options: Any) -> StaticStore:
    store = StaticStore(f"{server.url}?sig={SECRET}", poll_interval=0)
    given: dict[str, Any] = {"headers": HEADERS, "retries": 0, "timeout": 2, **options}
    return store.connect(given.pop("auth", AUTH), **given)


def test_an_error_of_a_library_does_contain_the_secret() -> None:
    """The search that these tests make finds what it looks for."""
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get("http://127.0.0.1:9/", headers=HEADERS, auth=AUTH)
    assert leaks(caught.value)


# -- errors of a store -----------------------------------------------------------------

ANSWERS: dict[str, Answer] = {
    "closed": closed,
    "truncated": cut_short,
    "401": refused(401, WWW_Authenticate='Basic realm="site"'),
    "a challenge": refused(401, WWW_Authenticate=CHALLENGE),
    "an invalid challenge": refused(401, WWW_Authenticate="Digest ,,,=,"),
    "a redirect to no URL": refused(302, Location=f"http://ali:{SECRET}@127.0.0.1:port/"),
    "a redirect to no host": refused(302, Location=f"http://ali:{SECRET}@{NO_HOST}/"),
    "a redirect to a closed port": refused(302, Location=f"http://127.0.0.1:9/?sig={SECRET}"),
    "damaged gzip": refused(200, Content_Encoding="gzip"),
}


@pytest.mark.parametrize("auth", [AUTH, HTTPDigestAuth(*AUTH)], ids=["basic", "digest"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_d13_no_error_of_an_index_contains_the_secret(answer: str, auth: Any) -> None:
    with RawServer(ANSWERS[answer], heads=True) as server, pytest.raises(StoreError) as caught:
        connected(server, auth=auth)
    assert not leaks(caught.value)


READS: dict[str, Any] = {
    "read": lambda store: store["v0"].read(),
    "range": lambda store: store["v0"].range(3, 2000).read(),
    "stream": lambda store: store["v0"].data.read(),
    "open": lambda store: store["v0"].open().read(),
    "iterdata": lambda store: list(store["v0"].iterdata()),
    "get_ranges": lambda store: store.get_ranges("v0", [(0, 10), (20, 30)]),
    "read_many": lambda store: list(store.read_many(VALUES)),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("answer", ["closed", "truncated", "401", "a redirect to a closed port"])
def test_d13_no_error_of_a_value_contains_the_secret(read: str, answer: str) -> None:
    with RawServer(for_values(ANSWERS[answer])) as server, connected(server) as store:
        with pytest.raises((TransportError, IntegrityError)) as caught:
            READS[read](store)
        assert not leaks(caught.value)


def test_d13_no_error_of_a_repeated_request_contains_the_secret() -> None:
    with RawServer(for_values(closed)) as server, connected(server, retries=1) as store:
        with pytest.raises(TransportError) as caught:
            store["v0"].read()
        assert sum("/data/" in request.target for request in server.requests) > 1
        assert not leaks(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_d13_no_error_of_many_values_contains_the_secret(engine: str) -> None:
    with RawServer(for_values(cut_short)) as server, connected(server) as store:
        with sending_by(engine), pytest.raises(StoreError) as caught:
            list(store.read_many(VALUES))
        assert not leaks(caught.value)


def test_d13_no_error_of_a_file_or_a_mirror_contains_the_secret(tmp_path: Path) -> None:
    with RawServer(for_values(cut_short)) as server, connected(server) as store:
        with pytest.raises(StoreError) as caught:
            store.to_file("v0", tmp_path / "v0")
        report = mirror(store, tmp_path / "copy")
        assert not leaks(caught.value)
    assert report.failed
    assert SECRET not in str(report)


def test_d13_the_error_that_poll_failed_sends_contains_no_secret() -> None:
    received: list[StoreError] = []

    def note(store: StaticStore, error: StoreError) -> None:
        received.append(error)

    with RawServer(SITE, heads=True) as server, connected(server) as store:
        server.answer = closed
        with poll_failed.connected_to(note, sender=store), pytest.raises(TransportError):
            store.update_index()
        assert SECRET not in str(store.info())
    assert len(received) == 1
    assert not leaks(received[0])


def test_d13_no_log_record_contains_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        RawServer(for_values(cut_short)) as server,
        connected(server) as store,
        pytest.raises(StoreError),
    ):
        store["v0"].read()
    assert caplog.records
    for record in caplog.records:
        received = [*map(str, record.args or ()), record.getMessage()]
        assert not any(form in text for form in FORMS for text in received)
        assert record.exc_info is None or not leaks(record.exc_info[1] or Exception())


# -- proxies ---------------------------------------------------------------------------


@pytest.fixture
def free_port() -> Iterator[int]:
    """Return a port of this machine on which nothing listens."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks4"])
@pytest.mark.parametrize("target", ["http", "https"])
def test_d13_no_error_of_a_proxy_contains_its_password(
    scheme: str, target: str, free_port: int
) -> None:
    proxy = f"{scheme}://ali:{SECRET}@127.0.0.1:{free_port}"
    store = StaticStore(f"{target}://127.0.0.1:9/", poll_interval=0)
    with pytest.raises(StoreError) as caught:
        store.connect(AUTH, headers=HEADERS, proxies={target: proxy}, retries=0, timeout=2)
    assert not leaks(caught.value)


@pytest.mark.parametrize("target", ["http", "https"])
def test_d13_no_error_of_a_proxy_that_refuses_contains_its_password(target: str) -> None:
    with RawServer(refused(407, Proxy_Authenticate='Basic realm="p"'), heads=True) as server:
        proxy = server.url.replace("http://", f"http://ali:{SECRET}@")
        store = StaticStore(f"{target}://data.example/", poll_interval=0)
        with pytest.raises(AuthorizationError) as caught:
            store.connect(headers=HEADERS, proxies={target: proxy}, retries=0, timeout=2)
    assert not leaks(caught.value)


@pytest.mark.parametrize(
    "proxy", [f"http://ali:{SECRET}@[::1", f"http://ali:{SECRET}/@host:1", f"x://ali:{SECRET}@h"]
)
def test_d13_no_error_of_an_invalid_proxy_contains_its_password(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    store = StaticStore("http://127.0.0.1:9/", poll_interval=0)
    with pytest.raises(StoreError) as caught:
        store.connect(retries=0)
    assert not leaks(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_d8_the_password_of_a_proxy_may_have_any_character(engine: str) -> None:
    def through(request: Request, wire: Wire) -> None:
        target = "/" + request.target.removeprefix("http://").partition("/")[2]
        SITE(request.__class__(**{**request.__dict__, "target": target}), wire)

    with RawServer(through) as server, sending_by(engine):
        proxy = server.url.replace("http://", "http://ali:sésame@")
        with StaticStore("http://data.example/", poll_interval=0).connect(
            proxies={"http": proxy}
        ) as store:
            assert dict(store.read_many(VALUES)) == VALUES
        sent = {request.headers["Proxy-Authorization"] for request in server.requests}
    assert sent == {"Basic " + base64.b64encode("ali:sésame".encode()).decode()}


# -- invalid credentials ---------------------------------------------------------------


@pytest.mark.parametrize(
    "root",
    [
        f"https://ali:{SECRET}/x@host/",
        f"https://ali:{SECRET}@ho\u2100st/",
        f"https://ali:{SECRET}@[::1/",
        f"https://ali:x@host:{SECRET}/",
    ],
)
def test_d13_no_error_of_an_invalid_root_contains_its_secret(root: str) -> None:
    with pytest.raises(ValueError, match="root URL") as caught:
        StaticStore(root)
    assert not leaks(caught.value)
    with pytest.raises(StoreError) as refused:
        publish_after(root)
    assert not leaks(refused.value)


def publish_after(root: str) -> object:
    return PublishedAt(root).read()


@pytest.mark.parametrize("auth", [("ali", f"{SECRET}\udcff"), (f"{SECRET}\udcff", "x")])
def test_d13_no_error_of_a_password_that_is_not_unicode_contains_it(auth: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="Unicode") as caught:
        StaticStore("http://127.0.0.1:9/").connect(auth)
    assert not leaks(caught.value)


@pytest.mark.parametrize("text", [f"machine h login a password {SECRET} x {SECRET}", f"{SECRET}"])
def test_d13_no_error_of_a_netrc_file_contains_its_text(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(text)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with pytest.raises(StoreError, match="cannot be read") as caught:
        StaticStore("http://127.0.0.1:9/").connect("netrc")
    assert not leaks(caught.value)


# -- pushes ----------------------------------------------------------------------------


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ali")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("status", [401, 403, 400])
def test_d13_no_error_of_a_push_contains_the_text_of_the_host(tmp_path: Path, status: int) -> None:
    (tmp_path / "site" / "data").mkdir(parents=True)
    (tmp_path / "site" / "data" / "a").write_bytes(b"a")
    publish(tmp_path / "site")
    answer = f"<Error><Code>No</Code><Message>{SECRET}</Message></Error>".encode()
    with (
        RawServer(lambda request, wire: wire.response(status, answer), heads=True) as server,
        pytest.raises(StoreError) as caught,
    ):
        push(tmp_path / "site", "s3://bucket/site", endpoint=server.url)
    assert not leaks(caught.value)


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    "target", [f"s3://ali:{SECRET}@b/", f"s3://b/?sig={SECRET}", f"s3://[{SECRET}/"]
)
def test_d13_no_error_of_an_invalid_target_contains_its_secret(target: str) -> None:
    with pytest.raises(StoreError) as caught:
        CloudTarget(target)
    assert not leaks(caught.value)


def test_d13_no_error_of_cloud_configuration_files_contains_their_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text(f"aws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with pytest.raises(StoreError, match="cannot be parsed") as caught:
        CloudTarget("s3://bucket/")
    assert not leaks(caught.value)


# -- implementation --------------------------------------------------------------------


def test_an_error_raised_by_raised_alone_has_no_context() -> None:
    ours = TransportError("it failed")
    with pytest.raises(TransportError) as caught:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise_alone(ours, error)
    assert caught.value is ours
    assert ours.__context__ is None
    assert isinstance(ours.__cause__, ForeignError)
    assert str(ours.__cause__) == "KeyError"


def test_a_substitute_for_a_foreign_error_can_be_pickled() -> None:
    cause = ForeignError.of(ConnectionResetError(104, "reset"))
    copied = pickle.loads(pickle.dumps(cause))
    assert (str(copied), copied.kinds) == (str(cause), cause.kinds)


def test_d13_frames_of_libraries_are_not_part_of_the_traceback() -> None:
    """A report may show the variables of each frame, which include header fields in libraries."""
    with pytest.raises(TransportError) as caught, mapped(Sockets(), key=None, url=None):
        requests.get("http://127.0.0.1:9/", headers=HEADERS, timeout=1)
    frames: list[str] = []
    errors: list[BaseException | None] = [caught.value, caught.value.__cause__]
    for error in filter(None, errors):
        trace = error.__traceback__
        while trace is not None:
            frames.append(trace.tb_frame.f_code.co_filename)
            trace = trace.tb_next
    assert frames
    assert not [name for name in frames if "urllib3" in name or "requests" in name]
