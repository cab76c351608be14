"""The publisher's notes: believed only where nothing has changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from staticstore.site.folder.data_file import FileDigest, FoundFile
from staticstore.site.folder.notes import Notes, read_notes, write_notes

SHA256 = "ab" * 32
NOTED = FileDigest(SHA256, 3, 5_000_000_000, 7)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    notes = Notes({"a": NOTED, "b/é": FileDigest(SHA256, 0, -1, 1 << 60)})
    write_notes(tmp_path / "notes", notes)
    assert read_notes(tmp_path / "notes") == notes


def test_an_inode_of_more_than_64_bits_is_known_again(tmp_path: Path) -> None:
    write_notes(tmp_path / "notes", Notes({"a": FileDigest(SHA256, 3, 5, 1 << 100)}))
    notes = read_notes(tmp_path / "notes")
    assert notes.digest_of(FoundFile("a", "a", 3, 5, 1 << 100)) is not None
    assert notes.digest_of(FoundFile("a", "a", 3, 5, (1 << 100) + 1)) is None


@pytest.mark.parametrize(
    ("size", "mtime_ns", "inode"),
    [(4, 5_000_000_000, 7), (3, 5_000_000_001, 7), (3, 5_000_000_000, 8)],
)
def test_a_file_of_another_size_time_or_inode_is_not_known(
    size: int, mtime_ns: int, inode: int
) -> None:
    notes = Notes({"a": NOTED})
    assert notes.digest_of(FoundFile("a", "a", 3, 5_000_000_000, 7)) == NOTED
    assert notes.digest_of(FoundFile("a", "a", size, mtime_ns, inode)) is None
    assert notes.digest_of(FoundFile("b", "b", 3, 5_000_000_000, 7)) is None


@pytest.mark.parametrize(
    ("began_ns", "noted"),
    [(7_000_000_001, True), (7_000_000_000, False), (6_000_000_000, False), (0, False)],
)
def test_a_file_younger_than_two_seconds_or_of_the_future_is_not_noted(
    began_ns: int, noted: bool
) -> None:
    assert bool(Notes.of({"a": NOTED}, began_ns).digests) is noted


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"format": "other", "files": {}}',
        b'{"format": "staticstore-notes/1", "files": []}',
        b'{"format": "staticstore-notes/1"}',
    ],
)
@pytest.mark.parametrize("name", ["notes", "notes.json"])  # and as earlier versions wrote them
def test_damaged_or_foreign_notes_are_not_believed(tmp_path: Path, body: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(body)
    assert read_notes(tmp_path / "notes") == Notes({})


@pytest.mark.parametrize("at", [0, 30, 84, 90, -1])
def test_notes_with_another_byte_are_not_believed(tmp_path: Path, at: int) -> None:
    write_notes(tmp_path / "notes", Notes({"a": NOTED, "b": NOTED}))
    body = bytearray((tmp_path / "notes").read_bytes())
    body[at] ^= 1
    (tmp_path / "notes").write_bytes(body)
    assert read_notes(tmp_path / "notes") == Notes({})


def test_notes_that_were_cut_short_are_not_believed(tmp_path: Path) -> None:
    write_notes(tmp_path / "notes", Notes({"a": NOTED, "b": NOTED}))
    body = (tmp_path / "notes").read_bytes()
    (tmp_path / "notes").write_bytes(body[:-1])
    assert read_notes(tmp_path / "notes") == Notes({})


@pytest.mark.parametrize(
    "row",
    [
        None,
        {},
        [SHA256, 3, 5],
        ["no digest", 3, 5, 7],
        [3, 3, 5, 7],
        [SHA256, "3", 5, 7],
        [SHA256, True, 5, 7],
        [SHA256, 3, 5.5, 7],
    ],
)
def test_a_damaged_note_is_not_believed_and_the_others_are(tmp_path: Path, row: object) -> None:
    document = {"format": "staticstore-notes/1", "files": {"a": row, "b": list(NOTED)}}
    (tmp_path / "notes.json").write_text(json.dumps(document))
    assert read_notes(tmp_path / "notes") == Notes({"b": NOTED})


def test_notes_of_an_earlier_version_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    write_notes(tmp_path / "notes", Notes({"a": NOTED}))
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_no_notes_are_none(tmp_path: Path) -> None:
    assert read_notes(tmp_path / "notes") == Notes({})
