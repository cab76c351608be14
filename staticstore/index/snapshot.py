"""A snapshot: what a site says at one moment."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import IndexFormatError, quoted
from . import codec
from .fields import is_packed
from .keys import key_problem
from .query import Conditions, selected, selection

if TYPE_CHECKING:
    import msgspec

__all__ = ["Index", "canonical_line", "visible_metadata"]

_WARNINGS_KEPT = 100
# Far more than any metadata has, and far less than Python's recursion limit, so
# that comparing or copying an entry can never overflow the stack.
_DEEPEST = 100
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


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

    __slots__ = ("__weakref__", "_entries", "_warnings")

    def __init__(
        self, entries: Mapping[str, msgspec.Raw | bytes], warnings: Iterable[str] = ()
    ) -> None:
        """Take checked raw entries; `parse` and `from_entries` check."""
        self._entries = {key: entries[key] for key in sorted(entries)}
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
        entries: dict[str, msgspec.Raw] = {}
        refused: list[str] = []
        for key, raw in codec.split(body).items():
            if problem := _entry_problem(key, raw):
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
        return visible_metadata(self._entries[key])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order of their code points."""
        return iter(self._entries)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key; anything at all may be asked for."""
        return isinstance(key, str) and key in self._entries

    def __eq__(self, other: object) -> bool:
        """Compare the visible metadata, as decoded JSON."""
        if not isinstance(other, Index):
            return super().__eq__(other)
        return self._entries.keys() == other._entries.keys() and all(
            self.entry_equals(key, other) for key in self._entries
        )

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
        conditions, fields = Conditions(where, equals), selection(select)
        return (
            (key, selected(metadata, fields))
            for key, metadata in self.items()
            if conditions.match(metadata)
        )

    def query_keys(self, *, where: Mapping[str, Any] | None = None, **equals: Any) -> Iterator[str]:
        """Find keys by their metadata: as `query`, without the metadata."""
        conditions = Conditions(where, equals)
        if not conditions:
            return iter(self)
        return (key for key, metadata in self.items() if conditions.match(metadata))

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
        return (key for key in self._entries if matches(key))

    def raw(self, key: str) -> msgspec.Raw | bytes | None:
        """Return the JSON text of an entry as it came, or None; for what compares and copies."""
        return self._entries.get(key)

    def entry_equals(self, key: str, other: Index) -> bool:
        """Tell whether both have the same visible metadata for a key that both have.

        Equal bytes are equal metadata, so most entries need no decoding.
        """
        mine, theirs = self._entries[key], other._entries[key]
        return bytes(mine) == bytes(theirs) or visible_metadata(mine) == visible_metadata(theirs)

    def canonical(self) -> bytes:
        r"""Write the index in canonical form: one line for each entry, sorted.

        Examples
        --------
        >>> Index.parse(b'{"b": {}, "a": {"y": 1, "x": "\\u00e9"}}').canonical().decode()
        '{\n"a":{"x":"é","y":1},\n"b":{}\n}\n'
        """
        lines = (
            codec.encode(key) + b":" + codec.encode(codec.decode(raw))
            for key, raw in self._entries.items()
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


def _entry_problem(key: str, raw: msgspec.Raw) -> str | None:
    """Say why an entry must be left out; raise if the whole index must be refused."""
    try:
        _check_depth(raw)
        metadata = codec.decode(raw)
    except IndexFormatError as error:
        raise IndexFormatError(f"the entry cannot be read: {error}", key=key) from error
    if problem := key_problem(key):
        return problem
    return None if isinstance(metadata, dict) else "its metadata is no JSON object"


def _check_depth(raw: msgspec.Raw) -> None:
    """Refuse JSON that is nested too deeply, without recursion."""
    text = bytes(raw)
    if text.count(b"[") + text.count(b"{") <= _DEEPEST:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_TEXT.sub(b"", text)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > _DEEPEST:
            raise IndexFormatError("nested too deeply")
