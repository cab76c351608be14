"""FAULTS C15 to C22: hosts that refuse, mislabel or misframe; for every way to read a value."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    IntegrityError,
    StaticStore,
    StoreError,
    TransportError,
)
from tests.engines import ENGINES, sending_by
from tests.faults.conftest import Opened, files_of
from tests.servers import Answer, Files, Request, Wire, serve_files
from tests.sites import entry, index_of

A = bytes(range(251)) * 40
SIZE = len(A)
SHA256 = hashlib.sha256(A).hexdigest()

Read = Callable[[StaticStore, Path], bytes]


def _to_file(store: StaticStore, folder: Path) -> bytes:
    store.to_file("a", folder / "copy")
    return (folder / "copy").read_bytes()


def _stream(store: StaticStore, folder: Path) -> bytes:
    with store.get_data("a") as stream:
        return b"".join(iter(lambda: stream.read(64), b""))


def _range(start: int | None, end: int | None) -> Read:
    def read(store: StaticStore, folder: Path) -> bytes:
        with store.get_data_range("a", start, end) as stream:
            return stream.read()

    return read


def _read_many(engine: str) -> Read:
    def read(store: StaticStore, folder: Path) -> bytes:
        with sending_by(engine):
            ((_, data),) = store.read_many(["a"])
        return data

    return read


def _get_ranges(engine: str, *ranges: tuple[int | None, int | None]) -> Read:
    def read(store: StaticStore, folder: Path) -> bytes:
        with sending_by(engine):
            return b"".join(store.get_ranges("a", ranges))

    return read


#: Ways to read all bytes of the value.
WHOLE: dict[str, Read] = {
    "read": lambda store, folder: store["a"].read(),
    "stream": _stream,
    "iterdata": lambda store, folder: b"".join(store["a"].iterdata(100)),
    "to_file": _to_file,
    "range of all": _range(None, None),
    "range to the size": _range(0, SIZE),
    "range beyond the end": _range(0, SIZE + 1000),
    **{f"read_many by {engine}": _read_many(engine) for engine in ENGINES},
    **{
        f"get_ranges of all by {engine}": _get_ranges(engine, (0, 10), (10, None))
        for engine in ENGINES
    },
}
#: Ways to read a part of it, and which part.
PARTS: dict[str, tuple[Read, bytes]] = {
    "range": (_range(100, 200), A[100:200]),
    "first bytes": (_range(0, 9), A[:9]),
    "from a byte on": (_range(4, None), A[4:]),
    "last bytes": (_range(-4, None), A[-4:]),
    **{
        f"get_ranges by {engine}": (
            _get_ranges(engine, (1, 3), (9000, 9010), (-4, None)),
            A[1:3] + A[9000:9010] + A[-4:],
        )
        for engine in ENGINES
    },
}
ALL = {**{name: (way, A) for name, way in WHOLE.items()}, **PARTS}


def wrong(store: StaticStore, folder: Path, ways: dict[str, tuple[Read, bytes]]) -> list[str]:
    """Return the ways that do not return the right bytes."""
    return [name for name, (read, right) in ways.items() if read(store, folder) != right]


def outcomes(
    store: StaticStore, folder: Path, ways: Iterable[str]
) -> dict[str, type[StoreError] | None]:
    """Return what each way raises."""
    found: dict[str, type[StoreError] | None] = {}
    for name in ways:
        found[name] = None
        try:
            ALL[name][0](store, folder)
        except StoreError as error:
            found[name] = type(error)
    return found


@pytest.fixture
def good() -> Files:
    return serve_files(files_of({"a": A}))


def site(answer: Answer, *, fields: dict[str, Any] | None = None) -> Files:
    """Serve the site, but answer requests for the value with a script."""
    files = files_of({"a": A})
    if fields is not None:
        files["index.json"] = json.dumps({"a": fields}).encode()
    return serve_files(files).but({"data/a": answer})


# -- C15: refusals and old values in caches -------------------------------------------------


def refusal_in_a_cache(good: Files, status: int, *, only_query: bool) -> Answer:
    """Refuse requests that do not bypass the cache."""

    def answer(request: Request, wire: Wire) -> None:
        insists = request.headers.get("Cache-Control") == "no-cache" and not only_query
        if insists or request.target.endswith(f"?sha256={SHA256}"):
            return good(request, wire)
        return wire.response(status, headers={"Age": "30"})

    return answer


@pytest.mark.parametrize("only_query", [False, True])
@pytest.mark.parametrize("status", [403, 404, 410])
def test_c15_a_refusal_in_a_cache_is_bypassed(
    opened: Opened,
    good: Files,
    tmp_path: Path,
    status: int,
    only_query: bool,
) -> None:
    store, _ = opened(site(refusal_in_a_cache(good, status, only_query=only_query)))
    assert wrong(store, tmp_path, ALL) == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_c15_if_the_refusal_persists_the_first_error_is_raised(
    opened: Opened, tmp_path: Path, status: int
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        is_first = "Cache-Control" not in request.headers
        wire.response(status if is_first else 500)

    store, _ = opened(site(answer))
    for read in WHOLE.values():
        with pytest.raises(HTTPStatusError) as caught:
            read(store, tmp_path)
        assert caught.value.status == status


# -- C16: HEAD is a hint ------------------------------------------------------------------


def head(**fields: str) -> Answer:
    return lambda request, wire: wire.response(200, b"", fields)


HEADS: dict[str, Answer] = {
    "0": head(**{"Content-Length": "0"}),
    "nothing": lambda request, wire: wire.response(200, b"", length=False),
    **{
        f"{status}": lambda request, wire, status=status: wire.response(status)  # type: ignore[misc]
        for status in (400, 403, 404, 405, 410, 429, 500, 501, 503)
    },
    "closes": lambda request, wire: wire.close(),
    "resets": lambda request, wire: wire.reset(),
    "nonsense": lambda request, wire: wire.send(b"SSH-2.0-OpenSSH\r\n"),
}
FALSE_HEADS: dict[str, Answer] = {
    "too little": head(**{"Content-Length": "5"}),
    "too much": head(**{"Content-Length": "99999"}),
    "encoded": head(**{"Content-Length": "7", "Content-Encoding": "gzip"}),
}


EVERY_HEAD = [*HEADS, *FALSE_HEADS]


def heads(good: Files, answer: Answer) -> Answer:
    return lambda request, wire: (answer if request.method == "HEAD" else good)(request, wire)


@pytest.mark.parametrize("answer", [*HEADS.values(), *FALSE_HEADS.values()], ids=EVERY_HEAD)
@pytest.mark.parametrize("fields", [{}, {"sha256": SHA256}], ids=["unknown", "digest"])
def test_c16_parts_do_not_depend_on_a_head_request(
    opened: Opened,
    good: Files,
    tmp_path: Path,
    answer: Answer,
    fields: dict[str, str],
) -> None:
    store, _ = opened(site(heads(good, answer), fields=fields))
    assert wrong(store, tmp_path, PARTS) == []


@pytest.mark.parametrize("answer", HEADS.values(), ids=HEADS)
def test_c16_facts_missing_from_a_head_response_come_from_a_get(
    opened: Opened, good: Files, answer: Answer
) -> None:
    store, _ = opened(site(heads(good, answer), fields={}))
    assert store["a"].size == SIZE


@pytest.mark.parametrize("name", [name for name in HEADS if name not in ("0", "nothing")])
def test_c16_after_a_refused_head_request_facts_come_from_a_get(
    opened: Opened, good: Files, name: str
) -> None:
    store, _ = opened(site(heads(good, HEADS[name]), fields={}))
    value = store["a"]
    assert value.etag == f'"{SHA256[:16]}"'
    assert value.modified is not None
    assert value.media_type == "application/octet-stream"


def test_c16_a_response_that_was_read_outweighs_a_head_response(
    opened: Opened, good: Files
) -> None:
    store, _ = opened(site(heads(good, FALSE_HEADS["too little"]), fields={}))
    value = store["a"]
    value.range(0, 4).close()
    assert value.size == SIZE


def test_c16_an_empty_value_is_empty(opened: Opened) -> None:
    files = {"index.json": b'{"a": {}}', "data/a": b""}
    store, _ = opened(serve_files(files))
    assert (store["a"].size, store["a"].range(-4).read()) == (0, b"")
    assert store["a"].media_type == "application/octet-stream"


# -- C17: a refused range -----------------------------------------------------------------

REFUSALS = [400, 403, 404, 405, 406, 412, 416, 417, 431, 501]


def without_ranges(good: Files, status: int, field: str = "Range") -> Answer:
    """Refuse every request with a field."""

    def answer(request: Request, wire: Wire) -> None:
        if field in request.headers:
            return wire.response(status, b"<html>no</html>")
        return good(request, wire)

    return answer


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("fields", [entry(A), {}], ids=["known", "unknown"])
def test_c17_if_a_range_is_refused_parts_come_from_the_whole(
    opened: Opened,
    good: Files,
    tmp_path: Path,
    status: int,
    fields: dict[str, Any],
) -> None:
    store, _ = opened(site(without_ranges(good, status), fields=fields))
    assert wrong(store, tmp_path, PARTS) == []


def test_c17_after_repeated_failures_of_a_range_the_whole_is_requested(
    opened: Opened, good: Files, tmp_path: Path
) -> None:
    store, server = opened(site(without_ranges(good, 502)), retries=1)
    for _ in range(2):  # a part is requested again, since the failure may be temporary
        assert _range(3, 9)(store, tmp_path) == A[3:9]
    assert ["Range" in one.headers for one in server.requests[1:]] == [True, True, False] * 2


def test_c17_a_host_that_refuses_ranges_is_asked_for_one_only_once(
    opened: Opened, good: Files, tmp_path: Path
) -> None:
    store, server = opened(site(without_ranges(good, 403)))
    for _ in range(5):
        assert _range(3, 9)(store, tmp_path) == A[3:9]
    assert len([one for one in server.requests if "Range" in one.headers]) == 1


def test_c17_an_error_for_a_plain_request_is_raised(opened: Opened, tmp_path: Path) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(405 if "Range" in request.headers else 403)

    store, server = opened(site(answer))
    with pytest.raises(AuthorizationError):
        _range(3, 9)(store, tmp_path)
    with pytest.raises(AuthorizationError):  # and nothing was concluded about ranges
        _range(3, 9)(store, tmp_path)
    assert "Range" in server.requests[-2].headers


@pytest.mark.parametrize("status", [403, 412])
@pytest.mark.parametrize("field", ["Range", "If-Range"])
@pytest.mark.parametrize("way", ["read", "stream", "to_file", "range of all"])
def test_c17_a_broken_read_continues_even_if_ranges_are_refused(
    opened: Opened, good: Files, tmp_path: Path, way: str, status: int, field: str
) -> None:
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        if "Range" not in request.headers:
            seen.append(request)
            if len(seen) == 1:
                fields = f'Content-Length: {SIZE}\r\nETag: "{SHA256[:16]}"'
                wire.send(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + A[:3000])
                return wire.reset()
        return without_ranges(good, status, field)(request, wire)

    store, _ = opened(site(answer), retries=1)
    assert WHOLE[way](store, tmp_path) == A


@pytest.mark.parametrize("status", [400, 403, 405, 406, 412, 417, 431, 501])
def test_c17_a_poll_repeats_a_refused_conditional_request_without_the_condition(
    opened: Opened, status: int
) -> None:
    files = files_of({"a": A})
    good = serve_files(files)

    def answer(request: Request, wire: Wire) -> None:
        if "If-None-Match" in request.headers:
            return wire.response(status)
        return good(request, wire)

    store, _ = opened(good.but({"index.json": answer}))
    files["index.json"] = index_of({"a": A, "b": b""})
    assert len(store.update_index()) == 1


# -- C18: heads of responses --------------------------------------------------------------


def framed(*lines: str | bytes, interim: bytes = b"") -> Answer:
    """Answer any request with the whole value below these lines."""
    head = [line if isinstance(line, bytes) else line.encode() for line in lines]
    return lambda request, wire: wire.send(
        interim + b"\r\n".join([b"HTTP/1.1 200 OK", *head, b"", b""]) + A
    )


LENGTH = f"Content-Length: {SIZE}"
ODD_HEADS: dict[str, Answer] = {
    "100": framed(LENGTH, interim=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "102": framed(LENGTH, interim=b"HTTP/1.1 102 Processing\r\n\r\n" * 20),
    "103": framed(
        LENGTH,
        interim=b'HTTP/1.1 103 Early Hints\r\nContent-Encoding: br\r\nETag: "x"\r\n'
        b"Content-Length: 5\r\n\r\n",
    ),
    "a line without a colon": framed("preload", LENGTH),
    "a space in a name": framed("Content Security Policy: default-src", LENGTH),
    "no name": framed(": x", LENGTH),
    "a line broken in two": framed("X-Policy: default-src;", "script-src 'self'", LENGTH),
    "a folded line": framed("X-Policy: default-src;", "\tscript-src 'self'", LENGTH),
    "a folded first line": framed(" x", LENGTH),
    "a bare CR": framed("X-Note: one\rtwo", LENGTH),
    "a NUL": framed("X-Note: one\0two", LENGTH),
    "Latin-1": framed(b"X-Name: \xe9", LENGTH),
    "a space before a colon": framed(f"Content-Length : {SIZE}"),
    "equal lengths in one field": framed(f"Content-Length: {SIZE}, {SIZE}"),
    "equal lengths in two fields": framed(LENGTH, f"content-length: 0{SIZE}"),
    "many fields": framed(*(f"X-Debug-{number}: y" for number in range(400)), LENGTH),
    "a long field": framed(f"X-Debug: {'y' * 60_000}", LENGTH),
    "identity": framed("Transfer-Encoding: identity", LENGTH),
}


@pytest.mark.parametrize("answer", ODD_HEADS.values(), ids=ODD_HEADS)
def test_c18_an_unusual_head_is_accepted(opened: Opened, tmp_path: Path, answer: Answer) -> None:
    store, _ = opened(site(answer))
    assert wrong(store, tmp_path, ALL) == []


UNREADABLE: dict[str, Answer] = {
    "two lengths": framed(f"Content-Length: {SIZE}, {SIZE + 1}"),
    "two lengths in two fields": framed(LENGTH, "Content-Length: 5"),
    "no number": framed("Content-Length: five"),
    "a negative number": framed("Content-Length: -5"),
    "no colon after the length": framed(f"Content-Length {SIZE}"),
    "another transfer coding": framed("Transfer-Encoding: gzip, chunked"),
    "endless fields": framed(*(f"X-{number}: y" for number in range(5000)), LENGTH),
    "endless bytes of fields": framed(*["X: " + "y" * 60_000] * 20, LENGTH),
    "an endless line": framed("X: " + "y" * 100_000, LENGTH),
    "endless interim answers": framed(LENGTH, interim=b"HTTP/1.1 102 Processing\r\n\r\n" * 200),
    "no HTTP": lambda request, wire: wire.send(b"SSH-2.0-OpenSSH_9.2p1\r\n" * 10),
    "no status": lambda request, wire: wire.send(b"HTTP/1.1 OK\r\n\r\n"),
    "HTTP/2": lambda request, wire: wire.send(b"HTTP/2 200 OK\r\n\r\n"),
}


@pytest.mark.parametrize("answer", UNREADABLE.values(), ids=UNREADABLE)
def test_c18_an_invalid_head_is_a_clear_error_without_a_retry(
    opened: Opened, answer: Answer
) -> None:
    store, server = opened(site(answer), retries=4)
    before = len(server.requests)
    with pytest.raises(TransportError, match=r"header field|transfer coding|interim|HTTP/1"):
        store["a"].read()
    # The second time on a new connection, since an earlier answer might have had more bytes.
    assert len(server.requests) - before <= 2


def test_c18_a_truncated_head_is_not_taken_for_a_complete_one(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Le")
        wire.close()

    store, _ = opened(site(answer, fields={}))
    with pytest.raises(TransportError, match="header fields"):
        store["a"].read()


# -- C19: Content-Encoding ----------------------------------------------------------------

LABELS = ["aws-chunked", "UTF-8", "none", "identity, identity", "br", "zstd", "gzip", "deflate"]


def labeled(label: str, body: bytes, *, length: bool = True) -> Answer:
    return lambda request, wire: wire.response(
        200, body, {"Content-Encoding": label}, length=length
    )


@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
@pytest.mark.parametrize("label", [*LABELS, "gzip, gzip", "aws-chunked,gzip"])
def test_c19_a_wrong_label_on_plain_bytes_is_ignored_if_the_digest_matches(
    opened: Opened, tmp_path: Path, label: str, length: bool
) -> None:
    store, _ = opened(site(labeled(label, A, length=length)))
    assert wrong(store, tmp_path, ALL) == []


def raw_deflate(text: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(text) + coder.flush()


CODED = {
    "gzip": ("gzip", gzip.compress(A)),
    "x-gzip": ("X-GZip", gzip.compress(A)),
    "two members": ("gzip", gzip.compress(A[:9]) + gzip.compress(A[9:])),
    "padded": ("gzip", gzip.compress(A) + b"\0" * 20),
    "zlib": ("deflate", zlib.compress(A)),
    "raw deflate": ("deflate", raw_deflate(A)),
    "twice": ("gzip, gzip", gzip.compress(gzip.compress(A))),
    "twice by a label": ("gzip, deflate", zlib.compress(gzip.compress(A))),
    "once, labeled twice": ("gzip, gzip", gzip.compress(A)),
    "with identity": ("identity, gzip", gzip.compress(A)),
    "with a charset": ("gzip, utf-8", gzip.compress(A)),
}
FIELDS = {
    "all known": entry(A),
    "digest": {"sha256": SHA256},
    "size": {"size": SIZE},
    "nothing": {},
}


@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize(("label", "body"), CODED.values(), ids=CODED)
def test_c19_an_encoded_value_is_decoded(
    opened: Opened, tmp_path: Path, label: str, body: bytes, fields: dict[str, Any], length: bool
) -> None:
    store, _ = opened(site(labeled(label, body, length=length), fields=fields))
    for name in ("read", "stream", "to_file", "range of all", "get_ranges of all by threads"):
        assert WHOLE[name](store, tmp_path) == A
    assert PARTS["last bytes"][0](store, tmp_path) == A[-4:]


@pytest.mark.parametrize("label", ["gzip", "deflate", "gzip, gzip"])
def test_c19_without_size_and_digest_a_wrong_label_on_plain_bytes_is_ignored(
    opened: Opened, tmp_path: Path, label: str
) -> None:
    plain = b'{"json": "that no coding begins with"}' * 50
    files = {"index.json": b'{"a": {}}', "data/a": plain}
    store, _ = opened(serve_files(files).but({"data/a": labeled(label, plain)}))
    assert wrong(store, tmp_path, {name: (read, plain) for name, read in WHOLE.items()}) == []


@pytest.mark.parametrize("label", ["br", "zstd", "compress", "gzip, br"])
def test_c19_without_size_and_digest_data_that_cannot_be_decoded_is_an_error(
    opened: Opened, tmp_path: Path, label: str
) -> None:
    store, _ = opened(site(labeled(label, A), fields={}))
    with pytest.raises(TransportError, match="not asked for"):
        store["a"].read()


@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
@pytest.mark.parametrize("is_coded_again", [False, True])
def test_c19_a_gzip_file_is_not_decompressed(
    opened: Opened, tmp_path: Path, is_coded_again: bool, length: bool
) -> None:
    packed = gzip.compress(A, mtime=0)
    sent = gzip.compress(packed) if is_coded_again else packed
    good = serve_files(files_of({"a": packed}))
    store, _ = opened(good.but({"data/a": labeled("gzip", sent, length=length)}))
    assert len(packed) < SIZE  # so that every way reads all of it
    assert wrong(store, tmp_path, {name: (read, packed) for name, read in WHOLE.items()}) == []


def as_long_as_its_gzip() -> tuple[bytes, bytes]:
    for number in range(10_000):
        value = b"%d,lake\n" % number * (3 + number % 5)
        value += hashlib.sha256(b"%d" % number).hexdigest()[: number % 30].encode()
        coded = gzip.compress(value, 6, mtime=0)
        if len(coded) == len(value):
            return value, coded
    raise AssertionError("there is none")


@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
def test_c19_a_large_value_is_decoded(opened: Opened, tmp_path: Path, length: bool) -> None:
    large = A * 200
    answer = labeled("gzip", gzip.compress(large), length=length)
    store, _ = opened(serve_files(files_of({"a": large})).but({"data/a": answer}))
    whole = ["read", "stream", "iterdata", "to_file", "range of all"]
    assert wrong(store, tmp_path, {name: (WHOLE[name], large) for name in whole}) == []
    assert PARTS["last bytes"][0](store, tmp_path) == large[-4:]


@pytest.mark.parametrize("says", ["digest", "size", "nothing"])
def test_c19_a_value_whose_gzip_has_the_same_length_is_decoded(
    opened: Opened, tmp_path: Path, says: str
) -> None:
    value, coded = as_long_as_its_gzip()
    answer = labeled("gzip", coded)
    good = serve_files(files_of({"a": value})).but({"data/a": answer})
    fields = {"size": {"size": len(value)}, "nothing": {}}
    store, _ = opened(good if says == "digest" else site(answer, fields=fields[says]))
    assert wrong(store, tmp_path, {name: (read, value) for name, read in WHOLE.items()}) == []


@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
@pytest.mark.parametrize("value", [A[::-1], A[:100]], ids=["as long", "shorter"])
def test_c15_an_old_value_with_a_wrong_label_is_bypassed(
    opened: Opened, good: Files, tmp_path: Path, value: bytes, length: bool
) -> None:
    old = labeled("gzip", value, length=length)

    def answer(request: Request, wire: Wire) -> None:
        insists = request.headers.get("Cache-Control") == "no-cache"
        return (good if insists else old)(request, wire)

    store, _ = opened(site(answer))
    assert wrong(store, tmp_path, ALL) == []


def test_c19_endless_data_is_stopped(opened: Opened, tmp_path: Path) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        while True:
            wire.send(A)

    store, _ = opened(site(answer))
    assert outcomes(store, tmp_path, ["read"]) == {"read": IntegrityError}


@pytest.mark.parametrize("length", [True, False], ids=["length", "no length"])
@pytest.mark.parametrize("label", [*LABELS, "gzip, gzip"])
def test_c19_an_index_with_a_wrong_label_is_read(opened: Opened, label: str, length: bool) -> None:
    files = files_of({"a": A})
    answer = labeled(label, files["index.json"], length=length)
    store, _ = opened(serve_files(files).but({"index.json": answer}))
    assert list(store) == ["a"]


INDEX = index_of({"a": A, "b": A * 2})


@pytest.mark.parametrize(
    ("label", "body"),
    [
        ("gzip", gzip.compress(INDEX)),
        ("deflate", zlib.compress(INDEX)),
        ("deflate", raw_deflate(INDEX)),
        ("gzip, gzip", gzip.compress(gzip.compress(INDEX))),
        ("aws-chunked, gzip", gzip.compress(INDEX)),
    ],
)
def test_c19_an_encoded_index_is_decoded(opened: Opened, label: str, body: bytes) -> None:
    files = {"index.json": INDEX}
    store, _ = opened(serve_files(files).but({"index.json": labeled(label, body)}))
    assert list(store) == ["a", "b"]


# -- C20: reading all bytes verifies them --------------------------------------------------

PAGE = b"<!doctype html><title>Log in to the hotel's network</title>" * 200
OTHERS: dict[str, Answer] = {
    "a page of the right length": lambda request, wire: wire.response(200, PAGE[:SIZE]),
    "another version": lambda request, wire: wire.response(200, A[::-1]),
    "a page without a length": lambda request, wire: wire.response(200, PAGE, length=False),
    "a page in chunks": lambda request, wire: wire.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(PAGE), PAGE)
    ),
    "a page in gzip": labeled("gzip", gzip.compress(PAGE)),
    "a page of the right length by parts": serve_files({"data/a": PAGE[:SIZE]}),
}


@pytest.mark.parametrize("answer", list(OTHERS.values())[:-1], ids=list(OTHERS)[:-1])
def test_c20_no_byte_of_another_value_is_returned_from_whole_answers(
    opened: Opened, tmp_path: Path, answer: Answer
) -> None:
    store, _ = opened(site(answer))
    assert outcomes(store, tmp_path, ALL) == dict.fromkeys(ALL, IntegrityError)


def test_c20_all_parts_of_another_value_are_an_integrity_error(
    opened: Opened, tmp_path: Path
) -> None:
    store, _ = opened(site(OTHERS["a page of the right length by parts"]))
    assert outcomes(store, tmp_path, WHOLE) == dict.fromkeys(WHOLE, IntegrityError)


@pytest.mark.parametrize("engine", ENGINES)
def test_c20_ranges_in_any_order_that_cover_all_are_verified(opened: Opened, engine: str) -> None:
    store, _ = opened(site(serve_files({"data/a": PAGE[:SIZE]})))
    with sending_by(engine), pytest.raises(IntegrityError):
        store["a"].get_ranges([(5000, None), (0, 3000), (2000, 5000)], max_gap=0, max_size=1)


def test_c20_a_large_value_from_a_host_without_ranges_is_verified_at_its_end(
    opened: Opened, tmp_path: Path
) -> None:
    large = A * 200
    files = files_of({"a": large})
    other = large[:-1] + b"?"
    store, _ = opened(
        serve_files(files).but({"data/a": lambda request, wire: wire.response(200, other)})
    )
    got = b""
    with store.get_data_range("a", 4) as stream, pytest.raises(IntegrityError):
        while piece := stream.read(1 << 16):
            got += piece
    assert len(got) < len(large) - 4


# -- C21: two tags for the same bytes ------------------------------------------------------


def two_edges(good: Files) -> Answer:
    """Change the tag with each answer, and send the whole if the client has another one."""
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        start, end, _ = slice(*(request.range or (0, None))).indices(SIZE)
        fields = {"ETag": f'"{len(seen)}"'}
        if request.range is None or "If-Range" in request.headers:
            return wire.response(200, A, fields)
        fields["Content-Range"] = f"bytes {start}-{end - 1}/{SIZE}"
        return wire.response(206, A[start:end], fields)

    return answer


@pytest.mark.parametrize("engine", ENGINES)
def test_c21_parts_with_two_tags_come_from_the_whole_if_the_digest_matches(
    opened: Opened, good: Files, engine: str
) -> None:
    store, server = opened(site(two_edges(good)))
    parts = [(0, 9), (6000, 6009), (-3, None)]
    with sending_by(engine):
        assert store.get_ranges("a", parts) == [A[:9], A[6000:6009], A[-3:]]
    assert len([one for one in server.requests if one.range is None]) == 2  # the index, the whole


@pytest.mark.parametrize("engine", ENGINES)
def test_c21_parts_with_two_tags_are_an_integrity_error_without_a_digest(
    opened: Opened, good: Files, engine: str
) -> None:
    store, _ = opened(site(two_edges(good), fields={"size": SIZE}))
    with sending_by(engine), pytest.raises(IntegrityError, match="replaced"):
        store.get_ranges("a", [(0, 9), (6000, 6009)])


def broken_part(then: Answer) -> Answer:
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        if len(seen) > 1:
            return then(request, wire)
        head = f'Content-Range: bytes 100-4099/{SIZE}\r\nContent-Length: 4000\r\nETag: "first"'
        wire.send(f"HTTP/1.1 206 Partial Content\r\n{head}\r\n\r\n".encode() + A[100:200])
        return wire.reset()

    return answer


def test_c21_a_broken_range_continues_with_another_tag(opened: Opened, good: Files) -> None:
    store, _ = opened(site(broken_part(two_edges(good))), retries=1)
    with store.get_data_range("a", 100, 4100) as stream:
        assert stream.read() == A[100:4100]


def test_c14_a_broken_range_does_not_continue_with_another_value(opened: Opened) -> None:
    other = serve_files({"data/a": A[::-1]})
    store, _ = opened(site(broken_part(other)), retries=1)
    with pytest.raises(IntegrityError), store.get_data_range("a", 100, 4100) as stream:
        stream.read()


# -- C22: a long Retry-After ---------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
def test_c22_a_host_with_a_long_retry_after_is_not_asked_again(
    opened: Opened, tmp_path: Path, status: int
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(status, headers={"Retry-After": "7200"})

    store, server = opened(site(answer), retries=4)
    for read, _ in ALL.values():
        before = len(server.requests)
        with pytest.raises(HTTPStatusError, match="no request for 2 hours") as caught:
            read(store, tmp_path)
        assert (caught.value.status, caught.value.retry_after) == (status, 7200.0)
        assert len(server.requests) - before <= 4


@pytest.mark.parametrize("engine", ENGINES)
def test_c22_many_values_of_such_a_host_are_not_requested_one_by_one(
    opened: Opened, engine: str
) -> None:
    values = {f"{number:03}": b"%d" % number for number in range(300)}

    def answer(request: Request, wire: Wire) -> None:
        wire.response(503, headers={"Retry-After": "7200"})

    good = serve_files(files_of(values))
    store, server = opened(good.but({f"data/{key}": answer for key in values}), retries=4)
    with sending_by(engine), pytest.raises(HTTPStatusError, match="2 hours") as caught:
        list(store.read_many(values))
    assert caught.value.key == "000"
    assert len(server.requests) < 400


def test_c22_a_failed_poll_names_the_waiting_time(opened: Opened) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(429, headers={"Retry-After": "86400"})

    good = serve_files(files_of({"a": A}))
    store, server = opened(good, retries=4)
    server.answer = answer
    with pytest.raises(HTTPStatusError, match="no request for 24 hours"):
        store.update_index()
    assert store["a"].size == SIZE
