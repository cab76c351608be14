"""One value: what index and host say about it, and how many requests that costs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from staticstore import IntegrityError, StaticStore, TransportError, URLValue
from tests.client.scene import MemorySite
from tests.servers import Request, Wire
from tests.sites import entry

VALUE = bytes(range(256)) * 1000
KNOWN = entry(VALUE, modified="2026-11-20T12:00:00Z", media_type="image/tiff", nested={"list": [1]})
FACTS = ["size", "modified", "media_type", "etag"]


@pytest.fixture
def store(site: MemorySite) -> Iterator[StaticStore]:
    site.write({"known": KNOWN, "silent.csv": {}, "k e/y%.csv": {}})
    for key in ("known", "silent.csv"):
        site.files[f"data/{key}"] = VALUE
    with site.open() as connected:
        yield connected


def methods(site: MemorySite, key: str) -> list[str]:
    return [request.method for request in site.requests(f"data/{key}")]


# -- sources of facts -------------------------------------------------------------------------


def test_facts_in_the_index_need_no_request(site: MemorySite, store: StaticStore) -> None:
    value = store["known"]
    assert value.size == len(VALUE)
    assert value.modified == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert value.media_type == "image/tiff"
    assert value.sha256 == KNOWN["sha256"]
    assert value.metadata == KNOWN
    assert methods(site, "known") == []


def test_facts_missing_from_the_index_come_from_one_head_request(
    site: MemorySite, store: StaticStore
) -> None:
    value = store["silent.csv"]
    for _ in range(2):
        assert value.size == len(VALUE)
        assert value.modified == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
        assert value.media_type == "text/csv"
        assert value.etag is not None
    assert value.sha256 is None
    assert methods(site, "silent.csv") == ["HEAD"]


def test_once_the_data_is_open_facts_come_from_its_answer(
    site: MemorySite, store: StaticStore
) -> None:
    value = store["silent.csv"]
    with value:
        assert value.size == len(VALUE)
        assert value.media_type == "text/csv"
        assert value.etag is not None
        assert value.modified is not None
    assert methods(site, "silent.csv") == ["GET"]


def test_the_etag_always_comes_from_the_host(site: MemorySite, store: StaticStore) -> None:
    assert store["known"].etag == store["known"].etag is not None
    assert methods(site, "known") == ["HEAD", "HEAD"]


def test_facts_that_the_host_does_not_give_are_unknown(
    site: MemorySite, store: StaticStore
) -> None:
    def say_nothing(request: Request, wire: Wire) -> None:
        wire.response(200, VALUE, length=False)

    site.spoil(say_nothing, "data/silent.csv")
    value = store["silent.csv"]
    for _ in range(2):
        assert [getattr(value, fact) for fact in FACTS] == [None] * 4
    assert methods(site, "silent.csv") == ["HEAD", "GET"]


def test_the_length_of_a_compressed_answer_is_not_the_size(
    site: MemorySite, store: StaticStore
) -> None:
    def compress(request: Request, wire: Wire) -> None:
        wire.response(200, b"", {"Content-Encoding": "gzip", "Content-Length": "100"})

    site.spoil(compress, "data/silent.csv")
    assert store["silent.csv"].size is None


@pytest.mark.parametrize("length", ["-5", "5, 6", "five", "", "+5", "9" * 30])
def test_an_invalid_length_leaves_the_size_unknown(
    site: MemorySite, store: StaticStore, length: str
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
        wire.close()

    site.spoil(answer, "data/silent.csv")
    assert store["silent.csv"].size is None


@pytest.mark.parametrize("date", ["yesterday", "", "0", "Thu, 99 Nov 2026 12:00:00 GMT"])
def test_an_invalid_date_leaves_modified_unknown(
    site: MemorySite, store: StaticStore, date: str
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(200, b"", {"Last-Modified": date})

    site.spoil(answer, "data/silent.csv")
    assert store["silent.csv"].modified is None


def test_a_failed_question_is_asked_again(site: MemorySite, store: StaticStore) -> None:
    value = store["silent.csv"]
    site.spoil(lambda request, wire: wire.response(500), "data/silent.csv")
    with pytest.raises(TransportError):
        repr(value.size)
    site.restore()
    assert value.size == len(VALUE)


def test_url_key_and_repr_identify_the_value(site: MemorySite, store: StaticStore) -> None:
    value = store["k e/y%.csv"]
    assert value.key == "k e/y%.csv"
    assert value.url == f"{site.url}data/k%20e/y%25.csv"
    assert repr(value).startswith("<URLValue: 'k e/y%.csv'")


def test_the_repr_shows_size_and_media_type_of_the_index_without_a_request(
    site: MemorySite,
) -> None:
    site.write({"a": {"size": 12_345, "media_type": "image/tiff"}, "b": {"size": 1}, "c": {}})
    with site.open() as store:
        assert [repr(value) for value in store.values()] == [
            "<URLValue: 'a', 12.3 kB, image/tiff>",
            "<URLValue: 'b', 1 byte>",
            "<URLValue: 'c'>",
        ]
        assert [site.requests(f"data/{key}") for key in store] == [[], [], []]


def test_the_repr_escapes_unprintable_characters(site: MemorySite) -> None:
    site.write({"a\u2028b": {}})
    with site.open() as store:
        assert repr(store["a\u2028b"]) == "<URLValue: 'a\\u2028b'>"


def test_the_url_has_the_query_of_the_root_but_not_its_user(site: MemorySite) -> None:
    site.write({"a": {}})
    root = site.url.replace("http://", "http://ali:sesame@") + "?signature=1"
    with StaticStore(root, poll_interval=0) as store:
        assert store["a"].url == f"{site.url}data/a?signature=1"


def test_metadata_is_a_deep_copy_each_time(store: StaticStore) -> None:
    value = store["known"]
    value.metadata["nested"]["list"].append("mine")
    value.metadata.clear()
    assert value.metadata == KNOWN
    assert value.size == len(VALUE)
    assert store.get_metadata("known") == KNOWN


def test_a_value_belongs_to_its_snapshot(site: MemorySite, store: StaticStore) -> None:
    value = store["known"]
    other = b"other bytes"
    site.files["data/known"] = other
    site.write({"known": entry(other)})
    store.update_index()
    assert value.metadata == KNOWN
    with pytest.raises(IntegrityError):
        value.read()
    assert store["known"].read() == other


# -- data -------------------------------------------------------------------------------------


def test_nothing_is_requested_before_it_is_needed(site: MemorySite, store: StaticStore) -> None:
    store["known"]
    store.get("known")
    assert methods(site, "known") == []


def test_data_is_a_single_stream(site: MemorySite, store: StaticStore) -> None:
    value = store["known"]
    with value.data as stream:
        assert value.data is stream
        stream.read(10)
        assert value.data.read() == VALUE[10:]
    assert methods(site, "known") == ["GET"]


def test_data_is_reopened_after_it_was_closed(site: MemorySite, store: StaticStore) -> None:
    value = store["known"]
    for _ in range(2):
        with value.data as stream:
            assert stream.read() == VALUE
    assert methods(site, "known") == ["GET", "GET"]


def test_a_with_block_returns_the_data_and_closes_it(store: StaticStore) -> None:
    with store["known"] as stream:
        assert isinstance(stream, io.BufferedIOBase)
        assert stream.readable()
        assert stream.read(3) == VALUE[:3]
    assert stream.closed
    with pytest.raises(ValueError, match="closed"):
        stream.read()


def test_a_with_block_closes_the_data_even_after_an_error(store: StaticStore) -> None:
    with pytest.raises(ZeroDivisionError), store["known"] as stream:
        raise ZeroDivisionError
    assert stream.closed


def test_a_with_block_may_close_the_data_itself(store: StaticStore) -> None:
    value = store["known"]
    with value as stream:
        stream.close()
    assert value.data.read() == VALUE


def test_leaving_a_block_that_was_never_entered_does_nothing(store: StaticStore) -> None:
    store["known"].__exit__(None, None, None)


def test_reading_the_whole_value_does_not_touch_the_stream(
    site: MemorySite, store: StaticStore
) -> None:
    value = store["known"]
    with value.data as stream:
        stream.read(5)
        assert value.read() == VALUE
        assert stream.read() == VALUE[5:]


# -- pieces, ranges, files --------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, 256_000, 256_001, 1 << 20])
def test_pieces_have_the_requested_size(store: StaticStore, size: int) -> None:
    value = store["known"]
    pieces = [piece for piece, _ in zip(value.iterdata(size), range(300), strict=False)]
    expected = [VALUE[start : start + size] for start in range(0, len(VALUE), size)][:300]
    assert pieces == expected


@pytest.mark.parametrize("size", [0, -1])
def test_an_invalid_piece_size_is_a_value_error_immediately(store: StaticStore, size: int) -> None:
    with pytest.raises(ValueError, match="buffer_size"):
        store["known"].iterdata(size)


def test_unused_pieces_make_no_request(site: MemorySite, store: StaticStore) -> None:
    store["known"].iterdata()
    assert methods(site, "known") == []


def test_progress_ends_with_the_total_number_of_bytes(store: StaticStore, tmp_path: Path) -> None:
    received: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        received.append((done, total))

    list(store["known"].iterdata(100_000, progress))
    assert received == [(100_000, 256_000), (200_000, 256_000), (256_000, 256_000)]
    store.to_file("known", tmp_path / "known", progress)
    assert received[-1] == (256_000, 256_000)


class Whole:
    def __init__(self, number: int) -> None:
        self._number = number

    def __index__(self) -> int:
        return self._number


def test_bounds_may_be_of_any_integer_type(store: StaticStore) -> None:
    bounds: Any = Whole(2), Whole(5)
    assert store["known"].range(*bounds).read() == VALUE[2:5]


@pytest.mark.parametrize("bounds", [("1", 3), (None, 2.0), (b"1",), ([1],)], ids=repr)
def test_a_bound_of_another_type_is_a_type_error(
    site: MemorySite, store: StaticStore, bounds: Any
) -> None:
    with pytest.raises(TypeError):
        store["known"].range(*bounds)
    assert methods(site, "known") == []


def test_a_range_is_one_request(site: MemorySite, store: StaticStore) -> None:
    with store["known"].range(-3) as stream:
        assert stream.read() == VALUE[-3:]
    assert [request.headers["Range"] for request in site.requests("data/known")] == [
        "bytes=255997-255999"
    ]


@pytest.mark.parametrize("bounds", [(3, 3), (5, 2), (256_000, None), (0, 0), (0, -256_000)])
def test_an_empty_range_makes_no_request(
    site: MemorySite, store: StaticStore, bounds: tuple[int, int | None]
) -> None:
    with store["known"].range(*bounds) as stream:
        assert stream.read() == b""
    assert methods(site, "known") == []


def test_a_file_is_replaced_as_a_whole(store: StaticStore, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    store["known"].to_file(str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == VALUE
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_stays_unchanged_if_the_new_value_is_wrong_or_missing(
    site: MemorySite, store: StaticStore, tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    site.files["data/known"] = VALUE[:-1] + b"?"
    with pytest.raises(IntegrityError):
        store["known"].to_file(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_missing_folder_is_an_os_error(store: StaticStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store["known"].to_file(tmp_path / "nowhere" / "a")


def test_two_values_of_a_key_have_separate_streams(store: StaticStore) -> None:
    one, other = store["known"], store["known"]
    assert isinstance(one, URLValue)
    with one as first, other as second:
        assert first is not second
        assert first.read(10) == second.read(10)
