"""One request: what is sent, which answers are accepted, and what is retried and when."""

from __future__ import annotations

import gzip
import http.client
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from responses.registries import OrderedRegistry

from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
)
from staticstore.transport.http.document import Fetched
from staticstore.transport.http.root import Root
from staticstore.transport.http.session import Session
from staticstore.transport.http.wire import Deadline, SizeLimit
from tests.servers import RawServer, Request, Wire, serve_files
from tests.transport.conftest import Call, SessionAt, Start, fetch, noted_waits

ROOT = "https://data.example/site/"
INDEX = f"{ROOT}index.json"


@pytest.fixture
def answers() -> Any:
    """Return prepared answers in order; all must be requested."""
    with responses.RequestsMock(registry=OrderedRegistry) as mock:
        yield mock


# -- what is sent ----------------------------------------------------------------------


def test_a_request_has_our_user_agent_and_asks_for_unencoded_bytes(
    session_at: SessionAt, answers: responses.RequestsMock
) -> None:
    answers.get(f"{ROOT}data/a%20b")
    session_at(ROOT).request("GET", "data/a%20b", headers={"Range": "bytes=0-3"})
    sent = answers.calls[0].request
    assert (sent.method, sent.url) == ("GET", f"{ROOT}data/a%20b")
    assert dict(sent.headers) == {
        "User-Agent": "staticstore",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Range": "bytes=0-3",
    }


def test_header_fields_of_the_user_are_sent_too(
    session_at: SessionAt, answers: responses.RequestsMock
) -> None:
    answers.get(INDEX)
    session = session_at(ROOT, headers={"X-Api-Key": "sesame", "user-agent": "mine"})
    session.request("GET", "index.json", headers={"Accept-Encoding": "gzip"})
    sent = answers.calls[0].request.headers
    assert (sent["X-Api-Key"], sent["User-Agent"]) == ("sesame", "mine")
    assert sent["Accept-Encoding"] == "gzip"


def test_the_users_header_fields_are_copied(
    session_at: SessionAt, answers: responses.RequestsMock
) -> None:
    answers.get(INDEX)
    headers = {"X-Api-Key": "sesame"}
    session = session_at(ROOT, headers=headers)
    headers["X-Api-Key"] = "other"
    session.request("GET", "index.json")
    assert answers.calls[0].request.headers["X-Api-Key"] == "sesame"


