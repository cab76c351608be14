"""Many values at once: in the order requested, within bounds, and from several sources."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    IntegrityError,
    NotConnectedError,
    StaticStore,
    TransportError,
    publish,
    tuning,
)
from staticstore.client import many
from staticstore.client.store import site_snapshot
from staticstore.index import codec
from staticstore.index.snapshot import Index
from tests.client.scene import TIMEOUT
from tests.engines import ENGINES, sending_by
from tests.servers import Answer, Nginx, RawServer, Request, Wire, serve_files
from tests.sites import index_of

Start = Callable[..., RawServer]


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with sending_by(request.param):
        yield


def site_of(values: dict[str, bytes], **answers: Answer) -> Any:
    files = {"index.json": index_of(values), **{f"data/{k}": v for k, v in values.items()}}
    return serve_files(files).but({f"data/{key}": answer for key, answer in answers.items()})


def connected(server: RawServer, **options: Any) -> StaticStore:
    return StaticStore(server.url, poll_interval=0, **options).connect(retries=0)


def requested(server: RawServer) -> list[str]:
    return [request.path.removeprefix("/data/") for request in server.requests[1:]]


def test_no_keys_give_no_values(start: Start) -> None:
    with connected(start(site_of({"a": b"1"}))) as store:
        assert list(store.read_many([])) == []


def test_the_values_are_those_of_the_snapshot_of_the_call(start: Start) -> None:
    values = {"a": b"one", "b": b"two"}
    files = {"index.json": index_of(values), **{f"data/{k}": v for k, v in values.items()}}
    with connected(start(serve_files(files))) as store:
        found = store.read_many(["a", "b"])
        files["index.json"] = index_of({"a": b"another"})
        store.update_index()
        assert list(found) == [("a", b"one"), ("b", b"two")]


def test_a_call_after_disconnect_is_refused_immediately(start: Start) -> None:
    store = connected(start(site_of({"a": b"1"})))
    store.disconnect()
    with pytest.raises(NotConnectedError):
        store.read_many(["a"])


def test_disconnect_ends_it(start: Start) -> None:
    asked = threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        asked.set()
        wire.stall()

    store = connected(start(site_of({"a": b"1"}, a=stalls)))

    def disconnect() -> None:
        asked.wait(10)
        store.disconnect()

    threading.Thread(target=disconnect).start()
    with pytest.raises(NotConnectedError):
        list(store.read_many(["a"]))


def test_an_empty_value_is_verified_like_any_other(start: Start) -> None:
    index = b'{"a": {"size": 0, "sha256": "%s"}}' % (b"0" * 64)
    with (
        connected(start(serve_files({"index.json": index, "data/a": b""}))) as store,
        pytest.raises(IntegrityError),
    ):
        list(store.read_many(["a"]))


def test_a_value_of_unknown_size_can_be_read(start: Start) -> None:
    files = {"index.json": b'{"a": {}, "b": {"size": -1}}', "data/a": b"one", "data/b": b"two"}
    with connected(start(serve_files(files))) as store:
        assert dict(store.read_many(list("ba"))) == {"a": b"one", "b": b"two"}


def test_an_invalid_digest_is_plain_metadata(start: Start) -> None:
    files = {"index.json": b'{"a": {"size": 3, "sha256": "Z"}}', "data/a": b"one"}
    with connected(start(serve_files(files))) as store:
        assert list(store.read_many(["a"])) == [("a", b"one")]


@pytest.mark.parametrize("size", [3, 4])
def test_a_digest_that_is_a_path_touches_no_file(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("staticstore.tuning.CHECKED_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("staticstore.tuning.DECODED_SINGLY_ENTRIES", 0)
    mine = tmp_path / "mine"
    mine.write_bytes(b"my\n")
    index = Index.parse(codec.encode({"a": {"sha256": str(mine), "size": size}}), vouched_entries=1)
    files = {"index.json": index.canonical(), "data/a": b"one\n"[:size]}
    with connected(start(serve_files(files)), cache=tmp_path / "cache") as store:
        assert list(store.read_many(["a"])) == [("a", b"one\n"[:size])]
    assert mine.read_bytes() == b"my\n"


# -- C23: large values, over as many connections as help -------------------------------------


@pytest.fixture
def large_values_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat values above 100 bytes as large, with parts of 1,000 bytes."""
    monkeypatch.setattr("staticstore.tuning.LARGE_VALUE_BYTES", 100)
    monkeypatch.setattr("staticstore.tuning.LARGE_PART_BYTES", 1000)
    monkeypatch.setattr("staticstore.tuning.LARGE_AHEAD_BYTES", 24_000)


