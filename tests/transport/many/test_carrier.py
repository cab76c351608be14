"""Carriers of many requests: each answer as it comes, and an end to everything at once."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from staticstore import StaticStore, TransportTimeout, request_finished, tuning
from staticstore.errors import HTTPStatusError, NotConnectedError
from staticstore.transport.http.root import Root
from staticstore.transport.http.session import Session
from staticstore.transport.many.batch import Batch, Carriers, fetch_all, submit
from staticstore.transport.many.carrier import (
    ConnectionCount,
    SubmittedRequest,
    after_answers,
    answers_together,
)
from staticstore.transport.many.request import SizedAnswer, SizedRequest
from tests.engines import ENGINES, sending_by
from tests.forks import in_child
from tests.servers import Answer, Certificates, Request, Wire, write_certificates
from tests.transport.conftest import PROMPTLY, Call, SessionAt, Start

BODY = b"0123456789"
TIMEOUT = 20.0  # seconds after which a test has failed

Noted = queue.SimpleQueue[SubmittedRequest]
CarrierThreads = Callable[[], list[threading.Thread]]


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    with sending_by(request.param):
        yield request.param


def good(request: Request, wire: Wire) -> None:
    """Answer with the range of the body that is asked for, or with all of it."""
    if request.range is None:
        wire.response(body=BODY)
        return
    start, end = request.range
    part = BODY[start:end]
    fields = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(BODY)}"}
    wire.response(206, part, fields)


def closes_at_the_second(request: Request, wire: Wire) -> None:
    """Close the connection in the place of the second answer."""
    if request.number == 1:
        wire.close()
    else:
        good(request, wire)


def but(path: str, answer: Answer) -> Answer:
    """Answer one path by a script."""
    return lambda request, wire: (answer if request.path == path else good)(request, wire)


def wanted(*names: object) -> list[SizedRequest]:
    return [SizedRequest(str(name), len(BODY)) for name in names]


def handles(submitted: Sequence[SubmittedRequest | None]) -> list[SubmittedRequest]:
    return [one for one in submitted if one is not None]


def body_of(one: SubmittedRequest) -> bytes | None:
    return one.outcome.body if isinstance(one.outcome, SizedAnswer) else None


@pytest.fixture
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send one request at a time."""
    for name in ("CURL_CONNECTIONS", "CURL_FIRST_CONNECTIONS", "MANY_THREADS"):
        monkeypatch.setattr(tuning, name, 1)


# -- answers -----------------------------------------------------------------------------------


def test_each_answer_is_handed_on_with_its_request(start: Start, session_at: SessionAt) -> None:
    session, noted = session_at(start(good).url), Noted()
    submitted = submit(session, wanted(*range(9)), noted.put)
    found = {noted.get(timeout=TIMEOUT) for _ in range(9)}
    assert found == set(submitted)
    assert {body_of(one) for one in found} == {BODY}


def test_c24_a_slow_answer_holds_up_no_other(start: Start, session_at: SessionAt) -> None:
    others = threading.Event()
    session, noted = session_at(start(but("/0", _when(others))).url), Noted()
    submitted = handles(submit(session, wanted(*range(50)), noted.put))
    for _ in range(49):
        assert body_of(noted.get(timeout=TIMEOUT)) == BODY
    assert submitted[0].has_ended is False
    others.set()
    assert noted.get(timeout=TIMEOUT) is submitted[0]


def _when(event: threading.Event) -> Answer:
    def waits(request: Request, wire: Wire) -> None:
        wire.wait(event)
        good(request, wire)

    return waits


