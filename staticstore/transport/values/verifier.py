"""Hash and count bytes as they arrive, and compare them with what the index says."""

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

from ... import tuning
from ...errors import IntegrityError, NotConnectedError

__all__ = ["Hasher", "OrderedVerifier", "Verifier", "has_digest"]

_WEAK = ("md5", "sha1")


def has_digest(data: bytes, sha256: str | None, checksum: str | None = None) -> bool:
    """Return whether bytes have the digest that an entry says, or it says none.

    Parameters
    ----------
    data : bytes
        The whole value.
    sha256, checksum : str or None
        As of `Content`.

    Examples
    --------
    >>> has_digest(b"", None), has_digest(b"", None, "md5:d41d8cd98f00b204e9800998ecf8427e")
    (True, True)
    """
    if sha256 is not None:
        return hashlib.sha256(data).hexdigest() == sha256
    if checksum is None:
        return True
    algorithm, _, expected = checksum.partition(":")
    weak = algorithm in _WEAK
    return hashlib.new(algorithm, data, usedforsecurity=not weak).hexdigest() == expected


class Hasher:
    """Compute the digest of bytes in a thread while the next ones are received.

    The thread is started after 1 MiB.  It gets copies of the bytes, or the
    buffers that `buffers` lends.  Close the hasher, or use it in a ``with`` block,
    so that the thread ends.  For one caller.

    Parameters
    ----------
    counts_newlines : bool, optional
        Whether to count newlines too, in the same thread: a separate pass over
        a large index would hold up other threads.
    algorithm : str, optional
        Another one than sha256.
    """

    def __init__(self, *, counts_newlines: bool = False, algorithm: str = "sha256") -> None:
        self._pid = os.getpid()
        # Accidents are looked for by the weak ones, also where they may not be used otherwise.
        self._hash = hashlib.new(algorithm, usedforsecurity=algorithm not in _WEAK)
        self._counts_newlines = counts_newlines
        self._newlines = 0
        self._count = 0
        self._thread: threading.Thread | None = None
        # Bytes to hash, and what to call afterwards; None ends the thread.
        self._queue: queue.SimpleQueue[tuple[memoryview, Callable[[], object] | None] | None]
        self._queue = queue.SimpleQueue()
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._buffer = memoryview(b"")
        self._filled = 0
        self._buffers_made = 0
        self._lends_buffers = False

    def __enter__(self) -> Self:
        """Return the hasher."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread."""
        self.close()

    def close(self) -> None:
        """Hash what is left and end the thread, if there is one; idempotent."""
        if self._thread is not None:
            self._enqueue_copied()
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def update(self, piece: bytes | memoryview) -> None:
        """Add the next bytes; the caller may change them afterwards, but see `buffers`."""
        if self._thread is None:
            self._hash_piece(piece)
            self._count += len(piece)
            if self._count >= tuning.HASHED_UNTHREADED_BYTES:
                self._thread = threading.Thread(
                    target=self._run, name="staticstore digest", daemon=True
                )
                self._thread.start()
        elif self._lends_buffers:
            self._queue.put((memoryview(piece), None))
        else:
            self._copy(memoryview(piece))

    def buffers(self, size: int) -> Iterator[memoryview]:
        """Yield buffers to fill in turn; each is yielded again once its bytes are hashed.

        From then on, pass to `update` only parts of the last buffer, or bytes that
        never change.

        Parameters
        ----------
        size : int
            Bytes of each buffer.
        """
        self._enqueue_copied()
        self._lends_buffers = True
        most = tuning.HASH_BUFFERS
        returned = threading.Semaphore(most)
        ring: list[memoryview] = []
        for turn in itertools.count():
            self._check_process()
            returned.acquire()
            if turn < most:
                # A large one begins at a page boundary, as `DirectFile` needs it.
                is_small = size < tuning.HASHED_UNTHREADED_BYTES
                ring.append(memoryview(bytearray(size) if is_small else mmap.mmap(-1, size)))
            yield ring[turn % most]
            if self._thread is None:
                returned.release()
            else:  # once the thread has hashed what was queued before
                self._queue.put((memoryview(b""), returned.release))

    def _copy(self, piece: memoryview) -> None:
        self._check_process()
        while piece:
            if not self._buffer:
                self._buffer = self._free_buffer()
            count = min(len(piece), len(self._buffer) - self._filled)
            self._buffer[self._filled : self._filled + count] = piece[:count]
            self._filled += count
            piece = piece[count:]
            if self._filled == len(self._buffer):
                self._enqueue_copied()

    def _check_process(self) -> None:
        # A forked child has no such thread, and would wait for a buffer forever.
        if self._pid != os.getpid():
            raise NotConnectedError(
                "this read began before the process was forked: read the value again"
            )

    def _free_buffer(self) -> memoryview:
        if self._buffers_made < tuning.HASH_BUFFERS:
            self._buffers_made += 1
            return memoryview(bytearray(tuning.HASH_BUFFER_BYTES))
        return self._free.get()

    def _enqueue_copied(self) -> None:
        if self._filled:
            buffer = self._buffer
            self._queue.put((buffer[: self._filled], lambda: self._free.put(buffer)))
            self._buffer, self._filled = memoryview(b""), 0

    def _run(self) -> None:
        while (queued := self._queue.get()) is not None:
            piece, then = queued
            self._hash_piece(piece)
            if then is not None:
                then()

    def _hash_piece(self, piece: bytes | memoryview) -> None:
        self._hash.update(piece)
        if self._counts_newlines:
            size = tuning.COUNTED_BYTES
            for start in range(0, len(piece), size):
                # CPython splits lines faster than it counts a byte.  benchmark: connect
                lines = io.BytesIO(piece[start : start + size]).readlines()
                self._newlines += len(lines) - (not lines[-1].endswith(b"\n"))

    @property
    def newlines(self) -> int:
        """Number of newlines, 0 if they are not counted; ends the hashing."""
        self.close()
        return self._newlines

    def hexdigest(self) -> str:
        """Return the digest of all bytes, lowercase hex; ends the hashing."""
        self.close()
        return self._hash.hexdigest()


