"""Metadata in JSON: strict, and no name given twice."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from ..errors import StoreError, quoted
from .source_text import first_failing_line, line_at

__all__ = ["decode_json", "parse_json"]

# In valid JSON: each text, with the colon that makes it a name, and each bracket.
_TOKEN = re.compile(r'("(?:[^"\\]++|\\.)*+")(?:[ \t\r\n]*+(:))?|[{}\[\]]')


class _RepeatedNameError(ValueError):
    """An object has two members of one name, of which `json` would keep the last."""


def decode_json(text: str) -> Any:
    """Decode JSON, no more and no less.

    msgspec keeps the last of two members of one name, and says where an error
    is in bytes; `json` can be told to refuse, and says it in lines.

    Raises
    ------
    ValueError
        It is no JSON, has NaN or Infinity, a name twice in one object, or an
        integer of more than 4,300 digits.
    RecursionError
        It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)


def parse_json(text: str, name: str) -> dict[str, Any]:
    """Parse a JSON object; raise `StoreError` with the line, or both lines, if it is none.

    Parameters
    ----------
    text : str
        The document.
    name : str
        What errors call it.
    """
    try:
        document = decode_json(text)
    except json.JSONDecodeError as error:
        raise StoreError(
            f"{name}, line {error.lineno}: no JSON: {error.msg} (column {error.colno})"
        ) from error
    except _RepeatedNameError as error:
        raise StoreError(f"{name}, {_first_repeat(text)}") from error
    except (ValueError, RecursionError) as error:
        kind = type(error)
        line = first_failing_line(text, lambda part: _fails_by(part, kind))
        raise StoreError(
            f"{name}, line {line}: no JSON that can be read: {_reason(error)}"
        ) from error
    if not isinstance(document, dict):
        raise StoreError(f"{name}, line 1: it is no JSON object from keys to fields")
    return document


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RepeatedNameError
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}: leave the field out, or write null")


def _fails_by(text: str, kind: type[Exception]) -> bool:
    try:
        decode_json(text)
    except (ValueError, RecursionError) as error:
        return type(error) is kind  # and not a JSONDecodeError, for a text that is cut
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if "limit" in str(error):
        return "a number has too many digits"
    return str(error)


def _first_repeat(text: str) -> str:
    """Say which name stands twice, and in which lines."""
    places: list[dict[str, int]] = []
    for token in _TOKEN.finditer(text):
        if token[2]:
            name = json.loads(token[1])
            first = places[-1].setdefault(name, token.start())
            if first != token.start():
                what = "key" if len(places) == 1 else "field"
                return (
                    f"line {line_at(text, token.start())}: the {what} {quoted(name)} is "
                    f"also in line {line_at(text, first)}: keep one of them"
                )
        elif token[0] in "{[":
            places.append({})
        elif token[0] in "}]":
            places.pop()
    raise AssertionError("the parser has found a name twice")
