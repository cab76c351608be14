"""FAULTS C: answers to requests for a value, or for a part of it."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    HTTPStatusError,
    IntegrityError,
    StaticStore,
    TransportError,
    TransportTimeout,
)
from tests.engines import ENGINES, sending_by
from tests.faults.conftest import VALUES, Opened, files_of
from tests.servers import Answer, Files, Request, Wire, serve_files
from tests.sites import entry, index_of

A = VALUES["a.txt"]
SIZE = len(A)

Read = Callable[[StaticStore, Path], bytes]


def _to_file(store: StaticStore, folder: Path) -> bytes:
    store.to_file("a.txt", folder / "copy")
    return (folder / "copy").read_bytes()


def _stream(store: StaticStore, folder: Path) -> bytes:
    with store.get_data("a.txt") as stream:
        return b"".join(iter(lambda: stream.read(64), b""))


def _read_many(engine: str) -> Read:
    def read(store: StaticStore, folder: Path) -> bytes:
        with sending_by(engine):
            ((_, data),) = store.read_many(["a.txt"])
        return data

    return read


WAYS: dict[str, Read] = {
    "read": lambda store, folder: store["a.txt"].read(),
    "stream": _stream,
    "iterdata": lambda store, folder: b"".join(store["a.txt"].iterdata(100)),
    "to_file": _to_file,
    **{f"read_many by {engine}": _read_many(engine) for engine in ENGINES},
}


@pytest.fixture(params=WAYS)
def read(request: pytest.FixtureRequest) -> Read:
    """Each way to read a whole value."""
    return WAYS[request.param]


def silent(key: str, value: bytes) -> dict[str, Any]:
    """Describe a value by empty metadata."""
    return {}


def site(answer: Answer, *, index: bytes | None = None, **options: Any) -> Files:
    """Serve the site, but answer requests for one value with a script."""
    files = files_of(VALUES)
    if index is not None:
        files["index.json"] = index
    return serve_files(files, **options).but({"data/a.txt": answer})


def broken(good: Files, at: int, how: str = "reset") -> Answer:
    """Break off the first answer after some bytes, and serve well from then on."""
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        if len(seen) > 1:
            return good(request, wire)
        tag = hashlib.sha256(A).hexdigest()[:16]
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: "{tag}"\r\n\r\n'
        wire.send(head.encode() + A[:at])
        return {"reset": wire.reset, "close": wire.close, "stall": wire.stall}[how]()

    return answer


@pytest.mark.parametrize("how", ["reset", "close", "stall"])
@pytest.mark.parametrize("at", [0, 1, 500, SIZE - 1])
def test_c1_a_broken_read_is_resumed_at_the_byte_reached(
    opened: Opened, good: Files, read: Read, tmp_path: Path, at: int, how: str
) -> None:
    store, server = opened(site(broken(good, at, how)), retries=2, timeout=(5, 0.2))
    assert read(store, tmp_path) == A
    last = server.requests[-1]
    # Bytes that arrived in the same piece as the end are lost with it: resumed there or before.
    assert last.range is None or last.range[0] <= at
    if last.range is not None:
        assert last.headers["If-Range"].startswith('"')


def test_c1_without_an_etag_the_digest_binds_the_parts(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    plain = serve_files(files_of(VALUES), etag=None)
    store, _ = opened(site(broken(plain, 500), etag=None), retries=2)
    assert read(store, tmp_path) == A


def test_c1_from_a_host_without_ranges_the_whole_is_read_again_and_the_known_part_skipped(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    plain = serve_files(files_of(VALUES), ranges=False)
    store, _ = opened(site(broken(plain, 500)), retries=2)
    assert read(store, tmp_path) == A


@pytest.mark.parametrize("way", ["read", "to_file"])
def test_c1_without_etag_and_digest_the_value_is_read_again_from_the_start(
    opened: Opened, tmp_path: Path, way: str
) -> None:
    plain = serve_files(files_of(VALUES), etag="weak")
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        if len(seen) > 1:
            return plain(request, wire)
        wire.send(f'HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: W/"1"\r\n\r\n'.encode())
        wire.send(b"older" * 10)
        return wire.reset()

    store, server = opened(site(answer, index=b'{"a.txt": {}}'), retries=2)
    assert WAYS[way](store, tmp_path) == A
    assert server.requests[-1].range is None


def test_c1_a_broken_stream_without_etag_and_digest_is_a_transport_error(
    opened: Opened, tmp_path: Path
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        wire.send(A[:100])
        wire.reset()

    store, _ = opened(site(answer, index=b'{"a.txt": {}}'), retries=2)
    with pytest.raises(TransportError):
        _stream(store, tmp_path)


def test_c1_a_connection_that_always_breaks_is_a_transport_error(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        wire.send(A[:10])
        wire.reset()

    store, server = opened(site(answer), retries=2)
    with pytest.raises(TransportError) as caught:
        read(store, tmp_path)
    assert caught.value.key == "a.txt"
    assert len(server.requests) < 20
    assert list(tmp_path.iterdir()) == []


def test_c1_a_broken_range_is_resumed_too(opened: Opened, good: Files) -> None:
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        if len(seen) > 1:
            return good(request, wire)
        tag = hashlib.sha256(A).hexdigest()[:16]
        wire.send(
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: 400\r\n"
            + f'Content-Range: bytes 100-499/{SIZE}\r\nETag: "{tag}"\r\n\r\n'.encode()
            + A[100:200]
        )
        return wire.reset()

    store, _ = opened(site(answer), retries=2)
    with store.get_data_range("a.txt", 100, 500) as stream:
        assert stream.read() == A[100:500]


def test_c1_a_range_whose_etag_has_changed_is_an_integrity_error(
    opened: Opened, good: Files
) -> None:
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        tag = f'"{len(seen)}"'
        start, end = request.range or (0, SIZE)
        assert end is not None
        body = A[start:end] if len(seen) > 1 else A[start : start + 10]
        wire.send(
            f"HTTP/1.1 206 Partial Content\r\nContent-Length: {end - start}\r\n"
            f"Content-Range: bytes {start}-{end - 1}/{SIZE}\r\nETag: {tag}\r\n\r\n".encode()
            + body
        )
        wire.reset()

    store, _ = opened(site(answer), retries=2)
    with pytest.raises(IntegrityError), store.get_data_range("a.txt", 100, 500) as stream:
        stream.read()


def unmeasured(body: bytes) -> Answer:
    """Send a body that ends with the connection."""
    return lambda request, wire: wire.response(200, body, length=False)


@pytest.mark.parametrize("cut", [0, 1, 500, SIZE - 1])
def test_c2_a_truncated_value_without_a_length_is_an_integrity_error(
    opened: Opened, read: Read, tmp_path: Path, cut: int
) -> None:
    store, _ = opened(site(unmeasured(A[:cut])))
    with pytest.raises(IntegrityError):
        read(store, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fields", ["size", "sha256"])
def test_c2_size_or_digest_alone_is_enough(
    opened: Opened, read: Read, tmp_path: Path, fields: str
) -> None:
    described = entry(A)[fields]
    index = f'{{"a.txt": {{"{fields}": {described!r}}}}}'.replace("'", '"').encode()
    store, _ = opened(site(unmeasured(A[:500]), index=index))
    with pytest.raises(IntegrityError):
        read(store, tmp_path)


@pytest.mark.parametrize("cut", [10, 15, 20])
def test_c2_a_value_truncated_inside_gzip_is_an_integrity_error(
    opened: Opened, read: Read, tmp_path: Path, cut: int
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, gzip.compress(A)[:cut], {"Content-Encoding": "gzip"}, length=False)

    store, _ = opened(site(answer))
    with pytest.raises((IntegrityError, TransportError)):
        read(store, tmp_path)


@pytest.mark.parametrize("more", [b"!", b"x" * 100_000])
@pytest.mark.parametrize("length", [True, False])
def test_c3_a_value_longer_than_in_the_index_is_an_integrity_error(
    opened: Opened, read: Read, tmp_path: Path, more: bytes, length: bool
) -> None:
    store, _ = opened(site(lambda request, wire: wire.response(200, A + more, length=length)))
    with pytest.raises(IntegrityError) as caught:
        read(store, tmp_path)
    assert caught.value.expected == SIZE


def test_c3_an_endless_value_is_stopped(opened: Opened, read: Read, tmp_path: Path) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            wire.send(A)

    store, _ = opened(site(answer))
    with pytest.raises(IntegrityError):
        read(store, tmp_path)


def test_c3_a_stream_never_returns_the_last_piece_of_a_wrong_value(opened: Opened) -> None:
    wrong = A[:-1] + b"!"
    store, _ = opened(site(lambda request, wire: wire.response(200, wrong)))
    got = b""
    with store.get_data("a.txt") as stream, pytest.raises(IntegrityError) as caught:
        while piece := stream.read(100):
            got += piece
    assert len(got) < SIZE
    assert caught.value.expected == hashlib.sha256(A).hexdigest()
    assert caught.value.actual == hashlib.sha256(wrong).hexdigest()


def test_c3_nor_does_a_stream_if_the_index_has_only_the_digest(opened: Opened) -> None:
    index = f'{{"a.txt": {{"sha256": "{"0" * 64}"}}}}'.encode()
    store, _ = opened(site(unmeasured(A), index=index))
    got = b""
    with store.get_data("a.txt") as stream, pytest.raises(IntegrityError):
        while piece := stream.read(100):
            got += piece
    assert len(got) < SIZE


def test_c4_data_is_requested_without_a_content_coding(opened: Opened, good: Files) -> None:
    store, server = opened(good)
    store.to_bytes("a.txt")
    store.get_data_range("a.txt", 0, 5).close()
    assert [request.headers["Accept-Encoding"] for request in server.requests[-2:]] == [
        "identity",
        "identity",
    ]


def test_c4_an_encoded_206_is_refused_and_the_whole_requested(opened: Opened, good: Files) -> None:
    coded = gzip.compress(A)

    def answer(request: Request, wire: Wire) -> None:
        if request.range is None:
            return good(request, wire)
        start, end = request.range
        return wire.response(
            206,
            coded[start:end],
            {
                "Content-Range": f"bytes {start}-{(end or 0) - 1}/{SIZE}",
                "Content-Encoding": "gzip",
            },
        )

    store, _ = opened(site(answer))
    with store.get_data_range("a.txt", 2, 9) as stream:
        assert stream.read() == A[2:9]


def test_c4_a_value_that_is_compressed_anyway_is_decoded(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, gzip.compress(A), {"Content-Encoding": "gzip"})

    store, _ = opened(site(answer))
    assert read(store, tmp_path) == A
    with store.get_data_range("a.txt", -7, None) as stream:
        assert stream.read() == A[-7:]


def test_c4_a_compressed_file_is_not_decoded_even_if_the_host_labels_it(
    opened: Opened,
) -> None:
    """Apache's `AddEncoding x-gzip .gz` labels a file as if Apache had compressed it."""
    packed = gzip.compress(A)
    files = {"index.json": index_of({"a.gz": packed}), "data/a.gz": packed}

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, packed, {"Content-Encoding": "x-gzip"})

    store, _ = opened(serve_files(files).but({"data/a.gz": answer}))
    assert store.to_bytes("a.gz") == packed


