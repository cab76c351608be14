"""Values as JSON can say them, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

__all__ = ["NotPlainError", "plain_value"]

# An index may be nested a hundred deep, and the entry is its first level.
_DEEPEST = 98
# Python writes and reads no integers of more than 4,300 digits, unless it is told to.
_MOST_DIGITS = 4000
_MOST_BITS = (10**_MOST_DIGITS).bit_length()


class NotPlainError(Exception):
    """A value cannot be said in JSON; the text goes on after the field's name."""


def plain_value(value: object, *, depth: int = 0) -> Any:
    """Return a copy of a value, made of JSON's own types only.

    Tuples become lists; dates and times become text as in RFC 3339, with a
    ``Z`` for UTC.

    Parameters
    ----------
    value : object
        What somebody gave.
    depth : int, optional
        How many lists and mappings it stands in.

    Raises
    ------
    NotPlainError
        Something in it has another type, or is NaN, infinite, a text that is
        no Unicode, an integer of more than 4,000 digits, or nested too deeply.

    Examples
    --------
    >>> plain_value({"bbox": (8.4, 47.3), "day": date(2026, 11, 20)})
    {'bbox': [8.4, 47.3], 'day': '2026-11-20'}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, date | time):  # a datetime is a date
        return _moment(value)
    if not isinstance(value, list | tuple | Mapping):
        raise NotPlainError(f"is a {type(value).__name__}, which JSON has not: convert it")
    if depth >= _DEEPEST:
        raise NotPlainError(f"is nested more than {_DEEPEST} deep: flatten it")
    if isinstance(value, Mapping):
        return {_name(key): plain_value(item, depth=depth + 1) for key, item in value.items()}
    return [plain_value(item, depth=depth + 1) for item in value]


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise NotPlainError(
            "holds half of a surrogate pair, which is no text: correct it"
        ) from None
    return str.__str__(value)  # of a subclass, an enumeration for instance, the text alone


def _integer(value: int) -> int:
    if value.bit_length() >= _MOST_BITS:
        raise NotPlainError(f"is an integer of more than {_MOST_DIGITS:,} digits: write it as text")
    return int(value)


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise NotPlainError(f"is {value}, which JSON has not: leave it out, or write null")
    return float(value)


def _moment(value: date | time) -> str:
    text = value.isoformat()
    in_utc = isinstance(value, datetime | time) and text.endswith("+00:00")
    return text.removesuffix("+00:00") + "Z" if in_utc else text


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise NotPlainError(
            f"has a key that is a {type(key).__name__}: JSON has only text there, so quote it"
        )
    return _text(key)
