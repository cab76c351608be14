"""Bounds on the bytes of an answer, and cutting a connection from another thread."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from requests.auth import HTTPDigestAuth

from staticstore import (
    IndexFormatError,
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
)
from staticstore.transport.http import adapter as adapters
from tests.servers import (
    Answer,
    Certificates,
    Request,
    Squid,
    Wire,
    require,
    write_certificates,
)
from tests.transport.conftest import Call, SessionAt, Start, fetch

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


def drip(data: bytes, *, after: bytes = b"", pause: float = 0.02) -> Answer:
    """Send one part immediately, the other byte by byte."""

    def answer(request: Request, wire: Wire) -> None:
        wire.send(after)
        wire.drip(data, pause)

    return answer


# -- bounds ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [HEAD, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 90, b"HTTP/1.1 100 Continue\r\n\r\n" * 100],
    ids=["head", "endless fields", "endless interim answers"],
)
def test_a_head_sent_byte_by_byte_ends_at_the_read_timeout(
    start: Start, session_at: SessionAt, data: bytes
) -> None:
    server = start(drip(data))
    session = session_at(server.url, timeout=(5, 0.3), min_rate=0)
    # Byte by byte the head would take longer than the test waits.
    with pytest.raises(TransportTimeout, match="too slow"):
        Call(lambda: session.request("GET", "a")).result(1.3)


def test_a_head_within_the_read_timeout_is_accepted(start: Start, session_at: SessionAt) -> None:
    server = start(drip(b"HTTP/1.1 204 No Content\r\n\r\n", pause=0.001))
    assert session_at(server.url, timeout=(5, 5)).request("GET", "a").status == 204


def test_a_head_that_stalls_is_a_timeout(start: Start, session_at: SessionAt) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(HEAD[:20])
        wire.stall()

    session = session_at(start(answer).url, timeout=(5, 0.1))
    with pytest.raises(TransportTimeout):
        session.request("GET", "a")


def test_a_body_that_stalls_is_a_timeout(start: Start, session_at: SessionAt) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(HEAD + b"x")
        wire.stall()

    response = session_at(start(answer).url, timeout=(5, 0.4), min_rate=0).request("GET", "a")
    with pytest.raises(TransportTimeout):
        response.read(1000)


def test_a_body_slower_than_the_minimum_rate_is_a_timeout(
    start: Start, session_at: SessionAt
) -> None:
    server = start(drip(bytes(1000), after=HEAD))
    session = session_at(server.url, timeout=(5, 0.4), min_rate=1000)
    response = session.request("GET", "a")
    with pytest.raises(TransportTimeout, match="slower than 1000 bytes a second"):
        Call(lambda: response.read(1000)).result(2.5)


def test_a_body_faster_than_the_minimum_rate_is_read(start: Start, session_at: SessionAt) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"
    server = start(drip(bytes(30), after=head, pause=0.02))
    session = session_at(server.url, timeout=(5, 0.3), min_rate=5)
    assert session.request("GET", "a").read(100) == bytes(30)


def test_without_a_minimum_rate_a_body_may_be_slow(start: Start, session_at: SessionAt) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"
    server = start(drip(bytes(30), after=head, pause=0.02))
    session = session_at(server.url, timeout=(5, 0.3), min_rate=0)
    assert session.request("GET", "a").read(100) == bytes(30)


def test_a_burst_at_the_beginning_does_not_compensate_for_later_slowness(
    start: Start, session_at: SessionAt
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"
    server = start(drip(bytes(1000), after=head + bytes(150_000)))
    session = session_at(server.url, timeout=(5, 0.4), min_rate=1000)
    response = session.request("GET", "a")
    with pytest.raises(TransportTimeout, match="slower than"):
        Call(lambda: response.read(200_000)).result(2.5)


def test_a_slow_document_ends_at_its_deadline(start: Start, session_at: SessionAt) -> None:
    server = start(drip(bytes(1000), after=HEAD))
    session = session_at(server.url, timeout=(5, 5), retries=4)
    with pytest.raises(TransportTimeout):
        Call(lambda: fetch(session, seconds=0.3)).result(1.3)
    assert len(server.requests) == 1


def test_a_document_has_more_time_the_more_of_it_comes(
    start: Start, session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.SLOW_LINE_BYTES_A_SECOND", 20)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"
    server = start(drip(bytes(30), after=head, pause=0.02))
    assert fetch(session_at(server.url), seconds=0.3) == bytes(30)


def test_the_minimum_rate_does_not_apply_to_documents_with_a_deadline(
    start: Start, session_at: SessionAt
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n"
    server = start(drip(bytes(30), after=head, pause=0.02))
    session = session_at(server.url, timeout=(5, 0.3), min_rate=1e9)
    assert fetch(session) == bytes(30)


def test_the_deadline_covers_all_attempts_and_redirects_together(
    start: Start, session_at: SessionAt
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.drip(b"HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 0\r\n\r\n", 0.004)

    server = start(answer)
    session = session_at(server.url, retries=4)
    with pytest.raises(TransportTimeout):
        Call(lambda: fetch(session, seconds=0.5)).result(1.5)
    assert len(server.requests) <= 4


def test_an_endless_document_is_refused_at_the_bound(start: Start, session_at: SessionAt) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            wire.send(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    session = session_at(start(answer).url, retries=4)
    with pytest.raises(IndexFormatError, match="the index is larger than 1000000 bytes"):
        fetch(session, max_bytes=1_000_000)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "chunks",
    [
        b"-1\r\nabc",
        b"-5\r\nabc",
        b"5\r\nabcde\r\n-5\r\nabc",
        b"-ffffffffffffffffffff\r\nabc",
        b"ffffffffffffffffffff\r\nabc",
        b"zz\r\nabc",
        b"\r\nabc",
        b"5\r\nab",
        b"5\r\nabcdefgh\r\n",
        b"5" * 70_000,
        b"5; " + b"x" * 70_000,
        b"",
    ],
    ids=range(12),
)
@pytest.mark.parametrize("way", ["document", "value"])
def test_invalid_chunks_are_a_transport_error(
    start: Start, session_at: SessionAt, chunks: bytes, way: str
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(CHUNKED + chunks)
        wire.close()

    session = session_at(start(answer).url)
    with pytest.raises(TransportError):
        if way == "document":
            fetch(session)
        else:
            response = session.request("GET", "a")
            while response.read(1000):
                pass


@pytest.mark.parametrize("way", ["document", "value"])
def test_a_chunk_of_minus_one_byte_is_not_read_endlessly(
    start: Start, session_at: SessionAt, way: str
) -> None:
    sent: list[int] = []

    def answer(request: Request, wire: Wire) -> None:
        wire.send(CHUNKED + b"-1\r\n")
        for _ in range(64):
            wire.send(bytes(1 << 20))
            sent.append(1 << 20)
        wire.close()

    server = start(answer)
    session = session_at(server.url)
    with pytest.raises(StoreError):
        if way == "document":
            fetch(session, max_bytes=1000)
        else:
            session.request("GET", "a").read(1000)
            raise TransportError("what was read was no more than was asked for")
    server.stop()
    assert sum(sent) < 32 << 20  # the buffers of the kernel


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(
    start: Start, session_at: SessionAt
) -> None:
    bomb = gzip.compress(bytes(100 << 20), compresslevel=1)
    headers = {"Content-Encoding": "gzip"}
    server = start(lambda request, wire: wire.response(200, bomb, headers))
    session = session_at(server.url, retries=4)
    tracemalloc.start()
    try:
        with pytest.raises(IndexFormatError, match="larger than"):
            fetch(session, max_bytes=2 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20
    assert len(server.requests) == 1


def test_a_gzip_bomb_in_an_error_response_is_not_decoded(
    start: Start, session_at: SessionAt
) -> None:
    bomb = gzip.compress(bytes(100 << 20), compresslevel=1)
    headers = {"Content-Encoding": "gzip", "WWW-Authenticate": 'Digest realm="x", nonce="y"'}
    server = start(lambda request, wire: wire.response(401, bomb, headers))
    session = session_at(server.url, auth=HTTPDigestAuth("ali", "sesame"))
    tracemalloc.start()
    try:
        with pytest.raises(TransportError):
            fetch(session)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 << 20


def test_the_bounds_of_one_request_do_not_apply_to_the_next(
    start: Start, session_at: SessionAt
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
    server = start(drip(bytes(10), after=head, pause=0.03))
    session = session_at(server.url, timeout=(5, 5))
    with pytest.raises(TransportTimeout):
        fetch(session, seconds=0.1)
    # Also on a reused connection.
    server.answer = lambda request, wire: wire.response(200)
    session.request("GET", "a").read(10)
    server.answer = drip(bytes(10), after=head, pause=0.03)
    assert session.request("GET", "a").read(100) == bytes(10)


def test_interim_answers_are_skipped(start: Start, session_at: SessionAt) -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\n"
    server = start(lambda request, wire: wire.send(hints + HEAD + bytes(1000)))
    assert fetch(session_at(server.url)) == bytes(1000)


# -- cutting connections ---------------------------------------------------------------


class Stalled:
    """A stalling read, and an event that is set when it stalls."""

    def __init__(self) -> None:
        self.begun = threading.Event()

    def stall(self, data: bytes = b"") -> Answer:
        def answer(request: Request, wire: Wire) -> None:
            wire.send(data)
            self.begun.set()
            wire.stall()

        return answer

    def drip(self, data: bytes) -> Answer:
        def answer(request: Request, wire: Wire) -> None:
            self.begun.set()
            wire.drip(data, 0.01)

        return answer

    def is_cut_by_closing(self, session: Any, read: Callable[[], object]) -> StoreError:
        """Close the session once the read stalls, and return the error of the read."""
        call = Call(read)
        assert self.begun.wait(5)
        call.join(0.03)  # time to read what was sent
        farewell = Call(session.close)
        with pytest.raises(NotConnectedError) as caught:
            call.result()
        farewell.result()
        return caught.value


@pytest.fixture
def stalled() -> Stalled:
    return Stalled()


PATIENT: dict[str, Any] = {"timeout": (60, 60), "min_rate": 0}


@pytest.mark.parametrize("retries", [0, 4])
@pytest.mark.parametrize(
    "data", [b"", HEAD[:1], HEAD[:-2], b"HTTP/1.1 100 Continue\r\n\r\n"], ids=len
)
def test_closing_ends_a_read_that_stalls_in_the_head(
    start: Start, session_at: SessionAt, stalled: Stalled, data: bytes, retries: int
) -> None:
    session = session_at(start(stalled.stall(data)).url, **PATIENT, retries=retries)
    error = stalled.is_cut_by_closing(session, lambda: session.request("GET", "a", key="a"))
    assert error.key == "a"


@pytest.mark.parametrize("body", [b"", b"x", bytes(999)], ids=len)
def test_closing_ends_a_read_that_stalls_in_the_body(
    start: Start, session_at: SessionAt, stalled: Stalled, body: bytes
) -> None:
    session = session_at(start(stalled.stall(HEAD + body)).url, **PATIENT)
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a").read(1000))


@pytest.mark.parametrize("data", [HEAD * 100, HEAD + bytes(1000)])
def test_closing_ends_a_read_of_single_bytes(
    start: Start, session_at: SessionAt, stalled: Stalled, data: bytes
) -> None:
    session = session_at(start(stalled.drip(data)).url, **PATIENT)
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a").read(1000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD + b"x",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(bytes(99))[:15],
        b"HTTP/1.1 200 OK\r\n\r\nno length",
    ],
    ids=["head", "body", "chunk", "gzip", "no length"],
)
def test_closing_ends_a_document_fetch(
    start: Start, session_at: SessionAt, stalled: Stalled, data: bytes
) -> None:
    session = session_at(start(stalled.stall(data)).url, **PATIENT, retries=4)
    stalled.is_cut_by_closing(session, lambda: fetch(session, seconds=60))


@pytest.mark.parametrize("data", [b"", HEAD + b"x"], ids=["head", "body"])
def test_closing_ends_a_read_that_stalls_within_tls(
    start: Start,
    session_at: SessionAt,
    stalled: Stalled,
    certificates: Certificates,
    data: bytes,
) -> None:
    context = certificates.context(certificates.server)
    server = start(stalled.stall(data), ssl_context=context)
    session = session_at(server.url, **PATIENT, verify=certificates.authority)
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a").read(1000))


Quiet = Callable[..., int]


@pytest.fixture
def quiet(stalled: Stalled) -> Iterator[Quiet]:
    """Yield the port of a server that sends a given answer, and nothing after it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def listen(answers: tuple[bytes, ...]) -> None:
            connection, _ = listener.accept()
            with connection:
                for answer in answers:
                    connection.recv(1 << 16)
                    connection.sendall(answer)
                connection.recv(1 << 16)
                stalled.begun.set()
                while connection.recv(1 << 16):
                    pass

        def start(*answers: bytes) -> int:
            threading.Thread(target=listen, args=[answers], daemon=True).start()
            port: int = listener.getsockname()[1]
            return port

        yield start


