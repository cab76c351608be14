"""Download a value into a file; if that breaks off, a later download resumes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from cachetools import LRUCache

from ... import tuning
from ...disk.atomic import atomic_file, destination, is_replaced, new_file_mode, temporary_in
from ...disk.file_system import read_own, set_mode, sync_descriptor, sync_folder
from ...disk.part_file import NEW_FILE_FLAGS, OWN_MODE, PartFile, part_path
from ...errors import IntegrityError, without_secrets
from ...index.codec import SHA256
from ...processes import PerProcess
from ..http.conditions import parse_strong_etag
from ..http.root import Root
from ..http.session import Session
from .answers import ask
from .remote_value import RemoteValue, first_right
from .stream import ReadProgress, ValueStream, copy_from, copy_whole

if TYPE_CHECKING:
    from ..http.wire import Wire
    from .remote_value import RemoteValue
    from .verifier import Verifier


__all__ = ["WholeValues", "download", "part_of"]

_MOST_NOTE_BYTES = 1 << 13
# Of all values together; a larger value is not read whole to serve a part.
_MOST_BYTES = 64 << 20


def download(
    value: RemoteValue,
    path: Path,
    progress: ReadProgress | None = None,
    *,
    sync: bool = True,
    direct: bool = False,
) -> None:
    """Copy a value into a file, verified, whole or not at all.

    The bytes of a larger value go into a part file in the same folder, beside a
    note that says what they are part of; both names derive from the file's.  If
    the download breaks, by ``kill -9`` too, both stay, and the next one resumes,
    if the digest of the index or a strong ETag binds the two parts.  A part file
    or note that another user made, may write, or has linked is left alone, as is
    one that another process is writing: then the bytes go into a temporary file,
    and the download does not resume.

    Parameters
    ----------
    value : RemoteValue
        The value.
    path : Path
        Where to: a file is replaced, a device or a FIFO is written into, as by
        `destination`.
    progress : callable, optional
        Called as ``progress(done, total)``, in bytes; a resumed part counts as done.
    sync : bool, optional
        Whether to wait until a file is on the disk.
    direct : bool, optional
        Whether to write a large value past the page cache, if the system can: it
        reaches the disk earlier, but must be read from there.

    Raises
    ------
    TransportError, IntegrityError
        The bytes cannot be read, or differ from the index.
    OSError
        The file cannot be written.
    """
    is_small = value.size is not None and value.size < tuning.RESUMABLE_BYTES
    part = None if is_small or not is_replaced(path) else PartFile.claim(part_of(path))
    if part is None:
        with destination(path, sync=sync) as file:
            copy_whole(value, file, progress)
        return
    with contextlib.closing(_ResumableFile(part)) as resumable:
        if direct and (value.size or 0) >= tuning.DIRECT_BYTES:
            part.file.go_direct()
        resumable.fill(value, progress)
        resumable.rename(path, sync=sync)


def part_of(path: Path) -> Path:
    """Return the path of the part file of a file."""
    # By a hash: the name itself may be as long as the disk allows.
    return part_path(path.parent, hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32])


class _PartNote(NamedTuple):
    """Which value a part file is a part of."""

    #: The URL of the value, without secrets.
    url: str
    sha256: str | None
    #: A strong one.
    etag: str | None

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read a note; None if it does not exist, is not the user's own, or is damaged."""
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
        """Write the note; False if that fails, for instance because the name is taken."""
        # Not atomic: a note that is cut short is not read, and the download begins again.
        try:
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, NEW_FILE_FLAGS, OWN_MODE), "wb") as file:
                file.write(json.dumps(self._asdict()).encode() + b"\n")
        except OSError:
            return False
        return True


