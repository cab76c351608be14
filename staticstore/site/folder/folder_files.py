"""The files of one folder as a scan found them, compact; and which folders to look at."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain
from typing import NamedTuple

from .data_file import FoundFile

__all__ = ["STATE_BYTES", "Listing", "Touched", "packed_states"]

#: Of a file's state in a listing and in the notes: three numbers of 64 bits.
STATE_BYTES = 24
_MOST_INTEGER = (1 << 63) - 1


class Listing:
    """The regular files of one folder, in the order of their names.

    A name and three numbers are kept for each file; a `FoundFile` is made when it is
    asked for, since most files of a site have not changed.

    Parameters
    ----------
    prefix : str
        The folder's path below the data folder, with a slash at its end; empty for the
        data folder.
    path : str
        Its own path.
    device : int
        Of its file system.
    is_linked : bool
        Whether it was reached through a link.

    Attributes
    ----------
    names : list of str
        The names of the files.
    states : array of int
        Size in bytes, modification time in nanoseconds and inode of each file.
    """

    def __init__(self, prefix: str, path: str, device: int, *, is_linked: bool) -> None:
        self.prefix = prefix
        self.path = os.path.join(path, "")
        self.device = device
        self.is_linked = is_linked
        self.names: list[str] = []
        self.states = array("q")
        # By position: links, mount points, and files with a number of more than 64 bits.
        self._others: dict[int, FoundFile] = {}

    def add(self, name: str, status: os.stat_result, *, is_link: bool = False) -> None:
        """Add a file; the names are added in order."""
        state = status.st_size, status.st_mtime_ns, status.st_ino
        is_large = not all(-_MOST_INTEGER <= number <= _MOST_INTEGER for number in state)
        if is_link or is_large or status.st_dev != self.device:
            is_linked = is_link or self.is_linked
            self._others[len(self.names)] = FoundFile.of(
                self.prefix + name, self.path + name, status, is_linked=is_linked
            )
        self.names.append(name)
        self.states.frombytes(packed_states([state]))

    def __len__(self) -> int:
        """Count the files."""
        return len(self.names)

    def __iter__(self) -> Iterator[FoundFile]:
        """Iterate over the files, in the order of their names."""
        return map(self.file, range(len(self.names)))

    def file(self, position: int) -> FoundFile:
        """Return the file at a position."""
        other = self._others.get(position)
        if other is not None:
            return other
        name = self.names[position]
        size, mtime_ns, inode = self.states[3 * position : 3 * position + 3]
        return FoundFile(
            self.prefix + name, self.path + name, size, mtime_ns, inode, self.device, self.is_linked
        )

    @property
    def names_text(self) -> bytes:
        """The names in UTF-8, one a line; no key holds a newline."""
        return "\n".join(self.names).encode()

    @property
    def has_links(self) -> bool:
        """Whether some of the files were reached through links."""
        return self.is_linked or any(file.is_linked for file in self._others.values())


class Touched(NamedTuple):
    """Folders in which something may have changed, by their paths below the data folder.

    Examples
    --------
    >>> Touched.by(["a/b/c", "new/d"], ["a/b/"]).folders == {"a/b/", ""}
    True
    >>> Touched.by(["a"], ["a/b/"]) is None
    True
    """

    #: With a slash at the end of each; empty for the data folder.
    folders: frozenset[str]
    #: Those that are known already, and are not looked at unless they are in `folders`.
    known: Set[str]

    @classmethod
    def by(cls, paths: Iterable[str], noted: Iterable[str]) -> Touched | None:
        """Return the folders that changed files are in; None if others may have changed.

        Parameters
        ----------
        paths : iterable of str
            Paths below the data folder at which something has changed.
        noted : iterable of str
            The folders of all files that are known.
        """
        known = {""}
        for folder in noted:
            while folder not in known:
                known.add(folder)
                folder = _above(folder)
        touched = cls(frozenset(), known)
        folders = set()
        for path in paths:
            if f"{path}/" in known:  # a folder was removed or replaced, or its permissions
                return None
            folders.add(touched.known_above(path))
        return touched._replace(folders=frozenset(folders))

    def known_above(self, path: str) -> str:
        """Return the known folder in which a path, or the new folder above it, is found."""
        folder = _above(path)
        while folder not in self.known:
            folder = _above(folder)
        return folder


def _above(path: str) -> str:
    above, slash, _ = path.removesuffix("/").rpartition("/")
    return above + slash


def packed_states(states: Sequence[tuple[int, ...]]) -> bytes:
    """Return the states of files in `STATE_BYTES` bytes each; large numbers are folded.

    Times after the year 2262 and the inodes of some file systems of Windows have more
    than 64 bits.

    Examples
    --------
    >>> packed_states([(1, 2, 3)]) == packed_states([(1, 2, 3 + (1 << 70))])
    False
    """
    try:
        return array("q", chain.from_iterable(states)).tobytes()
    except OverflowError:
        return array("q", map(_folded, chain.from_iterable(states))).tobytes()


def _folded(number: int) -> int:
    if -_MOST_INTEGER <= number <= _MOST_INTEGER:
        return number
    return (number ^ (number >> 64)) % _MOST_INTEGER
