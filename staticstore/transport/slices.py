"""One part of a value, as a stream."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from .parts import Target, first_right
from .spool import size_on_host, spooled
from .stream import open_part

__all__ = ["open_range"]


def open_range(target: Target, start: int | None, end: int | None) -> BinaryIO:
    """Open bytes ``value[start:end]`` of a value as a stream; both as in a slice.

    Raises
    ------
    TransportError, IntegrityError
        Now, or while the stream is read.
    """
    size = target.size
    if size is None and ((start or 0) < 0 or (end or 0) < 0):
        size = size_on_host(target)
        if size is None:
            return _spooled_range(target, start, end)
        target = target._replace(size=size)  # of which the answer then has to be, too
    if size is not None:
        start, end, _ = slice(start, end).indices(size)
    first, last = start or 0, end
    if last is not None and first >= last:
        return io.BytesIO()

    return first_right(target, lambda target: open_part(target, first, last))


def _spooled_range(target: Target, start: int | None, end: int | None) -> BinaryIO:
    """Read a value of unknown size whole, to count from its end."""
    spool, size = spooled(target)
    start, end, _ = slice(start, end).indices(size)
    spool.seek(start)
    return io.BufferedReader(_Slice(spool, max(end - start, 0)))


class _Slice(io.RawIOBase):
    """The next bytes of an open file, and no more of them; closes it with itself."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(min(len(buffer), self._left))
        buffer[: len(piece)] = piece
        self._left -= len(piece)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()
