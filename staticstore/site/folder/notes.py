"""The notes of a folder: the digests of files, in the states in which they were hashed.

They are in ``.staticstore/notes``, and only publishers, mirrors and pushes read them, so
that unchanged files are not hashed again.  Deleting them costs nothing but time.

The file is a line with a format, the sha256 of the rest, and that of the ``index.json``
that the notes go with, and then for each folder three sizes, its path, the names of its
files, their states (`STATE_BYTES` each) and their digests (`DIGEST_BYTES` each).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import lt
from pathlib import Path
from typing import Any

from ...disk.atomic import atomic_file
from ...disk.file_system import read_regular
from ...errors import IndexFormatError
from ...index import codec
from ...index.codec import SHA256
from .data_file import FileDigest
from .folder_files import STATE_BYTES, packed_states
from .folder_note import DIGEST_BYTES, FolderNote

__all__ = ["Notes", "digest_in_state", "read_notes", "write_notes"]

_FORMAT = b"staticstore-notes/2"
_FORMAT_BEFORE = "staticstore-notes/1"  # JSON, in `notes.json`
_MOST_HEADER_BYTES = 200
# The bytes of a folder's path and of its names, and the number of its files.
_SIZES = struct.Struct("<QQQ")
_EMPTY = FolderNote()


@dataclass(frozen=True)
class Notes(Collection[str]):
    """The states and digests of files, folder by folder; a collection of their keys.

    Attributes
    ----------
    folders : mapping of str to FolderNote
        By path below the data folder, with a slash at its end; empty for the data
        folder itself.
    index : str
        The sha256 of the ``index.json`` whose entries have these digests: it has all
        noted keys, and perhaps others.  Empty if there is none, or it is unknown.

    Examples
    --------
    >>> notes = Notes().changed_by({"a/b": FileDigest("ab" * 32, 3, 5, 7)}, index="")
    >>> list(notes), notes.digests(["a/b", "c"])["a/b"].size
    (['a/b'], 3)
    """

    folders: Mapping[str, FolderNote] = field(default_factory=dict)
    index: str = ""

    def __contains__(self, key: object) -> bool:
        """Return whether a key is noted, at the cost of its folder."""
        return isinstance(key, str) and bool(self.digests([key]))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the noted keys, folder by folder."""
        for prefix, note in self.folders.items():
            yield from [prefix + name for name in note.name_list()]

    def __len__(self) -> int:
        """Count the noted keys."""
        return sum(note.file_count for note in self.folders.values())

    def digests(self, keys: Iterable[str] | None = None) -> dict[str, FileDigest]:
        """Return what is noted of some keys, or of all.

        Parameters
        ----------
        keys : iterable of str, optional
            Those that are not noted are left out.
        """
        digests: dict[str, FileDigest] = {}
        if keys is None:
            for prefix, note in self.folders.items():
                digests.update((prefix + name, row) for name, row in note.rows())
        else:
            for prefix, names in _by_folder(dict.fromkeys(keys)).items():
                rows = self.folders.get(prefix, _EMPTY).rows_of(names)
                digests.update((prefix + name, row) for name, row in rows)
        return digests

    def changed_by(self, changes: Mapping[str, FileDigest | None], *, index: str) -> Notes:
        """Return notes with other rows for some keys; folders without such a key are shared.

        Parameters
        ----------
        changes : mapping of str to FileDigest or None
            None for a key that is no longer noted.
        index : str
            The sha256 of the index that has the new digests.
        """
        changed = {
            prefix: self.folders.get(prefix, _EMPTY).changed_by(rows)
            for prefix, rows in _by_folder(changes).items()
        }
        folders = {**self.folders, **changed}
        return Notes({prefix: note for prefix, note in folders.items() if note.names}, index)


def _by_folder(
    rows: Mapping[str, FileDigest | None],
) -> dict[str, dict[str, FileDigest | None]]:
    folders: defaultdict[str, dict[str, FileDigest | None]] = defaultdict(dict)
    for key, row in rows.items():
        at = key.rfind("/") + 1
        folders[key[:at]][key[at:]] = row
    return folders


