"""What differs between two snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from ..errors import IndexFormatError, quoted
from ..notebook import MOST_ROWS, table
from .snapshot import Index, visible_metadata

if TYPE_CHECKING:
    import msgspec

__all__ = ["Action", "Change", "Changes", "apply", "diff", "follow"]

Action = Literal["set", "update", "delete"]


class Change:
    """One key that differs between two snapshots.

    It is immutable; entries are decoded at each access, so the dicts are the
    caller's own, and a change that nobody looks into costs nothing.
    """

    __slots__ = ("_after", "_before", "_key")

    def __init__(
        self,
        key: str,
        before: msgspec.Raw | bytes | None,
        after: msgspec.Raw | bytes | None,
    ) -> None:
        """Take the raw entries before and after; None where the key is not there."""
        self._key = key
        self._before = before
        self._after = after

    @property
    def key(self) -> str:
        """The key."""
        return self._key

    @property
    def action(self) -> Action:
        """What happened: ``"set"`` if the key is new, ``"delete"`` if it is gone, ``"update"``."""
        if self._before is None:
            return "set"
        return "delete" if self._after is None else "update"

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The metadata after the change, a copy; None for a delete."""
        return None if self._after is None else visible_metadata(self._after)

    @property
    def previous(self) -> dict[str, Any] | None:
        """The metadata before the change, a copy; None for a set."""
        return None if self._before is None else visible_metadata(self._before)

    @property
    def before(self) -> msgspec.Raw | bytes | None:
        """The raw entry before the change, None for a set; for what applies changes."""
        return self._before

    @property
    def after(self) -> msgspec.Raw | bytes | None:
        """The raw entry after the change, None for a delete; for what applies changes."""
        return self._after

    def __eq__(self, other: object) -> bool:
        """Compare key and metadata, as decoded JSON."""
        if not isinstance(other, Change):
            return NotImplemented
        return (self.key, self.previous, self.metadata) == (
            other.key,
            other.previous,
            other.metadata,
        )

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the key and the entries."""
        entries = (None if raw is None else bytes(raw) for raw in (self._before, self._after))
        return Change, (self._key, *entries)

    def __repr__(self) -> str:
        """Show action and key."""
        return f"<Change: {self.action} {quoted(self.key)}>"


class Changes(Sequence[Change]):
    """All changes of a poll, in key order; falsy when there are none.

    Examples
    --------
    >>> old = Index.from_entries({"a": {"v": 1}, "b": {}})
    >>> new = Index.from_entries({"a": {"v": 2}, "c": {}})
    >>> changes = diff(old, new)
    >>> changes
    <Changes: 1 set, 1 update, 1 delete>
    >>> changes.update[0].previous
    {'v': 1}
    """

    __slots__ = ("_changes", "_index")

    def __init__(self, changes: Iterable[Change], index: Index | Callable[[], Index]) -> None:
        """Take changes in key order, and the snapshot or what gives it."""
        self._changes = tuple(changes)
        self._index = index

    @property
    def index(self) -> Index:  # type: ignore[override]  # the contract's name, not Sequence's
        """The snapshot that they lead to."""
        return self._index if isinstance(self._index, Index) else self._index()

    @overload
    def __getitem__(self, position: int) -> Change: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Change]: ...
    def __getitem__(self, position: int | slice) -> Change | Sequence[Change]:
        """Return one change, or a tuple of some."""
        return self._changes[position]

    def __iter__(self) -> Iterator[Change]:
        """Iterate in key order."""
        return iter(self._changes)

    def __len__(self) -> int:
        """Count the changes."""
        return len(self._changes)

    @property
    def set(self) -> tuple[Change, ...]:
        """The keys that are new."""
        return self._of("set")

    @property
    def update(self) -> tuple[Change, ...]:
        """The keys whose metadata is another."""
        return self._of("update")

    @property
    def delete(self) -> tuple[Change, ...]:
        """The keys that are gone."""
        return self._of("delete")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the changes, with the snapshot that they lead to."""
        return Changes, (self._changes, self.index)

    def _of(self, action: Action) -> tuple[Change, ...]:
        return tuple(change for change in self._changes if change.action == action)

    def __repr__(self) -> str:
        """Show how many there are of each kind."""
        return (
            f"<Changes: {len(self.set)} set, {len(self.update)} update, {len(self.delete)} delete>"
        )

    def _repr_html_(self) -> str:
        """Show the first of them in a notebook."""
        rows = [(change.key, change.action) for change in self._changes[:MOST_ROWS]]
        more = len(self) - len(rows)
        notes = [f"and {more} more"] if more else []
        return table(repr(self)[1:-1], rows, header=["key", "action"] if rows else (), notes=notes)


def diff(old: Index, new: Index) -> Changes:
    """Find what leads from one snapshot to another.

    Entries are compared as decoded JSON: another order of fields, other white
    space, ``1`` for ``1.0`` or another place in a pack is no change.

    Returns
    -------
    Changes
        In key order; empty if the snapshots are equal.
    """
    if old is new:
        return Changes((), new)
    old = _readable(old)
    keys = sorted(old.differing_keys(new))
    return Changes((Change(key, old.raw(key), new.raw(key)) for key in keys), new)


def apply(changes: Iterable[Change], index: Index) -> Index:
    """Return the snapshot that `changes` make of `index`, which stays as it is.

    Examples
    --------
    >>> old = Index.from_entries({"a": {}})
    >>> new = Index.from_entries({"b": {}})
    >>> apply(diff(old, new), old) == new
    True
    """
    return index.changed_by({change.key: change.after for change in changes})


def follow(old: Index, new: Index) -> Changes:
    """Find what leads from one snapshot to the next, and let them share what is the same.

    Field groups that queries of `old` built serve its successor, too, and the
    document that `new` came in can be forgotten.  Where much has changed,
    nothing is shared.

    Parameters
    ----------
    old, new : Index
        The snapshots.

    Returns
    -------
    Changes
        As `diff`, but their index may be another one than `new`, equal to it.

    Raises
    ------
    IndexFormatError
        What `new` came in is no index, although it was taken for one before it was checked.

    Examples
    --------
    >>> old = Index.from_entries({"a": {}, "b": {}})
    >>> new = Index.from_entries({"a": {"v": 1}, "b": {}})
    >>> follow(old, new).index == new
    True
    """
    if new.refusal is not None:
        raise IndexFormatError(new.refusal)
    old = _readable(old)
    keys = sorted(old.keys_of_other_bytes(new, is_final=False))
    if not old.shares_with(new) and not old.has_room_for(len(keys)):
        if not (old.is_checked and new.is_checked):
            old, new = old.checked(), new.checked()
            keys = sorted(old.keys_of_other_bytes(new))
        new.succeed(old, keys)
    elif not old.shares_with(new):
        # Copies, for a raw entry is a view that keeps its whole document alive.
        new = old.changed_by({key: _copy(new.raw(key)) for key in keys}, new.warnings)
    changes = (Change(key, old.raw(key), new.raw(key)) for key in keys if old.differs(new, key))
    return Changes(changes, old if not keys and old.warnings == new.warnings else new)


def _readable(index: Index) -> Index:
    """Return an index, or one without entries if nothing of it can be read any more."""
    return index if index.refusal is None else Index.from_entries({})


def _copy(raw: msgspec.Raw | bytes | None) -> bytes | None:
    return None if raw is None else bytes(raw)