@pytest.mark.parametrize(
    "name",
    [
        "Range",
        "range",
        "If-Range",
        "If-None-Match",
        "If-Match",
        "If-Modified-Since",
        "Accept-Encoding",
        "Host",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "TE",
        "Proxy-Authorization",
    ],
)
def test_a_header_field_that_the_store_sets_is_refused(session_at: SessionAt, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' itself"):
        session_at(ROOT, headers={name: "x"})


@pytest.mark.parametrize("name", ["X-Range", "Ranger", "Test", "Hostname", "Notify-If"])
def test_a_header_field_with_a_similar_name_is_accepted(session_at: SessionAt, name: str) -> None:
    session_at(ROOT, headers={name: "x"})


@pytest.mark.parametrize("value", ["sesame\n", "a\r\nb", " sesame", "\x00", "日本", 5, b"\xff\n"])
def test_an_invalid_header_value_is_refused_immediately(session_at: SessionAt, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        session_at(ROOT, headers={"X-Api-Key": value})


@pytest.mark.parametrize(
    "name", ["", "X Key", "X-Api-Key:", "X\n", "X\r\nY", "Schlüssel", "日本", 5]
)
def test_an_invalid_header_name_is_refused_immediately(session_at: SessionAt, name: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        session_at(ROOT, headers={name: "x"})


@pytest.mark.parametrize("path", ["100%", "a%20b/100%25", "50%zz"])
def test_a_key_is_quoted_once_whatever_the_path_of_the_root(
    start: Start, session_at: SessionAt, path: str
) -> None:
    server = start(lambda request, wire: wire.response(200))
    session_at(f"{server.url}{path}/").request("GET", "data/a%20b%25")
    assert server.requests[0].target.endswith("/data/a%20b%25")


# -- arguments -------------------------------------------------------------------------


@pytest.mark.parametrize("retries", [-1, 1.5, "4", None, True])
def test_retries_must_be_a_whole_number_from_zero(session_at: SessionAt, retries: Any) -> None:
    with pytest.raises(ValueError, match="retries"):
        session_at(ROOT, retries=retries)


@pytest.mark.parametrize(
    "timeout",
    [0, -1, None, "5", (), (1,), (1, 2, 3), (1, 0), (None, 5), (5, None), float("nan"), 1e9],
)
def test_a_timeout_must_be_finite_and_positive(session_at: SessionAt, timeout: Any) -> None:
    with pytest.raises(ValueError, match="each in seconds above 0"):
        session_at(ROOT, timeout=timeout)


@pytest.mark.parametrize(
    ("timeout", "expected"), [(7, (7.0, 7.0)), ((1, 2), (1.0, 2.0)), ([0.5, 2], (0.5, 2.0))]
)
def test_a_timeout_has_a_part_for_connecting_and_one_for_reading(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    timeout: Any,
    expected: tuple[float, float],
) -> None:
    answers.get(INDEX)
    session_at(ROOT, timeout=timeout).request("GET", "index.json")
    assert answers.calls[0].request.req_kwargs["timeout"] == expected  # type: ignore[attr-defined]


def test_a_deadline_shortens_the_timeouts(
    session_at: SessionAt, answers: responses.RequestsMock
) -> None:
    answers.get(INDEX)
    session_at(ROOT, timeout=(5, 30)).request("GET", "index.json", deadline=Deadline(10))
    connect, read = answers.calls[0].request.req_kwargs["timeout"]  # type: ignore[attr-defined]
    assert connect == 5
    assert 0 < read <= 10


def test_a_deadline_in_the_past_is_a_short_timeout_and_no_value_error(
    session_at: SessionAt, answers: responses.RequestsMock
) -> None:
    answers.get(INDEX)
    session_at(ROOT).request("GET", "index.json", deadline=Deadline(-10))
    connect, read = answers.calls[0].request.req_kwargs["timeout"]  # type: ignore[attr-defined]
    assert 0 < connect < 1
    assert 0 < read < 1


@pytest.mark.parametrize("argument", ["verify", "cert"])
def test_the_error_for_a_missing_file_names_the_option_and_the_file(
    session_at: SessionAt, tmp_path: Path, argument: str
) -> None:
    with pytest.raises(
        StoreError, match=rf"{argument} names a file that does not exist: .*none\.pem"
    ):
        session_at(ROOT, **{argument: str(tmp_path / "none.pem")})


def test_a_client_certificate_works_with_an_internationalized_host_name(
    session_at: SessionAt, answers: responses.RequestsMock, tmp_path: Path
) -> None:
    (tmp_path / "client.pem").touch()
    answers.get("https://xn--bcher-kva.example/index.json")
    session = session_at("https://bücher.example/", cert=str(tmp_path / "client.pem"))
    session.request("GET", "index.json")
    sent = answers.calls[0].request.req_kwargs  # type: ignore[attr-defined]
    assert sent["cert"] == str(tmp_path / "client.pem")


@pytest.mark.parametrize("proxies", [{"http": ""}, {"no_proxy": "127.0.0.1"}, {"https": "x:1"}])
def test_a_proxy_for_other_urls_is_not_used(
    start: Start, session_at: SessionAt, proxies: dict[str, str]
) -> None:
    server = start(lambda request, wire: wire.response(200, b"x"))
    assert fetch(session_at(server.url, proxies=proxies)) == b"x"


def test_only_roots_in_folders_can_read_files(session_at: SessionAt, tmp_path: Path) -> None:
    def schemes(root: str) -> set[str]:
        adapters = session_at(root).sender.own.requests_session.adapters
        return {prefix.rstrip(":/") for prefix in adapters}

    assert schemes(ROOT) == {"https", "http"}
    assert schemes(str(tmp_path)) == {"file"}


@pytest.mark.parametrize("verify", [None, 0, 1, 5.0, ["x"]])
def test_verify_is_a_bool_or_a_path(session_at: SessionAt, verify: Any) -> None:
    with pytest.raises(TypeError):
        session_at(ROOT, verify=verify)


# -- which answers are accepted --------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 203, 204, 206, 226, 299, 304, 416])
def test_a_successful_answer_is_returned(
    session_at: SessionAt, answers: responses.RequestsMock, status: int
) -> None:
    answers.get(INDEX, status=status)
    response = session_at(ROOT).request("GET", "index.json")
    assert (response.status, response.url) == (status, INDEX)


@pytest.mark.parametrize("status", [400, 404, 405, 410, 412, 418, 429, 451, 500, 501, 503, 599])
def test_an_unexpected_status_is_an_error(
    session_at: SessionAt, answers: responses.RequestsMock, status: int
) -> None:
    answers.get(INDEX, status=status)
    with pytest.raises(HTTPStatusError) as caught:
        session_at(ROOT).request("GET", "index.json", key="a")
    assert type(caught.value) is HTTPStatusError
    assert (caught.value.status, caught.value.key, caught.value.url) == (status, "a", INDEX)


@pytest.mark.parametrize("status", [401, 403, 407])
def test_an_answer_that_demands_credentials_is_an_authorization_error(
    session_at: SessionAt, answers: responses.RequestsMock, status: int
) -> None:
    answers.get(INDEX, status=status)
    with pytest.raises(AuthorizationError):
        session_at(ROOT, retries=4).request("GET", "index.json")


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_only_redirects_are_followed(
    session_at: SessionAt, answers: responses.RequestsMock, status: int
) -> None:
    answers.get(INDEX, status=status, headers={"Location": "/other"})
    assert session_at(ROOT).request("GET", "index.json").status == status


# -- what is retried, and when ---------------------------------------------------------

BROKEN: dict[str, dict[str, Any]] = {
    "429": {"status": 429},
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503},
    "504": {"status": 504},
    "refused": {"body": requests.ConnectionError(ConnectionRefusedError(111, "refused"))},
    "silent": {"body": requests.ReadTimeout(TimeoutError("timed out"))},
    "dropped": {"body": requests.ConnectionError(http.client.RemoteDisconnected("x"))},
}


@pytest.mark.parametrize("failure", BROKEN)
def test_a_temporary_failure_is_retried(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    for _ in range(4):
        answers.get(INDEX, **BROKEN[failure])
    answers.get(INDEX, body=b"at last")
    session = session_at(ROOT, retries=4)
    waits = noted_waits(session, monkeypatch)
    assert fetch(session) == b"at last"
    assert len(waits) == 4


@pytest.mark.parametrize("failure", BROKEN)
def test_a_request_with_a_secret_query_is_retried_too(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
) -> None:
    answers.get(f"{INDEX}?sig=sesame", **BROKEN[failure])
    answers.get(f"{INDEX}?sig=sesame", body=b"at last")
    session = session_at(f"{ROOT}?sig=sesame", retries=1)
    waits = noted_waits(session, monkeypatch)
    assert fetch(session) == b"at last"
    assert waits == [0.0] if failure == "dropped" else len(waits) == 1


def test_a_second_request_in_an_except_block_raises_its_own_failure(
    start: Start, session_at: SessionAt
) -> None:
    server = start(lambda request, wire: wire.stall())
    session = session_at(server.url, timeout=(5, 0.1))
    try:
        fetch(session)
    except TransportTimeout:
        server.stop()
        with pytest.raises(TransportError, match="refused") as caught:
            fetch(session)
        assert not isinstance(caught.value, TransportTimeout)


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_there_is_one_more_attempt_than_retries(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    retries: int,
) -> None:
    for _ in range(retries + 1):
        answers.get(INDEX, status=503)
    session = session_at(ROOT, retries=retries)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(HTTPStatusError) as caught:
        session.request("GET", "index.json")
    assert caught.value.status == 503
    assert (len(answers.calls), len(waits)) == (retries + 1, retries)


def test_waits_grow_with_jitter_up_to_half_a_minute(
    session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_at(ROOT, retries=40)
    waits = noted_waits(session, monkeypatch)
    with responses.RequestsMock() as mock:
        mock.get(INDEX, status=500)
        with pytest.raises(HTTPStatusError):
            session.request("GET", "index.json")
    assert all(0 <= wait <= min(0.5 * 2**number, 30) for number, wait in enumerate(waits))
    assert max(waits) > 5
    assert len(set(waits)) > 30


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("5", 5, 5.5),
        ("0", 0, 0.5),
        ("120", 120, 120.5),
        ("soon", 0, 0.5),
        ("-1", 0, 0.5),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0.5),
        (None, 0, 0.5),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    retry_after: str | None,
    least: float,
    most: float,
) -> None:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    answers.get(INDEX, status=status, headers=headers)
    answers.get(INDEX)
    session = session_at(ROOT, retries=1)
    waits = noted_waits(session, monkeypatch)
    session.request("GET", "index.json")
    assert len(waits) == 1
    assert least <= waits[0] <= most


@pytest.mark.parametrize(
    ("retry_after", "words"),
    [
        ("121", "2 minutes"),
        ("3600", "60 minutes"),
        ("86400", "24 hours"),
        ("10000000", "116 days"),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "days"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_c22_a_longer_retry_after_fails_immediately_with_its_duration(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    retry_after: str,
    words: str,
) -> None:
    answers.get(INDEX, status=status, headers={"Retry-After": retry_after})
    session = session_at(ROOT, retries=4)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(HTTPStatusError, match=f"no request for .*{words}"):
        session.request("GET", "index.json")
    assert waits == []


def test_a_retry_after_that_overflows_is_ignored(
    session_at: SessionAt, answers: responses.RequestsMock
) -> None:
    answers.get(INDEX, status=503, headers={"Retry-After": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"})
    with pytest.raises(HTTPStatusError) as caught:
        session_at(ROOT).request("GET", "index.json")
    assert caught.value.retry_after is None


def test_a_retry_after_beyond_the_deadline_ends_the_attempts(
    session_at: SessionAt, answers: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers.get(INDEX, status=503, headers={"Retry-After": "60"})
    session = session_at(ROOT, retries=4)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(HTTPStatusError) as caught:
        fetch(session, seconds=10)
    assert caught.value.retry_after == 60
    assert (len(answers.calls), waits) == (1, [])


def test_a_deadline_that_has_passed_ends_the_attempts(
    session_at: SessionAt, answers: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers.get(INDEX, status=500)
    session = session_at(ROOT, retries=4)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(HTTPStatusError):
        fetch(session, seconds=-1)
    assert (len(answers.calls), waits) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 410, 412, 416, 501])
def test_a_permanent_failure_is_not_retried(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    answers.get(INDEX, status=status)
    session = session_at(ROOT, retries=4)
    waits = noted_waits(session, monkeypatch)
    if status == 416:
        session.request("GET", "index.json")
    else:
        with pytest.raises(HTTPStatusError):
            session.request("GET", "index.json")
    assert (len(answers.calls), waits) == (1, [])


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.InvalidURL("x"),
        requests.exceptions.InvalidHeader("x"),
        requests.exceptions.InvalidProxyURL("x"),
        requests.exceptions.InvalidSchema("x"),
    ],
)
def test_an_invalid_request_is_not_retried(
    session_at: SessionAt,
    answers: responses.RequestsMock,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    answers.get(INDEX, body=error)
    session = session_at(ROOT, retries=4)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(TransportError):
        session.request("GET", "index.json")
    assert waits == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ZeroDivisionError])
def test_errors_that_are_not_of_the_transport_are_raised_immediately(
    session_at: SessionAt, answers: responses.RequestsMock, error: type[BaseException]
) -> None:
    def raise_it(request: object) -> Any:
        raise error

    answers.add_callback("GET", INDEX, raise_it)
    with pytest.raises(error):
        session_at(ROOT, retries=4).request("GET", "index.json")


def test_the_error_raised_is_that_of_the_last_attempt(
    session_at: SessionAt, answers: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers.get(INDEX, status=503)
    answers.get(INDEX, status=502)
    answers.get(INDEX, status=404)
    session = session_at(ROOT, retries=4)
    noted_waits(session, monkeypatch)
    with pytest.raises(HTTPStatusError) as caught:
        session.request("GET", "index.json")
    assert caught.value.status == 404


def test_redirects_are_followed_again_in_each_attempt(
    session_at: SessionAt, answers: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for status in (503, 200):
        answers.get(INDEX, status=302, headers={"Location": "https://other.example/x"})
        answers.get("https://other.example/x", status=status, body=b"there")
    session = session_at(ROOT, retries=1)
    noted_waits(session, monkeypatch)
    assert fetch(session) == b"there"


# -- documents -------------------------------------------------------------------------


def test_a_document_is_fetched_whole_and_decoded(
    session_at: SessionAt, answers: responses.RequestsMock
) -> None:
    body = b"0123456789" * 300_000
    headers = {"Content-Encoding": "gzip", "ETag": '"x"'}
    answers.get(INDEX, body=gzip.compress(body), headers=headers)
    answer = session_at(ROOT).fetch(
        "index.json",
        headers={"Accept-Encoding": "gzip"},
        deadline=Deadline(10),
        limit=SizeLimit(len(body), "the index"),
    )
    assert isinstance(answer, Fetched)
    assert answer.body == body
    assert (answer.response.status, answer.response.etag) == (200, '"x"')


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_the_progress_of_a_document_is_in_bytes_as_they_are_sent(
    session_at: SessionAt, answers: responses.RequestsMock, coding: str
) -> None:
    body = b"0123456789" * 300_000
    sent = gzip.compress(body) if coding == "gzip" else body
    headers = {"Content-Encoding": coding, "Content-Length": str(len(sent))}
    answers.get(INDEX, body=sent, headers=headers, auto_calculate_content_length=False)
    seen: list[tuple[int, int | None]] = []
    session = session_at(ROOT, progress=lambda done, total: seen.append((done, total)))
    assert fetch(session, max_bytes=len(body)) == body
    assert seen[-1] == (len(sent), len(sent))
    assert seen == sorted(seen)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize(("argument", "total"), [("max_index_bytes", None), (None, 9000)])
def test_the_progress_of_a_document_of_no_length_has_the_total_of_the_head(
    start: Start, session_at: SessionAt, coding: str, argument: str | None, total: int | None
) -> None:
    body = bytes(9000)
    sent = gzip.compress(body) if coding == "gzip" else body
    headers = {"Content-Encoding": coding}
    server = start(lambda request, wire: wire.response(200, sent, headers, length=False))
    seen: list[tuple[int, int | None]] = []
    session = session_at(server.url, progress=lambda done, total: seen.append((done, total)))
    limit = SizeLimit(9000, "the index", argument)
    session.fetch("a", headers={"Accept-Encoding": "gzip"}, deadline=Deadline(10), limit=limit)
    assert seen[-1] == (9000, total)


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_document_of_exactly_the_maximum_size_is_accepted(
    session_at: SessionAt, answers: responses.RequestsMock, coding: str
) -> None:
    body = bytes(1000)
    sent = gzip.compress(body) if coding == "gzip" else body
    answers.get(INDEX, body=sent, headers={"Content-Encoding": coding})
    assert fetch(session_at(ROOT), max_bytes=1000) == body


@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_a_document_one_byte_larger_is_refused_without_a_retry(
    session_at: SessionAt, answers: responses.RequestsMock, coding: str
) -> None:
    body = bytes(1001)
    sent = gzip.compress(body) if coding == "gzip" else body
    answers.get(INDEX, body=sent, headers={"Content-Encoding": coding})
    with pytest.raises(IndexFormatError, match="the index is larger than 1000 bytes") as caught:
        fetch(session_at(ROOT, retries=4), max_bytes=1000)
    assert caught.value.url == INDEX


def test_a_document_that_breaks_off_is_fetched_again_from_the_start(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.number < 2:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nwrong")
            return wire.close()
        return wire.response(200, b"right all")

    server = start(answer)
    session = session_at(server.url, retries=2)
    noted_waits(session, monkeypatch)
    assert fetch(session) == b"right all"
    assert len(server.requests) == 3


def test_a_document_is_held_once_and_as_bytes(session_at: SessionAt, start: Start) -> None:
    piece, count = b"x" * (1 << 20), 16

    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * len(piece)))
        for _ in range(count):
            wire.send(piece)

    session = session_at(start(answer).url)
    assert fetch(session, max_bytes=1 << 30)  # brings what it imports
    tracemalloc.start()
    try:
        assert fetch(session, max_bytes=1 << 30).count(b"x") == count * len(piece)
        assert tracemalloc.get_traced_memory()[1] < 1.3 * count * len(piece)
    finally:
        tracemalloc.stop()


# -- connections that were idle (C12) --------------------------------------------------


def test_a_connection_that_the_host_closed_while_idle_is_replaced_silently(
    start: Start, session_at: SessionAt
) -> None:
    closed = threading.Event()

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, b"x")
        wire.close()
        closed.set()

    server = start(answer)
    session = session_at(server.url)
    for _ in range(3):
        assert fetch(session) == b"x"
        assert closed.wait(5)
        closed.clear()
    assert server.connections == 3


def test_a_reused_connection_that_is_dropped_is_replaced_immediately(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.number == 1:
            return wire.reset()
        return wire.response(200, b"x")

    server = start(answer)
    session = session_at(server.url, retries=4)
    waits = noted_waits(session, monkeypatch)
    fetch(session)
    assert fetch(session) == b"x"
    assert waits == [0.0]
    assert [request.connection for request in server.requests] == [0, 0, 1]


def test_a_second_dropped_connection_is_retried_after_a_wait(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(lambda request, wire: wire.reset())
    session = session_at(server.url, retries=3)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(TransportError, match="reset"):
        fetch(session)
    assert waits[0] == 0.0
    assert all(wait > 0 for wait in waits[1:])
    assert len(server.requests) == 4


def test_the_retry_uses_a_new_connection_even_if_others_are_idle(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(3)

    def answer(request: Request, wire: Wire) -> None:
        if request.number < 3:
            together.wait(5)
            return wire.response(200, b"x")
        # A router that has forgotten idle connections drops them all.
        return wire.reset() if request.connection < 3 else wire.response(200, b"x")

    server = start(answer)
    session = session_at(server.url, retries=4)
    for call in [Call(lambda: fetch(session)) for _ in range(3)]:
        assert call.result(5) == b"x"
    waits = noted_waits(session, monkeypatch)
    assert fetch(session) == b"x"
    assert waits == [0.0]


# -- closing ---------------------------------------------------------------------------


def test_a_closed_session_makes_no_request(start: Start, session_at: SessionAt) -> None:
    server = start(serve_files({}))
    session = session_at(server.url, retries=4)
    session.close()
    session.close()
    with pytest.raises(NotConnectedError) as caught:
        session.request("GET", "index.json", key="a")
    assert (caught.value.key, caught.value.url) == ("a", f"{server.url}index.json")
    assert not server.connections


def test_a_closed_session_reads_no_file(session_at: SessionAt, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    session = session_at(str(tmp_path))
    session.close()
    with pytest.raises(NotConnectedError):
        session.request("GET", "a")


def test_a_session_may_be_closed_while_an_answer_is_being_sent(
    start: Start, session_at: SessionAt
) -> None:
    sessions: list[Session] = []

    def answer(request: Request, wire: Wire) -> None:
        sessions[0].close()
        wire.response(200)

    sessions.append(session_at(start(answer).url, retries=4))
    with pytest.raises(NotConnectedError):
        fetch(sessions[0])


def test_many_threads_can_share_a_session(start: Start, session_at: SessionAt) -> None:
    server = start(lambda request, wire: wire.response(200, request.target.encode()))
    session = session_at(server.url)
    calls: list[tuple[str, Call]] = []
    for number in range(32):
        path = f"data/{number}"
        get: Callable[[], bytes] = lambda path=path: fetch(session, path)  # type: ignore[misc]  # noqa: E731
        calls.append((path, Call(get)))
    for path, call in calls:
        assert call.result(10) == f"/{path}".encode()


def test_debug_output_of_http_client_does_no_harm(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    server = start(lambda request, wire: wire.response(200, b"x"))
    assert fetch(session_at(server.url)) == b"x"


def test_creating_a_session_makes_no_request() -> None:
    session = Session(Root("https://data.example/"))
    assert not session.wire.cut.is_set()
    session.close()
    assert session.wire.cut.is_set()


def test_only_get_requests_are_sent(start: Start, session_at: SessionAt) -> None:
    with RawServer(lambda request, wire: wire.response(200, b"", {"Allow": "GET"})) as server:
        session = session_at(server.url)
        assert session.request("HEAD", "a").read(10) == b""
        assert server.requests[0].method == "HEAD"


def test_a_document_that_is_too_slow_is_a_timeout(start: Start, session_at: SessionAt) -> None:
    server = start(lambda request, wire: wire.stall())
    with pytest.raises(TransportTimeout):
        fetch(session_at(server.url, timeout=(5, 0.1)))
