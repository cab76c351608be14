"""Reads that coroutines await at the same time: shared, independent, canceled."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from requests import PreparedRequest
from requests.auth import AuthBase

from staticstore import (
    IntegrityError,
    MountedStore,
    StaticStore,
    TransportError,
    publish,
    request_finished,
    tuning,
)
from staticstore.client.value_requests import RequestedFile, pack_stretches, part_requests
from staticstore.index.fields import Content
from staticstore.index.hidden import Place
from tests.client.scene import TIMEOUT
from tests.client.test_async import reached, run
from tests.client.test_many import site_of
from tests.engines import ENGINES, sending_by
from tests.servers import RawServer, Request, Wire, serve_files

T = TypeVar("T")
Start = Callable[..., RawServer]

VALUES = {f"{number:02}": bytes([number]) * 1000 for number in range(50)}
LARGE = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with sending_by(request.param):
        yield


def connected(server: RawServer, **options: Any) -> StaticStore:
    connect = options.pop("connect", {})
    return StaticStore(server.url, poll_interval=0, **options).connect(retries=0, **connect)


def ranges_of(server: RawServer) -> list[str]:
    return [one.headers["Range"] for one in server.requests if "Range" in one.headers]


class Held:
    """An answer that waits until the test lets it go."""

    def __init__(self, body: bytes) -> None:
        self.reached, self.go_on = threading.Event(), threading.Event()
        self._body = body

    def __call__(self, request: Request, wire: Wire) -> None:
        self.reached.set()
        assert self.go_on.wait(TIMEOUT)
        wire.response(200, self._body)


async def gathered(*reads: Coroutine[Any, Any, T]) -> list[T]:
    return list(await asyncio.gather(*reads))


def test_a_slow_answer_holds_up_no_other(start: Start) -> None:
    slow = Held(VALUES["07"])

    async def main(store: StaticStore) -> None:
        reads = {key: asyncio.create_task(store.read_async(key)) for key in VALUES}
        late = reads.pop("07")
        assert await asyncio.gather(*reads.values()) == [VALUES[key] for key in reads]
        assert not late.done()
        slow.go_on.set()
        assert await late == VALUES["07"]

    with connected(start(site_of(VALUES, **{"07": slow}))) as store:
        run(main(store))


def test_packed_values_that_are_awaited_at_once_share_a_request(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    for key, value in VALUES.items():
        (tmp_path / "data" / key).write_bytes(value)
    publish(tmp_path, pack=True)
    files = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    server = start(serve_files(files))
    with connected(server) as store:
        before = len(server.requests)
        assert run(gathered(*map(store.read_async, VALUES))) == list(VALUES.values())
        assert len(server.requests) - before == 1
        pack = next(name for name in files if name.endswith(".zip"))
        files[pack] = bytes(len(files[pack]))
        assert run(gathered(*map(store.read_async, VALUES))) == list(VALUES.values())


def test_parts_of_different_calls_that_are_near_share_a_request(start: Start) -> None:
    server = start(site_of({"a": LARGE}))
    with connected(server) as store:
        wanted = [(0, 10), (5, 20), (100, 110), (500_000, 500_010), (-5, None), (7, 7)]
        reads = [store.get_range_async("a", start, end) for start, end in wanted]
        assert run(gathered(*reads)) == [LARGE[start:end] for start, end in wanted]
    assert sorted(ranges_of(server)) == [
        "bytes=0-109",
        "bytes=1048571-1048575",
        "bytes=500000-500009",
    ]


def test_a_range_of_all_bytes_is_verified(start: Start) -> None:
    with (
        connected(
            start(site_of({"a": b"good"}, a=lambda _, wire: wire.response(200, b"evil")))
        ) as store,
        pytest.raises(IntegrityError),
    ):
        run(store.get_range_async("a", 0, 4))


def test_ranges_from_a_host_that_ignores_them_are_right(start: Start) -> None:
    whole = start(site_of({"a": LARGE}, a=lambda _, wire: wire.response(200, LARGE)))
    with connected(whole) as store:
        reads = [store.get_range_async("a", n * 10_000, n * 10_000 + 5) for n in range(20)]
        expected = [LARGE[n * 10_000 : n * 10_000 + 5] for n in range(20)]
        assert run(gathered(*reads)) == expected
        assert run(store.get_ranges_async("a", [(3, 9), (-4, None)])) == [LARGE[3:9], LARGE[-4:]]


def test_a_large_value_is_read_in_parts_and_verified(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "LARGE_PART_BYTES", 1 << 18)
    server = start(site_of({"a": LARGE}))
    with connected(server) as store:
        assert run(store.read_async("a")) == LARGE
    assert len(ranges_of(server)) == 4


def test_a_large_value_from_a_host_without_ranges_is_read_whole(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "LARGE_PART_BYTES", 1 << 18)
    with connected(
        start(site_of({"a": LARGE}, a=lambda _, wire: wire.response(200, LARGE)))
    ) as store:
        assert run(store.read_async("a")) == LARGE


def test_values_without_a_size_are_read_too(start: Start) -> None:
    files = {"index.json": b'{"a": {}, "b": {}}', "data/a": b"one", "data/b": b"three"}
    with connected(start(serve_files(files))) as store:
        reads = [store.read_async("a"), store.get_range_async("b", -3)]
        assert run(gathered(*reads)) == [b"one", b"ree"]


def test_a_folder_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for key, value in VALUES.items():
        (tmp_path / "data" / key).write_bytes(value)
    publish(tmp_path)
    with StaticStore(tmp_path) as store:
        assert run(gathered(*map(store.read_async, VALUES))) == list(VALUES.values())
        assert run(store.get_range_async("07", 2, 5)) == VALUES["07"][2:5]


def test_a_cached_value_is_not_requested_again(start: Start, tmp_path: Path) -> None:
    server = start(site_of(VALUES))
    with connected(server, cache=tmp_path / "cache") as store:
        run(gathered(*map(store.read_async, VALUES)))
        before = len(server.requests)
        assert run(gathered(*map(store.read_async, VALUES))) == list(VALUES.values())
        assert len(server.requests) == before


def test_each_request_may_be_signed(start: Start) -> None:
    class Signing(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.headers["X-Path"] = request.path_url
            return request

    server = start(site_of(VALUES))
    with connected(server, connect={"auth": Signing()}) as store:
        assert run(gathered(*map(store.read_async, VALUES))) == list(VALUES.values())
    assert all(one.headers["X-Path"] == one.path for one in server.requests)


def test_errors_of_a_view_have_its_keys(start: Start) -> None:
    server = start(site_of({"a": b"1"}, a=lambda _, wire: wire.response(404)))
    with connected(server) as store:
        view = MountedStore({"maps/": store})
        for read in (view.read_async("maps/a"), view.get_range_async("maps/a", 0, 1)):
            with pytest.raises(TransportError) as caught:
                run(read)
            assert caught.value.key == "maps/a"
        with pytest.raises(KeyError, match="maps/b"):
            run(view.read_async("maps/b"))


def test_a_canceled_read_gives_its_request_up(start: Start) -> None:
    held, errors = Held(b"1"), list[str]()

    def handler(sender: object, *, error: Exception | None, **_: Any) -> None:
        errors.append(str(error))

    async def main(store: StaticStore) -> None:
        reading = asyncio.create_task(store.read_async("a"))
        await reached(held.reached)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    with connected(start(site_of({"a": b"1"}, a=held))) as store:
        request_finished.connect(handler, sender=store)
        run(main(store))
        held.go_on.set()
    assert len(errors) == 1
    assert "given up" in errors[0]


def test_a_request_that_others_need_is_not_given_up(start: Start) -> None:
    asked, held = threading.Event(), threading.Event()

    def slow(request: Request, wire: Wire) -> None:
        asked.set()
        assert held.wait(TIMEOUT)
        serve_files({"data/a": LARGE})(request, wire)

    async def main(store: StaticStore) -> bytes:
        one, other = (
            asyncio.create_task(store.get_range_async("a", start, start + 5)) for start in (0, 5)
        )
        await reached(asked)
        one.cancel()
        await asyncio.wait([one])
        held.set()
        return await other

    with connected(start(site_of({"a": LARGE}, a=slow))) as store:
        assert run(main(store)) == LARGE[5:10]


def test_read_many_async_that_is_left_gives_the_rest_up(start: Start) -> None:
    asked, ended = threading.Event(), threading.Event()

    def stalls(request: Request, wire: Wire) -> None:
        asked.set()
        wire.stall()
        ended.set()

    async def main(store: StaticStore) -> None:
        pairs: AsyncIterator[tuple[str, bytes]] = store.read_many_async(VALUES)
        assert await anext(pairs) == ("00", VALUES["00"])
        await reached(asked)
        await pairs.aclose()  # type: ignore[attr-defined]
        await reached(ended)

    with connected(start(site_of(VALUES, **{"49": stalls}))) as store:
        run(main(store))


def test_read_many_async_reads_ahead_within_bounds(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "LARGE_AHEAD_BYTES", 4_000)
    server = start(site_of(VALUES))

    async def main(store: StaticStore) -> int:
        pairs = store.read_many_async(VALUES)
        await anext(pairs)
        await asyncio.sleep(0.05)
        ahead = len(server.requests)
        assert [key async for key, _ in pairs] == list(VALUES)[1:]
        return ahead

    with connected(server) as store:
        assert run(main(store)) <= 1 + 5


def test_handlers_of_requests_do_not_block_the_loop(start: Start) -> None:
    threads = set[threading.Thread]()

    def handler(sender: object, **_: Any) -> None:
        threads.add(threading.current_thread())

    with connected(start(site_of(VALUES))) as store:
        request_finished.connect(handler, sender=store)
        run(gathered(*map(store.read_async, VALUES)))
    assert threads
    assert threading.current_thread() not in threads


def test_a_store_that_has_been_awaited_becomes_garbage(start: Start) -> None:
    store = connected(start(site_of(VALUES)))
    run(gathered(*map(store.read_async, VALUES)))
    run(gathered(*(store.get_range_async(key, 1, 5) for key in VALUES)))
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda store: store.get_range_async("07", 0, 1.5),
        lambda store: store.get_ranges_async("07", [5]),
        lambda store: store.get_ranges_async("07", [(0, 1)], max_gap="x"),
        lambda store: store.get_ranges_many_async([("07", 0, 1), ("07", None, "x")]),
        lambda store: store.get_range_async(7, 0, 1),
        lambda store: store.read_async(["07"]),
    ],
)
def test_wrong_arguments_disturb_no_read_of_the_same_turn(
    start: Start, wrong: Callable[[StaticStore], Coroutine[Any, Any, Any]]
) -> None:
    async def main(store: StaticStore) -> list[Any]:
        reads = [store.get_range_async("07", 0, 3), wrong(store), store.read_async("08")]
        return await asyncio.gather(*reads, return_exceptions=True)

    with connected(start(site_of(VALUES))) as store:
        part, error, whole = run(main(store))
    assert (part, whole) == (VALUES["07"][:3], VALUES["08"])
    assert isinstance(error, TypeError | KeyError)


def test_an_error_that_two_keys_of_a_view_share_has_the_key_of_each(start: Start) -> None:
    async def main(view: MountedStore) -> list[Any]:
        reads = [view.get_range_async(f"{name}/a", 1, 3) for name in ("one", "two")]
        return await asyncio.gather(*reads, return_exceptions=True)

    server = start(site_of({"a": LARGE}, a=lambda _, wire: wire.response(404)))
    with connected(server) as store:
        errors = run(main(MountedStore({"one/": store, "two/": store})))
    assert [error.key for error in errors] == ["one/a", "two/a"]


@pytest.mark.parametrize("size", [1 << 33, (1 << 63) - 1])
def test_a_size_that_is_only_claimed_is_not_requested_in_any_number_of_parts(size: int) -> None:
    content = Content(size=size, sha256="0" * 64, place=None, modified=None)
    assert len(part_requests(RequestedFile("data/a", size, content.sha256, content))) == 1


def test_a_place_beyond_the_end_of_any_pack_is_no_place() -> None:
    pack = "packs/" + "0" * 64 + ".zip"
    contents = [
        Content(size=size, sha256="0" * 64, place=Place(pack, offset), modified=None)
        for size, offset in ((1 << 40, 0), (10, 1 << 62), (10, 30))
    ]
    (stretch,) = pack_stretches(enumerate(contents))
    assert (stretch.request.start, stretch.places) == (30, [(2, 0, 10)])


def test_an_authentication_that_raises_stopiteration_ends_its_read_alone(start: Start) -> None:
    class Raising(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            if str(request.url).endswith("/07"):
                raise StopIteration
            return request

    async def main(store: StaticStore) -> list[Any]:
        reads = map(store.read_async, ("06", "07", "08"))
        return await asyncio.gather(*reads, return_exceptions=True)

    with connected(start(site_of(VALUES)), connect={"auth": Raising()}) as store:
        before, error, after = run(main(store))
    assert (before, after) == (VALUES["06"], VALUES["08"])
    assert isinstance(error, RuntimeError)


def test_a_head_that_ends_in_the_whole_value_leaves_no_file_open(start: Start) -> None:
    def whole(request: Request, wire: Wire) -> None:
        if request.method == "HEAD":
            wire.response(500)
        else:
            wire.response(200, b"first", {"Content-Encoding": "br", "ETag": '"1"'})

    with connected(start(site_of({"a": b"first"}, a=whole))) as store:
        assert run(store.head_async("a")).etag == '"1"'
        gc.collect()  # of an open file, the garbage collector warns


def test_a_read_without_threads_ends_with_an_error(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        if self.name.startswith("staticstore"):
            raise RuntimeError("can't start new thread")
        begin(self)

    begin = threading.Thread.start
    with connected(start(site_of(VALUES))) as store:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            with pytest.raises(RuntimeError, match="thread"):
                run(store.read_async("07"))
        assert run(store.read_async("07")) == VALUES["07"]


def test_uvloop_may_be_the_loop(start: Start) -> None:
    uvloop = pytest.importorskip("uvloop")
    with (
        connected(start(site_of(VALUES))) as store,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        assert runner.run(gathered(*map(store.read_async, VALUES))) == list(VALUES.values())
