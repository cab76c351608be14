"""A snapshot: what a site says at one moment."""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import IndexFormatError
from . import codec
from .checks import DEEPEST, check_depth
from .entries import Stored
from .fields import Content, is_packed
from .groups import NOT_INDEXED, frozen, in_all, replaced
from .keys import are_keys
from .overlay import Overlay
from .parsing import parse, written_lines
from .query import Conditions, selected, selection
from .unchecked_lines import lines_of

if TYPE_CHECKING:
    import msgspec

    from .lines import Lines

__all__ = ["Index", "canonical_line", "visible_metadata"]

_FEW_PER_CHANGE = 50
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

    __slots__ = ("__weakref__", "_overlay", "_shared", "_warnings")

    def __init__(
        self, shared: Stored, overlay: Overlay | None = None, warnings: Iterable[str] = ()
    ) -> None:
        """Take checked entries; `parse` and `from_entries` check."""
        # What this snapshot has in common with those before and after it, and
        # what is different here.
        self._shared = shared
        self._overlay = overlay or Overlay({}, 0)
        self._warnings = tuple(warnings)

    @classmethod
    def parse(
        cls,
        body: bytes | bytearray,
        *,
        vouched_entries: int | None = None,
        newlines: int | None = None,
        before: Index | None = None,
    ) -> Index:
        """Parse the bytes of an ``index.json``.

        A refused key, and an entry that is no object, is left out and stands
        in `warnings`; the others live on.  Of a key that stands twice the last
        counts.

        Parameters
        ----------
        body : bytes or bytearray
            JSON in UTF-8, with or without a byte order mark.  It is kept, and
            must never change again.
        vouched_entries : int, optional
            Given if a digest vouches for the bytes.  What looks like canonical
            form is then checked when it is read, and by `checking`.  The number
            is somebody's claim and is not believed: entries are counted.
        newlines : int, optional
            How many bytes of `body` are newlines, if they were counted
            already, as while it was hashed.
        before : Index, optional
            An older snapshot: entries that are the same bytes there are not
            checked again.

        Raises
        ------
        IndexFormatError
            It is no JSON object in UTF-8, holds NaN, Infinity or a number that
            overflows, or is nested more than a hundred deep.

        Notes
        -----
        For a million entries in canonical form vouched for: 40 ms; otherwise
        one to two seconds, in pieces that let other threads run if the form is
        canonical.
        """
        known = None if before is None else before._shared
        shared, warnings = parse(
            body, is_vouched=vouched_entries is not None, newlines=newlines, before=known
        )
        return cls(shared, warnings=warnings)

    @classmethod
    def from_entries(cls, entries: Mapping[str, Mapping[str, Any]]) -> Index:
        """Build an index from keys and decoded metadata, which are copied.

        Raises
        ------
        IndexFormatError
            A key is refused, or a field is nothing that JSON can say.
        """
        return cls.from_items((key, entries[key]) for key in sorted(entries))

    @classmethod
    def from_items(cls, items: Iterable[tuple[str, Mapping[str, Any]]]) -> Index:
        """Build an index from keys, in order, and the metadata of each, taken one by one.

        Raises
        ------
        IndexFormatError
            A key is refused, or a field is nothing that JSON can say.
        """
        keys, lines = [], []
        for key, metadata in items:
            keys.append(key)
            lines.append(canonical_line(key, metadata))
        are_objects = all(line.endswith(b"}") for line in lines)
        if are_objects and are_keys(keys) and all(map(operator.lt, keys, islice(keys, 1, None))):
            return cls(written_lines(lines))
        index = cls.parse(b"{\n" + b",\n".join(lines) + b"\n}\n")
        if index.warnings:
            raise IndexFormatError(index.warnings[0])
        return index

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the document; it is parsed and checked where it is unpickled."""
        return _unpickled, (b"".join(self.document()), self.warnings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong in the document and left out; the first hundred."""
        return tuple(dict.fromkeys([*self._warnings, *self._shared.problems]))

    # -- what was not checked when it was parsed ---------------------------------------

    @property
    def is_checked(self) -> bool:
        """Whether all entries are known to be what they should be."""
        return self._shared.is_checked

    @property
    def is_document(self) -> bool:
        """Whether this is what one document says, and not what changes made of it."""
        return not self._overlay.changes

    @property
    def refusal(self) -> str | None:
        """Why the document is no index, if that was found after it was parsed; else None.

        All that reads entries raises `IndexFormatError` then.
        """
        return self._shared.refusal

    def checking(self) -> Iterator[None]:
        """Check what was not checked when the document was parsed, 16 KiB a step.

        What is read meanwhile is checked first.  As soon as anything turns out
        not to be in canonical form, the whole document is parsed as any JSON,
        and this snapshot says what that says.

        Raises
        ------
        IndexFormatError
            While iterating: the document is no index.
        """
        return self._shared.checking()

    def checked(self) -> Index:
        """Return this snapshot with all that is left to check checked, now.

        Raises
        ------
        IndexFormatError
            The document is no index.
        """
        shared = self._shared.checked()
        if shared is self._shared:
            return self
        return Index(shared, warnings=self.warnings).changed_by(
            self._overlay.changes, self.warnings
        )

    # -- reading -----------------------------------------------------------------------

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the metadata of a key, a copy of the caller's own."""
        raw = self.raw(key)
        if raw is None:
            raise KeyError(key)
        return visible_metadata(raw)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order of their code points."""
        if not self._overlay.changes:
            return iter(self._shared)
        kept = (key for key in self._shared if key not in self._overlay.changes)
        return merge(kept, self._overlay)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._shared) + self._overlay.surplus

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key; anything at all may be asked for."""
        return self.raw(key) is not None

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

        The first query of a field takes a pass over all entries; further ones
        cost what they find.  Predicates are called for one entry after the
        other, while the result is consumed.

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
        if where is None and len(equals) == 1:  # the shortest way, for what is asked most often
            ((field, value),) = equals.items()
            if type(value) is str and field != "packed":
                return self._laid_over(
                    self._shared.keys_with(field, value), self._overlay.keys_with(field, value)
                )
        conditions = Conditions(where, equals)
        wanted = _indexed(conditions)
        if wanted and len(wanted) == len(conditions):
            return self._laid_over(
                in_all([self._shared.keys_with(*pair) for pair in wanted]),
                in_all([self._overlay.keys_with(*pair) for pair in wanted]),
            )
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

    def field_values(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over all keys, in order, with the value of one field; None where it is missing.

        Nothing else of the entries is decoded.

        Examples
        --------
        >>> list(Index.from_entries({"a": {"size": 5, "title": "A"}, "b": {}}).field_values("size"))
        [('a', 5), ('b', None)]
        """
        if field == "packed":  # which may be the reader's own business
            return ((key, metadata.get(field)) for key, metadata in self.query())
        values = self._shared.values_of(field)
        if not self._overlay.changes:
            return values
        kept = (pair for pair in values if pair[0] not in self._overlay.changes)
        own = ((key, metadata.get(field)) for key, metadata in self._overlay.items())
        return merge(kept, own, key=operator.itemgetter(0))

    def raw(self, key: object) -> msgspec.Raw | bytes | None:
        """Return the JSON text of an entry as it came, or None; for what compares and copies."""
        if not isinstance(key, str):
            return None
        if key in self._overlay.changes:
            return self._overlay.changes[key]
        return self._shared.get(key)

    def contents_of(self, keys: Iterable[str]) -> dict[str, Content]:
        """Tell what the entries of many keys say of the bytes of their values.

        What the index lacks is missing, too.  Keys that are near to each other
        cost less than each for itself.
        """
        changes = self._overlay.changes
        wanted = {key for key in keys if isinstance(key, str)}
        found = dict(self._shared.contents_of(sorted(wanted.difference(changes))))
        for key in wanted.intersection(changes):
            if (raw := changes[key]) is not None:
                found[key] = Content.of(codec.decode(raw))
        return found

    def shares_with(self, other: Index) -> bool:
        """Tell whether both snapshots are changes laid over the same entries."""
        return self._shared is other._shared

    def keys_of_other_bytes(self, other: Index, *, is_final: bool = True) -> Iterator[str]:
        """Yield the keys whose raw entries are not the same bytes in both, in no order.

        Of two snapshots that share most of their entries only the others are looked at.

        Parameters
        ----------
        other : Index
            A snapshot.
        is_final : bool, optional
            False if it may be found later, in `checking`, that one of the two
            is another than its lines say.
        """
        keys = self._overlay.changes.keys() | other._overlay.changes.keys()
        if not self.shares_with(other):
            keys |= set(self._differing_keys(other, is_final=is_final))
        for key in keys:
            mine, theirs = self.raw(key), other.raw(key)
            if mine is theirs or mine == theirs:
                continue
            if mine is None or theirs is None or bytes(mine) != bytes(theirs):
                yield key

    def _differing_keys(self, other: Index, *, is_final: bool) -> Iterable[str]:
        old, new = self._shared, other._shared
        lines, newer = lines_of(old), lines_of(new)
        if lines is not None and newer is not None and (old.is_checked or not is_final):
            try:
                return lines.prove(newer)
            except IndexFormatError:  # one of the two is in another form
                pass
        return old.checked().differing_keys(new.checked())

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
        return self._shared.has_at_least((len(self._overlay.changes) + count) * _FOLDED_ABOVE)

    def changed_by(
        self, changes: Mapping[str, msgspec.Raw | bytes | None], warnings: Iterable[str] = ()
    ) -> Index:
        """Return the snapshot in which these keys have these raw entries, None for none.

        Few changes are laid over the entries that both snapshots share.  When
        there are many of them they are folded in: the pieces in which they
        stand are written anew, and the groups of queried fields go along.
        """
        changed = {**self._overlay.changes, **changes}
        shared = None if self.has_room_for(len(changes)) else self._foldable()
        if shared is not None:
            return Index(shared.changed_by(changed), warnings=warnings)
        surplus = self._overlay.surplus + sum(raw is not None for raw in changes.values())
        surplus -= sum(self.raw(key) is not None for key in changes)
        return Index(self._shared, Overlay(changed, surplus), warnings)

    def _foldable(self) -> Stored | None:
        """Return the shared entries, checked to their end; None if they turn out to be others.

        Who holds what turns out not to be in canonical form fetches the document anew.
        """
        were_lines = lines_of(self._shared) is not None
        shared = self._shared.checked()
        return None if were_lines and lines_of(shared) is None else shared

    def succeed(self, other: Index, keys: Iterable[str]) -> None:
        """Take over what queries of another snapshot built, before anybody sees this one.

        Parameters
        ----------
        other : Index
            The snapshot.
        keys : iterable of str
            In which both differ.
        """
        differing = {*keys, *self._overlay.changes, *other._overlay.changes}
        self._shared.follow(other._shared, differing)

    def packed_entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the entries that name a place in a pack, and this with them, in key order."""
        return (pair for pair in self._decoded() if is_packed(pair[1].get("packed")))

    def _found(self, conditions: Conditions) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the entries that fulfill all conditions, decoded, in key order."""
        for key, metadata in self._decoded(_indexed(conditions)):
            _hide_packed(metadata)
            if conditions.match(metadata):
                yield key, metadata

    def _decoded(
        self, wanted: Sequence[tuple[str, Hashable]] = ()
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode entries, in key order: those that may have the wanted values of fields, or all."""
        if wanted:
            keys = in_all([self._shared.keys_with(*pair) for pair in wanted])
            entries = self._shared.entries_of(keys)
        else:
            entries = self._shared.items()
        if not self._overlay.changes:
            return entries
        kept = (pair for pair in entries if pair[0] not in self._overlay.changes)
        return merge(kept, self._overlay.items(), key=operator.itemgetter(0))

    def _laid_over(self, shared: Sequence[str], own: Sequence[str]) -> Iterator[str]:
        """Iterate over shared keys but for those that changed, and over changed ones, in order."""
        changes = self._overlay.changes
        if not changes:
            return iter(shared)
        gone: Iterable[str] = self._overlay.in_order
        if len(shared) < _FEW_PER_CHANGE * len(changes):  # a look at each costs less than a search
            gone = self._overlay.keys.intersection(shared)
        return iter(replaced(shared, gone, own)) if gone or own else iter(shared)

    def canonical(self) -> bytes:
        r"""Write the index in canonical form: one line for each entry, sorted.

        Examples
        --------
        >>> Index.parse(b'{"b": {}, "a": {"y": 1, "x": "\\u00e9"}}').canonical().decode()
        '{\n"a":{"x":"é","y":1},\n"b":{}\n}\n'
        """
        return self._folded().canonical()

    def document(self) -> Iterator[bytes | memoryview]:
        """Write the index as JSON in pieces: in canonical form if it came so, else in any order.

        Examples
        --------
        >>> b"".join(Index.parse(b'{"a": {}}').document())
        b'{"a":{}}'
        """
        return self._folded().document()

    @property
    def is_canonical(self) -> bool:
        """Whether the entries are kept as the lines of a document in canonical form."""
        return lines_of(self._shared) is not None

    def lines(self) -> Lines | None:
        """Return the lines of the index in canonical form; None if it is kept in another.

        If they are not checked, reading them may raise `IndexFormatError`.
        """
        lines, changes = lines_of(self._shared), self._overlay.changes
        try:
            return lines.changed_by(changes) if changes and lines is not None else lines
        except IndexFormatError:  # they were not checked yet
            return None

    def _folded(self) -> Stored:
        changes = self._overlay.changes
        return self._shared.changed_by(changes) if changes else self._shared


def _unpickled(document: bytes, warnings: tuple[str, ...]) -> Index:
    return Index(Index.parse(document)._shared, warnings=warnings)


def _indexed(conditions: Conditions) -> list[tuple[str, Hashable]]:
    """Return the fields, and what they must equal, that groups can answer."""
    wanted = [(field, frozen(value)) for field, value in conditions.equal if field != "packed"]
    return [(field, value) for field, value in wanted if value is not NOT_INDEXED]


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
    if len(text) > 2 * DEEPEST:  # so many brackets it takes
        check_depth(text, 1)
    return name + b":" + text


def visible_metadata(raw: msgspec.Raw | bytes) -> dict[str, Any]:
    """Decode an entry, less what is the reader's own business (``packed``)."""
    metadata: dict[str, Any] = codec.decode(raw)
    _hide_packed(metadata)
    return metadata


def _hide_packed(metadata: dict[str, Any]) -> None:
    if is_packed(metadata.get("packed")):
        del metadata["packed"]
