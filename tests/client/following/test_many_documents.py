"""Documents of a foreign index that are requested together, as a carrier does it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from requests import PreparedRequest
from requests.auth import AuthBase

from staticstore import NotConnectedError, StaticStore, request_finished, tuning
from staticstore.formats import Document, Entry, Link
from tests.engines import ENGINES, sending_by
from tests.servers import Answer, RawServer, Request, Wire, serve_files

TIMEOUT = 20.0  # seconds after which a test has failed
NAMES = [f"d{number}" for number in range(12)]


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[str]:
    with sending_by(request.param):
        yield request.param


def form(document: Document) -> Iterator[Entry | Link]:
    """Read a JSON object: links, leaves, and the metadata of keys."""
    for name, said in json.loads(document.body).items():
        if name in ("links", "leaves"):
            yield from (Link(href, leaf=name == "leaves") for href in said)
        else:
            yield Entry(name, {"said": said, "type": document.media_type, "url": document.url})


def body_of(name: str) -> bytes:
    return json.dumps({f"key-{name}": name}).encode()


FILES = {"first": json.dumps({"links": NAMES}).encode(), **{name: body_of(name) for name in NAMES}}
LEAVES = {**FILES, "first": json.dumps({"leaves": NAMES}).encode()}
Host = Callable[..., RawServer]
Connect = Callable[..., StaticStore]


@pytest.fixture
def host(stack: Any) -> Host:
    """Start a host of files, of which some are answered otherwise."""

    def start(files: dict[str, bytes] = FILES, **answers: Answer) -> RawServer:
        server = RawServer(serve_files(files).but(answers), heads=True)
        stack.enter_context(server)
        return server

    return start


@pytest.fixture
def connect(stack: Any) -> Connect:
    def connect(server: RawServer, *args: Any, **options: Any) -> StaticStore:
        store = StaticStore(server.url + "first", format=form, poll_interval=0)
        stack.callback(store.disconnect)
        return store.connect(*args, **{"retries": 0, "timeout": (5, 5), **options})

    return connect


def targets(server: RawServer) -> list[str]:
    return [request.target for request in server.requests]


def sent(status: int, body: bytes, **fields: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda request, wire: wire.response(status, body, named)


def test_each_document_is_requested_once(host: Host, connect: Connect) -> None:
    server = host()
    assert len(connect(server)) == len(NAMES)
    assert sorted(targets(server)) == sorted(f"/{name}" for name in FILES)


def test_documents_that_have_not_changed_are_not_sent_again(host: Host, connect: Connect) -> None:
    server = host()
    store = connect(server)
    before = len(server.requests)
    assert not store.update_index()
    asked = server.requests[before:]
    assert len(asked) == len(FILES)
    assert all("If-None-Match" in request.headers for request in asked)


def test_a_304_without_a_length_is_an_answer(host: Host, connect: Connect) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if "If-None-Match" in request.headers:
            wire.send(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
        else:
            wire.response(200, body_of("d3"), {"ETag": '"1"'})

    server = host(d3=answer)
    store = connect(server)
    before = len(server.requests)
    assert not store.update_index()
    assert len(server.requests) - before == len(FILES)


def test_a_304_that_was_not_asked_for_is_no_answer(host: Host, connect: Connect) -> None:
    store = connect(host(LEAVES, d3=sent(304, b"")))
    assert len(store) == len(NAMES) - 1
    assert any("the host answered 304" in text for text in store.info()["warnings"])


def test_a_document_that_has_changed_is_read(host: Host, connect: Connect) -> None:
    files = dict(FILES)
    store = connect(host(files))
    files["d3"] = json.dumps({"key-d3": "new"}).encode()
    assert store.update_index()
    assert store.get_metadata("key-d3")["said"] == "new"


def test_a_compressed_document_is_decoded(host: Host, connect: Connect) -> None:
    answer = sent(200, gzip.compress(body_of("d3")), Content_Encoding="gzip")
    server = host(d3=answer)
    assert connect(server).get_metadata("key-d3")["said"] == "d3"
    assert targets(server).count("/d3") == 1


def test_what_is_called_compressed_and_is_not_is_read(host: Host, connect: Connect) -> None:
    server = host(d3=sent(200, body_of("d3"), Content_Encoding="gzip"))
    assert "key-d3" in connect(server)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(body_of("d3"), mtime=0)[:-9]),  # the time would be in the name
        ("br", b"\x0b\x02\x80"),
        ("deflate", b"\x01\xff"),
    ],
)
def test_a_damaged_or_unknown_coding_is_reported(
    coding: str, body: bytes, host: Host, connect: Connect
) -> None:
    store = connect(host(LEAVES, d3=sent(200, body, Content_Encoding=coding)))
    assert len(store) == len(NAMES) - 1
    assert len(store.info()["warnings"]) == 1


def test_a_document_that_is_much_larger_decoded_is_refused(host: Host, connect: Connect) -> None:
    bomb = gzip.compress(bytes(1 << 20))
    server = host(LEAVES, d3=sent(200, bomb, Content_Encoding="gzip"))
    with pytest.raises(Exception, match="max_index_bytes=100000"):
        connect(server, max_index_bytes=100_000)


def test_a_body_that_breaks_off_is_not_a_document(host: Host, connect: Connect) -> None:
    def broken(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body_of("d3"))
        wire.close()

    store = connect(host(LEAVES, d3=broken))
    assert "key-d3" not in store


def test_a_redirect_is_followed(host: Host, connect: Connect) -> None:
    server = host(d3=sent(302, b"", Location="/d4"))
    store = connect(server)
    assert len(store) == len(NAMES) - 1
    assert store.get_metadata("key-d4")["url"] == server.url + "d4"


def test_a_larger_document_is_read_by_itself(
    host: Host, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "CARRIED_DOCUMENT_BYTES", 100)
    large = json.dumps({"key-d3": "x" * 1000}).encode()
    store = connect(host({**FILES, "d3": large}))
    assert store.get_metadata("key-d3")["said"] == "x" * 1000


def test_a_media_type_is_that_of_the_head(host: Host, connect: Connect) -> None:
    def with_trailer(request: Request, wire: Wire) -> None:
        body = body_of("d3")
        head = b"HTTP/1.1 200 OK\r\ncontent-TYPE: Text/X; charset=utf-8\r\n"
        chunk = b"%x\r\n%s\r\n0\r\n" % (len(body), body)
        wire.send(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
        wire.send(b"Content-Type: text/trailer\r\n\r\n")

    store = connect(host(d3=with_trailer))
    assert store.get_metadata("key-d3")["type"] == "text/x"


def test_two_entity_tags_are_none(host: Host, connect: Connect) -> None:
    def two(request: Request, wire: Wire) -> None:
        body = body_of("d3")
        head = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "1"\r\nETag: "2"\r\n\r\n'
        wire.send(head % len(body) + body)

    server = host(d3=two)
    store = connect(server)
    store.update_index()
    asked = [request for request in server.requests if request.target == "/d3"]
    assert len(asked) == 2
    assert "If-None-Match" not in asked[1].headers


def test_own_header_fields_are_sent_with_each_document(host: Host, connect: Connect) -> None:
    server = host()
    connect(server, ("ali", "sesame"), headers={"X-Own": "1"})
    for request in server.requests:
        assert request.headers["X-Own"] == "1"
        assert request.headers["Authorization"].startswith("Basic ")
        assert request.headers["Accept-Encoding"] == "gzip, deflate"


def test_each_document_is_signed(host: Host, connect: Connect) -> None:
    class Signs(AuthBase):
        def __call__(self, r: PreparedRequest) -> PreparedRequest:
            r.headers["X-Signed"] = str(r.path_url)
            return r

    server = host()
    store = connect(server, Signs())
    store.update_index()
    assert all(request.headers["X-Signed"] == request.target for request in server.requests)
    assert sum("If-None-Match" in request.headers for request in server.requests) == len(FILES)


def test_no_more_than_eight_are_requested_at_once(host: Host, connect: Connect) -> None:
    lock, counts, eight = threading.Lock(), [0], threading.Event()
    most = [0]

    def counted(request: Request, wire: Wire) -> None:
        with lock:
            counts[0] += 1
            most[0] = max(most[0], counts[0])
            if counts[0] == 8:
                eight.set()
        wire.wait(eight)
        with lock:
            counts[0] -= 1
        wire.response(200, body_of(request.path[1:]))

    connect(host(**dict.fromkeys(NAMES, counted)))
    assert most[0] == 8


def test_each_request_is_reported(host: Host, connect: Connect) -> None:
    found: list[tuple[str, int | None]] = []

    def note(sender: object, **report: Any) -> None:
        found.append((report["url"], report["status"]))

    with request_finished.connected_to(note):
        server = host()
        connect(server)
    assert sorted(found) == sorted((server.url + name, 200) for name in FILES)


def test_a_disconnect_ends_it(host: Host, stack: Any) -> None:
    began = threading.Event()

    def stall(request: Request, wire: Wire) -> None:
        began.set()
        wire.stall()

    server = host(d3=stall)
    store = StaticStore(server.url + "first", format=form, poll_interval=0)
    errors: list[Exception] = []

    def connect() -> None:
        try:
            store.connect()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    assert began.wait(TIMEOUT)
    store.disconnect()
    thread.join(TIMEOUT)
    assert isinstance(errors[0], NotConnectedError)


def test_a_host_that_redirects_everything_is_not_asked_twice_for_each(
    host: Host, connect: Connect
) -> None:
    names = [f"r{number}" for number in range(60)]
    moved = {f"moved-{name}": body_of(name) for name in names}
    files = {"first": json.dumps({"links": names}).encode(), **moved}

    def redirect(request: Request, wire: Wire) -> None:
        wire.response(302, b"", {"Location": f"/moved-{request.path[1:]}"})

    server = host(files, **dict.fromkeys(names, redirect))
    assert len(connect(server)) == 60
    assert sum(target.startswith("/r") for target in targets(server)) < 90
