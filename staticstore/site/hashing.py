"""The digests of many files, taken beside whoever still looks for more of them.

Threads hash large files, for which they let the interpreter go.  Small ones
take the interpreter longer than the disk and the digest: one thread does them,
or, when they are thousands, processes.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from .file_digest import (
    PIECE,
    Digest,
    PointerFoundError,
    ReplacedError,
    SecretFoundError,
    digest_of,
)
from .folder import path_text, reason_of
from .found_file import FoundFile
from .hash_process import HashProcess, at_once, process_count
from .scan import LeftOut

__all__ = ["Hashing", "Progress", "hash_files"]

#: Called with the bytes hashed so far and the bytes to hash.
Progress = Callable[[int, int], None]

_LARGE = 1 << 16  # bytes
_TOGETHER = 512  # small files that a thread or a process is given at once
_TRIES = 3
_PATIENCE = 0.5  # seconds; Windows cannot interrupt a wait, only outwait it


def hash_files(
    files: Sequence[FoundFile], *, progress: Progress | None = None, seeks_keys: bool = True
) -> dict[str, Digest | LeftOut]:
    """Hash files, all of which are known; see `Hashing`.

    Returns
    -------
    dict
        From the key of each file to its digest, or to why it has none.
    """
    with Hashing(progress, seeks_keys=seeks_keys) as hashing:
        hashing.add(files)
        return {file.key: outcome for file, outcome in hashing.outcomes(files)}


class Hashing:
    """Hashes files beside its caller; a context manager, with whose block all of it ends.

    A file that changes, is replaced or vanishes meanwhile is found out: it is
    read again, three times in all, and then left out.  So is one that turns
    out to be a private key.  The outcome does not depend on who was faster.

    Parameters
    ----------
    progress : callable, optional
        Called in the thread that waits for outcomes.  The first number never
        falls, and equals the second at the end.  What it raises ends the
        hashing.
    seeks_keys : bool, optional
        Whether a file that holds a private key is left out, and a pointer of
        Git LFS, as where it is published.

    Notes
    -----
    Reads in pieces of 1 MiB, in at most 8 threads; thousands of small files in
    a process for each core, as far as those can be started.
    """

    def __init__(self, progress: Progress | None = None, *, seeks_keys: bool = True) -> None:
        self._progress = progress
        self._seeks_keys = seeks_keys
        self._done = self._total = 0  # bytes
        self._small = _Todo()
        self._large = _Todo()
        self._results: dict[str, Digest | LeftOut] = {}
        # Bytes that were done, or what ended a thread.
        self._events: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: list[HashProcess] = []

    def __enter__(self) -> Hashing:
        """Return it."""
        return self

    def __exit__(self, *error: object) -> None:
        """End what still runs, and wait for that."""
        self._stop.set()
        self._small.end()
        self._large.end()
        for process in self._processes:  # it may be busy with a slow disk
            process.kill()
        for thread in self._threads:
            thread.join()

    def add(self, files: Sequence[FoundFile]) -> None:
        """Have more files hashed, and do not wait for it."""
        self._total += sum(file.size for file in files)
        self._large.add([file for file in files if file.size >= _LARGE], together=1)
        self._small.add([file for file in files if file.size < _LARGE], together=_TOGETHER)
        self._have(at_once(self._large.count), self._hash_here, self._large)
        self._have(process_count(self._small.count), self._hash_beside, self._small)

    def outcomes(
        self, files: Iterable[FoundFile], noted: Mapping[str, Digest] | None = None
    ) -> Iterator[tuple[FoundFile, Digest | LeftOut]]:
        """Yield each file with its digest, or why it has none, as soon as that is known.

        Parameters
        ----------
        files : iterable of FoundFile
            All that were added, in any order, and others.  No more can be
            added from now on.
        noted : mapping, optional
            The digests of those others, by their keys.
        """
        self._small.end()
        self._large.end()
        self._have(min(self._small.count, 1), self._hash_here, self._small)
        self._results.update(noted or {})
        for file in files:
            while file.key not in self._results:
                self._follow()
            yield file, self._results[file.key]
        while self._done < self._total:
            self._follow()

    def _have(self, threads: int, life: Callable[[_Todo], None], todo: _Todo) -> None:
        """Have at least so many threads do what is to do."""
        while todo.threads < threads:
            todo.threads += 1
            thread = threading.Thread(
                target=self._live, args=(life, todo), name=f"staticstore-hash-{len(self._threads)}"
            )
            self._threads.append(thread)
            thread.start()

    def _live(self, life: Callable[[_Todo], None], todo: _Todo) -> None:
        try:
            life(todo)
        except BaseException as error:  # who waits for an outcome shall hear of it
            self._events.put(error)

    def _hash_here(self, todo: _Todo) -> None:
        """Hash until nothing is left."""
        told = _Told(self._events)
        for batch in todo:
            for file in batch:
                if self._stop.is_set():
                    return
                self._results[file.key] = self._hash(file, told)
            told.tell()

    def _hash_beside(self, todo: _Todo) -> None:
        """Have a process hash until nothing is left, and hash here what it has no digest of."""
        told = _Told(self._events)
        process = HashProcess()
        self._processes.append(process)
        if self._stop.is_set():  # and nobody looks for it there any more
            process.kill()
        with process:
            for batch in todo:
                digests = process.digests_of(batch)
                for file, digest in zip(batch, digests, strict=True):
                    if self._stop.is_set():
                        return
                    if digest is None:
                        self._results[file.key] = self._hash(file, told)
                    else:
                        self._results[file.key] = digest
                        told.add(file.size)
                told.tell()

    def _follow(self) -> None:
        """Wait for something to happen, and report it."""
        try:
            event = self._events.get(timeout=_PATIENCE)
        except queue.Empty:
            return
        if isinstance(event, BaseException):
            raise event
        self._done += event
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _hash(self, file: FoundFile, told: _Told) -> Digest | LeftOut:
        """Hash one file; whatever happens to it counts for its size in the progress, once."""
        told.begin(file.size)
        try:
            return self._hash_steady(file, told)
        except SecretFoundError:
            return LeftOut(path_text(file.key), "it holds a private key", "secret")
        except PointerFoundError as problem:
            return LeftOut(path_text(file.key), str(problem), "failed")
        except FileNotFoundError:
            return LeftOut(path_text(file.key), "it vanished before it was hashed", "failed")
        except OSError as error:
            reason = f"it cannot be read: {reason_of(error)}"
            return LeftOut(path_text(file.key), reason, "failed")
        finally:
            told.reach(file.size)

    def _hash_steady(self, file: FoundFile, told: _Told) -> Digest | LeftOut:
        def reached(position: int) -> bool:
            told.reach(position)
            return not self._stop.is_set()

        for _ in range(_TRIES):
            with contextlib.suppress(ReplacedError):
                digest = digest_of(
                    file.path, reached, is_wanted=file.is_same, seeks_keys=self._seeks_keys
                )
                if digest is not None:
                    return digest
            again = file.found_again()
            if again is not None:
                file = again
            elif not file.is_linked:
                reason = "a link has taken its place since it was found"
                return LeftOut(path_text(file.key), reason, "failed")
        reason = f"it changed while it was hashed, {_TRIES} times"
        return LeftOut(path_text(file.key), reason, "failed")


class _Todo:
    """Files to hash, some at a time, for several threads until it is ended."""

    def __init__(self) -> None:
        #: How many files were added, and how many threads take them.
        self.count = self.threads = 0
        self._waiting: list[FoundFile] = []
        # None is the end; who comes to it leaves it there for the others.
        self._batches: queue.SimpleQueue[list[FoundFile] | None] = queue.SimpleQueue()

    def add(self, files: Sequence[FoundFile], *, together: int) -> None:
        """Add files, to be taken so many at once."""
        self.count += len(files)
        self._waiting += files
        whole = len(self._waiting) - len(self._waiting) % together
        for start in range(0, whole, together):
            self._batches.put(self._waiting[start : start + together])
        del self._waiting[:whole]

    def end(self) -> None:
        """Let whoever takes come to an end behind the last file."""
        if self._waiting:
            self._batches.put(self._waiting)
            self._waiting = []
        self._batches.put(None)

    def __iter__(self) -> Iterator[list[FoundFile]]:
        """Yield what one thread is to do."""
        while (batch := self._batches.get()) is not None:
            yield batch
        self._batches.put(None)


class _Told:
    """How far one thread is, told to who waits for it: of small files, many together."""

    def __init__(self, events: queue.SimpleQueue[int | BaseException]) -> None:
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
            self.add(reached - self._reached)
            self._reached = reached
            if self._untold >= PIECE:
                self.tell()

    def add(self, size: int) -> None:
        """Be done with so many bytes more."""
        self._untold += size

    def tell(self) -> None:
        """Tell what is untold, so that whoever waits looks for outcomes, too."""
        self._events.put(self._untold)
        self._untold = 0
