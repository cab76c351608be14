"""FAULTS D14: `request_finished` is sent once for each request, whatever it was for."""

from __future__ import annotations

import contextlib
import gc
import pickle
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPDigestAuth

from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    StaticStore,
    TransportError,
    TransportTimeout,
    publish,
    request_finished,
)
from staticstore.errors import StoreError
from tests.client.scene import Call, Stall
from tests.engines import ENGINES, sending_by
from tests.servers import Answer, Files, Nginx, RawServer, Request, Wire, serve_files
from tests.sites import index_of

VALUE = b"0123456789" * 100
FILES = {"index.json": index_of({"a": VALUE, "b": VALUE}), "data/a": VALUE, "data/b": VALUE}
SITE = serve_files(FILES)

Reports = list[dict[str, Any]]


@pytest.fixture
def reports() -> Iterator[Reports]:
    """What the signal sends during the test, with its sender."""
    with reported() as found:
        yield found


@contextlib.contextmanager
def reported() -> Iterator[Reports]:
    found: Reports = []

    def note(store: object, **fields: Any) -> None:
        found.append({"store": store, **fields})

    with request_finished.connected_to(note):
        yield found


@contextlib.contextmanager
def opened(server: RawServer, reports: Reports, **options: Any) -> Iterator[StaticStore]:
    """Connect a store that does not poll, and forget the requests of that."""
    with StaticStore(server.url, poll_interval=0) as store:
        store.disconnect()
        store.connect(**{"retries": 0, "timeout": (2, 2), **options})
        reports.clear()
        yield store


def said(reports: Reports) -> list[tuple[Any, ...]]:
    """Return method, path below the host, status and bytes of each request."""
    return [
        (one["method"], "/" + one["url"].split("/", 3)[3], one["status"], one["bytes"])
        for one in reports
    ]


def but(path: str, answer: Answer) -> Files:
    """Answer one path by a script."""
    return SITE.but({path: answer})


READS: dict[str, tuple[Callable[[StaticStore], object], str, int, int]] = {
    "whole": (lambda store: store.to_bytes("a"), "GET", 200, 1000),
    "range": (lambda store: store.get_data_range("a", 2, 5).read(), "GET", 206, 3),
    "ranges": (lambda store: store.get_ranges("a", [(0, 4)]), "GET", 206, 4),
    "stream to its end": (lambda store: store.get_data("a").read(), "GET", 200, 1000),
    "many": (lambda store: list(store.read_many(["a"])), "GET", 200, 1000),
    "head": (lambda store: store["a"].etag, "HEAD", 200, 0),
}


@pytest.mark.parametrize("way", READS)
def test_a_read_is_reported_once_with_its_bytes(way: str, reports: Reports) -> None:
    read, method, status, count = READS[way]
    with RawServer(SITE) as server, opened(server, reports) as store:
        read(store)
        assert said(reports) == [(method, "/data/a", status, count)]
        assert reports[0]["store"] is store
        assert (reports[0]["attempt"], reports[0]["error"]) == (1, None)
        assert reports[0]["seconds"] > 0


@pytest.mark.parametrize("engine", ENGINES)
def test_each_of_many_requests_is_reported(engine: str, reports: Reports) -> None:
    with RawServer(SITE) as server, opened(server, reports) as store, sending_by(engine):
        dict(store.read_many(["a", "b"]))
        assert sorted(said(reports)) == [
            ("GET", "/data/a", 200, 1000),
            ("GET", "/data/b", 200, 1000),
        ]
        assert {one["store"] for one in reports} == {store}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_many_requests_meet_is_reported_as_an_error(engine: str, reports: Reports) -> None:
    def refuse(request: Request, wire: Wire) -> None:
        wire.response(404, b"gone")

    with RawServer(SITE) as server, opened(server, reports) as store, sending_by(engine):
        server.answer = but("data/b", refuse)
        with pytest.raises(HTTPStatusError):
            dict(store.read_many(["a", "b"]))
        of_b = [one for one in reports if "data/b" in one["url"]]
        assert [one["status"] for one in of_b] == [404] * 4  # then alone, and past caches
        assert all(isinstance(one["error"], HTTPStatusError) for one in of_b)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_breaks_off_among_many_is_reported_as_an_error(engine: str, reports: Reports) -> None:
    def break_off(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + VALUE[:10])
        wire.close()

    with RawServer(SITE) as server, opened(server, reports) as store, sending_by(engine):
        server.answer = but("data/b", break_off)
        with pytest.raises(TransportError):
            dict(store.read_many(["a", "b"]))
        first = next(one for one in reports if one["url"].endswith("data/b"))
        assert isinstance(first["error"], TransportError)


def test_a_poll_is_reported(reports: Reports) -> None:
    with RawServer(SITE) as server, opened(server, reports) as store:
        store.update_index()
        assert said(reports) == [("GET", "/index.json", 304, 0)]


def test_a_missing_head_is_no_error(reports: Reports) -> None:
    with RawServer(SITE, heads=True) as server, StaticStore(server.url, poll_interval=0):
        assert [(one["status"], one["error"]) for one in reports] == [(404, None), (200, None)]


