"""What is noted of the files of one folder, as bytes, so that no file costs an object.

An unchanged folder is recognized by comparing bytes, and copied into the next notes as it is.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from ... import tuning
from .data_file import FileDigest, FoundFile
from .folder_files import STATE_BYTES, Listing, packed_states

__all__ = ["DIGEST_BYTES", "FolderNote", "settled"]

#: Of a digest in the notes.
DIGEST_BYTES = 32
# What `packed_states` makes of a state.
_STATE = struct.Struct("=qqq")
_STATE_OF = attrgetter("st_size", "st_mtime_ns", "st_ino")
_MODE_OF = attrgetter("st_mode")
# A file that changed less than two seconds before a scan may change again without a new time:
# clocks of file systems are coarse, FAT's most, with two seconds.
_SETTLED_NANOSECONDS = 2_000_000_000
_COMPARED_FILES = 256

_Bytes = bytes | bytearray | memoryview


class FolderNote(NamedTuple):
    """What is noted of the files of one folder, in the order of their names.

    Examples
    --------
    >>> note = FolderNote().changed_by({"b": FileDigest("ab" * 32, 3, 5, 7)})
    >>> note.name_list(), note.row(0).size
    (['b'], 3)
    """

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

    def row(self, position: int) -> FileDigest:
        """Return what is noted of the file at a position."""
        digest = self.digests[position * DIGEST_BYTES : (position + 1) * DIGEST_BYTES]
        return FileDigest(digest.hex(), *_STATE.unpack(self._state(position)))

    def _state(self, position: int) -> bytes:
        return bytes(self.states[position * STATE_BYTES : (position + 1) * STATE_BYTES])

    def rows(self) -> Iterator[tuple[str, FileDigest]]:
        """Yield the name of each file with what is noted of it."""
        sha256s = bytes(self.digests).hex()
        states = _STATE.iter_unpack(self.states)
        for at, (name, state) in enumerate(zip(self.name_list(), states, strict=True)):
            sha256 = sha256s[2 * DIGEST_BYTES * at : 2 * DIGEST_BYTES * (at + 1)]
            yield name, FileDigest(sha256, *state)

    def rows_of(self, names: Iterable[str]) -> Iterator[tuple[str, FileDigest]]:
        """Yield those of some names that are noted, with what is noted of them."""
        noted = self.name_list()
        for name in names:
            at = bisect_left(noted, name)
            if noted[at : at + 1] == [name]:
                yield name, self.row(at)

    def changes_to(self, listing: Listing) -> tuple[list[FoundFile], list[str]]:
        """Compare the folder with what is noted of it.

        Returns
        -------
        list of FoundFile
            The files that are new or in another state.
        list of str
            The names that are noted and no longer there.

        Notes
        -----
        The cost is that of comparing memory if nothing has changed, and a look at each
        file of the folder if names have.
        """
        states = listing.states.tobytes()
        # Copies: views are compared byte for byte.  benchmark: publish-again
        if listing.names_text == bytes(self.names):
            noted = bytes(self.states)
            changed = [] if states == noted else _differing(states, noted)
            return [listing.file(at) for at in changed], []
        before = {name: position for position, name in enumerate(self.name_list())}
        changed = []
        for at, name in enumerate(listing.names):
            known = before.pop(name, None)
            state = states[at * STATE_BYTES : (at + 1) * STATE_BYTES]
            if known is None or self._state(known) != state:
                changed.append(at)
        return [listing.file(at) for at in changed], list(before)

    def changed_in(self, path: str) -> list[str]:
        """Return the names whose files in a folder are not regular files in the noted state.

        Parameters
        ----------
        path : str
            The folder.  If it cannot be opened, or is a link, all names are returned;
            on Windows, links are followed.

        Notes
        -----
        Costs a system call for each file.  benchmark: mirror-again
        """
        folder, names = None, self.name_list()
        paths = names
        if os.stat in os.supports_dir_fd:  # not on Windows
            try:
                folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            except OSError:
                return names
        else:
            paths = [f"{path}/{name}" for name in names]
        try:
            changed: list[int] = []
            size = tuning.SURVEY_BATCH_FILES
            for start in range(0, len(paths), size):
                changed += self.differing(_statuses(paths[start : start + size], folder), start)
            return [names[at] for at in changed]
        finally:
            if folder is not None:
                os.close(folder)

    def differing(self, found: Sequence[os.stat_result | None], start: int = 0) -> list[int]:
        """Return the positions of files that are not regular files in the noted state.

        Parameters
        ----------
        found : sequence of os.stat_result or None
            The states of files now, in the order of the names; None for a file that is
            missing.
        start : int, optional
            The position of the first of them.
        """
        noted = bytes(self.states[start * STATE_BYTES : (start + len(found)) * STATE_BYTES])
        with contextlib.suppress(AttributeError):  # one is missing
            # Many at once.  benchmark: mirror-again
            are_files = all(map(stat.S_ISREG, set(map(_MODE_OF, found))))
            if are_files and packed_states(list(map(_STATE_OF, found))) == noted:
                return []
        return [
            start + at
            for at, status in enumerate(found)
            if status is None
            or not stat.S_ISREG(status.st_mode)
            or packed_states([_STATE_OF(status)])
            != noted[at * STATE_BYTES : (at + 1) * STATE_BYTES]
        ]

    def changed_by(self, changes: Mapping[str, FileDigest | None]) -> FolderNote:
        """Return this note with other rows for some names; None for those to leave out."""
        changed = sorted(changes.items())
        if not self.names:  # benchmark: publish-small
            names = [name for name, row in changed if row is not None]
            rows = [row for _, row in changed if row is not None]
            return FolderNote("\n".join(names).encode(), *_packed(rows))
        noted, names, states, digests = self.name_list(), list[str](), bytearray(), bytearray()

        def copy(start: int, end: int) -> None:
            names.extend(noted[start:end])
            states.extend(self.states[start * STATE_BYTES : end * STATE_BYTES])
            digests.extend(self.digests[start * DIGEST_BYTES : end * DIGEST_BYTES])

        at = 0
        for name, row in changed:
            place = bisect_left(noted, name, at)
            copy(at, place)
            at = place + (noted[place : place + 1] == [name])
            if row is not None:
                names.append(name)
                state, digest = _packed([row])
                states += state
                digests += digest
        copy(at, len(noted))
        return FolderNote("\n".join(names).encode(), bytes(states), bytes(digests))


def _statuses(names: Sequence[str], folder: int | None) -> Sequence[os.stat_result | None]:
    stat_in = os.stat
    try:  # without a call of ours for each
        return [stat_in(name, dir_fd=folder, follow_symlinks=False) for name in names]
    except OSError:
        return [_status_or_none(name, folder) for name in names]


def _status_or_none(name: str, folder: int | None) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def _packed(rows: Sequence[FileDigest]) -> tuple[bytes, bytes]:
    sha256s = "".join([row.sha256 for row in rows])
    return packed_states([row[1:] for row in rows]), bytes.fromhex(sha256s)


def _differing(states: bytes, others: bytes) -> list[int]:
    """Return the positions of files whose states differ, comparing many at once."""
    found, step = [], STATE_BYTES * _COMPARED_FILES
    for start in range(0, len(states), step):
        mine, theirs = states[start : start + step], others[start : start + step]
        if mine != theirs:
            found += [
                (start + at) // STATE_BYTES
                for at in range(0, len(mine), STATE_BYTES)
                if mine[at : at + STATE_BYTES] != theirs[at : at + STATE_BYTES]
            ]
    return found


def settled(digest: FileDigest, began_ns: int) -> FileDigest:
    """Return what to note of a file; without its inode if it may change unseen.

    A file that was younger than two seconds when the scan began, or has a time in the
    future, may change again without a new time.  No file is in a state without inode, so
    it is hashed again when it is looked at.

    Parameters
    ----------
    digest : FileDigest
        The digest of the file.
    began_ns : int
        When the scan began, nanoseconds since 1970.

    Examples
    --------
    >>> settled(FileDigest("ab" * 32, 3, 5, 7), 10**10).inode
    7
    >>> settled(FileDigest("ab" * 32, 3, 9 * 10**9, 7), 10**10).inode
    -1
    """
    if digest.mtime_ns < began_ns - _SETTLED_NANOSECONDS:
        return digest
    return digest._replace(inode=-1)  # which no file has
