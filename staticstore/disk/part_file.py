"""Files with the first part of a value or document, so that a download can resume."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from .. import tuning
from .file_system import open_own

__all__ = [
    "DOCUMENT_PATTERN",
    "NEW_FILE_FLAGS",
    "OWN_MODE",
    "PART_PATTERN",
    "DirectFile",
    "PartFile",
    "PartFolder",
    "PartialDocument",
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
# A host may name a new document each time, and never send one whole.
_MOST_DOCUMENTS = 16


def part_path(folder: Path, name: str) -> Path:
    """Return the path of a part file; no user gives a file such a name."""
    return folder / PART_PATTERN.replace("*", name)


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


class PartFolder:
    """A folder for partial documents.

    Parameters
    ----------
    opened : callable
        Called with whether to create the folder; returns it, or raises OSError if
        it does not exist or is not the user's own.
    keeps : bool, optional
        Whether complete documents stay there, too, for a run that is interrupted
        later; the owner of the folder removes them.
    """

    def __init__(self, opened: Callable[[bool], Path], *, keeps: bool = False) -> None:
        self._opened = opened
        self.keeps = keeps

    def claim(self, sha256: str, *, makes: bool) -> PartFile | None:
        """Open and lock the file of a document; None if that fails."""
        try:
            folder = self._opened(makes)
            if makes:
                self.clear(spared=_MOST_DOCUMENTS - 1)
            path = folder / DOCUMENT_PATTERN.replace("*", sha256)
            return PartFile.claim(path, makes=makes)
        except OSError:
            return None

    def clear(self, *, spared: int = 0) -> None:
        """Remove all partial documents but the newest `spared`."""
        with contextlib.suppress(OSError):
            found = sorted(
                (path.lstat().st_mtime, path) for path in self._opened(False).glob(DOCUMENT_PATTERN)
            )
            for _, path in found[: max(len(found) - spared, 0)]:
                path.unlink(missing_ok=True)


class PartialDocument:
    """The bytes of a document so far: in memory and, if they are slow, in a file.

    The digest identifies the document, so parts from different hosts and runs fit
    together.  A context manager: if the block ends with an error the file stays,
    and the next object for the same document resumes from it.  For one thread.

    Parameters
    ----------
    sha256 : str
        Digest of the whole document.
    most_bytes : int
        Most bytes that it may have.
    folder : PartFolder or None
        Where its file is; None to resume within the same block only.

    Attributes
    ----------
    body : bytearray
        The bytes, content codings undone.
    sha256 : str
        Digest of the whole document.
    """

    def __init__(self, sha256: str, most_bytes: int, folder: PartFolder | None) -> None:
        self.body = bytearray()
        self.sha256 = sha256
        self._most_bytes = most_bytes
        self._folder = folder
        self._keeps = folder is not None and folder.keeps
        self._part: PartFile | None = None
        self._slow_from = time.monotonic() + tuning.KEPT_DOCUMENT_SECONDS

    def __enter__(self) -> Self:
        """Read what an earlier run has left."""
        self._part = None if self._folder is None else self._folder.claim(self.sha256, makes=False)
        if self._part is not None:
            with contextlib.suppress(OSError):
                size = min(os.fstat(self._part.file.fileno()).st_size, self._most_bytes)
                while len(self.body) < size and (
                    piece := self._part.file.read(tuning.FILE_PIECE_BYTES)
                ):
                    self.body += piece
                # A range that begins behind the last byte is refused: request at least one.
                del self.body[max(size - 1, 0) :]
                self._truncate(len(self.body))
        return self

    def __exit__(self, *error: object) -> None:
        """Keep the file if the block ends with an error, else remove it."""
        has_failed = error[0] is not None
        is_worth_keeping = len(self.body) >= tuning.KEPT_DOCUMENT_BYTES
        if has_failed and is_worth_keeping:
            self._write()
        if self._part is None:
            return
        if is_worth_keeping and (has_failed or self._keeps):
            self._part.file.close()
        else:
            with contextlib.suppress(OSError):
                self._part.remove()

    def grow(self, piece: memoryview | bytes) -> None:
        """Add the next bytes."""
        self.body += piece
        if self._part is not None:
            self._append(piece)
        elif time.monotonic() >= self._slow_from and len(self.body) >= tuning.KEPT_DOCUMENT_BYTES:
            self._write()

    def clear(self) -> None:
        """Discard all bytes, because they were wrong."""
        self.body.clear()
        self._truncate(0)

    def _write(self) -> None:
        if self._part is None and self._folder is not None:
            self._part, self._folder = self._folder.claim(self.sha256, makes=True), None
            self._truncate(0)
            self._append(self.body)

    def _append(self, piece: memoryview | bytes | bytearray) -> None:
        if self._part is not None:
            try:
                self._part.file.write(piece)
            except OSError:  # the disk is full: go on in memory
                self._drop_file()

    def _truncate(self, size: int) -> None:
        if self._part is not None:
            try:
                self._part.file.truncate(size)
                self._part.file.seek(0, os.SEEK_END)
            except OSError:
                self._drop_file()

    def _drop_file(self) -> None:
        part, self._part, self._folder = self._part, None, None
        if part is not None:
            with contextlib.suppress(OSError):
                part.remove()
