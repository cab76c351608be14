"""Notes of many files in columns, so that unchanged files cost no object each.

The mirror keeps them in ``.staticstore/notes.bin``: a line with the digest of what follows,
a line of JSON that lists the folders, then for each folder the names of its files, and
their sizes, modification times, inodes and digests.  Deleting it costs nothing but time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

from ...disk.atomic import atomic_file
from ...disk.file_system import read_regular
from ...errors import IndexFormatError
from ...index import codec
from .data_file import FileDigest

__all__ = ["BULK_NOTES_NAME", "BulkNotes", "FolderNotes", "read_bulk_notes", "write_bulk_notes"]

#: The name of the file, beside ``notes.json``.
BULK_NOTES_NAME = "notes.bin"
_FORMAT = "staticstore-bulk-notes/1"
_NUMBER_BYTES = 8
_DIGEST_BYTES = 32
_MODE, _SIZE, _MTIME_NS, _INODE = map(attrgetter, ("st_mode", "st_size", "st_mtime_ns", "st_ino"))


@dataclass(frozen=True)
class FolderNotes:
    """The notes of the files of one folder, in the order of their names."""

    names: list[str] = field(default_factory=list)
    #: Bytes.
    sizes: array[int] = field(default_factory=lambda: array("q"))
    #: Modification times, nanoseconds since 1970.
    mtimes_ns: array[int] = field(default_factory=lambda: array("q"))
    inodes: array[int] = field(default_factory=lambda: array("q"))
    #: Of 32 bytes each.
    digests: bytes = b""

    def position(self, name: str) -> int | None:
        """Return the number of a file's row; None if it is not noted."""
        at = bisect_left(self.names, name)
        return at if self.names[at : at + 1] == [name] else None

    def row(self, at: int) -> FileDigest:
        """Return the digest and the state of a file by the number of its row."""
        digest = self.digests[at * _DIGEST_BYTES : (at + 1) * _DIGEST_BYTES].hex()
        return FileDigest(digest, self.sizes[at], self.mtimes_ns[at], self.inodes[at])

    def differing(self, found: Sequence[os.stat_result | None], start: int = 0) -> list[str]:
        """Return the names whose files are not regular files in the noted state.

        Parameters
        ----------
        found : sequence of os.stat_result or None
            The states of files now, in the order of `names`; None for a file that is
            missing.
        start : int, optional
            The number of the row of the first of them.
        """
        end = start + len(found)
        with contextlib.suppress(AttributeError):  # column by column: no object for each file
            are_noted = (
                _column(found, _SIZE) == self.sizes[start:end]
                and _column(found, _MTIME_NS) == self.mtimes_ns[start:end]
                and _column(found, _INODE) == self.inodes[start:end]
            )
            if are_noted and all(map(stat.S_ISREG, set(map(_MODE, found)))):
                return []
        return [
            self.names[at]
            for at, status in enumerate(found, start)
            if not self._is_noted(at, status)
        ]

    def _is_noted(self, at: int, status: os.stat_result | None) -> bool:
        if status is None or not stat.S_ISREG(status.st_mode):
            return False
        state = status.st_size, status.st_mtime_ns, status.st_ino
        noted = self.sizes[at], self.mtimes_ns[at], self.inodes[at]
        return tuple(map(_fitted, state)) == noted

    def changed_by(self, changes: Mapping[str, FileDigest | None]) -> FolderNotes:
        """Return these notes with other rows for some names, or without them."""
        new = FolderNotes()
        digests: list[bytes] = []
        at = 0
        for name in sorted(changes):
            place = bisect_left(self.names, name, at)
            digests.append(self._copy_rows(new, at, place))
            at = place + (self.names[place : place + 1] == [name])
            if (row := changes[name]) is not None:
                new.names.append(name)
                new.sizes.append(_fitted(row.size))
                new.mtimes_ns.append(_fitted(row.mtime_ns))
                new.inodes.append(_fitted(row.inode))
                digests.append(bytes.fromhex(row.sha256))
        digests.append(self._copy_rows(new, at, len(self.names)))
        return replace(new, digests=b"".join(digests))

    def _copy_rows(self, new: FolderNotes, start: int, end: int) -> bytes:
        if start < end:
            new.names.extend(self.names[start:end])
            new.sizes.extend(self.sizes[start:end])
            new.mtimes_ns.extend(self.mtimes_ns[start:end])
            new.inodes.extend(self.inodes[start:end])
        return self.digests[start * _DIGEST_BYTES : end * _DIGEST_BYTES]


