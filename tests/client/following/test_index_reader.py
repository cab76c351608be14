"""Without a suitable change file, only the blocks that differ are fetched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from staticstore import StaticStore
from tests.client.following.conftest import KEYS, PublishedSite
from tests.servers import Nginx, Request, Wire, serve_files


def body(site: PublishedSite) -> bytes:
    return site.files["index.json"]


def parts(site: PublishedSite) -> list[Request]:
    """Return the requests for parts of the index so far."""
    return [one for one in site.server.requests if "Range" in one.headers]


def wholes(site: PublishedSite) -> list[Request]:
    """Return the requests for the whole index so far."""
    return [
        one
        for one in site.server.requests
        if one.path.startswith(("/index.json", "/index/")) and "Range" not in one.headers
    ]


@pytest.fixture(autouse=True)
def _blocks_of_small_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticstore.tuning.BLOCKS_WORTHWHILE_BYTES", 0)


@pytest.fixture
def store(published: PublishedSite) -> Iterator[StaticStore]:
    """Connect a store to the site, which serves no change files from now on."""
    published.with_change_files = False
    with StaticStore(published.server.url, poll_interval=0).connect(retries=0) as store:
        yield store


def test_only_the_blocks_that_differ_are_fetched(
    published: PublishedSite, store: StaticStore
) -> None:
    published.publish("0100.txt", **{"0300.txt": b"another", "0450a.txt": b"new"})
    before = len(wholes(published))
    changes = store.update_index()
    assert [(one.action, one.key) for one in changes] == [
        ("delete", "0100.txt"),
        ("update", "0300.txt"),
        ("set", "0450a.txt"),
    ]
    assert 1 <= len(parts(published)) <= 4
    assert len(wholes(published)) == before


def test_the_snapshot_equals_the_index_that_the_head_names(
    published: PublishedSite, store: StaticStore
) -> None:
    published.publish("0000.txt", "0599.txt", **{"0700.txt": b"new", "+.txt": b"new"})
    store.update_index()
    assert store.index.canonical() == body(published)
    assert parts(published)


def test_blocks_can_be_applied_on_top_of_earlier_changes(
    published: PublishedSite, store: StaticStore
) -> None:
    for number in range(3):
        published.publish(**{f"0{number}99.txt": b"another"})
        store.update_index()
    assert store.index.canonical() == body(published)
    assert len(wholes(published)) == 1


def test_from_a_host_without_ranges_the_whole_is_fetched(
    published: PublishedSite, store: StaticStore
) -> None:
    published.server.answer = serve_files(published.files, ranges=False)
    published.publish(**{"0300.txt": b"another"})
    assert len(store.update_index()) == 1
    assert (len(wholes(published)), len(parts(published))) == (2, 1)


@pytest.mark.parametrize("what", ["root", "list", "block"])
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_after_a_wrong_part_the_whole_is_fetched(
    published: PublishedSite, store: StaticStore, what: str, how: str
) -> None:
    published.publish(**{"0300.txt": b"another"})
    good = serve_files(published.files)
    blocks = published.head.blocks
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
            size = len(body(published))
            given = {"Content-Range": f"bytes {first}-{last}/{size}"}
            wire.response(206, b"x" * (int(last) + 1 - int(first)), given)
        else:
            wire.response(200, b"{}")

    published.server.answer = answer
    assert [change.key for change in store.update_index()] == ["0300.txt"]
    assert store.index.canonical() == body(published)


def test_if_most_blocks_differ_the_whole_is_fetched(
    published: PublishedSite, store: StaticStore
) -> None:
    published.publish(**dict.fromkeys(KEYS, b"another"))
    assert len(store.update_index()) == len(KEYS)
    assert not parts(published)


def test_a_small_index_is_fetched_whole(
    published: PublishedSite, store: StaticStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.BLOCKS_WORTHWHILE_BYTES", 1 << 20)
    published.publish(**{"0300.txt": b"another"})
    store.update_index()
    assert not parts(published)


def test_queries_include_changes_made_by_blocks(
    published: PublishedSite, store: StaticStore
) -> None:
    list(store.query_keys(size=1))
    published.publish(**{"0300.txt": b"another"})
    store.update_index()
    assert list(store.query_keys(size=7)) == ["0300.txt"]


def test_it_works_with_nginx(published: PublishedSite) -> None:
    with (
        Nginx(published.folder) as nginx,
        StaticStore(nginx.url, poll_interval=0).connect() as store,
    ):
        for path in (published.folder / "changes").glob("*"):
            path.unlink()
        published.publish(**{"0300.txt": b"another"})
        for path in (published.folder / "changes").glob("*"):
            path.unlink()
        assert [change.key for change in store.update_index()] == ["0300.txt"]
        assert 206 in [one.status for one in nginx.requests()]
