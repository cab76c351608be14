"""Connections of libcurl's carrier: requests sent by the threads that submit them."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pycurl")

from staticstore import TransportTimeout, tuning
from staticstore.transport.http.session import Session
from staticstore.transport.many.batch import Carriers, fetch_all, submit
from staticstore.transport.many.carrier import SubmittedRequest
from staticstore.transport.many.curl_connection import CurlConnection
from staticstore.transport.many.request import SizedRequest
from tests.engines import sending_by
from tests.servers import Request, Wire, write_certificates
from tests.transport.conftest import SessionAt, Start
from tests.transport.many.test_carrier import (
    BODY,
    TIMEOUT,
    Noted,
    body_of,
    closes_at_the_second,
    good,
    wanted,
)


@pytest.fixture(autouse=True)
def _carried_by_libcurl() -> Iterator[None]:
    with sending_by("curl"):
        yield


class HeldCarrier:
    """Hold the thread of a carrier, which has an idle connection, until the block ends."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._held, self._end = threading.Event(), threading.Event()

    def _hold(self, one: SubmittedRequest) -> None:
        self._held.set()
        self._end.wait(TIMEOUT)

    def __enter__(self) -> HeldCarrier:
        submit(self._session, wanted("first"), self._hold)
        assert self._held.wait(TIMEOUT)
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()


def test_a_request_is_sent_on_an_idle_connection_while_the_thread_is_busy(
    start: Start, session_at: SessionAt
) -> None:
    asked = threading.Event()

    def answers(request: Request, wire: Wire) -> None:
        if request.path == "/second":
            asked.set()
        good(request, wire)

    server = start(answers)
    session, noted = session_at(server.url), Noted()
    with HeldCarrier(session):
        submit(session, wanted("second"), noted.put)
        assert asked.wait(TIMEOUT)
    assert body_of(noted.get(timeout=TIMEOUT)) == BODY
    assert server.connections == 1


def test_more_requests_than_idle_connections_are_all_answered(
    start: Start, session_at: SessionAt
) -> None:
    session, noted = session_at(start(good).url), Noted()
    with HeldCarrier(session):
        for name in "abc":
            submit(session, wanted(name), noted.put)
        submit(session, [*wanted("d"), *wanted("e")], noted.put)
    ended = [noted.get(timeout=TIMEOUT) for _ in "abcde"]
    assert [body_of(one) for one in ended] == [BODY] * 5
    assert {one.request.url_path for one in ended} == set("abcde")


