"""A value becomes a file: taken up, also by another process, where it once broke off."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import IntegrityError, without_secrets
from .direct import DirectFile
from .integrity import Verifier, atomic_file, sync_folder
from .parts import Target, ask, first_right
from .stream import PIECE, Progress, ValueStream, copied, copy_whole

__all__ = ["download"]

# A smaller value is sooner fetched anew than taken up.
_WORTH_A_NOTE = 1 << 20  # bytes
# A smaller one is written down sooner together with others.
_WORTH_GOING_DIRECT = 1 << 24  # bytes


def download(
    target: Target,
    path: Path,
    progress: Progress | None = None,
    *,
    sync: bool = True,
    direct: bool = False,
) -> None:
    """Copy a value into a file, verified, whole or not at all.

    The bytes of a larger value go into ``<path>.part``, and what it is a part
    of into ``<path>.part.json``.  Both stay when the download breaks off,
    by ``kill -9`` too, and the next one goes on from there, if the digest of
    the index or a strong ETag binds what is there to the rest.  While another
    process writes that file, this one writes to one of its own.

    Parameters
    ----------
    target : Target
        The value.
    path : Path
        Where to; what stands there is replaced.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes; what was there counts as done.
    sync : bool, optional
        Whether the file shall be on the disk when this returns.
    direct : bool, optional
        Whether what is large shall be written past the page cache, where the
        system can: sooner on the disk, but no sooner read again than from there.

    Raises
    ------
    TransportError, IntegrityError
        The bytes could not be had, or are others than the index says.
    OSError
        The file cannot be written.
    """
    is_small = target.size is not None and target.size < _WORTH_A_NOTE
    with contextlib.nullcontext() if is_small else _claimed(path) as part:
        if part is None:
            with atomic_file(path, sync=sync) as file:
                copy_whole(target, file, progress)
        else:
            if direct and (target.size or 0) >= _WORTH_GOING_DIRECT:
                part.go_direct()
            part.fill(target, progress)
            part.become(path, sync=sync)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[_PartFile | None]:
    """Give the part file of a path to this process alone; None if that cannot be."""
    part = _PartFile.claim(path)
    try:
        yield part
    finally:
        if part is not None:
            part.close()


class _PartFile:
    """The beginning of a value in a file, and a note of which value that is.

    The note is written before any byte of the value, so that bytes without
    one are somebody else's file.
    """

    def __init__(self, file: DirectFile, path: Path, note: Path) -> None:
        self._file = file
        self._path = path
        self._note = note
        self._stays = False

    @classmethod
    def claim(cls, path: Path) -> _PartFile | None:
        """Lock the part file; None if it is another's, or cannot be had."""
        import filelock  # it takes as long as all the rest of staticstore

        try:
            part_path = path.with_name(path.name + ".part")
            note = path.with_name(path.name + ".part.json")
            with contextlib.suppress(FileNotFoundError):
                note.lstat()  # a name may be too long for it, but not for the file
            file = _opened(part_path)
        except (OSError, ValueError):
            return None
        try:
            is_locked = filelock.lock_descriptor(file.fileno(), blocking=False)
            there = os.fstat(file.fileno())
            # Whoever had it may have finished, and given it its name, meanwhile.
            is_the_same = os.path.samestat(there, part_path.lstat())
            if is_locked and is_the_same and (not there.st_size or note.is_file()):
                return cls(file, part_path, note)
        except OSError:  # it is gone, or the file system has no locks
            is_litter = not os.fstat(file.fileno()).st_size
            file.close()
            if is_litter:
                part_path.unlink(missing_ok=True)
        file.close()
        return None

    def go_direct(self) -> None:
        """Write past the page cache from now on."""
        self._file.go_direct()

    def fill(self, target: Target, progress: Progress | None) -> None:
        """Write what is missing; see `download`."""
        try:
            if not first_right(target, lambda one: self._taken_up(one, progress), whole=True):
                first_right(target, lambda one: self._anew(one, progress), whole=True)
        except IntegrityError:
            self._stays = False
            raise

    def _taken_up(self, target: Target, progress: Progress | None) -> bool:
        """Go on where the file ends; False if it belongs to another value, or proves wrong."""
        noted = self._noted()
        start = self._file.seek(0, os.SEEK_END)
        by_digest = target.sha256 is not None and noted.get("sha256") == target.sha256
        # Two values may have the same tag: hosts make it of size and time.
        is_the_same = target.sha256 is None and noted.get("url") == without_secrets(target.url)
        etag = noted.get("etag") if is_the_same else None
        if not start or not (by_digest or etag):
            return False
        self._stays = True
        with contextlib.closing(target.verifier()) as verifier, contextlib.suppress(IntegrityError):
            self._verify_what_is_there(verifier)
            if start == target.size:
                verifier.finish()
                return True
            part = ask(target, start, None, if_range=None if by_digest else etag)
            if not by_digest and part.response.strong_etag != etag:
                part.close()
                return False
            with ValueStream(target, part, start, None, verifier) as stream:
                for piece in stream.pieces(progress, start):
                    self._file.write(piece)
            return True
        return False

    def _verify_what_is_there(self, verifier: Verifier) -> None:
        self._file.seek(0)
        for buffer in verifier.buffers(PIECE):
            count = self._file.readinto(buffer)
            if not count:
                return
            verifier.feed(buffer[:count])

    def _anew(self, target: Target, progress: Progress | None) -> int:
        def note(stream: ValueStream) -> None:
            self._stays = stream.is_bound
            self._write_note(target, stream.etag)

        return copied(target, self._file, progress, note)

    def _noted(self) -> dict[str, Any]:
        try:
            noted = json.loads(self._note.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return noted if isinstance(noted, dict) else {}

    def _write_note(self, target: Target, etag: str | None) -> None:
        noted = {"url": without_secrets(target.url), "sha256": target.sha256, "etag": etag}
        with _opened(self._note) as file:  # half of it is none, and costs a download anew
            file.truncate()
            file.write(json.dumps(noted).encode() + b"\n")

    def become(self, path: Path, *, sync: bool) -> None:
        """Take the name of the whole file."""
        if sync:
            os.fsync(self._file.fileno())
        if os.name == "nt":  # there, what is open can have no other name
            self._file.close()
        os.replace(self._path, path)
        self._stays = True  # what has the name of the part from now on is another's
        self._note.unlink(missing_ok=True)
        if sync:
            sync_folder(path.parent)

    def close(self) -> None:
        """Let others have it; what nothing binds to the rest is removed."""
        if os.name == "nt":  # there, what is open cannot be removed
            self._file.close()
        if not self._stays:
            self._note.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        self._file.close()


def _opened(path: Path) -> DirectFile:
    """Open a regular file for reading and writing, made if it is not there; no link is followed."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
    # Without the second, a FIFO in its place would be waited for.
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return DirectFile(descriptor, "r+b")
