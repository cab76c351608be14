"""A site as one snapshot shows it, for who copies the whole of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..errors import NotConnectedError, StoreError
from ..index.about import NamedFile
from ..index.head import HEAD_PATH, MOST_HEAD_BYTES
from ..transport.response import SizeLimit

if TYPE_CHECKING:
    from datetime import datetime

    from ..index.head import Document, Head
    from ..index.snapshot import Index
    from ..transport.part_file import PartFolder
    from ..transport.session import Session
    from .connection import Follower
    from .documents import Documents
    from .held import Held
    from .values import Values

__all__ = ["Origin"]

T = TypeVar("T")


class Origin(NamedTuple):
    """A snapshot, whole, and what its host said along with it."""

    #: The way to each value of the snapshot.
    values: Values
    held: Held
    follower: Follower
    #: Where plain clients look for the index; relative to the root, not quoted.
    index_path: str
    #: When a host without a head says that the index was changed.
    modified: datetime | None = None
    #: Whether the store took an older index, since the host insisted on it.
    was_believed: bool = False

    @property
    def snapshot(self) -> Index:
        """The snapshot itself."""
        return self.held.index

    @property
    def sha256(self) -> str:
        """Of the bytes in which the index came, lowercase hex."""
        return self.held.sha256

    @property
    def head(self) -> Head | None:
        """The head that named the index; None where the site has none."""
        return self.held.head

    @property
    def session(self) -> Session:
        """The way to the site."""
        return self.values.session

    def read(self, document: Document, parts: PartFolder | None = None) -> bytes | None:
        """Fetch a document that is the one that was named; None if that cannot be had.

        Parameters
        ----------
        document : Document
            Which one.
        parts : PartFolder, optional
            Where its beginning stays if it breaks off.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        return _available(lambda: self._documents.read(document, parts))

    def read_index(self, parts: PartFolder | None = None) -> bytes | None:
        """Fetch the index in the bytes in which it came; None if they cannot be had.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        if self.head is not None and (body := self.read(self.head.index, parts)) is not None:
            return body
        limit = SizeLimit(self.follower.max_bytes, "the index", "max_index_bytes")
        body = self._read_current(self.index_path, limit)
        is_right = body is not None and hashlib.sha256(body).hexdigest() == self.sha256
        return body if is_right else None

    def read_head(self) -> bytes | None:
        """Fetch the head as the host has it now; None if that cannot be had.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        return self._read_current(HEAD_PATH, SizeLimit(MOST_HEAD_BYTES, "the head"))

    def read_file(self, path: str, file: NamedFile) -> bytes | None:
        """Fetch a file that stands beside the data; None if it is not there as described.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        body = self._read_current(path, SizeLimit(file.size, path))
        return body if body is not None and NamedFile.of(body) == file else None

    def _read_current(self, path: str, limit: SizeLimit) -> bytes | None:
        found = _available(lambda: self._documents.read_current(path, limit))
        return None if found is None else bytes(found.body)

    @property
    def _documents(self) -> Documents:
        return self.follower.documents(self.held)


def _available(read: Callable[[], T | None]) -> T | None:
    """Return what is read, or None if it cannot be had; a disconnect is raised."""
    try:
        return read()
    except NotConnectedError:
        raise
    except StoreError:
        return None