def once_together(count: int, answer: Answer) -> Answer:
    """Answer requests for data as soon as this many are waiting."""
    lock, together = threading.Lock(), threading.Event()
    waiting = []

    def waits(request: Request, wire: Wire) -> None:
        if request.path.startswith("/data/"):
            with lock:
                waiting.append(request)
                if len(waiting) == count:
                    together.set()
            wire.wait(together)
        answer(request, wire)

    return waits


@pytest.mark.parametrize(
    "sizes", [[1000] * 24, [150] * 24, [24_000], [3000] * 8], ids=lambda s: f"{len(s)}x{s[0]}"
)
def test_c23_large_values_are_read_over_24_connections(
    start: Start, large_values_in_parts: None, sizes: list[int]
) -> None:
    values = {f"{number:02}": bytes([number]) * size for number, size in enumerate(sizes)}
    server = start(once_together(24, site_of(values)))
    with connected(server) as store:
        assert list(store.read_many(values)) == [*values.items()]


def test_c23_no_thread_waits_for_an_answer_of_its_own(
    start: Start, large_values_in_parts: None
) -> None:
    values = {f"{number:02}": bytes([number]) * 3000 for number in range(8)}
    together, before = once_together(24, site_of(values)), set(threading.enumerate())
    seen: set[threading.Thread] = set()

    def watched(request: Request, wire: Wire) -> None:
        seen.update(threading.enumerate())
        together(request, wire)

    with connected(start(watched)) as store:
        assert list(store.read_many(values)) == [*values.items()]
    assert "staticstore read_many" not in {thread.name for thread in seen - before}


def test_c23_large_values_that_are_not_taken_are_given_up(
    start: Start, large_values_in_parts: None
) -> None:
    reached, ended = threading.Event(), threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        reached.set()
        wire.stall()
        ended.set()

    values = {"a": b"1", "b": bytes(1000)}
    with connected(start(site_of(values, b=stalls))) as store:
        found = store.read_many(["a", "b"])
        assert next(found) == ("a", b"1")
        assert reached.wait(TIMEOUT)
        found.close()  # type: ignore[attr-defined]
        assert ended.wait(TIMEOUT)


