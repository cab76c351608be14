"""Write files whole or not at all: temporary file, sync, rename."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .. import tuning
from ..errors import quoted
from .file_system import NotRegularError, set_time, sync_descriptor, sync_folder

__all__ = [
    "TEMPORARY_PATTERN",
    "atomic_file",
    "checked_place",
    "destination",
    "is_link",
    "is_replaced",
    "later_than",
    "new_file_mode",
    "prepared_file",
    "prepared_link",
    "remove_leftovers",
    "spooled_file",
    "temporary_in",
    "write_unsynced",
]

_is_junction = getattr(os.path, "isjunction", None)  # from Python 3.12 on

#: Names of temporary files, as a glob pattern.
TEMPORARY_PATTERN = ".staticstore-*.tmp"
_MOST_LINKS = 40  # as on Linux
_DESCRIPTOR_FOLDERS = ("/proc/self/fd", "/dev/fd")


@contextlib.contextmanager
def atomic_file(
    path: Path,
    *,
    modified: float | None = None,
    sync: bool = True,
    mode: int = 0o666,
) -> Iterator[BinaryIO]:
    """Write a file that appears under its name whole or not at all.

    The bytes go into a temporary file in the same folder.  If the block ends
    without an error, they are synced and the file is renamed, replacing what was
    there (a symbolic link is replaced, not followed).  If it ends with an error,
    nothing remains.

    Parameters
    ----------
    path : Path
        Name of the file; its folder must exist.
    modified : float, optional
        Modification time in seconds since 1970; by default now.
    sync : bool, optional
        Whether to wait until the bytes are on the disk.  If not, a power cut may
        leave an empty file under the name.
    mode : int, optional
        Permissions, less the umask.

    Yields
    ------
    BinaryIO
        The file, open for writing.

    Raises
    ------
    OSError
        The folder does not exist, the disk is full, and so on.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    temporary = temporary_in(path.parent)
    descriptor = _create(temporary, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if modified is not None:
                set_time(temporary, modified, descriptor=file.fileno())
            if sync:
                sync_descriptor(file.fileno(), temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def write_unsynced(path: str, data: bytes, *, modified: float, temporary: str) -> None:
    """Write a small file as `atomic_file` does without `sync`, but faster.

    It makes as few system calls as possible.

    Raises
    ------
    OSError
        As of `atomic_file`; nothing remains.
    """
    # benchmark: mirror.  Of 10,000 files, the Python code around each call counts.
    descriptor = _create(temporary)
    try:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            set_time(temporary, modified, descriptor=descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def temporary_in(folder: Path) -> Path:
    """Return a random name for a temporary file, which `remove_leftovers` finds."""
    return folder / TEMPORARY_PATTERN.replace("*", secrets.token_hex(8))


def _create(temporary: str | Path, mode: int = 0o666) -> int:
    # Not `tempfile`: only their owner can read its files, and a web server has to.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    return os.open(temporary, flags, mode)


def new_file_mode(probe: Path) -> int:
    """Return the permissions of a new file in a folder, by creating one.

    The umask of the process can only be read by changing it, for all threads.

    Parameters
    ----------
    probe : Path
        Name of that file; what has the name is removed.

    Raises
    ------
    OSError
        The folder is not writable.
    """
    probe.unlink(missing_ok=True)
    descriptor = _create(probe)
    try:
        return os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


@contextlib.contextmanager
def prepared_file(path: Path, data: bytes, *, modified: float) -> Iterator[None]:
    """Write a synced temporary file, run the block, then rename the file.

    So the file and what the block does become visible at almost the same time.
    The name itself is synced by `sync_folder` only.

    Parameters
    ----------
    path : Path
        Name of the file.
    data : bytes
        Its content.
    modified : float
        Its modification time in seconds since 1970.

    Raises
    ------
    OSError
        As of `atomic_file`; what was there remains.
    """
    with atomic_file(path, modified=modified, sync=False) as file:
        file.write(data)
        file.flush()
        sync_descriptor(file.fileno(), path)
        yield


@contextlib.contextmanager
def prepared_link(source: Path, path: Path, *, modified: float) -> Iterator[None]:
    """Run the block, then give a file a second name; see `prepared_file`.

    Parameters
    ----------
    source : Path
        The file.
    path : Path
        Its second name, on the same file system.
    modified : float
        Its new modification time in seconds since 1970, under both names.

    Raises
    ------
    OSError
        The file system has no hard links, for instance; what was there remains.
    """
    temporary = temporary_in(path.parent)
    os.link(source, temporary)
    try:
        set_time(temporary, modified)
        yield
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder."""
    for leftover in folder.glob(TEMPORARY_PATTERN):
        leftover.unlink(missing_ok=True)


def spooled_file() -> BinaryIO:
    """Return a temporary file without a name, in memory up to 8 MiB."""
    import tempfile  # slow to import

    file: Any = tempfile.SpooledTemporaryFile(tuning.IN_MEMORY_BYTES)  # noqa: SIM115 -- the caller's
    return file  # type: ignore[no-any-return]


@contextlib.contextmanager
def destination(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Write to a path that a user names: a file, a device or a FIFO.

    A file is replaced as by `atomic_file`.  Others use ``/dev/null``,
    ``/dev/stdout``, a terminal or a FIFO, too, so these stay: the bytes are written
    into them once the block has ended without an error.

    Parameters
    ----------
    path : Path
        The file or device; a link to a device or to a FIFO counts as that.
    sync : bool, optional
        Whether to wait until a file is on the disk.

    Yields
    ------
    BinaryIO
        A file open for writing, which can be sought and truncated.

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
    import shutil  # slow to import

    with os.fdopen(_open_device(path), "wb") as device, spooled_file() as spool:
        yield spool
        spool.seek(0)
        shutil.copyfileobj(spool, device, tuning.FILE_PIECE_BYTES)


def is_replaced(path: Path) -> bool:
    """Return whether a file replaces what is at a path, or is written into that.

    Raises
    ------
    OSError
        It is a folder, or a link to one, or its folder does not exist, or the name is
        too long for the disk: better now than after the whole value.
    """
    if os.name != "nt" and _own_descriptor(path) is not None:
        return False
    try:
        mode = path.stat().st_mode
    except OSError as error:  # nothing is there, or a link that leads nowhere
        if error.errno in (errno.ENAMETOOLONG, errno.ENOTDIR):
            raise
        if not path.parent.exists():
            reason = f"there is no folder {quoted(os.fspath(path.parent))}: create it"
            raise FileNotFoundError(errno.ENOENT, reason, os.fspath(path)) from None
        return True
    if stat.S_ISDIR(mode):  # also by a link: others find their open files by /dev/fd
        raise _is_a_folder(path)
    return os.name == "nt" or stat.S_ISREG(mode)


def checked_place(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file to be written; see `is_replaced`.

    Raises
    ------
    OSError
        As of `is_replaced`; or the path ends like that of a folder.
    """
    if os.fspath(path).endswith((os.sep, os.altsep or os.sep)):
        raise _is_a_folder(path)
    is_replaced(Path(path))
    return Path(path)


def _is_a_folder(path: str | os.PathLike[str]) -> IsADirectoryError:
    reason = "it is a folder: give the path of a file in it"
    return IsADirectoryError(errno.EISDIR, reason, os.fspath(path))


def _open_device(path: Path) -> int:
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
        # Without O_NONBLOCK, this waits forever for the reader of a FIFO.
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        what = "no process reads from this FIFO" if stat.S_ISFIFO(mode) else "it is a socket"
        raise NotRegularError(error.errno, what) from error
    os.set_blocking(descriptor, True)
    return descriptor


def _own_descriptor(path: Path) -> int | None:
    """Return the descriptor that a path such as ``/dev/stdout`` names, or None."""
    # Opened by its name, a file behind it would be written from the start, and a socket
    # not at all.
    folders = {os.path.realpath(name) for name in _DESCRIPTOR_FOLDERS}
    place = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        above, name = os.path.split(place)
        if name.isascii() and name.isdecimal() and os.path.realpath(above) in folders:
            return int(name)
        try:
            place = os.path.normpath(os.path.join(os.path.realpath(above), os.readlink(place)))
        except OSError:  # not a link
            return None
    return None


def later_than(path: Path) -> float:
    """Return a modification time for a new version of a file, in seconds since 1970.

    It differs from that of the old version by a whole second: servers make a
    validator of whole seconds and the size, so of two documents of one size and
    one second the second would be "not modified".
    """
    now = time.time()
    try:
        before = path.stat().st_mtime
    except FileNotFoundError:
        return now
    return max(now, math.floor(before) + 1.0)


def is_link(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a symbolic link, or a junction of Windows."""
    return os.path.islink(path) or (_is_junction is not None and _is_junction(path))
