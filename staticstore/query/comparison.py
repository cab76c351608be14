"""The rules by which values are compared, in queries and on the command line."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

__all__ = [
    "Box",
    "Interval",
    "Kind",
    "OrderKey",
    "end_of_day",
    "field_value",
    "order_key",
    "plain_number",
]

_DATE = r"(\d{4})-(\d\d)-(\d\d)"
_TIME = r"T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(?:Z|([+-])(\d\d):(\d\d))?"
_INSTANT = re.compile(f"{_DATE}(?:{_TIME})?", re.ASCII)
_DAY_SECONDS = 86_400
_NUMBERS = frozenset((int, float))
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Kind(IntEnum):
    """What kind of value it is; when values of several are sorted, in this order."""

    BOOLEAN = 0
    NUMBER = 1
    INSTANT = 2
    TEXT = 3

    def __str__(self) -> str:
        """Name it, in a message."""
        return ("true or false", "a number", "a date or time", "a text")[self]


#: The kind of a value, and its place among values of that kind.
OrderKey = tuple[Kind, Any]


def order_key(value: object) -> OrderKey | None:
    """Return the sort key of a value: kind and place; None if it has no order.

    Parameters
    ----------
    value : object
        Decoded JSON; or a `datetime.date` or `datetime.datetime`, naive in UTC; or a number
        of another library, such as NumPy's.

    Examples
    --------
    >>> order_key("2024-05-01") == order_key("2024-05-01T02:00+02:00")
    True
    >>> order_key("2024-02-30")
    (<Kind.TEXT: 3>, '2024-02-30')
    >>> order_key(None) is order_key([1]) is None
    True
    """
    kind = type(value)
    if kind is str:
        instant = _instant(value)  # type: ignore[arg-type]
        return (Kind.TEXT, value) if instant is None else (Kind.INSTANT, instant)
    if kind is int or kind is float:
        return None if value != value else (Kind.NUMBER, value)
    if kind is bool:
        return Kind.BOOLEAN, value
    if hasattr(value, "isoformat"):  # without importing `datetime`, which takes long
        key = order_key(value.isoformat())
        return key if key is not None and key[0] is Kind.INSTANT else None
    if value is None or kind is list or kind is dict:
        return None
    number = plain_number(value)
    return None if number is value else order_key(number)


def plain_number(value: Any) -> Any:
    """Return a number of another library as one of Python's; anything else as it is.

    Examples
    --------
    >>> from fractions import Fraction
    >>> plain_number(Fraction(5, 2)), plain_number("5"), plain_number(True)
    (2.5, '5', True)
    """
    if type(value) in _NUMBERS or isinstance(value, bool):
        return value
    from numbers import Integral, Real  # seldom needed

    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _instant(text: str) -> tuple[int, str] | None:
    # Seconds and, without loss, the digits of their fraction; texts of digits that do not end
    # in a zero are in the order of the fractions.
    if text[4:5] != "-" or (found := _INSTANT.fullmatch(text)) is None:
        return None
    *numbers, fraction, sign, zone_hour, zone_minute = found.groups("0")
    year, month, day, hour, minute, second = map(int, numbers)
    offset_hours, offset_minutes = int(zone_hour), int(zone_minute)
    if not 1 <= month <= 12 or not 1 <= day <= _days_in(month, year):
        return None
    # A leap second is the first second of the next minute.
    if hour > 23 or minute > 59 or second > 60 or offset_hours > 23 or offset_minutes > 59:
        return None
    offset = (offset_hours * 60 + offset_minutes) * 60
    seconds = _days_before(year, month) + day
    seconds = ((seconds * 24 + hour) * 60 + minute) * 60 + second
    return seconds + (offset if sign == "-" else -offset), fraction.rstrip("0")


def _days_in(month: int, year: int) -> int:
    return 29 if month == 2 and _is_leap(year) else _MONTH_DAYS[month - 1]


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days_before(year: int, month: int) -> int:
    # In the Gregorian calendar, since the beginning of the year 0.
    leap_days = (year + 3) // 4 - (year + 99) // 100 + (year + 399) // 400
    months = sum(_MONTH_DAYS[: month - 1]) + (month > 2 and _is_leap(year))
    return year * 365 + leap_days + months


def end_of_day(value: object) -> OrderKey | None:
    """Return where the day that a value names ends; None if it is no plain date.

    Examples
    --------
    >>> end_of_day("2024-05-01") == order_key("2024-05-02")
    True
    >>> end_of_day("2024-05-01T12:00:00Z") is end_of_day(7) is None
    True
    """
    key = order_key(value)
    if key is None or key[0] is not Kind.INSTANT:
        return None
    text = value if isinstance(value, str) else value.isoformat()  # type: ignore[attr-defined]
    if len(text) > len("2024-05-01"):
        return None
    seconds, _ = key[1]
    return Kind.INSTANT, (seconds + _DAY_SECONDS, "")


class Interval(NamedTuple):
    """The values of one kind between two bounds.

    Attributes
    ----------
    kind : Kind
        The kind of the values.
    low, high : object, optional
        The bounds, as in `OrderKey`; None for no bound.
    has_low, has_high : bool
        Whether the bound itself is inside.

    Examples
    --------
    >>> order_key(5) in Interval(Kind.NUMBER, low=1), order_key("5") in Interval(Kind.NUMBER, low=1)
    (True, False)
    """

    kind: Kind
    low: Any = None
    high: Any = None
    has_low: bool = True
    has_high: bool = True

    def __contains__(self, key: object) -> bool:
        """Return whether an `OrderKey` is inside; None is not."""
        if not isinstance(key, tuple) or key[0] is not self.kind:
            return False
        place, low, high = key[1], self.low, self.high
        if low is not None and (place < low or (place == low and not self.has_low)):
            return False
        return high is None or place < high or (place == high and self.has_high)


def field_value(metadata: Mapping[str, Any], field: str) -> Any:
    """Return the value of a field, None if missing; ``a.b`` reaches into objects.

    That is where there is no field ``a.b`` itself.

    Examples
    --------
    >>> field_value({"proj": {"code": "EPSG:4326"}}, "proj.code")
    'EPSG:4326'
    >>> field_value({"proj.code": 1, "proj": {"code": 2}}, "proj.code")
    1
    """
    if "." not in field or field in metadata:
        return metadata.get(field)
    at = field.find(".")
    while at >= 0:
        inner = metadata.get(field[:at])
        if isinstance(inner, dict) and (value := field_value(inner, field[at + 1 :])) is not None:
            return value
        at = field.find(".", at + 1)
    return None


class Box(NamedTuple):
    """A bounding box: west, south, east and north.

    If west is greater than east, it crosses the antimeridian (RFC 7946, section 5.2).
    """

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, value: object) -> Box | None:
        """Return the box that a field's value describes; None for anything else.

        Parameters
        ----------
        value : object
            A list of four numbers, or of six, of which the heights are ignored.  All are
            within 64-bit floats: `BoxIndex` calculates with them.

        Examples
        --------
        >>> Box.of([8, 46, 400.5, 10, 48, 2000.0])
        Box(west=8, south=46, east=10, north=48)
        >>> Box.of([8, 46, 10]) is Box.of("8,46,10,48") is Box.of([8, 48, 10, 46]) is None
        True
        """
        if not isinstance(value, list | tuple) or len(value) not in (4, 6):
            return None
        if not _NUMBERS.issuperset(map(type, value)) or not all(map(_is_finite, value)):
            return None
        half = len(value) // 2
        box = cls(value[0], value[1], value[half], value[half + 1])
        return box if box.south <= box.north else None

    def intersects(self, other: Box) -> bool:
        """Return whether two boxes have a point in common; a shared edge is enough."""
        if self.south > other.north or other.south > self.north:
            return False
        if self.west > self.east:
            return other.west > other.east or other.east >= self.west or other.west <= self.east
        if other.west > other.east:
            return self.east >= other.west or self.west <= other.east
        return self.west <= other.east and other.west <= self.east


def _is_finite(number: float) -> bool:
    return -sys.float_info.max <= number <= sys.float_info.max
