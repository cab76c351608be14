"""A site as a store of obspec: its protocols, its errors, and what obspec-utils does with it."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, TypeVar

import pytest

from staticstore import IntegrityError, JoinedStore, StaticStore, StoreError, TransportError
from staticstore.interop.obspec import ObspecStore
from tests.client.scene import TIMEOUT, MemorySite
from tests.client.test_async import run
from tests.servers import Request, Wire
from tests.sites import entry

obspec = pytest.importorskip("obspec")
pytest.importorskip("obspec_utils")

from obspec.exceptions import map_exception  # noqa: E402
from obspec_utils.glob import glob  # noqa: E402
from obspec_utils.protocols import ReadableFile, ReadableStore  # noqa: E402
from obspec_utils.readers import (  # noqa: E402
    BlockStoreReader,
    BufferedStoreReader,
    EagerStoreReader,
)
from obspec_utils.registry import ObjectStoreRegistry  # noqa: E402
from obspec_utils.wrappers import (  # noqa: E402
    CachingReadableStore,
    RequestTrace,
    SplittingReadableStore,
    TracingReadableStore,
)

T = TypeVar("T")

TIME = "2026-11-20T12:00:00Z"
MODIFIED = datetime(2026, 11, 20, 12, tzinfo=UTC)
VALUES = {
    "a/1.bin": bytes(range(200)),
    "a/b/2.bin": b"two",
    "a/b/c/3.bin": b"three",
    "a/bc.bin": b"",
    "d.bin": b"4",
}


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite() as site:
        site.write({k: entry(v, modified=TIME) for k, v in VALUES.items()})
        site.files.update({f"data/{key}": value for key, value in VALUES.items()})
        yield site


@pytest.fixture
def store(site: MemorySite, stack: ExitStack) -> StaticStore:
    store = site.open()
    stack.callback(store.disconnect)
    return store


@pytest.fixture
def objects(store: StaticStore) -> ObspecStore:
    return ObspecStore(store)


#: Both ways to call a method of the store: as it is, and awaited.
Do = Callable[..., Any]


@pytest.fixture(params=["called", "awaited"])
def do(request: pytest.FixtureRequest, objects: ObspecStore) -> Do:
    def called(name: str, *args: Any, **kwargs: Any) -> Any:
        return getattr(objects, name)(*args, **kwargs)

    def awaited(name: str, *args: Any, **kwargs: Any) -> Any:
        async def main() -> Any:
            return await getattr(objects, f"{name}_async")(*args, **kwargs)

        return run(main())

    return called if request.param == "called" else awaited


# Protocols


def test_it_is_a_readable_store(objects: ObspecStore) -> None:
    assert isinstance(objects, ReadableStore)


def test_a_head_is_what_the_index_says_without_a_request(site: MemorySite, do: Do) -> None:
    before = len(site.server.requests)
    assert do("head", "a/1.bin") == {
        "path": "a/1.bin",
        "last_modified": MODIFIED,
        "size": 200,
        "e_tag": f'"{entry(VALUES["a/1.bin"])["sha256"]}"',
        "version": None,
    }
    assert len(site.server.requests) == before


def test_the_host_is_asked_for_what_the_index_does_not_say(
    site: MemorySite, store: StaticStore
) -> None:
    site.write({key: {} for key in VALUES})
    store.update_index()
    for meta in (ObspecStore(store).head("d.bin"), run(ObspecStore(store).head_async("d.bin"))):
        assert meta["size"] == 1
        assert meta["e_tag"] == store["d.bin"].etag
        assert meta["last_modified"] == store["d.bin"].modified
    sizes = [meta["size"] for some in ObspecStore(store).list() for meta in some]
    assert sizes == list(map(len, VALUES.values()))


def test_a_time_that_nobody_says_is_the_beginning_of_1970(
    site: MemorySite, store: StaticStore
) -> None:
    site.write({"d.bin": entry(b"4")})
    store.update_index()
    site.spoil(lambda _, wire: wire.response(200, b"4"), "data/d.bin")
    assert ObspecStore(store).head("d.bin")["last_modified"] == datetime(1970, 1, 1, tzinfo=UTC)


# Whole values


def buffer_of(result: Any) -> bytes:
    """Return the bytes, of which both ways to read them have to be the same."""
    body = result.buffer()
    assert run(result.buffer_async()) == run(result.bytes_async()) == result.bytes() == body
    assert b"".join(result) == body
    assert run(_joined(result)) == body
    return bytes(body)


async def _joined(pieces: Any) -> bytes:
    return b"".join([piece async for piece in pieces])


def test_a_value_is_read_whole(do: Do) -> None:
    result = do("get", "a/1.bin")
    assert buffer_of(result) == VALUES["a/1.bin"]
    assert (result.range, result.meta["size"]) == ((0, 200), 200)


def test_the_media_type_is_an_attribute(site: MemorySite, store: StaticStore) -> None:
    site.write({"d.bin": entry(b"4", media_type="image/tiff")})
    assert ObspecStore(store).get("d.bin").attributes == {}
    store.update_index()
    assert ObspecStore(store).get("d.bin").attributes == {"Content-Type": "image/tiff"}


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ((10, 20), (10, 20)),
        ([190, 1000], (190, 200)),
        ({"offset": 150}, (150, 200)),
        ({"suffix": 30}, (170, 200)),
        ({"suffix": 300}, (0, 200)),
        ({"suffix": 0}, (200, 200)),
    ],
)
def test_a_part_of_a_value_is_read(do: Do, wanted: Any, part: tuple[int, int]) -> None:
    result = do("get", "a/1.bin", options={"range": wanted})
    assert result.range == part
    assert buffer_of(result) == VALUES["a/1.bin"][slice(*part)]


@pytest.mark.parametrize("wanted", [(3, 3), (200, 201), (-2, 3), {"offset": 200}])
def test_a_part_that_is_not_there_is_an_error(do: Do, wanted: Any) -> None:
    with pytest.raises(ValueError, match="of a value of 200 bytes"):
        do("get", "a/1.bin", options={"range": wanted})


def test_a_negative_suffix_is_an_error(do: Do) -> None:
    with pytest.raises(ValueError, match="0 or more bytes"):
        do("get", "a/1.bin", options={"range": {"suffix": -3}})


def test_a_head_has_no_bytes(do: Do) -> None:
    result = do("get", "a/1.bin", options={"head": True})
    assert (buffer_of(result), result.meta["size"]) == (b"", 200)


def test_a_stream_has_pieces_of_the_size_that_is_asked_for(objects: ObspecStore) -> None:
    result = objects.get("a/1.bin")
    assert [len(piece) for piece in result.stream(80)] == [80, 80, 40]
    part = objects.get("a/1.bin", options={"range": (0, 100)})
    assert [len(piece) for piece in part.stream(80)] == [80, 20]
    with pytest.raises(ValueError, match="min_chunk_size"):
        result.stream(0)


def test_a_stream_does_not_end_with_bytes_that_are_wrong(
    site: MemorySite, objects: ObspecStore
) -> None:
    site.files["data/a/1.bin"] = bytes(200)
    for read in (lambda: list(objects.get("a/1.bin")), lambda: objects.get("a/1.bin").buffer()):
        with pytest.raises(IntegrityError):
            read()
    with pytest.raises(IntegrityError):
        run(objects.get("a/1.bin").buffer_async())


def test_an_awaited_stream_does_not_block_the_loop(site: MemorySite, objects: ObspecStore) -> None:
    may_end = threading.Event()

    def slow(request: Request, wire: Wire) -> None:
        assert may_end.wait(TIMEOUT)
        site.good(request, wire)

    site.spoil(slow, "data/a/1.bin")

    async def main() -> bytes:
        reading = asyncio.create_task(_joined(objects.get("a/1.bin")))
        await asyncio.sleep(0)
        may_end.set()
        return await reading

    assert run(main()) == VALUES["a/1.bin"]


# Conditions

TAG = f'"{entry(VALUES["d.bin"])["sha256"]}"'


@pytest.mark.parametrize(
    "options",
    [
        {"if_match": TAG},
        {"if_match": f'"x", {TAG}'},
        {"if_match": "*"},
        {"if_none_match": '"x"'},
        {"if_unmodified_since": MODIFIED},
        {"if_modified_since": MODIFIED - timedelta(seconds=1)},
        # Conditions with a tag come first.
        {"if_match": TAG, "if_unmodified_since": MODIFIED - timedelta(seconds=1)},
        {"if_none_match": '"x"', "if_modified_since": MODIFIED},
        {"if_match": None, "range": None, "version": None},
    ],
)
def test_a_condition_is_fulfilled(do: Do, options: Mapping[str, Any]) -> None:
    assert buffer_of(do("get", "d.bin", options=options)) == b"4"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"if_match": '"x"'}, "PreconditionError"),
        ({"if_unmodified_since": MODIFIED - timedelta(seconds=1)}, "PreconditionError"),
        ({"if_none_match": f"W/{TAG}"}, "NotModifiedError"),
        ({"if_none_match": "*"}, "NotModifiedError"),
        ({"if_modified_since": MODIFIED}, "NotModifiedError"),
        ({"version": "1"}, "NotSupportedError"),
    ],
)
def test_a_condition_is_not_fulfilled(do: Do, options: Mapping[str, Any], name: str) -> None:
    with pytest.raises(StoreError) as caught:
        do("get", "d.bin", options=options)
    assert type(map_exception(caught.value)) is getattr(obspec.exceptions, name)


# Parts


def test_parts_are_read_by_end_or_length(do: Do) -> None:
    value = VALUES["a/1.bin"]
    assert do("get_range", "a/1.bin", start=3, end=7) == value[3:7]
    assert do("get_range", "a/1.bin", start=195, length=100) == value[195:]
    parts = do("get_ranges", "a/1.bin", starts=[150, 0, 20], ends=[160, 10, 1000])
    assert parts == [value[150:160], value[:10], value[20:]]
    assert do("get_ranges", "a/1.bin", starts=[1], lengths=[2]) == [value[1:3]]


@pytest.mark.parametrize(
    "bounds", [{}, {"end": 3}, {"length": 0}, {"start": 200, "end": 201}, {"start": -3, "end": 2}]
)
def test_parts_that_are_not_there_are_errors(do: Do, bounds: Mapping[str, int]) -> None:
    with pytest.raises(ValueError, match=r"an end or a length|no range"):
        do("get_range", "a/1.bin", **{"start": 3, **bounds})


@pytest.mark.parametrize("name", ["ends", "lengths"])
def test_as_many_ends_as_starts_are_needed(do: Do, name: str) -> None:
    with pytest.raises(ValueError, match=f"2 starts, but 1 {name}"):
        do("get_ranges", "a/1.bin", starts=[0, 4], **{name: [2]})


def test_an_option_that_is_not_known_is_refused(objects: ObspecStore) -> None:
    with pytest.raises(TypeError, match="no such option: 'rnage'; there are head, if_match"):
        objects.get("a/1.bin", options={"rnage": (0, 4)})


def test_parts_that_are_near_share_a_request(site: MemorySite, do: Do) -> None:
    do("get_ranges", "a/1.bin", starts=[0, 50, 100], lengths=[10, 10, 10])
    assert [one.headers["Range"] for one in site.requests("data/a/1.bin")] == ["bytes=0-109"]


# Errors


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "UnauthenticatedError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (407, "UnauthenticatedError"),
        (410, "NotFoundError"),
    ],
)
def test_z6_a_refusal_has_the_name_that_obspec_knows(
    site: MemorySite, objects: ObspecStore, status: int, name: str
) -> None:
    site.spoil(lambda _, wire: wire.response(status, b""), "data/d.bin")
    reads: list[Callable[[], Any]] = [
        lambda: objects.get("d.bin").buffer(),
        lambda: run(objects.get("d.bin").buffer_async()),
        lambda: list(objects.get("d.bin")),
        lambda: run(_joined(objects.get("d.bin"))),
        lambda: objects.get_range("d.bin", start=0, end=1),
        lambda: run(objects.get_range_async("d.bin", start=0, end=1)),
        lambda: run(objects.get_ranges_async("d.bin", starts=[0], ends=[1])),
    ]
    for read in reads:
        with pytest.raises(StoreError) as caught:
            read()
        assert type(map_exception(caught.value)) is getattr(obspec.exceptions, name)
        assert (caught.value.status, caught.value.key) == (status, "d.bin")
        assert pickle.loads(pickle.dumps(caught.value)).status == status


def test_another_failure_is_an_error_of_ours(site: MemorySite, objects: ObspecStore) -> None:
    site.spoil(lambda _, wire: wire.response(500, b""), "data/d.bin")
    with pytest.raises(TransportError) as caught:
        objects.get("d.bin").buffer()
    assert map_exception(caught.value) is caught.value


@pytest.mark.parametrize("path", ["none", "a", "../d.bin", "", "/d.bin"])
def test_z7_what_the_index_lacks_is_not_found_without_a_request(
    site: MemorySite, do: Do, path: str
) -> None:
    before = len(site.server.requests)
    for name, options in [("head", {}), ("get", {}), ("get_range", {"start": 0, "end": 1})]:
        with pytest.raises(FileNotFoundError) as caught:
            do(name, path, **options)
        assert type(map_exception(caught.value)) is obspec.exceptions.NotFoundError
    assert len(site.server.requests) == before


# Listing


def listed(objects: ObspecStore, *args: Any, **kwargs: Any) -> list[list[str]]:
    """List both ways, which have to be the same."""

    async def main() -> list[Any]:
        return [some async for some in objects.list_async(*args, **kwargs)]

    pages = list(objects.list(*args, **kwargs))
    assert run(main()) == pages
    return [[meta["path"] for meta in some] for some in pages]


def test_values_are_listed_in_pages(objects: ObspecStore) -> None:
    assert listed(objects, chunk_size=2) == [
        ["a/1.bin", "a/b/2.bin"], ["a/b/c/3.bin", "a/bc.bin"], ["d.bin"],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="chunk_size"):
        objects.list(chunk_size=0)


@pytest.mark.parametrize(
    ("prefix", "offset", "paths"),
    [
        ("a/b", None, ["a/b/2.bin", "a/b/c/3.bin"]),
        ("a/b/", None, ["a/b/2.bin", "a/b/c/3.bin"]),
        ("a/bc.bin", None, []),
        ("none", None, []),
        (None, "a/b/c/3.bin", ["a/bc.bin", "d.bin"]),
        ("a/b", "a/b/2.bin", ["a/b/c/3.bin"]),
        ("a/b", "e", []),
        ("/", "a/c", ["d.bin"]),
    ],
)
def test_a_prefix_is_a_folder_and_an_offset_is_left_out(
    objects: ObspecStore, prefix: str | None, offset: str | None, paths: list[str]
) -> None:
    assert [*chain(*listed(objects, prefix, offset=offset))] == paths


@pytest.mark.parametrize(
    ("prefix", "folders", "values"),
    [
        (None, ["a"], ["d.bin"]),
        ("a", ["a/b"], ["a/1.bin", "a/bc.bin"]),
        ("a/b/c/", [], ["a/b/c/3.bin"]),
        ("a/1.bin", [], []),
    ],
)
def test_one_level_is_listed(
    do: Do, prefix: str | None, folders: list[str], values: list[str]
) -> None:
    found = do("list_with_delimiter", prefix)
    assert found["common_prefixes"] == folders
    assert [meta["path"] for meta in found["objects"]] == values


def test_paths_begin_below_the_prefix(store: StaticStore) -> None:
    below = ObspecStore(store, "a/b")
    assert listed(below) == [["2.bin", "c/3.bin"]]
    assert below.head("2.bin")["path"] == "2.bin"
    assert below.get("2.bin").buffer() == b"two"
    assert below.list_with_delimiter()["common_prefixes"] == ["c"]


# A snapshot


def test_z2_it_stays_of_its_snapshot(
    site: MemorySite, store: StaticStore, objects: ObspecStore
) -> None:
    site.write({"d.bin": entry(b"five")})
    site.files["data/d.bin"] = b"five"
    store.update_index()
    assert [*chain(*listed(objects))] == list(VALUES)
    with pytest.raises(IntegrityError):
        objects.get("d.bin").buffer()
    assert ObspecStore(store).get("d.bin").buffer() == b"five"


def test_a_pickle_reads_the_same_and_holds_no_secret(site: MemorySite) -> None:
    with site.open(auth=("ali", "sesame")) as store:
        objects = ObspecStore(store, "a")
        text = pickle.dumps(objects)
        again = pickle.loads(text)
        assert b"sesame" not in text
        assert again == objects
        assert again != ObspecStore(store)
        assert again != "a"
        assert "sesame" not in repr(again)
        assert run(again.get_range_async("1.bin", start=1, end=3)) == b"\1\2"


# obspec-utils


def test_a_registry_finds_paths_below_the_url(site: MemorySite, store: StaticStore) -> None:
    objects = ObspecStore(store, "a/b")
    registry = ObjectStoreRegistry({objects.url: objects})
    found, path = registry.resolve(f"{site.url}data/a/b/c/3.bin")
    assert found is objects
    assert found.get(path).buffer() == b"three"


def test_a_view_has_no_url(store: StaticStore) -> None:
    assert not hasattr(ObspecStore(JoinedStore([store, store])), "url")


@pytest.mark.parametrize("reader", [BlockStoreReader, BufferedStoreReader, EagerStoreReader])
def test_readers_read(objects: ObspecStore, reader: Any) -> None:
    value = VALUES["a/1.bin"]
    with reader(objects, "a/1.bin") as file:
        assert file.read(10) == value[:10]
        assert file.seek(-5, 2) == 195
        assert file.read() == value[195:]
        assert file.readall() == value
        assert isinstance(file, ReadableFile)


def test_wrappers_wrap(objects: ObspecStore) -> None:
    trace = RequestTrace()
    wrapped = CachingReadableStore(
        SplittingReadableStore(TracingReadableStore(objects, trace), request_size=60)
    )
    assert bytes(wrapped.get("a/1.bin").buffer()) == VALUES["a/1.bin"]
    assert bytes(run(wrapped.get_range_async("a/1.bin", start=3, end=5))) == b"\3\4"
    assert trace.total_requests == 5  # a head, and four parts
    assert sum(part.length for part in trace.requests) == 200


def test_its_glob_finds_paths(objects: ObspecStore) -> None:
    assert list(glob(objects, "a/**/*.bin")) == list(VALUES)[:4]
