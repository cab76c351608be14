"""Files that hold the first part of a value or document, so that a download can resume."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path
from typing import Self

from .regular import open_own

__all__ = [
    "DOCUMENT_PATTERN",
    "NEW_FILE_FLAGS",
    "OWN_MODE",
    "PART_PATTERN",
    "DirectFile",
    "PartFile",
    "document_part_path",
    "part_path",
]

#: Names of part files, as a glob pattern.
PART_PATTERN = ".staticstore-*.part"
#: Names of the part files of documents, as a glob pattern.
DOCUMENT_PATTERN = ".staticstore-document-*.part"
#: Permissions of bytes that are not verified yet: the owner's only.
OWN_MODE = 0o600
#: Flags to create a file that must not exist yet.
NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
# O_DIRECT writes whole blocks of this size only, from memory that is aligned to it.
_DIRECT_BLOCK_BYTES = 4096


def part_path(folder: Path, name: str) -> Path:
    """Return the path of a part file; no user gives a file such a name."""
    return folder / PART_PATTERN.replace("*", name)


def document_part_path(folder: Path, sha256: str) -> Path:
    """Return the path of the part file of a document, given its digest."""
    return folder / DOCUMENT_PATTERN.replace("*", sha256)


class DirectFile(io.FileIO):
    """An unbuffered file that can be written past the page cache (O_DIRECT).

    The first write that is not made of whole blocks, or that the file system
    refuses, goes through the page cache, and so do all later ones: the bytes are
    the same.  Those that went past the cache still need a sync, but a short one.
    """

    _flag = 0

    def go_direct(self) -> None:
        """Write past the page cache from now on, if the system can."""
        if sys.platform == "linux":
            self._set_flag(os.O_DIRECT)

    def write(self, piece: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Write all of a piece, and return its size."""
        left = memoryview(piece).cast("B")
        size = len(left)
        while left:
            left = left[self._write_some(left) :]
        return size

    def _write_some(self, view: memoryview) -> int:
        if self._flag and (len(view) % _DIRECT_BLOCK_BYTES or self.tell() % _DIRECT_BLOCK_BYTES):
            self._set_flag(0)
        try:
            return super().write(view)
        except OSError as error:
            if not self._flag or error.errno != errno.EINVAL:
                raise
        self._set_flag(0)
        return super().write(view)

    def _set_flag(self, flag: int) -> None:
        if sys.platform == "linux":
            import fcntl

            flags = fcntl.fcntl(self.fileno(), fcntl.F_GETFL) & ~os.O_DIRECT
            try:
                fcntl.fcntl(self.fileno(), fcntl.F_SETFL, flags | flag)
                self._flag = flag
            except OSError:  # the file system has no O_DIRECT
                self._flag = 0


class PartFile:
    """A file of the user's own, locked for this process until it is closed.

    Attributes
    ----------
    file : DirectFile
        The file, open for reading and writing.
    path : Path
        Its name.
    """

    def __init__(self, file: DirectFile, path: Path) -> None:
        self.file = file
        self.path = path

    @classmethod
    def claim(cls, path: Path, *, makes: bool = True) -> Self | None:
        """Open and lock a file.

        Parameters
        ----------
        path : Path
            The file.
        makes : bool, optional
            Whether to create it if it does not exist.

        Returns
        -------
        PartFile or None
            None if it cannot be opened, belongs to another user, or is locked by
            another process.
        """
        try:
            file = _open_or_create(path) if makes else _open(path)
        except (OSError, ValueError):
            return None
        import filelock  # it takes as long as all the rest of staticstore

        try:
            is_locked = filelock.lock_descriptor(file.fileno(), blocking=False)
            # The process that had the lock may have renamed the file since it was opened.
            if is_locked and os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                return cls(file, path)
        except OSError:  # it was removed, or the file system has no locks
            is_empty = not os.fstat(file.fileno()).st_size
            file.close()
            if is_empty:
                path.unlink(missing_ok=True)
        file.close()
        return None

    def remove(self) -> None:
        """Remove and close the file."""
        if os.name == "nt":  # where an open file cannot be removed
            self.file.close()
        self.path.unlink(missing_ok=True)
        self.file.close()


def _open(path: Path) -> DirectFile:
    descriptor, _ = open_own(path, writes=True)
    return DirectFile(descriptor, "r+b")


def _open_or_create(path: Path) -> DirectFile:
    try:
        os.close(os.open(path, NEW_FILE_FLAGS, OWN_MODE))
    except FileExistsError:
        return _open(path)
    try:
        return _open(path)
    except OSError:  # on a file system on which all files belong to another user
        path.unlink(missing_ok=True)
        raise
