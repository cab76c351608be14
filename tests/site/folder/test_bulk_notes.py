"""Notes of many files in columns: what they say, and what they take for unchanged."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.site.folder.bulk_notes import (
    BulkNotes,
    FolderNotes,
    read_bulk_notes,
    write_bulk_notes,
)
from staticstore.site.folder.data_file import FileDigest
from tests.index.strategies import keys, quick

DIGEST = "ab" * 32
numbers = st.integers(0, (1 << 63) - 1)
digests = st.builds(
    FileDigest,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    numbers,
    st.integers(-(1 << 62), 1 << 62),
    numbers,
)
rows = st.dictionaries(keys, digests, max_size=8)


@quick
@given(rows, st.dictionaries(keys, st.none() | digests, max_size=8))
def test_changed_notes_say_what_a_dictionary_says(
    noted: dict[str, FileDigest], changes: dict[str, FileDigest | None]
) -> None:
    notes = BulkNotes().changed_by(noted, index="").changed_by(changes, index=DIGEST)
    expected = {key: row for key, row in {**noted, **changes}.items() if row is not None}
    assert notes.digests() == expected
    assert notes.digests([*changes, "other"]) == {
        key: expected[key] for key in [*changes, "other"] if key in expected
    }
    assert sorted(notes.keys()) == sorted(expected)
    assert len(notes) == len(expected)


@quick
@given(rows)
def test_what_is_written_is_read(noted: dict[str, FileDigest]) -> None:
    notes = BulkNotes().changed_by(noted, index=DIGEST)
    assert BulkNotes.parse(b"".join(notes.encode())) == notes


@quick
@given(rows, st.data())
def test_damaged_notes_are_no_notes(noted: dict[str, FileDigest], data: st.DataObject) -> None:
    text = b"".join(BulkNotes().changed_by(noted, index="").encode())
    at = data.draw(st.integers(0, len(text) - 1))
    assert read_of(text[:at]) == BulkNotes()
    changed = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
    # All is hashed but the end of the first line.
    assert read_of(changed) in (BulkNotes(), BulkNotes.parse(text))


def read_of(text: bytes) -> BulkNotes:
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        return read_bulk_notes(Path(file.name))


@pytest.mark.parametrize("text", [b"", b"\n", b"{}\n", b"[]\n", b"\x00", b'{"format":1}\n'])
def test_other_files_are_no_notes(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "notes.bin"
    assert read_bulk_notes(path) == BulkNotes()
    path.write_bytes(text)
    assert read_bulk_notes(path) == BulkNotes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def statuses(folder: Path) -> list[os.stat_result]:
    return [os.lstat(folder / name) for name in ("a", "b", "c")]


def noted(folder: Path) -> FolderNotes:
    rows = {
        name: FileDigest(DIGEST, status.st_size, status.st_mtime_ns, status.st_ino)
        for name, status in zip(("a", "b", "c"), statuses(folder), strict=True)
    }
    return FolderNotes().changed_by(rows)


def test_unchanged_files_do_not_differ(folder: Path) -> None:
    assert noted(folder).differing(statuses(folder)) == []


def test_a_file_with_another_state_or_none_differs(folder: Path) -> None:
    notes = noted(folder)
    (folder / "a").write_bytes(b"longer")
    os.utime(folder / "b", (1, 1))
    a, b, _ = statuses(folder)
    assert notes.differing([a, b, None]) == ["a", "b", "c"]


def test_the_rows_of_a_part_are_compared(folder: Path) -> None:
    _, b, c = statuses(folder)
    assert noted(folder).differing([b, c], 1) == []
    assert noted(folder).differing([c, b], 1) == ["b", "c"]


def test_what_is_no_regular_file_differs_whatever_its_state(folder: Path) -> None:
    (folder / "b").unlink()
    (folder / "b").symlink_to("a")
    assert noted(folder).differing(statuses(folder)) == ["b"]


def test_numbers_of_more_than_63_bits_are_compared_too(folder: Path) -> None:
    mode, inode = os.lstat(folder / "a").st_mode, (1 << 64) - 5
    large: Any = SimpleNamespace(st_mode=mode, st_size=1, st_mtime_ns=2, st_ino=inode)
    assert noted_as(1, 2, inode).differing([large]) == []
    assert noted_as(1, 2, inode - 1).differing([large]) == ["a"]


def noted_as(*state: int) -> FolderNotes:
    return FolderNotes().changed_by({"a": FileDigest(DIGEST, *state)})


def test_what_is_written_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "notes.bin"
    for index in ("", DIGEST):
        write_bulk_notes(path, BulkNotes(index=index))
        assert read_bulk_notes(path).index == index
