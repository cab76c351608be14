"""A snapshot: what a site says at one moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from .. import tuning
from . import codec
from .fields import Content, visible_metadata
from .forms.entries import Entries
from .forms.lines import Lines
from .forms.parsing import build, parse
from .hidden import hide, is_packed
from .notebook import index_html
from .queries import Queries

if TYPE_CHECKING:
    from .codec import Raw
    from .forms.stored import RawChanges, Stored

__all__ = ["Index"]


class Index(Queries):
    """The keys of a site and their metadata, immutable and in key order.

    Entries are kept as the raw JSON they came in and decoded when they are read, so that
    each dict is the caller's own.  Keys are ordered by code point.  Any number of threads
    may share an index without a lock.  Two are equal if their visible metadata is.  Build
    one with `parse` or `from_entries`.

    Examples
    --------
    >>> index = Index.parse(b'{"b.tif": {"type": "raster", "size": 7}, "a.csv": {"type": "table"}}')
    >>> list(index)
    ['a.csv', 'b.tif']
    >>> list(index.query(select=["size"], type="raster"))
    [('b.tif', {'size': 7})]
    """

    __slots__ = ("__weakref__", "_warnings")

    def __init__(self, stored: Stored, warnings: Iterable[str] = ()) -> None:
        self.stored = stored  # checked: `parse` and `from_entries` do that
        self._warnings = tuple(warnings)

    @classmethod
    def parse(
        cls,
        body: bytes | bytearray,
        *,
        vouched_entries: int | None = None,
        newlines: int | None = None,
        before: Index | None = None,
        https_only: bool = False,
    ) -> Index:
        """Parse the bytes of an ``index.json``.

        A refused key, and an entry that is not an object, is left out and named in `warnings`.
        Of a duplicate key the last entry counts.

        Parameters
        ----------
        body : bytes or bytearray
            JSON in UTF-8, with or without a byte order mark; kept, and never to be changed.
        vouched_entries : int, optional
            Given if a digest vouches for the bytes.  What looks like canonical form is then
            checked when it is read, and by `checking`.  The number is only a claim.
        newlines : int, optional
            The number of newlines in `body`, if they were counted already (when hashed).
        before : Index, optional
            An older snapshot: entries that are the same bytes there are not
            checked again.
        https_only : bool, optional
            Whether the root is at https, so that an entry whose value is at http is left out.

        Raises
        ------
        IndexFormatError
            It is not a JSON object in UTF-8, holds NaN, Infinity or a number
            that overflows, or is nested more than a hundred deep.

        Notes
        -----
        A million entries take 40 ms in canonical form with a digest, else one to two
        seconds; if the form is canonical, other threads can run in between.
        """
        stored, warnings = parse(
            body,
            is_vouched=vouched_entries is not None,
            newlines=newlines,
            before=None if before is None else before.stored.base,
            https_only=https_only,
        )
        return cls(stored, warnings)

    @classmethod
    def from_entries(cls, entries: Mapping[str, Mapping[str, Any]]) -> Index:
        """Build an index from keys and decoded metadata, copied; raises as `from_items`."""
        return cls.from_items((key, entries[key]) for key in sorted(entries))

    @classmethod
    def from_items(cls, items: Iterable[tuple[str, Mapping[str, Any]]]) -> Index:
        """Build an index from keys, in order, and metadata, copied 256 at a time.

        Raises
        ------
        IndexFormatError
            A key is refused, or JSON cannot express a field.
        """
        return cls(build(items))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the document; it is parsed and checked where it is unpickled."""
        return _unpickled, (b"".join(self.document()), self.warnings)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was wrong in the document and left out; the first hundred."""
        return tuple(dict.fromkeys([*self._warnings, *self.stored.problems]))

    @property
    def is_checked(self) -> bool:
        """Whether all entries are known to be valid."""
        return self.stored.is_checked

    @property
    def is_document(self) -> bool:
        """Whether this is what one document says, without changes applied to it."""
        return self.stored.base is self.stored

    @property
    def refusal(self) -> str | None:
        """Why the document is no index, if that was found after parsing; else None.

        All that reads entries then raises `IndexFormatError`.
        """
        return self.stored.refusal

    def readable(self) -> Index:
        """Return this snapshot, or an empty one if its document was refused."""
        return self if self.refusal is None else Index.from_entries({})

    def checking(self) -> Iterator[None]:
        """Check what was not checked when the document was parsed, 16 KiB a step.

        What is read meanwhile is checked first.  As soon as anything turns out
        not to be in canonical form, the whole document is parsed as any JSON,
        and this snapshot says what that says.

        Raises
        ------
        IndexFormatError
            While iterating: the document is not an index.
        """
        return self.stored.checking()

    def checked(self) -> Index:
        """Return this snapshot after checking all of it.

        Raises
        ------
        IndexFormatError
            The document is not an index.
        """
        stored = self.stored.checked()
        return self if stored is self.stored else Index(stored, self.warnings)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the metadata of a key, a copy of the caller's own."""
        raw = self.raw(key)
        if raw is None:
            raise KeyError(key)
        return visible_metadata(raw)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order of their code points."""
        return iter(self.stored)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self.stored)

    def __contains__(self, key: object) -> bool:
        """Return whether there is such a key; False for anything that is not a key."""
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

    def _repr_html_(self) -> str:
        return index_html(repr(self)[1:-1], self)

    def raw(self, key: object) -> Raw | None:
        """Return the JSON text of an entry as it came, or None; to compare and to copy it."""
        return self.stored.get(key) if isinstance(key, str) else None

    def described(self, key: str) -> tuple[dict[str, Any], Content]:
        """Return the metadata of a key, a copy, and what its entry says of its value's bytes.

        Raises
        ------
        KeyError
            There is no such key.
        """
        raw = self.raw(key)
        if raw is None:
            raise KeyError(key)
        return self._described(key, raw)

    def _described(self, key: str, raw: Raw) -> tuple[dict[str, Any], Content]:
        entry = codec.decode(raw)
        content = self.content_of(key, entry)
        hide(entry)
        return entry, content

    def content_of(self, key: str, entry: Mapping[str, Any]) -> Content:
        """Read what a decoded entry, that of a key, says of its value's bytes."""
        return self.stored.content_of(key, entry)

    def contents_of(self, keys: Iterable[str]) -> dict[str, Content]:
        """Return what the entries of many keys say of the bytes of their values.

        Unknown keys are left out.  Keys near each other cost less than each by itself.
        """
        wanted = dict.fromkeys(key for key in keys if isinstance(key, str))  # keeps the order
        return dict(self.stored.contents_of(sorted(wanted)))

    def only(self, keys: Iterable[str]) -> Index:
        """Return a snapshot with the entries of some keys alone; unknown ones are left out.

        Examples
        --------
        >>> list(Index.parse(b'{"a": {}, "b": {}}').only(["b", "c"]))
        ['b']
        """
        found = self.stored.entries_of(sorted(keys))
        return Index(Entries({key: codec.encode(entry) for key, entry in found}))

    def packed_entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the entries of packed values, ``packed`` included, in key order."""
        return (pair for pair in self.stored.items() if is_packed(pair[1].get("packed")))

    def shares_with(self, other: Index) -> bool:
        """Return whether both snapshots are changes of the same entries."""
        return self.stored.base is other.stored.base

    def keys_of_other_bytes(self, other: Index, *, is_final: bool = True) -> Iterator[str]:
        """Yield the keys whose raw entries are not the same bytes in both, in no order.

        What two snapshots share is not looked at.

        Parameters
        ----------
        other : Index
            A snapshot.
        is_final : bool, optional
            False if `checking` may still find that one of the two is not
            what its lines say.
        """
        return self.stored.keys_of_other_bytes(other.stored, is_final=is_final)

    def differs(self, other: Index, key: str) -> bool:
        """Return whether a key has other metadata in the other snapshot, or another place.

        A digest identifies the value: with a sha256, where it is does not matter.
        """
        mine, theirs = self.raw(key), other.raw(key)
        if mine is None or theirs is None:
            return mine is not theirs
        (here, before), (there, after) = self._described(key, mine), other._described(key, theirs)
        return here != there or (before.placed != after.placed and after.sha256 is None)

    def differing_keys(self, other: Index) -> Iterator[str]:
        """Yield the keys whose visible metadata is not the same in both, in no order.

        Equal bytes are equal metadata, so that few entries are decoded.
        """
        return (key for key in self.keys_of_other_bytes(other) if self.differs(other, key))

    def changed_by(self, changes: RawChanges, warnings: Iterable[str] = ()) -> Index:
        """Return the snapshot in which these keys have these raw entries, None for none.

        Few changes are laid over the entries that both snapshots share.  When
        there are too many they are folded in: the pieces with changes are
        written anew, and the indexes of queried fields are updated.
        """
        return Index(self.stored.changed_by(changes), warnings)

    def _ipython_key_completions_(self) -> list[str]:
        return list(islice(self, tuning.COMPLETED_INDEX_KEYS))

    def canonical(self) -> bytes:
        r"""Write the index in canonical form: one line for each entry, sorted.

        Examples
        --------
        >>> Index.parse(b'{"b": {}, "a": {"y": 1, "x": "\\u00e9"}}').canonical().decode()
        '{\n"a":{"x":"é","y":1},\n"b":{}\n}\n'
        """
        return self.stored.canonical()

    def document(self) -> Iterator[bytes | memoryview]:
        """Write the index as JSON in pieces: canonical if it came so, else in any order.

        Examples
        --------
        >>> b"".join(Index.parse(b'{"a": {}}').document())
        b'{"a":{}}'
        """
        return self.stored.document()

    @property
    def is_canonical(self) -> bool:
        """Whether the entries are kept as the lines of a document in canonical form."""
        return self.stored.base.lines() is not None

    def lines(self) -> Lines | None:
        """Return the lines of the index in canonical form; None if it is kept in another.

        If they are not checked, reading them may raise `IndexFormatError`.
        """
        lines = self.stored.lines()
        return lines if isinstance(lines, Lines) else None


def _unpickled(document: bytes, warnings: tuple[str, ...]) -> Index:
    return Index(Index.parse(document).stored, warnings)
