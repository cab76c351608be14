"""Changes that one snapshot has laid over the entries that it shares with others."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import codec
from .field_groups import FieldGroups

if TYPE_CHECKING:
    import msgspec

__all__ = ["Overlay"]


class Overlay:
    """Raw entries that replace others, None for those that are gone; never changed.

    Parameters
    ----------
    changes : mapping
        The raw entries by key.
    surplus : int
        How many more entries there are with the changes than without.
    """

    def __init__(self, changes: Mapping[str, msgspec.Raw | bytes | None], surplus: int) -> None:
        self.changes = changes
        self.surplus = surplus
        # Not `functools.cached_property`, which has a lock up to Python 3.11: a forked child
        # would find it held.
        self._in_order: list[str] | None = None
        self._keys: frozenset[str] | None = None
        self._groups = FieldGroups(lambda field: ((k, one.get(field)) for k, one in self.items()))

    @property
    def in_order(self) -> list[str]:
        """The keys that changed, in order."""
        if self._in_order is None:
            self._in_order = sorted(self.changes)
        return self._in_order

    @property
    def keys(self) -> frozenset[str]:
        """The keys that changed."""
        if self._keys is None:
            self._keys = frozenset(self.changes)
        return self._keys

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys that have an entry, in order."""
        return (key for key in self.in_order if self.changes[key] is not None)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over keys and decoded entries, in key order."""
        return ((key, codec.decode(self.changes[key] or b"{}")) for key in self)

    def keys_with(self, field: str, value: Hashable) -> Sequence[str]:
        """Return the changed keys whose field has a value, in order."""
        return self._groups.keys(field, value) if self.changes else ()
