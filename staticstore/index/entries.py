"""Raw entries that many snapshots share, and what has been found out about them."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

from cachetools import LRUCache

from .groups import Groups

if TYPE_CHECKING:
    import msgspec

__all__ = ["Entries"]

_MOST_MEMORY = 512 << 20  # bytes, for the groups of all fields that were asked for


class Entries(dict[str, "msgspec.Raw | bytes"]):
    """Raw entries in key order, never changed once made; with the groups of queried fields.

    The groups are built at the first query of a field, and the least recently
    asked for are dropped when all of them take more than half a gibibyte.
    """

    __slots__ = ("_groups", "_lock")

    def __init__(self, entries: Mapping[str, msgspec.Raw | bytes]) -> None:
        in_order = sorted(entries)
        if in_order == list(entries):
            super().__init__(entries)
        else:
            super().__init__((key, entries[key]) for key in in_order)
        self._lock = threading.Lock()
        # One that is larger than the bound alone is kept all the same.
        self._groups: LRUCache[str, Groups] = LRUCache(
            _MOST_MEMORY, getsizeof=lambda groups: min(groups.size, _MOST_MEMORY)
        )

    def keys_with(self, field: str, value: Hashable) -> list[str]:
        """Return the keys of the entries whose field has a value, in key order; not to be changed.

        The first call for a field takes a pass over all entries; others cost a look-up.
        """
        with self._lock:
            groups = self._groups.get(field)
        if groups is None:
            groups = Groups(self, field)
            with self._lock:
                self._groups[field] = groups
        return groups.keys(value)
