"""Whole values from copies of a site, so that parts can be cut out of them."""

from __future__ import annotations

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cachetools import LRUCache

from .integrity import atomic_file
from .root import Root
from .session import Session
from .stream import copy_whole

if TYPE_CHECKING:
    from .parts import Target
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
    wire : Wire
        That of the sessions of all roots, so that reading ends with them.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._session: Session | None = None
        self._paths: LRUCache[str, Path] = _Files(_MOST_BYTES, getsizeof=_size)

    def has(self, target: Target) -> bool:
        """Return whether a value is here."""
        with self._lock:
            return target.sha256 in self._paths

    def target_of(self, target: Target) -> Target | None:
        """Return the value as it stands here, read now if need be; None if it is too large.

        Raises
        ------
        TransportError, IntegrityError
            No root gives it.
        """
        if target.sha256 is None or target.size is None or target.size > _MOST_BYTES:
            return None
        session = self._opened()
        path = Path(str(session.root.folder), target.sha256)
        with self._lock:
            is_here = self._paths.get(target.sha256) is not None
        if not is_here:
            with atomic_file(path, sync=False) as file:
                copy_whole(target, file)
            with self._lock:
                self._paths[target.sha256] = path
        return target._replace(session=session, url_path=target.sha256, fields=())

    def _opened(self) -> Session:
        with self._lock:
            if self._session is None:
                self._folder = tempfile.TemporaryDirectory(prefix="staticstore-")
                self._session = Session(Root(self._folder.name), wire=self._wire)
            return self._session

    def close(self) -> None:
        """Remove all of them; who reads one goes on."""
        with self._lock:
            folder, self._folder, self._session = self._folder, None, None
            self._paths.clear()
        if folder is not None:
            folder.cleanup()


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
