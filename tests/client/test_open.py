"""C16, C20, C21: reading all bytes of `open` verifies them, and hints are not trusted."""

from __future__ import annotations

import gc
import io
import os
import pickle
import random
import shutil
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import IntegrityError, StaticStore
from staticstore.transport.values.seekable import OpenedValue
from tests.servers import Answer, RawServer, Request, Wire, serve_files
from tests.sites import index_of, write_site

Start = Callable[..., RawServer]
Read = Callable[[OpenedValue], bytes]

SMALL = random.Random(2).randbytes(5_000)
VALUE = random.Random(1).randbytes(1_000_003)
LARGE = VALUE * 9


def files(value: bytes = VALUE) -> dict[str, bytes]:
    return {"index.json": index_of({"a": value}), "data/a": value}


@pytest.fixture
def connect(start: Start) -> Iterator[Callable[..., tuple[StaticStore, RawServer]]]:
    stores: list[StaticStore] = []

    def connect(answer: Answer) -> tuple[StaticStore, RawServer]:
        server = start(answer)
        stores.append(StaticStore(server.url, poll_interval=0).connect(retries=0))
        return stores[-1], server

    yield connect
    for store in stores:
        store.disconnect()


Connect = Callable[[Answer], tuple[StaticStore, RawServer]]


def requested(server: RawServer) -> list[tuple[int, int | None] | None]:
    return [request.range for request in server.requests if request.path == "/data/a"]


# -- C20: reading all bytes verifies them --------------------------------------------------


def _by_read(size: int) -> Read:
    return lambda file: b"".join(iter(lambda: file.read(size), b""))


def _by_read1(file: OpenedValue) -> bytes:
    return b"".join(iter(lambda: file.read1(70_000), b""))


def _by_readinto(size: int) -> Read:
    def read(file: OpenedValue) -> bytes:
        found, buffer = bytearray(), bytearray(size)
        while count := file.readinto(buffer):
            found += buffer[:count]
        return bytes(found)

    return read


def _by_copyfileobj(file: OpenedValue) -> bytes:
    copy = io.BytesIO()
    shutil.copyfileobj(file, copy)
    return copy.getvalue()


def _as_text(file: OpenedValue) -> bytes:
    return io.TextIOWrapper(file, "latin-1", newline="").read().encode("latin-1")


def _from_the_beginning_again(file: OpenedValue) -> bytes:
    file.read(100_000)
    file.seek(0)
    return _by_read(3000)(file)


def _the_end_first(file: OpenedValue) -> bytes:
    file.seek(-22, os.SEEK_END)
    end = file.read()
    file.seek(0)
    return file.read(file.size - 22) + end


def _the_end_first_in_small_steps(file: OpenedValue) -> bytes:
    file.seek(-22, os.SEEK_END)
    end = file.read()
    file.seek(0)
    return b"".join(file.read(1) for _ in range(100)) + file.read(file.size - 122) + end


WAYS: dict[str, Read] = {
    "read": lambda file: file.read(),
    "read of the size": lambda file: file.read(file.size),
    "read in small steps": _by_read(1000),
    "read in long steps": _by_read(100_000),
    "read1": _by_read1,
    "readinto": _by_readinto(1 << 14),
    "readinto in long steps": _by_readinto(1 << 20),
    "readinto at once": _by_readinto(len(VALUE)),
    "lines": lambda file: b"".join(file),
    "readlines": lambda file: b"".join(file.readlines()),
    "copyfileobj": _by_copyfileobj,
    "text": _as_text,
    "again": _from_the_beginning_again,
    "the end first": _the_end_first,
    "the end first, small steps": _the_end_first_in_small_steps,
}