class _ResumableFile:
    """A part file, and the note that says which value it is a part of."""

    def __init__(self, part: PartFile) -> None:
        self._part = part
        self._file = part.file
        self._note = part.path.with_name(f"{part.path.name}.json")
        self._stays = self._is_renamed = False

    def fill(self, value: RemoteValue, progress: ReadProgress | None) -> None:
        """Write what is missing; see `download`."""
        try:
            if not first_right(value, lambda value: self._resume(value, progress), whole=True):
                first_right(value, lambda value: self._begin(value, progress), whole=True)
        except IntegrityError:
            self._stays = False
            raise

    def _resume(self, value: RemoteValue, progress: ReadProgress | None) -> bool:
        """Append the rest; False if the file is not a part of this value, or is wrong."""
        noted = _PartNote.read(self._note)
        start = self._file.seek(0, os.SEEK_END)
        if not start or noted is None:
            return False
        by_digest = value.sha256 is not None and noted.sha256 == value.sha256
        # Only with the URL: a host makes a tag of size and time, so two values may share it.
        is_same = value.sha256 is None and noted.url == without_secrets(value.url)
        etag = noted.etag if is_same else None
        if not (by_digest or etag):
            return False
        self._stays = True
        with contextlib.closing(value.verifier()) as verifier, contextlib.suppress(IntegrityError):
            self._verify_part(verifier)
            if start == value.size:
                verifier.finish()
                return True
            answer = ask(value, start, None, if_range=None if by_digest else etag)
            if not by_digest and answer.response.strong_etag != etag:
                answer.close()
                return False
            with ValueStream(value, answer, start, None, verifier) as stream:
                for piece in stream.pieces(progress, start):
                    self._file.write(piece)
            return True
        return False

    def _verify_part(self, verifier: Verifier) -> None:
        self._file.seek(0)
        for buffer in verifier.buffers(tuning.VALUE_PIECE_BYTES):
            count = self._file.readinto(buffer)
            if not count:
                return
            verifier.feed(buffer[:count])

    def _begin(self, value: RemoteValue, progress: ReadProgress | None) -> int:
        def note(stream: ValueStream) -> None:
            noted = _PartNote(without_secrets(value.url), value.sha256, stream.etag)
            self._stays = noted.write(self._note) and stream.is_bound

        return copy_from(value, self._file, progress, note)

    def rename(self, path: Path, *, sync: bool) -> None:
        """Rename the complete file, with the permissions of a new one."""
        probe = self._part.path.with_name(f"{self._part.path.name}.new")  # fixed: a kill leaves one
        try:
            mode = new_file_mode(probe)
        except OSError:  # in a shared folder, another user may have that name
            mode = new_file_mode(temporary_in(path.parent))
        set_mode(self._file.fileno(), mode, path)
        if sync:
            sync_descriptor(self._file.fileno(), path)
        if os.name == "nt":  # where an open file cannot be renamed
            self._file.close()
        os.replace(self._part.path, path)
        self._is_renamed = True  # what has the name of the part from now on is another's
        self._remove_note()
        if sync:
            sync_folder(path.parent)

    def close(self) -> None:
        """Release the file; remove it if it is empty, or nothing binds it to the rest."""
        is_empty = not self._file.closed and not os.fstat(self._file.fileno()).st_size
        if self._is_renamed or (self._stays and not is_empty):
            self._file.close()
        else:
            self._remove_note()
            self._part.remove()

    def _remove_note(self) -> None:
        with contextlib.suppress(OSError):  # in a shared folder, it may be another user's
            self._note.unlink(missing_ok=True)


class WholeValues:
    """Values read whole, and verified, from roots whose parts cannot be verified.

    They are files in a folder of this process until `close`.  Beyond 64 MiB the least
    recently used are removed.  Any thread may use it.

    Parameters
    ----------
    wires : PerProcess of Wire
        Those of the sessions of all roots, so that reading ends with them.
    """

    def __init__(self, wires: PerProcess[Wire]) -> None:
        self._wires = wires
        # A forked child has its own: the parent may remove its folder at any time.
        self._folders = PerProcess(_Folder)

    def has(self, sha256: str | None) -> bool:
        """Return whether the value with that digest is here."""
        folder = self._folders.get()
        with folder.lock:
            return sha256 in folder.paths

    def target_of(self, target: RemoteValue) -> RemoteValue | None:
        """Return the value's copy as a target; None if it is too large.

        The value is read now, unless it is here already.

        Raises
        ------
        TransportError, IntegrityError
            No root gives it.
        """
        if target.sha256 is None or target.size is None or target.size > _MOST_BYTES:
            return None
        folder = self._folders.get()
        session = folder.session(self._wires)
        path = Path(str(session.root.folder), target.sha256)
        with folder.lock:
            is_here = folder.paths.get(target.sha256) is not None
        if not is_here:
            with atomic_file(path, sync=False) as file:
                copy_whole(target, file)
            with folder.lock:
                folder.paths[target.sha256] = path
        here = target.plain
        return here._replace(session=session, url_path=target.sha256, copy_path=None, fields=())

    def close(self) -> None:
        """Remove all values; streams that are open stay readable."""
        self._folders.get().close()


class _Folder:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.paths: LRUCache[str, Path] = _Files(_MOST_BYTES, getsizeof=_size)
        self._session: Session | None = None
        self._remove: weakref.finalize[..., object] | None = None

    def session(self, wires: PerProcess[Wire]) -> Session:
        with self.lock:
            if self._session is None:
                # Not `TemporaryDirectory`: a forked child would remove it at its end.
                folder = tempfile.mkdtemp(prefix="staticstore-")
                self._remove = weakref.finalize(self, _remove_own, folder, os.getpid())
                self._session = Session(Root(folder), wires=wires)
            return self._session

    def close(self) -> None:
        # The next use makes another folder.
        with self.lock:
            remove, self._remove, self._session = self._remove, None, None
            self.paths.clear()
        if remove is not None:
            remove()


def _remove_own(folder: str, pid: int) -> None:
    if pid == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


class _Files(LRUCache[str, Path]):
    def popitem(self) -> tuple[str, Path]:
        name, path = super().popitem()
        with contextlib.suppress(OSError):
            path.unlink()
        return name, path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # removed by a cleanup of temporary files
        return 0