def test_closing_ends_a_tls_handshake(
    session_at: SessionAt, stalled: Stalled, quiet: Quiet
) -> None:
    session = session_at(f"https://127.0.0.1:{quiet()}/", **PATIENT)
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a"))


def test_closing_ends_a_wait_for_a_tunnel(
    session_at: SessionAt, stalled: Stalled, quiet: Quiet
) -> None:
    proxies = {"https": f"http://127.0.0.1:{quiet()}"}
    session = session_at("https://data.example/", **PATIENT, proxies=proxies)
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a"))


def test_closing_ends_a_tls_handshake_in_a_tunnel(
    session_at: SessionAt, stalled: Stalled, quiet: Quiet
) -> None:
    port = quiet(b"HTTP/1.1 200 Connection established\r\n\r\n")
    session = session_at(
        "https://data.example/", **PATIENT, proxies={"https": f"http://127.0.0.1:{port}"}
    )
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a"))


@pytest.fixture(scope="module")
def squid() -> Iterator[Squid]:
    require("squid")
    with Squid() as proxy:
        yield proxy


@pytest.mark.parametrize("data", [b"", HEAD + b"x"], ids=["head", "body"])
def test_closing_ends_a_read_through_a_proxy(
    start: Start, session_at: SessionAt, stalled: Stalled, squid: Squid, data: bytes
) -> None:
    server = start(stalled.stall(data))
    session = session_at(server.url, **PATIENT, proxies={"http": squid.url})
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a").read(1000))


