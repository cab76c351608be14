"""Which keys have which value of a field: what makes a query cost its result and no more."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

__all__ = ["NOT_INDEXED", "Groups", "frozen", "in_all", "replaced"]

#: Stands for a value that no decoded JSON can equal by its type, or that compares in its own way.
NOT_INDEXED = object()


class _Long(tuple[tuple[str, ...], ...]):
    """Many keys, in tuples of a few thousand.

    The garbage collector passes over a tuple that holds texts alone, but for
    the first time; and then it keeps all other threads waiting.
    """

    __slots__ = ()


_Shard = dict[Hashable, str | tuple[str, ...] | _Long]
# A dictionary that grows keeps other threads waiting while it is copied, so
# that the groups are spread over some.
_SHARDS = 8
_GROUP_SIZE = 120  # bytes that a value takes with its place in a dictionary, about
_AT_ONCE = 1 << 12  # keys that are compared with others at once
_KEY_SIZE = 8  # bytes that a reference to a key takes


class Groups:
    """Keys by their value of one field; built in one pass, never changed.

    Parameters
    ----------
    values : iterable of (str, object)
        Keys in their order, and the value of each.

    Examples
    --------
    >>> groups = Groups([("a", 1), ("b", 1.0), ("c", None)])
    >>> groups.keys(1), groups.keys(None), groups.keys(2)
    (('a', 'b'), ('c',), ())
    """

    __slots__ = ("_count", "_shards")

    def __init__(self, values: Iterable[tuple[str, Any]]) -> None:
        # A key that is alone with its value is not put into a list: unique
        # values would take a list each.
        shards: list[dict[Hashable, Any]] = [{} for _ in range(_SHARDS)]
        long: dict[Hashable, list[tuple[str, ...]]] = {}
        at_once = _AT_ONCE
        for key, value in values:
            if type(value) in (list, dict):
                value = frozen(value)
            shard = shards[hash(value) % _SHARDS]
            group = shard.get(value)
            if type(group) is list:
                if len(group) < at_once:
                    group.append(key)
                else:
                    long.setdefault(value, []).append(tuple(group))
                    group[:] = [key]
            else:
                shard[value] = key if group is None else [group, key]
        count = 0
        for shard in shards:
            count += len(shard)
            for value, group in shard.items():
                if type(group) is list:
                    last, others = tuple(group), long.get(value, [])
                    count += len(others) * at_once + len(last) - 1
                    shard[value] = _Long([*others, last]) if others else last
        self._shards: list[_Shard] = shards
        self._count = count

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return _GROUP_SIZE * sum(map(len, self._shards)) + _KEY_SIZE * self._count

    def keys(self, value: Hashable) -> Sequence[str]:
        """Return the keys with a value, in their order; not to be changed."""
        group = self._shards[hash(value) % _SHARDS].get(value, ())
        if isinstance(group, str):
            return (group,)
        if not isinstance(group, _Long):
            return group
        keys: list[str] = []
        for some in group:
            keys += some
        return keys

    def changed_by(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Groups:
        """Return the groups in which some keys have other values.

        Parameters
        ----------
        before, after : mapping
            From keys to their values then and now, those that have one; the
            keys of both in order.
        """
        gone, new = Groups(before.items()), Groups(after.items())
        changed = Groups(())
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
    if len(keys) <= _AT_ONCE:
        return tuple(keys)
    return _Long(tuple(keys[at : at + _AT_ONCE]) for at in range(0, len(keys), _AT_ONCE))


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


def replaced(keys: Sequence[str], gone: Iterable[str], new: Iterable[str]) -> list[str]:
    """Return keys in order, without some that may be among them and with others.

    The time is that of copying, and a bisection for each key that is gone or new.

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
    """Return the keys that are in every group, in key order; the smallest leads."""
    smallest, *others = sorted(groups, key=len)
    found: Sequence[str] = smallest
    for other in others:
        found = list(_in_both(found, other))
    return found


def _in_both(few: Sequence[str], many: Sequence[str]) -> Iterator[str]:
    """Yield the keys that are in both, stretch by stretch, so that other threads get a turn."""
    for start in range(0, len(few), _AT_ONCE):
        some = few[start : start + _AT_ONCE]
        first = bisect_left(many, some[0])
        last = bisect_right(many, some[-1], first)
        common = set(some).intersection(many[first:last])
        yield from (key for key in some if key in common)