class Verifier:
    """Count and hash the bytes of one value as they arrive, and check them at the end.

    Much data is hashed in a thread (see `Hasher`).  For one reader; close it.

    Parameters
    ----------
    size : int or None
        Bytes that the value must have; None if the index does not say.
    sha256 : str or None
        Its digest, lowercase hex; None if the index does not say.
    key, url : str, optional
        For the errors.
    checksum : str, optional
        Another digest, as of `Content`; only looked at without a sha256.

    Attributes
    ----------
    count : int
        Bytes so far.
    """

    def __init__(
        self,
        size: int | None,
        sha256: str | None,
        *,
        key: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
    ) -> None:
        self.size = size
        self.sha256 = sha256
        # The algorithm, a colon, and the digest.
        self._digest = checksum if sha256 is None else f"sha256:{sha256}"
        self.count = 0
        self._key = key
        self._url = url
        algorithm = None if self._digest is None else self._digest.partition(":")[0]
        self._hasher = None if algorithm is None else Hasher(algorithm=algorithm)

    @property
    def has_digest(self) -> bool:
        """Whether there is a digest to compare with, of any kind."""
        return self._digest is not None

    def feed(self, piece: bytes | memoryview) -> None:
        """Add the next bytes; the caller may change them afterwards, but see `buffers`.

        Raises
        ------
        IntegrityError
            There are more bytes than the index says.
        """
        self.count += len(piece)
        if self.size is not None and self.count > self.size:
            raise self.size_error(f"more than {self.size}")
        if self._hasher is not None:
            self._hasher.update(piece)

    def finish(self) -> None:
        """Check size and digest of all bytes.

        Raises
        ------
        IntegrityError
            One of them differs from the index.
        """
        if self.size is not None and self.count != self.size:
            raise self.size_error(self.count)
        if self._hasher is not None and self._digest is not None:
            algorithm, _, expected = self._digest.partition(":")
            if (actual := self._hasher.hexdigest()) != expected:
                text = f"the value has another {algorithm} than the index says"
                raise self._error(text, expected, actual)

    def buffers(self, size: int) -> Iterator[memoryview]:
        """Yield buffers to fill in turn, hashed without a copy: see `Hasher.buffers`."""
        if self._hasher is None:
            return itertools.repeat(memoryview(bytearray(size)))
        return self._hasher.buffers(size)

    def close(self) -> None:
        """End the hashing; idempotent."""
        if self._hasher is not None:
            self._hasher.close()

    def size_error(self, actual: object) -> IntegrityError:
        """Return the error for a value of another size."""
        text = f"the value has {actual} bytes where the index says {self.size}"
        return self._error(text, self.size, actual)

    def _error(self, text: str, expected: object, actual: object) -> IntegrityError:
        return IntegrityError(text, expected=expected, actual=actual, key=self._key, url=self._url)


class OrderedVerifier:
    """Verify a value that is read at any offset, if its bytes are read in order.

    Parameters
    ----------
    verifier : Verifier
        Unused, and nothing verified, if it has no digest.

    Attributes
    ----------
    position : int
        Bytes hashed so far: all before this offset.
    """

    def __init__(self, verifier: Verifier) -> None:
        self.position = 0
        self._verifier = verifier

    def take(self, start: int, data: bytes | memoryview) -> bool:
        """Hash what `data`, which begins at `start`, adds at `position`.

        Returns
        -------
        bool
            Whether it added anything, so that `position` has moved.
        """
        is_next = start <= self.position < start + len(data)
        if not self._verifier.has_digest or not is_next:
            return False
        self._verifier.feed(memoryview(data)[self.position - start :])
        self.position = start + len(data)
        return True

    def finish(self) -> None:
        """Check the digest: `Verifier.finish`."""
        self._verifier.finish()

    def close(self) -> None:
        """End the hashing; idempotent."""
        self._verifier.close()