@dataclass(frozen=True)
class BulkNotes:
    """The states and digests of files, folder by folder.

    Attributes
    ----------
    folders : mapping of str to FolderNotes
        By path below ``data/``, with a slash at its end; empty for ``data/`` itself.
    index : str
        The sha256 of the ``index.json`` whose entries have these digests: it has all
        noted keys, and perhaps others.  Empty if there is none.

    Examples
    --------
    >>> notes = BulkNotes().changed_by({"a/b": FileDigest("ab" * 32, 3, 5, 7)}, index="")
    >>> notes.keys(), notes.digests(["a/b", "c"])["a/b"].size
    (['a/b'], 3)
    """

    folders: Mapping[str, FolderNotes] = field(default_factory=dict)
    index: str = ""

    def __len__(self) -> int:
        """Count the noted files."""
        return sum(len(folder.names) for folder in self.folders.values())

    def keys(self) -> list[str]:
        """Return the noted keys, folder by folder."""
        return [prefix + name for prefix, found in self.folders.items() for name in found.names]

    def digests(self, keys: Iterable[str] | None = None) -> dict[str, FileDigest]:
        """Return what is noted of some keys, or of all.

        Parameters
        ----------
        keys : iterable of str, optional
            Those that are not noted are left out.
        """
        if keys is None:
            return {
                prefix + name: found.row(at)
                for prefix, found in self.folders.items()
                for at, name in enumerate(found.names)
            }
        digests = {}
        for key in keys:
            prefix, name = _split(key)
            found = self.folders.get(prefix)
            if found is not None and (at := found.position(name)) is not None:
                digests[key] = found.row(at)
        return digests

    def changed_by(self, changes: Mapping[str, FileDigest | None], *, index: str) -> BulkNotes:
        """Return notes with other rows for some keys; the folders of no such key are shared.

        Parameters
        ----------
        changes : mapping of str to FileDigest or None
            None for a key that is no longer noted.
        index : str
            The sha256 of the index that has the new digests.
        """
        by_folder: defaultdict[str, dict[str, FileDigest | None]] = defaultdict(dict)
        for key, row in changes.items():
            prefix, name = _split(key)
            by_folder[prefix][name] = row
        empty = FolderNotes()
        changed = {
            prefix: self.folders.get(prefix, empty).changed_by(rows)
            for prefix, rows in by_folder.items()
        }
        folders = {**self.folders, **changed}
        return BulkNotes({prefix: folders[prefix] for prefix in sorted(folders)}, index)

    def encode(self) -> Iterator[bytes]:
        """Yield the contents of the file in pieces."""
        pieces: list[bytes] = []
        rows: list[tuple[str, int, int]] = []
        for prefix, found in self.folders.items():
            if found.names:
                names = "\n".join(found.names).encode()
                rows.append((prefix, len(found.names), len(names)))
                columns = (found.sizes, found.mtimes_ns, found.inodes)
                pieces += [names, *(column.tobytes() for column in columns), found.digests]
        header = {"format": _FORMAT, "order": sys.byteorder, "index": self.index, "folders": rows}
        pieces.insert(0, codec.encode(header) + b"\n")
        digest = hashlib.sha256()
        for piece in pieces:
            digest.update(piece)
        yield digest.hexdigest().encode() + b"\n"
        yield from pieces

    @classmethod
    def parse(cls, text: bytes) -> BulkNotes:
        """Read the contents of the file.

        Raises
        ------
        IndexFormatError, LookupError, TypeError, ValueError
            They are damaged, or of another format or byte order.
        """
        sha256, begin = text[: 2 * _DIGEST_BYTES], 2 * _DIGEST_BYTES + 1
        if hashlib.sha256(memoryview(text)[begin:]).hexdigest().encode() != sha256:
            raise ValueError("damaged")
        start = text.index(b"\n", begin) + 1
        header = codec.decode(text[begin:start])
        if (header["format"], header["order"]) != (_FORMAT, sys.byteorder):
            raise ValueError("another format")
        body = memoryview(text)[start:]
        folders: dict[str, FolderNotes] = {}
        at = 0
        for prefix, count, size in header["folders"]:
            names = str(body[at : at + size], "utf-8").split("\n")
            found = FolderNotes(names)
            at += size
            for column in (found.sizes, found.mtimes_ns, found.inodes):
                column.frombytes(body[at : at + count * _NUMBER_BYTES])
                at += count * _NUMBER_BYTES
            digests = bytes(body[at : at + count * _DIGEST_BYTES])
            at += len(digests)
            folders[prefix] = replace(found, digests=digests)
        return cls(folders, header["index"])


def read_bulk_notes(path: Path) -> BulkNotes:
    """Read bulk notes; those that are missing, damaged or of another format are empty.

    Notes
    -----
    100,000 files take 15 ms.
    """
    try:
        return BulkNotes.parse(read_regular(path))
    except (OSError, IndexFormatError, LookupError, TypeError, ValueError):
        return BulkNotes()


def write_bulk_notes(path: Path, notes: BulkNotes) -> None:
    """Write bulk notes, whole or not at all.

    Raises
    ------
    OSError
        They cannot be written.
    """
    with atomic_file(path) as file:
        for piece in notes.encode():
            file.write(piece)


def _split(key: str) -> tuple[str, str]:
    at = key.rfind("/") + 1
    return key[:at], key[at:]


def _column(found: Sequence[os.stat_result | None], read: attrgetter[int]) -> array[int]:
    try:
        return array("q", map(read, found))
    except OverflowError:
        return array("q", map(_fitted, map(read, found)))


def _fitted(number: int) -> int:
    # The inodes of some file systems have 64 bits without a sign, those of ReFS 128.
    half = 1 << (8 * _NUMBER_BYTES - 1)
    return (number + half) % (2 * half) - half
