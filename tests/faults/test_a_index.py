"""FAULTS A: answers to requests for the index."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from typing import Any

import pytest

import staticstore
from staticstore import (
    HTTPStatusError,
    IndexFormatError,
    StaticStore,
    StoreError,
    TransportError,
    TransportTimeout,
)
from tests.faults.conftest import VALUES, Opened, files_of
from tests.servers import Files, Nginx, RawServer, Request, Wire, require, serve_files
from tests.sites import write_index

KEYS = sorted(VALUES)
DEEP = b"[" * 100_000 + b"]" * 100_000


def served(body: bytes, content_type: str = "application/json") -> Any:
    """Answer with this index, and with nothing else."""

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, body, {"Content-Type": content_type})

    return answer


BAD = {
    "empty": b"",
    "truncated": b'{"a.txt": {"size": 1',
    "a page": b"<!DOCTYPE html><title>Welcome to the hotel</title>",
    "a list": b"[]",
    "null": b"null",
    "NaN": b'{"a": {"x": NaN}}',
    "Infinity": b'{"a": {"x": -Infinity}}',
    "overflow": b'{"a": {"x": 1e999}}',
    "deep": b'{"a": {"x": ' + DEEP + b"}}",
    "long number": b'{"a": {"x": ' + b"7" * 5000 + b"}}",
    "UTF-16": '{"a": {}}'.encode("utf-16"),
    "Latin-1": '{"a": {"x": "é"}}'.encode("latin-1"),
    "raw surrogate": b'{"a": {"x": "\xed\xa0\x80"}}',
    "escaped surrogate": b'{"a": {"x": "\\ud800"}}',
    "two documents": b"{}{}",
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a1_a3_a4_a6_an_invalid_index_is_an_index_format_error(opened: Opened, body: bytes) -> None:
    with pytest.raises(IndexFormatError):
        opened(served(body))


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a1_a3_a4_a6_a_bad_index_never_replaces_a_good_one(
    opened: Opened, good: Files, body: bytes
) -> None:
    store, server = opened(good)
    before, failures, sent = store.index, list[StoreError](), list[Any]()
    server.answer = served(body)
    with (
        staticstore.poll_failed.connected_to(
            lambda sender, error: failures.append(error), sender=store
        ),
        staticstore.index_updated.connected_to(
            lambda sender, changes: sent.append(changes), sender=store
        ),
        pytest.raises(IndexFormatError),
    ):
        store.update_index()
    assert store.index is before
    assert [type(error) for error in failures] == [IndexFormatError]
    assert not sent


def test_a1_the_error_shows_content_type_and_beginning_escaped(opened: Opened) -> None:
    page = b"<title>\x1b[31mLog in</title>" + b"x" * 200
    with pytest.raises(IndexFormatError) as caught:
        opened(served(page, "text/html; charset=utf-8"))
    text = str(caught.value)
    assert "text/html" in text
    assert "\\x1b[31mLog in" in text
    assert "x" * 81 not in text


def test_a2_an_entry_that_is_not_an_object_is_reported_and_the_others_stay(opened: Opened) -> None:
    store, _ = opened(served(b'{"a": {}, "b": [1], "c": null, "d": {"x": 1}}'))
    assert list(store) == ["a", "d"]
    warnings = store.info()["warnings"]
    assert len(warnings) == 2
    assert "'b'" in warnings[0]


@pytest.mark.parametrize("size", [-1, 2.5, True, 2**64, "12", None, [12]])
def test_a5_an_invalid_size_is_plain_metadata(opened: Opened, size: object) -> None:
    files = files_of(VALUES)
    files["index.json"] = json.dumps({"b.txt": {"size": size}}).encode()
    store, _ = opened(serve_files(files))
    assert store.get_metadata("b.txt") == {"size": size}
    assert store["b.txt"].size == len(VALUES["b.txt"])
    assert store.to_bytes("b.txt") == VALUES["b.txt"]


def test_a6_a_byte_order_mark_is_accepted(opened: Opened) -> None:
    store, _ = opened(served(b"\xef\xbb\xbf" + '{"a": {"title": "é"}}'.encode()))
    assert store.get_metadata("a") == {"title": "é"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/json; charset=iso-8859-1"])
def test_a7_the_charset_of_the_header_is_ignored(opened: Opened, content_type: str) -> None:
    store, _ = opened(served('{"日本": {"title": "é"}}'.encode(), content_type))
    assert store.get_metadata("日本") == {"title": "é"}


def test_a8_an_index_whose_content_length_is_too_large_is_refused(opened: Opened) -> None:
    with pytest.raises(IndexFormatError, match="max_index_bytes=1000"):
        opened(served(b" " * 1001), max_index_bytes=1000)


def test_a8_an_endless_index_is_refused_at_the_bound(opened: Opened) -> None:
    def endless(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            wire.send(b" " * 65536)

    with pytest.raises(IndexFormatError, match="larger"):
        opened(endless, max_index_bytes=4 << 20)


def test_a8_a_gzip_bomb_is_refused_before_it_fills_the_memory(opened: Opened) -> None:
    bomb = gzip.compress(b" " * (200 << 20))

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, bomb, {"Content-Encoding": "gzip"})

    tracemalloc.start()
    try:
        with pytest.raises(IndexFormatError, match="larger"):
            opened(answer, max_index_bytes=4 << 20)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


def test_a_compressed_index_is_read(opened: Opened, good: Files) -> None:
    def answer(request: Request, wire: Wire) -> None:
        assert "gzip" in request.headers["Accept-Encoding"]
        wire.response(200, gzip.compress(b'{"a": {}}'), {"Content-Encoding": "gzip"})

    assert list(opened(answer)[0]) == ["a"]


def test_an_index_in_an_unexpected_coding_is_refused(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, b"\x1b\x03", {"Content-Encoding": "br"})

    with pytest.raises(TransportError, match="br"):
        opened(answer)


@pytest.mark.parametrize("status", [404, 410, 500, 503])
def test_a9_an_error_after_a_success_keeps_the_snapshot(
    opened: Opened, good: Files, status: int
) -> None:
    store, server = opened(good)
    server.answer = lambda request, wire: wire.response(status)
    with pytest.raises(HTTPStatusError) as caught:
        store.update_index()
    assert caught.value.status == status
    assert list(store) == KEYS
    assert store.info()["last_error"] is not None


@pytest.mark.parametrize(
    "other",
    [
        b'{"b": {"y": [1, {"z": null}], "x": 1}, "a": {}}',
        b'{\n "a" : { } ,\t"b": {"x": 1.0, "y": [1, {"z": null}]} }\n',
        b'{"\\u0061": {}, "b": {"x": 1e0, "y": [1.0, {"z": null}]}}',
        b'{"b": {"q": 0}, "a": {}, "b": {"x": 1, "y": [1, {"z": null}]}}',
    ],
)
def test_a10_the_same_content_in_another_form_sends_no_signal(opened: Opened, other: bytes) -> None:
    store, server = opened(served(b'{"a": {}, "b": {"x": 1, "y": [1, {"z": null}]}}'))
    server.answer = served(other)
    assert not store.update_index()


def test_a11_a_304_without_an_index_is_asked_again_and_refused(opened: Opened) -> None:
    with pytest.raises(TransportError, match="304"):
        opened(lambda request, wire: wire.response(304))


@pytest.mark.parametrize("status", [203, 204, 206, 304])
def test_a11_one_unconditional_request_repairs_an_unrequested_status(
    opened: Opened, good: Files, status: int
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.number == 0:
            wire.response(status)
        else:
            assert "If-None-Match" not in request.headers
            good(request, wire)

    store, server = opened(answer)
    assert list(store) == KEYS
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [203, 204, 206])
def test_a11_a_second_unrequested_status_is_a_transport_error(
    opened: Opened, good: Files, status: int
) -> None:
    store, server = opened(good)
    server.answer = lambda request, wire: wire.response(status, b"" if status == 204 else b"{}")
    with pytest.raises(TransportError, match=str(status)):
        store.update_index()
    assert list(store) == KEYS
    assert len(server.requests) == 3


def test_a12_nginx_answers_304_for_another_index_of_the_same_size_and_second(tmp_path: Any) -> None:
    require("nginx")
    write_index(tmp_path, b'{"a": {}}')
    with Nginx(tmp_path) as nginx, StaticStore(nginx.url, poll_interval=0).connect() as store:
        status = (tmp_path / "index.json").stat()
        (tmp_path / "index.json").write_bytes(b'{"b": {}}')
        os.utime(tmp_path / "index.json", ns=(status.st_atime_ns, status.st_mtime_ns))
        polls = 0
        while list(store) == ["a"] and polls < 30:
            store.update_index()
            polls += 1
        assert list(store) == ["b"]
        statuses = {request.status for request in nginx.requests() if "head" not in request.target}
    assert statuses == {200, 304}
    assert polls > 1


def test_an_unchanged_index_costs_a_304(opened: Opened, good: Files) -> None:
    store, server = opened(good)
    store.update_index()
    assert "If-None-Match" in server.requests[-1].headers


def test_an_index_whose_body_breaks_off_is_fetched_again_from_the_start(
    opened: Opened, good: Files
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.number:
            return good(request, wire)
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        return wire.reset()

    store, server = opened(answer, retries=1)
    assert list(store) == KEYS
    assert len(server.requests) == 2


def test_an_index_that_stalls_is_a_timeout(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        wire.stall()

    with pytest.raises(TransportTimeout):
        opened(answer, timeout=(5, 0.2))


def test_a_slow_index_ends_at_its_deadline(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        wire.drip(b" " * 10_000)

    with pytest.raises(TransportTimeout):
        opened(answer, index_deadline=0.3)


def test_a_refused_key_in_an_index_is_reported_and_the_others_stay(opened: Opened) -> None:
    store, _ = opened(served(b'{"../x": {}, "a//b": {}, "/x": {}, "": {}, "good": {}}'))
    assert list(store) == ["good"]
    assert len(store.info()["warnings"]) == 4


def test_a_server_that_is_down_is_a_transport_error() -> None:
    with RawServer(lambda request, wire: wire.close()) as server:
        url = server.url
    with pytest.raises(TransportError, match="refused"):
        StaticStore(url).connect(retries=0)
