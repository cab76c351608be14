"""The digests of files, some threads at a time and never of a file in motion."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ..transport.regular import open_descriptor
from .folder import path_text, reason_of
from .scan import FoundFile, LeftOut
from .withheld import FIRST_BYTES, holds_private_key

__all__ = ["Digest", "Progress", "hash_files"]

#: Called with the bytes hashed so far and the bytes to hash.
Progress = Callable[[int, int], None]

_PIECE = 1 << 20  # bytes
# Smaller files take the interpreter longer than the disk and the digest, and threads that
# wait for the interpreter are slower than one that has it.
_LARGE = 1 << 16  # bytes
_TRIES = 3
_MOST_THREADS = 8  # more read no faster from one disk
_PATIENCE = 0.5  # seconds; Windows cannot interrupt a wait, only outwait it


class Digest(NamedTuple):
    """A file's digest, and what the file was when it was taken."""

    #: 64 lowercase hex digits.
    sha256: str
    #: Bytes.
    size: int
    #: Modification time, nanoseconds since 1970.
    mtime_ns: int
    inode: int


def hash_files(
    files: Sequence[FoundFile], *, progress: Progress | None = None
) -> dict[str, Digest | LeftOut]:
    """Hash files, several at a time.

    A file that changes, is replaced or vanishes meanwhile is found out: it is
    read again, three times in all, and then left out.  So is one that turns
    out to be a private key.  The result does not depend on which thread was
    faster.

    Parameters
    ----------
    files : sequence of FoundFile
        What to hash.
    progress : callable, optional
        Called in the calling thread.  The first number never falls, and equals
        the second at the end.  What it raises ends the hashing.

    Returns
    -------
    dict
        From the key of each file to its digest, or to why it has none.

    Notes
    -----
    Reads in pieces of 1 MiB, in at most 8 threads.
    """
    if not files:
        return {}
    large = sum(file.size >= _LARGE for file in files)
    threads = min(1 + large, len(files), os.cpu_count() or 1, _MOST_THREADS)
    work = _Work(files)
    with ThreadPoolExecutor(threads, thread_name_prefix="staticstore-hash") as pool:
        try:
            running = [pool.submit(work.run) for _ in range(threads)]
            work.follow(threads, progress)
            for one in running:
                one.result()
        finally:
            work.stop.set()
    return work.results


class _SecretFoundError(Exception):
    """The file is a private key."""


class _Work:
    """What the threads share: what is to do, what is done, and what to tell of it."""

    def __init__(self, files: Sequence[FoundFile]) -> None:
        self.stop = threading.Event()
        self.results: dict[str, Digest | LeftOut] = {}
        self._todo = deque(files)  # its ends can be taken by any thread
        self._total = sum(file.size for file in files)
        # Bytes done, or None from a thread that is at its end.
        self._events: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Hash until nothing is left: the life of one thread."""
        told = _Told(self._events)
        try:
            while not self.stop.is_set():
                try:
                    file = self._todo.popleft()
                except IndexError:
                    return
                self.results[file.key] = self._hash(file, told)
        finally:
            told.end()

    def follow(self, threads: int, progress: Progress | None) -> None:
        """Wait for the threads, and report how far they are."""
        done = 0
        while threads:
            try:
                event = self._events.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
            if event is None:
                threads -= 1
                continue
            done += event
            if progress is not None:
                progress(done, self._total)

    def _hash(self, file: FoundFile, told: _Told) -> Digest | LeftOut:
        """Hash one file; whatever happens to it counts for its size in the progress, once."""
        told.begin(file.size)
        try:
            return self._hash_steady(file, told)
        except _SecretFoundError:
            return LeftOut(path_text(file.key), "it is a private key", "secret")
        except FileNotFoundError:
            return LeftOut(path_text(file.key), "it vanished before it was hashed", "failed")
        except OSError as error:
            reason = f"it cannot be read: {reason_of(error)}"
            return LeftOut(path_text(file.key), reason, "failed")
        finally:
            told.reach(file.size)

    def _hash_steady(self, file: FoundFile, told: _Told) -> Digest | LeftOut:
        for _ in range(_TRIES):
            if (digest := self._hash_once(file.path, told)) is not None:
                return digest
        reason = f"it changed while it was hashed, {_TRIES} times"
        return LeftOut(path_text(file.key), reason, "failed")

    def _hash_once(self, path: str, told: _Told) -> Digest | None:
        """Return the digest of a file that stood still; None if it did not."""
        hasher = hashlib.sha256()
        position = 0
        descriptor, before = open_descriptor(path)
        try:
            # No further than its size: a file may grow faster than it can be read.
            while position < before.st_size:
                piece = os.read(descriptor, min(_PIECE, before.st_size - position))
                if not piece:
                    break
                if self.stop.is_set():
                    return None
                if not position and holds_private_key(piece[:FIRST_BYTES]):
                    raise _SecretFoundError
                hasher.update(piece)
                position += len(piece)
                told.reach(position)
        finally:
            os.close(descriptor)
        # What the name leads to now is the file that was read, and as it was before.
        if position != before.st_size or _state(before) != _state(os.stat(path)):
            return None
        return Digest(hasher.hexdigest(), before.st_size, before.st_mtime_ns, before.st_ino)


class _Told:
    """How far one thread is, told to who waits for it: of small files, many together."""

    def __init__(self, events: queue.SimpleQueue[int | None]) -> None:
        self._events = events
        self._size = 0
        self._reached = 0
        self._untold = 0

    def begin(self, size: int) -> None:
        """Begin with a file of so many bytes."""
        self._size, self._reached = size, 0

    def reach(self, position: int) -> None:
        """Be at a position in the file; one that was reached before counts once."""
        reached = min(position, self._size)
        if reached > self._reached:
            self._untold += reached - self._reached
            self._reached = reached
            if self._untold >= _PIECE:
                self._tell()

    def end(self) -> None:
        """Tell what is left, and that there is no more."""
        self._tell()
        self._events.put(None)

    def _tell(self) -> None:
        self._events.put(self._untold)
        self._untold = 0


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
