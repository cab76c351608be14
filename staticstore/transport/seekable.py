"""A value as a file that can be sought: parts of it are fetched when they are read."""

from __future__ import annotations

import io
import os
import threading
from typing import Any, BinaryIO

from cachetools import LRUCache

from .parts import Part, Target, ask, first_right
from .response import Response
from .spool import size_on_host, spooled
from .stream import PIECE, ValueStream

__all__ = ["SeekableValue", "open_seekable"]

_BLOCK = 1 << 15  # bytes; what a read somewhere costs, at least
# Reading on from where the last part ended doubles what is asked for, from a
# block up to this; so no more is fetched in vain than was read.
_MOST_AHEAD = 1 << 26  # bytes
# Parts up to this are read at once and kept; larger ones are streamed past the cache.
_KEPT = 1 << 18  # bytes


def open_seekable(target: Target, cache_size: int) -> io.BufferedReader:
    """Open a value as a buffered file; nothing is requested before it is needed.

    Parameters
    ----------
    target : Target
        The value.
    cache_size : int
        Bytes of the value that are kept in memory, for being read again.
    """
    return io.BufferedReader(SeekableValue(target, cache_size), _BLOCK)


class SeekableValue(io.RawIOBase):
    """The bytes of a value at any place; see `URLValue.open`.

    Parameters
    ----------
    target, cache_size
        As in `open_seekable`.
    """

    def __init__(self, target: Target, cache_size: int) -> None:
        self._target = target
        self._size = target.size
        self._position = 0
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._blocks: LRUCache[int, bytes] = LRUCache(max(cache_size // _BLOCK, 1))
        # A part that is being read, and the place in the value that it has come to.
        self._stream: ValueStream | None = None
        self._stream_at = 0
        # Where the last part ended, and how long it was.
        self._end_of_last = 0
        self._last_window = _BLOCK
        self._seen: tuple[str | None, ...] | None = None
        # The whole value, where the host gives no parts.
        self._spool: BinaryIO | None = None

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
            position = self._known_size() + offset
        else:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        if position < 0:
            raise ValueError(f"there is no position {position} in a file")
        self._position = position
        return position

    def readinto(self, buffer: Any) -> int:
        """Read what is at hand, or what comes next, into a buffer."""
        self._check_open()
        view = memoryview(buffer).cast("B")
        view = view[: max(self._known_size() - self._position, 0)]
        count = self._read(view) if view else 0
        self._position += count
        return count

    def readall(self) -> bytes:
        """Read all that is left."""
        self._check_open()
        found = bytearray()  # which grows with what comes, whatever size the index gives
        buffer = memoryview(bytearray(PIECE))
        while count := self.readinto(buffer):
            found += buffer[:count]
        return bytes(found)

    def close(self) -> None:
        """Give up what was fetched and not read."""
        self._end_stream()
        if self._spool is not None:
            self._spool.close()
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("I/O operation on a closed file")
        if self._pid != os.getpid():
            self._leave_to_parent()

    def _leave_to_parent(self) -> None:
        """Go on in a forked child without the answer and the spool of its parent."""
        self._pid = os.getpid()
        self._lock, self._stream, self._spool = threading.Lock(), None, None
        self._blocks = LRUCache(self._blocks.maxsize)

    def _known_size(self) -> int:
        if self._size is None:
            self._size = size_on_host(self._target)
            self._target = self._target._replace(size=self._size)
        if self._size is None:
            self._spool, self._size = spooled(self._target)
        return self._size

    def _read(self, view: memoryview) -> int:
        """Read at the position, into a buffer that has room and ends where the value does."""
        if self._spool is None:
            count = self._kept(view) or self._streamed(view) or self._fetched(view)
            if count:
                return count
        assert self._spool is not None, "a part of a value has a byte at least"
        self._spool.seek(self._position)
        piece = self._spool.read(min(len(view), PIECE))
        view[: len(piece)] = piece
        return len(piece)

    def _kept(self, view: memoryview) -> int:
        """Read what the cache has at the position, as far as its block goes."""
        number, start = divmod(self._position, _BLOCK)
        with self._lock:
            block = self._blocks.get(number, b"")
        piece = block[start : start + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def _streamed(self, view: memoryview) -> int:
        """Read the next bytes of the part that is being read, if they are those."""
        if self._stream is None or self._stream_at != self._position:
            return 0
        try:
            count = self._stream.readinto(view)
        except BaseException:  # an interrupt, too, after which nobody knows where it is
            self._end_stream()
            raise
        self._stream_at += count
        if not count or self._stream_at >= self._end_of_last:
            self._end_stream()
        return count

    def _fetched(self, view: memoryview) -> int:
        """Read a part of the value from the position on; nothing if the host gives no parts."""
        self._end_stream()
        size = len(view)
        window = 2 * self._last_window if self._position == self._end_of_last else _BLOCK
        if size > _BLOCK:  # more than what is asked for only to fill a buffer
            window = min(max(window, size + self._position % _BLOCK), _MOST_AHEAD)
        start = self._position
        if window <= _KEPT:  # whole blocks, so that they can be kept
            start -= start % _BLOCK
            window = -(-window // _BLOCK) * _BLOCK
        end = min(start + window, self._known_size())
        stream = self._opened(start, end)
        if stream is None:
            return 0
        self._last_window, self._end_of_last = window, end
        if window > _KEPT:
            self._stream, self._stream_at = stream, start
            return self._streamed(view)
        offset = self._position - start
        piece = self._kept_now(stream, start)[offset : offset + size]
        view[: len(piece)] = piece
        return len(piece)

    def _kept_now(self, stream: ValueStream, start: int) -> bytes:
        """Read a part to its end, put its blocks into the cache, and return it."""
        with stream:
            text = stream.readall()
        with self._lock:
            for at in range(0, len(text), _BLOCK):
                self._blocks[(start + at) // _BLOCK] = text[at : at + _BLOCK]
        return text

    def _opened(self, start: int, end: int) -> ValueStream | None:
        """Open a part; or take the value whole, where a host gives no parts, and return None.

        Raises
        ------
        IntegrityError
            The host has another value than at the last part.
        """

        def asked(target: Target) -> tuple[Target, Part]:
            return target, ask(target, start, end)

        # What was right once is asked for in the same way from then on.
        if self._seen is None or self._target.is_elsewhere:
            before = self._target
            self._target, part = first_right(before, asked)
            if self._target.session is not before.session:
                self._seen = None  # the tags of another host are others
        else:
            _, part = asked(self._target)
        if not part.is_partial and end - start < self._known_size():
            part.close()
            self._spool, self._size = spooled(self._target)
            return None
        seen = _identity(part.response)
        if self._seen not in (None, seen):
            part.close()
            raise self._target.changed(
                "the host has replaced the value while it was read",
                expected=self._seen,
                actual=seen,
            )
        self._seen = seen
        return ValueStream(self._target, part, start, end, None)

    def _end_stream(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _identity(response: Response) -> tuple[str | None, ...]:
    """Return what two answers have in common if they are of one version of a value."""
    return response.etag, response.header("Last-Modified")
