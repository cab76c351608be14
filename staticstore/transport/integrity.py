"""Bytes held against what the index says of them, and the one door to disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import queue
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from ..errors import IntegrityError

__all__ = [
    "TEMPORARY_PATTERN",
    "Digest",
    "Verifier",
    "atomic_file",
    "atomic_link",
    "remove_leftovers",
]

#: What the temporary files of `atomic_file` are called, as a glob pattern.
TEMPORARY_PATTERN = ".staticstore-*.tmp"

_PIECES_AHEAD = 8


class Verifier:
    """Counts and hashes the bytes of one value as they come.

    It belongs to one reader and is not to be shared by threads.

    Parameters
    ----------
    size : int or None
        Bytes that the value must have; None if nobody said.
    sha256 : str or None
        Its digest, lowercase hex; None if nobody said.
    key, url : str, optional
        For the errors.
    """

    def __init__(
        self,
        size: int | None,
        sha256: str | None,
        *,
        key: str | None = None,
        url: str | None = None,
    ) -> None:
        self.size = size
        self.sha256 = sha256
        self.count = 0
        self._key = key
        self._url = url
        self._hash = None if sha256 is None else hashlib.sha256()

    def feed(self, piece: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises
        ------
        IntegrityError
            They are more than the value has.
        """
        self.count += len(piece)
        if self.size is not None and self.count > self.size:
            raise self.size_error(f"more than {self.size}")
        if self._hash is not None:
            self._hash.update(piece)

    def finish(self) -> None:
        """Check that the bytes were all, and the right ones.

        Raises
        ------
        IntegrityError
            The size or the digest is another than the index says.
        """
        if self.size is not None and self.count != self.size:
            raise self.size_error(self.count)
        if self._hash is not None and self._hash.hexdigest() != self.sha256:
            raise IntegrityError(
                "the value has another sha256 than the index says",
                expected=self.sha256,
                actual=self._hash.hexdigest(),
                key=self._key,
                url=self._url,
            )

    def size_error(self, actual: object) -> IntegrityError:
        """Return the error that says that the value has another size."""
        return IntegrityError(
            f"the value has {actual} bytes where the index says {self.size}",
            expected=self.size,
            actual=actual,
            key=self._key,
            url=self._url,
        )


class Digest:
    """The sha256 of bytes that come in pieces, computed while the next ones are received.

    A thread is started when there is more than one piece.  Use it in a
    ``with`` block, at whose end the thread ends, whatever happens.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._first: bytes | None = None
        # Few, so that no more of them are held than needs be.
        self._pieces: queue.Queue[bytes | None] = queue.Queue(_PIECES_AHEAD)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the thread."""
        if self._thread is not None:
            self._pieces.put(None)
            self._thread.join()
            self._thread = None

    def update(self, piece: bytes) -> None:
        """Take the next bytes, which nobody changes."""
        if self._first is None:
            self._first = piece
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="staticstore digest", daemon=True
            )
            self._thread.start()
            self._pieces.put(self._first)
        self._pieces.put(piece)

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._hash.update(piece)

    def hexdigest(self) -> str:
        """Return the digest of all bytes, lowercase hex; none may follow."""
        if self._thread is None and self._first is not None:
            self._hash.update(self._first)
        self.__exit__()
        return self._hash.hexdigest()


@contextlib.contextmanager
def atomic_file(
    path: Path, *, modified: float | None = None, synced: bool = True
) -> Iterator[BinaryIO]:
    """Write a file so that it stands under its name whole or not at all.

    The bytes go into a temporary file in the same folder; when the block ends
    without an error they are synced and the file takes its name, in place of
    whatever stood there (a symbolic link is replaced and not followed).  When
    it ends with an error nothing remains.

    Parameters
    ----------
    path : Path
        Where the file shall stand; the folder must be there.
    modified : float, optional
        Its modification time, in seconds since 1970; by default now.
    synced : bool, optional
        Whether to wait until it is on the disk.  What is verified whenever it is
        read can do without: a power cut then costs it, and nothing else.

    Yields
    ------
    BinaryIO
        To write to.

    Raises
    ------
    OSError
        The folder is not there, the disk is full, and so on.
    """
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    temporary = path.with_name(TEMPORARY_PATTERN.replace("*", secrets.token_hex(8)))
    # Not `tempfile`: its files can be read by nobody else, a web server for instance.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if modified is not None:
                os.utime(temporary, (modified, modified))
            if synced:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if synced:
        _sync_folder(path.parent)


def atomic_link(source: Path, path: Path, *, modified: float) -> None:
    """Let a file stand under another name as well, in place of whatever stood there.

    Parameters
    ----------
    source : Path
        The file.
    path : Path
        Its other name, on the same file system.
    modified : float
        Its new modification time, in seconds since 1970, under both names.

    Raises
    ------
    OSError
        The file system has no hard links, for instance; what stood there still does.
    """
    temporary = path.with_name(TEMPORARY_PATTERN.replace("*", secrets.token_hex(8)))
    os.link(source, temporary)
    try:
        os.utime(temporary, (modified, modified))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder."""
    for leftover in folder.glob(TEMPORARY_PATTERN):
        leftover.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name of a file survive a power cut, where the system can."""
    if os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
