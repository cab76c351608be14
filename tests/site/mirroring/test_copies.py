"""Compressed copies in mirrors: carried byte for byte, and the values taken out of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from staticstore import StaticStore, mirror, publish, verify_site
from staticstore.site.mirroring import copy_fetching
from tests.compressed import VALUE, copy_of, described, href_of
from tests.servers import Files, RawServer, serve_files

from ..sitefolder import fill, make_site

TEXT = VALUE * 2
FILES = {"a.json": TEXT, "b/é.csv": VALUE[:5000], "c.bin": b"c", "same.json": TEXT}

Serve = Callable[..., tuple[StaticStore, RawServer]]


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder, compress="*")
    return folder


def files_of(site: Path) -> dict[str, bytes]:
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in site.rglob("*")
        if path.is_file() and ".staticstore" not in path.parts
    }


def copies_in(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "stored").glob("*.zst")}


@pytest.fixture
def serve(stack: ExitStack) -> Serve:
    def serve(answer: Files) -> tuple[StaticStore, RawServer]:
        server = stack.enter_context(RawServer(answer, heads=True))
        store = StaticStore(server.url, poll_interval=0)
        stack.callback(store.disconnect)
        return store.connect(retries=0), server

    return serve


def asked(server: RawServer, start: str) -> list[str]:
    return [one.path for one in server.requests if one.path.startswith(start)]


def test_a_mirror_has_the_copies_and_fetches_each_value_once(
    site: Path, tmp_path: Path, serve: Serve
) -> None:
    store, server = serve(serve_files(files_of(site)))
    report = mirror(store, tmp_path / "copy")
    assert (report.fetched, report.failed) == (4, [])
    assert copies_in(tmp_path / "copy") == copies_in(site)
    assert verify_site(tmp_path / "copy").wrong == []
    assert asked(server, "/data/") == ["/data/c.bin"]
    assert len(asked(server, "/stored/")) == 2
    heads = [root / "index.head.json" for root in (site, tmp_path / "copy")]
    assert heads[0].read_bytes() == heads[1].read_bytes()


def test_a_mirror_without_the_extra_has_the_copies_too(
    site: Path, tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C28."""
    monkeypatch.setattr("staticstore.zstd.find_zstd", lambda: None)
    monkeypatch.setattr(copy_fetching, "find_zstd", lambda: None)
    store, server = serve(serve_files(files_of(site)))
    mirror(store, tmp_path / "copy")
    assert copies_in(tmp_path / "copy") == copies_in(site)
    assert len(asked(server, "/data/")) == 4


def test_a_mirror_again_asks_for_what_is_new(site: Path, tmp_path: Path, serve: Serve) -> None:
    files = files_of(site)
    store, server = serve(serve_files(files))
    mirror(store, tmp_path / "copy")
    fill(site / "data", {"b/é.csv": VALUE[:9000]})
    publish(site)
    files.update(files_of(site))
    before = len(server.requests)
    store.update_index()
    assert mirror(store, tmp_path / "copy").fetched == 1
    assert copies_in(site).items() <= copies_in(tmp_path / "copy").items()
    new = [one.path for one in server.requests[before:]]
    assert sum(path.startswith("/stored/") for path in new) == 1
    assert not any(path.startswith("/data/") for path in new)


def test_a_copy_that_is_gone_from_the_mirror_is_fetched_again(
    site: Path, tmp_path: Path, serve: Serve
) -> None:
    """F15."""
    store, _ = serve(serve_files(files_of(site)))
    mirror(store, tmp_path / "copy")
    first, second = (tmp_path / "copy" / "stored").iterdir()
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    assert mirror(store, tmp_path / "copy").fetched == 0
    assert copies_in(tmp_path / "copy") == copies_in(site)


def test_a_mirror_that_verifies_hashes_the_copies(site: Path, tmp_path: Path, serve: Serve) -> None:
    store, _ = serve(serve_files(files_of(site)))
    mirror(store, tmp_path / "copy")
    first = next((tmp_path / "copy" / "stored").iterdir())
    first.write_bytes(bytes(first.stat().st_size))
    mirror(store, tmp_path / "copy", verify=True)
    assert copies_in(tmp_path / "copy") == copies_in(site)


@pytest.mark.parametrize("wrong", ["missing", "page", "another"])
def test_a_bad_copy_costs_no_value(site: Path, tmp_path: Path, serve: Serve, wrong: str) -> None:
    """C27: nothing is written under a digest that is not its own."""
    files = files_of(site)
    for href in [href for href in files if href.startswith("stored/")]:
        body = files.pop(href)
        if wrong != "missing":
            files[href] = b"<html>" if wrong == "page" else body[::-1]
    store, _ = serve(serve_files(files))
    report = mirror(store, tmp_path / "copy")
    assert (report.fetched, report.failed) == (4, [])
    assert copies_in(tmp_path / "copy") == {}
    with StaticStore(tmp_path / "copy") as copied:
        assert dict(copied.read_many(FILES)) == FILES


def test_a_copy_longer_than_its_value_is_not_fetched(tmp_path: Path, serve: Serve) -> None:
    """C28: the index of a site does not fill the disk of its mirrors."""
    entry = described(b"short", copy_of(VALUE))
    files = {"index.json": json.dumps({"a": entry}).encode(), "data/a": b"short"}
    files[href_of(copy_of(VALUE))] = copy_of(VALUE)
    store, _ = serve(serve_files(files))
    assert mirror(store, tmp_path / "copy").fetched == 1
    assert not (tmp_path / "copy" / "stored").exists()


def test_a_link_in_the_place_of_the_folder_is_not_followed(
    site: Path, tmp_path: Path, serve: Serve
) -> None:
    """F11."""
    from staticstore import StoreError

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "stored").symlink_to(elsewhere)
    store, _ = serve(serve_files(files_of(site)))
    with pytest.raises(StoreError, match="symbolic link"):
        mirror(store, tmp_path / "copy")
    assert list(elsewhere.iterdir()) == []


def test_a_part_names_no_copies(site: Path, tmp_path: Path, serve: Serve) -> None:
    store, server = serve(serve_files(files_of(site)))
    assert mirror(store, tmp_path / "copy", where={"media_type": "application/json"}).fetched == 2
    assert b'"stored"' not in (tmp_path / "copy" / "index.json").read_bytes()
    assert asked(server, "/data/") == []
