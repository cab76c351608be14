"""What a site does as a file system of fsspec."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import importlib
import pickle
import sys
import tomllib
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec")

from staticstore import AuthorizationError, Index, IntegrityError, TransportError  # noqa: E402
from staticstore.interop.file_systems.directories import Directories  # noqa: E402
from staticstore.interop.fsspec import StaticStoreFileSystem  # noqa: E402
from staticstore.transport.values.seekable import OpenedValue  # noqa: E402
from tests.client.scene import Call, MemorySite, pollers  # noqa: E402
from tests.forks import in_child  # noqa: E402
from tests.interop.file_system_scene import VALUES, fill, protect, who  # noqa: E402
from tests.sites import entry  # noqa: E402

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def new_instances() -> Iterator[None]:
    """Let fsspec forget the file systems of a test."""
    fsspec.register_implementation("staticstore", StaticStoreFileSystem, clobber=True)
    yield
    StaticStoreFileSystem.clear_instance_cache()


@pytest.fixture
def files(site: MemorySite) -> Any:
    """A file system of a site with values."""
    fill(site)
    return fsspec.filesystem("staticstore", root=site.url)


def test_the_protocol_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["fsspec.specs"] == {
        "staticstore": f"{StaticStoreFileSystem.__module__}:{StaticStoreFileSystem.__name__}"
    }


# What there is


@pytest.mark.parametrize("query", ["", "?token=sesame"])
def test_an_index_that_others_publish_is_a_file_system(site: MemorySite, query: str) -> None:
    digest = hashlib.sha256(b"one").hexdigest()
    site.files |= {"SHA256SUMS": f"{digest}  deep/a.txt\n".encode(), "deep/a.txt": b"one"}
    files = fsspec.filesystem("staticstore", root=f"{site.url}SHA256SUMS{query}", format="sums")
    assert files.ls("deep", detail=False) == ["deep/a.txt"]
    assert pickle.loads(pickle.dumps(files)).cat("deep/a.txt") == b"one"
    assert "sesame" not in files.to_json()


def test_a_listing_has_one_level(files: Any) -> None:
    assert files.ls("", detail=False) == ["a.txt", "maps", "stations"]
    assert files.ls("staticstore://maps/", detail=False) == ["maps/dem.tif", "maps/old"]


def test_a_listing_says_size_type_digest_and_time(files: Any) -> None:
    sha256 = entry(VALUES["a.txt"])["sha256"]
    assert files.ls("")[:2] == [
        {
            "name": "a.txt", "size": 5, "type": "file", "sha256": sha256, "ETag": f'"{sha256}"',
            "mtime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp(),
        },
        {"name": "maps", "size": 0, "type": "directory"},
    ]  # fmt: skip


def test_what_a_caller_does_to_a_listing_changes_no_other(files: Any) -> None:
    files.ls("")[0]["size"] = 7
    assert files.ls("")[0]["size"] == 5


def test_listing_again_requests_nothing(files: Any, site: MemorySite) -> None:
    files.ls("maps")
    before = len(site.server.requests)
    for path in ("maps", "", "stations"):
        files.ls(path)
        files.find(path)
        files.info(path)
    assert len(site.server.requests) == before


def test_info_has_the_metadata(files: Any) -> None:
    info = files.info("maps/dem.tif")
    assert (info["name"], info["size"], info["type"]) == ("maps/dem.tif", 200, "file")
    assert info["metadata"]["bbox"] == [1, 2, 3, 4]


def test_info_asks_the_host_for_what_the_index_does_not_say(site: MemorySite) -> None:
    site.write({"a": {}})
    site.files["data/a"] = b"abc"
    files = fsspec.filesystem("staticstore", root=site.url)
    assert files.info("a")["size"] == 3
    assert files.ukey("a") == files.ukey("a")
    assert files.modified("a").tzinfo is UTC
    assert files.du("") == 3


@pytest.mark.parametrize("call", ["info", "ls", "open", "cat_file", "ukey"])
def test_a_key_that_is_not_there_is_not_found(files: Any, call: str) -> None:
    """S6."""
    with pytest.raises(FileNotFoundError, match="nope"):
        getattr(files, call)("nope")


@pytest.mark.parametrize("call", ["open", "cat_file", "modified"])
def test_a_directory_is_no_value_and_is_said_to_be_one(files: Any, call: str) -> None:
    with pytest.raises(IsADirectoryError, match="a directory of the site"):
        getattr(files, call)("maps")


def test_a_url_of_the_site_is_no_path(files: Any, site: MemorySite) -> None:
    with pytest.raises(FileNotFoundError, match="paths are keys, without the URL"):
        files.open(f"{site.url}data/a.txt")


def test_the_folder_of_the_values_is_no_part_of_a_path(files: Any) -> None:
    with pytest.raises(FileNotFoundError, match="paths are keys, which mostly have no data/"):
        files.open("data/a.txt")


def test_the_error_without_a_site_says_where_options_stand_in_a_chain() -> None:
    with pytest.raises(ValueError, match=r'storage_options=\{"staticstore": \{"root": \.\.\.'):
        fsspec.open("simplecache::staticstore://a.txt", root="https://data.example.org/").open()


def test_a_lazy_file_system_fetches_no_index_to_tell_a_directory(site: MemorySite) -> None:
    fill(site)
    files = fsspec.filesystem("staticstore", root=site.url, lazy=True)
    with pytest.raises(FileNotFoundError, match="no such key"):
        files.open("maps")


@pytest.mark.parametrize(
    ("option", "meant"), [("rot", "root"), ("anon", "anonymous"), ("endpoint_url", "endpoint")]
)
def test_an_option_that_is_misspelled_is_named_with_a_similar_one(
    site: MemorySite, option: str, meant: str
) -> None:
    with pytest.raises(TypeError, match=rf"'{option}': did you mean '{meant}'\? There are anony"):
        fsspec.filesystem("staticstore", root=site.url, **{option: "x"})


def test_without_fsspec_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    name = StaticStoreFileSystem.__module__
    monkeypatch.setitem(sys.modules, "fsspec.asyn", None)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError, match="which the extra `fsspec` brings"):
        importlib.import_module(name)


def test_types_of_paths(files: Any) -> None:
    assert [files.isfile(path) for path in ("a.txt", "maps", "nope", "")] == [True, 0, 0, 0]
    assert [files.isdir(path) for path in ("a.txt", "maps", "nope", "")] == [0, True, 0, True]
    assert [files.exists(path) for path in ("a.txt", "maps", "nope", "")] == [1, 1, 0, 1]


def test_exists_does_not_hide_a_failure(site: MemorySite) -> None:
    """S6."""
    site.spoil(lambda request, wire: wire.response(404))
    files = fsspec.filesystem("staticstore", root=site.url, retries=0)
    for ask in (files.exists, files.isfile, files.isdir):
        with pytest.raises(TransportError):
            ask("a.txt")


def test_find_returns_all_below(files: Any) -> None:
    assert files.find("") == sorted(VALUES)
    assert files.find("maps") == [key for key in sorted(VALUES) if key.startswith("maps/")]
    assert files.find("maps/dem.tif") == ["maps/dem.tif"]
    assert files.find("nope") == []


@pytest.mark.parametrize("depth", [None, 1, 2, 3])
def test_find_is_that_of_a_folder(files: Any, depth: int | None, tmp_path: Path) -> None:
    for key, value in VALUES.items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
    local = fsspec.filesystem("file")
    for start in ("", "maps", "maps/old"):
        there = local.find(str(tmp_path / start), maxdepth=depth, withdirs=True)
        names = [Path(one).relative_to(tmp_path).as_posix() for one in there]
        assert files.find(start, maxdepth=depth, withdirs=True) == [n for n in names if n != "."]


@pytest.mark.parametrize(
    "pattern", ["*", "maps/*.tif", "**/*.tif", "stations/202[45].csv", "*/", "m?ps"]
)
def test_glob_is_that_of_a_folder(files: Any, pattern: str, tmp_path: Path) -> None:
    for key, value in VALUES.items():
        path = tmp_path / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(value)
    there = fsspec.filesystem("file").glob(f"{tmp_path}/{pattern}")
    assert files.glob(pattern) == [Path(one).relative_to(tmp_path).as_posix() for one in there]


def test_walk_goes_from_the_root_down(files: Any) -> None:
    assert list(files.walk(""))[:2] == [
        ("", ["maps", "stations"], ["a.txt"]),
        ("maps", ["old"], ["dem.tif"]),
    ]


def test_du_adds_sizes(files: Any) -> None:
    assert files.du("") == sum(map(len, VALUES.values()))
    assert files.du("stations", total=False) == {"stations/2024.csv": 4, "stations/2025.csv": 4}


def test_ukey_is_the_digest(files: Any) -> None:
    assert files.ukey("a.txt") == entry(VALUES["a.txt"])["sha256"]
    assert files.checksum("a.txt") == int(files.ukey("a.txt"), 16)


def test_created_and_modified_are_the_time_of_the_content(files: Any) -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert files.modified("a.txt") == files.created("a.txt") == time


def test_tree_shows_the_keys(files: Any) -> None:
    assert "1900.tif" in files.tree(recursion_limit=3)


# Bytes


def test_cat_reads_one_or_many(files: Any) -> None:
    assert files.cat("a.txt") == b"first"
    assert files.cat(["a.txt", "maps/dem.tif"]) == {
        key: VALUES[key] for key in ("a.txt", "maps/dem.tif")
    }
    assert files.cat("maps", recursive=True) == {
        key: value for key, value in VALUES.items() if key.startswith("maps/")
    }


@pytest.mark.parametrize(("start", "end"), [(0, 4), (-4, None), (10, -10), (None, 5), (300, 400)])
def test_cat_file_cuts_as_a_slice(files: Any, start: int | None, end: int | None) -> None:
    assert files.cat_file("maps/dem.tif", start, end) == VALUES["maps/dem.tif"][start:end]


def test_cat_ranges_returns_errors_in_their_places(files: Any) -> None:
    good, bad = files.cat_ranges(["a.txt", "nope"], 0, [2, 2])
    assert good == b"fi"
    assert isinstance(bad, FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        files.cat_ranges(["a.txt", "nope"], 0, 2, on_error="raise")


def test_what_is_read_whole_is_verified(files: Any, site: MemorySite) -> None:
    """S9."""
    files.ls("")
    site.files["data/a.txt"] = b"wrong"
    for read in (files.cat_file, files.cat):
        with pytest.raises(IntegrityError):
            read("a.txt")


def test_a_value_that_was_replaced_is_read_of_the_new_index(files: Any, site: MemorySite) -> None:
    """S7."""
    files.ls("")
    fill(site, **{"a.txt": b"second"})
    assert files.cat_file("a.txt") == b"second"


def test_an_opened_file_has_its_size_and_reads_parts(files: Any, site: MemorySite) -> None:
    with files.open("maps/dem.tif") as file:
        assert (file.size, file.seek(-2, 2), file.read()) == (200, 198, bytes([198, 199]))


def test_a_file_opened_as_text_is_decoded(files: Any) -> None:
    with files.open("stations/2024.csv", "r") as file:
        assert file.read() == "2024"


def test_a_file_needs_no_cache_of_fsspec(files: Any, site: MemorySite) -> None:
    """What xarray asks for would fetch 4 MiB at a time."""
    with files.open("maps/dem.tif", cache_type="blockcache", block_size=1 << 22) as file:
        assert (file.read(3), file.size) == (VALUES["maps/dem.tif"][:3], 200)
    assert isinstance(file, OpenedValue)


def test_a_file_without_a_cache_fetches_what_is_read(files: Any, site: MemorySite) -> None:
    with files.open("maps/dem.tif", cache_type="none") as file:
        file.seek(70)
        assert file.read(3) == bytes([70, 71, 72])
    [request] = site.requests("data/maps/dem.tif")
    assert request.headers["Range"] == "bytes=70-72"


def test_get_copies_files_and_reports_progress(files: Any, tmp_path: Path) -> None:
    callback = fsspec.callbacks.Callback()
    files.get_file("maps/dem.tif", str(tmp_path / "dem.tif"), callback=callback)
    assert (tmp_path / "dem.tif").read_bytes() == VALUES["maps/dem.tif"]
    assert (callback.size, callback.value) == (200, 200)
    files.get("stations", str(tmp_path / "all"), recursive=True)
    assert sorted(path.name for path in (tmp_path / "all").rglob("*.csv")) == [
        "2024.csv",
        "2025.csv",
    ]


def test_an_open_file_of_a_replaced_value_fails(files: Any, site: MemorySite) -> None:
    """S7."""
    with files.open("maps/dem.tif", cache_type="none") as file:
        file.read(1)
        fill(site, **{"maps/dem.tif": b"other"})
        with pytest.raises(IntegrityError):
            file.read(1)


def test_wrong_bytes_take_the_place_of_a_range(files: Any, site: MemorySite) -> None:
    """S9."""
    files.ls("")
    site.files["data/a.txt"] = b"wrong"
    good, bad = files.cat_ranges(["maps/old/1900.tif", "a.txt"], None, None)
    assert good == b"old map"
    assert isinstance(bad, IntegrityError)


def test_threads_share_it(files: Any) -> None:
    """S10."""
    calls = [Call(lambda: files.cat("maps/dem.tif")) for _ in range(8)]
    assert {call.result() for call in calls} == {VALUES["maps/dem.tif"]}


def test_another_loop_may_use_it(site: MemorySite) -> None:
    """S10."""
    fill(site)
    files = fsspec.filesystem("staticstore", root=site.url, asynchronous=True)
    assert [_run(files._cat_file("a.txt")) for _ in range(2)] == [b"first"] * 2


def test_a_copy_that_is_wrong_leaves_no_file(files: Any, site: MemorySite, tmp_path: Path) -> None:
    """S9."""
    files.ls("")
    site.files["data/a.txt"] = b"wrong"
    with pytest.raises(IntegrityError):
        files.get_file("a.txt", str(tmp_path / "a.txt"))
    assert list(tmp_path.iterdir()) == []


WRITES: dict[str, Callable[[Any], object]] = {
    "mkdir": lambda fs: fs.mkdir("b"),
    "makedirs": lambda fs: fs.makedirs("b", exist_ok=True),
    "rmdir": lambda fs: fs.rmdir("maps"),
    "rm": lambda fs: fs.rm("maps", recursive=True),
    "rm_file": lambda fs: fs.rm_file("a.txt"),
    "delete": lambda fs: fs.delete("a.txt"),
    "cp": lambda fs: fs.cp("a.txt", "b.txt"),
    "cp_file": lambda fs: fs.cp_file("a.txt", "b.txt"),
    "mv": lambda fs: fs.mv("a.txt", "b.txt"),
    "put": lambda fs: fs.put(__file__, "b"),
    "put_file": lambda fs: fs.put_file(__file__, "b"),
    "pipe": lambda fs: fs.pipe("b", b""),
    "pipe_file": lambda fs: fs.pipe_file("b", b""),
    "touch": lambda fs: fs.touch("b"),
    "write_text": lambda fs: fs.write_text("b", ""),
    "open w": lambda fs: fs.open("b", "w"),
    "open ab": lambda fs: fs.open("b", "ab"),
    "transaction": lambda fs: fs.start_transaction(),
}


@pytest.mark.parametrize("way", WRITES)
def test_what_writes_is_refused(files: Any, way: str) -> None:
    """S5."""
    with pytest.raises(OSError, match="cannot be written") as caught:
        WRITES[way](files)
    assert caught.value.errno == errno.EROFS


# Chains


def test_a_chain_needs_no_options(site: MemorySite) -> None:
    pytest.importorskip("aiohttp")
    fill(site)
    with fsspec.open(f"staticstore://a.txt::{site.url}") as file:
        assert file.read() == b"first"


def test_the_site_of_a_chain_takes_options(site: MemorySite) -> None:
    pytest.importorskip("aiohttp")
    fill(site)
    protect(site)
    with fsspec.open(f"staticstore://a.txt::{site.url}", http={"auth": who}) as file:
        assert file.read() == b"first"


# That of blockcache leaves its file open.
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("cache", ["simplecache", "filecache", "blockcache"])
def test_caches_of_fsspec_read_it(site: MemorySite, cache: str, tmp_path: Path) -> None:
    fill(site)
    of_cache = {"cache_storage": str(tmp_path)}
    options = {"staticstore": {"root": site.url}, cache: of_cache}
    for _ in range(2):
        with fsspec.open(f"{cache}::staticstore://maps/dem.tif", **options) as file:
            assert file.read() == VALUES["maps/dem.tif"]
    assert len(site.requests("data/maps/dem.tif")) == 1


def test_filecache_sees_that_a_value_has_changed(site: MemorySite, tmp_path: Path) -> None:
    fill(site)
    options = {
        "staticstore": {"root": site.url, "max_age": 0},
        "filecache": {"cache_storage": str(tmp_path), "check_files": True},
    }
    read = []
    for value in (b"first", b"second"):
        fill(site, **{"a.txt": value})
        with fsspec.open("filecache::staticstore://a.txt", **options) as file:
            read.append(file.read())
    assert read == [b"first", b"second"]


def test_an_archive_is_read_in_place(site: MemorySite, tmp_path: Path) -> None:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.txt", "inside")
    fill(site, **{"all.zip": buffer.getvalue()})
    with fsspec.open(
        "zip://inner.txt::staticstore://all.zip", staticstore={"root": site.url}
    ) as file:
        assert file.read() == b"inside"


def test_references_lead_to_values(files: Any, site: MemorySite) -> None:
    references = {"part": ["staticstore://maps/dem.tif", 10, 3], "whole": ["staticstore://a.txt"]}
    there = fsspec.filesystem(
        "reference", fo=references, remote_protocol="staticstore", remote_options={"root": site.url}
    )
    assert there.cat(["part", "whole"]) == {"part": bytes([10, 11, 12]), "whole": b"first"}


# Age


def test_a_site_is_polled_when_its_index_is_too_old(site: MemorySite) -> None:
    """S7."""
    fill(site)
    now, later = (fsspec.filesystem("staticstore", root=site.url, max_age=age) for age in (0, 300))
    for files in (later, now):
        files.ls("")
    fill(site, **{"new.txt": b"new"})
    assert not later.exists("new.txt")
    assert now.exists("new.txt")


def test_invalidate_cache_polls_at_the_next_use(files: Any, site: MemorySite) -> None:
    files.ls("")
    fill(site, **{"new.txt": b"new"})
    files.invalidate_cache()
    assert "new.txt" in files.ls("", detail=False)


def test_refresh_polls(files: Any, site: MemorySite) -> None:
    files.ls("")
    fill(site, **{"new.txt": b"new"})
    assert "new.txt" in files.ls("", detail=False, refresh=True)


def test_many_calls_at_once_poll_once(site: MemorySite) -> None:
    """S7."""
    fill(site)
    files = fsspec.filesystem("staticstore", root=site.url, max_age=0)
    files.ls("")
    before = len(site.requests())
    files.cat_ranges(["a.txt"] * 50, 0, list(range(50)))
    assert len(site.requests()) == before + 1


def test_a_poll_that_fails_leaves_the_snapshot(site: MemorySite) -> None:
    """S8."""
    fill(site)
    files = fsspec.filesystem("staticstore", root=site.url, max_age=0, retries=0)
    files.ls("")
    site.spoil(lambda request, wire: wire.response(503))
    assert files.exists("a.txt")


def test_no_thread_polls(files: Any) -> None:
    files.ls("")
    assert pollers() == set()


# Options


def test_an_unknown_option_is_refused(site: MemorySite) -> None:
    with pytest.raises(TypeError, match=r"unknown storage option 'rot'.*root"):
        fsspec.filesystem("staticstore", rot=site.url)


def test_a_file_system_without_a_root_says_what_to_give() -> None:
    with pytest.raises(ValueError, match=r"storage_options.*root"):
        fsspec.open("staticstore://a.txt")


def test_poll_interval_is_refused_with_what_to_use(site: MemorySite) -> None:
    with pytest.raises(TypeError, match="max_age"):
        fsspec.filesystem("staticstore", root=site.url, poll_interval=5)


@pytest.mark.parametrize("max_age", [-1, "5", float("nan")])
def test_an_age_is_a_number_of_seconds(site: MemorySite, max_age: Any) -> None:
    with pytest.raises(ValueError, match="max_age"):
        fsspec.filesystem("staticstore", root=site.url, max_age=max_age)


def test_a_lazy_file_system_reads_a_key_without_the_whole_index(tmp_path: Path) -> None:
    from staticstore import publish, serve
    from tests.site.sitefolder import make_site

    values = {f"{number:05}/value": b"x" * 10 for number in range(200)}
    publish(make_site(tmp_path, values))
    with serve(tmp_path, port=0) as server:
        files = fsspec.filesystem("staticstore", root=server.url, lazy=True)
        assert files.cat_file("00007/value") == b"x" * 10
        assert len(files.ls("")) == 200


# Loops, threads and processes


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(20):
            return await coroutine

    return asyncio.run(main())


def test_it_can_be_awaited(site: MemorySite) -> None:
    fill(site)

    async def read() -> Any:
        files = fsspec.filesystem("staticstore", root=site.url, asynchronous=True)
        reads = [files._cat_file(key) for key in VALUES]
        return await asyncio.gather(*reads), await files._ls("", detail=False)

    assert _run(read()) == (list(VALUES.values()), ["a.txt", "maps", "stations"])


def _reading(site: MemorySite, read: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
    """Return what a coroutine returns that is given the file of the value at maps/dem.tif."""

    async def main() -> Any:
        files = fsspec.filesystem("staticstore", root=site.url, asynchronous=True)
        async with await files.open_async("staticstore://maps/dem.tif") as file:
            return await read(file)

    return _run(main())


def test_a_file_is_read_by_awaiting(site: MemorySite) -> None:
    fill(site)

    async def read(file: Any) -> Any:
        first = await file.read(3)
        place = file.tell(), file.seek(-2, 2)
        return file.size, first, place, await file.read(), await file.read(), file.tell()

    assert _reading(site, read) == (200, b"\0\1\2", (3, 198), b"\xc6\xc7", b"", 200)
    assert [one.range for one in site.requests("data/maps/dem.tif")] == [(0, 3), (198, 200)]


def test_a_closed_file_is_not_awaited(site: MemorySite) -> None:
    fill(site)

    async def read(file: Any) -> None:
        await file.close()
        await file.read()

    with pytest.raises(ValueError, match="closed"):
        _reading(site, read)


@pytest.mark.parametrize("count", [64, 200])
def test_s9_what_is_awaited_in_order_is_verified(site: MemorySite, count: int) -> None:
    fill(site)
    site.files["data/maps/dem.tif"] = bytes(200)

    async def read(file: Any) -> None:
        while await file.read(count):
            pass

    with pytest.raises(IntegrityError, match="sha256"):
        _reading(site, read)


def test_s7_an_awaited_file_mixes_no_two_versions(site: MemorySite) -> None:
    fill(site)

    async def read(file: Any) -> None:
        await file.read(10)
        fill(site, **{"maps/dem.tif": bytes(300)})
        file.fs.invalidate_cache()
        assert (await file.fs._info(file.path))["size"] == 300
        await file.read(10)

    with pytest.raises(IntegrityError):
        _reading(site, read)


def test_a_canceled_read_leaves_the_position(site: MemorySite) -> None:
    fill(site)
    stall = site.stall("head", "data/maps/dem.tif")

    async def read(file: Any) -> Any:
        first = asyncio.create_task(file.read(10))
        await asyncio.to_thread(stall.reached.wait, 20)
        first.cancel()
        await asyncio.wait([first])
        site.restore()
        return first.cancelled(), file.tell(), await file.read(2)

    assert _reading(site, read) == (True, 0, b"\0\1")


@pytest.mark.parametrize(
    ("path", "mode", "error"),
    [
        ("nope", "rb", FileNotFoundError),
        ("maps", "rb", FileNotFoundError),
        ("a.txt", "wb", OSError),
        ("a.txt", "r", ValueError),
    ],
)
def test_what_cannot_be_opened_is_refused(
    files: Any, path: str, mode: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        _run(files.open_async(path, mode))


def test_a_forked_child_reads(files: Any) -> None:
    """S10."""
    files.ls("")
    assert in_child(lambda: (files.cat("a.txt"), files.ls("maps/old", detail=False))) == (
        b"first",
        ["maps/old/1900.tif", "maps/old/1950.tif"],
    )


def test_file_systems_of_one_site_share_a_connection(site: MemorySite) -> None:
    fill(site)
    for _ in range(3):
        fsspec.filesystem("staticstore", root=site.url, skip_instance_cache=True).ls("")
        kept = fsspec.filesystem("staticstore", root=site.url)
        kept.ls("")
    assert len(site.requests()) <= 2


def test_a_refusal_is_an_authorization_error(site: MemorySite) -> None:
    fill(site)
    protect(site)
    with pytest.raises(AuthorizationError):
        fsspec.filesystem("staticstore", root=site.url).ls("")


def test_a_key_of_any_depth_is_found() -> None:
    key = "/".join("a" * 3000)
    directories = Directories(Index.from_entries({key: {}}))
    found = list(directories.below("", depth=5000, with_directories=True))
    assert (len(found), found[0], found[-1]) == (3000, "a/", key)
    assert list(directories.below("a", depth=2, with_directories=True)) == ["a/a/", "a/a/a/"]
