"""Match few changes with the conditions of many subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..query.comparison import field_value
from .forms.field_indexes import FieldIndexes
from .forms.search import search

if TYPE_CHECKING:
    from ..query.conditions import Conditions
    from .changes import Change

__all__ = ["ChangedFields"]


class ChangedFields:
    """The fields of changed entries, before and after, each decoded once.

    Conditions are answered as in a query, by indexes of the fields of the changes.

    Parameters
    ----------
    changes : sequence of Change
        So few that their entries fit into memory.

    Examples
    --------
    >>> from staticstore.index.changes import Change
    >>> from staticstore.query import ge
    >>> from staticstore.query.conditions import Conditions
    >>> changes = [Change("a", None, b'{"size":5}'), Change("b", b'{"size":50}', b'{"size":1}')]
    >>> ChangedFields(changes).matching(Conditions({"size": ge(10)}, {}))
    ([1], True)
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self._count = len(changes)
        self._keys: list[str] = []
        self._entries: list[dict[str, Any]] = []
        self._numbers: list[int] = []  # of the change that an entry belongs to
        for number, change in enumerate(changes):
            for entry in (change.metadata, change.previous):
                if entry is not None:
                    self._keys.append(change.key)
                    self._entries.append(entry)
                    self._numbers.append(number)
        kind = ChangedFields
        self._indexes = FieldIndexes(self, kind._values_of, kind._all_keys)

    def matching(self, conditions: Conditions) -> tuple[Sequence[int], bool]:
        """Return the numbers of the changes that may match, and whether these all do.

        A change matches if its entry before or after it does.
        """
        matches = search(self._indexes, conditions, None)
        ((_, found, _),) = matches.layers
        if found is None:
            return range(self._count), not matches.left
        numbers = dict.fromkeys(map(self._numbers.__getitem__, found.positions()))
        return list(numbers), not matches.left

    def _values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        pairs = zip(self._keys, self._entries, strict=True)
        return ((key, field_value(entry, field)) for key, entry in pairs)

    def _all_keys(self) -> Iterator[str]:
        return iter(self._keys)
