"""Arrays of zarr, read from a site."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    AuthorizationError,
    IntegrityError,
    JoinedStore,
    NotConnectedError,
    StaticStore,
    publish,
    tuning,
)
from tests.client.scene import TIMEOUT, Call, MemorySite
from tests.forks import in_child
from tests.servers import RawServer, serve_files

zarr = pytest.importorskip("zarr")

from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest  # noqa: E402
from zarr.core.buffer import default_buffer_prototype  # noqa: E402
from zarr.core.sync import sync  # noqa: E402

from staticstore.interop.zarr import ZarrStore  # noqa: E402
from tests.tools.zarr_scene import files_of, write_array  # noqa: E402


@pytest.fixture
def site() -> Iterator[MemorySite]:
    with MemorySite() as site:
        yield site


@pytest.fixture
def numbers(site: MemorySite, tmp_path: Path) -> Any:
    """The numbers of an array at ``cube``, of which a chunk is missing."""
    numbers = write_array(tmp_path / "cube", fill_value=-1)
    (tmp_path / "cube" / "c" / "0" / "1").unlink()
    numbers[0:2, 2:4] = -1
    site.files.update(files_of(tmp_path))
    return numbers


@pytest.fixture
def store(site: MemorySite, numbers: Any, stack: ExitStack) -> StaticStore:
    store = site.open()
    stack.callback(store.disconnect)
    return store


def cube_of(store: Any, prefix: str = "cube") -> Any:
    return zarr.open_array(ZarrStore(store, prefix), mode="r")


def targets(site: MemorySite, begin: str = "/data/") -> list[str]:
    return [one.path for one in site.server.requests if one.path.startswith(begin)]


# Reading


def test_z7_an_array_is_read_with_a_request_for_each_chunk_and_none_for_a_missing_one(
    site: MemorySite, store: StaticStore, numbers: Any
) -> None:
    assert (cube_of(store)[:] == numbers).all()
    wanted = [f"/data/cube/c/{row}/{column}" for row in range(4) for column in range(4)]
    wanted.remove("/data/cube/c/0/1")
    assert sorted(targets(site)) == [*wanted, "/data/cube/zarr.json"]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_of_both_formats_are_read(
    site: MemorySite, tmp_path: Path, zarr_format: int
) -> None:
    numbers = write_array(tmp_path / "new" / "a", zarr_format=zarr_format)
    site.files.update(files_of(tmp_path / "new"))
    with site.open() as store:
        assert (cube_of(store, "a/")[3:5] == numbers[3:5]).all()


def test_z1_what_is_not_verified_is_not_returned(
    site: MemorySite, store: StaticStore, numbers: Any
) -> None:
    chunk = site.files["data/cube/c/1/1"]
    site.files["data/cube/c/1/1"] = chunk[:-1] + b"?"
    cube = cube_of(store)
    with pytest.raises(IntegrityError, match="cube/c/1/1"):
        cube[2, 2]
    assert cube[0, 0] == numbers[0, 0]


def test_z1_of_many_reads_one_that_fails_raises_its_own_error(
    site: MemorySite, store: StaticStore, numbers: Any
) -> None:
    chunk = site.files["data/cube/c/1/1"]
    site.files["data/cube/c/1/1"] = chunk[:-1] + b"?"
    wanted = [("c/0/0", None), ("c/1/1", None), ("c/2/2", RangeByteRequest(0, 3))]
    with pytest.raises(IntegrityError, match="cube/c/1/1"):
        sync(ZarrStore(store, "cube").get_partial_values(default_buffer_prototype(), wanted))


def test_z2_an_array_stays_what_it_was_when_it_was_opened(
    site: MemorySite, store: StaticStore, tmp_path: Path
) -> None:
    old = cube_of(store)
    before = old[0]
    numbers = write_array(tmp_path / "new" / "cube")
    site.files.update(files_of(tmp_path / "new"))
    store.update_index()
    assert (cube_of(store)[:] == numbers).all()
    # The chunk that is missing in the old snapshot is not filled from the new one.
    assert (old[0] == before).all()
    assert before[2] == -1


def test_z1_a_refusal_is_no_missing_chunk(site: MemorySite, store: StaticStore) -> None:
    cube = cube_of(store)
    site.server.answer = site.good.but({"data/cube/c/0/0": lambda _, wire: wire.response(403, b"")})
    with pytest.raises(AuthorizationError, match="403"):
        cube[0, 0]


def test_z4_a_disconnect_ends_what_zarr_waits_for(site: MemorySite, store: StaticStore) -> None:
    cube = cube_of(store)
    stall = site.stall("head", "data/cube/c/0/0")
    read = Call(lambda: cube[:])
    assert stall.reached.wait(TIMEOUT)
    store.disconnect()
    with pytest.raises(NotConnectedError):
        read.result()


@pytest.mark.parametrize("of", ["store", "view", "two stores"])
def test_z4_an_open_array_goes_on_when_the_store_is_connected_again(
    store: StaticStore, numbers: Any, of: str
) -> None:
    wholes = {"store": store, "view": store.below(""), "two stores": JoinedStore([store] * 2)}
    cube = cube_of(wholes[of])
    assert (cube[0] == numbers[0]).all()
    store.disconnect()
    with pytest.raises(NotConnectedError):
        cube[1]
    store.connect()
    assert (cube[2] == numbers[2]).all()


def test_z2_an_open_array_stays_what_it_was_when_the_store_is_connected_again(
    site: MemorySite, store: StaticStore, tmp_path: Path
) -> None:
    cube = cube_of(store)
    store.disconnect()
    write_array(tmp_path / "cube", overwrite=True, compressors=None)
    site.files.update(files_of(tmp_path))
    store.connect()
    with pytest.raises(IntegrityError):
        cube[0, 0]
    assert cube[0, 2] == -1


def test_arrays_of_one_connection_share_its_threads(store: StaticStore, numbers: Any) -> None:
    before = set(threading.enumerate())
    for _ in range(tuning.CAREFUL_THREADS):
        for one in (store, store.below("")):
            assert (cube_of(one)[0] == numbers[0]).all()
    names = [one.name for one in set(threading.enumerate()) - before]
    assert 0 < names.count("staticstore async") <= tuning.CAREFUL_THREADS


def test_any_event_loop_may_read(store: StaticStore, numbers: Any) -> None:
    from zarr.api import asynchronous

    shared = ZarrStore(store, "cube")

    async def main() -> Any:
        cube = await asynchronous.open_array(store=shared, mode="r")
        return await cube.getitem((slice(None), slice(4, 8)))

    for _ in range(2):
        assert (asyncio.run(main()) == numbers[:, 4:]).all()
    assert (zarr.open_array(shared, mode="r")[:] == numbers).all()


def test_a_part_is_a_slice(store: StaticStore) -> None:
    body = store.to_bytes("cube/zarr.json")
    shared = ZarrStore(store, "cube")

    def get(part: Any) -> Any:
        found = sync(shared.get("zarr.json", default_buffer_prototype(), part))
        return found.to_bytes()

    assert get(RangeByteRequest(10, 10_000)) == body[10:]
    assert get(RangeByteRequest(10_000, 10_001)) == b""
    assert get(SuffixByteRequest(10_000)) == body
    assert get(SuffixByteRequest(0)) == b""
    for wrong in (RangeByteRequest(-3, 2), OffsetByteRequest(-1), SuffixByteRequest(-3)):
        with pytest.raises(ValueError, match="byte_range"):
            get(wrong)


def test_parts_of_a_shard_are_fetched_and_not_the_shard(site: MemorySite, tmp_path: Path) -> None:
    numbers = write_array(tmp_path / "new" / "cube", shards=(8, 8), compressors=None)
    site.files.update(files_of(tmp_path / "new"))
    with site.open() as store:
        assert (cube_of(store)[0:2, 4:8] == numbers[0:2, 4:8]).all()
    reads = [one.headers.get("Range") for one in site.requests("data/cube/c/0/0")]
    # The index of the shard, 16 entries and a checksum, and the chunks: 16 bytes each.
    size = len(site.files["data/cube/c/0/0"])
    assert reads[0] == f"bytes={size - 260}-{size - 1}"
    assert None not in reads


def test_the_metadata_of_all_arrays_takes_one_request_if_it_is_consolidated(
    site: MemorySite, tmp_path: Path
) -> None:
    group = zarr.create_group(str(tmp_path / "new" / "group"))
    for name in ("a", "b", "c"):
        write_array(tmp_path / "new" / "group" / name)
    with pytest.warns(UserWarning, match="Consolidated metadata"):
        zarr.consolidate_metadata(group.store)
    site.files.update(files_of(tmp_path / "new"))
    with site.open() as store:
        found = zarr.open_group(ZarrStore(store, "group"), mode="r")
        assert sorted(found) == ["a", "b", "c"]
    assert targets(site) == ["/data/group/zarr.json"]


def test_a_view_is_read_as_a_store(site: MemorySite, store: StaticStore, numbers: Any) -> None:
    joined = JoinedStore([store.below("none/"), store])
    assert (cube_of(joined)[:] == numbers).all()
    assert (cube_of(store.below("cube/"), "")[:] == numbers).all()


def test_an_array_of_a_lazy_store_takes_parts_of_the_index(
    tmp_path: Path, start: Callable[..., RawServer]
) -> None:
    numbers = write_array(tmp_path / "data" / "cube")
    for number in range(1_000):
        (tmp_path / "data" / f"{number:04}").write_bytes(b"")
    publish(tmp_path)
    paths = (path for path in tmp_path.rglob("*") if path.is_file())
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in paths}
    server = start(serve_files(files), heads=True)
    with StaticStore(server.url, lazy=True, poll_interval=0) as store:
        shared = ZarrStore(store, "cube")
        assert (zarr.open_array(shared, mode="r")[:] == numbers).all()
        for one in (shared, ZarrStore(store.below("cube/"))):
            assert pickle.loads(pickle.dumps(one)) == one
        of_index = [one for one in server.requests if one.path.startswith("/index")]
        assert of_index
        assert all(one.path.endswith("head.json") or "Range" in one.headers for one in of_index)
        store.disconnect()
        store.connect()
        assert (zarr.open_array(shared, mode="r")[:] == numbers).all()
        assert sync(shared.is_empty("c/9"))  # needs the whole index
        assert not sync(shared.is_empty("c/3"))


def test_a_forked_child_reads_by_its_own_connection(store: StaticStore, numbers: Any) -> None:
    shared = ZarrStore(store, "cube")

    def read() -> bytes:
        found = asyncio.run(shared.get("c/1/1", default_buffer_prototype()))
        assert found is not None
        data: bytes = found.to_bytes()
        return data

    assert in_child(read) == read()


# What the index says


def test_sizes_come_from_the_index_and_else_from_the_host(
    site: MemorySite, store: StaticStore
) -> None:
    size = len(site.files["data/cube/c/0/0"])
    shared = ZarrStore(store, "cube")
    before = len(site.server.requests)
    assert sync(shared.getsize("c/0/0")) == size
    assert sync(shared.getsize_prefix("c/0")) > size
    assert len(site.server.requests) == before
    site.write({"cube/c/0/0": {}})
    store.update_index()
    assert sync(ZarrStore(store, "cube").getsize_prefix("")) == size


def test_one_level_is_listed(store: StaticStore) -> None:
    async def listed(folder: str) -> list[str]:
        return [name async for name in ZarrStore(store, "cube").list_dir(folder)]

    assert sync(listed("")) == ["c", "zarr.json"]
    assert sync(listed("c/0")) == ["0", "2", "3"]


# What is no reading


def test_z5_writing_is_refused(store: StaticStore) -> None:
    shared = ZarrStore(store, "cube")
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(shared, mode="r+")
    with pytest.raises(ValueError, match="read-only"):
        zarr.open_array(shared, mode="r")[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        sync(shared.delete("c/0/0"))
    with pytest.raises(NotImplementedError, match="A site is read-only: write into the folder"):
        shared.with_read_only(False)
    assert shared.with_read_only(True) == shared
    assert not shared.supports_writes
    assert not shared.supports_deletes


@pytest.mark.parametrize("prefix", ["/cube", "cube/", "/cube/"])
def test_a_prefix_may_have_slashes_around_it(store: StaticStore, prefix: str) -> None:
    assert ZarrStore(store, prefix) == ZarrStore(store, "cube")


@pytest.mark.parametrize(
    ("store", "prefix", "error"),
    [("https://example.org/", "", TypeError), (StaticStore("none"), "", NotConnectedError)],
)
def test_what_cannot_be_read_is_refused_at_once(
    store: Any, prefix: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        ZarrStore(store, prefix)


# Other processes


def test_a_pickle_reads_the_same_and_holds_no_secret(
    site: MemorySite, numbers: Any, stack: ExitStack
) -> None:
    store = site.open(auth=("ali", "sesame"), headers={"X-Token": "secret"})
    stack.callback(store.disconnect)
    shared = ZarrStore(store, "cube")
    text = pickle.dumps(shared)
    assert b"sesame" not in text
    assert b"secret" not in text
    assert "sesame" not in repr(shared) + str(shared)
    again = pickle.loads(text)
    assert again == shared
    assert (zarr.open_array(again, mode="r")[:] == numbers).all()


def test_z3_a_pickle_of_a_folder_that_has_changed_is_refused(
    site: MemorySite, store: StaticStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.SHARED_INDEX_SECONDS", 0)  # each asks the host
    cube, text = cube_of(store), pickle.dumps(cube_of(store))
    site.files["data/other"] = b"other"
    (tmp_path / "other").write_bytes(b"other")
    site.files.update(files_of(tmp_path))
    assert (pickle.loads(text)[0] == cube[0]).all()  # what has changed is not in the folder
    write_array(tmp_path / "cube", overwrite=True)
    site.files.update(files_of(tmp_path))
    with pytest.raises(IntegrityError, match="the site has changed below 'cube/'"):
        pickle.loads(text)[0]


def test_stores_are_equal_if_they_read_the_same_bytes(site: MemorySite, store: StaticStore) -> None:
    shared = ZarrStore(store, "cube")
    with site.open() as other:
        assert ZarrStore(other, "cube/") == shared
    assert ZarrStore(store) != shared
    assert ZarrStore(store, "cub") != shared
    assert shared != "cube"
    site.write({"cube/zarr.json": {"size": 3}})
    store.update_index()
    assert ZarrStore(store, "cube") != shared


def test_the_names_that_dask_gives_depend_on_the_bytes(
    site: MemorySite, store: StaticStore
) -> None:
    tokenize = pytest.importorskip("dask.base").tokenize
    token = tokenize(ZarrStore(store, "cube"))
    assert tokenize(ZarrStore(store, "cube")) == token
    assert tokenize(pickle.loads(pickle.dumps(ZarrStore(store, "cube")))) == token
    site.write({"cube/zarr.json": {"size": 3}})
    store.update_index()
    assert tokenize(ZarrStore(store, "cube")) != token


# dask and xarray


def test_dask_reads_an_array(store: StaticStore, numbers: Any) -> None:
    dask_array = pytest.importorskip("dask.array")
    cube = dask_array.from_zarr(ZarrStore(store, "cube"))
    assert cube.sum().compute() == numbers.sum()


def test_xarray_opens_a_group(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    tide = xarray.Dataset({"level": (("day",), [1.0, 2.0, 3.0])}, coords={"day": [1, 2, 3]})
    tide.to_zarr(tmp_path / "data" / "tide.zarr", consolidated=False)
    publish(tmp_path)
    with StaticStore(tmp_path, poll_interval=0) as store:
        plain = xarray.open_zarr(ZarrStore(store, "tide.zarr"), chunks=None, consolidated=False)
        assert plain.equals(tide)
        by_dask = xarray.open_zarr(ZarrStore(store, "tide.zarr"), chunks={}, consolidated=False)
        assert by_dask.equals(tide)
