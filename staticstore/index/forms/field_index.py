"""Keys by their value of a field."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ... import tuning
from ..hidden import HIDDEN_FIELDS

__all__ = [
    "NOT_INDEXED",
    "FieldIndex",
    "frozen",
    "in_all",
    "is_hidden",
    "replaced",
]

#: Stands for a value that no decoded JSON can equal by its type, or that compares in its own way.
NOT_INDEXED = object()
# Estimates: a value with its place in a dictionary, and a reference to a key.
_VALUE_BYTES = 120
_KEY_BYTES = 8


class _Long(tuple[tuple[str, ...], ...]):
    """Many keys, in tuples of a few thousand."""

    # The garbage collector visits a tuple that holds only texts once, and then keeps all
    # other threads waiting: small tuples keep the wait short (benchmark: waits).
    __slots__ = ()


_Shard = dict[Hashable, str | tuple[str, ...] | _Long]


class FieldIndex:
    """Keys by their value of one field; built in one pass, never changed.

    Parameters
    ----------
    values : iterable of (str, object)
        Keys in order, and the value of each.

    Examples
    --------
    >>> index = FieldIndex([("a", 1), ("b", 1.0), ("c", None)])
    >>> index.keys(1), index.keys(None), index.keys(2)
    (('a', 'b'), ('c',), ())
    """

    __slots__ = ("_count", "_shards")

    def __init__(self, values: Iterable[tuple[str, Any]]) -> None:
        # A single key is kept as it is: unique values would need a list each.
        shards: list[dict[Hashable, Any]] = [{} for _ in range(tuning.FIELD_INDEX_SHARDS)]
        shard_count = len(shards)
        long: dict[Hashable, list[tuple[str, ...]]] = {}
        run_keys = tuning.RUN_KEYS
        for key, value in values:
            if type(value) in (list, dict):
                value = frozen(value)
            shard = shards[hash(value) % shard_count]
            keys = shard.get(value)
            if type(keys) is list:
                if len(keys) < run_keys:
                    keys.append(key)
                else:
                    long.setdefault(value, []).append(tuple(keys))
                    keys[:] = [key]
            else:
                shard[value] = key if keys is None else [keys, key]
        count = 0
        for shard in shards:
            count += len(shard)
            for value, keys in shard.items():
                if type(keys) is list:
                    last, others = tuple(keys), long.get(value, [])
                    count += len(others) * run_keys + len(last) - 1
                    shard[value] = _Long([*others, last]) if others else last
        self._shards: list[_Shard] = shards
        self._count = count

    @property
    def size(self) -> int:
        """Memory, about, in bytes."""
        return _VALUE_BYTES * sum(map(len, self._shards)) + _KEY_BYTES * self._count

    def keys(self, value: Hashable) -> Sequence[str]:
        """Return the keys with a value, in order; do not change the result."""
        shards = self._shards
        keys = shards[hash(value) % len(shards)].get(value, ())
        if isinstance(keys, str):
            return (keys,)
        if not isinstance(keys, _Long):
            return keys
        joined: list[str] = []
        for run in keys:
            joined += run
        return joined

    def changed_by(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> FieldIndex:
        """Return the index after the values of some keys have changed.

        Parameters
        ----------
        before, after : mapping
            From keys to their old and new values, for the keys that have one;
            both in key order.
        """
        gone, new = FieldIndex(before.items()), FieldIndex(after.items())
        changed = FieldIndex(())
        changed._count = self._count + len(after) - len(before)
        changed._shards = [dict(shard) for shard in self._shards]
        for number, shard in enumerate(changed._shards):
            for value in gone._shards[number].keys() | new._shards[number].keys():
                keys = replaced(self.keys(value), gone.keys(value), new.keys(value))
                if keys:
                    shard[value] = _packed(keys)
                else:
                    del shard[value]
        return changed


def _packed(keys: Sequence[str]) -> str | tuple[str, ...] | _Long:
    if len(keys) == 1:
        return keys[0]
    count = tuning.RUN_KEYS
    if len(keys) <= count:
        return tuple(keys)
    return _Long(tuple(keys[at : at + count]) for at in range(0, len(keys), count))


def frozen(value: Any) -> Hashable:
    """Return a hashable for a JSON value, equal if the values are equal.

    `NOT_INDEXED` stands for anything but decoded JSON, such as a tuple or an
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


def replaced(keys: Sequence[str], gone: Iterable[str], new: Iterable[str]) -> list[str]:
    """Return keys in order, without some of them and with others.

    The cost is that of copying, and of a bisection for each key that is gone or new.

    Examples
    --------
    >>> replaced(["a", "c", "e"], ["b", "c"], ["c", "d"])
    ['a', 'c', 'd', 'e']
    """
    wanted = set(new)
    result: list[str] = []
    start = 0
    for key in sorted(wanted.union(gone)):
        at = bisect_left(keys, key, start)
        result += keys[start:at]
        if key in wanted:
            result.append(key)
        start = at + (at < len(keys) and keys[at] == key)
    result += keys[start:]
    return result


def in_all(groups: Iterable[Sequence[str]]) -> Sequence[str]:
    """Return the keys that are in every group, in order; starts from the smallest."""
    smallest, *others = sorted(groups, key=len)
    found: Sequence[str] = smallest
    for other in others:
        found = list(_in_both(found, other))
    return found


def _in_both(few: Sequence[str], many: Sequence[str]) -> Iterator[str]:
    # A run at a time, so that other threads get a turn (benchmark: waits).
    count = tuning.RUN_KEYS
    for start in range(0, len(few), count):
        some = few[start : start + count]
        first = bisect_left(many, some[0])
        last = bisect_right(many, some[-1], first)
        common = set(some).intersection(many[first:last])
        yield from (key for key in some if key in common)


def is_hidden(field: str) -> bool:
    """Return whether a field, or what it reaches into, may be hidden."""
    return field.partition(".")[0] in HIDDEN_FIELDS
