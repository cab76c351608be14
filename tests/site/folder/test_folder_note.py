"""Notes of one folder: what they say, and what they take for unchanged."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.site.folder.data_file import FileDigest
from staticstore.site.folder.folder_files import Listing
from staticstore.site.folder.folder_note import FolderNote, settled
from tests.index.strategies import quick

from .noted import DIGEST, digests

NOTED = FileDigest(DIGEST, 3, 5_000_000_000, 7)
names = st.sampled_from(["a", "b", "c", "é", "z.bin", "\U0001f30d"])
rows = st.dictionaries(names, digests)


@quick
@given(rows, st.dictionaries(names, st.none() | digests))
def test_a_changed_note_says_what_a_dictionary_says(
    noted: dict[str, FileDigest], changes: dict[str, FileDigest | None]
) -> None:
    note = FolderNote().changed_by(noted).changed_by(changes)
    expected = {name: row for name, row in {**noted, **changes}.items() if row is not None}
    assert list(note.rows()) == sorted(expected.items())
    assert note.name_list() == sorted(expected)
    assert note.file_count == len(expected)
    assert dict(note.rows_of([*changes, "other"])) == {
        name: expected[name] for name in changes if name in expected
    }


@pytest.mark.parametrize(
    ("began_ns", "is_settled"),
    [(7_000_000_001, True), (7_000_000_000, False), (6_000_000_000, False), (0, False)],
)
def test_a_file_younger_than_two_seconds_or_of_the_future_is_noted_without_its_inode(
    began_ns: int, is_settled: bool
) -> None:
    row = settled(NOTED, began_ns)
    assert row == (NOTED if is_settled else NOTED._replace(inode=-1))


# Compared with statuses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def statuses(folder: Path) -> list[os.stat_result]:
    return [os.lstat(folder / name) for name in ("a", "b", "c")]


def row_of(status: os.stat_result) -> FileDigest:
    return FileDigest(DIGEST, status.st_size, status.st_mtime_ns, status.st_ino)


def noted(folder: Path) -> FolderNote:
    found = zip(("a", "b", "c"), statuses(folder), strict=True)
    return FolderNote().changed_by({name: row_of(status) for name, status in found})


def test_unchanged_files_do_not_differ(folder: Path) -> None:
    assert noted(folder).differing(statuses(folder)) == []


def test_a_file_with_another_state_or_none_differs(folder: Path) -> None:
    note = noted(folder)
    (folder / "a").write_bytes(b"longer")
    os.utime(folder / "b", (1, 1))
    a, b, _ = statuses(folder)
    assert note.differing([a, b, None]) == [0, 1, 2]


def test_the_rows_of_a_part_are_compared(folder: Path) -> None:
    _, b, c = statuses(folder)
    assert noted(folder).differing([b, c], 1) == []
    assert noted(folder).differing([c, b], 1) == [1, 2]


def test_the_files_of_a_folder_are_compared(folder: Path) -> None:
    note = noted(folder)
    assert note.changed_in(str(folder)) == []
    (folder / "a").unlink()
    os.utime(folder / "c", (1, 1))
    assert note.changed_in(str(folder)) == ["a", "c"]


def test_no_file_is_as_noted_in_a_folder_that_is_missing_or_a_link(folder: Path) -> None:
    (folder / "link").symlink_to(folder)
    for name in ("missing", "link"):
        assert noted(folder).changed_in(str(folder / name)) == ["a", "b", "c"]


def test_what_is_no_regular_file_differs_whatever_its_state(folder: Path) -> None:
    (folder / "b").unlink()
    (folder / "b").symlink_to("a")
    assert noted(folder).differing(statuses(folder)) == [1]


def test_a_file_without_an_inode_differs_from_every_file_and_from_none(folder: Path) -> None:
    a, b, c = statuses(folder)
    note = noted(folder).changed_by({"b": settled(row_of(b), 0)})
    assert note.differing([a, b, c]) == [1]
    assert note.differing([a, None, c]) == [1]


def test_numbers_of_more_than_63_bits_are_compared_too(folder: Path) -> None:
    mode, inode = os.lstat(folder / "a").st_mode, (1 << 64) - 5
    large: Any = SimpleNamespace(st_mode=mode, st_size=1, st_mtime_ns=2, st_ino=inode)
    assert noted_as(1, 2, inode).differing([large]) == []
    assert noted_as(1, 2, inode - 1).differing([large]) == [0]


def noted_as(*state: int) -> FolderNote:
    return FolderNote().changed_by({"a": FileDigest(DIGEST, *state)})


# Compared with a listing


@quick
@given(rows, rows)
def test_a_listing_is_compared_file_by_file(
    noted: dict[str, FileDigest], there: dict[str, FileDigest]
) -> None:
    listing = Listing("folder/", "/data/folder/", 1, is_linked=False)
    for name, row in sorted(there.items()):
        listing.add(name, status_of(row))
    changed, gone = FolderNote().changed_by(noted).changes_to(listing)
    assert gone == sorted(noted.keys() - there.keys())
    assert [file.key for file in changed] == [
        f"folder/{name}"
        for name, row in sorted(there.items())
        if name not in noted or noted[name][1:] != row[1:]
    ]


def status_of(row: FileDigest) -> Any:
    return SimpleNamespace(st_size=row.size, st_mtime_ns=row.mtime_ns, st_ino=row.inode, st_dev=1)
