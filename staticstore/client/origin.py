"""A site as one snapshot shows it, for who copies the whole of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import NotConnectedError, StoreError
from .documents import exactly, fetched

if TYPE_CHECKING:
    from ..index.head import Document, Head
    from ..index.snapshot import Index
    from ..transport.session import Session
    from .values import Values

__all__ = ["Origin"]


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

    @property
    def session(self) -> Session:
        """The way to the site."""
        return self.values.session

    def fetch(self, href: str, deadline: float, max_bytes: int) -> bytes | None:
        """Fetch a document as the host has it now; None if that cannot be had, for any reason."""
        try:
            found = fetched(self.session, href, deadline, max_bytes)
        except StoreError:
            return None
        return None if found is None else bytes(found.body)

    def fetch_named(self, document: Document, deadline: float) -> bytes | None:
        """Fetch a document that is the one that was named; None if that cannot be had.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        try:
            found = exactly(self.session, document, deadline)
        except NotConnectedError:
            raise
        except StoreError:
            return None
        return None if found is None else bytes(found.body)
