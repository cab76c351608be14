"""The rows of a table: which entries are shown, their order, and which glow."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

from ..index import codec
from ..query.conditions import Conditions, Where
from ..signals import logged_failure

if TYPE_CHECKING:
    from ..index.changes import Change
    from ..index.snapshot import Index

__all__ = ["Filter", "Glow", "Rank", "RowChanges", "Rows", "as_qt_value", "as_text", "runs"]

#: The sort key of a row: its key, or what represents the value of a field, and then the key.
Rank = Any
_GLOW_SECONDS = 1.0


class Filter:
    """The condition of an entry's display: a query, and a text in the key or a field.

    Parameters
    ----------
    fields : tuple of str
        The fields that are searched for the text, besides the key.
    text : str, optional
        The text; case is ignored.
    where, equals : mapping, optional
        The query.
    """

    def __init__(
        self,
        fields: tuple[str, ...],
        text: str = "",
        where: Where | None = None,
        equals: Mapping[str, Any] | None = None,
    ) -> None:
        self._conditions = Conditions(where, equals or {})
        self._where = dict(where) if isinstance(where, Mapping) else where
        self._equals = dict(equals or {})
        self._fields = fields
        self._text = text.casefold()
        #: Whether all entries are shown.
        self.is_all = not (text or self._conditions)

    def keys(self, index: Index) -> Iterator[str]:
        """Return the keys of the entries that are shown, in key order."""
        keys = iter(index)
        if self._conditions:
            keys = index.query_keys(where=self._where, **self._equals)
        return self._with_text(keys, index) if self._text else keys

    def matches(self, key: str, metadata: dict[str, Any]) -> bool:
        """Return whether an entry is shown; one whose condition raises is hidden."""
        with logged_failure("a condition of a table's filter raised; the entry is not shown"):
            texts = (key, *map(as_text, map(metadata.get, self._fields)))
            return self._conditions.match(metadata) and any(
                self._text in text.casefold() for text in texts
            )
        return False

    def _with_text(self, keys: Iterable[str], index: Index) -> Iterator[str]:
        text = self._text
        found = {key for key in index if text in key.casefold()}
        for name in self._fields:  # one at a time: other fields are not decoded
            values = index.field_values(name)
            found.update(key for key, value in values if text in as_text(value).casefold())
        return (key for key in keys if key in found)


class Rows:
    """The keys of the entries that match a filter, in the order of a field.

    Parameters
    ----------
    index : Index
        The snapshot.
    filter : Filter
        The entries to show.
    by : str, optional
        The field to sort by: first missing values, then numbers, texts and
        other values; entries with the same value by key.  By default the key.
    """

    def __init__(self, index: Index, filter: Filter, by: str | None = None) -> None:
        self.index = index
        self.filter = filter
        self.by = by
        keys = filter.keys(index)
        self._ranks: list[Rank] = list(keys) if by is None else sorted(_ranks(index, keys, by))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._ranks)

    def key(self, position: int) -> str:
        """Return the key of a row."""
        rank = self._ranks[position]
        return rank if self.by is None else rank[1]  # type: ignore[no-any-return]

    def position(self, key: str) -> int | None:
        """Return the position of a key; None if it is not shown."""
        if self.by is None:
            return self._position(key)
        return self._position(self._rank(key, self.index[key])) if key in self.index else None

    def add_to(self, pending: RowChanges, change: Change) -> None:
        """Add to `pending` what a change does to the rows, which are not modified."""
        position, after = self.position(change.key), self._rank_after(change)
        if position is None:
            if after is not None:
                pending.new.append(after)
        elif after is None:
            pending.gone.append(position)
        elif (before := self._ranks[position]) != after:
            pending.moved.append((before, after))
        else:
            pending.updated.append(before)

    def _rank_after(self, change: Change) -> Rank | None:
        if change.after is None:
            return None
        if self.by is None and self.filter.is_all:
            return change.key
        metadata = change.metadata or {}
        is_shown = self.filter.matches(change.key, metadata)
        return self._rank(change.key, metadata) if is_shown else None

    def remove(self, run: range) -> None:
        """Remove a run of rows."""
        del self._ranks[run.start : run.stop]

    def insert(self, position: int, ranks: Sequence[Rank]) -> None:
        """Insert rows at a position."""
        self._ranks[position:position] = ranks

    def place(self, rank: Rank) -> int:
        """Return the position of a rank, or the one to insert it at."""
        return bisect_left(self._ranks, rank)

    def move(self, before: Rank, after: Rank) -> None:
        """Replace the rank of a row, and move it to the new position."""
        del self._ranks[self.place(before)]
        self._ranks.insert(self.place(after), after)

    def _position(self, rank: Rank) -> int | None:
        position = self.place(rank)
        is_there = position < len(self) and self._ranks[position] == rank
        return position if is_there else None

    def _rank(self, key: str, metadata: Mapping[str, Any]) -> Rank:
        return key if self.by is None else (_sortable(metadata.get(self.by)), key)


class RowChanges(NamedTuple):
    """The changes of a poll that are not in the rows yet."""

    #: Positions of rows to remove.
    gone: list[int]
    #: Ranks of rows to insert.
    new: list[Rank]
    #: Old and new ranks of rows whose position changes.
    moved: list[tuple[Rank, Rank]]
    #: Ranks of rows that keep their position, and have other metadata.
    updated: list[Rank]


class Glow:
    """Keys that glow for a second after a change, and how strongly.

    Times are seconds of a clock of the caller.  Keys are grouped by the poll
    that changed them: lighting a million keys costs no more than one.

    Examples
    --------
    >>> glow = Glow()
    >>> glow.light({"a", "b"}, 10.0)
    >>> glow.strength("a", 10.25), glow.strength("c", 10.25), glow.strength("a", 11.5)
    (0.75, 0.0, 0.0)
    >>> glow.is_out(10.75), glow.is_out(11.5)
    (False, True)
    """

    def __init__(self) -> None:
        self._lit: deque[tuple[float, Set[str]]] = deque()  # the newest first

    def light(self, keys: Set[str], now: float) -> None:
        """Let keys glow from now on; the set is kept and not copied."""
        self._lit.appendleft((now, keys))

    def strength(self, key: str, now: float) -> float:
        """Return how strongly a key glows, from 1 to 0."""
        since = next((since for since, keys in self._lit if key in keys), None)
        return 0.0 if since is None else max(0.0, 1 - (now - since) / _GLOW_SECONDS)

    def is_out(self, now: float) -> bool:
        """Return whether no key glows any more, and drop those that have faded."""
        while self._lit and now - self._lit[-1][0] >= _GLOW_SECONDS:
            self._lit.pop()
        return not self._lit


def runs(positions: Iterable[int]) -> list[range]:
    """Return runs of consecutive positions, the last first.

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
    """Return what a cell shows of a value: text unchanged, anything else as JSON.

    Examples
    --------
    >>> as_text("a text"), as_text(1.5), as_text([1, None]), as_text(None)
    ('a text', '1.5', '[1,null]', '')
    """
    if isinstance(value, str):
        return value
    return "" if value is None else codec.encode(value).decode()


def as_qt_value(value: Any) -> Any:
    """Return a value with integers beyond 64 bits as text: Qt would raise an error.

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
    if value is None:
        return (0,)
    if isinstance(value, int | float):
        return (1, value)
    if isinstance(value, str):
        return (2, value.casefold(), value)
    return (3, as_text(value))
