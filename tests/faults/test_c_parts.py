"""FAULTS C: answers to requests for parts of a value, for every way to request them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Sequence
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
from tests.faults.conftest import Opened, files_of
from tests.servers import Answer, Files, Nginx, Request, Squid, Wire, serve_files
from tests.sites import index_of, write_site

BIG = bytes(range(251)) * 2000  # half a megabyte, so that parts can be far from each other
SIZE = len(BIG)
VALUES = {"a.txt": BIG, "b.txt": b"second"}
TAG = f'"{hashlib.sha256(BIG).hexdigest()[:16]}"'

Parts = Sequence[tuple[int, int]]
Read = Callable[[StaticStore, Parts], list[bytes]]

FAR_APART = [(400_000, 400_100), (5, 9), (200_000, 200_500)]
ONE = [(100_000, 100_400)]


def _ranges(store: StaticStore, parts: Parts) -> list[bytes]:
    found = []
    for start, end in parts:
        with store.get_data_range("a.txt", start, end) as stream:
            found.append(stream.read())
    return found


def _opened(store: StaticStore, parts: Parts) -> list[bytes]:
    found = []
    with store["a.txt"].open() as file:
        for start, end in parts:
            file.seek(start)
            found.append(file.read(end - start))
    return found


def _get_ranges(engine: str) -> Read:
    def read(store: StaticStore, parts: Parts) -> list[bytes]:
        with sending_by(engine):
            return store.get_ranges("a.txt", parts)

    return read


WAYS: dict[str, Read] = {
    "range": _ranges,
    "open": _opened,
    **{f"get_ranges by {engine}": _get_ranges(engine) for engine in ENGINES},
}


@pytest.fixture(params=WAYS)
def read(request: pytest.FixtureRequest) -> Read:
    """Each way to read parts of a value."""
    return WAYS[request.param]


def right(parts: Parts) -> list[bytes]:
    return [BIG[start:end] for start, end in parts]


def site(answer: Answer, **options: Any) -> Files:
    """Serve the site, but answer requests for one value with a script."""
    return serve_files(files_of(VALUES), **options).but({"data/a.txt": answer})


@pytest.fixture
def good() -> Files:
    return serve_files(files_of(VALUES))


def part(request: Request, body: bytes | None = None, **fields: str) -> tuple[bytes, bytes]:
    """Return head and body of a good answer to a request for a part, or with another body."""
    start, end = request.range or (0, SIZE)
    assert end is not None
    fields = {
        "Content-Range": f"bytes {start}-{end - 1}/{SIZE}",
        "Content-Length": str(end - start),
        "ETag": TAG,
        **fields,
    }
    lines = ["HTTP/1.1 206 Partial Content", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode(), BIG[start:end] if body is None else body


def once(spoiled: Answer, good: Files) -> Answer:
    """Answer the first request for the value with another script."""
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        return spoiled(request, wire) if len(seen) == 1 else good(request, wire)

    return answer


def test_parts_are_right(opened: Opened, good: Files, read: Read) -> None:
    store, _ = opened(good)
    assert read(store, FAR_APART) == right(FAR_APART)


@pytest.mark.parametrize("how", ["reset", "close", "stall"])
@pytest.mark.parametrize("at", [0, 1, 399])
def test_c1_a_part_that_breaks_off_is_resumed(
    opened: Opened, good: Files, read: Read, at: int, how: str
) -> None:
    def breaks(request: Request, wire: Wire) -> None:
        head, body = part(request)
        wire.send(head + body[:at])
        {"reset": wire.reset, "close": wire.close, "stall": wire.stall}[how]()

    store, _ = opened(site(once(breaks, good)), retries=2, timeout=(5, 0.2))
    assert read(store, ONE) == right(ONE)


def test_c1_a_part_that_always_breaks_off_is_a_transport_error(opened: Opened, read: Read) -> None:
    def breaks(request: Request, wire: Wire) -> None:
        head, body = part(request)
        wire.send(head + body[:10])
        wire.reset()

    store, server = opened(site(breaks), retries=2)
    with pytest.raises(TransportError) as caught:
        read(store, ONE)
    assert caught.value.key == "a.txt"
    assert len(server.requests) < 20


def test_c2_a_truncated_part_without_a_length_is_an_error(opened: Opened, read: Read) -> None:
    def cut(request: Request, wire: Wire) -> None:
        head, body = part(request)
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        wire.send(b"\r\n".join(lines) + body[:10])
        wire.close()

    store, _ = opened(site(cut))
    with pytest.raises((IntegrityError, TransportError)):
        read(store, ONE)


def test_c2_a_truncated_whole_instead_of_a_part_is_an_error(opened: Opened, read: Read) -> None:
    store, _ = opened(site(lambda request, wire: wire.response(200, BIG[:50_000], length=False)))
    with pytest.raises(IntegrityError):
        read(store, ONE)


def test_c3_parts_of_a_longer_value_are_an_integrity_error(opened: Opened, read: Read) -> None:
    longer = {**files_of(VALUES), "data/a.txt": BIG + b"!", "index.json": index_of(VALUES)}
    store, _ = opened(serve_files(longer))
    with pytest.raises(IntegrityError) as caught:
        read(store, ONE)
    assert (caught.value.expected, caught.value.actual) == (SIZE, SIZE + 1)


def test_c4_parts_are_requested_without_a_content_coding(
    opened: Opened, good: Files, read: Read
) -> None:
    store, server = opened(good)
    read(store, ONE)
    assert server.requests[-1].headers["Accept-Encoding"] == "identity"


def test_c4_an_encoded_206_is_refused_and_the_whole_requested(
    opened: Opened, good: Files, read: Read
) -> None:
    coded = gzip.compress(BIG) * 1000

    def answer(request: Request, wire: Wire) -> None:
        if request.range is None:
            return good(request, wire)
        start, end = request.range
        head, body = part(request, coded[start:end], **{"Content-Encoding": "gzip"})
        return wire.send(head + body)

    store, _ = opened(site(answer))
    assert read(store, FAR_APART) == right(FAR_APART)


def test_c4_parts_are_right_from_a_host_that_compresses_instead_of_serving_parts(
    opened: Opened, read: Read
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, gzip.compress(BIG), {"Content-Encoding": "gzip"})

    store, _ = opened(site(answer))
    assert read(store, FAR_APART) == right(FAR_APART)


def test_c5_parts_are_right_from_a_host_without_ranges(opened: Opened, read: Read) -> None:
    store, _ = opened(serve_files(files_of(VALUES), ranges=False))
    assert read(store, FAR_APART) == right(FAR_APART)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "range"])
def test_c5_a_host_without_ranges_is_read_whole_at_most_once(opened: Opened, way: str) -> None:
    """The first answers show that ranges are ignored, and are not read to their end."""
    store, server = opened(serve_files(files_of(VALUES), ranges=False))
    parts = [(start, start + 10) for start in range(0, SIZE, 20_000)]
    assert WAYS[way](store, parts) == right(parts)
    whole = [request for request in server.requests if "data" in request.path]
    assert len([request for request in whole if request.range is None]) == 1


LIES = {
    "another start": {"Content-Range": f"bytes 0-399/{SIZE}"},
    "another end": {"Content-Range": f"bytes 100000-100499/{SIZE}"},
    "another total": {"Content-Range": "bytes 100000-100399/200000"},
    "no Content-Range": {"Content-Range": ""},
    "nonsense": {"Content-Range": "bytes five to nine"},
    "another unit": {"Content-Range": f"items 100000-100399/{SIZE}"},
    "multipart": {"Content-Range": "", "Content-Type": "multipart/byteranges; boundary=x"},
    "another length": {"Content-Length": "3"},
}


@pytest.mark.parametrize("fields", LIES.values(), ids=LIES)
def test_c6_a_206_with_another_range_is_not_accepted(
    opened: Opened, good: Files, read: Read, fields: dict[str, str]
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        if request.range is None:
            return good(request, wire)
        head, body = part(request, b"?" * 400, **{"Connection": "close", **fields})
        wire.send(head + body)
        return wire.close()

    store, server = opened(site(answer))
    assert read(store, ONE) == right(ONE)
    assert server.requests[-1].range is None


@pytest.mark.parametrize("way", [way for way in WAYS if way != "range"])
def test_c7_parts_of_two_versions_are_an_integrity_error(opened: Opened, way: str) -> None:
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        head, body = part(request, ETag=f'"{len(seen)}"')
        wire.send(head + body)

    store, _ = opened(site(answer))
    with pytest.raises(IntegrityError, match="replaced"):
        WAYS[way](store, FAR_APART)


@pytest.mark.parametrize("engine", ENGINES)
def test_c7_parts_of_two_versions_are_requested_once_more(
    opened: Opened, good: Files, engine: str
) -> None:
    def older(request: Request, wire: Wire) -> None:
        head, body = part(request, b"?" * 100, ETag='"older"', **{"Content-Length": "100"})
        wire.send(head + body)

    parts = [(0, 100), (400_000, 400_100)]
    store, _ = opened(site(once(older, good)))
    with sending_by(engine):
        assert store.get_ranges("a.txt", parts) == right(parts)


def test_c9_no_part_of_an_empty_value_makes_a_request(opened: Opened, read: Read) -> None:
    store, server = opened(serve_files(files_of({"a.txt": b""})))
    before = len(server.requests)
    assert read(store, [(0, 5), (3, 9)]) == [b"", b""]
    assert len(server.requests) == before


def test_c10_a_404_says_that_the_index_is_older(opened: Opened, read: Read) -> None:
    store, _ = opened(site(lambda request, wire: wire.response(404)))
    with pytest.raises(HTTPStatusError, match="older") as caught:
        read(store, ONE)
    assert (caught.value.status, caught.value.key) == (404, "a.txt")


def test_c11_a_503_with_retry_after_is_retried(opened: Opened, good: Files, read: Read) -> None:
    def busy(request: Request, wire: Wire) -> None:
        wire.response(503, headers={"Retry-After": "0"})

    store, _ = opened(site(once(busy, good)), retries=1)
    assert read(store, ONE) == right(ONE)


def test_c12_a_connection_closed_while_idle_is_replaced(
    opened: Opened, good: Files, read: Read
) -> None:
    store, _ = opened(site(once(lambda request, wire: wire.close(), good)), retries=1)
    assert read(store, ONE) == right(ONE)


def test_c13_a_part_slower_than_the_minimum_rate_is_a_timeout(opened: Opened, read: Read) -> None:
    def drips(request: Request, wire: Wire) -> None:
        head, body = part(request)
        wire.send(head)
        wire.drip(body)

    store, _ = opened(site(drips), timeout=(5, 0.3), min_rate=100_000)
    with pytest.raises(TransportTimeout):
        read(store, ONE)


def test_c14_a_value_replaced_between_two_parts_is_an_integrity_error(opened: Opened) -> None:
    files = files_of(VALUES)
    store, _ = opened(serve_files(files))
    with store["a.txt"].open() as file:
        assert file.read(4) == BIG[:4]
        files["data/a.txt"] = bytes(SIZE)
        file.seek(300_000)
        with pytest.raises(IntegrityError):
            file.read(4)


def test_a_size_beyond_any_memory_is_refused_immediately(opened: Opened) -> None:
    index = b'{"a.txt": {"size": %d}}' % (1 << 62)
    store, _ = opened(serve_files({"index.json": index, "data/a.txt": BIG}))
    ways: list[Callable[[], object]] = [
        lambda: store["a.txt"].read(),
        lambda: store["a.txt"].get_ranges([(0, None)]),
        lambda: store["a.txt"].open().read(),
        lambda: store["a.txt"].range().read(),
        lambda: list(store.read_many(["a.txt"])),
    ]
    for read in ways:
        with pytest.raises(IntegrityError):
            read()


# -- C15: an edge that serves an old value -------------------------------------------------

OLD = b"older" * 50


def _whole_by_range(read: Read) -> Callable[[StaticStore, Path], bytes]:
    return lambda store, folder: read(store, [(0, SIZE)])[0]


WHOLE: dict[str, Callable[[StaticStore, Path], bytes]] = {
    "read": lambda store, folder: store["a.txt"].read(),
    "to_file": lambda store, folder: _to_file(store, folder),
    **{way: _whole_by_range(read) for way, read in WAYS.items()},
    "read_many": lambda store, folder: next(iter(store.read_many(["a.txt"])))[1],
    "stream": lambda store, folder: store.get_data("a.txt").read(),
}


def _to_file(store: StaticStore, folder: Path) -> bytes:
    store.to_file("a.txt", folder / "copy")
    return (folder / "copy").read_bytes()


def edge(good: Files, *, only_query: bool) -> Answer:
    """Serve the old value to requests that do not bypass the cache."""
    old = serve_files({"data/a.txt": OLD})

    def answer(request: Request, wire: Wire) -> None:
        insists = request.headers.get("Cache-Control") == "no-cache" and not only_query
        by_digest = request.target.endswith(f"?sha256={hashlib.sha256(BIG).hexdigest()}")
        return (good if insists or by_digest else old)(request, wire)

    return answer


@pytest.mark.parametrize("only_query", [False, True])
@pytest.mark.parametrize("way", WHOLE)
def test_c15_an_edge_with_an_old_value_is_bypassed(
    opened: Opened, good: Files, tmp_path: Path, way: str, only_query: bool
) -> None:
    store, _ = opened(site(edge(good, only_query=only_query)))
    assert WHOLE[way](store, tmp_path) == BIG


@pytest.mark.parametrize("way", WHOLE)
def test_c15_a_persistent_old_value_is_an_integrity_error(
    opened: Opened, tmp_path: Path, way: str
) -> None:
    store, server = opened(site(serve_files({"data/a.txt": OLD})))
    before = len(server.requests)
    with pytest.raises(IntegrityError):
        WHOLE[way](store, tmp_path)
    assert len(server.requests) - before <= 8
    assert list(tmp_path.iterdir()) == []


def test_c15_a_root_with_a_query_gets_no_second_query(opened: Opened, good: Files) -> None:
    _, server = opened(site(serve_files({"data/a.txt": OLD})))
    with (
        StaticStore(f"{server.url}?sig=sesame", poll_interval=0) as store,
        pytest.raises(IntegrityError),
    ):
        store.to_bytes("a.txt")
    assert {request.target.partition("?")[2] for request in server.requests[1:]} == {"sig=sesame"}


EDGE = 'location ~ ^/data/ { add_header Cache-Control "max-age=3600"; }'


@pytest.mark.parametrize("way", WHOLE)
def test_c15_it_works_with_a_caching_proxy(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    write_site(folder, {"a.txt": OLD})
    with (
        Nginx(folder, extra=EDGE) as nginx,
        Squid(caches=True) as squid,
    ):
        options: dict[str, Any] = {"proxies": {"http": squid.url}, "retries": 0}
        with StaticStore(nginx.url, poll_interval=0).connect(**options) as store:
            assert store.to_bytes("a.txt") == OLD
        write_site(folder, {"a.txt": BIG})
        with StaticStore(nginx.url, poll_interval=0).connect(**options) as store:
            assert store["a.txt"].size == SIZE
            assert WHOLE[way](store, tmp_path) == BIG
