"""A value as a seekable file: the behavior of Python's own files, and the cost."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import IntegrityError, NotConnectedError, StaticStore, TransportError, publish
from staticstore.transport.values.answers import ValueAnswer
from staticstore.transport.values.seekable import OpenedValue
from tests.servers import Nginx, RawServer, Request, Wire, serve_files
from tests.sites import index_of

Start = Callable[..., RawServer]

VALUE = random.Random(1).randbytes(1_000_003)
BLOCK = 1 << 15


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StaticStore]:
    site = tmp_path_factory.mktemp("site")
    (site / "data").mkdir()
    (site / "data" / "a").write_bytes(VALUE)
    publish(site)
    with Nginx(site) as nginx, StaticStore(nginx.url, poll_interval=0) as connected:
        yield connected


@contextmanager
def opened(server: RawServer) -> Iterator[OpenedValue]:
    with (
        StaticStore(server.url, poll_interval=0).connect(retries=0) as store,
        store["a"].open() as file,
    ):
        yield file


def files(value: bytes = VALUE) -> dict[str, bytes]:
    return {"index.json": index_of({"a": value}), "data/a": value}


def ranges(server: RawServer) -> list[tuple[int, int | None] | None]:
    return [request.range for request in server.requests if request.path == "/data/a"]


POSITIONS = st.one_of(
    st.integers(-10, len(VALUE) + 100_000),
    st.sampled_from([0, BLOCK - 1, BLOCK, BLOCK + 1, len(VALUE) - 1, len(VALUE), len(VALUE) + 1]),
)
COUNTS = st.one_of(st.integers(-1, 10), st.sampled_from([BLOCK, 3 * BLOCK + 7, 500_000]))
STEPS = st.one_of(
    st.tuples(st.just("seek"), POSITIONS, st.just(os.SEEK_SET)),
    st.tuples(st.just("seek"), st.integers(-70_000, 70_000), st.just(os.SEEK_CUR)),
    st.tuples(st.just("seek"), st.integers(-len(VALUE), 10), st.just(os.SEEK_END)),
    st.tuples(st.just("read"), COUNTS),
    st.tuples(st.just("read1"), st.integers(0, 100)),
    st.tuples(st.just("readinto"), st.integers(0, 100_000)),
    st.tuples(st.just("tell")),
)


def apply_step(file: Any, step: tuple[Any, ...]) -> Any:
    """Apply one step to a file, and return all of its observable state."""
    name, *arguments = step
    try:
        if name == "readinto":
            buffer = bytearray(arguments[0])
            return file.readinto(buffer), bytes(buffer), file.tell()
        found = getattr(file, name)(*arguments)
    except ValueError:
        return "ValueError", file.tell()
    if name == "read1":  # may return any number of bytes
        file.seek(len(found) and -len(found) + 1, os.SEEK_CUR)
        return found[:1], file.tell()
    return found, file.tell()


@settings(deadline=None, max_examples=150)
@given(steps=st.lists(STEPS, max_size=25), cache_size=st.sampled_from([0, BLOCK, 1 << 20]))
def test_it_behaves_like_a_file_in_memory(
    store: StaticStore, steps: list[tuple[Any, ...]], cache_size: int
) -> None:
    with store["a"].open(cache_size=cache_size) as file, io.BytesIO(VALUE) as same:
        for step in steps:
            # A file in memory treats a seek to before its beginning as one to the beginning.
            if step[-1] != os.SEEK_CUR or same.tell() + step[1] >= 0:
                assert apply_step(file, step) == apply_step(same, step)


def test_nothing_is_requested_before_the_first_read(start: Start) -> None:
    server = start(serve_files(files()))
    with opened(server) as file:
        file.seek(100, os.SEEK_END)
        assert ranges(server) == []


def test_a_read_beyond_the_end_makes_no_request(start: Start) -> None:
    server = start(serve_files(files()))
    with opened(server) as file:
        file.seek(len(VALUE))
        assert file.read(10) == b""
        assert ranges(server) == []


def test_reading_zero_bytes_makes_no_request(start: Start) -> None:
    server = start(serve_files(files()))
    with opened(server) as file:
        assert file.read(0) == b""
        assert file.readinto(bytearray()) == 0
    assert ranges(server) == []


@pytest.mark.parametrize("call", ["read", "tell", "readline"])
def test_a_closed_file_is_a_value_error(store: StaticStore, call: str) -> None:
    file = store["a"].open()
    file.close()
    file.close()
    with pytest.raises(ValueError, match="closed"):
        getattr(file, call)()


def test_it_is_a_readable_seekable_file(store: StaticStore) -> None:
    with store["a"].open() as file:
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")


def test_a_small_read_costs_one_block(start: Start) -> None:
    server = start(serve_files(files()))
    with opened(server) as file:
        file.seek(10 * BLOCK + 5)
        assert file.read(100) == VALUE[10 * BLOCK + 5 :][:100]
    assert ranges(server) == [(10 * BLOCK, 11 * BLOCK)]


def test_bytes_already_read_are_not_fetched_again(start: Start) -> None:
    server = start(serve_files(files()))
    with opened(server) as file:
        for position in [500_000, 100, 500_010, 110]:
            file.seek(position)
            assert file.read(5) == VALUE[position : position + 5]
    assert len(ranges(server)) == 2


def test_sequential_reads_double_the_amount_fetched(start: Start) -> None:
    server = start(serve_files(files()))
    with opened(server) as file:
        while file.read(1000):
            pass
    lengths = [end - start for start, end in filter(None, ranges(server)) if end is not None]
    assert lengths[:4] == [2 * BLOCK, 4 * BLOCK, 8 * BLOCK, 16 * BLOCK]
    assert sum(lengths) == len(VALUE)


def test_reading_elsewhere_stops_the_read_ahead(start: Start) -> None:
    server = start(serve_files(files()))
    with opened(server) as file:
        file.read(300_000)
        file.seek(900_000)
        file.read(10)
        file.seek(400_000)
        file.read(10)
    assert [end - start for start, end in ranges(server)[-2:] if end is not None] == [BLOCK, BLOCK]  # type: ignore[misc]


def test_a_host_without_ranges_is_read_whole_once(start: Start) -> None:
    server = start(serve_files(files(), ranges=False))
    with opened(server) as file:
        for position in [900_000, 5, 500_000]:
            file.seek(position)
            assert file.read(5) == VALUE[position : position + 5]
        assert file.seek(0, os.SEEK_END) == len(VALUE)
    assert len([one for one in ranges(server) if one is None]) == 1


@pytest.mark.parametrize("length", [True, False])
def test_without_a_size_in_the_index_the_host_gives_it(start: Start, length: bool) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, VALUE, length=length)

    server = start(serve_files({"index.json": b'{"a": {}}'}).but({"data/a": answer}))
    with opened(server) as file:
        file.seek(-5, os.SEEK_END)
        assert file.read() == VALUE[-5:]


def test_a_read_after_disconnect_is_a_not_connected_error(start: Start) -> None:
    server = start(serve_files(files()))
    store = StaticStore(server.url, poll_interval=0).connect()
    with store["a"].open() as file:
        file.read(10)
        store.disconnect()
        file.seek(900_000)
        with pytest.raises(NotConnectedError):
            file.read(10)


def test_a_failed_read_can_be_repeated(start: Start) -> None:
    good = serve_files(files())
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        return wire.response(500) if len(seen) == 2 else good(request, wire)

    server = start(good.but({"data/a": answer}))
    with opened(server) as file:
        file.read(10)
        file.seek(900_000)
        with pytest.raises(TransportError):
            file.read(10)
        file.seek(900_000)
        assert file.read(10) == VALUE[900_000:][:10]


def test_a_read_whose_part_breaks_off_can_be_repeated(start: Start) -> None:
    seen: list[Request] = []

    def answer(request: Request, wire: Wire) -> None:
        seen.append(request)
        end = int(request.headers["Range"].removeprefix("bytes=0-")) + 1
        wire.send(f"HTTP/1.1 206 Partial Content\r\nContent-Length: {end}\r\n".encode())
        wire.send(f"Content-Range: bytes 0-{end - 1}/{len(VALUE)}\r\n\r\n".encode())
        wire.send(VALUE[: 1000 if len(seen) == 1 else end])
        wire.close()

    with opened(start(serve_files(files()).but({"data/a": answer}))) as file:
        with pytest.raises(TransportError):
            file.read(10)
        assert file.read(10) == VALUE[:10]


def test_after_an_interrupt_reads_return_the_bytes_of_their_position(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(start(serve_files(files()))) as file:
        readinto = ValueAnswer.readinto

        def interrupted(part: ValueAnswer, buffer: memoryview) -> int:
            readinto(part, buffer[:10])
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(ValueAnswer, "readinto", interrupted)
            file.read(100)
        assert file.read(100) == VALUE[:100]


def test_a_replaced_value_is_an_integrity_error(start: Start) -> None:
    here = files()
    server = start(serve_files(here))
    with opened(server) as file:
        file.read(10)
        here["data/a"] = VALUE[::-1]
        file.seek(900_000)
        with pytest.raises(IntegrityError, match="replaced"):
            file.read(10)
