"""The digest of what comes, computed beside its coming."""

from __future__ import annotations

import hashlib
import io
import itertools
import mmap
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Self

from ..errors import NotConnectedError

__all__ = ["Digest"]

# So many bytes are hashed sooner than a thread is started.
_IN_TURN = 1 << 20
# The same few buffers are filled and hashed again and again: fresh memory costs more than a copy.
_LOT = 1 << 19  # bytes
_LOTS = 4
_COUNTED_AT_ONCE = 1 << 16  # bytes


class Digest:
    """The sha256 of bytes that come in pieces, computed while the next ones are received.

    After a mebibyte a thread is started, which is given copies, or buffers that
    are filled in turn.  Close it, or use it in a ``with`` block, so that the
    thread ends whatever happens.

    Parameters
    ----------
    counts_newlines : bool, optional
        Whether to count the newlines as well, where the bytes are hashed: a
        pass of its own over a large index would keep other threads waiting.
    """

    def __init__(self, *, counts_newlines: bool = False) -> None:
        self._pid = os.getpid()
        self._hash = hashlib.sha256()
        self._counts_newlines = counts_newlines
        self._newlines = 0
        self._count = 0
        self._thread: threading.Thread | None = None
        # What is to be hashed, and what to do then, if anything.
        self._lots: queue.SimpleQueue[tuple[memoryview, Callable[[], object] | None] | None]
        self._lots = queue.SimpleQueue()
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._buffer = memoryview(b"")
        self._filled = 0
        self._made = 0
        self._is_lent = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread."""
        self.close()

    def close(self) -> None:
        """End the thread, if there is one; idempotent."""
        if self._thread is not None:
            self._hand_over()
            self._lots.put(None)
            self._thread.join()
            self._thread = None

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes, which may change as soon as this returns; but see `buffers`."""
        if self._thread is None:
            self._take(piece)
            self._count += len(piece)
            if self._count >= _IN_TURN:
                self._thread = threading.Thread(
                    target=self._run, name="staticstore digest", daemon=True
                )
                self._thread.start()
        elif self._is_lent:
            self._lots.put((memoryview(piece), None))
        else:
            self._copy(memoryview(piece))

    def buffers(self, size: int) -> Iterator[memoryview]:
        """Yield buffers to fill in turn, each when what it had before has been hashed.

        From now on each update gets what is in the last of them, or what never changes.
        """
        self._hand_over()
        self._is_lent = True
        returned = threading.Semaphore(_LOTS)
        ring: list[memoryview] = []
        for turn in itertools.count():
            self._check_process()
            returned.acquire()
            if turn < _LOTS:
                ring.append(_memory(size))
            yield ring[turn % _LOTS]
            if self._thread is None:
                returned.release()
            else:  # once that is hashed which was put before
                self._lots.put((memoryview(b""), returned.release))

    def _copy(self, piece: memoryview) -> None:
        self._check_process()
        while piece:
            if not self._buffer:
                self._buffer = self._next_free()
            count = min(len(piece), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + count] = piece[:count]
            self._filled += count
            piece = piece[count:]
            if self._filled == len(self._buffer):
                self._hand_over()

    def _check_process(self) -> None:
        if self._pid != os.getpid():
            raise NotConnectedError(
                "this read began before the process was forked: read the value anew here"
            )

    def _next_free(self) -> memoryview:
        if self._made < _LOTS:
            self._made += 1
            return memoryview(bytearray(_LOT))
        return self._free.get()

    def _hand_over(self) -> None:
        """Let what was copied be hashed."""
        if self._filled:
            lot = self._buffer
            self._lots.put((lot[: self._filled], lambda: self._free.put(lot)))
            self._buffer, self._filled = memoryview(b""), 0

    def _run(self) -> None:
        while (lot := self._lots.get()) is not None:
            text, then = lot
            self._take(text)
            if then is not None:
                then()

    def _take(self, piece: bytes | memoryview) -> None:
        self._hash.update(piece)
        if self._counts_newlines:
            for start in range(0, len(piece), _COUNTED_AT_ONCE):
                # CPython searches for the ends of lines faster than it counts a byte.
                lines = io.BytesIO(piece[start : start + _COUNTED_AT_ONCE]).readlines()
                self._newlines += len(lines) - (not lines[-1].endswith(b"\n"))

    @property
    def newlines(self) -> int:
        """How many newlines all bytes have; none may follow.  0 if they are not counted."""
        self.close()
        return self._newlines

    def hexdigest(self) -> str:
        """Return the digest of all bytes, lowercase hex; none may follow."""
        self.close()
        return self._hash.hexdigest()


def _memory(size: int) -> memoryview:
    """Return a buffer; a large one begins with a page, as a `DirectFile` needs it."""
    return memoryview(bytearray(size) if size < _IN_TURN else mmap.mmap(-1, size))
