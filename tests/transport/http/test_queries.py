"""urllib3 logs our requests without their queries, and other requests unchanged."""

from __future__ import annotations

import gc
import logging

import pytest
import urllib3

from staticstore.transport.http.root import Root
from staticstore.transport.http.session import Session
from tests.servers import Request, Wire
from tests.transport.conftest import Call, SessionAt, Start, fetch

URLLIB3 = logging.getLogger("urllib3.connectionpool")


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages that urllib3 logged about requests."""
    return [record.getMessage() for record in caplog.records if "GET" in record.getMessage()]


def test_a_query_is_replaced_and_the_rest_is_logged(
    start: Start, session_at: SessionAt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = start(lambda request, wire: wire.response(200, b"x"))
    fetch(session_at(f"{server.url}?sig=sesame"))
    (message,) = logged(caplog)
    assert message.startswith(f'http://127.0.0.1:{server.port} "GET /index.json')
    assert 'HTTP/1.1" 200 1' in message
    assert "sesame" not in message
    assert server.requests[0].target == "/index.json?sig=sesame"


def test_a_request_of_other_code_is_logged_unchanged(
    start: Start, session_at: SessionAt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = start(lambda request, wire: wire.response(200, b"x"))
    fetch(session_at(server.url))
    with urllib3.PoolManager() as pool:
        pool.request("GET", f"{server.url}theirs?page=2")
    assert "/theirs?page=2 " in logged(caplog)[-1]


def test_a_request_of_another_thread_during_ours_is_logged_unchanged(
    start: Start, session_at: SessionAt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def theirs() -> None:
        with urllib3.PoolManager() as pool:
            pool.request("GET", f"{server.url}theirs?page=2")

    def answer(request: Request, wire: Wire) -> None:
        if request.path == "/index.json":
            Call(theirs).result(5)
        wire.response(200, b"x")

    server = start(answer)
    fetch(session_at(f"{server.url}?sig=sesame"))
    first, second = logged(caplog)
    assert "/theirs?page=2 " in first
    assert "sesame" not in second


def test_a_collected_session_leaves_no_log_filter_behind() -> None:
    gc.collect()
    before = set(URLLIB3.filters)
    session = Session(Root("https://data.example/"))
    session.close()
    del session
    gc.collect()
    assert set(URLLIB3.filters) <= before


def test_a_redirect_is_logged_without_its_query_too(
    start: Start, session_at: SessionAt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    other = start(lambda request, wire: wire.response(200, b"x"))
    location = {"Location": f"{other.url}there?X-Amz-Signature=sesame"}
    fetch(session_at(start(lambda request, wire: wire.response(302, headers=location)).url))
    assert len(logged(caplog)) == 2
    assert "sesame" not in caplog.text
