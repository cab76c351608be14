"""The first part of a document whose transfer broke, from which the next attempt resumes.

A document is identified by its digest, so parts from different hosts and runs fit together.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from .part_file import PartFile

__all__ = ["PartFolder", "PartialDocument"]

# Bytes are written to disk only if they take longer and are more than this: fetching them
# again is faster.
_SLOW_SECONDS = 0.5
_LEAST_BYTES = 1 << 15
# A host may name a new document each time, and never send one whole.
_MOST_PARTS = 16
_READ_BYTES = 1 << 20


class PartFolder:
    """A folder for partial documents.

    Parameters
    ----------
    opened : callable
        Called with whether to create the folder; returns it, or raises OSError if
        it does not exist or is not the user's own.
    keeps : bool, optional
        Whether complete documents stay there, too, for a run that is interrupted
        later; the owner of the folder removes them.
    """

    def __init__(self, opened: Callable[[bool], Path], *, keeps: bool = False) -> None:
        self._opened = opened
        self.keeps = keeps

    def claim(self, sha256: str, *, makes: bool) -> PartFile | None:
        """Open and lock the file of a document; None if that fails."""
        from .part_file import PartFile, document_part_path  # seldom needed

        try:
            folder = self._opened(makes)
            if makes:
                self.clear(spared=_MOST_PARTS - 1)
            return PartFile.claim(document_part_path(folder, sha256), makes=makes)
        except OSError:
            return None

    def clear(self, *, spared: int = 0) -> None:
        """Remove all partial documents but the newest `spared`."""
        from .part_file import DOCUMENT_PATTERN

        with contextlib.suppress(OSError):
            found = sorted(
                (path.lstat().st_mtime, path) for path in self._opened(False).glob(DOCUMENT_PATTERN)
            )
            for _, path in found[: max(len(found) - spared, 0)]:
                path.unlink(missing_ok=True)


class PartialDocument:
    """The bytes of a document that were received so far, in memory and, if slow, in a file.

    A context manager: if the block ends with an error the file stays, and the next
    object for the same document resumes from it.  For one thread.

    Parameters
    ----------
    sha256 : str
        Digest of the whole document.
    most_bytes : int
        Most bytes that it may have.
    folder : PartFolder or None
        Where its file is; None to resume within the same block only.

    Attributes
    ----------
    body : bytearray
        The bytes, content codings undone.
    sha256 : str
        Digest of the whole document.
    """

    def __init__(self, sha256: str, most_bytes: int, folder: PartFolder | None) -> None:
        self.body = bytearray()
        self.sha256 = sha256
        self._most_bytes = most_bytes
        self._folder = folder
        self._keeps = folder is not None and folder.keeps
        self._part: PartFile | None = None
        self._slow_from = time.monotonic() + _SLOW_SECONDS

    def __enter__(self) -> Self:
        """Read what an earlier run has left."""
        self._part = None if self._folder is None else self._folder.claim(self.sha256, makes=False)
        if self._part is not None:
            with contextlib.suppress(OSError):
                size = min(os.fstat(self._part.file.fileno()).st_size, self._most_bytes)
                while len(self.body) < size:
                    if not (piece := self._part.file.read(_READ_BYTES)):
                        break
                    self.body += piece
                # A range that begins behind the last byte is refused: ask for one byte at least.
                del self.body[max(size - 1, 0) :]
                self._truncate(len(self.body))
        return self

    def __exit__(self, *error: object) -> None:
        """Keep the file if the block ends with an error, else remove it."""
        has_failed = error[0] is not None
        is_worth_keeping = len(self.body) >= _LEAST_BYTES
        if has_failed and is_worth_keeping:
            self._write()
        if self._part is None:
            return
        if is_worth_keeping and (has_failed or self._keeps):
            self._part.file.close()
        else:
            with contextlib.suppress(OSError):
                self._part.remove()

    def grow(self, piece: memoryview | bytes) -> None:
        """Add the next bytes."""
        self.body += piece
        if self._part is not None:
            self._append(piece)
        elif time.monotonic() >= self._slow_from and len(self.body) >= _LEAST_BYTES:
            self._write()

    def clear(self) -> None:
        """Discard all bytes, because they were wrong."""
        self.body.clear()
        self._truncate(0)

    def _write(self) -> None:
        if self._part is None and self._folder is not None:
            self._part, self._folder = self._folder.claim(self.sha256, makes=True), None
            self._truncate(0)
            self._append(self.body)

    def _append(self, piece: memoryview | bytes | bytearray) -> None:
        if self._part is not None:
            try:
                self._part.file.write(piece)
            except OSError:  # the disk is full: go on in memory
                self._drop_file()

    def _truncate(self, size: int) -> None:
        if self._part is not None:
            try:
                self._part.file.truncate(size)
                self._part.file.seek(0, os.SEEK_END)
            except OSError:
                self._drop_file()

    def _drop_file(self) -> None:
        part, self._part, self._folder = self._part, None, None
        if part is not None:
            with contextlib.suppress(OSError):
                part.remove()
