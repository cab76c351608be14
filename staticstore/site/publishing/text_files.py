"""Text, JSON and TOML files that people write, and the keys and patterns in them."""

from __future__ import annotations

import bisect
import fnmatch
import io
import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from ...disk.file_system import open_regular
from ...errors import StoreError, quoted, reason_of
from ..folder.data_file import pointer_problem
from ..folder.withheld import folded

__all__ = [
    "KeyPattern",
    "KeySearch",
    "decode_json",
    "decode_text",
    "is_pattern",
    "line_at",
    "parse_json",
    "parse_toml",
    "read_body",
]

# Twice what a million keys with a few fields each need.
_MOST_BYTES = 256 << 20
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

# In valid JSON: each string, with the colon that makes it a name, and each bracket.
_TOKEN = re.compile(r'("(?:[^"\\]++|\\.)*+")(?:[ \t\r\n]*+(:))?|[{}\[\]]')
# In TOML: a header with a character that stands only between quotes.
_UNQUOTED_KEY = re.compile(
    r"""[ \t]*\[(?!\[)([^\]"']*[^\]"'\w. \t-][^\]"']*)\][ \t\r]*$""", re.ASCII
)
# The time of `tomllib` is quadratic in the parts of a key, and fields of more than 98 levels are
# refused anyway.
_LONG_KEY = re.compile(
    r"""(?:(?<![\w-])[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
    r"""(?:[ \t]*+\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')){3000}""",
    re.ASCII,
)

_WILDCARD = re.compile(r"[*?[]")
# The beginning of a path that is not relative to the data folder.
_ABOVE_DATA = re.compile(r"(?:.*?/)??data/")
_HERE = re.compile(r"(?:\.?/)*")


class _RepeatedNameError(ValueError):
    """An object has two members of one name, of which `json` would keep the last."""


def read_body(path: Path, name: str) -> bytes:
    """Read a text file.

    Parameters
    ----------
    path : Path
        The file, or a link to it.
    name : str
        Its name in errors.

    Raises
    ------
    StoreError
        It cannot be read, is no regular file, or has more than 256 MiB.
    """
    try:
        with io.BufferedReader(open_regular(path)) as file:
            body = file.read(_MOST_BYTES + 1)
    except OSError as error:
        shown = quoted(str(path))
        raise StoreError(f"the metadata {shown} cannot be read: {reason_of(error)}") from error
    if len(body) > _MOST_BYTES:
        raise StoreError(f"{name} has more than {_MOST_BYTES >> 20} MiB: split the site")
    return body


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
        unquoted = _UNQUOTED_KEY.match(text.split("\n")[line - 1])
        hint = f'; put the key in quotes: ["{unquoted[1]}"]' if unquoted else ""
        raise StoreError(f"{name}, line {line}: it is not valid TOML: {error}{hint}") from error
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


def _composed(text: str) -> str:
    r"""Return the composed form (NFC) of a text, in which names are compared.

    Examples
    --------
    >>> _composed("U\u0308bersicht") == "\xdcbersicht"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_pattern(text: str) -> bool:
    """Return whether a text has wildcards."""
    return _WILDCARD.search(text) is not None


class KeyPattern:
    """A glob pattern for whole keys, as in `fnmatch.fnmatchcase`: ``*`` matches ``/``.

    Parameters
    ----------
    text : str
        The pattern.

    Examples
    --------
    >>> pattern = KeyPattern("*.tif")
    >>> pattern.matches("a/b.tif"), pattern.matches("a/b.csv")
    (True, False)
    """

    def __init__(self, text: str) -> None:
        self.text = text
        # Contained in each key that matches; faster to search than an expression is to compile.
        self._literal = max(re.split(r"[*?]+", text.partition("[")[0]), key=len)

    def matches(self, key: str) -> bool:
        """Return whether a key matches, as it is or in its composed form."""
        if self._literal in key and self._expression.match(key):
            return True
        return not key.isascii() and self._composed_expression.match(_composed(key)) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(fnmatch.translate(self.text))

    @cached_property
    def _composed_expression(self) -> re.Pattern[str]:
        return re.compile(fnmatch.translate(_composed(self.text)))


class KeySearch:
    """Searches the keys of a site for those that other texts mean.

    Parameters
    ----------
    keys : sequence of str
        All keys, in order.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def __contains__(self, text: str) -> bool:
        """Return whether there is such a key."""
        return text in self._known

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self._keys)

    def has_match(self, pattern: KeyPattern) -> bool:
        """Return whether a key matches."""
        return any(map(pattern.matches, self._keys))

    def of_other_form(self, text: str) -> list[str]:
        """Return the keys that are the same text in another Unicode form."""
        form = _composed(text)
        found = self._by_form.get(form, [])
        return [key for key in (found or [form]) if key != text and key in self._known]

    def hint(self, text: str) -> str:
        """Return a hint for a key or pattern that matches nothing.

        Returns
        -------
        str
            The end of a message; empty if there is no hint.
        """
        if others := self.of_other_form(text):
            shown = " and ".join(map(ascii, others))
            return (
                f" as {text!a}, but {shown} differs from it only in its Unicode form (NFC or "
                "NFD): write that, or give the files names that differ in more"
            )
        for candidate in _candidates(text):
            if candidate != text and self._has_any(candidate):
                is_longer = text.startswith(candidate.removesuffix("/*"))
                where = "" if is_longer else "keys are relative to data/: "
                return f"; {where}did you mean {quoted(candidate)}?"
        key = self._by_folded.get(folded(text))
        return "" if key is None else f"; did you mean {quoted(key)}?"

    def _has_any(self, text: str) -> bool:
        if not is_pattern(text):
            return text in self._known or bool(self.of_other_form(text))
        start = text.removesuffix("*")
        if not is_pattern(start):
            at = bisect.bisect_left(self._keys, start)
            forms = () if text.isascii() else self._by_form
            return any(key.startswith(start) for key in self._keys[at : at + 1]) or any(
                form.startswith(_composed(start)) for form in forms
            )
        return self.has_match(KeyPattern(text))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._keys)

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self._keys:
            if not key.isascii():
                found.setdefault(_composed(key), []).append(key)
        return found

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        return {folded(key): key for key in self._keys}


def _candidates(text: str) -> Iterator[str]:
    """Yield texts that may have been meant, the most likely first."""
    path = text.strip().replace("\\", "/")
    path = path[_HERE.match(path).end() :]  # type: ignore[union-attr]  # it always matches
    below = _ABOVE_DATA.match(path + "/")
    for name in dict.fromkeys((path, path[below.end() :] if below else path, unquote(path))):
        yield name
        if not is_pattern(name):
            yield f"{name.rstrip('/')}/*".lstrip("/")
