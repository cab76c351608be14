"""A value becomes a file: taken up, also by another process, where it once broke off."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from ..errors import IntegrityError, without_secrets
from ..index.fields import SHA256
from .conditions import parse_strong_etag
from .destination import destination, is_replaced
from .file_system import set_mode, sync_descriptor
from .integrity import (
    Verifier,
    new_file_mode,
    sync_folder,
    temporary_in,
)
from .part_file import OWN_MODE, PartFile, part_path
from .parts import Target, ask, first_right
from .regular import read_own
from .stream import PIECE, Progress, ValueStream, copied, copy_whole

__all__ = ["download", "part_of"]

# A smaller value is sooner fetched anew than taken up.
_WORTH_A_NOTE = 1 << 20  # bytes
# A smaller one is written down sooner together with others.
_WORTH_GOING_DIRECT = 1 << 24  # bytes
_MOST_NOTE_BYTES = 1 << 13


def download(
    target: Target,
    path: Path,
    progress: Progress | None = None,
    *,
    sync: bool = True,
    direct: bool = False,
) -> None:
    """Copy a value into a file, verified, whole or not at all.

    The bytes of a larger value go into a part file in the same folder, and what
    it is a part of into a note beside that; both names are made of the file's.
    Both stay when the download breaks off, by ``kill -9`` too, and the next one
    resumes there, if the digest of the index or a strong ETag binds what is there
    to the rest.  A part file or a note that others made, may write, or have
    linked is left alone, as is one that another process is writing: then this
    download writes to a file of its own and does not resume.

    Parameters
    ----------
    target : Target
        The value.
    path : Path
        Where to: a file is replaced, a device or a FIFO written into, as
        `destination` does.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes; what was there counts as done.
    sync : bool, optional
        Whether a file is on the disk when this returns.
    direct : bool, optional
        Whether a large value is written past the page cache, where the system
        can: sooner on the disk, but no sooner read again than from there.

    Raises
    ------
    TransportError, IntegrityError
        The bytes could not be had, or are others than the index says.
    OSError
        The file cannot be written.
    """
    is_small = target.size is not None and target.size < _WORTH_A_NOTE
    is_whole = is_small or not is_replaced(path)
    with contextlib.nullcontext() if is_whole else _claimed(path) as part:
        if part is None:
            with destination(path, sync=sync) as file:
                copy_whole(target, file, progress)
        else:
            if direct and (target.size or 0) >= _WORTH_GOING_DIRECT:
                part.go_direct()
            part.fill(target, progress)
            part.become(path, sync=sync)


@contextlib.contextmanager
def _claimed(path: Path) -> Iterator[_Part | None]:
    """Give the part file of a path to this process alone; None if that cannot be."""
    claimed = PartFile.claim(part_of(path))
    part = None if claimed is None else _Part(claimed)
    try:
        yield part
    finally:
        if part is not None:
            part.close()


def part_of(path: Path) -> Path:
    """Return where the beginning of the value stands that is downloaded to a path."""
    # A hash is short enough where the name itself is the longest that a disk has.
    return part_path(path.parent, hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32])


class _PartNote(NamedTuple):
    """What a part file is a part of."""

    #: The URL of the value, without secrets.
    url: str
    sha256: str | None
    #: A strong one.
    etag: str | None

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a note; None if there is none, or it is not ours, or not as we write it."""
        try:
            said = json.loads(read_own(path, _MOST_NOTE_BYTES))
            url, sha256, etag = (said[name] for name in cls._fields)
        except (OSError, ValueError, RecursionError, LookupError, TypeError):
            return None
        is_note = (
            isinstance(url, str)
            and (sha256 is None or (isinstance(sha256, str) and re.match(SHA256, sha256)))
            and (etag is None or (isinstance(etag, str) and parse_strong_etag(etag) == etag))
        )
        return cls(url, sha256, etag) if is_note else None

    def write(self, path: Path) -> bool:
        """Write the note; False if somebody else has its name, for instance.

        Half of it is none, and costs a download anew.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, flags, OWN_MODE), "wb") as file:
                file.write(json.dumps(self._asdict()).encode() + b"\n")
        except OSError:
            return False
        return True


class _Part:
    """The beginning of a value in a file, and a note of which value that is."""

    def __init__(self, part: PartFile) -> None:
        self._part = part
        self._file = part.file
        self._note = part.path.with_name(f"{part.path.name}.json")
        self._stays = False

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
        noted = _PartNote.read(self._note)
        start = self._file.seek(0, os.SEEK_END)
        if not start or noted is None:
            return False
        by_digest = target.sha256 is not None and noted.sha256 == target.sha256
        # Two values may have the same tag: hosts make it of size and time.
        is_the_same = target.sha256 is None and noted.url == without_secrets(target.url)
        etag = noted.etag if is_the_same else None
        if not (by_digest or etag):
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
            noted = _PartNote(without_secrets(target.url), target.sha256, stream.etag)
            self._stays = noted.write(self._note) and stream.is_bound

        return copied(target, self._file, progress, note)

    def become(self, path: Path, *, sync: bool) -> None:
        """Take the name of the whole file, and the permissions of a new one."""
        probe = self._part.path.with_name(f"{self._part.path.name}.new")  # what a killed run leaves
        try:
            mode = new_file_mode(probe)
        except OSError:  # another user has that name, in a folder of all
            mode = new_file_mode(temporary_in(path.parent))
        set_mode(self._file.fileno(), mode, path)
        if sync:
            sync_descriptor(self._file.fileno(), path)
        if os.name == "nt":  # there, what is open can have no other name
            self._file.close()
        os.replace(self._part.path, path)
        self._stays = True  # what has the name of the part from now on is another's
        self._forget()
        if sync:
            sync_folder(path.parent)

    def close(self) -> None:
        """Let others have it; what nothing binds to the rest is removed."""
        if self._stays:
            self._file.close()
        else:
            self._forget()
            self._part.remove()

    def _forget(self) -> None:
        with contextlib.suppress(OSError):  # another user's, in a folder of all
            self._note.unlink(missing_ok=True)
