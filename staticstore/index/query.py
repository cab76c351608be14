"""The conditions of a query, and the fields that it selects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["Conditions", "selected", "selection"]


class Conditions:
    """The values that the fields of an entry must have.

    Equality is Python's ``==`` on decoded JSON, and a missing field equals
    None, as in `dict.get`.  A callable is a predicate: it is called only for
    entries that have the field, and its exceptions reach the caller.

    Parameters
    ----------
    where : mapping, optional
        From field names, identifiers or not, to values or predicates.
    equals : mapping
        The same; if a field is in both, both must hold.

    Attributes
    ----------
    equal : list of (str, object)
        The fields that must equal a value, and the values.

    Raises
    ------
    TypeError
        `where` is not a mapping, or a field name in it is not text.

    Examples
    --------
    >>> Conditions({"type": "raster"}, {"size": lambda n: n > 100}).match({"type": "raster"})
    False
    """

    __slots__ = ("_predicates", "equal")

    def __init__(self, where: Mapping[str, Any] | None, equals: Mapping[str, Any]) -> None:
        if where is not None and not isinstance(where, Mapping):
            raise TypeError(
                f"where takes a mapping from fields to values, not {type(where).__name__}"
            )
        self.equal: list[tuple[str, Any]] = []
        self._predicates: list[tuple[str, Callable[[Any], object]]] = []
        for field, wanted in [*(where or {}).items(), *equals.items()]:
            if not isinstance(field, str):
                raise TypeError(f"a field name is text, not {type(field).__name__}")
            if callable(wanted):
                self._predicates.append((field, wanted))
            else:
                self.equal.append((field, wanted))

    def __len__(self) -> int:
        """Count the conditions."""
        return len(self.equal) + len(self._predicates)

    def match(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether an entry fulfills all conditions; predicates are called last."""
        for field, wanted in self.equal:
            if metadata.get(field) != wanted:
                return False
        return all(
            field in metadata and predicate(metadata[field])
            for field, predicate in self._predicates
        )


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
        if not isinstance(field, str):
            raise TypeError(f"a field name is text, not {type(field).__name__}")
    return fields


def selected(metadata: dict[str, Any], fields: tuple[str, ...] | None) -> dict[str, Any]:
    """Return the selected fields that an entry has; all of its fields if `fields` is None."""
    if fields is None:
        return metadata
    return {field: metadata[field] for field in fields if field in metadata}