def test_over_tls_only_the_thread_uses_libcurl(
    start: Start, session_at: SessionAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    senders: list[str] = []
    send = CurlConnection.send

    def noting(self: CurlConnection) -> bool:
        senders.append(threading.current_thread().name)
        return send(self)

    monkeypatch.setattr(CurlConnection, "send", noting)
    certificates = write_certificates(tmp_path)
    server = start(good, ssl_context=certificates.context(certificates.server))
    session, noted = session_at(server.url, verify=str(certificates.authority)), Noted()
    with HeldCarrier(session):
        submit(session, wanted("second"), noted.put)
    assert body_of(noted.get(timeout=TIMEOUT)) == BODY
    assert senders == ["staticstore carrier"] * 2


def test_c24_nothing_is_sent_on_an_idle_connection_on_which_something_has_come(
    start: Start, session_at: SessionAt
) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nxxxxxxxxxx"
    is_held, has_followed = threading.Event(), threading.Event()

    def answers(request: Request, wire: Wire) -> None:
        good(request, wire)
        if request.path == "/first":
            wire.wait(is_held)
            wire.send(forged)
            has_followed.set()

    server = start(answers)
    session, noted = session_at(server.url), Noted()
    with HeldCarrier(session):
        is_held.set()
        assert has_followed.wait(TIMEOUT)
        submit(session, wanted("second"), noted.put)
    assert body_of(noted.get(timeout=TIMEOUT)) == BODY
    assert server.connections == 2


def test_a_request_sent_by_its_own_thread_is_sent_again_if_the_host_has_closed(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(closes_at_the_second)
    session, noted = session_at(server.url), Noted()
    with HeldCarrier(session):
        submit(session, wanted("second"), noted.put)
    assert body_of(noted.get(timeout=TIMEOUT)) == BODY
    assert [request.path for request in server.requests] == ["/first", "/second", "/second"]


def test_a_request_longer_than_the_socket_takes_is_sent_whole(session_at: SessionAt) -> None:
    received: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answers() -> None:
            connection, _ = server.accept()
            with connection:
                for _ in range(2):
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += connection.recv(1 << 20)
                    received.append(len(head))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + BODY)

        thread = threading.Thread(target=answers)
        thread.start()
        session, noted = session_at(f"http://127.0.0.1:{server.getsockname()[1]}/"), Noted()
        fields = {"X-Long": "a" * (1 << 23)}
        with HeldCarrier(session):
            submit(session, [SizedRequest("second", len(BODY), fields=fields)], noted.put)
        assert body_of(noted.get(timeout=TIMEOUT)) == BODY
        thread.join(TIMEOUT)
    assert received[1] > 1 << 23


def test_a_request_that_cannot_be_sent_leaves_the_connection_idle(
    start: Start, session_at: SessionAt
) -> None:
    server = start(good)
    session, noted = session_at(server.url), Noted()
    with HeldCarrier(session):
        submit(session, [SizedRequest("a b", len(BODY))], noted.put)
        submit(session, wanted("third"), noted.put)
    ended = {noted.get(timeout=TIMEOUT).request.url_path: 0 for _ in range(2)}
    assert ended.keys() == {"a b", "third"}
    assert [request.path for request in server.requests] == ["/first", "/third"]
    assert server.connections == 1


def test_a_canceled_request_that_its_own_thread_has_sent_closes_its_connection(
    start: Start, session_at: SessionAt
) -> None:
    asked, gone = threading.Event(), threading.Event()

    def answers(request: Request, wire: Wire) -> None:
        if request.path == "/second":
            asked.set()
            wire.stall()
            gone.set()
        else:
            good(request, wire)

    session, noted = session_at(start(answers).url), Noted()
    with HeldCarrier(session):
        [stalled] = submit(session, wanted("second"), noted.put)
        assert asked.wait(TIMEOUT)
        assert stalled is not None
        stalled.cancel()
    assert gone.wait(TIMEOUT)
    assert noted.empty()


@pytest.mark.parametrize("rests", [True, False], ids=["after a rest", "at once"])
def test_c25_a_host_that_is_silent_on_a_kept_connection_is_noticed(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch, rests: bool
) -> None:
    """The thread, which is not woken for the request, waits no longer than for it."""
    monkeypatch.setattr(tuning, "CURL_WAIT_SECONDS", 1e-3 if rests else TIMEOUT)

    def answers(request: Request, wire: Wire) -> None:
        if request.path == "/second":
            wire.stall()
        else:
            good(request, wire)

    session, noted = session_at(start(answers).url, timeout=(5, 0.2)), Noted()
    assert fetch_all(session, wanted("first")) != [None]
    if rests:
        wait_for_rest(session)
    submit(session, wanted("second"), noted.put)
    assert isinstance(noted.get(timeout=TIMEOUT).outcome, TransportTimeout)


def wait_for_rest(session: Session) -> None:
    """Return when the thread of the carrier waits without an end."""
    carrier = session.companion(Carriers).choose()
    connections = carrier._connections  # type: ignore[attr-defined]
    pause = threading.Event()
    while connections._wakes_at != float("inf"):
        pause.wait(1e-3)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are not listed")
def test_e23_a_kept_connection_has_one_descriptor(start: Start, session_at: SessionAt) -> None:
    server = start(good)
    assert fetch_all(session_at(server.url), wanted("first")) != [None]
    assert sockets_to(server.port) == 1


def sockets_to(port: int) -> int:
    """Count the descriptors of this process that are connected to a port."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                with socket.socket(fileno=os.dup(int(name))) as one:
                    found += one.getpeername() == ("127.0.0.1", port)
    return found