@pytest.mark.parametrize("data", [b"", HEAD + b"x"], ids=["head", "body"])
def test_closing_ends_a_read_through_a_tunnel(
    start: Start,
    session_at: SessionAt,
    stalled: Stalled,
    squid: Squid,
    certificates: Certificates,
    data: bytes,
) -> None:
    context = certificates.context(certificates.server)
    server = start(stalled.stall(data), ssl_context=context)
    session = session_at(
        server.url, **PATIENT, proxies={"https": squid.url}, verify=certificates.authority
    )
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a").read(1000))


def test_closing_ends_a_wait_between_attempts(
    start: Start, session_at: SessionAt, stalled: Stalled
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(503, headers={"Retry-After": "100"})
        stalled.begun.set()

    server = start(answer)
    session = session_at(server.url, **PATIENT, retries=4)
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a"))
    assert len(server.requests) == 1


def test_closing_does_not_wait_for_a_pending_connect(session_at: SessionAt) -> None:
    with socket.socket() as listener, ExitStack() as waiting:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        # A client that connects while the queue is full gets no answer.
        for _ in range(2):
            early = waiting.enter_context(socket.socket())
            early.setblocking(False)
            early.connect_ex(listener.getsockname())
        session = session_at(f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=(0.5, 5))
        call = Call(lambda: session.request("GET", "a"))
        call.join(0.05)
        Call(session.close).result(0.3)
        with pytest.raises(NotConnectedError):
            call.result(3)


def test_closing_ends_a_read_of_an_error_response(
    start: Start, session_at: SessionAt, stalled: Stalled
) -> None:
    refusal = b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="x", nonce="y"\r\n\r\nno'
    session = session_at(
        start(stalled.stall(refusal)).url, **PATIENT, auth=HTTPDigestAuth("ali", "sesame")
    )
    stalled.is_cut_by_closing(session, lambda: session.request("GET", "a"))


def test_closing_ends_many_reads_at_once(start: Start, session_at: SessionAt) -> None:
    begun = threading.Semaphore(0)

    def answer(request: Request, wire: Wire) -> None:
        wire.send(HEAD if request.number % 2 else b"")
        begun.release()
        wire.stall()

    session = session_at(start(answer).url, **PATIENT)
    calls = [Call(lambda: session.request("GET", "a").read(1000)) for _ in range(20)]
    for _ in calls:
        assert begun.acquire(timeout=5)
    session.close()
    for call in calls:
        with pytest.raises(NotConnectedError):
            call.result()


def test_closing_twice_from_two_threads_is_the_same_as_once(
    start: Start, session_at: SessionAt, stalled: Stalled
) -> None:
    session = session_at(start(stalled.stall()).url, **PATIENT)
    call = Call(lambda: session.request("GET", "a"))
    assert stalled.begun.wait(5)
    for farewell in [Call(session.close) for _ in range(4)]:
        farewell.result()
    with pytest.raises(NotConnectedError):
        call.result()


def test_a_connection_made_while_the_session_is_closed_is_cut(
    start: Start, session_at: SessionAt, stalled: Stalled, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start(stalled.stall())
    session = session_at(server.url, **PATIENT)
    add = session.wire.add

    def close_first(sock: socket.socket) -> None:
        session.close()
        add(sock)

    monkeypatch.setattr(session.wire, "add", close_first)
    with pytest.raises(NotConnectedError):
        Call(lambda: session.request("GET", "a")).result()
    server.stop()
    assert not server.requests


def test_a_closed_session_leaves_no_connection_open(start: Start, session_at: SessionAt) -> None:
    gone = threading.Event()

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, b"x")
        wire.stall()  # until the client has gone
        gone.set()

    session = session_at(start(answer).url)
    assert session.request("GET", "a").read(10) == b"x"
    session.close()
    assert gone.wait(1)


def test_answers_that_are_never_closed_cause_no_warning(
    start: Start, session_at: SessionAt
) -> None:
    server = start(lambda request, wire: wire.response(200, bytes(100_000)))
    session = session_at(server.url)
    session.request("GET", "a").read(10)
    del session
    gc.collect()


# -- error responses that ask for a password -------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404])
def test_the_error_body_that_authentication_reads_is_bounded(
    start: Start, session_at: SessionAt, status: int
) -> None:
    sent: list[int] = []

    def answer(request: Request, wire: Wire) -> None:
        challenge = {"WWW-Authenticate": 'Digest realm="x", nonce="y"'}
        wire.response(status, b"", {**challenge, "Content-Length": "1" * 15})
        for _ in range(64):
            wire.send(bytes(1 << 20))
            sent.append(1 << 20)
        wire.close()

    server = start(answer)
    session = session_at(server.url, auth=HTTPDigestAuth("ali", "sesame"))
    with pytest.raises(TransportError):
        fetch(session)
    server.stop()
    assert sum(sent) < 48 << 20  # the buffers of the kernel, for two requests


def test_a_connection_with_an_unread_error_body_is_not_reused(
    start: Start, session_at: SessionAt
) -> None:
    answered = threading.Event()

    def answer(request: Request, wire: Wire) -> None:
        if "Authorization" in request.headers:
            wire.response(200, b"x")
            return answered.set()
        challenge = {"WWW-Authenticate": 'Digest realm="x", nonce="y"', "Content-Length": "100000"}
        wire.response(401, bytes(1 << 16), challenge)
        answered.wait(3)  # on another connection
        return wire.close()

    server = start(answer)
    session = session_at(server.url, auth=HTTPDigestAuth("ali", "sesame"))
    assert fetch(session) == b"x"
    assert server.connections == 2


@pytest.mark.parametrize("size", [0, 1, 1000, 1 << 16, 1 << 17])
def test_a_401_without_digest_is_reported_whatever_its_size(
    start: Start, session_at: SessionAt, size: int
) -> None:
    server = start(lambda request, wire: wire.response(401, bytes(size)))
    session = session_at(server.url)
    for _ in range(2):
        with pytest.raises(TransportError, match="401"):
            fetch(session)
    assert len(server.requests) == 2


def test_every_scheme_uses_bounded_connections(start: Start, session_at: SessionAt) -> None:
    session = session_at("http://data.example/")
    adapter = session.sender.own.requests_session.get_adapter("http://data.example/")
    assert isinstance(adapter, adapters.BoundedAdapter)
    for manager in (adapter.poolmanager, adapter.proxy_manager_for("http://127.0.0.1:1")):
        for url in ("http://data.example/", "https://data.example/"):
            pool = manager.connection_from_url(url)
            assert issubclass(pool.ConnectionCls, adapters._BoundedConnection)


def test_two_threads_that_first_use_a_proxy_at_once_get_bounded_connections(
    session_at: SessionAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_at("http://data.example/")
    adapter = session.sender.own.requests_session.get_adapter("http://data.example/")
    assert isinstance(adapter, adapters.BoundedAdapter)
    bind, begun, go = adapter._bind, threading.Event(), threading.Event()

    def slow_bind(manager: Any) -> None:
        begun.set()
        assert go.wait(5)
        bind(manager)

    def connection_class() -> Any:
        manager = adapter.proxy_manager_for("http://127.0.0.1:1")
        return manager.connection_from_url("http://data.example/").ConnectionCls

    monkeypatch.setattr(adapter, "_bind", slow_bind)
    first = Call(connection_class)
    assert begun.wait(5)
    second = Call(connection_class)
    second.join(0.1)
    go.set()
    for call in (first, second):
        assert issubclass(call.result(), adapters._BoundedConnection)  # type: ignore[arg-type]


def test_endless_trailers_are_a_transport_error(start: Start, session_at: SessionAt) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n")
        while True:
            wire.send(b"Trailer: nothing\r\n" * 1000)

    with (
        pytest.raises(TransportError),
        closing(session_at(start(answer).url).request("GET", "a")) as response,
    ):
        while response.read(100):
            pass


def test_a_coding_that_decodes_to_nothing_is_a_transport_error(
    start: Start, session_at: SessionAt
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        head = gzip.compress(b"")[:10]
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + head)
        while True:
            wire.send(b"\x00\x00\x00\xff\xff" * 10_000)

    with (
        pytest.raises(TransportError),
        closing(session_at(start(answer).url).request("GET", "a")) as response,
    ):
        response.read(100, decode=True)
