"""The publisher's notes: the digests of files, in the states in which they were hashed.

They are in ``.staticstore/notes``, and only publishers, mirrors and pushes read them, so
that unchanged files are not hashed again.  Deleting them costs nothing but time.

The file is a line with a format and the sha256 of the rest, and then for each folder
three sizes, its path, the names of its files, their states (`STATE_BYTES` each) and
their digests (`DIGEST_BYTES` each).  So an unchanged folder is recognized by comparing
bytes, and copied into the next notes as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import struct
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...disk.atomic import atomic_file
from ...disk.file_system import read_regular
from ...errors import IndexFormatError
from ...index import codec
from ...index.codec import SHA256
from .bulk_notes import BULK_NOTES_NAME, read_bulk_notes
from .data_file import FileDigest, FoundFile
from .folder_files import STATE_BYTES, Listing, packed_states

__all__ = [
    "DIGEST_BYTES",
    "FolderChange",
    "FolderNote",
    "FolderNotes",
    "Notes",
    "folder_notes",
    "read_folder_notes",
    "read_notes",
    "write_folder_notes",
    "write_notes",
]

#: Of a digest in the notes.
DIGEST_BYTES = 32
_FORMAT = b"staticstore-notes/2"
_FORMAT_BEFORE = "staticstore-notes/1"  # JSON, in `notes.json`
# The bytes of a folder's path and of its names, and the number of its files.
_SIZES = struct.Struct("<QQQ")
_NO_STATE = (-1, -1, -1)  # of a file that may change again without a new time
# A file that changed less than two seconds before a scan may change again without a new time:
# clocks of file systems are coarse, FAT's most, with two seconds.
_SETTLED_NANOSECONDS = 2_000_000_000

_Bytes = bytes | bytearray | memoryview


class FolderNote(NamedTuple):
    """What is noted of the files of one folder, in the order of their names."""

    #: In UTF-8, one a line; no key holds a newline.
    names: _Bytes = b""
    #: `STATE_BYTES` of each file.
    states: _Bytes = b""
    #: `DIGEST_BYTES` of each file.
    digests: _Bytes = b""

    def name_list(self) -> list[str]:
        """Return the names."""
        return bytes(self.names).decode().split("\n") if self.names else []

    @property
    def file_count(self) -> int:
        """The number of files."""
        return len(self.states) // STATE_BYTES

    def files(self, prefix: str, without: Container[int] = ()) -> Iterator[tuple[str, FileDigest]]:
        """Yield the keys of files with what is noted of them.

        Parameters
        ----------
        prefix : str
            The path of the folder, with a slash at its end.
        without : container of int
            The positions of files to leave out.
        """
        sha256s = bytes(self.digests).hex()
        states = struct.iter_unpack("<qqq", self.states)
        for at, (name, state) in enumerate(zip(self.name_list(), states, strict=True)):
            if at not in without:
                sha256 = sha256s[2 * DIGEST_BYTES * at : 2 * DIGEST_BYTES * (at + 1)]
                yield prefix + name, FileDigest(sha256, *state)

    def state(self, position: int) -> bytes:
        """Return the state of a file, as `packed_states` does."""
        return bytes(self.states[position * STATE_BYTES : (position + 1) * STATE_BYTES])

    def digest(self, position: int) -> bytes:
        """Return the digest of a file."""
        return bytes(self.digests[position * DIGEST_BYTES : (position + 1) * DIGEST_BYTES])


#: By the path of the folder below the data folder, with a slash at its end.
FolderNotes = Mapping[str, FolderNote]


class FolderChange(NamedTuple):
    """How a folder differs from what is noted of it."""

    #: What is there.
    names: bytes
    states: bytes
    #: `DIGEST_BYTES` for each file that is there; zeros for one that has changed.
    digests: bytearray
    #: The files that are new or in another state, by position.
    files: dict[int, FoundFile]
    #: The names that are noted and no longer there.
    gone: list[str]

    @classmethod
    def between(cls, note: FolderNote, listing: Listing) -> FolderChange | None:
        """Compare a folder with what is noted of it; None if they are the same.

        Notes
        -----
        The cost is that of comparing memory if nothing has changed, and a look at each
        file of the folder if names have.
        """
        names, states = listing.names_text, listing.states.tobytes()
        # Copies: views are compared byte for byte.  benchmark: publish-again
        if names == bytes(note.names):
            if states == bytes(note.states):
                return None
            changed, gone = list(_differing(states, note.states)), []
            digests = bytearray(note.digests)
            for at in changed:
                digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES] = bytes(DIGEST_BYTES)
        else:
            before = {name: position for position, name in enumerate(note.name_list())}
            changed, digests = [], bytearray()
            for position, name in enumerate(listing.names):
                known = before.pop(name, None)
                state = states[position * STATE_BYTES : (position + 1) * STATE_BYTES]
                if known is not None and note.state(known) == state:
                    digests += note.digest(known)
                else:
                    changed.append(position)
                    digests += bytes(DIGEST_BYTES)
            gone = list(before)
        return cls(names, states, digests, {at: listing.file(at) for at in changed}, gone)

    def note(self, digests: Mapping[str, FileDigest], began_ns: int) -> FolderNote:
        """Return what to note of the folder after its changed files were hashed.

        Parameters
        ----------
        digests : mapping
            The digests of changed files by key; those without one are left out.
        began_ns : int
            When the scan began; see `folder_notes`.
        """
        latest = began_ns - _SETTLED_NANOSECONDS
        states, found = bytearray(self.states), self.digests[:]
        missing = []
        for at, file in self.files.items():
            digest = digests.get(file.key)
            if digest is None:
                missing.append(at)
                continue
            state = digest[1:] if digest.mtime_ns < latest else _NO_STATE
            states[at * STATE_BYTES : (at + 1) * STATE_BYTES] = packed_states([state])
            found[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES] = bytes.fromhex(digest.sha256)
        names = self.names
        if missing:
            every = names.split(b"\n")
            for at in reversed(missing):
                del every[at]
                del states[at * STATE_BYTES : (at + 1) * STATE_BYTES]
                del found[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
            names = b"\n".join(every)
        return FolderNote(names, states, found)


def _differing(states: bytes, others: _Bytes) -> Iterator[int]:
    """Yield the positions of files whose states differ, comparing many at once."""
    step = STATE_BYTES * 256
    for start in range(0, len(states), step):
        mine, theirs = states[start : start + step], others[start : start + step]
        if mine != theirs:
            for at in range(0, len(mine), STATE_BYTES):
                if mine[at : at + STATE_BYTES] != theirs[at : at + STATE_BYTES]:
                    yield (start + at) // STATE_BYTES


def folder_notes(
    digests: Mapping[str, FileDigest], began_ns: int | None = None
) -> dict[str, FolderNote]:
    """Note digests by folder.

    Parameters
    ----------
    digests : mapping
        From keys, in order, to digests.
    began_ns : int, optional
        When the scan began, nanoseconds since 1970.  Of a file that was younger than two
        seconds then, or has a time in the future, only the name is noted: it may change
        again without a new time.  By default all are noted.
    """
    latest = None if began_ns is None else began_ns - _SETTLED_NANOSECONDS
    groups: dict[str, tuple[list[str], list[FileDigest]]] = {}
    for key, digest in digests.items():
        above, slash, name = key.rpartition("/")
        names, found = groups.setdefault(above + slash, ([], []))
        names.append(name)
        found.append(digest)
    return {
        prefix: FolderNote(
            "\n".join(names).encode(),
            packed_states(
                [one[1:] if latest is None or one.mtime_ns < latest else _NO_STATE for one in found]
            ),
            bytes.fromhex("".join([one.sha256 for one in found])),
        )
        for prefix, (names, found) in groups.items()
    }


class Notes(NamedTuple):
    """The digests of files, and the state in which they were hashed.

    Examples
    --------
    >>> file = FoundFile("a", "data/a", size=3, mtime_ns=5, inode=7)
    >>> Notes({"a": FileDigest("ab" * 32, 3, 5, 7)}).digest_of(file).sha256[:4]
    'abab'
    >>> Notes({"a": FileDigest("ab" * 32, 3, 5, 8)}).digest_of(file) is None
    True
    """

    digests: Mapping[str, FileDigest]

    def digest_of(self, file: FoundFile) -> FileDigest | None:
        """Return the digest of a file; None unless its size, time and inode are as noted."""
        return self.digest_in_state(file.key, file.size, file.mtime_ns, file.inode)

    def digest_in_state(self, key: str, *state: int) -> FileDigest | None:
        """Return the digest of a key's file; None unless this state is noted.

        Parameters
        ----------
        key : str
            The key.
        *state : int
            The size in bytes, the modification time in nanoseconds, and the inode.
        """
        noted = self.digests.get(key)
        if noted is None or noted[1:] == state:
            return noted
        # Numbers of more than 64 bits are folded in the notes.
        return noted if packed_states([noted[1:]]) == packed_states([state]) else None

    @classmethod
    def of(cls, digests: Mapping[str, FileDigest], began_ns: int) -> Notes:
        """Note those digests that the next publish can rely on.

        A file that was younger than two seconds when the scan began, or has a time in
        the future, may change again without a new time, and is left out.

        Parameters
        ----------
        digests : mapping
            From keys to digests.
        began_ns : int
            When the scan began, nanoseconds since 1970.
        """
        latest = began_ns - _SETTLED_NANOSECONDS
        return cls({key: found for key, found in digests.items() if found.mtime_ns < latest})


def read_notes(path: Path) -> Notes:
    """Read the notes; those that are missing, damaged or of another format are empty."""
    digests: dict[str, FileDigest] = {}
    for prefix, note in read_folder_notes(path).items():
        digests.update(pair for pair in note.files(prefix) if pair[1].size >= 0)
    return Notes(digests)


def write_notes(path: Path, notes: Notes) -> None:
    """Write the notes, whole or not at all; raises as `write_folder_notes`."""
    write_folder_notes(path, folder_notes(dict(sorted(notes.digests.items()))))


def read_folder_notes(path: Path) -> dict[str, FolderNote]:
    """Read the notes by folder; those that are missing, damaged or foreign are empty.

    Notes as earlier versions wrote them are read, too.
    """
    try:
        body = read_regular(path)
    except FileNotFoundError:
        # Those of an earlier version, else those of a mirror.
        before = _read_notes_before(path.with_name("notes.json"))
        mirrors = read_bulk_notes(path.with_name(BULK_NOTES_NAME)).digests()
        return before or folder_notes(dict(sorted(mirrors.items())))
    except OSError:
        return {}
    header = body[:200].partition(b"\n")[0]
    folders = memoryview(body)[len(header) + 1 :]
    return dict(_parsed(folders)) if header == _header([folders]) else {}


def _header(parts: Iterable[_Bytes]) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return b"%b %b" % (_FORMAT, digest.hexdigest().encode())


def _parsed(body: memoryview) -> Iterator[tuple[str, FolderNote]]:
    at = 0
    while at < len(body):
        path_size, names_size, count = _SIZES.unpack_from(body, at)
        at += _SIZES.size
        parts = []
        for size in (path_size, names_size, count * STATE_BYTES, count * DIGEST_BYTES):
            parts.append(body[at : at + size])
            at += size
        path, names, states, digests = parts
        yield bytes(path).decode(), FolderNote(names, states, digests)


def write_folder_notes(path: Path, notes: FolderNotes) -> None:
    """Write the notes, whole or not at all.

    They are not synced: after a power cut their digest tells whether they are whole.

    Raises
    ------
    OSError
        They cannot be written.
    """
    parts: list[_Bytes] = []
    for prefix, note in notes.items():
        path_bytes = prefix.encode()
        parts.append(_SIZES.pack(len(path_bytes), len(note.names), note.file_count) + path_bytes)
        parts += note
    with atomic_file(path, sync=False) as file:
        file.write(_header(parts) + b"\n")
        file.writelines(parts)
    path.with_name("notes.json").unlink(missing_ok=True)  # of an earlier version


def _read_notes_before(path: Path) -> dict[str, FolderNote]:
    document: Any = None
    with contextlib.suppress(OSError, IndexFormatError):
        document = codec.decode(read_regular(path))
    is_note = isinstance(document, dict) and document.get("format") == _FORMAT_BEFORE
    files = document.get("files") if is_note else None
    if not isinstance(files, dict):
        return {}
    digests = {key: FileDigest(*row) for key, row in files.items() if _is_row(row)}
    return folder_notes(dict(sorted(digests.items())))


def _is_row(row: object) -> bool:
    if not isinstance(row, list) or len(row) != 4:
        return False
    sha256, *state = row
    are_numbers = all(type(number) is int for number in state)
    return are_numbers and isinstance(sha256, str) and re.match(SHA256, sha256) is not None
