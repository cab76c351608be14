"""Where a user wants a value: a file, which is replaced, or what is written into.

``/dev/null``, ``/dev/stdout``, a terminal or a FIFO are names of things that others
use: bytes go into them, and they stay.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .integrity import atomic_file
from .readings import IN_MEMORY
from .regular import NotRegularError

__all__ = ["destination", "is_replaced"]

_PIECE = 1 << 20  # bytes
_MOST_LINKS = 40  # as Linux has it
_DESCRIPTORS = ("/proc/self/fd", "/dev/fd")


@contextlib.contextmanager
def destination(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Write what a user wants where they want it, whole or not at all.

    A file is replaced as `atomic_file` does.  Into a device or a FIFO the bytes
    are written when the block has ended without an error, and not before.

    Parameters
    ----------
    path : Path
        The file or device; a link to a device or to a FIFO counts as that.
    sync : bool, optional
        Whether a file is on the disk when this returns.

    Yields
    ------
    BinaryIO
        To write to; it can be sought and truncated.

    Raises
    ------
    OSError
        It cannot be written: it is a block device or a socket, for instance, or
        a FIFO without a reader.
    """
    if is_replaced(path):
        with atomic_file(path, sync=sync) as file:
            yield file
        return
    with (
        os.fdopen(_opened(path), "wb") as device,
        tempfile.SpooledTemporaryFile(IN_MEMORY) as spool,
    ):
        written: Any = spool
        yield written
        spool.seek(0)
        shutil.copyfileobj(spool, device, _PIECE)


def is_replaced(path: Path) -> bool:
    """Return whether a file takes the name; False if bytes are written into what has it.

    Raises
    ------
    OSError
        A folder has it, or a link to one, or it is too long for the disk.
    """
    if os.name != "nt" and _own_descriptor(path) is not None:
        return False
    try:
        mode = path.stat().st_mode
    except OSError as error:  # nothing is there, or a link that leads nowhere
        if error.errno == errno.ENAMETOOLONG:  # told before all of a value has come for it
            raise
        return True
    if stat.S_ISDIR(mode):  # by a link, too: by /dev/fd, others find what they have open
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    return os.name == "nt" or stat.S_ISREG(mode)


def _opened(path: Path) -> int:
    """Open what is written into; return the descriptor, to be closed."""
    own = _own_descriptor(path)
    if own is not None:
        try:
            return os.dup(own)
        except OverflowError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None
    mode = path.stat().st_mode
    if stat.S_ISBLK(mode):
        raise NotRegularError(errno.EINVAL, "it is a disk (a block device)")
    try:
        # Without the second, a FIFO without a reader would be waited for forever.
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        what = "no process reads from this FIFO" if stat.S_ISFIFO(mode) else "it is a socket"
        raise NotRegularError(error.errno, what) from error
    os.set_blocking(descriptor, True)
    return descriptor


def _own_descriptor(path: Path) -> int | None:
    """Return the descriptor of this process that a path names, such as ``/dev/stdout``, or None.

    Opened by name, a file behind it would be written from its start, and a
    socket not at all.
    """
    names = {os.path.realpath(name) for name in _DESCRIPTORS}
    place = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        above, name = os.path.split(place)
        if name.isascii() and name.isdecimal() and os.path.realpath(above) in names:
            return int(name)
        try:
            place = os.path.normpath(os.path.join(os.path.realpath(above), os.readlink(place)))
        except OSError:  # it is no link
            return None
    return None
