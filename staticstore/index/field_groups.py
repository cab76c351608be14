"""The groups of the fields that were queried: built when asked for, bounded in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from ..processes import PerProcess, is_held
from . import codec
from .groups import Groups

if TYPE_CHECKING:
    import msgspec

__all__ = ["FieldGroups"]

_MOST_MEMORY = 512 << 20  # bytes, for the groups of all fields that were asked for


class FieldGroups:
    """The groups of some entries, for each field that was asked for.

    The least recently asked for are dropped when all of them take more than
    half a gibibyte.  Any thread may ask.

    Parameters
    ----------
    values : callable
        Gives, for a field, each key in order and its value; a pass over all entries.
    """

    def __init__(self, values: Callable[[str], Iterable[tuple[str, Any]]]) -> None:
        self._values = values
        # One pass at a time: two would take turns, and may be for the same field.
        self._building = PerProcess(threading.RLock)
        # The last one asked for needs no change of the order in which they are dropped.
        self._last: tuple[str | None, Groups] = None, Groups(())
        self._built = PerProcess(_Built, after_fork=_Built.or_new)

    def keys(self, field: str, value: Hashable) -> Sequence[str]:
        """Return the keys whose field has a value, in order."""
        last, groups = self._last
        if last != field:
            groups = self._groups_of(field)
            self._last = field, groups
        return groups.keys(value)

    def _groups_of(self, field: str) -> Groups:
        groups = self._known(field)
        if groups is None:
            with self._building.get():
                groups = self._known(field)
                if groups is None:
                    groups = Groups(self._values(field))
                    self._keep(field, groups)
        return groups

    def _known(self, field: str) -> Groups | None:
        built = self._built.get()
        with built.lock:
            return built.groups.get(field)

    def _keep(self, field: str, groups: Groups) -> None:
        built = self._built.get()
        with built.lock:
            built.groups[field] = groups

    def wait(self) -> None:
        """Wait for the pass that is going on, if there is one."""
        with self._building.get():
            pass

    def follow(
        self,
        other: FieldGroups,
        before: Mapping[str, msgspec.Raw | bytes],
        after: Mapping[str, msgspec.Raw | bytes],
    ) -> None:
        """Take over the groups of other entries, from which these differ.

        Parameters
        ----------
        other : FieldGroups
            Where the groups come from.
        before, after : mapping
            The raw entries that differ, in key order, there and here.
        """
        built = other._built.get()
        with built.lock:
            known = dict(built.groups)
        then = {key: codec.decode(raw) for key, raw in before.items()}
        now = {key: codec.decode(raw) for key, raw in after.items()}
        for field, groups in known.items():
            changed = groups.changed_by(_of(then, field), _of(now, field))
            self._keep(field, changed)


class _Built:
    """The groups that were built, under a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        # One that is larger than the bound alone is kept all the same.
        self.groups: LRUCache[str, Groups] = LRUCache(
            _MOST_MEMORY, getsizeof=lambda groups: min(groups.size, _MOST_MEMORY)
        )

    def or_new(self) -> _Built:
        """Return this, or an empty one in a child forked while a thread was changing it."""
        return _Built() if is_held(self.lock) else self


def _of(entries: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {key: entry.get(field) for key, entry in entries.items()}
