"""Parts of many values: in the order asked, all requested together, each value as by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from staticstore import HTTPStatusError, IntegrityError, JoinedStore, StaticStore
from tests.engines import ENGINES, sending_by
from tests.servers import Answer, RawServer, Request, Wire, serve_files
from tests.sites import index_of

Start = Callable[..., RawServer]

VALUES = {f"v{number}": bytes([number]) * 50 + bytes(range(200)) * 100 for number in range(20)}
FILES = {"index.json": index_of(VALUES), **{f"data/{k}": v for k, v in VALUES.items()}}
SITE = serve_files(FILES)
PARTS = [(key, start, start + 10) for start in (9000, 0, 15_000) for key in reversed(VALUES)]


@pytest.fixture(params=ENGINES, autouse=True)
def engine(request: pytest.FixtureRequest) -> Iterator[None]:
    with sending_by(request.param):
        yield


def connected(server: RawServer, **options: Any) -> StaticStore:
    return StaticStore(server.url, poll_interval=0, **options).connect(retries=0)


def right(parts: list[tuple[str, int, int]]) -> list[bytes]:
    return [VALUES[key][start:end] for key, start, end in parts]


def test_parts_come_in_the_order_asked(start: Start) -> None:
    with connected(start(SITE)) as store:
        assert store.get_ranges_many(PARTS) == right(PARTS)


def test_no_parts_take_no_request(start: Start) -> None:
    server = start(SITE)
    with connected(server) as store:
        assert store.get_ranges_many([]) == []
        assert store.get_ranges_many([("v1", 5, 5), ("v2", 30_000, None)]) == [b"", b""]
    assert len(server.requests) == 1


def test_bounds_are_those_of_slices(start: Start) -> None:
    parts = [("v3", -5, None), ("v4", None, 3), ("v3", 4, -20_000), ("v4", 20_040, 99_999)]
    with connected(start(SITE)) as store:
        found = store.get_ranges_many(parts)
    assert found == [VALUES[key][first:last] for key, first, last in parts]


def test_near_parts_of_a_value_share_a_request(start: Start) -> None:
    server = start(SITE)
    with connected(server) as store:
        store.get_ranges_many([("v1", 0, 5), ("v2", 0, 5), ("v1", 9, 12), ("v1", 9000, 9001)])
        wide = len(server.requests)
        store.get_ranges_many([("v1", 0, 5), ("v1", 9, 12)], max_gap=0)
    assert sorted((one.path, one.range) for one in server.requests[1:wide]) == [
        ("/data/v1", (0, 12)),
        ("/data/v1", (9000, 9001)),
        ("/data/v2", (0, 5)),
    ]
    assert len(server.requests) - wide == 2


def test_a_key_that_is_missing_is_said_before_any_request(start: Start) -> None:
    server = start(SITE)
    with connected(server) as store, pytest.raises(KeyError, match="nothing"):
        store.get_ranges_many([("v1", 0, 5), ("nothing", 0, 5)])
    assert len(server.requests) == 1


def test_a_bound_that_is_no_integer_is_refused_before_any_request(start: Start) -> None:
    server = start(SITE)
    with connected(server) as store, pytest.raises(TypeError):
        store.get_ranges_many([("v1", 0, 5), ("v2", 0.5, 5)])  # type: ignore[list-item]
    assert len(server.requests) == 1


def test_parts_of_all_values_are_requested_together(start: Start) -> None:
    together, waiting = threading.Event(), []

    def waits(request: Request, wire: Wire) -> None:
        if request.path.startswith("/data/"):
            waiting.append(request)
            if len(waiting) == len(VALUES):
                together.set()
            wire.wait(together)
        SITE(request, wire)

    with connected(start(waits)) as store:
        parts = [(key, 0, 10) for key in VALUES]
        assert store.get_ranges_many(parts) == right(parts)


def test_a_value_that_is_covered_is_verified(start: Start) -> None:
    other = VALUES["v1"][:-1] + b"x"
    spoilt = serve_files({**FILES, "data/v1": other})
    with connected(start(spoilt)) as store:
        assert store.get_ranges_many([("v1", 0, 10)]) == [other[:10]]
        with pytest.raises(IntegrityError):
            store.get_ranges_many([("v2", 0, 10), ("v1", 0, 5000), ("v1", 5000, None)])


def moved(request: Request, wire: Wire) -> None:
    wire.response(302, headers={"Location": request.target.replace("/data/", "/moved/")})


MOVED = {f"moved/{key}": value for key, value in VALUES.items()}
UNKNOWN_SIZES = b"{%s}" % b",".join(b'"%s":{}' % key.encode() for key in VALUES)
SLOW_WAYS: dict[str, Answer] = {
    "without ranges": serve_files(FILES, ranges=False),
    "redirected": serve_files(FILES | MOVED).but({f"data/{key}": moved for key in VALUES}),
    "sizes unknown": serve_files(FILES | {"index.json": UNKNOWN_SIZES}),
}


@pytest.mark.parametrize("site", SLOW_WAYS.values(), ids=list(SLOW_WAYS))
def test_values_are_read_as_by_themselves_where_the_fast_way_fails(
    start: Start, site: Answer
) -> None:
    with connected(start(site)) as store:
        assert store.get_ranges_many(PARTS) == right(PARTS)


def test_the_error_of_a_value_names_its_key(start: Start) -> None:
    def gone(request: Request, wire: Wire) -> None:
        wire.response(404)

    server = start(SITE.but({"data/v7": gone}))
    with connected(server) as store, pytest.raises(HTTPStatusError) as caught:
        store.get_ranges_many(PARTS)
    assert caught.value.key == "v7"


def test_parts_of_a_view_come_from_all_its_members(start: Start) -> None:
    others = {"other": b"0123456789"}
    more = serve_files({"index.json": index_of(others), "data/other": others["other"]})
    with connected(start(SITE)) as store, connected(start(more)) as second:
        view = JoinedStore([store, second])
        found = view.get_ranges_many([("v1", 0, 10), ("other", 3, 6), ("v2", 0, 10)])
    assert found == [VALUES["v1"][:10], b"345", VALUES["v2"][:10]]


def test_parts_of_a_folder_are_read(tmp_path: Any) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "index.json").write_bytes(index_of(VALUES))
    for key, value in VALUES.items():
        (tmp_path / "data" / key).write_bytes(value)
    with StaticStore(tmp_path, poll_interval=0) as store:
        assert store.get_ranges_many(PARTS) == right(PARTS)


def test_parts_come_from_a_copy_while_the_first_root_is_down(start: Start) -> None:
    first, copy = start(SITE), start(SITE)
    with StaticStore([first.url, copy.url], poll_interval=0).connect(retries=0) as store:
        first.stop()
        assert store.get_ranges_many(PARTS) == right(PARTS)
        assert store.get_ranges_many(PARTS) == right(PARTS)
