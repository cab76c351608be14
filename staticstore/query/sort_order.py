"""The order in which a query sorts what it finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .comparison import Kind, field_value, order_key

__all__ = ["Place", "SortOrder", "check_limit", "place_of"]

#: The place of a value: the number of its kind, and its place among values of that kind.
Place = tuple[int, Any]

_UNORDERED = len(Kind)  # lists and objects
_MISSING = _UNORDERED + 1


class _Falling:
    """A place that is less than those which are less than it."""

    __slots__ = ("place",)

    def __init__(self, place: Any) -> None:
        self.place = place

    def __lt__(self, other: _Falling) -> bool:
        return bool(other.place < self.place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Falling) and bool(self.place == other.place)

    __hash__ = None  # type: ignore[assignment]


class SortOrder:
    """By which fields entries are sorted, rising or falling; ties go by key.

    Kinds are in the order of `Kind`, falling in the opposite one.  In both directions
    lists and objects, which have no order, come after all else, and missing fields last.

    Parameters
    ----------
    sort : str or iterable of str
        Names of fields; ``-`` in front of one sorts it falling.

    Attributes
    ----------
    fields : tuple of (str, bool)
        The fields, and whether each is falling.

    Raises
    ------
    TypeError
        It is neither text nor an iterable of texts.
    ValueError
        A name is empty.

    Examples
    --------
    >>> order = SortOrder("-size")
    >>> sorted([{"size": 1}, {}, {"size": "x"}, {"size": 5}], key=order.places)
    [{'size': 'x'}, {'size': 5}, {'size': 1}, {}]
    """

    __slots__ = ("fields",)

    def __init__(self, sort: str | Iterable[str]) -> None:
        if not isinstance(sort, Iterable):
            raise TypeError(f"sort takes names of fields, not {sort!r}")
        names = [sort] if isinstance(sort, str) else list(sort)
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"sort takes names of fields, not {name!r}")
            if name in ("", "-"):
                raise ValueError(f"sort takes names of fields, and {name!r} is none")
        self.fields = tuple((name.removeprefix("-"), name.startswith("-")) for name in names)

    def __bool__(self) -> bool:
        """Return whether there is any field."""
        return bool(self.fields)

    def places(self, metadata: Mapping[str, Any]) -> tuple[Place, ...]:
        """Return what orders an entry among others, apart from its key."""
        return tuple(
            place_of(field_value(metadata, field), is_falling=is_falling)
            for field, is_falling in self.fields
        )


def place_of(value: Any, *, is_falling: bool) -> Place:
    """Return what orders the value of a field; a missing one is None.

    Examples
    --------
    >>> place_of(1, is_falling=False) < place_of("a", is_falling=False)
    True
    >>> place_of(1, is_falling=True) < place_of(None, is_falling=True)
    True
    """
    if value is None:
        return _MISSING, 0
    key = order_key(value)
    if key is None:
        return _UNORDERED, 0
    return (-key[0], _Falling(key[1])) if is_falling else key


def check_limit(limit: int) -> int:
    """Return a limit of results.

    Raises
    ------
    TypeError
        It is not a whole number.
    ValueError
        It is less than zero.
    """
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit takes a whole number, not {limit!r}")
    if limit < 0:
        raise ValueError(f"limit takes a whole number of results, 0 or more, not {limit}")
    return limit
