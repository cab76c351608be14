"""Whole values from copies of a site, so that parts can be cut out of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from cachetools import LRUCache

from ..processes import PerProcess
from .atomic import atomic_file
from .root import Root
from .session import Session
from .stream import copy_whole

if TYPE_CHECKING:
    from .remote_value import RemoteValue
    from .sockets import Wire

__all__ = ["WholeValues"]

# A larger value is not read whole for the sake of a part; all of them take no more of the disk.
_MOST_BYTES = 64 << 20


class WholeValues:
    """Values that were read whole, and verified, from roots whose parts nothing vouches for.

    They stand in a folder of this process until `close`; beyond 64 MiB those that were not
    used for longest are removed.  Any thread may use it.

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
        """Return whether a value of that digest is here."""
        folder = self._folders.get()
        with folder.lock:
            return sha256 in folder.paths

    def target_of(self, target: RemoteValue) -> RemoteValue | None:
        """Return the value as it stands here, read now if need be; None if it is too large.

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
        return target._replace(session=session, url_path=target.sha256, fields=())

    def close(self) -> None:
        """Remove all of them; who reads one goes on."""
        self._folders.get().close()


class _Folder:
    """The folder of one process, made when it is first needed."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.paths: LRUCache[str, Path] = _Files(_MOST_BYTES, getsizeof=_size)
        self._session: Session | None = None
        self._remove: weakref.finalize[..., object] | None = None

    def session(self, wires: PerProcess[Wire]) -> Session:
        """Return what reads from the folder."""
        with self.lock:
            if self._session is None:
                # Not `TemporaryDirectory`, which a forked child would remove at its end.
                folder = tempfile.mkdtemp(prefix="staticstore-")
                self._remove = weakref.finalize(self, _remove_own, folder, os.getpid())
                self._session = Session(Root(folder), wires=wires)
            return self._session

    def close(self) -> None:
        """Remove the folder; the next use makes another."""
        with self.lock:
            remove, self._remove, self._session = self._remove, None, None
            self.paths.clear()
        if remove is not None:
            remove()


def _remove_own(folder: str, pid: int) -> None:
    if pid == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)


class _Files(LRUCache[str, Path]):
    """Files, each removed when it is dropped."""

    def popitem(self) -> tuple[str, Path]:
        name, path = super().popitem()
        with contextlib.suppress(OSError):
            path.unlink()
        return name, path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # somebody clears the folder of temporary files
        return 0
