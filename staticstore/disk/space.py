"""Room on a disk, reserved for what has to be written at the end."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from .atomic import temporary_in

__all__ = ["is_full", "reserved"]

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
# Too large a file may still be enough for what is to be written: FAT has files of 4 GiB.
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EFBIG})


def is_full(error: OSError) -> bool:
    """Return whether an error says that a disk, or the user's share of it, is full."""
    return error.errno in _FULL


@contextlib.contextmanager
def reserved(folder: Path, size: int) -> Iterator[None]:
    """Occupy room on the disk of a folder during the block, and free it then.

    Without ``posix_fallocate`` (macOS, Windows), or on a file system that cannot
    reserve room, nothing is reserved.

    Parameters
    ----------
    folder : Path
        Where the temporary file is that occupies the room.
    size : int
        Bytes.

    Raises
    ------
    OSError
        There is not so much room, as `is_full` says, or the folder cannot be written.
    """
    path = temporary_in(folder)
    try:
        with open(path, "xb") as file:
            if hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                except OSError as error:
                    if error.errno not in _UNSUPPORTED:
                        raise
        yield
    finally:
        path.unlink(missing_ok=True)
