"""Predicates of order: less, greater, between."""

from __future__ import annotations

from typing import Any

from .comparison import Interval, OrderKey, end_of_day, order_key
from .predicates import Predicate

__all__ = ["Ordered", "between", "ge", "gt", "le", "lt"]


class Ordered(Predicate):
    """A predicate that an interval of order keys answers."""

    __slots__ = ("interval",)
    interval: Interval  #: the order keys that match

    def matches(self, value: Any) -> bool:
        """Return whether a value lies in the interval; see `Predicate`."""
        return order_key(value) in self.interval

    def _key(self, bound: object) -> OrderKey:
        key = order_key(bound)
        if key is None:
            raise TypeError(
                f"{type(self).__name__} compares with a number, a text, a date, true or false, "
                f"not with {bound!r}"
            )
        return key


class lt(Ordered):
    """Match values that are less than a bound.

    Parameters
    ----------
    bound : number, str, bool, date or datetime
        Values of another kind do not match.

    Raises
    ------
    TypeError
        The bound has no order: None, a list, NaN.

    Examples
    --------
    >>> [value for value in (1, 5, "1", True, None) if lt(5).matches(value)]
    [1]
    """

    __slots__ = ()

    def __init__(self, bound: Any) -> None:
        self._arguments = (bound,)
        kind, place = self._key(bound)
        self.interval = Interval(kind, high=place, has_high=False)


class le(Ordered):
    """Match values that are less than or equal to a bound; of a date, to its end.

    Parameters and errors are those of `lt`.

    Examples
    --------
    >>> le("2024-05-01").matches("2024-05-01T18:00:00Z")
    True
    """

    __slots__ = ()

    def __init__(self, bound: Any) -> None:
        self._arguments = (bound,)
        key = self._key(bound)
        end = end_of_day(bound)
        self.interval = Interval(key[0], high=(end or key)[1], has_high=end is None)


class gt(Ordered):
    """Match values that are greater than a bound; than a date, after its end.

    Parameters and errors are those of `lt`.

    Examples
    --------
    >>> gt("2024-05-01").matches("2024-05-01T18:00:00Z")
    False
    """

    __slots__ = ()

    def __init__(self, bound: Any) -> None:
        self._arguments = (bound,)
        key = self._key(bound)
        end = end_of_day(bound)
        self.interval = Interval(key[0], low=(end or key)[1], has_low=end is not None)


class ge(Ordered):
    """Match values that are greater than or equal to a bound.

    Parameters and errors are those of `lt`.

    Examples
    --------
    >>> ge(10**6)
    ge(1000000)
    >>> ge(2).matches(2.0)
    True
    """

    __slots__ = ()

    def __init__(self, bound: Any) -> None:
        self._arguments = (bound,)
        kind, place = self._key(bound)
        self.interval = Interval(kind, low=place)


class between(Ordered):
    """Match values from a lower to an upper bound, both included; of a date, its end.

    Parameters
    ----------
    low, high : number, str, bool, date or datetime
        Two of one kind.  If `high` is less than `low`, nothing matches.

    Raises
    ------
    TypeError
        A bound has no order, or the two are of different kinds.

    Examples
    --------
    >>> between("2024-01-01", "2024-12-31").matches("2024-12-31T23:59:59Z")
    True
    """

    __slots__ = ()

    def __init__(self, low: Any, high: Any) -> None:
        self._arguments = (low, high)
        first, last = self._key(low), self._key(high)
        if first[0] != last[0]:
            raise TypeError(
                f"between takes two bounds of one kind: {low!r} is {first[0]}, "
                f"and {high!r} is {last[0]}"
            )
        end = end_of_day(high)
        self.interval = Interval(first[0], first[1], (end or last)[1], has_high=end is None)