def test_each_attempt_is_reported_with_its_number(reports: Reports) -> None:
    answers = iter([503, 503])

    def fail_twice(request: Request, wire: Wire) -> None:
        if (status := next(answers, None)) is None:
            SITE(request, wire)
        else:
            wire.response(status)

    with RawServer(SITE) as server, opened(server, reports, retries=2) as store:
        server.answer = fail_twice
        store.to_bytes("a")
        assert [(one["attempt"], one["status"]) for one in reports] == [
            (1, 503),
            (2, 503),
            (3, 200),
        ]
        assert [type(one["error"]) for one in reports] == [*2 * [HTTPStatusError], type(None)]


def test_each_redirect_is_reported(reports: Reports) -> None:
    def redirect(request: Request, wire: Wire) -> None:
        wire.response(302, headers={"Location": "/data/b?sig=sesame"})

    with RawServer(SITE) as server, opened(server, reports) as store:
        server.answer = but("data/a", redirect)
        store.to_bytes("a")
        assert said(reports) == [("GET", "/data/a", 302, 0), ("GET", "/data/b?…", 200, 1000)]


def test_the_refusal_that_asks_for_a_password_is_reported(reports: Reports) -> None:
    def ask(request: Request, wire: Wire) -> None:
        if "authorization" in {name.lower() for name in request.headers}:
            SITE(request, wire)
        else:
            challenge = 'Digest realm="r", nonce="n", qop="auth"'
            wire.response(401, b"no", {"WWW-Authenticate": challenge})

    with RawServer(ask) as server:
        store = StaticStore(server.url, poll_interval=0)
        store.connect(auth=HTTPDigestAuth("ali", "sesame"), retries=0)
        found = [(one["status"], one["bytes"], one["error"]) for one in reports]
        assert found[-2:] == [(401, 2, None), (200, len(FILES["index.json"]), None)]
        store.disconnect()


def test_a_refusal_is_reported_with_the_error_that_is_raised(reports: Reports) -> None:
    def refuse(request: Request, wire: Wire) -> None:
        wire.response(403)

    with RawServer(SITE) as server, opened(server, reports) as store:
        server.answer = refuse
        with pytest.raises(AuthorizationError) as raised:
            store.to_bytes("a")
        assert reports[0]["error"] is raised.value
        assert reports[0]["status"] == 403


def test_a_host_that_does_not_answer_is_reported(reports: Reports) -> None:
    with RawServer(SITE) as server, opened(server, reports) as store:
        server.stop()
        with pytest.raises(TransportError):
            store.to_bytes("a")
        assert [(one["status"], one["bytes"]) for one in reports] == [(None, 0)]
        assert isinstance(reports[0]["error"], TransportError)


def test_a_body_that_stalls_is_reported_with_what_came(reports: Reports) -> None:
    def stall(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + VALUE[:100])
        wire.stall()

    with RawServer(SITE) as server, opened(server, reports, timeout=(2, 0.1)) as store:
        server.answer = stall
        with pytest.raises(TransportError):
            store.get_data("a").read()
        assert (reports[0]["status"], reports[0]["bytes"]) == (200, 100)
        assert isinstance(reports[0]["error"], TransportTimeout)


def test_a_stream_is_reported_when_it_is_closed(reports: Reports) -> None:
    large = b"x" * (8 << 20)
    site = serve_files({"index.json": index_of({"a": large}), "data/a": large})
    with RawServer(site) as server, opened(server, reports) as store:
        with store.get_data("a") as stream:
            stream.read(1)
            assert reports == []
        assert [(one["status"], one["error"]) for one in reports] == [(200, None)]
        assert 0 < reports[0]["bytes"] < len(large)


def test_the_bytes_of_a_coded_body_are_those_received(reports: Reports) -> None:
    import gzip

    coded = gzip.compress(FILES["index.json"])

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, coded, {"Content-Encoding": "gzip"})

    with RawServer(but("index.json", answer)) as server, StaticStore(server.url, poll_interval=0):
        assert said(reports)[-1] == ("GET", "/index.json", 200, len(coded))


def test_the_bytes_of_a_chunked_body_are_counted_without_their_framing(reports: Reports) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, 1000, 100):
            wire.send(b"64\r\n" + VALUE[start : start + 100] + b"\r\n")
        wire.send(b"0\r\n\r\n")

    with RawServer(SITE) as server, opened(server, reports) as store:
        server.answer = but("data/a", answer)
        assert store.to_bytes("a") == VALUE
        assert said(reports) == [("GET", "/data/a", 200, 1000)]


def test_a_folder_needs_no_requests(tmp_path: Path, reports: Reports) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(VALUE)
    publish(tmp_path)
    with StaticStore(tmp_path, poll_interval=0) as store:
        store.to_bytes("a")
    assert reports == []


def test_what_the_cache_gives_is_not_reported(tmp_path: Path, reports: Reports) -> None:
    with (
        RawServer(SITE) as server,
        StaticStore(server.url, poll_interval=0, cache=tmp_path) as store,
    ):
        store.to_bytes("a")
        reports.clear()
        store.to_bytes("a")
        assert reports == []