def test_c5_a_200_to_a_range_request_is_never_taken_for_the_range(
    opened: Opened,
) -> None:
    store, _ = opened(serve_files(files_of(VALUES), ranges=False))
    with store.get_data_range("a.txt", 5, 9) as stream:
        assert stream.read() == A[5:9]


LIES = {
    "another start": {"Content-Range": f"bytes 0-3/{SIZE}"},
    "another end": {"Content-Range": f"bytes 5-99/{SIZE}"},
    "another total": {"Content-Range": "bytes 5-8/12"},
    "no Content-Range": {},
    "nonsense": {"Content-Range": "bytes five to nine"},
    "backwards": {"Content-Range": f"bytes 9-5/{SIZE}"},
    "another unit": {"Content-Range": f"items 5-8/{SIZE}"},
    "multipart": {"Content-Type": "multipart/byteranges; boundary=x"},
    "another length": {"Content-Range": f"bytes 5-8/{SIZE}", "Content-Length": "3"},
}


@pytest.mark.parametrize("headers", LIES.values(), ids=LIES)
def test_c6_a_206_with_another_range_is_not_accepted(
    opened: Opened, good: Files, headers: dict[str, str]
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.range is None:
            return good(request, wire)
        return wire.response(206, b"????", headers)

    store, server = opened(site(answer))
    with store.get_data_range("a.txt", 5, 9) as stream:
        assert stream.read() == A[5:9]
    assert server.requests[-1].range is None


def test_c6_a_206_to_a_request_for_the_whole_is_a_transport_error(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(206, A[:9], {"Content-Range": f"bytes 0-8/{SIZE}"})

    store, _ = opened(site(answer))
    with pytest.raises(TransportError, match="206"):
        read(store, tmp_path)


def test_c6_a_206_with_another_total_is_an_integrity_error_in_the_end(opened: Opened) -> None:
    """The value was replaced by a longer one, on a host that supports ranges."""
    longer = serve_files({**files_of(VALUES), "data/a.txt": A + A, "index.json": index_of(VALUES)})
    store, _ = opened(longer)
    with pytest.raises(IntegrityError), store.get_data_range("a.txt", 5, 9) as stream:
        stream.read()


def test_c6_a_range_that_ends_early_is_an_integrity_error(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(206, A[5:7], {"Content-Range": f"bytes 5-8/{SIZE}"}, length=False)

    store, _ = opened(site(answer))
    with pytest.raises(IntegrityError), store.get_data_range("a.txt", 5, 9) as stream:
        stream.read()


@pytest.mark.parametrize(("start", "end"), [(0, 5), (None, None), (-5, None), (3, 1), (7, 7)])
def test_c9_an_empty_range_makes_no_request(
    opened: Opened, start: int | None, end: int | None
) -> None:
    files = {"index.json": index_of({"empty": b""}), "data/empty": b""}
    store, server = opened(serve_files(files))
    before = len(server.requests)
    with store.get_data_range("empty", start, end) as stream:
        assert stream.read() == b""
    assert len(server.requests) == before


def test_c10_a_404_for_a_key_in_the_index_says_that_the_index_is_older(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    store, server = opened(site(lambda request, wire: wire.response(404)))
    with pytest.raises(HTTPStatusError, match="older") as caught:
        read(store, tmp_path)
    assert (caught.value.status, caught.value.key) == (404, "a.txt")
    assert caught.value.url == f"{server.url}data/a.txt"
    assert list(tmp_path.iterdir()) == []


def test_c11_a_503_with_retry_after_is_retried(opened: Opened, good: Files) -> None:
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        if len(seen) == 1:
            return wire.response(503, headers={"Retry-After": "0"})
        return good(request, wire)

    store, _ = opened(site(answer), retries=1)
    assert store.to_bytes("a.txt") == A


def test_c12_a_connection_closed_while_idle_is_replaced_immediately(
    opened: Opened, good: Files
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.number == 1:
            return wire.close()  # as if it had been closed before the request arrived
        return good(request, wire)

    store, server = opened(answer, retries=1)
    assert store.to_bytes("a.txt") == A
    assert [request.number for request in server.requests] == [0, 1, 2]


def test_c13_a_value_slower_than_the_minimum_rate_is_a_timeout(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        wire.drip(A)

    store, _ = opened(site(answer), timeout=(5, 0.3), min_rate=10_000)
    with pytest.raises(TransportTimeout):
        store.to_bytes("a.txt")


def test_c13_a_slow_reader_does_not_count_as_a_slow_host(opened: Opened, good: Files) -> None:
    store, _ = opened(good, timeout=(5, 0.3), min_rate=1e9)
    with store.get_data("a.txt") as stream:
        assert stream.read(10) + stream.read() == A


def test_c14_a_value_replaced_while_it_is_read_is_an_integrity_error(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    other = b"x" * SIZE

    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, A[:500] + other[500:])

    store, _ = opened(site(answer))
    with pytest.raises(IntegrityError):
        read(store, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("start", "end"), [(-7, None), (-7, -3), (5, -5), (None, -990), (-2000, 3), (5, 3)]
)
def test_a_range_from_the_end_is_right_although_the_size_is_unknown(
    opened: Opened, start: int | None, end: int | None
) -> None:
    store, _ = opened(site(unmeasured(A), index=b'{"a.txt": {}}'))
    with store.get_data_range("a.txt", start, end) as stream:
        assert stream.read() == A[start:end]


def test_a_failed_range_from_the_end_leaves_nothing_open(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.method == "HEAD":
            return wire.response(200, length=False)
        return wire.response(500)

    store, _ = opened(site(answer, index=b'{"a.txt": {}}'))
    with pytest.raises(HTTPStatusError):
        store.get_data_range("a.txt", -5)


def test_a_range_beyond_the_end_is_empty_although_the_size_is_unknown(opened: Opened) -> None:
    store, _ = opened(site(unmeasured(A), index=b'{"a.txt": {}}'))
    with store.get_data_range("a.txt", SIZE + 5, SIZE + 9) as stream:
        assert stream.read() == b""


def test_a_connection_that_breaks_before_the_range_begins_is_a_transport_error(
    opened: Opened,
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + A[:10])
        wire.reset()

    store, _ = opened(site(answer))
    with pytest.raises(TransportError), store.get_data_range("a.txt", 500, 600) as stream:
        stream.read()


def test_c1_a_host_without_ranges_that_breaks_repeatedly_is_read_to_the_end(
    opened: Opened, read: Read, tmp_path: Path
) -> None:
    tag = hashlib.sha256(A).hexdigest()[:16]
    reach = iter([100, 50, 300, SIZE])  # the second time less far than the first

    def answer(request: Request, wire: Wire) -> None:
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\nETag: "{tag}"\r\n\r\n'
        wire.send(head.encode() + A[: next(reach)])
        wire.close()

    store, _ = opened(site(answer), retries=4)
    assert read(store, tmp_path) == A


def test_a_closed_stream_cannot_be_read(opened: Opened, good: Files) -> None:
    store, _ = opened(good)
    stream = store.get_data("a.txt")
    stream.close()
    stream.close()
    with pytest.raises(ValueError, match="closed"):
        stream.read()


def test_data_is_a_single_stream_until_it_is_closed(opened: Opened, good: Files) -> None:
    store, _ = opened(good)
    value = store["a.txt"]
    assert value.data is value.data
    value.data.close()
    with value as again:
        assert again.read() == A


def test_a_broken_stream_stays_broken(opened: Opened) -> None:
    def breaks(request: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n".encode() + A[:100])
        wire.reset()

    store, _ = opened(site(breaks, index=b'{"a.txt": {}}'))
    with store.get_data("a.txt") as stream:
        for _ in range(2):
            with pytest.raises(TransportError):
                stream.read()
