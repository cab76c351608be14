"""What a file system may lack, and is done without: said once, and no error.

A share (CIFS, NFS), a process (FUSE) or a stick (exFAT) may refuse to sync a
folder, or to set a time or permissions, for what it writes all the same.  A disk
that fails or is full is an error everywhere.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import stat
from collections.abc import Container, Iterator
from pathlib import Path

from ..errors import quoted

__all__ = ["set_mode", "set_time", "sync_descriptor", "sync_folder"]

_LOG = logging.getLogger("staticstore")

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
# A folder may be writable, but not readable; a time and permissions are their owner's.
_REFUSALS = _UNSUPPORTED | {errno.EACCES, errno.EPERM, errno.EBADF}


def sync_descriptor(descriptor: int, path: str | Path) -> None:
    """Have an open file on the disk, where the file system can.

    Parameters
    ----------
    descriptor : int
        Of the file.
    path : path
        Its name, for the warning.

    Raises
    ------
    OSError
        The disk failed, or is full.
    """
    with _done_without(path, "syncs no files: a power cut may leave them empty", _UNSUPPORTED):
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the new name of a file survive a power cut, where the system can.

    Raises
    ------
    OSError
        The disk failed, or the folder is gone.
    """
    if os.name == "nt":  # a folder cannot be opened there
        return
    with _done_without(folder, "syncs no folders: a power cut may take new names back", _REFUSALS):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def set_time(path: str | Path, modified: float, *, descriptor: int | None = None) -> bool:
    """Set the modification time of a file, where the file system can; return whether it did.

    Parameters
    ----------
    path : path
        The file.
    modified : float
        Seconds since 1970.
    descriptor : int, optional
        Of the file, if it is open: quicker, on a system that can use it.
    """
    by_descriptor = descriptor is not None and os.utime in os.supports_fd
    try:  # benchmark: mirror-small, which has no time for a context manager
        os.utime(descriptor if by_descriptor else path, (modified, modified))  # type: ignore[arg-type]
    except OSError as error:
        _pass_over(error, path, "sets no times: files have that of their writing", _REFUSALS)
        return False
    return True


def set_mode(descriptor: int, mode: int, path: str | Path) -> None:
    """Set the permissions of an open file, where the system and the file system can."""
    if os.chmod in os.supports_fd:
        with _done_without(path, "sets no permissions: files have those of all", _REFUSALS):
            os.chmod(descriptor, stat.S_IMODE(mode))


@contextlib.contextmanager
def _done_without(path: str | Path, what: str, refusals: Container[int | None]) -> Iterator[None]:
    """Let a refusal of the file system be a warning; see `_pass_over`."""
    try:
        yield
    except OSError as error:
        _pass_over(error, path, what, refusals)


def _pass_over(
    error: OSError, path: str | Path, what: str, refusals: Container[int | None]
) -> None:
    """Warn of a refusal, once in a process and file system; raise what is none."""
    if error.errno not in refusals:
        raise error
    _warn(_mount_point(path), what, error.strerror or type(error).__name__)


def _mount_point(path: str | Path) -> str:
    """Return where the file system of a file begins."""
    place = os.path.dirname(os.path.abspath(path))
    while not os.path.ismount(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return place


@functools.lru_cache(maxsize=64)
def _warn(mount_point: str, what: str, reason: str) -> None:
    _LOG.warning("the file system at %s %s (%s)", quoted(mount_point), what, reason)