def test_the_requests_to_a_copy_are_those_of_the_store(reports: Reports) -> None:
    with (
        RawServer(SITE) as server,
        RawServer(SITE) as copy,
        StaticStore([server.url, copy.url], poll_interval=0) as store,
    ):
        server.stop()
        reports.clear()
        store.to_bytes("a")
        assert [one["status"] for one in reports] == [None, 200]
        assert reports[1]["url"] == f"{copy.url}data/a"
        assert {one["store"] for one in reports} == {store}


def test_a_value_from_a_pickle_has_no_store(reports: Reports) -> None:
    with RawServer(SITE) as server, opened(server, reports) as store:
        value = pickle.loads(pickle.dumps(store["a"]))
        assert value.read() == VALUE
        assert [(one["store"], one["status"]) for one in reports] == [(None, 200)]


def test_a_handler_of_one_store_gets_its_requests_only() -> None:
    found = []

    def note(store: StaticStore, **fields: Any) -> None:
        found.append(store)

    with (
        RawServer(SITE) as server,
        StaticStore(server.url, poll_interval=0) as first,
        StaticStore(server.url, poll_interval=0) as second,
        request_finished.connected_to(note, sender=first),
    ):
        first.to_bytes("a")
        second.to_bytes("a")
        assert found == [first]


def test_a_handler_that_raises_is_logged_and_stops_nothing(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(store: object, **fields: Any) -> None:
        raise RuntimeError("a defect of the handler")

    with (
        RawServer(SITE) as server,
        opened(server, reports) as store,
        request_finished.connected_to(fail),
    ):
        assert store.to_bytes("a") == VALUE
    assert len(reports) == 1
    assert "a defect of the handler" in caplog.text


def test_a_handler_may_read_from_the_store(reports: Reports) -> None:
    found: list[bytes] = []

    def read(store: StaticStore, **fields: Any) -> None:
        found.append(store.to_bytes("b"))

    with (
        RawServer(SITE) as server,
        opened(server, reports) as store,
        request_finished.connected_to(read),
    ):
        store.to_bytes("a")
    assert found == [VALUE]
    assert said(reports) == [("GET", "/data/a", 200, 1000)]


def test_a_handler_that_polls_is_refused(reports: Reports) -> None:
    errors: list[str] = []

    def poll(store: StaticStore, **fields: Any) -> None:
        try:
            store.update_index()
        except StoreError as error:
            errors.append(str(error))

    with (
        RawServer(SITE) as server,
        opened(server, reports) as store,
        request_finished.connected_to(poll),
    ):
        Call(store.update_index).result()
    assert errors == ["a handler of request_finished cannot poll: do it in another thread"]


def test_a_handler_may_disconnect(reports: Reports) -> None:
    with RawServer(SITE) as server, opened(server, reports) as store:
        with request_finished.connected_to(lambda store, **fields: store.disconnect()):
            Call(lambda: store.to_bytes("a")).join()
        assert not store.is_connected()


def test_a_disconnect_ends_the_report_of_a_read(reports: Reports) -> None:
    stall = Stall("body")
    site = serve_files({"index.json": b'{"a": {"size": 100000}}'})
    with RawServer(site) as server, opened(server, reports) as store:
        server.answer = stall
        reading = Call(lambda: store.to_bytes("a"))
        assert stall.reached.wait(20)
        store.disconnect()
        assert reading.is_back()
        assert [type(one["error"]).__name__ for one in reports] == ["NotConnectedError"]


def test_no_secret_is_reported(reports: Reports) -> None:
    with RawServer(SITE) as server:
        url = f"http://ali:sesame@127.0.0.1:{server.port}/?sig=hush"
        with StaticStore(url, poll_interval=0) as store:
            store.to_bytes("a")
            dict(store.read_many(["a", "b"]))
        server.answer = lambda request, wire: wire.response(404)
        with pytest.raises(StoreError), StaticStore(url, poll_interval=0):
            pass
    text = repr([{**one, "error": repr(one["error"])} for one in reports])
    assert len(reports) >= 5
    assert "sesame" not in text
    assert "hush" not in text


def test_without_handlers_no_report_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticstore.transport.http.report.RequestReport", None)
    with RawServer(SITE) as server, StaticStore(server.url, poll_interval=0) as store:
        assert store.to_bytes("a") == VALUE
        assert dict(store.read_many(["a", "b"])) == {"a": VALUE, "b": VALUE}


def test_a_listener_does_not_keep_a_store_alive(reports: Reports) -> None:
    with RawServer(SITE) as server:
        store = StaticStore(server.url, poll_interval=0).connect()
        reference = weakref.ref(store)
        assert store.to_bytes("a") == VALUE
        del store
        reports.clear()
        gc.collect()
        assert reference() is None


def test_requests_to_nginx_are_reported(tmp_path: Path, reports: Reports) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_bytes(VALUE)
    publish(tmp_path)
    with Nginx(tmp_path) as server, StaticStore(server.url, poll_interval=0) as store:
        reports.clear()
        assert store.to_bytes("a") == VALUE
        assert said(reports) == [("GET", "/data/a", 200, 1000)]
