"""Predicates on what a text or a list contains."""

from __future__ import annotations

import fnmatch
import re
from typing import Any

from .predicates import Predicate

__all__ = ["contains", "like", "matches"]


class contains(Predicate):
    """Match texts and lists that contain a text or value, ignoring case.

    Parameters
    ----------
    part : object
        Of a text, a part; of a list, a whole item.  Texts are compared after
        `str.casefold`.

    Examples
    --------
    >>> contains("north").matches("Northern Alps"), contains("north").matches(["NORTH", "sea"])
    (True, True)
    >>> contains("north").matches(["northern"]), contains(5).matches("15")
    (False, False)
    """

    __slots__ = ("_folded",)

    def __init__(self, part: Any) -> None:
        self._arguments = (part,)
        self._folded = _folded(part)

    def matches(self, value: Any) -> bool:
        """Return whether a value contains the part; see `Predicate`."""
        if isinstance(value, str):
            return isinstance(self._folded, str) and self._folded in value.casefold()
        return isinstance(value, list) and any(_folded(item) == self._folded for item in value)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


class like(Predicate):
    """Match whole texts by a shell pattern, as `fnmatch.fnmatchcase`.

    Parameters
    ----------
    pattern : str
        With ``*``, ``?`` and ``[…]``.

    Raises
    ------
    TypeError
        The pattern is not text.

    Examples
    --------
    >>> like("EPSG:*").matches("EPSG:4326")
    True
    """

    __slots__ = ("_match",)

    def __init__(self, pattern: str) -> None:
        if not isinstance(pattern, str):
            raise TypeError(f"like takes a pattern as text, not {pattern!r}")
        self._arguments = (pattern,)
        self._match = re.compile(fnmatch.translate(pattern)).match

    def matches(self, value: Any) -> bool:
        """Return whether a text matches the pattern; see `Predicate`."""
        return isinstance(value, str) and self._match(value) is not None


class matches(Predicate):
    """Match texts in which a regular expression is found, as `re.search`.

    An expression of somebody else may take very long: there is no bound.

    Parameters
    ----------
    pattern : str or re.Pattern
        The expression.

    Raises
    ------
    ValueError
        It cannot be compiled.
    TypeError
        It is neither text nor a compiled expression of texts.

    Examples
    --------
    >>> matches("^S2[AB]_").matches("S2A_20240501")
    True
    """

    __slots__ = ("_search",)

    def __init__(self, pattern: str | re.Pattern[str]) -> None:
        source = pattern.pattern if isinstance(pattern, re.Pattern) else pattern
        if not isinstance(source, str):
            raise TypeError(f"matches takes a regular expression as text, not {pattern!r}")
        try:
            self._search = re.compile(pattern).search
        except re.error as error:
            raise ValueError(f"{source!r} is not a regular expression: {error}") from error
        self._arguments = (pattern,)

    def matches(self, value: Any) -> bool:
        """Return whether the expression is found in a text; see `Predicate`."""
        return isinstance(value, str) and self._search(value) is not None
