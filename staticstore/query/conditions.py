"""All conditions of a query, and the fields that it selects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .combinations import condition
from .comparison import field_value
from .predicates import Predicate

__all__ = ["Conditions", "Where", "any_where", "selected", "selection"]


class Conditions:
    """The conditions that the fields of an entry must fulfill, all of them.

    Equality is Python's ``==`` on decoded JSON, and a missing field equals None, as in
    `dict.get`.  A callable that is no `Predicate` is called only for entries that have
    the field, and its exceptions reach the caller.

    Parameters
    ----------
    where : mapping or any_where, optional
        From field names, identifiers or not, to values, predicates or callables.
    equals : mapping
        The same; if a field is in both, both must hold.

    Attributes
    ----------
    equal : list of (str, object)
        The fields that must equal a value, and the values.
    predicates : list of (str, Predicate)
        The fields that must fulfill a predicate, and the predicates.
    calls : list of (str, callable)
        The fields with which a callable must return true, and the callables.
    alternatives : tuple of Conditions, optional
        Of which at least one must hold.

    Raises
    ------
    TypeError
        `where` is neither a mapping nor an `any_where`, a field name is not text, or
        a predicate's class stands in place of a predicate.

    Examples
    --------
    >>> Conditions({"type": "raster"}, {"size": lambda n: n > 100}).match({"type": "raster"})
    False
    """

    __slots__ = ("alternatives", "calls", "equal", "predicates")

    def __init__(self, where: Where | None, equals: Mapping[str, Any]) -> None:
        self.equal: list[tuple[str, Any]] = []
        self.predicates: list[tuple[str, Predicate]] = []
        self.calls: list[tuple[str, Callable[[Any], object]]] = []
        self.alternatives: tuple[Conditions, ...] | None = None
        if where is None:
            pass
        elif isinstance(where, any_where):
            self.alternatives = where.alternatives
        elif isinstance(where, Mapping):
            self._add(where)
        else:
            raise TypeError(
                f"where takes a mapping from fields to values, or any_where(…), "
                f"not {type(where).__name__}"
            )
        self._add(equals)

    def _add(self, conditions: Mapping[str, Any]) -> None:
        for field, wanted in conditions.items():
            _check_field(field)
            if isinstance(wanted, any_where):
                raise TypeError("any_where is not of one field: pass it as where=")
            if isinstance(wanted, Predicate):
                self.predicates.append((field, wanted))
            elif callable(wanted):
                condition(wanted)  # raises for the class of a predicate
                self.calls.append((field, wanted))
            else:
                self.equal.append((field, wanted))

    def left(
        self,
        equal: Iterable[tuple[str, Any]],
        predicates: Iterable[tuple[str, Predicate]] = (),
        alternatives: tuple[Conditions, ...] | None = None,
    ) -> Conditions:
        """Return what is left after an index has answered all but these and the callables."""
        left = Conditions.__new__(Conditions)  # faster (benchmark: box)
        left.equal, left.predicates = list(equal), list(predicates)
        left.alternatives = alternatives
        left.calls = self.calls
        return left

    def __len__(self) -> int:
        """Count the conditions."""
        has_alternatives = self.alternatives is not None
        return len(self.equal) + len(self.predicates) + len(self.calls) + has_alternatives

    def match(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether an entry fulfills all conditions; callables are called last."""
        for field, wanted in self.equal:
            value = metadata.get(field) if "." not in field else field_value(metadata, field)
            if value != wanted:
                return False
        for field, predicate in self.predicates:
            if not predicate.matches(field_value(metadata, field)):
                return False
        if self.alternatives is not None and not any(
            conditions.match(metadata) for conditions in self.alternatives
        ):
            return False
        for field, call in self.calls:
            value = field_value(metadata, field)
            if (value is None and field not in metadata) or not call(value):
                return False
        return True


class any_where:
    """Match entries that fulfill at least one of several sets of conditions.

    Stands where a mapping of conditions does: ``query(where=any_where({…}, {…}))``.
    Immutable, shown as it was written, and can be pickled if its conditions can.

    Parameters
    ----------
    *wheres : mapping or any_where
        From fields to conditions, all of which an entry has to fulfill.

    Raises
    ------
    TypeError
        One is neither a mapping nor an `any_where`, or as for a query.

    Examples
    --------
    >>> from staticstore.query import lt
    >>> wanted = any_where({"type": "raster", "bands": 3}, {"size": lt(1000)})
    >>> Conditions(wanted, {}).match({"type": "raster", "bands": 1, "size": 5000})
    False
    """

    __slots__ = ("_wheres", "alternatives")

    def __init__(self, *wheres: Where) -> None:
        for where in wheres:
            if not isinstance(where, Mapping | any_where):
                raise TypeError(
                    f"any_where takes mappings from fields to values, not {type(where).__name__}"
                )
        copies = tuple(dict(one) if isinstance(one, Mapping) else one for one in wheres)
        self._wheres = copies
        #: The conditions of each.
        self.alternatives = tuple(Conditions(where, {}) for where in copies)

    def __repr__(self) -> str:
        """Show it as it was written."""
        return f"any_where({', '.join(map(repr, self._wheres))})"

    def __eq__(self, other: object) -> bool:
        """Compare the conditions, as they were given."""
        return isinstance(other, any_where) and self._wheres == other._wheres

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as the call that makes it."""
        return any_where, self._wheres


#: Conditions by field, all of which must hold, or alternatives of such.
Where = Mapping[str, Any] | any_where


def selection(select: Iterable[str] | None) -> tuple[str, ...] | None:
    """Check and return the names of the fields to select; None selects all.

    Raises
    ------
    TypeError
        It is a single text, which would be taken for its letters, or a name is not text.
    """
    if select is None:
        return None
    if isinstance(select, str):
        raise TypeError(f"select takes a list of field names: [{select!r}]")
    fields = tuple(select)
    for field in fields:
        _check_field(field)
    return fields


def _check_field(field: object) -> None:
    if not isinstance(field, str):
        raise TypeError(f"a field name is text, not {type(field).__name__}")


def selected(metadata: dict[str, Any], fields: tuple[str, ...] | None) -> dict[str, Any]:
    """Return those of `fields` that an entry has; all if `fields` is None.

    As in conditions, ``a.b`` reaches into objects.

    Examples
    --------
    >>> selected({"proj": {"code": 4326}, "size": 5}, ("proj.code", "title"))
    {'proj.code': 4326}
    """
    if fields is None:
        return metadata
    found = {field: metadata[field] for field in fields if field in metadata}
    for field in fields if len(found) < len(fields) else ():
        if "." in field and (value := field_value(metadata, field)) is not None:
            found[field] = value
    return found
