"""The digest of one file, and never of a file in motion."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import NamedTuple

from ..transport.regular import open_descriptor
from .stand_ins import pointer_problem
from .withheld import FIRST_BYTES, holds_private_key

__all__ = [
    "PIECE",
    "Digest",
    "PointerFoundError",
    "ReplacedError",
    "SecretFoundError",
    "digest_of",
]

#: How much is read at once, in bytes.
PIECE = 1 << 20


class Digest(NamedTuple):
    """A file's digest, and what the file was when it was taken."""

    #: 64 lowercase hex digits.
    sha256: str
    #: Bytes.
    size: int
    #: Modification time, nanoseconds since 1970.
    mtime_ns: int
    inode: int


class SecretFoundError(Exception):
    """The file holds a private key."""


class PointerFoundError(Exception):
    """The file stands for another one, which is elsewhere; the text says for which."""


class ReplacedError(Exception):
    """What has the file's name now is another one, or a link to another one."""


def digest_of(
    path: str,
    reached: Callable[[int], bool] | None = None,
    *,
    is_wanted: Callable[[os.stat_result], bool] | None = None,
    seeks_keys: bool = True,
) -> Digest | None:
    """Hash a file once, and tell whether it stood still meanwhile.

    Parameters
    ----------
    path : str
        The file.
    reached : callable, optional
        Called with the bytes read so far, after each `PIECE`; False ends it.
    is_wanted : callable, optional
        Called with the status of the opened file; False refuses it.
    seeks_keys : bool, optional
        Whether a private key is refused, and a pointer of Git LFS.

    Returns
    -------
    Digest or None
        None if the file changed, was replaced or was not read to its end.

    Raises
    ------
    SecretFoundError
        It holds a private key.
    PointerFoundError
        It is a pointer.
    ReplacedError
        It is not the one that is wanted.
    OSError
        It cannot be read, or is no file.
    """
    hasher = hashlib.sha256()
    position = 0
    descriptor, before = open_descriptor(path)
    try:
        if is_wanted is not None and not is_wanted(before):
            raise ReplacedError
        # No further than its size: a file may grow faster than it can be read.
        while position < before.st_size:
            piece = os.read(descriptor, min(PIECE, before.st_size - position))
            if not piece:
                break
            if seeks_keys and not position:
                _check_beginning(piece[:FIRST_BYTES], before.st_size)
            hasher.update(piece)
            position += len(piece)
            if reached is not None and not reached(position):
                return None
    finally:
        os.close(descriptor)
    # What the name leads to now is the file that was read, and as it was before.
    if position != before.st_size or _state(before) != _state(os.stat(path)):
        return None
    return Digest(hasher.hexdigest(), before.st_size, before.st_mtime_ns, before.st_ino)


def _check_beginning(first_bytes: bytes, size: int) -> None:
    if holds_private_key(first_bytes):
        raise SecretFoundError
    if problem := pointer_problem(first_bytes, size):
        raise PointerFoundError(problem)


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
