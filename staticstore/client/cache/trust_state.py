"""What a store has verified of a signed site, in memory and in its cache.

The file is ``indexes/<digest of the site and of its pinned root>/trust.json``.  It is only
as good as the folder: who may write it can roll the site back, but not forge it, since
all that stands in it is verified when it is used.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...disk.atomic import atomic_file
from ...disk.file_system import read_own, remove_foreign
from ...errors import StoreError, TrustError, reason_of
from ...index import codec
from ...processes import PerProcess
from ...trust.documents import TrustState, VerifiedHead, ending_warnings, is_document
from ...trust.layout import MOST_DOCUMENT_BYTES, ROOT, TIMESTAMP_NAME, document_name
from ...trust.workflow import ReadDocument, verified_head

if TYPE_CHECKING:
    from ...transport.http.root import Root
    from .folder import CacheFolder

__all__ = ["StateFile", "TrustedSite"]

_FORMAT = "staticstore-trust/1"
_NAME, _LOCK = "trust.json", "trust.lock"
_MOST_BYTES = 1024 * MOST_DOCUMENT_BYTES
_IN_MEMORY = (
    "what was seen of the signed site is kept in memory only, so that a host can show an "
    "older state of it, not yet expired, when this process has ended: use a cache (cache=True, "
    "--cache user)"
)


class StateFile:
    """The state of a signed site in a cache, shared with other processes.

    Parameters
    ----------
    folder : CacheFolder
        The cache.
    place : Path
        The folder of the site in it.
    """

    def __init__(self, folder: CacheFolder, place: Path) -> None:
        self._folder = folder
        self._place = place
        #: Why the state cannot be read or written; None if it can.
        self.problem: str | None = None
        # The bytes that were read or written last, and what they say.
        self._last: tuple[bytes, TrustState] = b"", TrustState()

    def read(self) -> TrustState:
        """Return the state; an empty one if there is none that can be read."""
        try:
            self._folder.check(self._place)
            text = read_own(self._place / _NAME, _MOST_BYTES)
        except FileNotFoundError:
            return TrustState()
        except OSError as error:
            self.problem = f"cannot be read: {reason_of(error)}"
            return TrustState()
        if text != self._last[0]:
            self._last = text, _parsed(text)
        return self._last[1]

    def write(self, known: TrustState, new: TrustState) -> None:
        """Write a state, unless another process has written a newer one.

        Parameters
        ----------
        known : TrustState
            The one that `read` gave before `new` was verified.
        new : TrustState
            The one to write.
        """
        import filelock  # seldom needed, and slow to import

        if new == self._last[1]:
            return
        try:
            self._folder.make(self._place)
            remove_foreign(self._place / _LOCK)  # locking empties the file
            lock = filelock.FileLock(self._place / _LOCK, mode=0o600)
            with lock.acquire(timeout=tuning.TRUST_LOCK_SECONDS):
                there = self.read()
                # What others have written meanwhile was verified by them.
                if there != known and there.rank > new.rank:
                    return
                text = _encoded(new)
                with atomic_file(self._place / _NAME, mode=0o600) as file:
                    file.write(text)
                self._last = text, new
        except filelock.Timeout:
            self.problem = "is locked by another process"
        except NotImplementedError:
            self.problem = "is on a disk without locks"
        except OSError as error:
            self.problem = f"cannot be written: {reason_of(error)}"
        else:
            self.problem = None


class TrustedSite:
    """A signed site as last verified; thread-safe, shared by all connections.

    Parameters
    ----------
    pinned : bytes
        The root document that is trusted.
    file : StateFile or None
        Where the state is kept; without it only in memory.
    """

    def __init__(self, pinned: bytes, file: StateFile | None) -> None:
        self._pinned = pinned
        self._file = file
        self._locks = PerProcess(threading.Lock)
        self._state = TrustState()
        # The root documents that were verified in this process.
        self._verified: tuple[bytes, ...] = ()
        # The head that was verified last, and what was verified with it.
        self._newest: tuple[VerifiedHead, TrustState] | None = None

    @classmethod
    def of(cls, folder: CacheFolder | None, root: Root, options: Mapping[str, Any]) -> TrustedSite:
        """Return a site by the options of its store; a cache keeps its state."""
        pinned: bytes = options["trust"]
        if folder is None:
            return cls(pinned, None)
        return cls(pinned, StateFile(folder, folder.place_of_site(root, options)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the state, and which documents expire soon, for people."""
        newest, file = self._newest, self._file
        near = [] if newest is None else ending_warnings(newest[0].lifetimes, time.time())
        if file is None:
            return (*near, _IN_MEMORY)
        if file.problem is not None:
            return (*near, f"the state of the signed site {file.problem}; {_IN_MEMORY}")
        return tuple(near)

    def verify(self, read: ReadDocument) -> VerifiedHead:
        """Ask for the signed head by the workflow of TUF, and note what was verified.

        Any number of threads may do so at once.

        Raises
        ------
        TrustError
            The signatures are not right.
        StoreError
            A document could not be read.
        """
        lock = self._locks.get()
        known = TrustState() if self._file is None else self._file.read()
        with lock:
            before, roots, newest = self._state, self._verified, self._newest
        state = max(before, known, key=lambda one: one.rank)
        if newest is not None and state == newest[1]:
            same = self._confirmed(*newest, read := _Memo(read))
            if same is not None:
                return same
        verified = len(roots) if state.roots[: len(roots)] == roots else 0
        found, new = verified_head(self._pinned, state, read, verified=verified)
        if new.rank < before.rank:  # the file was newer, but nothing in it was signed
            new = before
            if isinstance(found, VerifiedHead):
                found = TrustError("the site is older than it was seen before", reason="rollback")
        with lock:
            if new.rank >= self._state.rank:
                self._state, self._verified = new, new.roots
                if isinstance(found, VerifiedHead):
                    self._newest = found, new
        if self._file is not None:
            self._file.write(known, new)
        if isinstance(found, StoreError):
            raise found
        return found

    def _confirmed(
        self, head: VerifiedHead, state: TrustState, read: ReadDocument
    ) -> VerifiedHead | None:
        # The same documents would be verified with the same result, but for the time: that
        # takes 6 ms of the processor, and this 1 ms.
        root = read(document_name(ROOT, head.root_version + 1), MOST_DOCUMENT_BYTES)
        if root is not None and is_document(root):
            return None
        is_same = read(TIMESTAMP_NAME, MOST_DOCUMENT_BYTES) == state.timestamp
        return head if is_same and time.time() < head.expires else None


class _Memo:
    """Reads each document once, so that asking twice costs no second request."""

    def __init__(self, read: ReadDocument) -> None:
        self._read = read
        self._known: dict[str, bytes | None] = {}

    def __call__(self, name: str, most_bytes: int) -> bytes | None:
        """Return a document, or None."""
        if name not in self._known:
            self._known[name] = self._read(name, most_bytes)
        return self._known[name]


def _encoded(state: TrustState) -> bytes:
    return codec.encode({"format": _FORMAT, **state.encode()}) + b"\n"


def _parsed(text: bytes) -> TrustState:
    with contextlib.suppress(Exception):
        said = codec.decode(text)
        if said["format"] == _FORMAT:
            return TrustState.parse(said)
    return TrustState()
