"""Many files on the disk at once: one call for a whole file system, where it can be believed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence

from .file_system import sync_descriptor

__all__ = ["sync_files"]

# Of fewer it is sooner asked one by one than for all that others are writing, too.
_MANY = 64
# Earlier kernels do not tell when it failed: syncfs(2), under "Errors".
_TELLING = (5, 8)
# File systems that have no more to do for a file than for all; the numbers are statfs(2)'s.
# Not of them are those of a network, or of a process, which may not even hear of it.
_BELIEVED = frozenset(
    [
        0xEF53,  # ext2, ext3, ext4
        0x58465342,  # XFS
        0x9123683E,  # Btrfs
        0xF2F52010,  # F2FS
        0x2FC12FC1,  # ZFS
        0x794C7630,  # overlayfs, over one of them
        0x01021994,  # tmpfs
    ]
)


def sync_files(paths: Sequence[str]) -> None:
    """Have files on the disk, bytes and sizes, so that they survive a power cut.

    Whether their names do is told by `sync_folder`.

    Parameters
    ----------
    paths : sequence of str
        Files that are written and closed.

    Raises
    ------
    OSError
        The disk failed, or a file is gone.

    Notes
    -----
    Many files on a file system of Linux's own take one call, ``syncfs``, and a
    sixth of the time; what others have written there is waited for, too.  May be
    called by several threads.
    """
    folders = [os.path.dirname(path) for path in paths]
    synced = _synced_whole(set(folders)) if len(paths) >= _MANY else set()
    flags = os.O_RDWR if os.name == "nt" else os.O_RDONLY  # there, only writers may ask for it
    for path, folder in zip(paths, folders, strict=True):
        if folder in synced:
            continue
        descriptor = os.open(path, flags)
        try:
            sync_descriptor(descriptor, path)
        finally:
            os.close(descriptor)


def _synced_whole(folders: Iterable[str]) -> set[str]:
    """Sync the file systems of folders; return the folders for which that is known to be done."""
    done: dict[int, bool] = {}
    synced = set()
    for folder in folders:
        device = os.stat(folder).st_dev
        if device not in done:
            done[device] = _sync_whole(folder)
        if done[device]:
            synced.add(folder)
    return synced


def _sync_whole(folder: str) -> bool:
    """Sync a file system; False if it cannot be told whether that has happened."""
    if sys.platform != "linux" or _kernel() < _TELLING:
        return False
    try:
        import ctypes
    except ImportError:  # there are Pythons without
        return False
    system = ctypes.CDLL(None)
    # A structure whose first word is the type, and that is shorter than this.
    status = (ctypes.c_long * 64)()
    if system.statfs(os.fsencode(folder), status) or status[0] & 0xFFFFFFFF not in _BELIEVED:
        return False
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # it may be written, but not read
        return False
    try:
        return not system.syncfs(descriptor)
    finally:
        os.close(descriptor)


def _kernel() -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(found[1]), int(found[2])) if found else (0, 0)
