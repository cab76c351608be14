"""Which kinds of JSON values a field has, and the Arrow type of its column."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

__all__ = ["FieldKinds", "MixedKinds", "add_fields"]

_INTEGERS = range(-(1 << 63), 1 << 63)
# An object with more different members is a mapping, and makes no columns.
_MOST_MEMBERS = 1_000
# Arrow reads no Parquet file whose columns have more than 100 levels, two for a list.
_MOST_LEVELS = 32
_NAMES = {bool: "true or false", str: "a text", list: "a list", dict: "an object"}


class MixedKinds(Exception):
    """The values of a field have no Arrow type in common; the message says why."""


class FieldKinds:
    """The kinds of JSON values that were seen in one place.

    The order in which values are added does not matter.

    Examples
    --------
    >>> kinds = FieldKinds()
    >>> kinds.add([1, None, 2.5])
    >>> kinds.arrow_type("size")
    DataType(double)
    >>> kinds.add(["large"])
    >>> kinds.arrow_type("size")
    Traceback (most recent call last):
    staticstore.index.tables.kinds.MixedKinds: size is a number and a text
    """

    __slots__ = ("_has_large", "_has_largest", "_items", "_members", "_types", "has_texts")

    def __init__(self) -> None:
        self._types: set[type] = set()
        self._has_large = False  # an integer that needs more than 64 bits
        self._has_largest = False  # one beyond all floats
        self._items: FieldKinds | None = None
        self._members: dict[str, FieldKinds] = {}
        #: Whether a text was seen.
        self.has_texts = False

    def add(self, values: Iterable[Any]) -> None:
        """Note the kinds of some values, decoded JSON; None says nothing."""
        found = [value for value in values if value is not None]
        types = set(map(type, found))
        self._types |= types
        self.has_texts |= str in types
        if int in types and not self._has_largest:
            integers = [value for value in found if type(value) is int]
            ends = min(integers), max(integers)
            self._has_large |= any(end not in _INTEGERS for end in ends)
            self._has_largest = any(abs(end) > sys.float_info.max for end in ends)
        if list in types:
            if self._items is None:
                self._items = FieldKinds()
            self._items.add(chain.from_iterable(one for one in found if type(one) is list))
        if dict in types and len(self._members) <= _MOST_MEMBERS:
            add_fields(self._members, [one for one in found if type(one) is dict])

    def arrow_type(self, name: str, levels: int = 0) -> Any:
        """Return the Arrow type that holds all values.

        Parameters
        ----------
        name : str
            What to call the place in an error.
        levels : int, optional
            How many lists and objects are around it.

        Raises
        ------
        MixedKinds
            There is none.
        """
        import pyarrow as pa

        names = {_NAMES.get(kind, "a number") for kind in self._types}
        if len(names) > 1:
            raise MixedKinds(f"{name} is {' and '.join(sorted(names))}")
        if not names:
            # pyarrow reads lists of nulls alone into an invalid array.
            return pa.string() if levels else pa.null()
        if levels > _MOST_LEVELS:
            raise MixedKinds(f"it is nested more than {_MOST_LEVELS} levels deep")
        if self._items is not None:
            return pa.list_(self._items.arrow_type(f"an item of {name}", levels + 1))
        if dict in self._types:
            return self._struct(name, levels + 1)
        if self._has_largest:
            raise MixedKinds(f"{name} has integers too large for a float")
        if float in self._types:
            return pa.float64()
        if self._has_large:
            raise MixedKinds(f"{name} has integers of more than 64 bits")
        if int in self._types:
            return pa.int64()
        return pa.bool_() if bool in self._types else pa.string()

    def _struct(self, name: str, levels: int) -> Any:
        import pyarrow as pa

        if not self._members:
            raise MixedKinds(f"{name} is an object without members")
        if len(self._members) > _MOST_MEMBERS:
            raise MixedKinds(f"{name} has more than {_MOST_MEMBERS} different members")
        return pa.struct(
            [
                (member, kinds.arrow_type(f"{name}.{member}", levels))
                for member, kinds in sorted(self._members.items())
            ]
        )


def add_fields(kinds: dict[str, FieldKinds], entries: Iterable[Mapping[str, Any]]) -> None:
    """Note the kinds of each field of some entries."""
    values: dict[str, list[Any]] = {}
    for entry in entries:
        for name, value in entry.items():
            values.setdefault(name, []).append(value)
    for name, some in values.items():
        kinds.setdefault(name, FieldKinds()).add(some)
