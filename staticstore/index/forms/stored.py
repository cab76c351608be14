"""How entries are kept: what each form can do, and changes laid over one of them."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any

from ... import tuning
from ...errors import IndexFormatError
from ...query.comparison import field_value
from .. import codec
from ..fields import Content
from .field_index import in_all, replaced
from .field_indexes import FieldIndexes
from .search import Layer, Matches, search

if TYPE_CHECKING:
    from ...query.conditions import Conditions
    from ...query.sort_order import SortOrder
    from ..codec import Raw
    from .found import Found

    #: Raw entries by key; None for a key that is deleted.
    RawChanges = Mapping[str, Raw | None]

__all__ = ["Overlay", "Stored"]

_KEY = operator.itemgetter(0)


class Stored(ABC):
    """Entries in key order, never changed; shared by snapshots and threads.

    There are four forms: `Entries` are a dictionary, `Lines` the lines of a document in
    canonical form, `UncheckedLines` such lines that are checked later, and an `Overlay` is
    changes of one of these.
    """

    #: The changes laid over `base`.
    changes: Mapping[str, Raw | None] = {}
    #: How many more entries there are than in `base`.
    surplus = 0

    def __init__(self) -> None:
        kind = type(self)
        #: The indexes of the fields that were queried.
        self.field_indexes = FieldIndexes(self, kind.values_of, kind.__iter__)

    # -- checks that are left for later ------------------------------------------------

    @property
    def is_checked(self) -> bool:
        """Whether all entries are known to be valid."""
        return True

    def checking(self) -> Iterator[None]:
        """Check what is not checked yet, 16 KiB a step; what is read meanwhile, first.

        Raises
        ------
        IndexFormatError
            While iterating: the document is not an index.
        """
        return iter(())

    def checked(self) -> Stored:
        """Return these entries after checking all of them; raises as `checking`."""
        return self

    @property
    def problems(self) -> tuple[str, ...]:
        """What was left out when the document was checked after the swap."""
        return ()

    @property
    def refusal(self) -> str | None:
        """Why the document is not an index, if that was found after the swap."""
        return None

    # -- reading -----------------------------------------------------------------------

    @abstractmethod
    def get(self, key: str) -> Raw | None:
        """Return the raw entry of a key, or None."""

    def __contains__(self, key: object) -> bool:
        """Return whether there is such a key."""
        return isinstance(key, str) and self.get(key) is not None

    @abstractmethod
    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""

    @abstractmethod
    def keys_from(self, start: str) -> Iterator[str]:
        """Iterate over the keys that are not less than a text, in order."""

    @abstractmethod
    def __len__(self) -> int:
        """Count the keys."""

    def has_at_least(self, count: int) -> bool:
        """Return whether there are so many keys; does not count them if that takes long."""
        return len(self) >= count

    @abstractmethod
    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Iterate over keys and decoded entries, in key order."""

    @abstractmethod
    def entries_of(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode the entries of some keys, given in order; unknown keys are left out."""

    def content_of(self, key: str, entry: Mapping[str, Any]) -> Content:
        """Read what a decoded entry, one of these, says of its value's bytes."""
        return Content.of(entry)

    @abstractmethod
    def contents_of(self, keys: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Read what some entries say of their values' bytes; otherwise as `entries_of`."""

    @abstractmethod
    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """Iterate over keys and the values of a field, None if missing, in key order."""

    def search(self, conditions: Conditions, order: SortOrder | None) -> Matches:
        """Answer conditions by indexes of the fields; see `keys_with`."""
        return search(self.field_indexes, conditions, order)

    def keys_with(self, field: str, value: Hashable) -> Sequence[str]:
        """Return the keys of the entries whose field has a value, in order.

        The first call for a field takes a pass over all entries; later ones cost a look-up.
        """
        return self.field_indexes.keys(field, value)

    def keys_with_all(self, wanted: Sequence[tuple[str, Hashable]]) -> Sequence[str]:
        """Return the keys of the entries with all these values, in order; see `keys_with`."""
        return in_all([self.keys_with(*pair) for pair in wanted])

    # -- other entries -----------------------------------------------------------------

    @property
    def base(self) -> Stored:
        """What these entries are changes of; themselves unless they are an `Overlay`."""
        return self

    def has_room_for(self, count: int) -> bool:
        """Return whether so many more changes can be laid over `base`."""
        count += len(self.changes)
        return self.base.has_at_least(count * tuning.OVERLAY_ENTRIES_PER_CHANGE)

    def changed_by(self, changes: RawChanges) -> Stored:
        """Return these entries with some changes.

        Few changes are laid over the entries.  When there are too many they are folded in: the
        pieces with changes are written anew, and the field indexes are updated.
        """
        if not changes:
            return self
        changed = {**self.changes, **changes}
        foldable = None if self.has_room_for(len(changes)) else self._foldable()
        if foldable is not None:
            return foldable.folded(changed)
        surplus = self.surplus + sum(raw is not None for raw in changes.values())
        surplus -= sum(self.get(key) is not None for key in changes)
        return Overlay(self.base, changed, surplus)

    def _foldable(self) -> Stored | None:
        # Lines that turn out not to be canonical stay as they are, until the store has fetched
        # the index anew: the changes may have been found by comparing lines.
        were_lines = self.base.lines() is not None
        checked = self.base.checked()
        return None if were_lines and checked.lines() is None else checked

    @abstractmethod
    def folded(self, changes: RawChanges) -> Stored:
        """Return these entries with the changes written in, and field indexes to match."""

    def follow(self, other: Stored, keys: Iterable[str]) -> None:
        """Take over the field indexes of other entries, which differ in some keys."""
        mine, theirs = self.base, other.base
        some = sorted({*keys, *self.changes, *other.changes})
        before = {key: raw for key in some if (raw := theirs.get(key)) is not None}
        after = {key: raw for key in some if (raw := mine.get(key)) is not None}
        mine.field_indexes.follow(theirs.field_indexes, before, after)

    def keys_of_other_bytes(self, other: Stored, *, is_final: bool) -> Iterator[str]:
        """Yield the keys with different raw entries: `Index.keys_of_other_bytes`."""
        keys = self.changes.keys() | other.changes.keys()
        if self.base is not other.base:
            keys |= set(self.base._candidates(other.base, is_final))
        for key in keys:
            mine, theirs = self.get(key), other.get(key)
            if mine is theirs or mine == theirs:
                continue
            if mine is None or theirs is None or bytes(mine) != bytes(theirs):
                yield key

    def _candidates(self, other: Stored, is_final: bool) -> Iterable[str]:
        mine, theirs = self.lines(), other.lines()
        if mine is not None and theirs is not None and (self.is_checked or not is_final):
            try:
                return mine.keys_that_may_differ(theirs)
            except IndexFormatError:  # one of the two is not in canonical form
                pass
        return self.checked().keys_that_may_differ(other.checked())

    def keys_that_may_differ(self, other: Stored) -> Iterable[str]:
        """Return the keys whose raw entries may be different bytes, in any order."""
        yield from (key for key in other if self.get(key) != other.get(key))
        yield from (key for key in self if key not in other)

    # -- writing -----------------------------------------------------------------------

    def lines(self) -> Stored | None:
        """Return these entries as `Lines`, checked or not; None in another form."""
        return None

    @abstractmethod
    def canonical(self) -> bytes:
        """Write the entries as a document in canonical form."""

    @abstractmethod
    def document(self) -> Iterator[bytes | memoryview]:
        """Write the entries as a document in whatever form costs least, in pieces."""


class Overlay(Stored):
    """Changes laid over entries that stay shared with other snapshots.

    Parameters
    ----------
    base : Stored
        The entries, in another form than this.
    changes : mapping
        At least one.
    surplus : int
        How many more entries there are with the changes.
    """

    def __init__(self, base: Stored, changes: RawChanges, surplus: int) -> None:
        self._base = base
        self.changes = changes
        self.surplus = surplus
        # No `cached_property`: up to Python 3.11, a fork may copy its held lock.
        self._in_order: list[str] | None = None
        #: Of the changed entries alone.
        self.field_indexes = FieldIndexes(self, Overlay._own_values, Overlay._own_keys)
        self._gone: tuple[FieldIndexes, Found] | None = None

    @property
    def base(self) -> Stored:
        """See `Stored`."""
        return self._base

    @property
    def is_checked(self) -> bool:
        """Whether the base is checked."""
        return self._base.is_checked

    def checking(self) -> Iterator[None]:
        """Check the base; see `Stored`."""
        return self._base.checking()

    def checked(self) -> Stored:
        """Return the same changes of the checked base; see `Stored`."""
        base = self._base.checked()
        return self if base is self._base else base.changed_by(self.changes)

    @property
    def problems(self) -> tuple[str, ...]:
        """See `Stored`."""
        return self._base.problems

    @property
    def refusal(self) -> str | None:
        """See `Stored`."""
        return self._base.refusal

    def get(self, key: str) -> Raw | None:
        """See `Stored`."""
        return self.changes[key] if key in self.changes else self._base.get(key)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return self._with_changes(iter(self._base), self._changed_keys())

    def keys_from(self, start: str) -> Iterator[str]:
        """See `Stored`."""
        changed = self._changed_keys()
        return self._with_changes(
            self._base.keys_from(start), islice(changed, bisect_left(changed, start), None)
        )

    def _own_keys(self) -> Iterator[str]:
        return (key for key in self._changed_keys() if self.changes[key] is not None)

    def _with_changes(self, keys: Iterator[str], changed: Iterable[str]) -> Iterator[str]:
        own = (key for key in changed if self.changes[key] is not None)
        return merge((key for key in keys if key not in self.changes), own)

    def __len__(self) -> int:
        """Count the keys."""
        return len(self._base) + self.surplus

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        return self._merged(self._base.items(), self._own(self._changed_keys()))

    def entries_of(self, keys: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """See `Stored`."""
        return self._merged(self._base.entries_of(keys), self._own(keys))

    def content_of(self, key: str, entry: Mapping[str, Any]) -> Content:
        """See `Stored`."""
        return self._base.content_of(key, entry)

    def contents_of(self, keys: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """See `Stored`."""
        own = ((key, self.content_of(key, entry)) for key, entry in self._own(keys))
        return self._merged(self._base.contents_of(keys), own)

    def values_of(self, field: str) -> Iterator[tuple[str, Any]]:
        """See `Stored`."""
        return self._merged(self._base.values_of(field), self._own_values(field))

    def keys_with(self, field: str, value: Hashable) -> Sequence[str]:
        """See `Stored`."""
        own = self.field_indexes.keys(field, value)
        return self._merged_keys(self._base.keys_with(field, value), own)

    def keys_with_all(self, wanted: Sequence[tuple[str, Hashable]]) -> Sequence[str]:
        """See `Stored`."""
        own = in_all([self.field_indexes.keys(*pair) for pair in wanted])
        return self._merged_keys(self._base.keys_with_all(wanted), own)

    def search(self, conditions: Conditions, order: SortOrder | None) -> Matches:
        """See `Stored`: the answers of the base without what is changed, and of the changes."""
        base = self._base.search(conditions, order)
        own = search(self.field_indexes, conditions, order)
        ((indexes, found, _),) = base.layers
        left = (base.left and own.left and conditions) or base.left or own.left
        return Matches([Layer(indexes, found, self._replaced(indexes)), *own.layers], left)

    def _replaced(self, indexes: FieldIndexes) -> Found:
        if self._gone is None or self._gone[0] is not indexes:
            self._gone = indexes, indexes.keys_by_position().found(self._changed_keys())
        return self._gone[1]

    def folded(self, changes: RawChanges) -> Stored:
        """See `Stored`."""
        return self._base.folded({**self.changes, **changes})

    def lines(self) -> Stored | None:
        """See `Stored`; all changes are folded in."""
        lines = self._base.lines()
        try:
            return None if lines is None else lines.folded(self.changes)
        except IndexFormatError:  # they were not checked yet
            return None

    def canonical(self) -> bytes:
        """See `Stored`."""
        return self.folded({}).canonical()

    def document(self) -> Iterator[bytes | memoryview]:
        """See `Stored`."""
        return self.folded({}).document()

    def _changed_keys(self) -> list[str]:
        if self._in_order is None:
            self._in_order = sorted(self.changes)
        return self._in_order

    def _own(self, keys: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Decode those of some entries that are changed."""
        raws = ((key, self.changes[key]) for key in filter(self.changes.__contains__, keys))
        return ((key, codec.decode(raw)) for key, raw in raws if raw is not None)

    def _own_values(self, field: str) -> Iterator[tuple[str, Any]]:
        return ((key, field_value(entry, field)) for key, entry in self._own(self._changed_keys()))

    def _merged(
        self, theirs: Iterator[tuple[str, Any]], own: Iterator[tuple[str, Any]]
    ) -> Iterator[tuple[str, Any]]:
        return merge((pair for pair in theirs if pair[0] not in self.changes), own, key=_KEY)

    def _merged_keys(self, theirs: Sequence[str], own: Sequence[str]) -> Sequence[str]:
        gone: Iterable[str] = self._changed_keys()
        if len(theirs) < tuning.SEARCHED_KEYS_PER_CHANGE * len(self.changes):
            gone = self.changes.keys() & theirs
        return replaced(theirs, gone, own) if gone or own else theirs
