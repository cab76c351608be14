"""The rows of a table: which entries of a snapshot it shows, and in which order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..client.subscription import logged_failure
from ..index import codec
from ..index.changes import Change
from ..index.query import Conditions
from ..index.snapshot import Index

__all__ = ["Filter", "Rank", "Rows", "Step", "as_qt_value", "as_text", "runs"]

#: What puts a row in its place: its key, or what a field is sorted by, and then the key.
Rank = Any


class Filter:
    """Which entries are shown: those that a query finds and a text stands in.

    Parameters
    ----------
    fields : tuple of str
        The fields in which the text may stand, and not in the key alone.
    text : str, optional
        What stands there, in whatever case.
    where, equals : mapping, optional
        The query.
    """

    def __init__(
        self,
        fields: tuple[str, ...],
        text: str = "",
        where: Mapping[str, Any] | None = None,
        equals: Mapping[str, Any] | None = None,
    ) -> None:
        self._conditions = Conditions(where, equals or {})
        self._where, self._equals = dict(where or {}), dict(equals or {})
        self._fields = fields
        self._text = text.casefold()
        #: Whether it hides nothing.
        self.is_all = not (text or self._conditions)

    def keys(self, index: Index) -> Iterator[str]:
        """Yield the keys of the entries that are shown, in key order."""
        keys = iter(index)
        if self._conditions:
            keys = index.query_keys(where=self._where, **self._equals)
        return self._with_text(keys, index) if self._text else keys

    def lets_through(self, key: str, metadata: dict[str, Any]) -> bool:
        """Tell whether one entry is shown; a condition that raises is logged, and hides it."""
        with logged_failure("a condition of a table's filter raised; the entry is not shown"):
            texts = (key, *map(as_text, map(metadata.get, self._fields)))
            return self._conditions.match(metadata) and any(
                self._text in text.casefold() for text in texts
            )
        return False

    def _with_text(self, keys: Iterable[str], index: Index) -> Iterator[str]:
        text = self._text
        found = {key for key in index if text in key.casefold()}
        for name in self._fields:  # one after the other, so that nothing else is decoded
            values = index.field_values(name)
            found.update(key for key, value in values if text in as_text(value).casefold())
        return (key for key in keys if key in found)


class Rows:
    """The keys of the entries that a filter lets through, in the order of a field.

    Parameters
    ----------
    index : Index
        The snapshot.
    shown : Filter
        Which entries are shown.
    by : str, optional
        The field that they are sorted by, missing ones first, then numbers,
        texts, all else; and by key where it is the same.  By default by key alone.
    """

    def __init__(self, index: Index, shown: Filter, by: str | None = None) -> None:
        self.index = index
        self.shown = shown
        self.by = by
        keys = shown.keys(index)
        self._ranks: list[Rank] = list(keys) if by is None else sorted(_ranks(index, keys, by))

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._ranks)

    def key(self, position: int) -> str:
        """Return the key of a row."""
        rank = self._ranks[position]
        return rank if self.by is None else rank[1]  # type: ignore[no-any-return]

    def position(self, key: str) -> int | None:
        """Return where a key stands, or None."""
        if self.by is None:
            return self._position(key)
        return self._position(self._rank(key, self.index[key])) if key in self.index else None

    def take(self, change: Change, step: Step) -> None:
        """Note in a step what a change does to the rows, which stay as they are."""
        position, after = self.position(change.key), self._rank_after(change)
        if position is None:
            if after is not None:
                step.new.append(after)
        elif after is None:
            step.gone.append(position)
        elif (before := self._ranks[position]) != after:
            step.moved.append((before, after))
        else:
            step.kept.append(before)

    def _rank_after(self, change: Change) -> Rank | None:
        """Return the rank that an entry has after a change, None if it is not shown."""
        if change.after is None:
            return None
        if self.by is None and self.shown.is_all:
            return change.key
        metadata = change.metadata or {}
        is_shown = self.shown.lets_through(change.key, metadata)
        return self._rank(change.key, metadata) if is_shown else None

    def remove(self, run: range) -> None:
        """Remove rows that follow each other."""
        del self._ranks[run.start : run.stop]

    def insert(self, position: int, ranks: Sequence[Rank]) -> None:
        """Insert rows at their common place."""
        self._ranks[position:position] = ranks

    def place(self, rank: Rank) -> int:
        """Return the position of a rank, or the one where it belongs."""
        return bisect_left(self._ranks, rank)

    def move(self, before: Rank, after: Rank) -> None:
        """Give a row another rank, and the place of that."""
        del self._ranks[self.place(before)]
        self._ranks.insert(self.place(after), after)

    def _position(self, rank: Rank) -> int | None:
        position = self.place(rank)
        is_there = position < len(self) and self._ranks[position] == rank
        return position if is_there else None

    def _rank(self, key: str, metadata: Mapping[str, Any]) -> Rank:
        return key if self.by is None else (_sortable(metadata.get(self.by)), key)


@dataclass(frozen=True)
class Step:
    """What leads from some rows to the next.

    Attributes
    ----------
    gone : list of int
        The positions of rows that go.
    new : list
        The ranks of rows that come.
    moved : list of pairs
        The ranks before and after of rows that belong elsewhere now.
    kept : list
        The ranks of rows that stay where they are, and show something else.
    """

    gone: list[int]
    new: list[Rank]
    moved: list[tuple[Rank, Rank]]
    kept: list[Rank]


def runs(positions: Iterable[int]) -> list[range]:
    """Put positions that follow each other together, the last first.

    Examples
    --------
    >>> runs([1, 2, 3, 7])
    [range(7, 8), range(1, 4)]
    """
    found: list[range] = []
    for position in positions:
        if found and found[-1].stop == position:
            found[-1] = range(found[-1].start, position + 1)
        else:
            found.append(range(position, position + 1))
    return found[::-1]


def as_text(value: Any) -> str:
    """Return what a cell shows of the value of a field: a text as it is, all else as JSON.

    Examples
    --------
    >>> as_text("a text"), as_text(1.5), as_text([1, None]), as_text(None)
    ('a text', '1.5', '[1,null]', '')
    """
    if isinstance(value, str):
        return value
    return "" if value is None else codec.encode(value).decode()


def as_qt_value(value: Any) -> Any:
    """Return a value with its integers as texts where Qt has no number for them, and would fail.

    Examples
    --------
    >>> as_qt_value([2**62, 2**63])
    [4611686018427387904, '9223372036854775808']
    """
    if isinstance(value, list):
        return [as_qt_value(item) for item in value]
    if isinstance(value, dict):
        return {name: as_qt_value(item) for name, item in value.items()}
    is_too_large = isinstance(value, int) and not -(2**63) <= value < 2**63
    return str(value) if is_too_large else value


def _ranks(index: Index, keys: Iterable[str], by: str) -> Iterator[Rank]:
    wanted = set(keys)
    return ((_sortable(value), key) for key, value in index.field_values(by) if key in wanted)


def _sortable(value: Any) -> tuple[Any, ...]:
    """Return what sorts before that of every greater value, of whatever kind."""
    if value is None:
        return (0,)
    if isinstance(value, int | float):
        return (1, value)
    if isinstance(value, str):
        return (2, value.casefold(), value)
    return (3, as_text(value))