@pytest.fixture(params=["small", "middle", "large"])
def value(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return a value of one block, of many, and one that is too large for memory."""
    if request.param == "large":
        monkeypatch.setattr("staticstore.tuning.IN_MEMORY_BYTES", 1 << 16)
    return SMALL if request.param == "small" else VALUE


@pytest.mark.parametrize("way", WAYS)
def test_c20_reading_all_bytes_verifies_them(connect: Connect, value: bytes, way: str) -> None:
    other = value[:-100] + bytes(1) + value[-99:]
    store, _ = connect(serve_files({**files(value), "data/a": other}))
    with store["a"].open() as file, pytest.raises(IntegrityError):
        WAYS[way](file)


@pytest.mark.parametrize("way", WAYS)
def test_c20_every_way_of_reading_returns_the_value(
    connect: Connect, value: bytes, way: str
) -> None:
    store, _ = connect(serve_files(files(value)))
    with store["a"].open() as file:
        assert WAYS[way](file) == value


@pytest.mark.parametrize("cache_size", [0, 1 << 16, 8 << 20])
def test_c20_the_last_piece_is_not_returned_if_the_digest_is_wrong(
    connect: Connect, cache_size: int
) -> None:
    store, _ = connect(serve_files({**files(), "data/a": VALUE[:-1] + b"?"}))
    given = 0
    with store["a"].open(cache_size=cache_size) as file:
        with pytest.raises(IntegrityError):
            while piece := file.read(1000):
                given += len(piece)
        with pytest.raises(IntegrityError):
            file.read(10)
    assert given < len(VALUE)


def test_c20_reading_in_another_order_works(connect: Connect) -> None:
    store, _ = connect(serve_files(files()))
    chance = random.Random(3)
    with store["a"].open() as file:
        for _ in range(100):
            position, count = chance.randrange(len(VALUE)), chance.randrange(100_000)
            file.seek(position)
            assert file.read(count) == VALUE[position : position + count]
        file.seek(0)
        assert _by_read(5000)(file) == VALUE


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("same_size", [True, False])
def test_c20_a_page_instead_of_a_part_is_never_returned(
    connect: Connect, length: bool, same_size: bool
) -> None:
    page = b"<!doctype html><title>Log in</title>".ljust(len(VALUE) if same_size else 0)
    portal: Answer = lambda request, wire: wire.response(200, page, length=length)  # noqa: E731
    store, _ = connect(serve_files(files()).but({"data/a": portal}))
    with store["a"].open() as file:
        file.seek(10)
        with pytest.raises(IntegrityError):
            file.read(4)


def _hashing() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if one.name == "staticstore digest"}


def test_an_abandoned_file_leaves_no_hashing_thread(connect: Connect) -> None:
    store, _ = connect(serve_files(files(LARGE)))
    before = _hashing()
    file = store["a"].open()
    file.read(2 << 20)
    file.seek(5 << 20)
    file.read(10)
    [hashing] = _hashing() - before
    del file
    gc.collect()
    assert not hashing.is_alive()


def test_c20_another_version_from_a_host_that_stops_serving_parts_is_an_error(
    connect: Connect,
) -> None:
    index = {"index.json": index_of({"a": VALUE})}
    parts = serve_files({**index, "data/a": VALUE[::-1]})
    whole = serve_files({**index, "data/a": VALUE}, ranges=False)
    store, server = connect(parts)
    with store["a"].open() as file:
        file.read(10)
        server.answer = whole
        file.seek(700_000)
        with pytest.raises(IntegrityError, match="replaced"):
            file.read(10)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_small_value_that_was_read_whole_is_not_fetched_again(
    connect: Connect, ranges: bool
) -> None:
    store, server = connect(serve_files(files(SMALL), ranges=ranges))
    with store["a"].open() as file:
        for _ in range(3):
            assert file.read() == SMALL
            file.seek(0)
    assert len(requested(server)) == 1


# -- C21: edges with different tags --------------------------------------------------------


def edges(value: bytes, others: bytes) -> Answer:
    """Answer in turn like two servers behind one name, with different tags."""
    asked: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        asked.append(request)
        number = len(asked) % 2
        body = (others, value)[number]
        start, end, _ = slice(*(request.range or (None, None))).indices(len(body))
        fields = {"ETag": f'"{number}"', "Content-Range": f"bytes {start}-{end - 1}/{len(body)}"}
        wire.response(206 if request.range else 200, body[start:end], fields)

    return answer


@pytest.mark.parametrize("count", [10, 40_000, 300_000])
def test_c21_edges_with_different_tags_for_the_same_bytes(connect: Connect, count: int) -> None:
    store, server = connect(serve_files(files()).but({"data/a": edges(VALUE, VALUE)}))
    with store["a"].open() as file:
        for position in (0, 700_000, 350_000, 100):
            file.seek(position)
            assert file.read(count) == VALUE[position : position + count]
    assert [part for part in requested(server) if part is None] == [None]


def test_c21_edges_with_different_bytes_are_an_integrity_error(connect: Connect) -> None:
    store, _ = connect(serve_files(files()).but({"data/a": edges(VALUE[::-1], VALUE)}))
    with store["a"].open() as file:
        file.read(10)
        for position in (700_000, 0):
            file.seek(position)
            with pytest.raises(IntegrityError, match="replaced"):
                file.read(10)


def test_c21_a_value_replaced_on_all_edges_is_an_integrity_error(connect: Connect) -> None:
    here = files()
    store, _ = connect(serve_files(here))
    with store["a"].open() as file:
        file.read(10)
        here["data/a"] = VALUE[::-1]
        file.seek(700_000)
        with pytest.raises(IntegrityError, match="replaced"):
            file.read(10)


def test_c21_different_tags_without_a_digest_are_an_integrity_error(connect: Connect) -> None:
    index = b'{"a": {"size": %d}}' % len(VALUE)
    here = serve_files({"index.json": index}).but({"data/a": edges(VALUE, VALUE)})
    store, _ = connect(here)
    with store["a"].open() as file:
        file.read(10)
        file.seek(700_000)
        with pytest.raises(IntegrityError, match="replaced"):
            file.read(10)


# -- C16: the size, if the index does not have it ------------------------------------------


@pytest.mark.parametrize("says", [None, "0", "7", "99999999"])
@pytest.mark.parametrize("ranges", [True, False])
def test_c16_the_size_is_not_taken_from_a_head_request(
    connect: Connect, says: str | None, ranges: bool
) -> None:
    good = serve_files({"index.json": b'{"a": {}}', "data/a": VALUE}, ranges=ranges)

    def answer(request: Request, wire: Wire) -> None:
        if request.method != "HEAD":
            good(request, wire)
        elif says is None:
            wire.response(405)
        else:
            wire.response(200, headers={"Content-Length": says})

    store, _ = connect(good.but({"data/a": answer}))
    with store["a"].open() as file:
        assert file.size == len(VALUE)
        file.seek(-5, os.SEEK_END)
        assert file.read() == VALUE[-5:]


def test_c16_an_empty_value_of_unknown_size_is_empty(connect: Connect) -> None:
    store, _ = connect(serve_files({"index.json": b'{"a": {}}', "data/a": b""}))
    with store["a"].open() as file:
        assert (file.size, file.seek(0, os.SEEK_END), file.read(4)) == (0, 0, b"")


# -- memory --------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 5])
def test_a_long_read_is_held_in_memory_only_once(tmp_path: Path, position: int) -> None:
    write_site(tmp_path, {"a": LARGE * 4})
    with StaticStore(tmp_path, poll_interval=0) as store, store["a"].open() as file:
        file.seek(position)
        tracemalloc.start()
        try:
            assert len(file.read()) == 4 * len(LARGE) - position
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 1.4 * 4 * len(LARGE)


@pytest.mark.parametrize("position", [0, 5])
def test_a_size_beyond_any_memory_is_an_integrity_error(connect: Connect, position: int) -> None:
    index = index_of({"a": VALUE}).replace(str(len(VALUE)).encode(), b"%d" % (1 << 62))
    store, _ = connect(serve_files({"index.json": index, "data/a": VALUE}))
    with store["a"].open() as file:
        file.seek(position)
        with pytest.raises(IntegrityError):
            file.read(1 << 61)


# -- the class -----------------------------------------------------------------------------


def test_it_is_a_buffered_file_with_a_size(connect: Connect) -> None:
    store, server = connect(serve_files(files()))
    with store["a"].open() as file:
        assert isinstance(file, io.BufferedIOBase)
        assert file.size == len(VALUE)
        assert repr(file) == "<OpenedValue: 'a'>"
    assert requested(server) == []


def test_peek_keeps_the_position(connect: Connect) -> None:
    store, _ = connect(serve_files(files()))
    with store["a"].open() as file:
        file.seek(40_000)
        assert file.peek(10)[:10] == VALUE[40_000:40_010]
        assert file.tell() == 40_000
        assert file.read(10) == VALUE[40_000:40_010]


LINES = b"".join(b"%d " % number * (number % 50) + b"\n" for number in range(3000)) + b"no newline"


@pytest.mark.parametrize("limit", [-1, 0, 1, 7, 40_000])
def test_lines_are_those_of_a_file_in_memory(connect: Connect, limit: int) -> None:
    store, _ = connect(serve_files(files(LINES)))
    with store["a"].open() as file, io.BytesIO(LINES) as same:
        for _ in range(3500):
            assert file.readline(limit) == same.readline(limit)


def test_a_line_longer_than_all_blocks_is_one_line(connect: Connect) -> None:
    line = b"x" * 200_000 + b"\n"
    store, _ = connect(serve_files(files(line * 3)))
    with store["a"].open() as file:
        assert list(file) == [line] * 3


def test_lines_continue_where_the_caller_seeks_to(connect: Connect) -> None:
    store, _ = connect(serve_files(files(LINES)))
    found: list[bytes] = []
    with store["a"].open() as file:
        for line in file:
            found.append(line)
            if len(found) == 10:
                file.seek(0)
            if len(found) == 20:
                assert file.tell() == sum(map(len, found[10:]))
                break
    assert found[:10] == found[10:] == LINES.splitlines(keepends=True)[:10]


class _Value:
    """A picklable substitute for a value, which opens one."""

    store: StaticStore

    def open(self, **options: Any) -> OpenedValue:
        return OpenedValue(self, self.store["a"].remote_value, **options)


def test_e4_a_pickle_contains_value_and_position(connect: Connect) -> None:
    _Value.store, _ = connect(serve_files(files()))
    with _Value().open(cache_size=0) as file:
        file.seek(300_000)
        assert file.read(10) == VALUE[300_000:300_010]
        text = pickle.dumps(file)
        with pickle.loads(text) as again:
            assert again.tell() == 300_010
            assert again.read(10) == file.read(10) == VALUE[300_010:300_020]


def test_e4_a_pickle_contains_no_bytes_of_the_value(connect: Connect) -> None:
    _Value.store, _ = connect(serve_files(files()))
    with _Value().open(cache_size=1 << 20) as file:
        file.read(100_000)
        assert len(pickle.dumps(file)) < 300


def test_a_closed_file_cannot_be_pickled(connect: Connect) -> None:
    store, _ = connect(serve_files(files()))
    file = store["a"].open()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(file)
