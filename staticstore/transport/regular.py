"""Files that can be read without ever waiting for them."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO

__all__ = ["NotRegularError", "open_descriptor", "open_regular", "read_regular"]

# Opening a FIFO without O_NONBLOCK waits for its writer, for ever if need be.
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


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


def open_descriptor(path: str | os.PathLike[str]) -> tuple[int, os.stat_result]:
    """Open a file as `open_regular` does; return its descriptor, to be closed, and its state."""
    try:
        descriptor = os.open(path, _READ)
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


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Read a file whole; raise as `open_regular` does."""
    with open_regular(path) as file:
        return file.readall()