def test_c24_as_many_slow_answers_as_connections_hold_up_no_other(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More connections are opened while no answer comes."""
    monkeypatch.setattr(tuning, "CURL_FIRST_CONNECTIONS", 2)
    others = threading.Event()

    def slow(request: Request, wire: Wire) -> None:
        if int(request.path[1:]) < 10:
            wire.wait(others)
        good(request, wire)

    session, noted = session_at(start(slow).url), Noted()
    submit(session, wanted(*range(20)), noted.put)
    for _ in range(10):
        assert int(noted.get(timeout=TIMEOUT).request.url_path) >= 10
    others.set()
    for _ in range(10):
        assert body_of(noted.get(timeout=TIMEOUT)) == BODY


def _sent(data: bytes, *then: Callable[[Wire], None]) -> Answer:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(data)
        for step in then:
            step(wire)

    return answer


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123"
MISBEHAVIOR: dict[str, Answer] = {
    "closed": _sent(b"", Wire.close),
    "reset": lambda request, wire: wire.reset(),
    "no http": _sent(b"SSH-2.0-x\r\n\r\n", Wire.close),
    "cut short": _sent(BEGUN, Wire.close),
    "too long": lambda request, wire: wire.response(body=BODY + b"x"),
    "endless": lambda request, wire: _endless(wire, b"0" * 10_000),
    "endless head": lambda request, wire: _endless(wire, b"Field: value\r\n" * 1000),
    "interim answers without an end": lambda request, wire: _interim(request, wire, 10_000),
    "two lengths": _sent(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Length: 3\r\n\r\n"),
    "refused": lambda request, wire: wire.response(403, BODY),
    "redirected": lambda request, wire: wire.response(302, headers={"Location": "/else"}),
    "coded": lambda request, wire: wire.response(200, BODY, {"Content-Encoding": "br"}),
}


def _interim(request: Request, wire: Wire, count: int) -> None:
    for _ in range(count):
        wire.send(b"HTTP/1.1 102 Processing\r\n\r\n")
    good(request, wire)


def _endless(wire: Wire, piece: bytes) -> None:
    wire.send(b"HTTP/1.1 200 OK\r\n")
    if not piece.startswith(b"Field"):
        wire.send(b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"%x\r\n%s\r\n" % (len(piece), piece)
    while True:
        wire.send(piece)


@pytest.mark.parametrize("misbehavior", MISBEHAVIOR)
def test_c24_an_answer_that_does_not_fit_is_none_and_others_are_right(
    start: Start, session_at: SessionAt, misbehavior: str
) -> None:
    session = session_at(start(but("/5", MISBEHAVIOR[misbehavior])).url)
    answers = fetch_all(session, wanted(*range(9)))
    assert [number for number, one in enumerate(answers) if one is None] == [5]
    assert {one.body for one in answers if one is not None} == {BODY}


def test_another_part_than_was_asked_for_is_none(start: Start, session_at: SessionAt) -> None:
    def other(request: Request, wire: Wire) -> None:
        wire.response(206, BODY[:4], {"Content-Range": "bytes 0-3/10"})

    session = session_at(start(other).url)
    parts = [SizedRequest("a", 4, 0, 10), SizedRequest("a", 4, 1, 10), SizedRequest("a", 4, 0, 11)]
    answers = fetch_all(session, parts)
    assert [one is not None for one in answers] == [True, False, False]


def test_what_is_done_with_an_answer_may_fail(
    start: Start, session_at: SessionAt, caplog: pytest.LogCaptureFixture
) -> None:
    noted = Noted()

    def done(one: SubmittedRequest) -> None:
        noted.put(one)
        raise RuntimeError("no")

    session = session_at(start(good).url)
    for _ in range(2):
        submit(session, wanted(1, 2, 3), done)
        for _ in range(3):
            assert body_of(noted.get(timeout=TIMEOUT)) == BODY
    assert "RuntimeError: no" in caplog.text


def test_done_may_submit_another_request(start: Start, session_at: SessionAt) -> None:
    session, noted = session_at(start(good).url), Noted()
    submit(session, wanted(1), lambda one: submit(session, wanted(2), noted.put))
    assert noted.get(timeout=TIMEOUT).request.url_path == "2"


def test_after_an_unexpected_failure_the_next_requests_are_answered(
    start: Start,
    session_at: SessionAt,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if engine != "curl":
        pytest.skip("each thread fails alone")
    session = session_at(start(good).url)
    carrier = session.companion(Carriers).choose()
    with monkeypatch.context() as patched:
        patched.setattr(carrier, "_hand_on", lambda *about: 1 / 0)
        assert fetch_all(session, wanted(*range(30))) == [None] * 30
    assert "ZeroDivisionError" in caplog.text
    assert None not in fetch_all(session, wanted(*range(30)))


def test_what_follows_answers_is_called_once_they_are_handed_on() -> None:
    calls: list[str] = []
    with answers_together():
        after_answers(lambda: calls.append("after"))
        calls.append("answer")
    after_answers(lambda: calls.append("now"))
    assert calls == ["answer", "after", "now"]


def test_an_answer_that_has_come_while_others_are_gathered_can_be_canceled(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "GATHERED_SECONDS", TIMEOUT)
    others, answered = threading.Event(), threading.Event()

    def answers(request: Request, wire: Wire) -> None:
        if request.path != "/0":
            wire.wait(others)
        good(request, wire)
        answered.set()

    session, noted = session_at(start(answers).url), Noted()
    submitted = handles(submit(session, wanted(*range(3)), noted.put))
    assert answered.wait(TIMEOUT)
    submitted[0].cancel()
    others.set()
    assert {noted.get(timeout=TIMEOUT) for _ in range(2)} <= set(submitted)


# -- connections -------------------------------------------------------------------------------


def test_connections_are_kept_over_many_calls(start: Start, session_at: SessionAt) -> None:
    server = start(good)
    session = session_at(server.url)
    for _ in range(50):
        assert None not in fetch_all(session, wanted(*range(10)))
    assert len(server.requests) == 500
    assert server.connections <= 10


def test_connections_over_tls_are_kept_too(
    start: Start, session_at: SessionAt, certificates: Certificates
) -> None:
    server = start(good, ssl_context=certificates.context(certificates.server))
    session = session_at(server.url, verify=str(certificates.authority), timeout=TIMEOUT)
    for _ in range(5):
        assert None not in fetch_all(session, wanted(*range(4)))
    assert server.connections <= 4


def test_c25_a_proxy_that_answers_without_an_end_holds_up_no_thread(
    start: Start, session_at: SessionAt
) -> None:
    def refuses(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 407 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            wire.send(b"3e8\r\n" + b"a" * 1000 + b"\r\n")

    proxy = start(refuses)
    session = session_at("https://data.example/", proxies={"https": proxy.url}, timeout=(0.2, 5))
    noted = Noted()
    submit(session, wanted(*range(3)), noted.put)
    for _ in range(3):
        assert not isinstance(noted.get(timeout=TIMEOUT).outcome, SizedAnswer)


def test_d8_a_client_certificate_is_not_shown_to_a_proxy(
    start: Start, session_at: SessionAt, certificates: Certificates
) -> None:
    """This one requires it, and so gets no request."""
    proxy = start(good, ssl_context=certificates.context(certificates.server, ask_client=True))
    session = session_at(
        "http://data.example/",
        proxies={"http": proxy.url},
        verify=str(certificates.authority),
        cert=tuple(map(str, certificates.client)),
    )
    assert fetch_all(session, wanted(1)) == [None]
    assert proxy.requests == []


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


def test_a_connection_that_the_host_has_closed_is_replaced(
    start: Start, session_at: SessionAt, engine: str
) -> None:
    def closes(request: Request, wire: Wire) -> None:
        good(request, wire)
        wire.close()

    session = session_at(start(closes).url)
    answers = [fetch_all(session, wanted(number))[0] for number in range(5)]
    failed = [number for number, answer in enumerate(answers) if answer is None]
    if engine == "curl":
        assert failed == []
    else:  # a thread may find only by its request that a connection is closed
        assert 0 not in failed
        assert all(after - before > 1 for before, after in pairwise(failed))


@pytest.mark.usefixtures("one_connection")
def test_c24_what_follows_an_answer_is_not_taken_for_the_next_one(
    start: Start, session_at: SessionAt
) -> None:
    """Of a host that says a wrong length, a file could speak for another one."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxxxxxxxxxx"
    has_followed = threading.Event()

    def answers(request: Request, wire: Wire) -> None:
        good(request, wire)
        if request.path == "/0":
            wire.send(forged)
            has_followed.set()

    server = start(answers)
    session = session_at(server.url)
    fetch_all(session, wanted(0))
    assert has_followed.wait(TIMEOUT)
    assert [one and one.body for one in fetch_all(session, wanted(1))] != [b"x" * 10]


@pytest.mark.usefixtures("one_connection")
def test_c24_what_follows_an_answer_within_a_record_of_tls_is_not_taken_for_the_next_one(
    start: Start, session_at: SessionAt, certificates: Certificates
) -> None:
    """The library has received it, so that the socket has no more."""
    body = bytes(20_000)  # of two records

    def answers(request: Request, wire: Wire) -> None:
        forged = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxxxxxxxxxx"
        if request.path == "/0":
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body + forged)
        else:
            good(request, wire)

    server = start(answers, ssl_context=certificates.context(certificates.server))
    session = session_at(server.url, verify=str(certificates.authority), timeout=TIMEOUT)
    assert fetch_all(session, [SizedRequest("0", len(body))]) != [None]
    assert [one and one.body for one in fetch_all(session, wanted(1))] != [b"x" * 10]


