"""What goes wrong while a site is copied: FAULTS A8, B6, F1 to F3, F7 to F9."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from staticstore import StaticStore, mirror, publish, verify_site
from staticstore.disk.atomic import write_unsynced
from staticstore.errors import NotConnectedError, StoreError, TransportError
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.mirroring.survey import spelling_of, unfit_keys
from tests.killing import killed
from tests.servers import Nginx
from tests.sites import write_site

from ..sitefolder import fill, index_of, make_site, tree

FILES = {"a.csv": b"x\n1\n", "b/c.bin": b"\0\1\2", "b/large.bin": b"large" * 250_000}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy"


@pytest.fixture
def store(site: Path) -> Iterator[StaticStore]:
    with StaticStore(site, poll_interval=0) as store:
        yield store


# Killed


def mismatched(copy: Path) -> dict[str, bytes]:
    """Return the values of a site that are not those of its index; it must open and read."""
    wrong = {}
    with StaticStore(copy, poll_interval=0) as store:
        for key in store:
            data = (copy / "data" / key).read_bytes()
            if hashlib.sha256(data).hexdigest() != store[key].sha256:
                wrong[key] = data
    return wrong


def killed_mirrors(url: str, template: Path, folder: Path, *, first: int) -> int:
    """Kill mirrors at every third system call; return how many were killed."""
    return killed("tests.site.killed_mirror", url, template, folder, first)


@pytest.mark.parametrize("pack", [False, True], ids=["plain", "pack"])
def test_f1_killed_at_any_instant_the_first_mirror_is_no_site_yet_or_all_of_it(
    site: Path, tmp_path: Path, memory_path: Path, pack: bool
) -> None:
    publish(site, pack=pack)
    (tmp_path / "nothing").mkdir()
    with Nginx(site) as web:
        instants = killed_mirrors(web.url, tmp_path / "nothing", memory_path, first=int(pack))
        assert instants >= 20
        for number in range(instants + 1):
            copy = memory_path / str(number)
            if (copy / "index.json").exists():
                assert not mismatched(copy)
            with StaticStore(web.url, poll_interval=0) as store:
                assert not mirror(store, copy).failed
            assert verify_site(copy).wrong == []
            for name in ("index.json", "index.head.json"):
                assert (copy / name).read_bytes() == (site / name).read_bytes()


def test_f1_killed_at_any_instant_a_mirror_is_the_old_site_or_the_new(
    site: Path, store: StaticStore, tmp_path: Path, memory_path: Path
) -> None:
    mirror(store, tmp_path / "template")
    fill(site / "data", {"a.csv": b"new", "d/e.json": b"{}", "b/large.bin": b"LARGE" * 300_000})
    (site / "data" / "b" / "c.bin").unlink()
    publish(site)
    new = (site / "index.json").read_bytes()
    torn = 0
    with Nginx(site) as web:
        instants = killed_mirrors(web.url, tmp_path / "template", memory_path, first=2)
        assert instants >= 20
        for number in range(instants + 1):
            copy = memory_path / str(number)
            wrong = mismatched(copy)
            # Only while values that replace others are put in place, each of them whole.
            assert all(data == (site / "data" / key).read_bytes() for key, data in wrong.items())
            torn += bool(wrong)
            with StaticStore(web.url, poll_interval=0) as again:
                assert not mirror(again, copy).failed
            assert (copy / "index.json").read_bytes() == new
            assert verify_site(copy).wrong == []
            assert not list(copy.rglob("*.tmp"))
            assert not (copy / ".staticstore" / "incoming").exists()
    assert torn <= 3  # between two names of values, and until that of the index


# Refused before anything is written


def test_f3_a_second_run_on_the_folder_says_so_and_ends(store: StaticStore, copy: Path) -> None:
    (copy / "data").mkdir(parents=True)
    with (
        SiteFolder(copy).locked(),
        pytest.raises(StoreError, match="another publish, mirror or push"),
    ):
        mirror(store, copy)
    assert not (copy / "index.json").exists()


def test_f8_deleting_all_is_refused_and_nothing_is_changed(
    site: Path, store: StaticStore, copy: Path
) -> None:
    mirror(store, copy)
    for key in FILES:
        (site / "data" / key).unlink()
    publish(site, force={"shrink"})
    store.update_index()
    before = tree(copy)
    with pytest.raises(StoreError, match="would leave 0 of 3 entries"):
        mirror(store, copy, delete=True)
    assert tree(copy) == before
    assert mirror(store, copy, delete=True, force=True).deleted == 3
    assert list((copy / "data").iterdir()) == []


def test_delete_removes_what_the_index_does_not_name(store: StaticStore, copy: Path) -> None:
    mirror(store, copy)
    fill(copy / "data", {"old/er.txt": b"old"})
    assert mirror(store, copy).deleted == 0
    assert mirror(store, copy, delete=True).deleted == 1
    assert not (copy / "data" / "old").exists()
    assert verify_site(copy).wrong == []


def test_delete_follows_no_link(store: StaticStore, copy: Path, tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"mine.txt": b"mine"})
    mirror(store, copy)
    (copy / "data" / "link").symlink_to(tmp_path / "elsewhere")
    assert mirror(store, copy, delete=True).deleted == 0
    assert (tmp_path / "elsewhere" / "mine.txt").exists()


@pytest.mark.parametrize("place", ["data", ".staticstore", "packs", "index", "blocks"])
def test_f7_a_folder_of_the_mirror_that_is_a_link_is_refused(
    store: StaticStore, copy: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    copy.mkdir()
    (copy / place).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="is a symbolic link"):
        mirror(store, copy)
    assert list((tmp_path / "elsewhere").iterdir()) == []


# Entries that fail, and the rest that does not


def test_f7_nothing_is_written_through_a_link(
    store: StaticStore, copy: Path, tmp_path: Path
) -> None:
    fill(tmp_path / "elsewhere", {"mine.txt": b"mine"})
    fill(copy / "data", {})
    (copy / "data").mkdir(parents=True)
    (copy / "data" / "a.csv").symlink_to(tmp_path / "elsewhere" / "mine.txt")
    (copy / "data" / "b").symlink_to(tmp_path / "elsewhere")
    report = mirror(store, copy)
    assert dict(report.failed) == {
        "a.csv": "a symbolic link is in its place",
        "b/c.bin": "a symbolic link is in the place of its folder 'b'",
        "b/large.bin": "a symbolic link is in the place of its folder 'b'",
    }
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["mine.txt"]
    assert (tmp_path / "elsewhere" / "mine.txt").read_bytes() == b"mine"


def test_f7_nothing_is_written_into_the_place_of_a_folder(store: StaticStore, copy: Path) -> None:
    fill(copy / "data", {"a.csv/inside": b"1", "b": b"a file"})
    report = mirror(store, copy, force={"folder"})
    assert [key for key, _ in report.failed] == ["a.csv", "b/c.bin", "b/large.bin"]
    assert "a folder is in its place" in report.failed[0]
    assert (copy / "data" / "b").read_bytes() == b"a file"


def test_what_has_come_into_the_place_of_a_value_meanwhile_is_reported(
    site: Path, store: StaticStore, copy: Path
) -> None:
    mirror(store, copy)
    fill(site / "data", {"a.csv": b"new", "b/c.bin": b"new, too"})
    publish(site)
    store.update_index()

    def come(done: int, total: int) -> None:
        place = copy / "data" / "a.csv"
        if place.is_file():
            place.unlink()
            place.mkdir()

    report = mirror(store, copy, progress=come)
    assert report.failed == [("a.csv", "Is a directory")]
    assert sorted(index_of(copy)) == ["b/c.bin", "b/large.bin"]
    assert verify_site(copy).wrong == []


def test_what_failed_is_not_in_the_index_of_the_copy(store: StaticStore, copy: Path) -> None:
    fill(copy / "data", {"a.csv/inside": b"1"})
    report = mirror(store, copy, force={"folder"})
    assert (report.fetched, len(report.failed)) == (2, 1)
    assert sorted(index_of(copy)) == ["b/c.bin", "b/large.bin"]
    assert verify_site(copy).wrong == []


def test_what_has_gone_from_the_copy_and_cannot_be_written_is_not_named(
    store: StaticStore, copy: Path
) -> None:
    mirror(store, copy)
    (copy / "data" / "a.csv").unlink()
    (copy / "data" / "a.csv").mkdir()
    assert len(mirror(store, copy).failed) == 1
    assert sorted(index_of(copy)) == ["b/c.bin", "b/large.bin"]


def test_an_entry_that_is_none_is_passed_over(site: Path, copy: Path) -> None:
    body = (site / "index.json").read_bytes().replace(b'"b/c.bin":{', b'"b/c.bin":1,"b/d":{')
    (site / "index.json").write_bytes(body)
    (site / "index.head.json").unlink()
    with StaticStore(site, poll_interval=0) as store:
        report = mirror(store, copy)
    assert [key for key, _ in report.failed] == ["b/d"]
    assert sorted(index_of(copy)) == ["a.csv", "b/large.bin"]


def test_what_fails_stays_as_it_was(site: Path, store: StaticStore, copy: Path) -> None:
    mirror(store, copy)
    before = index_of(copy)["a.csv"]
    fill(site / "data", {"a.csv": b"new value", "new.csv": b"new"})
    publish(site)
    store.update_index()
    (site / "data" / "a.csv").unlink()
    report = mirror(store, copy)
    ((key, reason),) = report.failed
    assert key == "a.csv"
    assert "there is no such file" in reason
    assert index_of(copy)["a.csv"] == before
    assert "new.csv" in index_of(copy)
    assert verify_site(copy).wrong == []


def test_what_failed_once_is_tried_again_and_then_all_is_as_on_the_site(
    site: Path, store: StaticStore, copy: Path
) -> None:
    (site / "data" / "a.csv").rename(site / "data" / "hidden")
    assert mirror(store, copy).failed
    (site / "data" / "hidden").rename(site / "data" / "a.csv")
    assert not mirror(store, copy).failed
    for name in ("index.json", "index.head.json"):
        assert (copy / name).read_bytes() == (site / name).read_bytes()


def test_a_value_that_is_not_the_one_of_the_index_fails(
    site: Path, store: StaticStore, copy: Path
) -> None:
    (site / "data" / "a.csv").write_bytes(b"x\n9\n")
    (site / "data" / "b" / "large.bin").write_bytes(b"LARGE" * 250_000)
    report = mirror(store, copy)
    assert [key for key, _ in report.failed] == ["a.csv", "b/large.bin"]
    assert not (copy / "data" / "a.csv").exists()
    assert not (copy / "data" / "b" / "large.bin").exists()


def test_f2_a_full_disk_is_a_reason_for_an_entry(
    store: StaticStore, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str, data: bytes, **options: Any) -> None:
        if path.endswith("/a.csv"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_unsynced(path, data, **options)

    monkeypatch.setattr("staticstore.site.mirroring.staging.write_unsynced", full)
    report = mirror(store, copy)
    assert report.failed == [("a.csv", "it cannot be written: No space left on device")]
    assert sorted(index_of(copy)) == ["b/c.bin", "b/large.bin"]


def test_f2_a_folder_that_cannot_be_made_is_an_error(store: StaticStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be written"):
        mirror(store, tmp_path / "file" / "copy")


def test_b6_a_name_that_is_too_long_fails_with_a_reason(tmp_path: Path, copy: Path) -> None:
    origin = tmp_path / "origin"
    write_site(origin, {"good": b"1"})
    long = "é" * 128
    entry = '{"size":1,"sha256":"' + hashlib.sha256(b"1").hexdigest() + '"}'
    (origin / "index.json").write_text(f'{{"good":{entry},"{long}":{entry},"good/x":{entry}}}')
    (origin / "data" / "good").unlink()
    fill(origin / "data", {"good/x": b"1"})
    with StaticStore(origin, poll_interval=0) as store:
        failed = dict(mirror(store, copy).failed)
    assert failed.keys() == {"good", long}
    assert failed["good"] == "other keys need a folder of that name"
    assert "longer than 255 bytes" in failed[long]
    assert sorted(index_of(copy)) == ["good/x"]


def test_b6_names_that_a_file_system_takes_for_one_fail_but_for_the_first() -> None:
    assert unfit_keys(["A/x", "B", "a/x", "b/y"], str.casefold) == {
        "B": "other keys need a folder of that name",
        "a/x": "the file system takes it for 'A/x'",
    }


def test_b6_a_key_of_many_segments_fails_and_the_others_are_copied(
    tmp_path: Path, copy: Path
) -> None:
    origin, deep = tmp_path / "origin", "a/" * 1500 + "b"
    write_site(origin, {"good": b"1"})
    entries = index_of(origin)
    (origin / "index.json").write_text(json.dumps({deep: entries["good"], **entries}))
    with StaticStore(origin, poll_interval=0) as store:
        assert [key for key, _ in mirror(store, copy).failed] == [deep]
    assert list(index_of(copy)) == ["good"]


def test_a8_a_long_key_costs_no_more_than_a_few_times_its_length() -> None:
    keys = ["a/" * 10_000 + "b", "ok"]
    tracemalloc.start()
    try:
        unfit_keys(keys, lambda key: key)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(keys[0])  # not 5,000 times


def test_b6_what_a_file_system_takes_for_one_is_found_by_trying(tmp_path: Path) -> None:
    spelling = spelling_of(tmp_path)
    (tmp_path / "a").touch()
    assert (spelling("a") == spelling("A")) == (tmp_path / "A").exists()
    assert not list(tmp_path.glob("probe*"))


def test_a_disconnect_ends_the_run_and_leaves_what_was_said(site: Path, copy: Path) -> None:
    store = StaticStore(site, poll_interval=0).connect()
    mirror(store, copy)
    before = (copy / "index.json").read_bytes()
    fill(site / "data", {f"{number}.txt": b"new" * 1_000_000 for number in range(9)})
    publish(site)
    store.update_index()

    def disconnect(done: int, total: int) -> None:
        store.disconnect()

    with pytest.raises(NotConnectedError):
        mirror(store, copy, workers=1, progress=disconnect)
    assert (copy / "index.json").read_bytes() == before


def test_a_host_that_cannot_be_reached_any_more_ends_the_run(tmp_path: Path, copy: Path) -> None:
    write_site(tmp_path / "origin", {f"{number:03}": b"%d" % number for number in range(99)})
    with Nginx(tmp_path / "origin") as web:
        store = StaticStore(web.url, poll_interval=0).connect(retries=0)
    with pytest.raises(TransportError):
        mirror(store, copy)
    store.disconnect()
    assert not (copy / "index.json").exists()


def test_verify_finds_a_damaged_pack(site: Path, store: StaticStore, copy: Path) -> None:
    publish(site, pack=True)
    store.update_index()
    mirror(store, copy)
    (pack,) = copy.glob("packs/*.zip")
    pack.write_bytes(b"damaged")
    mirror(store, copy, verify=True)
    assert verify_site(copy).wrong == []
