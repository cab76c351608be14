"""Predicates made of other conditions of the same field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .predicates import Predicate

__all__ = ["Combined", "Condition", "all_of", "any_of", "condition", "none_of"]

#: Returns whether a field's value, None if it is missing, fulfills a condition.
Condition = Callable[[Any], bool]


def condition(wanted: Any) -> Condition:
    """Return how to ask whether a value fulfills what is wanted of a field.

    Parameters
    ----------
    wanted : object
        A predicate; a callable, called only for fields that are not missing; or a
        value to equal.

    Raises
    ------
    TypeError
        It is a class of predicates, not a predicate: ``exists`` for ``exists()``.

    Examples
    --------
    >>> condition("raster")("raster"), condition(len)(""), condition(len)(None)
    (True, False, False)
    """
    if isinstance(wanted, Predicate):
        return wanted.matches
    if isinstance(wanted, type) and issubclass(wanted, Predicate):
        raise TypeError(f"{wanted.__name__} is called: {wanted.__name__}(…)")
    if callable(wanted):
        return lambda value: value is not None and bool(wanted(value))
    return lambda value: bool(value == wanted)


class Combined(Predicate):
    """A predicate made of other conditions of the same field."""

    __slots__ = ("_conditions",)

    @property
    def conditions(self) -> tuple[Any, ...]:
        """The conditions, as given."""
        return self._arguments

    def __init__(self, *conditions: Any) -> None:
        self._arguments = conditions
        self._conditions = tuple(map(condition, conditions))


class all_of(Combined):
    """Match values that fulfill all of several conditions.

    Parameters
    ----------
    *conditions : object
        Predicates, values to equal, or callables.

    Examples
    --------
    >>> from staticstore.query import ge, ne
    >>> all_of(ge(10), ne(13)).matches(13)
    False
    """

    __slots__ = ()

    def matches(self, value: Any) -> bool:
        """Return whether a value fulfills all; see `Predicate`."""
        return all(holds(value) for holds in self._conditions)


class any_of(Combined):
    """Match values that fulfill at least one of several conditions.

    Parameters
    ----------
    *conditions : object
        Predicates, values to equal, or callables.

    Examples
    --------
    >>> from staticstore.query import lt, missing
    >>> any_of("unknown", missing(), lt(0)).matches(None)
    True
    """

    __slots__ = ()

    def matches(self, value: Any) -> bool:
        """Return whether a value fulfills one; see `Predicate`."""
        return any(holds(value) for holds in self._conditions)


class none_of(Combined):
    """Match values that fulfill none of several conditions, such as missing fields.

    Parameters
    ----------
    *conditions : object
        Predicates, values to equal, or callables.

    Examples
    --------
    >>> [value for value in ("draft", "final", None) if none_of("draft").matches(value)]
    ['final', None]
    """

    __slots__ = ()

    def matches(self, value: Any) -> bool:
        """Return whether a value fulfills none; see `Predicate`."""
        return not any(holds(value) for holds in self._conditions)
