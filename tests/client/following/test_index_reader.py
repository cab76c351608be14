"""Without a suitable change file, only the blocks that differ are fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from staticstore import StaticStore, publish
from staticstore.index.head import Head
from tests.servers import Nginx, RawServer, Request, Wire, serve_files

KEYS = [f"{number:04}.txt" for number in range(600)]


class Site:
    """A folder that is published, and served without its change files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.server = RawServer(serve_files(self.files), heads=True)
        (folder / "data").mkdir(parents=True)
        self.publish(**dict.fromkeys(KEYS, b"0"))

    def publish(self, *gone: str, **values: bytes) -> None:
        for key in gone:
            (self.folder / "data" / key).unlink()
        for key, value in values.items():
            (self.folder / "data" / key).write_bytes(value)
        publish(self.folder)
        self.files.clear()
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            if path.is_file() and not name.startswith(("changes/", "data/", ".")):
                self.files[name] = path.read_bytes()

    @property
    def head(self) -> Head:
        return Head.parse(self.files["index.head.json"])

    def body(self) -> bytes:
        return self.files["index.json"]

    def parts(self) -> list[Request]:
        """Return the requests for parts of the index so far."""
        return [one for one in self.server.requests if "Range" in one.headers]

    def wholes(self) -> list[Request]:
        """Return the requests for the whole index so far."""
        indexes = ("/index.json", "/index/")
        return [
            one
            for one in self.server.requests
            if one.path.startswith(indexes) and "Range" not in one.headers
        ]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a small index have many blocks."""
    monkeypatch.setattr("staticstore.index.blocks._BLOCK_BYTES", 2000)
    monkeypatch.setattr("staticstore.index.blocks._PAGE_BYTES", 1000)
    monkeypatch.setattr("staticstore.tuning.BLOCKS_WORTHWHILE_BYTES", 0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    with made.server:
        yield made


@pytest.fixture
def store(site: Site) -> Iterator[StaticStore]:
    with StaticStore(site.server.url, poll_interval=0).connect(retries=0) as store:
        yield store


def test_only_the_blocks_that_differ_are_fetched(site: Site, store: StaticStore) -> None:
    site.publish("0100.txt", **{"0300.txt": b"another", "0450a.txt": b"new"})
    before = len(site.wholes())
    changes = store.update_index()
    assert [(one.action, one.key) for one in changes] == [
        ("delete", "0100.txt"),
        ("update", "0300.txt"),
        ("set", "0450a.txt"),
    ]
    assert 1 <= len(site.parts()) <= 4
    assert len(site.wholes()) == before


def test_the_snapshot_equals_the_index_that_the_head_names(site: Site, store: StaticStore) -> None:
    site.publish("0000.txt", "0599.txt", **{"0700.txt": b"new", "+.txt": b"new"})
    store.update_index()
    assert store.index.canonical() == site.body()
    assert site.parts()


def test_blocks_can_follow_after_a_change_file(site: Site, store: StaticStore) -> None:
    for number in range(3):
        site.publish(**{f"0{number}99.txt": b"another"})
        store.update_index()
    assert store.index.canonical() == site.body()
    assert len(site.wholes()) == 1


def test_from_a_host_without_ranges_the_whole_is_fetched(site: Site, store: StaticStore) -> None:
    site.server.answer = serve_files(site.files, ranges=False)
    site.publish(**{"0300.txt": b"another"})
    assert len(store.update_index()) == 1
    assert (len(site.wholes()), len(site.parts())) == (2, 1)


@pytest.mark.parametrize("what", ["root", "list", "block"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_after_a_wrong_part_the_whole_is_fetched(
    site: Site, store: StaticStore, what: str, how: str
) -> None:
    site.publish(**{"0300.txt": b"another"})
    good = serve_files(site.files)
    blocks = site.head.blocks
    assert blocks is not None

    def answer(request: Request, wire: Wire) -> None:
        is_it = {
            "root": request.path == f"/{blocks.href}",
            "list": request.path.endswith(".jsonl"),
            "block": "Range" in request.headers,
        }[what]
        if not is_it:
            good(request, wire)
        elif how == "missing":
            wire.response(404)
        elif what == "block":
            first, last = request.headers["Range"].removeprefix("bytes=").split("-")
            size = len(site.body())
            given = {"Content-Range": f"bytes {first}-{last}/{size}"}
            wire.response(206, b"x" * (int(last) + 1 - int(first)), given)
        else:
            wire.response(200, b"{}")

    site.server.answer = answer
    assert [change.key for change in store.update_index()] == ["0300.txt"]
    assert store.index.canonical() == site.body()


def test_if_most_blocks_differ_the_whole_is_fetched(site: Site, store: StaticStore) -> None:
    site.publish(**dict.fromkeys(KEYS, b"another"))
    assert len(store.update_index()) == len(KEYS)
    assert not site.parts()


def test_a_small_index_is_fetched_whole(
    site: Site, store: StaticStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.BLOCKS_WORTHWHILE_BYTES", 1 << 20)
    site.publish(**{"0300.txt": b"another"})
    store.update_index()
    assert not site.parts()


def test_queries_use_the_updated_fields_without_a_new_pass(site: Site, store: StaticStore) -> None:
    list(store.query_keys(size=1))
    site.publish(**{"0300.txt": b"another"})
    store.update_index()
    assert list(store.query_keys(size=7)) == ["0300.txt"]


def test_it_works_with_nginx(site: Site) -> None:
    with (
        Nginx(site.folder) as nginx,
        StaticStore(nginx.url, poll_interval=0).connect() as store,
    ):
        for path in (site.folder / "changes").glob("*"):
            path.unlink()
        site.publish(**{"0300.txt": b"another"})
        for path in (site.folder / "changes").glob("*"):
            path.unlink()
        assert [change.key for change in store.update_index()] == ["0300.txt"]
        assert 206 in [one.status for one in nginx.requests()]
