"""Files that can be read without ever waiting for them, and files that are the user's own."""

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

# Opening a FIFO without O_NONBLOCK waits for its writer, for ever if need be.
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class NotOwnError(OSError):
    """The file or folder is not the user's own: others made it, may write it, or share it."""


class NotRegularError(OSError):
    """What stands there is no file: a folder, a FIFO, a device or a socket."""


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
    try:
        return FileIO(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_descriptor(path: str | os.PathLike[str], flags: int = _READ) -> tuple[int, os.stat_result]:
    """Open a file as `open_regular` does; return its descriptor, to be closed, and its state."""
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device that nobody drives
            raise NotRegularError(error.errno, "no regular file") from error
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotRegularError(errno.EINVAL, "no regular file")
        return descriptor, status
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | os.PathLike[str], most_bytes: int | None = None) -> bytes:
    """Read a file whole; raise as `open_regular` does, or if it is larger than `most_bytes`."""
    with open_regular(path) as file:
        return _bounded(file, most_bytes)


def _bounded(file: FileIO, most_bytes: int | None) -> bytes:
    if most_bytes is not None and os.fstat(file.fileno()).st_size > most_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes} bytes")
    return file.readall()


def foreign_part(status: os.stat_result, *, is_sheltered: bool = False) -> str | None:
    """Say why a file or folder is not the user's own; None if it is.

    Whoever made a file, may write it, or has another name for it can change it
    after it was verified.  Windows knows no owners by number: there only the
    names are counted.

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
    """Open a regular file that is the user's own; no link is followed.

    Parameters
    ----------
    path : path
        The file.
    writes : bool, optional
        Whether it is opened for writing, too.

    Returns
    -------
    int, os.stat_result
        Its descriptor, to be closed, and its state.

    Raises
    ------
    NotOwnError
        It is somebody else's, or others may write it, or it has two names.
    NotRegularError
        It is a folder, a FIFO, a device or a socket.
    OSError
        It cannot be opened.
    """
    flags = getattr(os, "O_NOFOLLOW", 0) | (os.O_RDWR if writes else 0)
    try:
        opened = open_descriptor(path, _READ | flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotOwnError(errno.ELOOP, "it is a symbolic link") from error
        raise
    if (reason := foreign_part(opened[1])) is not None:
        os.close(opened[0])
        raise NotOwnError(errno.EPERM, f"it {reason}")
    return opened


def read_own(path: str | os.PathLike[str], most_bytes: int) -> bytes:
    """Read a file that is the user's own whole; raise as `open_own` does, or if it is larger."""
    descriptor, _ = open_own(path)
    with FileIO(descriptor, "rb") as file:
        return _bounded(file, most_bytes)


def remove_foreign(path: str | os.PathLike[str]) -> None:
    """Remove a file, if one is there, that is not the user's own.

    Raises
    ------
    OSError
        It cannot be looked at or removed.
    """
    with contextlib.suppress(FileNotFoundError):
        if foreign_part(os.lstat(path)) is not None:
            os.unlink(path)
