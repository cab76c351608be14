"""FAULTS C26 to C28: compressed copies of values, for every way to read a value."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from staticstore import IntegrityError, StaticStore
from staticstore import zstd as zstd_module
from tests.compressed import VALUE, copy_of, described, frames_of, href_of, skippable, zstd
from tests.engines import ENGINES, sending_by
from tests.faults.conftest import Opened
from tests.servers import Files, Request, Wire, serve_files

COPY = copy_of(VALUE)
SIZE = len(VALUE)
Read = Callable[[StaticStore], bytes]


def site_of(
    copy: bytes, entry: dict[str, Any] | None = None, *, served: bytes | None = None
) -> dict[str, bytes]:
    """Return the files of a site with one value, and its copy; `served` has its name."""
    index = {"a.json": described(VALUE, copy) if entry is None else entry}
    files = {"index.json": json.dumps(index).encode(), "data/a.json": VALUE}
    return {**files, href_of(copy): copy if served is None else served}


def paths(server: Any) -> list[str]:
    return [request.path for request in server.requests if request.path != "/index.json"]


def _to_file(store: StaticStore, folder: Path) -> bytes:
    store["a.json"].to_file(folder / "a.json")
    return (folder / "a.json").read_bytes()


def _async(store: StaticStore) -> bytes:
    async def read() -> bytes:
        return await store.read_async("a.json")

    return asyncio.run(read())


def _opened(store: StaticStore) -> bytes:
    with store["a.json"].open() as file:
        return file.read()


def _by_pieces(store: StaticStore) -> bytes:
    with store["a.json"].open() as file:
        return b"".join(iter(lambda: file.read(50_000), b""))


def _ranges(store: StaticStore) -> bytes:
    return b"".join(store.get_ranges("a.json", [(0, 500_000), (500_000, SIZE)]))


def _range(store: StaticStore) -> bytes:
    value = store["a.json"]
    with value.range(0, 600_000) as first, value.range(600_000) as second:
        return first.read() + second.read()


WAYS: dict[str, Read] = {
    "read": lambda store: store["a.json"].read(),
    "data": lambda store: store.get_data("a.json").read(),
    "iterdata": lambda store: b"".join(store["a.json"].iterdata()),
    "read_many": lambda store: dict(store.read_many(["a.json"]))["a.json"],
    "read_async": _async,
    "open": _opened,
    "open by pieces": _by_pieces,
    "get_ranges": _ranges,
    "range": _range,
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Read:
    return WAYS[request.param]


# C26: what is read


def test_a_value_is_read_by_its_copy(opened: Opened, way: Read) -> None:
    """C26: the host gives only the copy."""
    files = site_of(COPY)
    store, server = opened(serve_files(files))
    assert way(store) == VALUE
    assert set(paths(server)) == {f"/{href_of(COPY)}"}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1 << 16, 6 << 20])
def test_many_values_are_read_by_their_copies(opened: Opened, engine: str, size: int) -> None:
    values = {f"{number}.json": (b"%d," % number) * (size // 2) for number in range(3)}
    copies = {key: copy_of(value) for key, value in values.items()}
    files = {href_of(copy): copy for copy in copies.values()}
    index = {key: described(value, copies[key]) for key, value in values.items()}
    store, server = opened(serve_files({**files, "index.json": json.dumps(index).encode()}))
    with sending_by(engine):
        assert dict(store.read_many(values)) == values
    assert not any(path.startswith("/data/") for path in paths(server))


def test_a_copy_is_downloaded_into_a_file(opened: Opened, tmp_path: Path) -> None:
    store, server = opened(serve_files(site_of(COPY)))
    assert _to_file(store, tmp_path) == VALUE
    assert paths(server) == [f"/{href_of(COPY)}"]


def test_a_range_reads_only_the_frames_that_it_needs(opened: Opened) -> None:
    """C26: the seek table, once, and the frames."""
    store, server = opened(serve_files(site_of(COPY)))
    frames = frames_of(VALUE)
    for start, end in ((300_000, 700_000), (100_000, 500_000)):
        with store.get_data_range("a.json", start, end) as part:
            assert part.read() == VALUE[start:end]
    asked = [request.headers["Range"] for request in server.requests[1:]]
    first, second, third = (len(frame) for frame in frames[:3])
    assert asked[1:] == [
        f"bytes={first}-{first + second + third - 1}",
        f"bytes=0-{first + second - 1}",
    ]
    assert len(asked) == 3


def test_a_short_range_is_read_without_the_copy(opened: Opened) -> None:
    """C26: a few bytes are fewer than a frame."""
    store, server = opened(serve_files(site_of(COPY)))
    with store.get_data_range("a.json", 500_000, 500_010) as part:
        assert part.read() == VALUE[500_000:500_010]
    assert paths(server) == ["/data/a.json"]


@pytest.mark.parametrize("parts", [[(0, 10), (900_000, 900_010)], [(0, 400_000), (500_000, SIZE)]])
def test_ranges_are_read_in_the_shorter_way(opened: Opened, parts: list[tuple[int, int]]) -> None:
    store, server = opened(serve_files(site_of(COPY)))
    assert store.get_ranges("a.json", parts) == [VALUE[start:end] for start, end in parts]
    is_short = parts[0][1] == 10
    assert all(path.startswith("/data/") == is_short for path in paths(server))


def test_a_long_range_is_read_by_the_copy_without_waiting(opened: Opened) -> None:
    async def read(store: StaticStore) -> bytes:
        return await store.get_range_async("a.json", 100_000, 900_000)

    store, server = opened(serve_files(site_of(COPY)))
    assert asyncio.run(read(store)) == VALUE[100_000:900_000]
    assert set(paths(server)) == {f"/{href_of(COPY)}"}


def test_a_value_read_by_its_copy_is_kept_in_the_cache(tmp_path: Path, opened: Opened) -> None:
    _, server = opened(serve_files(site_of(COPY)))
    again = StaticStore(server.url, poll_interval=0, cache=tmp_path).connect(retries=0)
    with again:
        assert again["a.json"].read() == VALUE
    with again:
        assert again["a.json"].read() == VALUE
    assert paths(server).count(f"/{href_of(COPY)}") == 1


def test_the_media_type_and_the_tag_are_never_those_of_the_copy(opened: Opened) -> None:
    store, _ = opened(serve_files(site_of(COPY)))
    value = store["a.json"]
    assert value.read() == value.data.read()
    tag, kind = value.etag, value.media_type
    assert kind == "application/json"
    assert tag is not None
    assert hashlib.sha256(VALUE).hexdigest().startswith(tag.strip('"'))


def test_the_field_is_hidden_and_no_update(opened: Opened) -> None:
    files = site_of(COPY)
    store, _ = opened(serve_files(files))
    assert "stored" not in store.get_metadata("a.json")
    files["index.json"] = json.dumps({"a.json": described(VALUE, copy_of(VALUE[:9]))}).encode()
    assert not store.update_index()


@pytest.mark.parametrize(
    "stored",
    [
        "attic",
        ["zstd", 3],
        ["br", 3, "ab" * 32],
        ["zstd", -1, "ab" * 32],
        ["zstd", True, "ab" * 32],
        ["zstd", 3, "../" + "ab" * 31],
        ["zstd", 1 << 63, "ab" * 32],
    ],
)
def test_any_other_shape_is_plain_metadata(opened: Opened, stored: Any) -> None:
    """C26: and the value is read."""
    entry = {**described(VALUE, COPY), "stored": stored}
    store, _ = opened(serve_files(site_of(COPY, entry)))
    assert store.get_metadata("a.json")["stored"] == stored
    assert store["a.json"].read() == VALUE


# C27: the value itself, whatever is wrong with the copy


def _with_wrong_table() -> bytes:
    frames = frames_of(VALUE)
    frames[0], frames[1] = frames[1], frames[0]
    return copy_of(VALUE, frames)


# What is right as far as a part shows: only the digest of the whole tells.
WRONG_AS_A_WHOLE = {
    "of another value": (copy_of(VALUE[::-1]), None),
    "frames in another order": (_with_wrong_table(), None),
}
WRONG = {
    "garbage": (COPY[:-30] + b"x" * 30, None),
    "without a seek table": (zstd.compress(VALUE), None),
    "trailing garbage": (COPY + b"trailing", None),
    "a skippable frame of 4 GiB": (COPY + skippable(b"", 0xFFFFFFFF), None),
    "more than the value": (copy_of(VALUE + VALUE), None),
    "less than the value": (copy_of(VALUE[:-1]), None),
    "a bomb": (zstd.compress(bytes(1 << 28)), None),
    "replaced on the host": (COPY, copy_of(VALUE[::-1])),
    "cut short on the host": (COPY, COPY[:-1000]),
    "a page": (COPY, b"<html>sign in</html>" * 100),
    "of the same size": (COPY, COPY[:50_000] + bytes([COPY[50_000] ^ 1]) + COPY[50_001:]),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_copy_leads_to_the_value_itself(opened: Opened, way: Read, wrong: str) -> None:
    """C27: each way ends with the right bytes, and parts do not mix."""
    copy, served = WRONG[wrong]
    store, _ = opened(serve_files(site_of(copy, served=served)))
    assert way(store) == VALUE


@pytest.mark.parametrize("wrong", WRONG_AS_A_WHOLE)
def test_a_copy_that_is_wrong_as_a_whole_gives_no_whole_value(
    opened: Opened, way: Read, wrong: str
) -> None:
    """C27: as for a value that the host has replaced, single parts are not verified."""
    copy, _ = WRONG_AS_A_WHOLE[wrong]
    store, _ = opened(serve_files(site_of(copy)))
    if way is WAYS["range"]:
        pytest.skip("parts cannot be verified")
    if way in (WAYS["data"], WAYS["iterdata"], WAYS["open by pieces"]):  # bytes were given
        with pytest.raises(IntegrityError):
            way(store)
    else:
        assert way(store) == VALUE


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_is_right_whatever_is_wrong_with_the_copy(
    opened: Opened, tmp_path: Path, wrong: str
) -> None:
    copy, served = WRONG[wrong]
    store, _ = opened(serve_files(site_of(copy, served=served)))
    assert _to_file(store, tmp_path) == VALUE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 416, 500, 503])
def test_a_copy_that_the_host_refuses_leads_to_the_value(
    opened: Opened, way: Read, status: int
) -> None:
    """C27: as an upload that left the folder out."""

    def refuse(request: Request, wire: Wire) -> None:
        wire.response(status)

    files = serve_files(site_of(COPY)).but({href_of(COPY): refuse})
    store, _ = opened(files)
    assert way(store) == VALUE


def test_a_host_without_ranges_gives_parts_of_the_value(opened: Opened, way: Read) -> None:
    store, _ = opened(serve_files(site_of(COPY), ranges=False))
    assert way(store) == VALUE


def test_a_copy_that_breaks_off_is_resumed(opened: Opened) -> None:
    """C27: at the byte reached, as its digest binds the parts."""
    good: Files = serve_files(site_of(COPY))

    def cut(request: Request, wire: Wire) -> None:
        if "Range" in request.headers:
            good(request, wire)
        else:
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(COPY))
            wire.send(COPY[:60_000])
            wire.close()

    store, server = opened(good.but({href_of(COPY): cut}), retries=2)
    assert store["a.json"].read() == VALUE
    assert "/data/a.json" not in paths(server)


def test_a_bad_value_is_an_error_in_spite_of_a_good_copy_of_it(opened: Opened, way: Read) -> None:
    """C27: the index describes neither the copy's bytes nor the host's."""
    entry = {**described(VALUE, COPY), "sha256": "ab" * 32}
    store, _ = opened(serve_files(site_of(COPY, entry)))
    if way is WAYS["range"]:
        pytest.skip("parts cannot be verified")
    with pytest.raises(IntegrityError):
        way(store)


def test_after_failures_the_copies_are_left_alone_for_a_time(opened: Opened) -> None:
    """C27: a site whose folder of copies was not uploaded costs few requests more."""
    values = {f"{number}.json": VALUE + b"%d" % number for number in range(8)}
    copies = {key: copy_of(value) for key, value in values.items()}
    index = {key: described(value, copies[key]) for key, value in values.items()}
    files = {f"data/{key}": value for key, value in values.items()}
    store, server = opened(serve_files({**files, "index.json": json.dumps(index).encode()}))
    for key, value in values.items():
        assert store[key].read() == value
    assert sum(path.startswith("/stored/") for path in paths(server)) == 3


# C28: readers that cannot


def test_a_reader_without_the_extra_takes_the_value(
    opened: Opened, way: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C28: as one that knows nothing of copies."""
    monkeypatch.setattr(zstd_module, "find_zstd", lambda: None)
    store, server = opened(serve_files(site_of(COPY)))
    assert way(store) == VALUE
    assert set(paths(server)) == {"/data/a.json"}


@pytest.mark.parametrize(
    "fields", [{"size": None}, {"sha256": None}, {"size": 100}, {"size": 1 << 50}]
)
def test_a_copy_of_a_value_of_unknown_bytes_is_not_read(
    opened: Opened, fields: dict[str, Any]
) -> None:
    """C28: nor one that is longer than the value, or would grow beyond measure."""
    entry = {**described(VALUE, COPY), **fields}
    store, server = opened(serve_files(site_of(COPY, entry)))
    with contextlib.suppress(IntegrityError):
        store["a.json"].read()
    assert f"/{href_of(COPY)}" not in paths(server)
