"""Files of fixed names beside a site, replaced only where this package wrote them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..errors import IndexFormatError
from ..index import codec
from ..index.about import MOST_FILE_BYTES
from ..transport.atomic import atomic_file
from ..transport.regular import open_regular, read_regular
from .folder import SiteFolder
from .history import later_than

__all__ = ["OwnFiles", "read_at_most"]

_FORMAT = "staticstore-written/1"
_ALIEN = "alien"  # stands for the digest of what is no file, or too large for one of ours


class OwnFiles:
    """Writes files into a site's folder, but never over one that somebody else wrote.

    What was written is noted in ``.staticstore/written.json`` by name and digest, before
    it is written: nothing that a host says of a file makes it ours.

    Parameters
    ----------
    folder : SiteFolder
        The site, locked by whoever writes.
    """

    def __init__(self, folder: SiteFolder) -> None:
        self._root = folder.root
        self._note = folder.private / "written.json"
        self._written = _read_note(self._note)

    def may_write(self, name: str, sha256: str, known: Collection[str] = ()) -> bool:
        """Return whether a file may be given these bytes: it has them, is ours, or is not there.

        Parameters
        ----------
        name : str
            Where it stands below the root, from a list of fixed names.
        sha256 : str
            The digest of the bytes.
        known : collection of str, optional
            More digests of files that are ours, whatever the note says.
        """
        standing = self.sha256_of(name)
        return standing in (None, sha256) or self._is_ours(name, standing, known)

    def write(self, name: str, body: bytes, known: Collection[str] = ()) -> bool:
        """Write a file unless it has these bytes; return whether it was allowed, see `may_write`.

        Raises
        ------
        OSError
            It cannot be written.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        if not self.may_write(name, sha256, known):
            return False
        standing = self.sha256_of(name)
        if standing != sha256:
            # Both, for a kill may leave either.
            self._write_note({**self._written, name: [*filter(None, [standing]), sha256]})
            path = self._root / name
            with atomic_file(path, modified=later_than(path)) as file:
                file.write(body)
        return True

    def remove(self, name: str, known: Collection[str] = ()) -> bool:
        """Remove a file if it is ours; return whether it was.

        Raises
        ------
        OSError
            It cannot be removed.
        """
        standing = self.sha256_of(name)
        if standing is None or not self._is_ours(name, standing, known):
            return False
        (self._root / name).unlink(missing_ok=True)
        self._write_note({key: self._written[key] for key in self._written if key != name})
        return True

    def has_other(self, name: str) -> bool:
        """Return whether what stands there was not written by this package."""
        standing = self.sha256_of(name)
        return standing is not None and not self._is_ours(name, standing, ())

    def sha256_of(self, name: str) -> str | None:
        """Return the digest of what stands there; None if nothing does."""
        path = self._root / name
        try:
            body = read_at_most(path, MOST_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError:
            return _ALIEN
        return _ALIEN if body is None else hashlib.sha256(body).hexdigest()

    def _is_ours(self, name: str, standing: str | None, known: Collection[str]) -> bool:
        return standing in known or standing in self._written.get(name, ())

    def _write_note(self, written: dict[str, list[str]]) -> None:
        if written != self._written:
            with atomic_file(self._note) as file:
                file.write(codec.encode({"format": _FORMAT, "files": written}) + b"\n")
            self._written = written


def read_at_most(path: Path, most_bytes: int) -> bytes | None:
    """Read a file that is no link; None if it is one, is no file, or has more bytes.

    Raises
    ------
    OSError
        It is not there, or cannot be read.
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        return None
    with io.BufferedReader(open_regular(path)) as file:
        if not os.path.samestat(status, os.fstat(file.fileno())):
            return None  # a link was put in its place meanwhile
        body = file.read(most_bytes + 1)
    return body if len(body) <= most_bytes else None


def _read_note(path: Path) -> dict[str, list[str]]:
    said: Any = None
    with contextlib.suppress(OSError, IndexFormatError):
        said = codec.decode(read_regular(path))
    is_note = isinstance(said, dict) and said.get("format") == _FORMAT
    files = said.get("files") if is_note else None
    if not isinstance(files, dict):
        return {}
    return {name: digests for name, digests in files.items() if isinstance(digests, list)}
