"""Large files written straight to the disk, past the copy that the system would keep in memory."""

from __future__ import annotations

import errno
import io
import os
import sys

__all__ = ["DirectFile"]

_BLOCK = 4096  # bytes; what goes past the cache begins and ends at whole ones, in memory, too


class DirectFile(io.FileIO):
    """An unbuffered file that writes all it is given, and past the page cache if told so.

    Only what stands in whole blocks can go that way.  The first that does not,
    or that the file system refuses, goes through the cache as usual, and so does
    whatever follows: the bytes are the same.  What has gone past the cache still
    needs a sync, but a short one.
    """

    _flag = 0

    def go_direct(self) -> None:
        """Write past the cache from now on, where the system can."""
        if sys.platform == "linux":
            self._set(os.O_DIRECT)

    def write(self, piece: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        """Write all of a piece, and return its size."""
        left = memoryview(piece).cast("B")
        size = len(left)
        while left:
            left = left[self._write_some(left) :]
        return size

    def _write_some(self, view: memoryview) -> int:
        if self._flag and (len(view) % _BLOCK or self.tell() % _BLOCK):
            self._set(0)
        try:
            return super().write(view)
        except OSError as error:
            if not self._flag or error.errno != errno.EINVAL:
                raise
        self._set(0)
        return super().write(view)

    def _set(self, flag: int) -> None:
        """Turn the way past the cache on or off; it stays off where there is none."""
        if sys.platform == "linux":
            import fcntl

            flags = fcntl.fcntl(self.fileno(), fcntl.F_GETFL) & ~os.O_DIRECT
            try:
                fcntl.fcntl(self.fileno(), fcntl.F_SETFL, flags | flag)
                self._flag = flag
            except OSError:
                self._flag = 0