def digest_in_state(digests: Mapping[str, FileDigest], key: str, *state: int) -> FileDigest | None:
    """Return the digest of a key's file; None unless this state is noted.

    Parameters
    ----------
    digests : mapping of str to FileDigest
        What is noted, by key.
    key : str
        The key.
    *state : int
        The size in bytes, the modification time in nanoseconds, and the inode.

    Examples
    --------
    >>> digests = {"a": FileDigest("ab" * 32, 3, 5, 7)}
    >>> digest_in_state(digests, "a", 3, 5, 7).sha256[:4]
    'abab'
    >>> digest_in_state(digests, "a", 3, 5, 8) is None
    True
    """
    noted = digests.get(key)
    if noted is None or noted[1:] == state:
        return noted
    # Numbers of more than 64 bits are folded in the notes.
    return noted if packed_states([noted[1:]]) == packed_states([state]) else None


def read_notes(path: Path) -> Notes:
    """Read the notes; those that are missing, damaged or foreign are empty.

    Notes as earlier versions wrote them are read, too.

    Notes
    -----
    100,000 files take 11 ms.
    """
    try:
        body = read_regular(path)
    except FileNotFoundError:
        return _read_notes_before(path.with_name("notes.json"))
    except OSError:
        return Notes()
    header = body[: body.find(b"\n", 0, _MOST_HEADER_BYTES) + 1]
    index = header[:-1].rpartition(b" ")[2]
    folders = memoryview(body)[len(header) :]
    if header != _header(index, [folders]):
        return Notes()
    try:
        return Notes(dict(_parsed(folders)), index.decode())
    except (struct.error, ValueError):
        return Notes()


def _header(index: bytes, parts: Iterable[bytes | bytearray | memoryview]) -> bytes:
    digest = hashlib.sha256(index)
    for part in parts:
        digest.update(part)
    return b"%b %b %b\n" % (_FORMAT, digest.hexdigest().encode(), index)


def _parsed(body: memoryview) -> Iterator[tuple[str, FolderNote]]:
    """Yield the folders; raise ValueError or struct.error if they are not what we write."""
    at = 0
    while at < len(body):
        path_size, names_size, count = _SIZES.unpack_from(body, at)
        at += _SIZES.size
        parts = []
        for size in (path_size, names_size, count * STATE_BYTES, count * DIGEST_BYTES):
            parts.append(body[at : at + size])
            at += size
        path, names, states, digests = parts
        found = bytes(names).decode().split("\n")
        is_sorted = all(map(lt, found, found[1:])) and found[0] != ""
        if at > len(body) or len(found) != count or not is_sorted or b"/" in bytes(names):
            raise ValueError("the notes of a folder do not fit together")
        yield bytes(path).decode(), FolderNote(names, states, digests)


def write_notes(path: Path, notes: Notes, *, sync: bool = False) -> None:
    """Write the notes, whole or not at all.

    Parameters
    ----------
    path : Path
        Name of the file; its folder must exist.
    notes : Notes
        The notes.
    sync : bool, optional
        Whether to wait until they are on the disk.  Without, they may be damaged after a
        power cut, which their digest shows.

    Raises
    ------
    OSError
        They cannot be written.
    """
    parts: list[bytes | bytearray | memoryview] = []
    for prefix, note in notes.folders.items():
        path_bytes = prefix.encode()
        parts.append(_SIZES.pack(len(path_bytes), len(note.names), note.file_count) + path_bytes)
        parts += note
    with atomic_file(path, sync=sync) as file:
        file.write(_header(notes.index.encode(), parts))
        file.writelines(parts)
    path.with_name("notes.json").unlink(missing_ok=True)  # of an earlier version


def _read_notes_before(path: Path) -> Notes:
    document: Any = None
    with contextlib.suppress(OSError, IndexFormatError):
        document = codec.decode(read_regular(path))
    is_note = isinstance(document, dict) and document.get("format") == _FORMAT_BEFORE
    files = document.get("files") if is_note else None
    if not isinstance(files, dict):
        return Notes()
    digests = {key: FileDigest(*row) for key, row in files.items() if _is_row(row)}
    return Notes().changed_by(digests, index="")


def _is_row(row: object) -> bool:
    if not isinstance(row, list) or len(row) != 4:
        return False
    sha256, *state = row
    are_numbers = all(type(number) is int for number in state)
    return are_numbers and isinstance(sha256, str) and re.match(SHA256, sha256) is not None
