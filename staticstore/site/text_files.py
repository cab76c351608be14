"""Text, JSON and TOML files that people write: bounded, and with lines in errors."""

from __future__ import annotations

import bisect
import io
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from ..errors import StoreError, quoted
from ..transport.regular import open_regular
from .data_file import pointer_problem
from .folder import reason_of

__all__ = ["decode_json", "decode_text", "line_at", "parse_json", "parse_toml", "read_text"]

# Twice what a million keys with a few fields each need.
_MOST_BYTES = 256 << 20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

# In valid JSON: each string, with the colon that makes it a name, and each bracket.
_TOKEN = re.compile(r'("(?:[^"\\]++|\\.)*+")(?:[ \t\r\n]*+(:))?|[{}\[\]]')
# The time of `tomllib` is quadratic in the parts of a key, and fields of more than 98 levels are
# refused anyway.
_LONG_KEY = re.compile(
    r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
    r"""(?:[ \t]*+\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')){3000}""",
    re.ASCII,
)


class _RepeatedNameError(ValueError):
    """An object has two members of one name, of which `json` would keep the last."""


def read_text(path: Path, name: str) -> str:
    """Read a text file in UTF-8, with or without a byte order mark.

    Parameters
    ----------
    path : Path
        The file, or a link to it.
    name : str
        Its name in errors.

    Raises
    ------
    StoreError
        It cannot be read, is no regular file, has more than 256 MiB, or is not UTF-8.
    """
    try:
        with io.BufferedReader(open_regular(path)) as file:
            body = file.read(_MOST_BYTES + 1)
    except OSError as error:
        shown = quoted(str(path))
        raise StoreError(f"the metadata {shown} cannot be read: {reason_of(error)}") from error
    if len(body) > _MOST_BYTES:
        raise StoreError(f"{name} has more than {_MOST_BYTES >> 20} MiB: split the site")
    return decode_text(body, name)


def decode_text(body: bytes, name: str) -> str:
    """Decode UTF-8, and remove a byte order mark.

    Parameters
    ----------
    body : bytes
        The document.
    name : str
        Its name in errors.

    Raises
    ------
    StoreError
        It is not UTF-8 (the error names the line), or a pointer of Git LFS or git-annex.
    """
    if problem := pointer_problem(body, len(body)):
        raise StoreError(f"{name}: {problem}")
    # ASCII text in UTF-16 without a mark is valid UTF-8, with a NUL beside each letter.
    if body.startswith(_UTF_16) or b"\0" in body[:2]:
        raise StoreError(f"{name}, line 1: it is UTF-16 and not UTF-8: save it as UTF-8")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise StoreError(
            f"{name}, line {line}: it is not UTF-8 (Latin-1 or Windows-1252, perhaps): "
            "save it as UTF-8"
        ) from error


def line_at(text: str, position: int) -> int:
    """Return the number of the line of a character, from 1 on."""
    return text.count("\n", 0, position) + 1


def decode_json(text: str) -> Any:
    """Decode JSON strictly.

    Not with msgspec: it accepts repeated names, and gives positions of errors in
    bytes instead of lines.

    Raises
    ------
    ValueError
        It is not valid JSON, has NaN or Infinity, a name twice in one object, or an
        integer of more than 4,300 digits.
    RecursionError
        It is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_refuse_constant)


def parse_json(text: str, name: str) -> dict[str, Any]:
    """Parse a JSON object.

    Parameters
    ----------
    text : str
        The document.
    name : str
        Its name in errors.

    Raises
    ------
    StoreError
        It is not one; the error names the line, or both lines of a repeated name.
    """
    try:
        document = decode_json(text)
    except json.JSONDecodeError as error:
        raise StoreError(
            f"{name}, line {error.lineno}: not valid JSON: {error.msg} (column {error.colno})"
        ) from error
    except _RepeatedNameError as error:
        raise StoreError(f"{name}, {_first_repeat(text)}") from error
    except (ValueError, RecursionError) as error:
        raise _located(error, text, name, decode_json) from error
    if not isinstance(document, dict):
        raise StoreError(f"{name}, line 1: it is not a JSON object of keys and their fields")
    return document


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Parse TOML.

    Parameters
    ----------
    text : str
        The document.
    name : str
        Its name in errors.

    Raises
    ------
    StoreError
        It is not valid TOML; the error names the line.
    """
    if long_key := _LONG_KEY.search(text):
        line = line_at(text, long_key.start())
        raise StoreError(f"{name}, line {line}: a key has more than 3,000 parts: flatten it")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else text.rstrip().count("\n") + 1
        raise StoreError(f"{name}, line {line}: it is not valid TOML: {error}") from error
    except (ValueError, RecursionError) as error:
        raise _located(error, text, name, tomllib.loads) from error


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _RepeatedNameError
    return members


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"JSON has no {constant}: leave the field out, or write null")


def _located(error: Exception, text: str, name: str, parse: Callable[[str], object]) -> StoreError:
    # Python's own errors name no line, so that is searched for.
    kind = type(error)

    def fails(end: int) -> bool:
        try:
            parse(text[:end])
        except (ValueError, RecursionError) as other:
            return type(other) is kind  # and no syntax error, because the text is cut
        return False

    ends = [match.end() for match in re.finditer(r"\n", text)]
    line = 1 + bisect.bisect_left(ends, True, key=fails)
    reason = str(error)
    if isinstance(error, RecursionError):
        reason = "it is nested too deeply"
    elif "limit" in reason:
        reason = "a number has too many digits"
    return StoreError(f"{name}, line {line}: {reason}")


def _first_repeat(text: str) -> str:
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
