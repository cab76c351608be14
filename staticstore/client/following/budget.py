"""The bytes that all documents of a foreign index may have together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import IndexFormatError
from ...transport.http.wire import SizeLimit

if TYPE_CHECKING:
    from ...errors import StoreError

__all__ = ["Budget"]


class Budget:
    """The bytes of all documents, those that are being received included; thread-safe.

    Parameters
    ----------
    most_bytes : int
        The most that all may have together, decoded.
    sizes : mapping
        The bytes of those that are held, by URL.

    Attributes
    ----------
    error : StoreError or None
        Set once there are too many.
    """

    def __init__(self, most_bytes: int, sizes: Mapping[str, int]) -> None:
        self._most_bytes = most_bytes
        self._sizes = dict(sizes)
        self._total = sum(self._sizes.values())
        self._lock = threading.Lock()
        self.error: StoreError | None = None

    def limit(self, url: str) -> SizeLimit:
        """Return the limit of one document, which counts the bytes of the others, too."""
        limit = _SharedLimit(self._most_bytes, "the index", "max_index_bytes")
        limit.budget = self
        limit.document_url = url
        return limit

    def check(self, limit: SizeLimit, count: int, url: str) -> None:
        """Count the bytes of a document so far.

        Raises
        ------
        IndexFormatError
            All together have too many.
        """
        with self._lock:
            self._total += count - self._sizes.get(url, 0)
            self._sizes[url] = count
            total = self._total
        try:
            SizeLimit.check(limit, total, url)
        except IndexFormatError as error:
            self.error = error
            raise


class _SharedLimit(SizeLimit):
    # None in a copy with other bytes.
    budget: Budget | None = None
    document_url = ""

    def check(self, count: int, url: str) -> None:
        if self.budget is None:
            super().check(count, url)
        else:
            self.budget.check(self, count, self.document_url)