def test_c24_no_idle_connection_is_used_on_which_something_has_come(
    start: Start, session_at: SessionAt
) -> None:
    """Though the thread has other connections to wait for."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxxxxxxxxxx"
    together, idle, end = threading.Barrier(3), threading.Event(), threading.Event()
    has_followed = threading.Semaphore(0)

    def answers(request: Request, wire: Wire) -> None:
        if request.number >= 3:
            good(request, wire)
            return
        together.wait(TIMEOUT)
        wire.wait(end) if request.path == "/2" else None
        good(request, wire)
        if request.path != "/2":
            wire.wait(idle)
            wire.send(forged)
            has_followed.release()

    session, noted = session_at(start(answers).url), Noted()
    submit(session, wanted(0, 1, 2), noted.put)
    for _ in range(2):
        assert body_of(noted.get(timeout=TIMEOUT)) == BODY
    idle.set()
    for _ in range(2):
        assert has_followed.acquire(timeout=TIMEOUT)
    assert [one and one.body for one in fetch_all(session, wanted(3))] != [b"x" * 10]
    end.set()


@pytest.mark.usefixtures("one_connection")
def test_a_request_that_meets_the_end_of_its_connection_is_sent_again(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    if engine != "curl":
        pytest.skip("a thread leaves it to a single request")
    from staticstore.transport.many.curl_connection import CurlConnection
    from staticstore.transport.many.curl_connections import CurlConnections

    server = start(closes_at_the_second)
    session = session_at(server.url)
    # As if it ended only later.
    monkeypatch.setattr(CurlConnection, "has_more", lambda self: False)
    monkeypatch.setattr(CurlConnections, "_end_idle", lambda self, file: None)
    assert [fetch_all(session, wanted(number)) != [None] for number in range(3)] == [True] * 3
    assert (len(server.requests), server.connections) == (4, 2)


def test_after_an_answer_to_part_of_a_request_the_connection_is_not_used_again(
    session_at: SessionAt, engine: str
) -> None:
    """What is left of the request would be taken for the beginning of the next one."""
    if engine != "curl":
        pytest.skip("a thread sends all of a request before it looks for the answer")
    connections = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answers() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                connections.append(connection)
                connection.recv(1 << 10)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + BODY)

        thread = threading.Thread(target=answers)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        session = session_at(url, headers={"X-Long": "a" * (1 << 23)}, timeout=TIMEOUT)
        for number in range(2):
            fetch_all(session, wanted(number))
        thread.join(TIMEOUT)
        assert len(connections) == 2
        for connection in connections:
            connection.close()


def test_a_connection_that_libcurl_has_closed_is_replaced(
    start: Start,
    session_at: SessionAt,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
) -> None:
    if engine != "curl":
        pytest.skip("threads have sockets of their own")
    from staticstore.transport.many.curl_connection import CurlConnection

    server = start(good, ssl_context=certificates.context(certificates.server))
    session = session_at(server.url, verify=str(certificates.authority))
    monkeypatch.setattr(CurlConnection, "is_open", False)
    for number in range(2):
        assert fetch_all(session, wanted(number)) != [None]
    assert server.connections == 2


def test_long_bodies_come_over_tls(
    start: Start, session_at: SessionAt, certificates: Certificates
) -> None:
    """Part of them may be in the memory of the library, while the socket has no more."""
    body = os.urandom(300_000)
    server = start(
        lambda request, wire: wire.response(body=body),
        ssl_context=certificates.context(certificates.server),
    )
    session = session_at(server.url, verify=str(certificates.authority), timeout=TIMEOUT)
    answers = fetch_all(session, [SizedRequest(str(number), len(body)) for number in range(5)])
    assert {one and one.body for one in answers} == {body}


@pytest.mark.parametrize("piece", [b"HTTP/1.1 200 OK\r\nX: a", BEGUN])
def test_c25_an_answer_that_comes_too_slowly_is_a_timeout(
    start: Start, session_at: SessionAt, piece: bytes
) -> None:
    """Though the host is never silent for long."""

    def trickles(request: Request, wire: Wire) -> None:
        wire.send(piece)
        wire.pace = (1, 0.05)
        wire.send(b"a" * 1000)

    session = session_at(start(trickles).url, timeout=(5, 0.3))
    noted = Noted()
    submit(session, [SizedRequest("a", 2000)], noted.put)
    assert not isinstance(noted.get(timeout=TIMEOUT).outcome, SizedAnswer)


def test_c25_an_answer_that_came_while_the_process_was_stopped_is_no_timeout(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    if engine != "curl":
        pytest.skip("each thread waits for one socket alone")
    from staticstore.transport.many import curl_connections

    late, has_come, noted = threading.Event(), threading.Event(), Noted()
    clock = Clock()
    monkeypatch.setattr(curl_connections, "time", clock)

    def answers(request: Request, wire: Wire) -> None:
        if request.path == "/1":
            wire.wait(late)
        good(request, wire)
        if request.path == "/1":
            has_come.set()

    def stop() -> None:
        late.set()
        assert has_come.wait(TIMEOUT)
        clock.stopped += 1000.0

    def done(one: SubmittedRequest) -> None:
        if one.request.url_path == "0":
            after_answers(stop)
        noted.put(one)

    submit(session_at(start(answers).url), wanted(0, 1), done)
    assert [body_of(noted.get(timeout=TIMEOUT)) for _ in range(2)] == [BODY, BODY]


class Clock:
    """A clock of a process that was stopped for some seconds."""

    stopped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.stopped


def test_c23_long_bodies_are_requested_at_once(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some hosts limit each connection."""
    monkeypatch.setattr(tuning, "LONG_BODY_BYTES", 10)
    monkeypatch.setattr(tuning, "CURL_FIRST_CONNECTIONS", 1)
    monkeypatch.setattr(tuning, "STALL_SECONDS", 1000.0)
    together, waiting = threading.Event(), threading.Semaphore(0)

    def waits(request: Request, wire: Wire) -> None:
        waiting.release()
        wire.wait(together)
        good(request, wire)

    session = session_at(start(waits).url)
    call = Call(lambda: fetch_all(session, wanted(*range(24))))
    for _ in range(24):
        assert waiting.acquire(timeout=TIMEOUT)
    together.set()
    assert None not in call.result(TIMEOUT)  # type: ignore[operator]


