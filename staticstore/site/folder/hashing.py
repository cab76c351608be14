"""Hash many files in the background, while the caller still scans for more.

Threads hash large files, and release the interpreter meanwhile.  Small files take
more time in the interpreter than on the disk or in the digest, so one thread hashes
them, or several processes if there are thousands.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from ... import tuning
from ...errors import path_text, reason_of
from .data_file import (
    FileDigest,
    FoundFile,
    PointerFoundError,
    ReplacedError,
    SecretFoundError,
    digest_of,
)
from .hash_process import HashProcess, process_count, worker_count
from .scan import LeftOut

__all__ = ["Hashing", "TotalProgress", "hash_files"]

#: Progress of all files of an operation, called as ``progress(done, total)`` in bytes.
TotalProgress = Callable[[int, int], object]

_TRIES = 3


def hash_files(
    files: Sequence[FoundFile], *, progress: TotalProgress | None = None, seeks_keys: bool = True
) -> dict[str, FileDigest | LeftOut]:
    """Hash files, and wait for all of them; see `Hashing`.

    Returns
    -------
    dict
        By key: the digest of each file, or why it has none.
    """
    with Hashing(progress, seeks_keys=seeks_keys) as hashing:
        hashing.add(files)
        return {file.key: outcome for file, outcome in hashing.outcomes(files)}


class Hashing:
    """Hashes files in the background; a context manager that ends the work.

    A file that changes, is replaced or vanishes meanwhile is read again, three times
    in all, and then left out; so is a private key.  The outcome does not depend on
    the order in which threads finish.

    Parameters
    ----------
    progress : callable, optional
        Called in the thread that waits for outcomes.  The first number never
        decreases, and equals the second at the end.  An exception that it raises
        ends the hashing.
    seeks_keys : bool, optional
        Whether to leave out private keys and pointers of Git LFS, as a publish does.

    Notes
    -----
    Reads in pieces of 1 MiB, in at most 8 threads; thousands of small files in a
    process for each core, if those can be started.
    """

    def __init__(self, progress: TotalProgress | None = None, *, seeks_keys: bool = True) -> None:
        self._progress = progress
        self._seeks_keys = seeks_keys
        self._done = self._total = 0  # bytes
        self._small = _FileQueue()
        self._large = _FileQueue()
        self._results: dict[str, FileDigest | LeftOut] = {}
        # Bytes done, or the exception that ended a thread.
        self._events: queue.SimpleQueue[int | BaseException] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._processes: list[HashProcess] = []

    def __enter__(self) -> Hashing:
        """Return itself; threads start with the first files."""
        return self

    def __exit__(self, *error: object) -> None:
        """End all threads and processes, and wait for them."""
        self._stop.set()
        self._small.end()
        self._large.end()
        for process in self._processes:  # it may be waiting for a slow disk
            process.kill()
        for thread in self._threads:
            thread.join()

    def add(self, files: Sequence[FoundFile]) -> None:
        """Hash more files in the background."""
        self._total += sum(file.size for file in files)
        least, together = tuning.HASHED_SINGLY_BYTES, tuning.HASHED_BATCH_FILES
        self._large.add([file for file in files if file.size >= least], together=1)
        self._small.add([file for file in files if file.size < least], together=together)
        self._start(worker_count(self._large.count), self._hash_here, self._large)
        self._start(process_count(self._small.count), self._hash_in_process, self._small)

    def outcomes(
        self, files: Iterable[FoundFile]
    ) -> Iterator[tuple[FoundFile, FileDigest | LeftOut]]:
        """Yield each file with its digest, or why it has none, as soon as it is known.

        Parameters
        ----------
        files : iterable of FoundFile
            All files that were added, in any order.  No more can be added from now on.
        """
        self._small.end()
        self._large.end()
        self._start(min(self._small.count, 1), self._hash_here, self._small)
        for file in files:
            while file.key not in self._results:
                self._wait()
            yield file, self._results[file.key]
        while self._done < self._total:
            self._wait()

    def _start(self, threads: int, work: Callable[[_FileQueue], None], files: _FileQueue) -> None:
        while files.threads < threads:
            files.threads += 1
            thread = threading.Thread(
                target=self._run, args=(work, files), name=f"staticstore-hash-{len(self._threads)}"
            )
            self._threads.append(thread)
            thread.start()

    def _run(self, work: Callable[[_FileQueue], None], files: _FileQueue) -> None:
        try:
            work(files)
        except BaseException as error:  # raised again in the thread that waits for outcomes
            self._events.put(error)

    def _hash_here(self, files: _FileQueue) -> None:
        progress = _ThreadProgress(self._events)
        for batch in files:
            for file in batch:
                if self._stop.is_set():
                    return
                self._results[file.key] = self._hash(file, progress)
            progress.report()

    def _hash_in_process(self, files: _FileQueue) -> None:
        progress = _ThreadProgress(self._events)
        process = HashProcess()
        self._processes.append(process)
        if self._stop.is_set():  # `__exit__` may have looked before it was there
            process.kill()
        with process:
            for batch in files:
                outcomes = list(zip(batch, process.digests_of(batch), strict=True))
                # Without a call for each file.  benchmark: publish-small
                self._results.update(
                    {file.key: digest for file, digest in outcomes if digest is not None}
                )
                progress.add(sum(file.size for file, digest in outcomes if digest is not None))
                for file in [file for file, digest in outcomes if digest is None]:
                    if self._stop.is_set():
                        return
                    self._results[file.key] = self._hash(file, progress)
                progress.report()

    def _wait(self) -> None:
        try:
            event = self._events.get(timeout=tuning.WAIT_SECONDS)
        except queue.Empty:
            return
        if isinstance(event, BaseException):
            raise event
        self._done += event
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _hash(self, file: FoundFile, progress: _ThreadProgress) -> FileDigest | LeftOut:
        progress.begin(file.size)
        try:
            return self._hash_unchanged(file, progress)
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
            progress.reach(file.size)  # whatever the outcome, so that the sum comes out

    def _hash_unchanged(self, file: FoundFile, progress: _ThreadProgress) -> FileDigest | LeftOut:
        def reached(position: int) -> bool:
            progress.reach(position)
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


class _FileQueue:
    """Files to hash, taken in batches by several threads."""

    def __init__(self) -> None:
        #: How many files were added, and how many threads take them.
        self.count = self.threads = 0
        self._waiting: list[FoundFile] = []
        # None is the end; each thread that takes it puts it back for the others.
        self._batches: queue.SimpleQueue[list[FoundFile] | None] = queue.SimpleQueue()

    def add(self, files: Sequence[FoundFile], *, together: int) -> None:
        """Add files, to be taken in batches of this size."""
        self.count += len(files)
        self._waiting += files
        whole = len(self._waiting) - len(self._waiting) % together
        for start in range(0, whole, together):
            self._batches.put(self._waiting[start : start + together])
        del self._waiting[:whole]

    def end(self) -> None:
        """Add no more files, so that the threads end after the last one."""
        if self._waiting:
            self._batches.put(self._waiting)
            self._waiting = []
        self._batches.put(None)

    def __iter__(self) -> Iterator[list[FoundFile]]:
        """Yield batches until the end."""
        while (batch := self._batches.get()) is not None:
            yield batch
        self._batches.put(None)


class _ThreadProgress:
    """Batches the progress of one thread for the waiting thread."""

    def __init__(self, events: queue.SimpleQueue[int | BaseException]) -> None:
        self._events = events
        self._size = 0
        self._reached = 0
        self._unreported = 0  # bytes

    def begin(self, size: int) -> None:
        self._size, self._reached = size, 0

    def reach(self, position: int) -> None:
        # A file that is read again does not count twice.
        reached = min(position, self._size)
        if reached > self._reached:
            self.add(reached - self._reached)
            self._reached = reached
            if self._unreported >= tuning.HASHED_PIECE_BYTES:
                self.report()

    def add(self, size: int) -> None:
        self._unreported += size

    def report(self) -> None:
        """Wake the waiting thread, even if no byte is new: it looks for outcomes, too."""
        self._events.put(self._unreported)
        self._unreported = 0
