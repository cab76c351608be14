"""The beginning of a value or document in a file of the user's own, so that it can be resumed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from .direct import DirectFile
from .regular import open_own

__all__ = [
    "DOCUMENT_PATTERN",
    "OWN_MODE",
    "PART_PATTERN",
    "PartFile",
    "document_part_path",
    "part_path",
]

#: How the files are called, as a glob pattern.
PART_PATTERN = ".staticstore-*.part"
#: How those of documents are called, as a glob pattern.
DOCUMENT_PATTERN = ".staticstore-document-*.part"
#: Permissions of what is not verified yet: others have no business with it.
OWN_MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def part_path(folder: Path, name: str) -> Path:
    """Return where the beginning of what gets a name is kept, under a name that no user chooses."""
    return folder / PART_PATTERN.replace("*", name)


def document_part_path(folder: Path, sha256: str) -> Path:
    """Return where the beginning of a document is kept, by its digest."""
    return folder / DOCUMENT_PATTERN.replace("*", sha256)


class PartFile:
    """A file of the user's own, locked for this process until it is closed.

    Attributes
    ----------
    file : DirectFile
        To be read and written.
    path : Path
        Its name.
    """

    def __init__(self, file: DirectFile, path: Path) -> None:
        self.file = file
        self.path = path

    @classmethod
    def claim(cls, path: Path, *, makes: bool = True) -> Self | None:
        """Open and lock a file; None if it is another's, or cannot be had.

        Parameters
        ----------
        path : Path
            The file.
        makes : bool, optional
            Whether it is made if it is not there.
        """
        try:
            file = _opened(path, makes=makes)
        except (OSError, ValueError):
            return None
        import filelock  # it takes as long as all the rest of staticstore

        try:
            is_locked = filelock.lock_descriptor(file.fileno(), blocking=False)
            # Whoever had it may have finished, and given it its name, meanwhile.
            if is_locked and os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                return cls(file, path)
        except OSError:  # it is gone, or the file system has no locks
            is_litter = not os.fstat(file.fileno()).st_size
            file.close()
            if is_litter:
                path.unlink(missing_ok=True)
        file.close()
        return None

    def remove(self) -> None:
        """Remove it, and close it."""
        if os.name == "nt":  # there, what is open cannot be removed
            self.file.close()
        self.path.unlink(missing_ok=True)
        self.file.close()


def _opened(path: Path, *, makes: bool) -> DirectFile:
    """Open a file of the user's own for reading and writing.

    Raises
    ------
    OSError
        It is somebody else's, or cannot be opened.
    """
    is_new = False
    if makes:
        try:
            os.close(os.open(path, _NEW, OWN_MODE))
            is_new = True
        except FileExistsError:
            pass
    try:
        descriptor, _ = open_own(path, writes=True)
    except OSError:
        if is_new:  # on a file system that says so of every file
            path.unlink(missing_ok=True)
        raise
    return DirectFile(descriptor, "r+b")
