"""A value as a file that can be sought: parts of it are fetched when they are read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from ..errors import quoted
from .blocks import BLOCK, Piece
from .part_reader import PartReader
from .parts import Target
from .stream import PIECE

__all__ = ["OpenedValue"]

_NOTHING = Piece(0, b"")

if TYPE_CHECKING:

    class _BinaryFile(io.BufferedIOBase, BinaryIO):
        """What functions that take a binary file are annotated with."""

else:  # BinaryIO has a `name` of None, which tifffile takes for one
    _BinaryFile = io.BufferedIOBase


class _Openable(Protocol):
    """What an `OpenedValue` is opened again from."""

    def open(self, *, cache_size: int) -> OpenedValue:
        """Open it."""


class OpenedValue(_BinaryFile):
    """The bytes of a value at any place; see `URLValue.open`.

    A pickle of it holds the value and the position, and can be read wherever the
    value can.

    Parameters
    ----------
    value : URLValue
        What it is opened from.
    target : Target
        Where that is.
    cache_size : int
        Bytes that are kept in memory, for being read again.
    """

    def __init__(self, value: _Openable, target: Target, cache_size: int) -> None:
        self._value = value
        self._key = target.key
        self._cache_size = cache_size
        self._reader = PartReader(target, cache_size)
        self._position = 0
        # What short reads are served from.
        self._near = _NOTHING

    @property
    def size(self) -> int:
        """Size in bytes: from the index, else from the host, which is asked once."""
        self._check_open()
        return self._reader.size

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another position, also beyond the end; nothing is requested for it.

        But for the size, once, to count from the end, where the index does not say it.
        """
        self._check_open()
        if whence == os.SEEK_SET:
            position = offset
        elif whence == os.SEEK_CUR:
            position = self._position + offset
        elif whence == os.SEEK_END:
            position = self._reader.size + offset
        else:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        if position < 0:
            raise ValueError(f"there is no position {position} in a file")
        self._position = position
        return position

    def read(self, size: int | None = -1) -> bytes:
        """Read so many bytes, or all that is left; fewer only at the end of the value."""
        self._check_open()
        if size is None or size < 0:
            return self._read_rest()
        start = self._position - self._near.start
        if 0 <= start <= len(self._near.data) - size:
            self._position += size
            return self._near.data[start : start + size]
        return self._read(min(size, self._left()))

    def read1(self, size: int | None = -1) -> bytes:
        """Read what is at hand, or the first that a request brings, up to so many bytes."""
        if size is None or size < 0:
            piece = self.peek()
            self._position += len(piece)
            return piece
        self._check_open()
        buffer = bytearray(min(size, self._left(), PIECE) if size else 0)
        return bytes(buffer[: self.readinto1(buffer)])

    def peek(self, size: int = 0) -> bytes:
        """Return the next bytes, as many as are at hand, and keep the position."""
        self._check_open()
        if not self._has_near(self._position) and self._left():
            self._near = self._reader.piece(self._position, 1)
        start = self._position - self._near.start
        return self._near.data[start : start + BLOCK] if start >= 0 else b""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as there are bytes."""
        view = self._room(buffer)
        count = self._fill(view, self._position, len(view))
        self._position += count
        return count

    def readinto1(self, buffer: Any) -> int:
        """Read what is at hand, or the first that a request brings, into a buffer."""
        view = self._room(buffer)
        count = self._fill_once(view, self._position, len(view)) if view else 0
        self._position += count
        return count

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines from the position on."""
        # A call of `readline` for each takes three times as long.
        while piece := self.peek():
            position = self._position
            for line in io.BytesIO(piece[: piece.rfind(b"\n") + 1]):
                if self._position != position:
                    break  # the caller has moved it
                position = self._position = position + len(line)
                yield line
            else:
                if line := self._long_line(-1):
                    yield line

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line, its newline included, or so many bytes of it."""
        start = self._position - self._near.start
        end = self._near.data.find(b"\n", start) + 1 if start >= 0 else 0
        if end and (size is None or size < 0):
            self._position += end - start
            return self._near.data[start:end]
        return self._long_line(size)

    def close(self) -> None:
        """Give up what was fetched and not read."""
        if not self.closed:
            self._near = _NOTHING
            self._reader.close()
        super().close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the value and the position."""
        self._check_open()
        return _reopened, (self._value, self._cache_size, self._position)

    def __repr__(self) -> str:
        """Show the key."""
        return f"<OpenedValue: {quoted(self._key)}>"

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed file")

    def _left(self) -> int:
        return max(self._reader.size - self._position, 0)

    def _read_rest(self) -> bytes:
        if self._position or self._near.data or self._reader.keeps_whole:
            return self._read(self._left())
        data = self._reader.read_whole()
        self._position = len(data)
        return data

    def _read(self, size: int) -> bytes:
        """Read bytes that are there, whatever the index says: memory grows with what comes."""
        found = io.BytesIO()
        buffer = memoryview(bytearray(min(size, PIECE)))
        left = size
        while left:
            count = self._fill(buffer[:left], self._position + size - left, left)
            if not count:
                break
            found.write(buffer[:count])
            left -= count
        self._position += size - left
        return found.getvalue()

    def _room(self, buffer: Any) -> memoryview:
        """Return as much of a buffer as there are bytes for it."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        return view[: self._left()] if view else view

    def _fill(self, view: memoryview, position: int, wanted: int) -> int:
        """Fill a buffer with the bytes at a position, of which more may be wanted."""
        filled = 0
        while filled < len(view):
            count = self._fill_once(view[filled:], position + filled, wanted - filled)
            if not count:
                break
            filled += count
        return filled

    def _fill_once(self, view: memoryview, position: int, wanted: int) -> int:
        if not self._has_near(position):
            # What is read past it comes to the verifier, and so does it, when it is read again.
            self._near = _NOTHING
            if wanted >= BLOCK:
                return self._reader.readinto(position, view, wanted)
            self._near = self._reader.piece(position, wanted)
        start = position - self._near.start
        data = self._near.data[start : start + len(view)]
        view[: len(data)] = data
        return len(data)

    def _has_near(self, position: int) -> bool:
        return self._near.start <= position < self._near.end

    def _long_line(self, size: int | None) -> bytes:
        """Read a line that is not at hand whole, or part of one."""
        left = -1 if size is None else size
        found: list[bytes] = []
        while left and (piece := self.peek()):
            piece = piece[: piece.find(b"\n") + 1 or None]
            piece = piece if left < 0 else piece[:left]
            found.append(piece)
            self._position += len(piece)
            left -= len(piece) if left > 0 else 0
            if piece.endswith(b"\n"):
                break
        return b"".join(found)


def _reopened(value: _Openable, cache_size: int, position: int) -> OpenedValue:
    file = value.open(cache_size=cache_size)
    file.seek(position)
    return file
