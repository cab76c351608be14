"""A snapshot: what a site says at one moment."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..errors import IndexFormatError, quoted
from . import codec
from .checks import are_beyond_doubt, entry_problem
from .entries import Entries
from .fields import is_packed
from .groups import NOT_INDEXED, frozen, in_all
from .query import Conditions, selected, selection

if TYPE_CHECKING:
    import msgspec

__all__ = ["Index", "canonical_line", "visible_metadata"]

_WARNINGS_KEPT = 100
# Changes are laid over what they change as long as that is so many times larger.
_FOLDED_ABOVE = 100


class Index(Mapping[str, dict[str, Any]]):
    """The keys of a site and their metadata, immutable and in key order.

    Entries are kept as the raw JSON they came in and decoded when they are
    asked for, so each dict that leaves is the caller's own.  Keys are ordered
    by code point.  An index may be shared by any number of threads without a
    lock.  Two are equal if their visible metadata is.

    Build one with `parse` or `from_entries`.

    Examples
    --------
    >>> index = Index.parse(b'{"b.tif": {"type": "raster", "size": 7}, "a.csv": {"type": "table"}}')
    >>> list(index)
    ['a.csv', 'b.tif']
    >>> list(index.query(select=["size"], type="raster"))
    [('b.tif', {'size': 7})]
    """

    __slots__ = ("__weakref__", "_changed", "_count", "_shared", "_warnings")

    def __init__(
        self, entries: Mapping[str, msgspec.Raw | bytes], warnings: Iterable[str] = ()
    ) -> None:
        """Take checked raw entries; `parse` and `from_entries` check."""
        # What this snapshot has in common with those before and after it, and
        # what is different here: raw entries, None for keys that are gone.
        self._shared = entries if isinstance(entries, Entries) else Entries(entries)
        self._changed: dict[str, msgspec.Raw | bytes | None] = {}
        self._count = len(self._shared)
        self._warnings = tuple(warnings)

    @classmethod
    def parse(cls, body: bytes) -> Index:
        """Parse the bytes of an ``index.json``.

        A refused key, and an entry that is no object, is left out and stands
        in `warnings`; the others live on.  Of a key that stands twice the last
        counts.

        Parameters
        ----------
        body : bytes
            JSON in UTF-8, with or without a byte order mark.

        Raises
        ------
        IndexFormatError
            It is no JSON object in UTF-8, holds NaN, Infinity or a number that
            overflows, or is nested more than a hundred deep.
        """
        found = codec.split(body)
        if are_beyond_doubt(found):
            return cls(found)
        entries: dict[str, msgspec.Raw] = {}
        refused: list[str] = []
        for key, raw in found.items():
            if problem := entry_problem(key, raw):
                refused.append(f"{quoted(key)} is left out: {problem}")
            else:
                entries[key] = raw
        if len(refused) > _WARNINGS_KEPT:
            more = len(refused) - _WARNINGS_KEPT
            refused[_WARNINGS_KEPT:] = [f"{more} more entries are left out"]
        return cls(entries, refused)

    @classmethod
    def from_entries(cls, entries: Mapping[str, Mapping[str, Any]]) -> Index:
        """Build an index from keys and decoded metadata, which are copied.

        Raises
        ------
        IndexFormatError
            A key is refused, or a field is nothing that JSON can say.
        """
        lines = [canonical_line(key, metadata) for key, metadata in entries.items()]
        index = cls.parse(b"{" + b",".join(lines) + b"}")
        if index.warnings:
            raise IndexFormatError(index.warnings[0])
        return index

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong in the document and left out; the first hundred."""
        return self._warnings

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the metadata of a key, a copy of the caller's own."""
        raw = self.raw(key)
        if raw is None:
            raise KeyError(key)
        return visible_metadata(raw)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order of their code points."""
        return self._in_step(self._shared, lambda raw: True)

    def __len__(self) -> int:
        """Count the keys."""
        return self._count

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key; anything at all may be asked for."""
        return isinstance(key, str) and self.raw(key) is not None

    def __eq__(self, other: object) -> bool:
        """Compare the visible metadata, as decoded JSON."""
        if not isinstance(other, Index):
            return super().__eq__(other)
        return len(self) == len(other) and not any(True for _ in self.differing_keys(other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Show the number of keys, not the keys."""
        return f"<Index: {len(self)} keys>"

    def query(
        self,
        select: Iterable[str] | None = None,
        *,
        where: Mapping[str, Any] | None = None,
        **equals: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Find entries by their metadata.

        Every entry is decoded and compared, one at a time, while the result is
        consumed.

        Parameters
        ----------
        select : iterable of str, optional
            The fields wanted; those that an entry does not have are left out.
            By default all.
        where : mapping, optional
            From fields to what they must equal, for names that are no
            identifiers, or that this method uses itself.
        **equals
            The same as keywords.  A callable is a predicate, called only for
            entries that have the field.

        Returns
        -------
        iterator of (str, dict)
            Key and metadata of each entry that fulfills all conditions, in key
            order; the dicts are the caller's own.

        Raises
        ------
        TypeError
            `select` is a single text, or `where` no mapping; raised at once.

        Examples
        --------
        >>> index = Index.from_entries({"a": {"size": 5}, "b": {"size": 50}, "c": {}})
        >>> list(index.query(size=lambda size: size > 10))
        [('b', {'size': 50})]
        >>> list(index.query(where={"size": None}))
        [('c', {})]
        """
        fields = selection(select)
        found = self._found(Conditions(where, equals))
        return ((key, selected(metadata, fields)) for key, metadata in found)

    def query_keys(self, *, where: Mapping[str, Any] | None = None, **equals: Any) -> Iterator[str]:
        """Find keys by their metadata: as `query`, without the metadata."""
        conditions = Conditions(where, equals)
        candidates, is_exact = self._candidates(conditions)
        if is_exact:
            return self._in_step(candidates, lambda raw: conditions.match(visible_metadata(raw)))
        return (key for key, _ in self._found(conditions))

    def glob(self, pattern: str) -> Iterator[str]:
        """Find keys by a shell pattern, in key order.

        It is held against whole keys, and ``*`` matches slashes too; case
        counts (`fnmatch.fnmatchcase`).

        Examples
        --------
        >>> list(Index.from_entries({"a/b.tif": {}, "a/c.csv": {}}).glob("*.tif"))
        ['a/b.tif']
        """
        matches = re.compile(fnmatch.translate(pattern)).match
        return (key for key in self if matches(key))

    def raw(self, key: str) -> msgspec.Raw | bytes | None:
        """Return the JSON text of an entry as it came, or None; for what compares and copies."""
        if key in self._changed:
            return self._changed[key]
        return self._shared.get(key)

    def shares_with(self, other: Index) -> bool:
        """Tell whether both snapshots are changes laid over the same entries."""
        return self._shared is other._shared

    def keys_of_other_bytes(self, other: Index) -> Iterator[str]:
        """Yield the keys whose raw entries are not the same bytes in both, in no order.

        Of two snapshots that share most of their entries only the others are looked at.
        """
        if self.shares_with(other):
            keys: Iterable[str] = self._changed.keys() | other._changed.keys()
        else:
            keys = chain(self, (key for key in other if self.raw(key) is None))
        for key in keys:
            mine, theirs = self.raw(key), other.raw(key)
            if mine is theirs or mine == theirs:
                continue
            if mine is None or theirs is None or bytes(mine) != bytes(theirs):
                yield key

    def differs(self, other: Index, key: str) -> bool:
        """Tell whether the visible metadata of a key is not the same in both."""
        mine, theirs = self.raw(key), other.raw(key)
        if mine is None or theirs is None:
            return mine is not theirs
        return visible_metadata(mine) != visible_metadata(theirs)

    def differing_keys(self, other: Index) -> Iterator[str]:
        """Yield the keys whose visible metadata is not the same in both, in no order.

        Equal bytes are equal metadata, so that few entries are decoded.
        """
        return (key for key in self.keys_of_other_bytes(other) if self.differs(other, key))

    def has_room_for(self, count: int) -> bool:
        """Tell whether so many more changes can be laid over what this snapshot shares."""
        return (len(self._changed) + count) * _FOLDED_ABOVE <= len(self._shared)

    def changed_by(
        self, changes: Mapping[str, msgspec.Raw | bytes | None], warnings: Iterable[str] = ()
    ) -> Index:
        """Return the snapshot in which these keys have these raw entries, None for none.

        Few changes are laid over the entries that both snapshots share, with
        the groups of the fields that were queried; when there are many of them
        the entries are copied.
        """
        changed = {**self._changed, **changes}
        if not self.has_room_for(len(changes)):
            entries = {**self._shared, **changed}
            kept = {key: raw for key, raw in entries.items() if raw is not None}
            return Index(kept, warnings)
        index = Index(self._shared, warnings)
        index._changed = changed
        index._count += sum(raw is not None for raw in changed.values())
        index._count -= sum(key in self._shared for key in changed)
        return index

    def _found(self, conditions: Conditions) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the entries that fulfill all conditions, decoded, in key order."""
        candidates, _ = self._candidates(conditions)
        for key in self._in_step(candidates, lambda raw: True):
            raw = self.raw(key)
            if raw is not None and conditions.match(metadata := visible_metadata(raw)):
                yield key, metadata

    def _candidates(self, conditions: Conditions) -> tuple[Iterable[str], bool]:
        """Return shared keys among which all results are, in order, and whether these are they."""
        wanted = [(field, frozen(value)) for field, value in conditions.equal if field != "packed"]
        indexed = [(field, value) for field, value in wanted if value is not NOT_INDEXED]
        is_exact = len(indexed) == len(conditions)
        if not indexed:
            return self._shared, is_exact
        return in_all([self._shared.keys_with(*pair) for pair in indexed]), is_exact

    def _in_step(
        self, shared: Iterable[str], is_wanted: Callable[[msgspec.Raw | bytes], bool]
    ) -> Iterator[str]:
        """Iterate over shared keys but for those that changed, and over the changed ones wanted."""
        if not self._changed:
            return iter(shared)
        own = sorted(k for k, raw in self._changed.items() if raw is not None and is_wanted(raw))
        return merge((key for key in shared if key not in self._changed), own)

    def canonical(self) -> bytes:
        r"""Write the index in canonical form: one line for each entry, sorted.

        Examples
        --------
        >>> Index.parse(b'{"b": {}, "a": {"y": 1, "x": "\\u00e9"}}').canonical().decode()
        '{\n"a":{"x":"é","y":1},\n"b":{}\n}\n'
        """
        lines = (
            codec.encode(key) + b":" + codec.encode(codec.decode(raw))
            for key in self
            if (raw := self.raw(key)) is not None
        )
        body = b",\n".join(lines)
        return b"{\n" + body + b"\n}\n" if body else b"{\n}\n"


def canonical_line(key: str, metadata: Mapping[str, Any]) -> bytes:
    """Write one entry in canonical form, without what separates it from the next.

    Raises
    ------
    IndexFormatError
        The metadata is nothing that JSON can say.
    """
    try:
        name, text = codec.encode(key), codec.encode(metadata)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise IndexFormatError(f"this entry is no JSON: {error}", key=key) from error
    if codec.decode(text) != metadata:  # it would come back as something else
        raise IndexFormatError("this metadata is no JSON: NaN, a tuple or a date, say", key=key)
    return name + b":" + text


def visible_metadata(raw: msgspec.Raw | bytes) -> dict[str, Any]:
    """Decode an entry, less what is the reader's own business (``packed``)."""
    metadata: dict[str, Any] = codec.decode(raw)
    if is_packed(metadata.get("packed")):
        del metadata["packed"]
    return metadata
