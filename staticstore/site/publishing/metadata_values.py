"""The values of metadata that users give, checked, and copied as JSON's own types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

from ...errors import StoreError, quoted
from ...index.fields import PUBLISHER_FIELDS
from ...index.hidden import HIDDEN_FIELDS, is_hidden_value

__all__ = ["Rules", "checked_rules"]

# An index may have a hundred levels, and the entry is the first of them.
_MOST_LEVELS = 98
# Python writes and reads integers of 4,300 digits at most, unless it is configured.
_MOST_DIGITS = 4000
_MOST_BITS = (10**_MOST_DIGITS).bit_length()

#: Keys or patterns with their fields, unchecked.
Rules = Iterable[tuple[object, object]]


class _NotPlainError(Exception):
    """A value cannot be written as JSON; the text continues after the field's name."""


def checked_rules(rules: Rules, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield keys or patterns with copies of their fields, made of JSON's own types.

    Raises
    ------
    StoreError
        A key is no text, a field is written by the publisher itself, or has a value that
        JSON cannot represent.
    """
    for key, fields in rules:
        if not isinstance(key, str):
            raise StoreError(f"{name}: a key or pattern is a text, not {type(key).__name__}")
        where = f"{name}, {quoted(key)}"
        try:
            _plain_value(key)
        except _NotPlainError as problem:
            raise StoreError(f"{where} {problem}") from None
        if not isinstance(fields, Mapping):
            raise StoreError(
                f"{where}: a key or pattern has a mapping from fields to values, "
                f"not {type(fields).__name__}"
            )
        yield key, {field: _value(where, field, value) for field, value in fields.items()}


def _value(where: str, field: object, value: object) -> Any:
    if not isinstance(field, str):
        raise StoreError(f"{where}: a field's name is a text, not {type(field).__name__}")
    where = f"{where}: field {quoted(field)}"
    if field in PUBLISHER_FIELDS:
        raise StoreError(
            f"{where} is written by the publisher and cannot be given: remove or rename it"
        )
    try:
        _plain_value(field)
        plain = _plain_value(value)
    except _NotPlainError as problem:
        raise StoreError(f"{where} {problem}") from None
    if field in HIDDEN_FIELDS and is_hidden_value(field, plain):
        raise StoreError(
            f"{where} would say that the value is elsewhere, not in the site: remove or rename it"
        )
    return plain


def _plain_value(value: object, *, depth: int = 0) -> Any:
    """Return a copy of a value, made of JSON's own types.

    Tuples become lists; dates and times become text as in RFC 3339, with ``Z`` for
    UTC.

    Examples
    --------
    >>> _plain_value({"bbox": (8.4, 47.3), "day": date(2026, 11, 20)})
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
        raise _NotPlainError(f"is a {type(value).__name__}, which JSON does not have: convert it")
    if depth >= _MOST_LEVELS:
        raise _NotPlainError(f"is nested more than {_MOST_LEVELS} deep: flatten it")
    if isinstance(value, Mapping):
        return {_name(key): _plain_value(item, depth=depth + 1) for key, item in value.items()}
    return [_plain_value(item, depth=depth + 1) for item in value]


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _NotPlainError(
            "holds half of a surrogate pair, which is no valid text: correct it"
        ) from None
    return str.__str__(value)  # of a subclass, such as an enumeration, the text alone


def _integer(value: int) -> int:
    if value.bit_length() >= _MOST_BITS:
        raise _NotPlainError(
            f"is an integer of more than {_MOST_DIGITS:,} digits: write it as text"
        )
    return int(value)


def _number(value: float) -> float:
    if not math.isfinite(value):
        raise _NotPlainError(f"is {value}, which JSON does not have: leave it out, or write null")
    return float(value)


def _moment(value: date | time) -> str:
    text = value.isoformat()
    in_utc = isinstance(value, datetime | time) and text.endswith("+00:00")
    return text.removesuffix("+00:00") + "Z" if in_utc else text


def _name(key: object) -> str:
    if not isinstance(key, str):
        raise _NotPlainError(
            f"has a key that is a {type(key).__name__}: JSON allows only text as a key, so quote it"
        )
    return _text(key)
