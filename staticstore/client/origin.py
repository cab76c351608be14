"""A site as one snapshot shows it, for who copies the whole of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ..errors import NotConnectedError, StoreError
from ..index.head import HEAD_PATH, MOST_HEAD_BYTES
from ..transport.fetched import SizeLimit
from .documents import exactly, fetched

if TYPE_CHECKING:
    from ..index.head import Document, Head
    from ..index.snapshot import Index
    from ..transport.fetched import Fetched
    from ..transport.session import Session
    from .values import Values

__all__ = ["Origin"]

_SECONDS = 300.0  # that one document may take


class Origin(NamedTuple):
    """A snapshot, whole, and what its host said along with it."""

    snapshot: Index
    #: The same, with the way to each value.
    values: Values
    #: Of the bytes in which the index came, lowercase hex.
    sha256: str
    #: None where the site has none.
    head: Head | None
    #: Where plain clients look for the index; relative to the root, not quoted.
    index_path: str
    #: The most that an index may have.
    max_bytes: int

    @property
    def session(self) -> Session:
        """The way to the site."""
        return self.values.session

    def read(self, document: Document) -> bytes | None:
        """Fetch a document that is the one that was named; None if that cannot be had.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        return self._read(
            lambda deadline: exactly(self.session, document, deadline, self.max_bytes)
        )

    def read_index(self) -> bytes | None:
        """Fetch the index in the bytes in which it came; None if they cannot be had.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        if self.head is not None and (body := self.read(self.head.index)) is not None:
            return body
        path = self.index_path if self.head is None else "index.json"
        limit = SizeLimit(self.max_bytes, "the index", "max_index_bytes")
        body = self._read(lambda deadline: fetched(self.session, path, deadline, limit))
        return (
            body if body is not None and hashlib.sha256(body).hexdigest() == self.sha256 else None
        )

    def read_head(self) -> bytes | None:
        """Fetch the head as the host has it now; None if that cannot be had.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        limit = SizeLimit(MOST_HEAD_BYTES, "the head")
        return self._read(lambda deadline: fetched(self.session, HEAD_PATH, deadline, limit))

    def _read(self, fetch: Callable[[float], Fetched | None]) -> bytes | None:
        try:
            found = fetch(time.monotonic() + _SECONDS)
        except NotConnectedError:
            raise
        except StoreError:
            return None
        return None if found is None else bytes(found.body)
