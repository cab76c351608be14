"""Indexes of the fields that were queried, built when they are needed and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import ref

from cachetools import LRUCache

from ... import tuning
from ...errors import IndexFormatError
from ...processes import PerProcess, is_held
from ...query.comparison import field_value
from .. import codec
from .box_index import BoxIndex
from .column import FieldColumn
from .field_index import FieldIndex
from .found import KeysByPosition
from .value_groups import young_collected

if TYPE_CHECKING:
    import msgspec

__all__ = ["FieldIndexes"]

T = TypeVar("T")
Owner = TypeVar("Owner")


class FieldIndexes:
    """The indexes of the fields that were queried.

    When all of them take more than 512 MiB, the least recently used are
    evicted.  Safe to use from any thread.

    Parameters
    ----------
    owner : object
        Has the entries; not kept alive.  In a circle with its indexes, a document of
        hundreds of megabytes would stay in memory until the garbage collector comes by.
    values : callable
        Takes the owner and a field; returns an iterable of each key, in order, and its
        value.  This is a pass over all entries.
    keys : callable
        Takes the owner; returns an iterable of the keys, in order.
    runs : callable, optional
        Takes the owner and a field; returns an iterable of lists of the values alone.
    """

    def __init__(
        self,
        owner: Owner,
        values: Callable[[Owner, str], Iterable[tuple[str, Any]]],
        keys: Callable[[Owner], Iterable[str]],
        runs: Callable[[Owner, str], Iterable[list[Any]]] | None = None,
    ) -> None:
        # Not `WeakMethod`: a Ctrl-C that arrives in its callback is lost.
        self._owner = ref(owner)
        self._values = values
        self._runs = runs
        self._all_keys = keys
        self._keys_by_position: KeysByPosition | None = None
        # One pass at a time: two would only take turns, and may be for the same field.
        self._building = PerProcess(threading.RLock)
        # Asked for last; found without a lock (benchmark: query unique).
        self._last: tuple[str | None, FieldIndex] = None, FieldIndex(())
        self._last_built: tuple[str, str | None, Any] = "", None, None  # benchmark: box
        self._built = PerProcess(_Built, after_fork=_Built.or_new)

    def keys(self, field: str, value: Hashable) -> Sequence[str]:
        """Return the keys whose field has a value, in order."""
        last, index = self._last
        if last != field:
            index = self._index_of(field)
            self._last = field, index
        return index.keys(value)

    def _entries(self) -> Any:
        owner = self._owner()
        if owner is None:
            raise IndexFormatError("these entries were replaced")
        return owner

    def _index_of(self, field: str) -> FieldIndex:
        return self._one("index", field, lambda: FieldIndex(self._values(self._entries(), field)))

    def column(self, field: str) -> FieldColumn:
        """Return the values of a field in order."""
        return self._one("column", field, lambda: FieldColumn(self._runs_of(field)))

    def boxes(self, field: str) -> BoxIndex:
        """Return the bounding boxes in a field."""
        return self._one("boxes", field, lambda: BoxIndex(self._runs_of(field)))

    def _runs_of(self, field: str) -> Iterable[list[Any]]:
        if self._runs is not None:
            return self._runs(self._entries(), field)
        return young_collected(self._own_runs(field))

    def _own_runs(self, field: str) -> Iterator[list[Any]]:
        values = (value for _, value in self._values(self._entries(), field))
        while run := list(islice(values, tuning.COLUMN_RUN_ENTRIES)):
            yield run

    def keys_by_position(self) -> KeysByPosition:
        """Return the keys by position."""
        if self._keys_by_position is None:
            self._keys_by_position = KeysByPosition(self._all_keys(self._entries()))
        return self._keys_by_position

    def total(self) -> int:
        """Count the entries."""
        return len(self.keys_by_position())

    def _one(self, kind: str, field: str, build: Callable[[], T]) -> T:
        last_kind, last_field, found = self._last_built
        if last_field != field or last_kind != kind:
            found = self._known(kind, field)
            if found is None:
                with self._building.get():
                    found = self._known(kind, field)
                    if found is None:
                        found = build()
                        self._keep(kind, field, found)
            self._last_built = kind, field, found
        known: T = found
        return known

    def _known(self, kind: str, field: str) -> Any:
        built = self._built.get()
        with built.lock:
            return built.indexes.get((kind, field))

    def _keep(self, kind: str, field: str, index: Any) -> None:
        built = self._built.get()
        with built.lock:
            built.indexes[kind, field] = index

    def wait(self) -> None:
        """Wait for the pass that is running, if any."""
        with self._building.get():
            pass

    def follow(
        self,
        other: FieldIndexes,
        before: Mapping[str, msgspec.Raw | bytes],
        after: Mapping[str, msgspec.Raw | bytes],
    ) -> None:
        """Take over the indexes of other entries, from which these differ.

        Parameters
        ----------
        other : FieldIndexes
            The indexes to take over.
        before, after : mapping
            The raw entries that differ, there and here, in key order.
        """
        built = other._built.get()
        with built.lock:
            known = dict(built.indexes)
        old = {key: codec.decode(raw) for key, raw in before.items()}
        new = {key: codec.decode(raw) for key, raw in after.items()}
        for (kind, field), index in known.items():
            if isinstance(index, FieldIndex):  # the others are built again when they are needed
                changed = index.changed_by(_values_of(old, field), _values_of(new, field))
                self._keep(kind, field, changed)


class _Built:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        # An index that is larger than the bound by itself is kept all the same.
        most = tuning.FIELD_INDEXES_BYTES
        self.indexes: LRUCache[tuple[str, str], Any] = LRUCache(
            most, getsizeof=lambda index: min(index.size, most)
        )

    def or_new(self) -> _Built:
        # In a child that was forked while a thread was changing it, start anew.
        return _Built() if is_held(self.lock) else self


def _values_of(entries: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {key: field_value(entry, field) for key, entry in entries.items()}
