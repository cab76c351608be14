"""The files of one folder as a scan found them: compact, until one is asked for."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from itertools import chain

from .data_file import FoundFile

__all__ = ["STATE_BYTES", "Listing", "packed_states"]

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
