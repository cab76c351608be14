"""Whole values read from copies of a site, verified, to serve parts of them."""

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
    from .wire import Wire

__all__ = ["WholeValues"]

# Of all values together; a larger value is not read whole to serve a part.
_MOST_BYTES = 64 << 20


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
        return target._replace(session=session, url_path=target.sha256, fields=())

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
