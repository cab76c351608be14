"""Open regular files safely; sync files, set times and permissions if possible.

A share (CIFS, NFS), a process (FUSE) or a stick (exFAT) may refuse to sync a
folder, or to set a time or permissions, and still store the bytes.  That is a
warning, once per file system.  A disk that fails or is full is always an error.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import re
import stat
import sys
from collections.abc import Container, Iterable, Iterator, Sequence
from io import FileIO
from pathlib import Path

from .. import tuning
from ..errors import quoted, reason_of

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
    "set_mode",
    "set_time",
    "sync_descriptor",
    "sync_files",
    "sync_folder",
]

_LOG = logging.getLogger("staticstore")

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
# A folder may be writable, but not readable; only the owner of a file may set its time and
# permissions.
_REFUSALS = _UNSUPPORTED | {errno.EACCES, errno.EPERM, errno.EBADF}

# Earlier kernels do not report its failures: syncfs(2), under "Errors".
_SYNCFS_KERNEL = (5, 8)
# File systems whose `syncfs` writes the bytes of all files, by their numbers in statfs(2).
# Not those of a network or of a process, which `syncfs` may not even reach.
# In this order: ext2 to ext4, XFS, Btrfs, F2FS, ZFS, overlayfs over one of them, tmpfs.
_SYNCFS_TYPES = frozenset(
    [0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x2FC12FC1, 0x794C7630, 0x01021994]
)

# Without O_NONBLOCK, opening a FIFO waits for its writer, perhaps forever.
_READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def sync_descriptor(descriptor: int, path: str | Path) -> None:
    """Sync an open file, if the file system can.

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
    with _tolerated(path, "cannot sync files: a power cut may leave them empty", _UNSUPPORTED):
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Sync a folder, if the system can, so that new names in it survive a power cut.

    Raises
    ------
    OSError
        The disk failed, or the folder does not exist.
    """
    if os.name == "nt":  # where a folder cannot be opened
        return
    with _tolerated(
        folder, "cannot sync folders: a power cut may undo the latest renames", _REFUSALS
    ):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_files(paths: Sequence[str]) -> None:
    """Sync many files, so that their bytes (not their names) survive a power cut.

    Parameters
    ----------
    paths : sequence of str
        Files that were written and closed.

    Raises
    ------
    OSError
        The disk failed, or a file does not exist.

    Notes
    -----
    On a local file system of Linux, many files are synced by one call of
    ``syncfs``, in a sixth of the time; it waits for the files of other processes,
    too.  Several threads may call this at once.
    """
    folders = [os.path.dirname(path) for path in paths]
    # Folders, since the files of one are on one file system.
    synced = _sync_file_systems(set(folders)) if len(paths) >= tuning.SYNCFS_FILES else set()
    flags = os.O_RDWR if os.name == "nt" else os.O_RDONLY  # Windows syncs for writers only
    for path, folder in zip(paths, folders, strict=True):
        if folder in synced:
            continue
        descriptor = os.open(path, flags)
        try:
            sync_descriptor(descriptor, path)
        finally:
            os.close(descriptor)


def _sync_file_systems(folders: Iterable[str]) -> set[str]:
    """Sync the file systems of folders; return the folders that are surely synced."""
    done: dict[int, bool] = {}
    synced = set()
    for folder in folders:
        device = os.stat(folder).st_dev
        if device not in done:
            done[device] = _syncfs(folder)
        if done[device]:
            synced.add(folder)
    return synced


def _syncfs(folder: str) -> bool:
    release = re.match(r"(\d+)\.(\d+)", os.uname().release) if sys.platform == "linux" else None
    if release is None or (int(release[1]), int(release[2])) < _SYNCFS_KERNEL:
        return False
    try:
        import ctypes
    except ImportError:  # some Pythons are built without
        return False
    system = ctypes.CDLL(None)
    # A structure that is shorter than this, and whose first word is the type.
    status = (ctypes.c_long * 64)()
    if system.statfs(os.fsencode(folder), status) or status[0] & 0xFFFFFFFF not in _SYNCFS_TYPES:
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # the folder may be writable, but not readable
        return False
    try:
        return not system.syncfs(descriptor)
    finally:
        os.close(descriptor)


def set_time(path: str | Path, modified: float, *, descriptor: int | None = None) -> bool:
    """Set the modification time of a file; return whether the file system can.

    Parameters
    ----------
    path : path
        The file.
    modified : float
        Seconds since 1970.
    descriptor : int, optional
        Of the file, if it is open: faster, if the system can use it.
    """
    by_descriptor = descriptor is not None and os.utime in os.supports_fd
    try:  # benchmark: mirror, for which a context manager is too slow
        os.utime(descriptor if by_descriptor else path, (modified, modified))  # type: ignore[arg-type]
    except OSError as error:
        _tolerate(
            error, path, "cannot set times: files have the time when they were written", _REFUSALS
        )
        return False
    return True


def set_mode(descriptor: int, mode: int, path: str | Path) -> None:
    """Set the permissions of an open file, if the system and the file system can."""
    if os.chmod in os.supports_fd:
        with _tolerated(
            path, "cannot set permissions: files have those of all others there", _REFUSALS
        ):
            os.chmod(descriptor, stat.S_IMODE(mode))


@contextlib.contextmanager
def _tolerated(path: str | Path, what: str, refusals: Container[int | None]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        _tolerate(error, path, what, refusals)


def _tolerate(error: OSError, path: str | Path, what: str, refusals: Container[int | None]) -> None:
    """Warn of a refusal, once per process and file system; raise any other error."""
    if error.errno not in refusals:
        raise error
    _warn(_mount_point(path), what, reason_of(error))


def _mount_point(path: str | Path) -> str:
    place = os.path.dirname(os.path.abspath(path))
    while not os.path.ismount(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return place


@functools.lru_cache(maxsize=64)  # so that each warning is logged once
def _warn(mount_point: str, what: str, reason: str) -> None:
    _LOG.warning("the file system at %s %s (%s)", quoted(mount_point), what, reason)


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
    """Return why a file or folder is not the user's own, as a text; None if it is.

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
        descriptor, status = open_descriptor(path, _READ_FLAGS | flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotOwnError(errno.ELOOP, "it is a symbolic link") from error
        raise
    if (reason := foreign_part(status)) is not None:
        os.close(descriptor)
        raise NotOwnError(errno.EPERM, f"it {reason}")
    return descriptor, status


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
