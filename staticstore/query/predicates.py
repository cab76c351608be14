"""The base of predicates, and those of equality and presence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from .comparison import Kind, OrderKey, order_key

__all__ = ["Predicate", "exists", "missing", "ne", "one_of"]


_SEVERAL = (list, tuple, set, frozenset)


class Predicate(ABC):
    """A condition on one field of an entry.

    Immutable and hashable if its arguments are; any number of threads may share one.
    """

    __slots__ = ("_arguments",)
    _arguments: tuple[Any, ...]

    @abstractmethod
    def matches(self, value: Any) -> bool:
        """Return whether a field's value fulfills the condition.

        Parameters
        ----------
        value : object
            Decoded JSON; None if the field is missing.
        """

    def __repr__(self) -> str:
        """Show the predicate as it was written."""
        return f"{type(self).__name__}({', '.join(map(repr, self._arguments))})"

    def __eq__(self, other: object) -> bool:
        """Compare the kind of predicate and its arguments."""
        if type(other) is not type(self):
            return NotImplemented
        assert isinstance(other, Predicate)
        return self._arguments == other._arguments

    def __hash__(self) -> int:
        """Hash the kind of predicate and its arguments."""
        return hash((type(self), self._arguments))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the predicate as the call that makes it."""
        return type(self), self._arguments

    def __bool__(self) -> bool:
        """Refuse: a predicate has no truth of its own, as in ``ge(1) and lt(5)``."""
        raise TypeError(
            f"{self!r} is a condition on a field: join conditions with all_of or any_of"
        )


class ne(Predicate):
    """Match values that are not equal to one, and missing fields.

    Times that name the same instant are equal.  ``ne(None)`` is `exists`.

    Parameters
    ----------
    value : object
        Decoded JSON.

    Examples
    --------
    >>> [value for value in ("a", "b", None) if ne("a").matches(value)]
    ['b', None]
    """

    __slots__ = ("instant",)
    instant: OrderKey | None  #: if the value is a date or time

    def __init__(self, value: Any) -> None:
        self._arguments = (value,)
        key = order_key(value)
        self.instant = key if key is not None and key[0] is Kind.INSTANT else None

    @property
    def value(self) -> Any:
        """The value, as given."""
        return self._arguments[0]

    def matches(self, value: Any) -> bool:
        """Return whether a value differs; see `Predicate`."""
        if value == self._arguments[0]:
            return False
        return self.instant is None or order_key(value) != self.instant


class one_of(Predicate):
    """Match values that equal one of several.

    Parameters
    ----------
    *values : object
        Decoded JSON; or one list, tuple or set of such values.

    Examples
    --------
    >>> one_of("raster", "table").matches("table")
    True
    >>> one_of(["raster", "table"]) == one_of("raster", "table")
    True
    """

    __slots__ = ()

    def __init__(self, *values: Any) -> None:
        if len(values) == 1 and isinstance(values[0], _SEVERAL):
            values = tuple(values[0])
        self._arguments = values

    def __repr__(self) -> str:
        """Show it as it can be written: a single list in another one."""
        if len(self.values) == 1 and isinstance(self.values[0], _SEVERAL):
            return f"one_of([{self.values[0]!r}])"
        return super().__repr__()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as a call with one tuple, of whatever values."""
        return one_of, (self.values,)

    @property
    def values(self) -> tuple[Any, ...]:
        """The values, as given."""
        return self._arguments

    def matches(self, value: Any) -> bool:
        """Return whether a value equals one of them; see `Predicate`."""
        return value in self._arguments


class exists(Predicate):
    """Match fields that are there and not null.

    Examples
    --------
    >>> exists().matches(0), exists().matches(None)
    (True, False)
    """

    __slots__ = ()

    def __init__(self) -> None:
        self._arguments = ()

    def matches(self, value: Any) -> bool:
        """Return whether there is a value; see `Predicate`."""
        return value is not None


class missing(Predicate):
    """Match fields that are missing or null.

    Examples
    --------
    >>> missing().matches(None)
    True
    """

    __slots__ = ()

    def __init__(self) -> None:
        self._arguments = ()

    def matches(self, value: Any) -> bool:
        """Return whether there is no value; see `Predicate`."""
        return value is None