def test_a_slow_answer_adds_a_connection_until_there_are_enough() -> None:
    count = ConnectionCount(2, 4)
    counts = []
    for waited in (0.0, 1.0, 1.0, 1.0):
        count.note_answer(waited)
        counts.append(count.current)
    assert counts == [2, 3, 4, 4]
    count.reset()
    assert count.current == 2


def test_a_host_is_far_if_more_answers_than_are_requested_at_once_are_slow() -> None:
    count = ConnectionCount(2, 4)
    found = []
    for waited in (1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0):
        count.note_answer(waited)
        found.append(count.is_far)
    assert found == [False, False, False, False, True, False, False]


def test_no_thread_begins_before_the_first_request(
    carrier_threads: CarrierThreads, start: Start, session_at: SessionAt
) -> None:
    session = session_at(start(good).url)
    session.companion(Carriers)
    assert carrier_threads() == []
    fetch_all(session, wanted(1))
    assert carrier_threads()
    session.close()
    for thread in carrier_threads():
        thread.join(TIMEOUT)
    assert carrier_threads() == []


def test_the_threads_of_a_session_that_is_garbage_end(
    carrier_threads: CarrierThreads, start: Start
) -> None:
    session = Session(Root(start(good).url))
    fetch_all(session, wanted(1, 2))
    gone = weakref.ref(session)
    del session
    gc.collect()
    assert gone() is None
    for thread in carrier_threads():
        thread.join(TIMEOUT)
    assert carrier_threads() == []


