"""Open files without ever waiting for them, or only if they are the user's own."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from io import FileIO

__all__ = [
    "NotOwnError",
    "NotRegularError",
    "foreign_part",
    "open_descriptor",
    "open_own",
    "open_regular",
    "read_own",
    "read_regular",
    "remove_foreign",
]

# Without O_NONBLOCK, opening a FIFO waits for its writer, perhaps forever.
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class NotOwnError(OSError):
    """A file or folder is not the user's own: others made, may write, or share it."""


class NotRegularError(OSError):
    """A path is not a regular file, but a folder, a FIFO, a device or a socket."""


def open_regular(path: str | os.PathLike[str]) -> FileIO:
    """Open a file for reading, unbuffered, without ever waiting for it.

    Raises
    ------
    NotRegularError
        It is a folder, a FIFO, a device or a socket.
    OSError
        It cannot be opened.
    """
    descriptor, _ = open_descriptor(path)
    return FileIO(descriptor, "rb")


def open_descriptor(
    path: str | os.PathLike[str], flags: int = _READ_FLAGS
) -> tuple[int, os.stat_result]:
    """Open a file as `open_regular` does, as a descriptor.

    Returns
    -------
    int, os.stat_result
        The descriptor, which the caller closes, and the status of the file.
    """
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise NotRegularError(error.errno, "not a regular file") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file")
        return descriptor, status
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], most_bytes: int | None = None) -> bytes:
    """Read a whole file.

    Raises
    ------
    NotRegularError
        As of `open_regular`.
    OSError
        It cannot be opened or read, or is larger than `most_bytes`.
    """
    with open_regular(path) as file:
        return _read_bounded(file, most_bytes)


def _read_bounded(file: FileIO, most_bytes: int | None) -> bytes:
    if most_bytes is not None and os.fstat(file.fileno()).st_size > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes")
    return file.readall()


def foreign_part(status: os.stat_result, *, is_sheltered: bool = False) -> str | None:
    """Return why a file or folder is not the user's own; None if it is.

    Someone who made a file, may write it, or has another name for it can change
    it after it was verified.  Windows does not number the owners of files: there,
    only the names are counted.

    Parameters
    ----------
    status : os.stat_result
        From `os.lstat` or `os.fstat`, so that a link is seen.
    is_sheltered : bool, optional
        Whether it is in a folder that only the user may enter.
    """
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link"
    if not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1:
        return "has another name, too (a hard link)"
    if os.name == "nt":
        return None
    if status.st_uid != os.geteuid():
        return f"belongs to another user (number {status.st_uid})"
    if status.st_mode & _WRITABLE_BY_OTHERS and not is_sheltered:
        return "may be written by other users"
    return None


def open_own(path: str | os.PathLike[str], *, writes: bool = False) -> tuple[int, os.stat_result]:
    """Open a regular file of the user's own, without following a link.

    Parameters
    ----------
    path : path
        The file.
    writes : bool, optional
        Whether to open it for writing, too.

    Returns
    -------
    int, os.stat_result
        The descriptor, which the caller closes, and the status of the file.

    Raises
    ------
    NotOwnError
        It belongs to another user, others may write it, or it has two names.
    NotRegularError
        It is a folder, a FIFO, a device or a socket.
    OSError
        It cannot be opened.
    """
    flags = getattr(os, "O_NOFOLLOW", 0) | (os.O_RDWR if writes else 0)
    try:
        opened = open_descriptor(path, _READ_FLAGS | flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotOwnError(errno.ELOOP, "it is a symbolic link") from error
        raise
    if (reason := foreign_part(opened[1])) is not None:
        os.close(opened[0])
        raise NotOwnError(errno.EPERM, f"it {reason}")
    return opened


def read_own(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """Read a whole file of the user's own.

    Raises
    ------
    NotOwnError, NotRegularError
        As of `open_own`.
    OSError
        It cannot be opened or read, or is larger than `most_bytes`.
    """
    descriptor, _ = open_own(path)
    with FileIO(descriptor, "rb") as file:
        return _read_bounded(file, most_bytes)


def remove_foreign(path: str | os.PathLike[str]) -> None:
    """Remove a file if it exists and is not the user's own.

    Raises
    ------
    OSError
        Its status cannot be read, or it cannot be removed.
    """
    with contextlib.suppress(FileNotFoundError):
        if foreign_part(os.lstat(path)) is not None:
            os.unlink(path)
