"""Glob patterns of keys, in which the Unicode form of a name does not count."""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from functools import cached_property

__all__ = ["KeyPattern", "composed", "is_pattern"]

_WILDCARD = re.compile(r"[*?[]")


def composed(text: str) -> str:
    r"""Return the composed form (NFC) of a text, in which names are compared.

    Examples
    --------
    >>> composed("U\u0308bersicht") == "\xdcbersicht"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_pattern(text: str) -> bool:
    """Return whether a text has wildcards in it."""
    return _WILDCARD.search(text) is not None


class KeyPattern:
    """A pattern as of `fnmatch.fnmatchcase`, held against whole keys; ``*`` matches slashes.

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
        # What each key that matches has in it: found sooner than an expression is compiled.
        self._literal = max(re.split(r"[*?]+", text.partition("[")[0]), key=len)

    def matches(self, key: str) -> bool:
        """Return whether a key matches, as it is or as its composed form."""
        if self._literal in key and self._expression.match(key):
            return True
        return not key.isascii() and self._of_composed.match(composed(key)) is not None

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return re.compile(fnmatch.translate(self.text))

    @cached_property
    def _of_composed(self) -> re.Pattern[str]:
        return re.compile(fnmatch.translate(composed(self.text)))
