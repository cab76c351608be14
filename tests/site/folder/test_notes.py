"""The notes of a folder: believed only where nothing has changed."""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.site.folder.data_file import FileDigest
from staticstore.site.folder.folder_files import STATE_BYTES
from staticstore.site.folder.folder_note import DIGEST_BYTES, FolderNote
from staticstore.site.folder.notes import Notes, digest_in_state, read_notes, write_notes
from tests.index.strategies import keys, quick

from .noted import DIGEST, digests

NOTED = FileDigest(DIGEST, 3, 5_000_000_000, 7)
rows = st.dictionaries(keys, digests, max_size=8)


def notes_of(digests: dict[str, FileDigest], index: str = "") -> Notes:
    return Notes().changed_by(digests, index=index)


@quick
@given(rows, st.dictionaries(keys, st.none() | digests, max_size=8))
def test_changed_notes_say_what_a_dictionary_says(
    noted: dict[str, FileDigest], changes: dict[str, FileDigest | None]
) -> None:
    notes = notes_of(noted).changed_by(changes, index=DIGEST)
    expected = {key: row for key, row in {**noted, **changes}.items() if row is not None}
    assert notes.digests() == expected
    assert notes.digests([*changes, "other"]) == {
        key: expected[key] for key in [*changes, "other"] if key in expected
    }
    assert sorted(notes) == sorted(expected)
    assert len(notes) == len(expected)
    assert all((key in notes) == (key in expected) for key in {*noted, *changes})
    assert notes.index == DIGEST


def test_folders_without_a_change_are_shared() -> None:
    notes = notes_of({"a": NOTED, "b/c": NOTED, "d/e": NOTED})
    changed = notes.changed_by({"b/c": None, "d/f": NOTED}, index="")
    assert changed.folders.keys() == {"", "d/"}
    assert changed.folders[""] is notes.folders[""]


@quick
@given(rows, st.sampled_from(["", DIGEST]))
def test_what_is_written_is_read(noted: dict[str, FileDigest], index: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "notes")
        write_notes(path, notes_of(noted, index))
        assert read_notes(path) == notes_of(noted, index)


def test_what_is_written_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    for index in ("", DIGEST):
        write_notes(path, notes_of({"a": NOTED}, index))
        assert read_notes(path).index == index


def test_an_inode_of_more_than_64_bits_is_known_again(tmp_path: Path) -> None:
    write_notes(tmp_path / "notes", notes_of({"a": FileDigest(DIGEST, 3, 5, 1 << 100)}))
    noted = read_notes(tmp_path / "notes").digests()
    assert digest_in_state(noted, "a", 3, 5, 1 << 100) is not None
    assert digest_in_state(noted, "a", 3, 5, (1 << 100) + 1) is None


@pytest.mark.parametrize(
    "state", [(4, 5_000_000_000, 7), (3, 5_000_000_001, 7), (3, 5_000_000_000, 8)]
)
def test_a_file_of_another_size_time_or_inode_is_not_known(state: tuple[int, ...]) -> None:
    noted = {"a": NOTED}
    assert digest_in_state(noted, "a", 3, 5_000_000_000, 7) == NOTED
    assert digest_in_state(noted, "a", *state) is None
    assert digest_in_state(noted, "b", 3, 5_000_000_000, 7) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b"staticstore-notes/2",
        b"staticstore-notes/2 \n",
        b'{"format": "other", "files": {}}',
        b'{"format": "staticstore-notes/1", "files": []}',
        b'{"format": "staticstore-notes/1"}',
    ],
)
@pytest.mark.parametrize("name", ["notes", "notes.json"])  # and as earlier versions wrote them
def test_damaged_or_foreign_notes_are_not_believed(tmp_path: Path, body: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(body)
    assert read_notes(tmp_path / "notes") == Notes()


@quick
@given(rows, st.data())
def test_damaged_notes_are_no_notes(noted: dict[str, FileDigest], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "notes")
        write_notes(path, notes_of(noted, DIGEST))
        body = path.read_bytes()
        at = data.draw(st.integers(0, len(body) - 1))
        for damaged in (body[:at], body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]):
            path.write_bytes(damaged)
            assert read_notes(path) == Notes()


@pytest.mark.parametrize(
    "row",
    [
        None,
        {},
        [DIGEST, 3, 5],
        ["no digest", 3, 5, 7],
        [3, 3, 5, 7],
        [DIGEST, "3", 5, 7],
        [DIGEST, True, 5, 7],
        [DIGEST, 3, 5.5, 7],
    ],
)
def test_a_damaged_note_is_not_believed_and_the_others_are(tmp_path: Path, row: object) -> None:
    document = {"format": "staticstore-notes/1", "files": {"a": row, "b": list(NOTED)}}
    (tmp_path / "notes.json").write_text(json.dumps(document))
    assert read_notes(tmp_path / "notes") == notes_of({"b": NOTED})


def test_notes_of_an_earlier_version_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    write_notes(tmp_path / "notes", notes_of({"a": NOTED}))
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_no_notes_are_none(tmp_path: Path) -> None:
    assert read_notes(tmp_path / "notes") == Notes()


ROW = bytes(STATE_BYTES)
SUM = bytes(DIGEST_BYTES)


@pytest.mark.parametrize(
    "note",
    [
        FolderNote(b"a\nb", ROW, SUM),
        FolderNote(b"a", 2 * ROW, 2 * SUM),
        FolderNote(b"b\na", 2 * ROW, 2 * SUM),
        FolderNote(b"a\na", 2 * ROW, 2 * SUM),
        FolderNote(b"../a", ROW, SUM),
        FolderNote(b"", ROW, SUM),
        FolderNote(b"\xff", ROW, SUM),
        FolderNote(b"a", ROW, SUM[:-1]),
        FolderNote(b"a", ROW, SUM + b"abc"),
    ],
    ids=[
        *("too few rows", "too many rows", "not in order", "twice", "a path", "no name"),
        *("not in UTF-8", "a short digest", "bytes at the end"),
    ],
)
def test_notes_that_do_not_fit_together_are_empty(tmp_path: Path, note: FolderNote) -> None:
    """Also if their digest is right: another program may have written them."""
    write_notes(tmp_path / "notes", Notes({"": note}))
    assert read_notes(tmp_path / "notes") == Notes()


def test_a_count_that_is_larger_than_the_notes_is_refused(tmp_path: Path) -> None:
    huge = struct.pack("<QQQ", 0, 1, 1 << 60) + b"a"
    digest = hashlib.sha256(huge).hexdigest()
    (tmp_path / "notes").write_bytes(f"staticstore-notes/2 {digest} \n".encode() + huge)
    assert read_notes(tmp_path / "notes") == Notes()
