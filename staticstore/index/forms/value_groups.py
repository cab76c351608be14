"""The values of a column by their kind, as they come."""

from __future__ import annotations

import contextlib
import gc
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ... import tuning
from ...query.comparison import Kind

if TYPE_CHECKING:
    from .instant_texts import InstantTexts

__all__ = [
    "MISSING",
    "UNORDERED",
    "ValueGroups",
    "joined_runs",
    "passed_over",
    "young_collected",
]

T = TypeVar("T")

#: The kinds of what has no order, after those that have one: lists and objects; nothing.
UNORDERED = len(Kind)
MISSING = UNORDERED + 1

_KINDS = {
    bool: Kind.BOOLEAN,
    int: Kind.NUMBER,
    float: Kind.NUMBER,
    str: Kind.TEXT,  # until it turns out to be an instant
    list: UNORDERED,
    dict: UNORDERED,
    type(None): MISSING,
}


class ValueGroups:
    """The values of each kind, with their positions.

    Parameters
    ----------
    instants : InstantTexts
        Takes the dates and times.
    """

    def __init__(self, instants: InstantTexts) -> None:
        #: How many values were added.
        self.count = 0
        #: How many texts are no other entry's, too.
        self.unshared_texts = 0
        self._instants = instants
        self._positions = [array("I") for _ in range(MISSING + 1)]
        # Arrays, or tuples of some thousands: the garbage collector visits each once.
        self._numbers: list[Sequence[Any]] = []
        self._booleans: list[tuple[bool, ...]] = []
        self._texts: list[tuple[str, ...]] = []
        self._shared: dict[str, str] = {}

    def add(self, run: list[Any]) -> None:
        """Add the values of the next positions."""
        start = self.count
        self.count += len(run)
        kinds = {_KINDS[kind] for kind in set(map(type, run))}
        for kind in kinds:
            positions: Sequence[int] = range(start, self.count)
            values = run
            if len(kinds) > 1:
                values = [value for value in run if _KINDS[type(value)] == kind]
                pairs = enumerate(run, start)
                positions = [at for at, value in pairs if _KINDS[type(value)] == kind]
            if kind == Kind.TEXT:
                self._add_texts(positions, values)
                continue
            self._positions[kind].extend(positions)
            if kind == Kind.BOOLEAN:
                self._booleans.append(tuple(values))
            elif kind == Kind.NUMBER:
                self._add_numbers(values)

    def _add_numbers(self, values: list[Any]) -> None:
        with contextlib.suppress(OverflowError):
            exact = array("d", values)
            if exact.tolist() == values:
                self._numbers.append(exact)
                return
        self._numbers.append(tuple(values))

    def _add_texts(self, positions: Sequence[int], values: list[str]) -> None:
        if len(self._shared) <= tuning.SHARED_TEXTS:
            values = list(map(self._shared.setdefault, values, values))
        else:
            self.unshared_texts += len(values)
        run = passed_over(values)
        places = self._instants.add(run)
        if len(places) == len(values):
            self._positions[Kind.INSTANT].extend(positions)
            return
        if not places:
            self._positions[Kind.TEXT].extend(positions)
            self._texts.append(run)
            return
        instants = set(places)
        texts: list[str] = []
        for at, (position, value) in enumerate(zip(positions, values, strict=True)):
            if at in instants:
                self._positions[Kind.INSTANT].append(position)
            else:
                self._positions[Kind.TEXT].append(position)
                texts.append(value)
        self._texts.append(tuple(texts))

    def are_few(self, kind: int) -> bool:
        """Return whether a kind is known to have few distinct values."""
        return kind == Kind.BOOLEAN or (
            kind in (Kind.INSTANT, Kind.TEXT) and len(self._shared) <= tuning.SHARED_TEXTS
        )

    def all(self) -> Iterator[tuple[array[int], list[Sequence[Any]] | None]]:
        """Iterate over the kinds: positions, and values if the kind has an order."""
        runs: list[Any] = [self._booleans, self._numbers, self._instants.runs, self._texts]
        return zip(self._positions, [*runs, None, None], strict=True)


def joined_runs(runs: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yield longer runs, of which each costs little."""
    joined: list[Any] = []
    count = tuning.COLUMN_RUN_ENTRIES
    for run in runs:
        joined += run
        if len(joined) >= count:
            yield joined
            joined = []
    yield joined


def passed_over(values: Iterable[T]) -> tuple[T, ...]:
    """Return values as a tuple that the garbage collector will not visit again.

    It visits each tuple of texts once, keeping other threads waiting (benchmark: waits): not
    many together.
    """
    found = tuple(values)
    if len(found) >= tuning.PASSED_OVER_ENTRIES:
        gc.collect(0)
    return found


def young_collected(runs: Iterable[list[Any]]) -> Iterator[list[Any]]:
    """Yield runs, and collect young garbage every few thousand values.

    Otherwise a pass over many entries makes it look at all objects of the program, which keeps
    other threads waiting for 20 ms (benchmark: waits of predicates).
    """
    count = 0
    for run in runs:
        yield run
        count += len(run)
        if count >= tuning.COLUMN_RUN_ENTRIES:
            count = 0
            gc.collect(0)
