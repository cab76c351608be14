"""Queries of a snapshot, by conditions on metadata and by keys."""

from __future__ import annotations

import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from ..query.comparison import field_value
from ..query.conditions import Conditions, Where, selected, selection
from ..query.sort_order import SortOrder, check_limit
from .forms.field_index import NOT_INDEXED, frozen, is_hidden
from .hidden import HIDDEN_FIELDS, hide
from .tables.tabular import Tabular

if TYPE_CHECKING:
    from .forms.stored import Stored

__all__ = ["DelegatedQueries", "Queries"]

_Entry = tuple[str, dict[str, Any]]


class Queries(Tabular, Mapping[str, dict[str, Any]]):
    """The queries of an `Index`."""

    __slots__ = ("stored",)
    stored: Stored

    def query(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        sort: str | Iterable[str] | None = None,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Find entries by their metadata.

        The first query of a field takes a pass over all entries; further ones cost what
        they find.  Callables are called for one entry after the other, while the result is
        consumed.

        Parameters
        ----------
        select : iterable of str, optional
            The fields wanted; fields that an entry does not have are left out.
            ``a.b`` reaches into objects, as in conditions.  By default all.
        where : mapping or any_where, optional
            From fields to the values wanted, for names that are not identifiers, or that
            this method uses itself.
        sort : str or iterable of str, optional
            The field to sort by, or several; ``-`` in front of a name for falling order.
            By default results are in key order, and ties always are.  Values of several
            kinds are in the order true and false, numbers, dates and times, texts; then
            lists and objects; missing ones last, also in falling order.
        limit : int, optional
            The most results; by default all.
        **equals
            The same as `where`, as keywords.  A condition is a value to equal, a predicate
            (`staticstore.query`), or a callable, called only for entries that have the field.

        Returns
        -------
        iterator of (str, dict)
            Key and metadata of each entry that fulfills all conditions, in key order or
            as `sort` says; the dicts are the caller's own.

        Raises
        ------
        TypeError
            `select` is a single text, or an argument has a wrong type; raised at once.
        ValueError
            `limit` is less than zero, or a name in `sort` is empty; raised at once.

        Examples
        --------
        >>> from staticstore import Index
        >>> index = Index.from_entries({"a": {"size": 5}, "b": {"size": 50}, "c": {}})
        >>> list(index.query(size=lambda size: size > 10))
        [('b', {'size': 50})]
        >>> list(index.query(where={"size": None}))
        [('c', {})]
        >>> list(index.query(sort="-size", limit=2))
        [('b', {'size': 50}), ('a', {'size': 5})]
        """
        fields = selection(select)
        most = None if limit is None else check_limit(limit)
        order = None if sort is None else SortOrder(sort) or None
        found = self._entries(Conditions(where, equals), order, most)
        return ((key, selected(metadata, fields)) for key, metadata in found)

    def query_keys(
        self,
        *,
        where: Where | None = None,
        sort: str | Iterable[str] | None = None,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[str]:
        """Find keys by their metadata: as `query`, without the metadata.

        Examples
        --------
        >>> from staticstore import Index
        >>> from staticstore.query import ge
        >>> index = Index.from_entries({"a": {"size": 5}, "b": {"size": 50}, "c": {}})
        >>> list(index.query_keys(size=ge(10)))
        ['b']
        """
        if where is None and sort is None and limit is None and len(equals) == 1:
            # Without `Conditions` (benchmark: query unique)
            ((field, value),) = equals.items()
            if type(value) is str and field not in HIDDEN_FIELDS:
                return iter(self.stored.keys_with(field, value))
        most = None if limit is None else check_limit(limit)
        order = None if sort is None else SortOrder(sort) or None
        return _Chained(self._keys(Conditions(where, equals), order, most))

    def count(self, *, where: Where | None = None, **equals: Any) -> int:
        """Count the entries that fulfill all conditions of a `query`.

        Examples
        --------
        >>> from staticstore import Index
        >>> index = Index.from_entries({"a": {"size": 5}, "b": {"size": 50}, "c": {}})
        >>> index.count(), index.count(size=5)
        (3, 1)
        """
        conditions = Conditions(where, equals)
        if not conditions:
            return len(self)
        if _needs_no_columns(conditions, None):
            keys, left = self._with_values(conditions)
            if keys is not None and not left:
                return len(keys)
        else:
            matches = self.stored.search(conditions, None)
            if not matches.left:
                return matches.count()
        return sum(1 for _ in self._entries(conditions, None, None))

    def _keys(
        self, conditions: Conditions, order: SortOrder | None, limit: int | None
    ) -> Iterator[Iterable[str]]:
        """Yield the keys in some parts, from when the first is asked for."""
        if order is None and not _needs_no_columns(conditions, None):
            matches = self.stored.search(conditions, None)
            if not (matches.left or matches.has_all):
                yield from _first(matches.runs(), limit)
                return
        keys, left = self._candidates(conditions, order)
        if left:
            keys = (key for key, _ in self._matching(keys, left))
        yield from _first([self if keys is None else keys], limit)

    def _entries(
        self, conditions: Conditions, order: SortOrder | None, limit: int | None
    ) -> Iterator[_Entry]:
        keys, left = self._candidates(conditions, order)
        yield from islice(self._matching(keys, left), limit)

    def _matching(self, keys: Iterable[str] | None, left: Conditions) -> Iterator[_Entry]:
        stored = self.stored
        if keys is None:
            entries = stored.items()
        elif isinstance(keys, Sequence):
            entries = stored.entries_of(keys)
        else:  # sorted
            entries = ((key, self[key]) for key in keys)
        for key, metadata in entries:
            if "packed" in metadata or "placed" in metadata or "stored" in metadata:
                hide(metadata)
            if not left or left.match(metadata):
                yield key, metadata

    def _candidates(
        self, conditions: Conditions, order: SortOrder | None
    ) -> tuple[Iterable[str] | None, Conditions]:
        """Return the keys that may match (None: all), and the conditions left."""
        if _needs_no_columns(conditions, order):
            return self._with_values(conditions)
        if order is not None and any(is_hidden(field) for field, _ in order.fields):
            keys, left = self._candidates(conditions, None)
            places = [(order.places(entry), key) for key, entry in self._matching(keys, left)]
            return (key for _, key in sorted(places)), Conditions(None, {})
        matches = self.stored.search(conditions, order)
        if order is not None:
            return matches.sorted_keys(order, self.__getitem__), matches.left
        return None if matches.has_all else matches.keys(), matches.left

    def _with_values(self, conditions: Conditions) -> tuple[Sequence[str] | None, Conditions]:
        """Return as `_candidates` what fields that equal a value find."""
        wanted, left = [], []
        for field, value in conditions.equal:
            hashable = NOT_INDEXED if is_hidden(field) else frozen(value)
            if hashable is NOT_INDEXED:
                left.append((field, value))
            else:
                wanted.append((field, hashable))
        keys = self.stored.keys_with_all(wanted) if wanted else None
        return keys, conditions.left(equal=left)

    def prefixes(self, prefix: str = "", *, delimiter: str = "/") -> Iterator[str]:
        """List one level of the keys that begin with a prefix, in order.

        As a folder is listed, and as S3 does it: keys without a delimiter behind the
        prefix come whole, and all others that agree up to the first delimiter behind it
        come as one text that ends with it.

        Parameters
        ----------
        prefix : str, optional
            What the keys begin with; ``"terrain/"`` lists what is in ``terrain``, and
            ``"ter"`` whatever begins so.  By default all.
        delimiter : str, optional
            What ends a level.

        Returns
        -------
        iterator of str
            Keys, and prefixes with the delimiter at their end.

        Raises
        ------
        TypeError
            An argument is not text; raised at once.
        ValueError
            The delimiter is empty; raised at once.

        Notes
        -----
        A bisection for each prefix that is found, however many keys begin with it.

        Examples
        --------
        >>> from staticstore import Index
        >>> index = Index.from_entries(dict.fromkeys(["a/b/1", "a/b/2", "a/c", "d"], {}))
        >>> list(index.prefixes()), list(index.prefixes("a/"))
        (['a/', 'd'], ['a/b/', 'a/c'])
        """
        for text in (prefix, delimiter):
            if not isinstance(text, str):
                raise TypeError(f"a prefix and a delimiter are texts, not {text!r}")
        if not delimiter:
            raise ValueError("a delimiter has at least one character")
        return self._level(prefix, delimiter)

    def keys_from(self, start: str) -> Iterator[str]:
        """Iterate over the keys that are not less than a text, in order."""
        return self.stored.keys_from(start)

    def _level(self, prefix: str, delimiter: str) -> Iterator[str]:
        keys = self.keys_from(prefix)
        while (key := next(keys, None)) is not None and key.startswith(prefix):
            end = key.find(delimiter, len(prefix))
            if end < 0:
                yield key
                continue
            found = key[: end + len(delimiter)]
            yield found
            following = _after(found)
            if following is None:
                return
            keys = self.keys_from(following)

    def glob(self, pattern: str) -> Iterator[str]:
        """Find keys by a shell pattern, in key order.

        Whole keys are matched, case counts, and ``*`` matches slashes
        (`fnmatch.fnmatchcase`).

        Examples
        --------
        >>> from staticstore import Index
        >>> list(Index.from_entries({"a/b.tif": {}, "a/c.csv": {}}).glob("*.tif"))
        ['a/b.tif']
        """
        matches = re.compile(fnmatch.translate(pattern)).match
        return (key for key in self if matches(key))

    def field_values(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over all keys, in order, with one field's value; None if missing.

        Only that field of the entries is decoded.

        Examples
        --------
        >>> from staticstore import Index
        >>> list(Index.from_entries({"a": {"size": 5, "title": "A"}, "b": {}}).field_values("size"))
        [('a', 5), ('b', None)]
        """
        if is_hidden(field):
            return ((key, field_value(entry, field)) for key, entry in self.query())
        return self.stored.values_of(field)


class DelegatedQueries(Tabular, ABC):
    """The queries of what reads a snapshot, such as a store."""

    @abstractmethod
    def _index(self) -> Queries | DelegatedQueries:
        """Return what answers the queries; it is bound once for each."""

    def _tabled(self) -> Any:
        return self._index()

    def query(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Where | None = None,
        sort: str | Iterable[str] | None = None,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Find entries of the current snapshot by their metadata: `Index.query`.

        Examples
        --------
        >>> [key for key, _ in sample_store.query(where={"type": "raster"}, bands=3)]
        ['imagery/true-color.tif']
        """
        return self._index().query(select, where=where, sort=sort, limit=limit, **equals)

    def query_keys(
        self,
        *,
        where: Where | None = None,
        sort: str | Iterable[str] | None = None,
        limit: int | None = None,
        **equals: Any,
    ) -> Iterator[str]:
        """Find keys of the current snapshot by their metadata: `Index.query_keys`."""
        return self._index().query_keys(where=where, sort=sort, limit=limit, **equals)

    def count(self, *, where: Where | None = None, **equals: Any) -> int:
        """Count entries of the current snapshot by their metadata: `Index.count`."""
        return self._index().count(where=where, **equals)

    def glob(self, pattern: str) -> Iterator[str]:
        """Find keys of the current snapshot by a shell pattern: `Index.glob`."""
        return self._index().glob(pattern)


class _Chained(Iterator[str]):
    """The keys of some parts, found when the first is asked for.

    A single part is iterated over by its own iterator (benchmark: box).
    """

    __slots__ = ("_keys", "_parts")

    def __init__(self, parts: Iterator[Iterable[str]]) -> None:
        self._parts = parts
        self._keys: Iterator[str] | None = None

    def __iter__(self) -> Iterator[str]:
        if self._keys is None:
            first, second = next(self._parts, ()), next(self._parts, None)
            if second is None:
                self._keys = iter(first)
            else:
                self._keys = chain.from_iterable(chain((first, second), self._parts))
        return self._keys

    def __next__(self) -> str:
        return next(iter(self))


def _after(prefix: str) -> str | None:
    """Return the least text after all that begin with a prefix, or None."""
    kept = prefix.rstrip("\U0010ffff")
    return kept[:-1] + chr(ord(kept[-1]) + 1) if kept else None


def _first(runs: Iterable[Iterable[str]], limit: int | None) -> Iterable[Iterable[str]]:
    return runs if limit is None else [islice(chain.from_iterable(runs), limit)]


def _needs_no_columns(conditions: Conditions, order: SortOrder | None) -> bool:
    """Return whether the keys of each value of the fields are all that is needed."""
    return order is None and not conditions.predicates and conditions.alternatives is None
