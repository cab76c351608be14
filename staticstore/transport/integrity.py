"""Bytes held against what the index says of them, and the one door to disk."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import IntegrityError
from .digest import Digest
from .file_system import set_time, sync_descriptor, sync_folder

__all__ = [
    "TEMPORARY_PATTERN",
    "OrderedVerifier",
    "Verifier",
    "atomic_file",
    "new_file_mode",
    "prepared_file",
    "prepared_link",
    "remove_leftovers",
    "sync_folder",
    "temporary_in",
    "write_unsynced",
]

#: What the temporary files of `atomic_file` are called, as a glob pattern.
TEMPORARY_PATTERN = ".staticstore-*.tmp"


class Verifier:
    """Counts and hashes the bytes of one value as they come.

    The hashing goes on beside whatever the reader does, in a thread, as soon as
    there is much of it.  It belongs to one reader; close it.

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
        self._digest = None if sha256 is None else Digest()

    def feed(self, piece: bytes | memoryview) -> None:
        """Take the next bytes, which may change as soon as this returns.

        Raises
        ------
        IntegrityError
            They are more than the value has.
        """
        self.count += len(piece)
        if self.size is not None and self.count > self.size:
            raise self.size_error(f"more than {self.size}")
        if self._digest is not None:
            self._digest.update(piece)

    def finish(self) -> None:
        """Check that the bytes were all, and the right ones.

        Raises
        ------
        IntegrityError
            The size or the digest is another than the index says.
        """
        if self.size is not None and self.count != self.size:
            raise self.size_error(self.count)
        if self._digest is not None and (actual := self._digest.hexdigest()) != self.sha256:
            raise IntegrityError(
                "the value has another sha256 than the index says",
                expected=self.sha256,
                actual=actual,
                key=self._key,
                url=self._url,
            )

    def buffers(self, size: int) -> Iterator[memoryview]:
        """Yield buffers to fill in turn, so that none needs a copy; see `Digest.buffers`."""
        if self._digest is None:
            return itertools.repeat(memoryview(bytearray(size)))
        return self._digest.buffers(size)

    def close(self) -> None:
        """End what goes on beside; idempotent."""
        if self._digest is not None:
            self._digest.close()

    def size_error(self, actual: object) -> IntegrityError:
        """Return the error that says that the value has another size."""
        return IntegrityError(
            f"the value has {actual} bytes where the index says {self.size}",
            expected=self.size,
            actual=actual,
            key=self._key,
            url=self._url,
        )


class OrderedVerifier:
    """Verifies bytes that are read at any place, as far as they come in order.

    Parameters
    ----------
    verifier : Verifier
        What they are held against, if it has a digest.

    Attributes
    ----------
    position : int
        The bytes before it have been hashed.
    """

    def __init__(self, verifier: Verifier) -> None:
        self.position = 0
        self._verifier = None if verifier.sha256 is None else verifier

    def take(self, start: int, data: bytes | memoryview) -> bool:
        """Hash what there is from `position` on, and move it; return whether there was any."""
        if self._verifier is None or not start <= self.position < start + len(data):
            return False
        self._verifier.feed(memoryview(data)[self.position - start :])
        self.position = start + len(data)
        return True

    def finish(self) -> None:
        """Check the digest; see `Verifier.finish`."""
        if self._verifier is not None:
            self._verifier.finish()

    def close(self) -> None:
        """End what goes on beside; idempotent."""
        if self._verifier is not None:
            self._verifier.close()


@contextlib.contextmanager
def atomic_file(
    path: Path,
    *,
    modified: float | None = None,
    sync: bool = True,
    temporary: Path | None = None,
    mode: int = 0o666,
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
    sync : bool, optional
        Whether the bytes shall be on the disk when this returns.  Otherwise a
        power cut may leave an empty file under the name.
    temporary : Path, optional
        The temporary file, which must not be there yet; by default one in the
        same folder.
    mode : int, optional
        Its permissions, less the umask.

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
    if temporary is None:
        temporary = temporary_in(path.parent)
    descriptor = _created(temporary, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if modified is not None:
                set_time(temporary, modified, descriptor=file.fileno())
            if sync:
                sync_descriptor(file.fileno(), temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def write_unsynced(path: str, data: bytes, *, modified: float, temporary: str) -> None:
    """Write a small file as `atomic_file` does without `sync`, in as few system calls as can be.

    Where there are ten thousand files, what Python does for each counts.

    Raises
    ------
    OSError
        As of `atomic_file`; nothing remains.
    """
    descriptor = _created(temporary)
    try:
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            set_time(temporary, modified, descriptor=descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def temporary_in(folder: Path) -> Path:
    """Return a name in a folder that nobody can have taken: see `remove_leftovers`."""
    return folder / TEMPORARY_PATTERN.replace("*", secrets.token_hex(8))


def _created(temporary: str | Path, mode: int = 0o666) -> int:
    """Open a new file."""
    # Not `tempfile`: its files can be read by nobody else, a web server for instance.
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    return os.open(temporary, flags, mode)


def new_file_mode(probe: Path) -> int:
    """Return the permissions that a new file gets in a folder, by making one for a moment.

    The process's umask can be asked only by changing it, for all threads.

    Parameters
    ----------
    probe : Path
        A name for that file; what has it is removed.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    probe.unlink(missing_ok=True)
    descriptor = _created(probe)
    try:
        return os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


@contextlib.contextmanager
def prepared_file(path: Path, data: bytes, *, modified: float) -> Iterator[None]:
    """Have a file on the disk, which takes its name when the block ends without an error.

    What is done in the block and what the file says of it so come to stand
    there at nearly the same time.  That the name survives a power cut is told by
    `sync_folder`.

    Parameters
    ----------
    path : Path
        Its name.
    data : bytes
        What is in it.
    modified : float
        Its modification time, in seconds since 1970.

    Raises
    ------
    OSError
        As of `atomic_file`; what stood there still does.
    """
    with atomic_file(path, modified=modified, sync=False) as file:
        file.write(data)
        file.flush()
        sync_descriptor(file.fileno(), path)
        yield


@contextlib.contextmanager
def prepared_link(source: Path, path: Path, *, modified: float) -> Iterator[None]:
    """Give a file another name as well when the block ends without an error; see `prepared_file`.

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
    temporary = temporary_in(path.parent)
    os.link(source, temporary)
    try:
        set_time(temporary, modified)
        yield
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that a killed process left in a folder."""
    for leftover in folder.glob(TEMPORARY_PATTERN):
        leftover.unlink(missing_ok=True)