@pytest.fixture
def carrier_threads() -> CarrierThreads:
    """Return what lists the carriers' threads, without those of other tests' connections."""
    before = set(threading.enumerate())
    return lambda: [
        thread
        for thread in threading.enumerate()
        if thread.name == "staticstore carrier" and thread not in before
    ]


@pytest.mark.parametrize("value", ["€", "a\r\nX-More: b", "a\nX-More: b"])
def test_a_request_that_cannot_be_sent_spoils_no_other(
    start: Start, session_at: SessionAt, value: str
) -> None:
    class Naming(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.headers["X-Name"] = value if str(request.url).endswith("/5") else "a"
            return request

    server = start(good)
    session = session_at(server.url, auth=Naming())
    answers = fetch_all(session, wanted(*range(9)))
    assert [number for number, one in enumerate(answers) if one is None] == [5]
    assert {one.headers["X-Name"] for one in server.requests} == {"a"}
    assert not any("X-More" in one.headers for one in server.requests)


def test_a_header_field_without_a_value_is_sent(start: Start, session_at: SessionAt) -> None:
    server = start(good)
    session = session_at(server.url, headers={"X-Empty": "", "X-Name": "a"})
    assert None not in fetch_all(session, wanted(*range(3)))
    assert {one.headers["X-Empty"] for one in server.requests} == {""}


def test_the_query_of_a_root_may_have_any_characters(start: Start, session_at: SessionAt) -> None:
    server = start(good)
    session = session_at(f"{server.url}?signature=é b")
    assert None not in fetch_all(session, wanted(1))
    assert [one.target for one in server.requests] == ["/1?signature=%C3%A9%20b"]


@pytest.mark.parametrize("auth", [None, HTTPBasicAuth("ali", "sesame"), HTTPDigestAuth("a", "b")])
def test_a_host_that_is_not_in_ascii_is_asked_by_its_name_in_idna(
    start: Start, session_at: SessionAt, auth: AuthBase | None
) -> None:
    proxy = start(good)
    session = session_at("http://bücher.example/", proxies={"http": proxy.url}, auth=auth)
    answers = fetch_all(session, wanted(*range(3)))
    assert [one and one.body for one in answers] == [None if _is_digest(auth) else BODY] * 3
    targets = {one.target for one in proxy.requests}
    assert all(one.startswith("http://xn--bcher-kva.example/") for one in targets)
    assert targets


def _is_digest(auth: AuthBase | None) -> bool:
    return isinstance(auth, HTTPDigestAuth)  # which was not challenged here


def test_without_threads_requests_are_left_to_be_sent_singly(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        if self.name.startswith("staticstore"):
            raise RuntimeError("can't start new thread")
        begin(self)

    begin = threading.Thread.start
    session = session_at(start(good).url)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert fetch_all(session, wanted(1, 2)) == [None, None]
    assert None not in fetch_all(session, wanted(1, 2))


# -- cancel and close --------------------------------------------------------------------------


def test_a_canceled_request_closes_its_connection(start: Start, session_at: SessionAt) -> None:
    asked, gone = threading.Event(), threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        wire.send(BEGUN)
        asked.set()
        wire.stall()
        gone.set()

    session, noted = session_at(start(but("/0", stalls)).url), Noted()
    [stalled] = handles(submit(session, wanted(0), noted.put))
    assert asked.wait(TIMEOUT)
    stalled.cancel()
    assert gone.wait(TIMEOUT)
    submit(session, wanted(1), noted.put)
    assert noted.get(timeout=TIMEOUT).request.url_path == "1"
    assert noted.empty()


@pytest.mark.usefixtures("one_connection")
def test_a_request_that_is_canceled_while_it_waits_is_not_sent(
    start: Start, session_at: SessionAt
) -> None:
    first = threading.Event()
    server = start(but("/0", _when(first)))
    session, noted = session_at(server.url), Noted()
    submitted = handles(submit(session, wanted(0, 1, 2), noted.put))
    submitted[1].cancel()
    first.set()
    ended = [noted.get(timeout=TIMEOUT) for _ in range(2)]
    assert ended == [submitted[0], submitted[2]]
    assert [request.path for request in server.requests] == ["/0", "/2"]


@pytest.mark.usefixtures("one_connection")
def test_after_a_canceled_request_those_that_wait_are_sent(
    start: Start, session_at: SessionAt
) -> None:
    asked = threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        asked.set()
        wire.stall()

    session, noted = session_at(start(but("/0", stalls)).url), Noted()
    submitted = handles(submit(session, wanted(0, 1), noted.put))
    assert asked.wait(TIMEOUT)
    submitted[0].cancel()
    assert noted.get(timeout=TIMEOUT) is submitted[1]


@pytest.mark.usefixtures("one_connection")
def test_after_requests_that_cannot_be_sent_those_that_wait_are_sent(
    start: Start, session_at: SessionAt
) -> None:
    class Naming(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.headers["X-Name"] = "a" if str(request.url).endswith("/2") else "€"
            return request

    session, noted = session_at(start(good).url, auth=Naming()), Noted()
    submit(session, wanted(0, 1, 2), noted.put)
    assert [body_of(noted.get(timeout=TIMEOUT)) for _ in range(3)] == [None, None, BODY]


def test_a_request_can_be_canceled_after_it_has_ended(start: Start, session_at: SessionAt) -> None:
    session, noted = session_at(start(good).url), Noted()
    [one] = handles(submit(session, wanted(1), noted.put))
    assert noted.get(timeout=TIMEOUT) is one
    one.cancel()
    assert body_of(one) == BODY
    assert fetch_all(session, wanted(2)) != [None]


STALLS: dict[str, Answer] = {
    "head": lambda request, wire: wire.stall(),
    "body": _sent(BEGUN, Wire.stall),
}


@pytest.mark.parametrize("stage", STALLS)
def test_e20_closing_the_session_ends_all_requests_at_once(
    start: Start, session_at: SessionAt, stage: str
) -> None:
    asked = threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        asked.set()
        STALLS[stage](request, wire)

    session, noted = session_at(start(stalls).url), Noted()
    submitted = submit(session, wanted(*range(100)), noted.put)
    assert asked.wait(TIMEOUT)
    session.close()
    ended = {noted.get(timeout=PROMPTLY) for _ in submitted}
    assert ended == set(submitted)
    assert all(isinstance(one.outcome, NotConnectedError) for one in ended)


def test_e20_closing_the_session_ends_requests_that_are_connecting(session_at: SessionAt) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for line in waiting:
            line.setblocking(False)
            line.connect_ex(full.getsockname())
        session, noted = session_at(f"http://127.0.0.1:{full.getsockname()[1]}/"), Noted()
        submit(session, wanted(1, 2), noted.put)
        session.close()
        for _ in range(2):
            outcome = noted.get(timeout=PROMPTLY).outcome
            assert isinstance(outcome, NotConnectedError)
        for line in waiting:
            line.close()


def test_e20_closing_the_session_ends_a_tls_handshake(session_at: SessionAt) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session, noted = session_at(f"https://127.0.0.1:{silent.getsockname()[1]}/"), Noted()
        submit(session, wanted(1), noted.put)
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1)
            session.close()
            assert isinstance(noted.get(timeout=PROMPTLY).outcome, NotConnectedError)


def test_a_closed_session_takes_no_request(start: Start, session_at: SessionAt) -> None:
    server = start(good)
    session, noted = session_at(server.url), Noted()
    session.close()
    with pytest.raises(NotConnectedError):
        submit(session, wanted(1), noted.put)
    assert noted.empty()
    assert server.requests == []


@pytest.mark.usefixtures("one_connection")
def test_c25_a_timeout_ends_those_that_wait(start: Start, session_at: SessionAt) -> None:
    server = start(lambda request, wire: wire.stall())
    session = session_at(server.url, timeout=(5, 0.2))
    assert fetch_all(session, wanted(*range(20))) == [None] * 20
    assert len(server.requests) == 1


def test_a_timeout_is_handed_on_as_an_error(start: Start, session_at: SessionAt) -> None:
    session = session_at(start(lambda request, wire: wire.stall()).url, timeout=(5, 0.2))
    noted = Noted()
    submit(session, wanted(1), noted.put)
    assert isinstance(noted.get(timeout=TIMEOUT).outcome, TransportTimeout)


def test_a_batch_that_is_closed_gives_up_its_requests(start: Start, session_at: SessionAt) -> None:
    asked, gone = threading.Event(), threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        asked.set()
        wire.stall()
        gone.set()

    batch = Batch(session_at(start(stalls).url), wanted(0))
    assert asked.wait(TIMEOUT)
    batch.close()
    assert gone.wait(TIMEOUT)


# -- signatures --------------------------------------------------------------------------------


class Signing(AuthBase):
    """Signs each request by its URL and range."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        self.threads.append(threading.current_thread())
        signed = f"{request.method} {request.url} {request.headers.get('Range')}"
        request.headers["X-Signature"] = signed
        return request


def test_d5_a_signer_is_called_for_each_request_in_the_thread_that_submits(
    start: Start, session_at: SessionAt
) -> None:
    server, signing = start(good), Signing()
    session = session_at(server.url, auth=signing)
    parts = [SizedRequest("a", 2, number, 10) for number in range(5)]
    assert None not in fetch_all(session, [*wanted(1, 2), *parts])
    sent = sorted(request.headers["X-Signature"] for request in server.requests)
    ranges = [f"GET {server.url}a bytes={number}-{number + 1}" for number in range(5)]
    assert sent == sorted([f"GET {server.url}{n} None" for n in (1, 2)] + ranges)
    assert signing.threads == [threading.current_thread()] * 7


def test_a_signer_may_add_a_query(start: Start, session_at: SessionAt) -> None:
    class Presigning(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.url = f"{request.url}?signature=sesame"
            return request

    server = start(good)
    session = session_at(server.url, auth=Presigning())
    assert None not in fetch_all(session, wanted(1, 2))
    assert sorted(request.target for request in server.requests) == [
        "/1?signature=sesame",
        "/2?signature=sesame",
    ]


def test_d5_a_request_that_is_signed_for_another_host_is_not_sent(
    start: Start, session_at: SessionAt
) -> None:
    other = start(good)

    class Elsewhere(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.url = other.url
            return request

    session = session_at(start(good).url, auth=Elsewhere())
    assert fetch_all(session, wanted(1)) == [None]
    assert other.requests == []


def test_d5_a_signer_that_raises_leaves_its_request_to_a_single_one(
    start: Start, session_at: SessionAt
) -> None:
    class Refuses(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            if str(request.url).endswith("/2"):
                raise ValueError("no token")
            return request

    session = session_at(start(good).url, auth=Refuses())
    assert [one is not None for one in fetch_all(session, wanted(1, 2, 3))] == [True, False, True]


def test_an_authentication_that_looks_at_answers_gets_single_requests(
    start: Start, session_at: SessionAt
) -> None:
    class Looks(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.register_hook("response", self.look)  # type: ignore[no-untyped-call]
            return request

        def look(self, answer: requests.Response, **options: Any) -> requests.Response:
            return answer

    server = start(good)
    assert fetch_all(session_at(server.url, auth=Looks()), wanted(1, 2)) == [None, None]
    assert server.requests == []


def test_d5_digest_authentication_signs_each_request_after_one_challenge(
    start: Start, session_at: SessionAt
) -> None:
    def digest(request: Request, wire: Wire) -> None:
        if "Authorization" in request.headers:
            good(request, wire)
        else:
            wire.response(401, headers={"WWW-Authenticate": 'Digest realm="r", nonce="1"'})

    server = start(digest)
    session = session_at(server.url, auth=HTTPDigestAuth("ali", "sesame"))
    assert None not in fetch_all(session, wanted(*range(9)))
    without = [one for one in server.requests if "Authorization" not in one.headers]
    assert len(without) == 1


def test_a_password_is_the_same_for_all_requests(start: Start, session_at: SessionAt) -> None:
    server = start(good)
    session = session_at(server.url, auth=HTTPBasicAuth(b"ali", b"sesame"))
    assert None not in fetch_all(session, wanted(*range(5)))
    assert {request.headers["Authorization"] for request in server.requests} == {
        "Basic YWxpOnNlc2FtZQ=="
    }


# -- signals -----------------------------------------------------------------------------------


def test_request_finished_is_sent_by_the_thread_that_waits(start: Start) -> None:
    files = b'{"a": {"size": 10}, "b": {"size": 10}}'

    def site(request: Request, wire: Wire) -> None:
        if request.path == "/index.json":
            wire.response(body=files)
        else:
            good(request, wire)

    seen: list[tuple[str, threading.Thread]] = []

    def note(store: object, url: str, **about: Any) -> None:
        seen.append((url[-1], threading.current_thread()))
        # What a handler requests comes by the same carrier.
        assert isinstance(store, StaticStore)
        assert dict(store.read_many(["a", "b"])) == {"a": BODY, "b": BODY}

    with StaticStore(start(site).url, poll_interval=0) as store:
        with request_finished.connected_to(note, sender=store):
            assert dict(store.read_many(["a", "b"])) == {"a": BODY, "b": BODY}
        assert sorted(url for url, _ in seen) == ["a", "b"]
        assert {thread for _, thread in seen} == {threading.current_thread()}


def test_a_refusal_with_a_page_longer_than_the_value_is_reported_as_one(
    start: Start, session_at: SessionAt
) -> None:
    seen: list[object] = []

    def note(store: object, error: object, **about: object) -> None:
        seen.append(error)

    session = session_at(start(lambda request, wire: wire.response(404, b"a" * 99)).url)
    with request_finished.connected_to(note):
        assert fetch_all(session, wanted(1)) == [None]
    assert [type(error) for error in seen] == [HTTPStatusError]


# -- forks and the end of the interpreter ------------------------------------------------------


def test_e4_a_child_has_a_carrier_of_its_own(start: Start, session_at: SessionAt) -> None:
    server = start(good)
    session = session_at(server.url)

    def fetched() -> list[bytes | None]:
        return [one and one.body for one in fetch_all(session, wanted(1, 2))]

    assert fetched() == [BODY, BODY]
    before = server.connections
    assert in_child(fetched) == [BODY, BODY]
    in_parent = server.connections
    assert in_parent > before
    assert fetched() == [BODY, BODY]
    assert server.connections == in_parent


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_e20_a_child_that_ends_leaves_the_connections_of_its_parent(
    start: Start, session_at: SessionAt, certificates: Certificates, scheme: str
) -> None:
    context = certificates.context(certificates.server) if scheme == "https" else None
    server = start(good, ssl_context=context)
    session = session_at(server.url, verify=str(certificates.authority), timeout=TIMEOUT)

    def end() -> None:
        session.close()
        gc.collect()
        for finalizer, about in list(vars(weakref.finalize)["_registry"].items()):
            if about.func.__module__.startswith("staticstore"):
                finalizer()

    assert None not in fetch_all(session, wanted(1))
    before = server.connections
    in_child(end)
    assert None not in fetch_all(session, wanted(1))
    assert server.connections == before


def test_e4_a_fork_waits_for_the_first_handshake_too(
    session_at: SessionAt, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    if engine != "curl":
        pytest.skip("urllib3 shakes hands for threads")
    from staticstore.transport.many import curl_connections

    inside: list[None] = []
    noted: queue.SimpleQueue[bool] = queue.SimpleQueue()
    connect = curl_connections.CurlConnections.connect

    @contextlib.contextmanager
    def passing() -> Iterator[None]:
        inside.append(None)
        yield
        inside.pop()

    def noting(self: curl_connections.CurlConnections) -> None:
        if self._connecting:
            noted.put(bool(inside))
        connect(self)

    monkeypatch.setattr(curl_connections.CurlConnections, "connect", noting)
    monkeypatch.setattr(curl_connections, "fork_gate", lambda: SimpleNamespace(passing=passing))
    submit(session_at("https://127.0.0.1:1/"), wanted(1), lambda one: None)
    assert noted.get(timeout=TIMEOUT)


def test_e20_requests_under_way_at_a_fork_are_sent_again_by_the_child(
    start: Start, session_at: SessionAt
) -> None:
    both = threading.Event()
    server = start(_when(both))
    batch = Batch(session_at(server.url), wanted(1, 2))

    def answers() -> list[bytes | None]:
        both.set()
        return [one and one.body for one in batch.answers()]

    both.set()
    assert in_child(answers) == [BODY, BODY]
    assert answers() == [BODY, BODY]


_EXIT = """
import sys
from staticstore.transport.http.root import Root
from staticstore.transport.http.session import Session
from staticstore.transport.many.batch import submit
from staticstore.transport.many.request import SizedRequest

session = Session(Root(sys.argv[1]))
submit(session, [SizedRequest(str(number), 10) for number in range(100)], lambda one: None)
print("begun", flush=True)
sys.stdin.readline()
"""


def test_e20_the_interpreter_can_exit_while_requests_run(start: Start, engine: str) -> None:
    asked = threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        asked.set()
        wire.stall()

    hide = "" if engine == "curl" else 'import sys; sys.modules["pycurl"] = None\n'
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-c", hide + _EXIT, start(stalls).url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_PROXY": "*"},
        cwd=Path(__file__).parents[3],
    ) as process:
        assert asked.wait(TIMEOUT)
        try:
            _, errors = process.communicate("\n", timeout=TIMEOUT)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")


def test_a_finalizer_within_the_lock_may_close_the_carrier(
    start: Start, session_at: SessionAt
) -> None:
    """The garbage collector may run one in any thread, at any allocation."""

    class Closing(SubmittedRequest):
        @property
        def has_ended(self) -> bool:
            carriers.close()
            return False

    session, noted = session_at(start(good).url), Noted()
    carriers, template = session.companion(Carriers), session.template()
    assert template is not None
    carrier = carriers.choose()
    one = Closing(template, wanted(1)[0], noted.put)
    Call(lambda: carrier.submit([one])).result(TIMEOUT)
    assert noted.get(timeout=TIMEOUT) is one
    with pytest.raises(NotConnectedError):
        carrier.submit([one])
