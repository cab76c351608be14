"""Which keys have which value of a field: what makes a query cost its result and no more."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import codec

if TYPE_CHECKING:
    import msgspec

__all__ = ["NOT_INDEXED", "Groups", "frozen", "in_all"]

#: Stands for a value that no decoded JSON can equal by its type, or that compares in its own way.
NOT_INDEXED = object()

_GROUP_SIZE = 120  # bytes that a value takes with its place in a dictionary, about
_KEY_SIZE = 8  # bytes that a reference to a key takes


class Groups:
    """The keys of some entries, by their value of one field.

    An entry without the field is one with the value None, as for a query.
    Built once, in one pass; never changed.

    Parameters
    ----------
    entries : mapping
        Raw entries in key order.
    field : str
        The field.

    Attributes
    ----------
    size : int
        Bytes of memory, about.

    Examples
    --------
    >>> groups = Groups({"a": b'{"n": 1}', "b": b'{"n": 1.0}', "c": b'{}'}, "n")
    >>> groups.keys(1), groups.keys(None), groups.keys(2)
    (['a', 'b'], ['c'], [])
    """

    __slots__ = ("_groups", "size")

    def __init__(self, entries: Mapping[str, msgspec.Raw | bytes], field: str) -> None:
        # A key that is alone with its value is not put into a list: unique
        # values would take a list each.
        self._groups: dict[Hashable, str | list[str]] = {}
        groups = self._groups
        for key, value in zip(entries, codec.values_of(entries.values(), field), strict=True):
            if type(value) in (list, dict):
                value = frozen(value)
            group = groups.get(value)
            if group is None:
                groups[value] = key
            elif type(group) is list:
                group.append(key)
            else:
                groups[value] = [group, key]  # type: ignore[list-item]
        self.size = _GROUP_SIZE * len(groups) + _KEY_SIZE * len(entries)

    def keys(self, value: Hashable) -> list[str]:
        """Return the keys of the entries with a value, in key order; not to be changed."""
        group = self._groups.get(value)
        if group is None:
            return []
        return group if isinstance(group, list) else [group]


def frozen(value: Any) -> Hashable:
    """Return what stands for a JSON value in a dictionary: equal where the values are equal.

    `NOT_INDEXED` stands for what is no decoded JSON, such as a tuple or an
    object that compares in its own way.

    Examples
    --------
    >>> frozen([1, {"a": 2}]) == frozen([True, {"a": 2.0}])
    True
    >>> frozen((1, 2)) is NOT_INDEXED
    True
    """
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value  # type: ignore[no-any-return]
    if kind is list:
        items = tuple(map(frozen, value))
        return NOT_INDEXED if NOT_INDEXED in items else ("list", items)
    if kind is dict:
        names, items = tuple(map(frozen, value)), tuple(map(frozen, value.values()))
        if NOT_INDEXED in names or NOT_INDEXED in items:
            return NOT_INDEXED
        return "dict", frozenset(zip(names, items, strict=True))
    return NOT_INDEXED


def in_all(groups: list[list[str]]) -> Iterable[str]:
    """Return the keys that are in every group, in key order; the smallest leads."""
    smallest, *others = sorted(groups, key=len)
    if not others:
        return smallest
    wanted = set(smallest)
    for other in others:
        wanted.intersection_update(other)
    return (key for key in smallest if key in wanted)
