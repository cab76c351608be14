"""Keys searched by pattern, and for the key that a misspelled text means.

The Unicode form of a name does not matter: file systems of macOS decompose names
(NFD), others leave them as they were typed, which is composed (NFC).
"""

from __future__ import annotations

import bisect
import fnmatch
import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from urllib.parse import unquote

from ..errors import quoted
from .withheld import folded

__all__ = ["KeyPattern", "KeySearch", "is_pattern"]

_WILDCARD = re.compile(r"[*?[]")
# The beginning of a path that is not relative to the data folder.
_ABOVE_DATA = re.compile(r"(?:.*?/)??data/")
_HERE = re.compile(r"(?:\.?/)*")


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