def test_c23_small_values_with_long_bodies_are_read_in_parallel(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.LONG_BODY_BYTES", 10)
    values = {f"{number:02}": bytes([number]) * 50 for number in range(24)}
    with connected(start(once_together(24, site_of(values)))) as store:
        assert list(store.read_many(values)) == [*values.items()]


def test_c23_read_ahead_is_bounded(start: Start, large_values_in_parts: None) -> None:
    values = {f"{number:02}": bytes([number]) * 5000 for number in range(20)}
    server = start(site_of(values))
    with connected(server) as store:
        found = store.read_many(values)
        next(found)
        found.close()  # type: ignore[attr-defined]
        assert len(requested(server)) <= 5 + 24


def test_c23_a_value_larger_than_the_bound_comes_in_parts(
    start: Start, large_values_in_parts: None
) -> None:
    values = {"a": b"1", "b": bytes(range(250)) * 400, "c": b"3"}
    server = start(site_of(values))
    with connected(server) as store:
        assert list(store.read_many(list("abc"))) == [*values.items()]
    parts = [one.range for one in server.requests if one.path == "/data/b"]
    assert sorted(filter(None, parts)) == [(at, at + 1000) for at in range(0, 100_000, 1000)]


def test_c23_a_value_larger_than_the_bound_without_a_digest_waits_for_its_turn(
    start: Start, large_values_in_parts: None
) -> None:
    value = bytes(25_000)
    files = {"index.json": b'{"a": {"size": 1}, "b": {"size": 25000}}', "data/b": value}
    server = start(serve_files({**files, "data/a": b"1"}))
    with connected(server) as store:
        found = store.read_many(["a", "b"])
        assert next(found) == ("a", b"1")
        assert "b" not in requested(server)
        assert list(found) == [("b", value)]


def test_c23_a_host_without_ranges_is_asked_for_whole_values(
    start: Start, large_values_in_parts: None
) -> None:
    values = {f"{number:02}": bytes([number]) * 5000 for number in range(20)}
    files = {"index.json": index_of(values), **{f"data/{k}": v for k, v in values.items()}}
    server = start(serve_files(files, ranges=False))
    with connected(server) as store:
        assert list(store.read_many(values)) == [*values.items()]
    whole = [one for one in server.requests[1:] if one.range is None]
    assert len(whole) == len(values)
    assert len(server.requests) <= 1 + len(values) + 2 * 24


def test_c23_parts_of_another_version_are_an_integrity_error(
    start: Start, large_values_in_parts: None
) -> None:
    files = {"index.json": index_of({"a": bytes(5000)}), "data/a": bytes(4999) + b"x"}
    with connected(start(serve_files(files))) as store, pytest.raises(IntegrityError):
        list(store.read_many(["a"]))


def test_c23_a_size_beyond_any_memory_is_an_integrity_error(
    start: Start, large_values_in_parts: None
) -> None:
    index = index_of({"a": b"one"}).replace(b'"size": 3', b'"size": %d' % (1 << 62))
    server = start(serve_files({"index.json": index, "data/a": b"one"}))
    with connected(server) as store, pytest.raises(IntegrityError):
        list(store.read_many(["a"]))


def test_c23_a_part_that_breaks_off_is_resumed(start: Start, large_values_in_parts: None) -> None:
    values = {"a": bytes(range(200)) * 50}
    good = site_of(values)

    def breaks(request: Request, wire: Wire) -> None:
        if request.range == (5000, 6000):
            wire.reset()
        else:
            good(request, wire)

    with connected(start(good.but({"data/a": breaks}))) as store:
        assert dict(store.read_many(["a"])) == values


def test_c23_values_read_in_parts_stay_in_memory(start: Start, large_values_in_parts: None) -> None:
    values = {"a": bytes(range(200)) * 50}
    server = start(site_of(values))
    with connected(server, memory=100_000) as store:
        assert dict(store.read_many(["a"])) == values
        before = len(server.requests)
        assert dict(store.read_many(["a"])) == values
        assert len(server.requests) == before


def test_at_most_two_windows_of_keys_are_taken_ahead(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.WINDOW_KEYS", 10)
    taken: list[int] = []

    def keys() -> Iterable[str]:
        for number in range(200):
            taken.append(number)
            yield "a"

    with connected(start(site_of({"a": b"1"}))) as store:
        found = store.read_many(keys())
        for _ in range(25):
            next(found)
        assert len(taken) <= 50


def test_at_most_two_windows_of_bytes_are_fetched_ahead(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.WINDOW_BYTES", 1000)
    values = {f"{number:02}": bytes(300) for number in range(50)}
    server = start(site_of(values))
    with connected(server) as store:
        found = store.read_many(values)
        next(found)
        found.close()  # type: ignore[attr-defined]
    assert len(requested(server)) <= 9


def test_values_of_many_windows_come_in_the_order_requested(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.WINDOW_KEYS", 7)
    values = {f"{number:03}": b"%d" % number for number in range(100)}
    keys = sorted(values, key=lambda key: (int(key) * 37) % 100)
    with connected(start(site_of(values))) as store:
        assert list(store.read_many(keys)) == [(key, values[key]) for key in keys]


def test_a_failed_value_is_raised_in_its_turn(start: Start) -> None:
    server = start(site_of({"a": b"1", "b": b"2"}, b=lambda request, wire: wire.response(500)))
    with connected(server) as store:
        found = store.read_many(list("aba"))
        assert next(found) == ("a", b"1")
        with pytest.raises(OSError, match="500"):
            next(found)


def test_endless_trailers_do_not_block(start: Start) -> None:
    def endless(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n")
        while True:
            wire.send(b"Trailer: nothing\r\n" * 1000)

    server = start(site_of({"a": b"1", "b": b"2"}, a=endless))
    with connected(server) as store:
        assert dict(store.read_many(["a", "b"])) == {"a": b"1", "b": b"2"}


def test_a_redirected_value_is_read(start: Start) -> None:
    def elsewhere(request: Request, wire: Wire) -> None:
        wire.response(302, headers={"Location": "/data/b"})

    with connected(start(site_of({"a": b"2", "b": b"2"}, a=elsewhere))) as store:
        assert dict(store.read_many(["a", "b"])) == {"a": b"2", "b": b"2"}


def test_a_value_in_memory_is_not_requested_again(start: Start) -> None:
    values = {"a": b"one", "b": b"two"}
    server = start(site_of(values))
    with connected(server, memory=1000) as store:
        assert dict(store.read_many(["a", "b"])) == values
        before = len(server.requests)
        assert dict(store.read_many(list("ba"))) == values
        assert store.to_bytes("a") == b"one"
        assert len(server.requests) == before


def test_a_value_in_the_cache_on_disk_is_not_requested_again(start: Start, tmp_path: Path) -> None:
    values = {"a": b"one", "b": b"two"}
    server = start(site_of(values))
    for _ in range(2):
        with connected(server, cache=tmp_path / "cache") as store:
            assert dict(store.read_many(["a", "b"])) == values
    assert sorted(path for path in requested(server) if len(path) == 1) == ["a", "b"]


def test_packed_values_take_one_request(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    values = {f"{number:03}": b"%d" % number * 50 for number in range(300)}
    for key, value in values.items():
        (tmp_path / "data" / key).write_bytes(value)
    publish(tmp_path, pack=True)
    with Nginx(tmp_path) as nginx, StaticStore(nginx.url, poll_interval=0) as store:
        assert dict(store.read_many(values)) == values
        targets = [one.target for one in nginx.requests()]
    assert len([target for target in targets if "/packs/" in target]) == 1
    assert not [target for target in targets if "/data/" in target]


@pytest.mark.parametrize("href", ["../secret", "/etc/passwd", "http://evil/x", "packs/none.zip"])
def test_an_invalid_pack_is_skipped(start: Start, href: str) -> None:
    index = index_of({"a": b"one"}).replace(
        b'"size"', b'"packed": ["%s", 0], "size"' % href.encode()
    )
    server = start(serve_files({"index.json": index, "data/a": b"one"}))
    with connected(server) as store:
        assert list(store.read_many(["a"])) == [("a", b"one")]
    assert all(".." not in request.target for request in server.requests)


def test_a_lazy_store_reads_many_values(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    values = {f"{number:03}": b"%d" % number for number in range(30)}
    for key, value in values.items():
        (tmp_path / "data" / key).write_bytes(value)
    publish(tmp_path)
    with StaticStore(tmp_path, poll_interval=0, lazy=True) as store:
        assert dict(store.read_many(values)) == values


def test_sixteen_threads_read_from_one_store(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    values = {f"{number:03}": bytes([number]) * 3000 for number in range(100)}
    for key, value in values.items():
        (tmp_path / "data" / key).write_bytes(value)
    publish(tmp_path, pack=True)
    wrong: list[object] = []

    def work(store: StaticStore, turn: int) -> None:
        keys = [*values][turn:] + [*values][:turn]
        try:
            assert dict(store.read_many(keys)) == values
            for key in keys[:10]:
                assert store.to_bytes(key) == values[key]
                assert store.get_ranges(key, [(5, 9), (2000, 2010)]) == [
                    bytes([values[key][0]]) * n for n in (4, 10)
                ]
                with store[key].open() as file:
                    file.seek(-5, 2)
                    assert file.read() == values[key][-5:]
                store.to_file(key, tmp_path / f"{turn}")
        except BaseException as error:
            wrong.append(error)

    with Nginx(tmp_path) as nginx, StaticStore(nginx.url, poll_interval=0, memory=50_000) as store:
        threads = [threading.Thread(target=work, args=(store, turn)) for turn in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_streams_are_opened_ahead(start: Start) -> None:
    values = {f"{number:02}": b"%d" % number for number in range(30)}
    others = threading.Event()
    good = site_of(values)

    def waits(request: Request, wire: Wire) -> None:
        wire.wait(others)
        good(request, wire)

    def sets(request: Request, wire: Wire) -> None:
        others.set()
        good(request, wire)

    with connected(start(good.but({"data/00": waits, "data/07": sets}))) as store:
        assert [stream.read() for stream in store.multiget_data(values)] == list(values.values())


def test_unused_streams_are_not_requested(start: Start) -> None:
    values = {f"{number:02}": b"%d" % number for number in range(30)}
    server = start(site_of(values))
    with connected(server) as store:
        streams = store.multiget_data(values)
        next(streams).close()
        streams.close()  # type: ignore[attr-defined]
    assert len(requested(server)) <= 10


@pytest.mark.parametrize("misbehave", ["reset", "stall"])
def test_a_host_that_is_down_is_not_requested_for_each_value(start: Start, misbehave: str) -> None:
    values = {f"{number:03}": b"value" for number in range(400)}
    server = start(site_of(values))
    with StaticStore(server.url, poll_interval=0).connect(retries=0, timeout=0.3) as store:
        server.answer = lambda request, wire: getattr(wire, misbehave)()
        with pytest.raises(TransportError):
            list(store.read_many(values))
    asked_by_each = len(values) if misbehave == "reset" else tuning.CAREFUL_THREADS + 24
    assert len(server.requests) < asked_by_each + 3 * tuning.CAREFUL_THREADS


def test_f17_the_first_of_many_tiny_values_is_returned_before_many_are_fetched(
    start: Start,
) -> None:
    server = start(site_of({f"{number:04}": b"tiny" for number in range(1500)}))
    with connected(server) as store:
        values = site_snapshot(store).values
        given = many.read_each(values, list(store), first=1 << 18)
        assert next(given) == ("0000", b"tiny")
        assert len(requested(server)) < 256  # 64, and the next 128 meanwhile


def test_c24_values_before_a_slow_one_are_yielded(start: Start) -> None:
    values = {f"{number:02}": b"%d" % number for number in range(50)}
    rest = threading.Event()
    good = site_of(values)

    def slow(request: Request, wire: Wire) -> None:
        wire.wait(rest)
        good(request, wire)

    with connected(start(good.but({"data/30": slow}))) as store:
        found = store.read_many(values)
        assert [next(found) for _ in range(30)] == [*values.items()][:30]
        rest.set()
        assert list(found) == [*values.items()][30:]


def test_c24_values_that_come_wrong_are_read_again_together(start: Start) -> None:
    values = {f"{number:02}": b"%d" % number for number in range(20)}
    good, together, waiting = site_of(values), threading.Event(), []

    def moved(request: Request, wire: Wire) -> None:
        wire.response(302, headers={"Location": f"/moved{request.path}"})

    def waits(request: Request, wire: Wire) -> None:
        if request.path.startswith("/moved"):
            waiting.append(request)
            if len(waiting) == 16:
                together.set()
            wire.wait(together)
            wire.response(body=values[request.path[-2:]])
        else:
            good.but({f"data/{key}": moved for key in values})(request, wire)

    with connected(start(waits)) as store:
        assert list(store.read_many(values)) == [*values.items()]
