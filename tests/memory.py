"""Folders in memory, for tests that write thousands of files."""

from __future__ import annotations

import os
import shutil
import tempfile

__all__ = ["memory_folder"]

_MEMORY = "/dev/shm"
_LEAST_BYTES = 1 << 30  # a container may have few


def memory_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder in memory, or on the disk where there is no room; removed after the block."""
    has_room = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _LEAST_BYTES
    return tempfile.TemporaryDirectory(prefix="staticstore-", dir=_MEMORY if has_room else None)
