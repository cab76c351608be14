"""What has come of documents that broke off: resumed by the next attempt, or the next run.

A document is named by its digest, which binds all of its parts, whoever sends them.
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

__all__ = ["Beginning", "PartFolder"]

# A document that is here sooner is fetched anew sooner than it is written.
_SLOW_SECONDS = 0.5
_LEAST_BYTES = 1 << 15
# A host may name another document each time, and never give it whole.
_MOST_PARTS = 16
_PIECE = 1 << 20  # bytes


class PartFolder:
    """A folder for the beginnings of documents.

    Parameters
    ----------
    opened : callable
        Called with whether the folder is made; returns it, or raises OSError if it
        is not there or not the user's own.
    keeps : bool, optional
        Whether documents stay there when all of them has come, for a run that is cut
        short later on; whoever owns the folder removes them.
    """

    def __init__(self, opened: Callable[[bool], Path], *, keeps: bool = False) -> None:
        self._opened = opened
        self.keeps = keeps

    def claim(self, sha256: str, *, makes: bool) -> PartFile | None:
        """Open and lock the file for a document; None if that cannot be."""
        from .part_file import PartFile, document_part_path  # seldom needed

        try:
            folder = self._opened(makes)
            if makes:
                self.clear(spared=_MOST_PARTS - 1)
            return PartFile.claim(document_part_path(folder, sha256), makes=makes)
        except OSError:
            return None

    def clear(self, *, spared: int = 0) -> None:
        """Remove the beginnings that are there, but for some of the newest."""
        from .part_file import DOCUMENT_PATTERN

        with contextlib.suppress(OSError):
            found = sorted(
                (path.lstat().st_mtime, path) for path in self._opened(False).glob(DOCUMENT_PATTERN)
            )
            for _, path in found[: max(len(found) - spared, 0)]:
                path.unlink(missing_ok=True)


class Beginning:
    """The bytes of a document that have come so far, and their file once they come slowly.

    A context manager: a beginning whose block ends with an error stays, and is taken
    up by the next one for the same document.  For one thread.

    Parameters
    ----------
    sha256 : str
        The document's digest.
    most_bytes : int
        The most that it may have.
    folder : PartFolder or None
        Where it stays; None keeps it for further attempts in the same block alone.

    Attributes
    ----------
    body : bytearray
        The bytes, content codings undone.
    sha256 : str
        The digest that all of them have.
    """

    def __init__(self, sha256: str, most_bytes: int, folder: PartFolder | None) -> None:
        self.body = bytearray()
        self.sha256 = sha256
        self._most_bytes = most_bytes
        self._folder = folder
        self._keeps = folder is not None and folder.keeps
        self._part: PartFile | None = None
        self._is_slow_from = time.monotonic() + _SLOW_SECONDS

    def __enter__(self) -> Self:
        """Take up what an earlier run has left."""
        self._part = None if self._folder is None else self._folder.claim(self.sha256, makes=False)
        if self._part is not None:
            with contextlib.suppress(OSError):
                size = os.fstat(self._part.file.fileno()).st_size
                while len(self.body) < min(size, self._most_bytes):
                    if not (piece := self._part.file.read(_PIECE)):
                        break
                    self.body += piece
                # A range that begins behind the last byte is refused.
                del self.body[max(min(size, self._most_bytes) - 1, 0) :]
                self._cut()
        return self

    def __exit__(self, *error: object) -> None:
        """Keep what has come if the block ends with an error, else remove its file."""
        has_failed = error[0] is not None
        if has_failed and len(self.body) >= _LEAST_BYTES:
            self._write()
        stays = has_failed or self._keeps
        if self._part is not None and stays and len(self.body) >= _LEAST_BYTES:
            self._part.file.close()
        elif self._part is not None:
            with contextlib.suppress(OSError):
                self._part.remove()

    def grow(self, piece: memoryview | bytes) -> None:
        """Take the bytes that come next."""
        self.body += piece
        if self._part is not None:
            self._append(piece)
        elif time.monotonic() >= self._is_slow_from and len(self.body) >= _LEAST_BYTES:
            self._write()

    def clear(self) -> None:
        """Begin anew."""
        self.body.clear()
        self._cut()

    def _write(self) -> None:
        """Write all that is not written yet."""
        if self._part is None and self._folder is not None:
            self._part, self._folder = self._folder.claim(self.sha256, makes=True), None
            if self._part is not None:
                self._cut(0)
                self._append(self.body)

    def _append(self, piece: memoryview | bytes | bytearray) -> None:
        try:
            assert self._part is not None, "there is a file to write to"
            self._part.file.write(piece)
        except OSError:  # the disk is full: what comes can still be read
            self._drop()

    def _cut(self, size: int | None = None) -> None:
        """Let the file have what has come, or so many bytes of it, and no more."""
        if self._part is not None:
            try:
                self._part.file.truncate(len(self.body) if size is None else size)
                self._part.file.seek(0, 2)
            except OSError:
                self._drop()

    def _drop(self) -> None:
        part, self._part, self._folder = self._part, None, None
        if part is not None:
            with contextlib.suppress(OSError):
                part.remove()
