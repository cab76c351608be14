"""A mirror that runs again: what it looks at, and what it must not overlook."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from staticstore import MirrorReport, StaticStore, mirror, publish, verify_site
from staticstore.site.folder.notes import read_notes
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.mirroring import run
from staticstore.site.mirroring.survey import survey
from tests.sites import entry, write_index, write_site

from ..sitefolder import fill, index_of, make_site, tree

FILES = {f"{folder}/{number}.bin": b"%d" % number for folder in "abc" for number in range(9)}
NOTES = ".staticstore/notes"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", FILES)
    publish(folder)
    return folder


@pytest.fixture
def copy(site: Path, tmp_path: Path) -> Path:
    copied(site, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """Collect the keys that each run looks at one by one."""
    found: list[set[str]] = []

    def recorded(folder: SiteFolder, contents: Mapping[str, Any], *rest: Any, **more: Any) -> Any:
        found.append(set(contents))
        return survey(folder, contents, *rest, **more)

    monkeypatch.setattr(run, "survey", recorded)
    return found


def copied(site: Path, copy: Path, **options: Any) -> MirrorReport:
    with StaticStore(site, poll_interval=0) as store:
        return mirror(store, copy, **options)


# What it looks at


def test_what_has_not_changed_is_not_looked_at_one_by_one(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    before = tree(copy)
    report = copied(site, copy)
    assert surveyed == [set()]
    assert (report.fetched, report.kept) == (0, len(FILES))
    assert tree(copy) == before


def test_of_a_new_index_only_what_differs_is_looked_at(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    fill(site / "data", {"a/1.bin": b"changed", "new": b"new"})
    (site / "data" / "b" / "2.bin").unlink()
    publish(site)
    report = copied(site, copy)
    assert surveyed == [{"a/1.bin", "new"}]
    assert (report.fetched, report.kept) == (2, len(FILES) - 2)
    assert verify_site(copy).wrong == []


def test_an_entry_that_alone_has_changed_fetches_nothing(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    publish(site, metadata={"a/1.bin": {"title": "one"}})
    report = copied(site, copy)
    assert surveyed == [{"a/1.bin"}]
    assert (report.fetched, report.kept) == (0, len(FILES))
    assert index_of(copy)["a/1.bin"]["title"] == "one"


def test_if_most_entries_have_changed_all_are_looked_at(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    publish(site, metadata={"*": {"title": "one"}})
    assert copied(site, copy).kept == len(FILES)
    assert surveyed == [set(FILES)]


def test_a_file_that_has_changed_in_the_copy_is_looked_at_and_fetched(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    (copy / "data" / "a" / "1.bin").write_bytes(b"0")
    (copy / "data" / "b" / "2.bin").unlink()
    shutil.rmtree(copy / "data" / "c")
    report = copied(site, copy)
    assert surveyed[0] == {"a/1.bin", "b/2.bin", *(key for key in FILES if key[0] == "c")}
    assert report.fetched == 2 + 9
    assert verify_site(copy).wrong == []


def test_verify_looks_at_all(site: Path, copy: Path, surveyed: list[set[str]]) -> None:
    copied(site, copy, verify=True)
    assert surveyed == [set(FILES)]


@pytest.mark.parametrize("damage", ["remove", "cut", "of another index"])
def test_without_notes_that_go_with_the_index_all_is_looked_at(
    site: Path, copy: Path, surveyed: list[set[str]], damage: str
) -> None:
    notes = copy / NOTES
    if damage == "remove":
        notes.unlink()
    elif damage == "cut":
        notes.write_bytes(notes.read_bytes()[:-1])
    else:
        index = copy / "index.json"
        body = index.read_bytes()
        index.unlink()
        index.write_bytes(body + b" ")
    report = copied(site, copy)
    assert surveyed == [set(FILES)]
    assert report.fetched == 0
    copied(site, copy)
    assert surveyed[1] == set()


def test_after_a_publish_in_a_copy_only_what_differs_is_looked_at(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    fill(copy / "data", {"a/1.bin": b"our own"})
    publish(copy)
    report = copied(site, copy)
    assert surveyed == [{"a/1.bin"}]
    assert (report.fetched, report.kept) == (1, len(FILES) - 1)


def test_a_value_that_a_publish_could_not_settle_is_looked_at(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    path = copy / "data" / "a" / "1.bin"
    os.utime(path)  # perhaps it changes again within the same tick of the clock
    publish(copy)
    time = path.stat().st_mtime_ns
    path.write_bytes(b"!")  # of the same size
    os.utime(path, ns=(time, time))
    assert copied(site, copy).fetched == 1
    assert surveyed == [{"a/1.bin"}]
    assert verify_site(copy).wrong == []


def test_the_notes_of_an_earlier_version_are_read_and_replaced(site: Path, copy: Path) -> None:
    rows = {key: list(row) for key, row in read_notes(copy / NOTES).digests().items()}
    (copy / NOTES).unlink()
    before = copy / ".staticstore" / "notes.json"
    before.write_text(json.dumps({"format": "staticstore-notes/1", "files": rows}))
    assert copied(site, copy).kept == len(FILES)
    assert (copy / NOTES).exists()
    assert not before.exists()


def test_a_publish_in_a_copy_hashes_nothing_that_the_mirror_has_noted(copy: Path) -> None:
    assert set(read_notes(copy / NOTES)) == FILES.keys()
    fill(copy / "data", {"own": b"1"})
    assert publish(copy).hashed == 1


# What it must not overlook


def test_f7_a_folder_that_became_a_link_is_not_written_through(
    site: Path, copy: Path, tmp_path: Path
) -> None:
    shutil.move(copy / "data" / "a", tmp_path / "elsewhere")
    (copy / "data" / "a").symlink_to(tmp_path / "elsewhere")
    report = copied(site, copy)
    assert {key for key, _ in report.failed} == {key for key in FILES if key[0] == "a"}


def test_f7_a_file_that_became_a_link_is_reported(site: Path, copy: Path, tmp_path: Path) -> None:
    path = copy / "data" / "a" / "1.bin"
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert copied(site, copy).failed == [("a/1.bin", "a symbolic link is in its place")]


def test_b6_a_new_key_that_needs_the_place_of_an_old_one_as_a_folder_is_reported(
    tmp_path: Path,
) -> None:
    plain, other = tmp_path / "plain", tmp_path / "other"
    write_site(plain, {"x": b"1", "y": b"2"})
    copied(plain, other)
    write_index(plain, {"x": entry(b"1"), "x/z": entry(b"3"), "y": entry(b"2")})
    reasons = dict(copied(plain, other).failed)
    assert reasons["x"] == "other keys need a folder of that name"


def test_f11_a_name_that_was_allowed_once_is_withheld_again(tmp_path: Path) -> None:
    write_site(tmp_path / "careless", {".htaccess": b"1", "a": b"2"})
    other = tmp_path / "other"
    assert copied(tmp_path / "careless", other, allow_names=[".htaccess"]).skipped == []
    assert [key for key, _ in copied(tmp_path / "careless", other).skipped] == [".htaccess"]


def test_f14_with_delete_what_is_not_named_goes(site: Path, copy: Path) -> None:
    fill(copy / "data", {"a/foreign": b"1", "foreign/file": b"2"})
    (site / "data" / "b" / "2.bin").unlink()
    publish(site)
    assert copied(site, copy, delete=True).deleted == 3
    assert verify_site(copy).extra == []


def test_a_value_without_a_digest_is_fetched_each_time(tmp_path: Path) -> None:
    write_site(tmp_path / "plain", {"a": b"1", "b": b"2"}, lambda key, value: {"size": 1})
    other = tmp_path / "other"
    assert [copied(tmp_path / "plain", other).fetched for _ in range(3)] == [2, 2, 2]


def test_what_failed_is_tried_again_and_the_rest_is_not_looked_at(
    site: Path, copy: Path, surveyed: list[set[str]]
) -> None:
    fill(site / "data", {"a/1.bin": b"changed"})
    publish(site)
    (site / "data" / "a" / "1.bin").rename(site / "aside")
    assert [key for key, _ in copied(site, copy).failed] == ["a/1.bin"]
    assert index_of(copy)["a/1.bin"]["size"] == 1  # as before
    (site / "aside").rename(site / "data" / "a" / "1.bin")
    assert copied(site, copy).fetched == 1
    assert surveyed == [{"a/1.bin"}, {"a/1.bin"}]
    assert index_of(copy) == index_of(site)
