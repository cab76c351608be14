"""Answer conditions by the columns of their fields, as far as columns can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from ...query.boxes import intersects
from ...query.combinations import Combined, all_of, any_of
from ...query.order import Ordered
from ...query.predicates import Predicate, exists, missing, ne, one_of
from ...query.texts import contains, like, matches
from .field_index import NOT_INDEXED, frozen, is_hidden
from .found import Found, intersection, joined, union

if TYPE_CHECKING:
    from ...query.conditions import Conditions
    from ...query.sort_order import SortOrder
    from .column import FieldColumn, Ranks
    from .field_indexes import FieldIndexes

__all__ = ["Layer", "Matches", "search"]

#: The positions that a condition may find, None for all of them, and whether it finds just these.
Answer = tuple[Found | None, bool]

_ANYTHING: Answer = None, False


class Layer(NamedTuple):
    """Some of the entries that a query may find.

    Attributes
    ----------
    indexes : FieldIndexes
        The indexes that have answered the query.
    found : Found, optional
        The positions of the entries; None for all.
    gone : Found, optional
        The positions of entries that another layer replaces.
    """

    indexes: FieldIndexes
    found: Found | None
    gone: Found | None = None

    def size(self) -> int:
        """Count the entries."""
        found, gone = self.found, self.gone
        if found is None:
            return self.indexes.total() - (0 if gone is None else len(gone))
        return len(found) - (0 if gone is None else len(found.in_both(gone)))

    @property
    def is_empty(self) -> bool:
        """Whether there is no entry, also if none were replaced."""
        return not (self.indexes.total() if self.found is None else len(self.found))

    def positions(self) -> Found:
        """Return the positions of the entries."""
        found = self.found
        if found is None:
            total = self.indexes.total()
            found = Found(total, marks=b"\1" * total)
        return found if self.gone is None else found.without(self.gone)

    def runs(self) -> Iterator[Iterable[str]]:
        """Yield the keys of the entries, in order, in some parts."""
        return self.indexes.keys_by_position().runs(self.positions())

    def sorted_keys(self, order: SortOrder) -> Iterator[str]:
        """Yield the keys as an order says; no bucket is sorted before it is needed."""
        fields = [(self.indexes.column(field), falls) for field, falls in order.fields]
        found = self.positions()
        marks = None if found.is_few else found.marks()
        positions = found.positions() if marks is None else ()
        return map(self.indexes.keys_by_position().__getitem__, _sorted(positions, marks, fields))


class Matches:
    """What the indexes of fields know of the entries that fulfill conditions.

    Parameters
    ----------
    layers : sequence of Layer
        Apart from one another.
    left : Conditions
        What is left to be matched with each entry.
    """

    def __init__(self, layers: Sequence[Layer], left: Conditions) -> None:
        self.layers = layers
        self.left = left

    @property
    def has_all(self) -> bool:
        """Whether every entry is among them."""
        return not [layer for layer in self.layers if layer.found is not None]

    def count(self) -> int:
        """Count the entries."""
        return sum(layer.size() for layer in self.layers)

    def runs(self) -> Iterator[Iterable[str]]:
        """Yield the keys, in order, in some parts."""
        layers = [layer for layer in self.layers if not layer.is_empty]
        if len(layers) > 1:
            keys = [key for layer in layers for run in layer.runs() for key in run]
            keys.sort()  # parts that are in order: this merges them
            return iter([keys])
        return layers[0].runs() if layers else iter(())

    def keys(self) -> list[str]:
        """Return the keys, in order."""
        return list(chain.from_iterable(self.runs()))

    def sorted_keys(self, order: SortOrder, read: Callable[[str], Any]) -> Iterator[str]:
        """Yield the keys as an order says.

        Parameters
        ----------
        order : SortOrder
            Of no hidden field.
        read : callable
            Returns the decoded entry of a key.
        """
        layers = [layer for layer in self.layers if not layer.is_empty]
        if len(layers) == 1:
            return layers[0].sorted_keys(order)

        def placed(layer: Layer) -> Iterator[tuple[Any, str]]:
            return ((order.places(read(key)), key) for key in layer.sorted_keys(order))

        return (key for _, key in merge(*map(placed, layers)))


def search(indexes: FieldIndexes, conditions: Conditions, order: SortOrder | None) -> Matches:
    """Answer conditions by the indexes of the fields, as far as these can.

    All indexes that the conditions and the order need are built here.
    """
    found, left = answer(indexes, conditions)
    for field, _ in () if order is None else order.fields:
        indexes.column(field)
    if found is not None or order is not None:
        indexes.keys_by_position()
    return Matches([Layer(indexes, found)], left)


def answer(indexes: FieldIndexes, conditions: Conditions) -> tuple[Found | None, Conditions]:
    """Find the entries that may fulfill conditions.

    Parameters
    ----------
    indexes : FieldIndexes
        Of all entries that are asked for.
    conditions : Conditions
        What they must fulfill.

    Returns
    -------
    (Found or None, Conditions)
        The positions of the entries, None for all, and the conditions that are left to be
        matched with each.
    """
    sets: list[Found] = []
    equal: list[tuple[str, Any]] = []
    predicates: list[tuple[str, Predicate]] = []
    for wanted, left in ((conditions.equal, equal), (conditions.predicates, predicates)):
        for one in wanted:
            found, is_exact = _of_field(indexes, *one)
            if found is not None:
                sets.append(found)
            if not is_exact:
                left.append(one)
    alternatives = conditions.alternatives
    if alternatives is not None:
        found, is_exact = _of_alternatives(indexes, alternatives)
        if found is not None:
            sets.append(found)
        if is_exact:
            alternatives = None
    left_over = conditions.left(equal, predicates, alternatives)
    return intersection(sets) if sets else None, left_over


def _of_alternatives(indexes: FieldIndexes, alternatives: Sequence[Conditions]) -> Answer:
    answers = [answer(indexes, one) for one in alternatives]
    if any(found is None and not left for found, left in answers):
        return None, True
    sets = [found for found, _ in answers if found is not None]
    if len(sets) < len(answers):
        return _ANYTHING
    return union(sets, indexes.total()), not any(left for _, left in answers)


def _of_field(indexes: FieldIndexes, field: str, wanted: Any) -> Answer:
    if is_hidden(field):
        return _ANYTHING
    if isinstance(wanted, intersects):
        return indexes.boxes(field).intersecting(wanted.box), True
    if isinstance(wanted, Combined):
        return _of_combined(indexes, field, wanted)
    if callable(wanted) and not isinstance(wanted, Predicate):
        return _ANYTHING
    column = indexes.column(field)
    found = _ranks(column, wanted)
    if found is None:
        return _ANYTHING
    ranks, is_exact = found
    return Found(len(column), ranked=(column, ranks)), is_exact


def _of_combined(indexes: FieldIndexes, field: str, wanted: Combined) -> Answer:
    answers = [_of_field(indexes, field, one) for one in wanted.conditions]
    sets = [found for found, _ in answers if found is not None]
    are_exact = all(is_exact for _, is_exact in answers)
    if isinstance(wanted, all_of):
        return (intersection(sets), are_exact) if sets else (None, are_exact)
    # Without one of the sets the union is not known, and without exact ones its complement.
    if len(sets) < len(answers) or not (are_exact or isinstance(wanted, any_of)):
        return _ANYTHING
    found = union(sets, indexes.total())
    return (found, are_exact) if isinstance(wanted, any_of) else (found.complement(), True)


def _ranks(column: FieldColumn, wanted: Any) -> tuple[Ranks, bool] | None:
    """Return the ranks that may match, and whether all do; None if unknown."""
    kind = type(wanted)
    if isinstance(wanted, Ordered):
        return column.between(wanted.interval), True
    if kind is missing:
        return column.missing(), True
    if kind is exists:
        return column.others(column.missing()), True
    if kind is ne:
        equal = _equal(column, wanted.value)
        if equal is None or not equal[1]:
            return None
        ranks = column.same_instant(wanted.instant) if wanted.instant else equal[0]
        return column.others(ranks), True
    if kind is one_of:
        answers = [_equal(column, value) for value in wanted.values]
        if None in answers:
            return None
        known = [one for one in answers if one is not None]
        ranks = joined(pair for some, _ in known for pair in some)
        return ranks, all(is_exact for _, is_exact in known)
    if kind in (contains, like, matches):
        texts = joined((start, end) for start, end, text in column.texts() if wanted.matches(text))
        lists = column.unordered() if kind is contains else []
        return joined([*texts, *lists]), not lists
    return None if isinstance(wanted, Predicate) else _equal(column, wanted)


def _equal(column: FieldColumn, value: Any) -> tuple[Ranks, bool] | None:
    if frozen(value) is NOT_INDEXED:
        return None
    if value is None:
        return column.missing(), True
    if isinstance(value, list | dict):
        ranks = column.unordered()
        return ranks, not ranks
    return column.equal_to(value), True


def _sorted(
    positions: Sequence[int],
    marks: bytes | bytearray | None,
    fields: list[tuple[FieldColumn, bool]],
) -> Iterator[int]:
    if not fields:
        yield from positions
        return
    (column, is_falling), *others = fields
    for group in column.groups(positions, marks, is_falling=is_falling):
        if others and len(group) > 1:
            yield from _sorted(group, None, others)
        else:
            yield from group
