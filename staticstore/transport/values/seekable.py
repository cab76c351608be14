"""Open a value as a seekable file, whose parts are fetched when they are read."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from ... import tuning
from ...errors import quoted
from .part_reader import Fragment, PartReader

__all__ = ["OpenedValue"]

_EMPTY = Fragment(0, b"")

if TYPE_CHECKING:
    from .remote_value import RemoteValue

    class _BinaryFile(io.BufferedIOBase, BinaryIO):
        """A type that fits functions annotated to take a binary file."""

else:  # BinaryIO has a `name` of None, which confuses tifffile
    _BinaryFile = io.BufferedIOBase


class _Openable(Protocol):
    """A value that can be opened again, by a pickle of an `OpenedValue`."""

    def open(self, *, cache_size: int) -> OpenedValue:
        """Open the value."""


class OpenedValue(_BinaryFile):
    """A value as a seekable binary file; see `URLValue.open`.

    A pickle of it contains the value and the position, and can be read wherever the
    value can.  For one thread at a time.

    Parameters
    ----------
    value : URLValue
        The value, for pickles.
    remote : RemoteValue
        The same value on its hosts.
    cache_size : int
        Bytes that are kept in memory to be read again.
    """

    def __init__(self, value: _Openable, remote: RemoteValue, cache_size: int) -> None:
        self._value = value
        self._key = remote.key
        self._cache_size = cache_size
        self._reader = PartReader(remote, cache_size)
        self._position = 0
        # Bytes near the position, for short reads.
        self._near = _EMPTY

    @property
    def size(self) -> int:
        """Size in bytes, from the index, else from the host, by one request."""
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
        """Move to another position, perhaps beyond the end.

        Nothing is requested, except the size, once, to count from an end that the
        index does not give.
        """
        self._check_open()
        if whence == os.SEEK_SET:
            position = offset
        elif whence == os.SEEK_CUR:
            position = self._position + offset
        elif whence == os.SEEK_END:
            position = self._reader.size + offset
        else:
            raise ValueError(f"whence must be 0, 1 or 2, not {whence}")
        if position < 0:
            raise ValueError(f"cannot seek to {position}, before the start of the file")
        self._position = position
        return position

    def read(self, size: int | None = -1) -> bytes:
        """Read `size` bytes, or all that is left; fewer only at the end of the value."""
        self._check_open()
        if size is None or size < 0:
            return self._read_rest()
        start = self._position - self._near.start
        if 0 <= start <= len(self._near.data) - size:
            self._position += size
            return self._near.data[start : start + size]
        return self._read(min(size, self._left()))

    def read1(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, with one request at most."""
        if size is None or size < 0:
            piece = self.peek()
            self._position += len(piece)
            return piece
        self._check_open()
        buffer = bytearray(min(size, self._left(), tuning.VALUE_PIECE_BYTES) if size else 0)
        return bytes(buffer[: self.readinto1(buffer)])

    def peek(self, size: int = 0) -> bytes:
        """Return the next bytes that are in memory, one at least, and keep the position."""
        self._check_open()
        if not self._has_near(self._position) and self._left():
            self._near = self._reader.fragment(self._position, 1)
        start = self._position - self._near.start
        return self._near.data[start : start + tuning.READ_BLOCK_BYTES] if start >= 0 else b""

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; less only at the end of the value."""
        view = self._view(buffer)
        count = self._fill(view, self._position, len(view))
        self._position += count
        return count

    def readinto1(self, buffer: Any) -> int:
        """Read into a buffer, with one request at most."""
        view = self._view(buffer)
        count = self._fill_once(view, self._position, len(view)) if view else 0
        self._position += count
        return count

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines from the position on."""
        # Calling `readline` for each takes three times as long.
        while piece := self.peek():
            position = self._position
            for line in io.BytesIO(piece[: piece.rfind(b"\n") + 1]):
                if self._position != position:
                    break  # the caller has sought
                position = self._position = position + len(line)
                yield line
            else:
                if line := self._long_line(-1):
                    yield line

    def readline(self, size: int | None = -1) -> bytes:
        """Read a line with its newline, or `size` bytes of it."""
        start = self._position - self._near.start
        end = self._near.data.find(b"\n", start) + 1 if start >= 0 else 0
        if end and (size is None or size < 0):
            self._position += end - start
            return self._near.data[start:end]
        return self._long_line(size)

    def close(self) -> None:
        """Discard what was fetched and not read."""
        if not self.closed:
            self._near = _EMPTY
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
        # The size in the index may be wrong: memory grows only with the bytes that arrive.
        found = io.BytesIO()
        buffer = memoryview(bytearray(min(size, tuning.VALUE_PIECE_BYTES)))
        left = size
        while left and (count := self._fill(buffer[:left], self._position + size - left, left)):
            found.write(buffer[:count])
            left -= count
        self._position += size - left
        return found.getvalue()

    def _view(self, buffer: Any) -> memoryview:
        self._check_open()
        view = memoryview(buffer).cast("B")
        return view[: self._left()] if view else view

    def _fill(self, view: memoryview, position: int, wanted: int) -> int:
        filled = 0
        while filled < len(view) and (
            count := self._fill_once(view[filled:], position + filled, wanted - filled)
        ):
            filled += count
        return filled

    def _fill_once(self, view: memoryview, position: int, wanted: int) -> int:
        if not self._has_near(position):
            # Emptied in any case: its bytes, when read again, must pass the verifier, too.
            self._near = _EMPTY
            if wanted >= tuning.READ_BLOCK_BYTES:
                return self._reader.readinto(position, view, wanted)
            self._near = self._reader.fragment(position, wanted)
        start = position - self._near.start
        data = self._near.data[start : start + len(view)]
        view[: len(data)] = data
        return len(data)

    def _has_near(self, position: int) -> bool:
        return self._near.start <= position < self._near.end

    def _long_line(self, size: int | None) -> bytes:
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
