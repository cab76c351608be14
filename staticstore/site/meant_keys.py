"""Which key somebody meant by a text that is none: hints, and other Unicode forms."""

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

__all__ = ["WILDCARD", "MeantKeys", "composed"]

#: What makes a text a pattern.
WILDCARD = re.compile(r"[*?[]")
# How the path of a value begins for those who do not count from its data folder.
_ABOVE_DATA = re.compile(r"(?:.*?/)??data/")
_HERE = re.compile(r"(?:\.?/)*")


def composed(text: str) -> str:
    r"""Return the composed form (NFC) of a text, in which keys are compared.

    Examples
    --------
    >>> composed("U\u0308bersicht") == "\xdcbersicht"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


class MeantKeys:
    """The keys of a site, searched for those that are meant by other texts.

    Parameters
    ----------
    keys : sequence of str
        In order.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = keys

    def __contains__(self, text: str) -> bool:
        """Return whether there is such a key."""
        return text in self._known

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, in order."""
        return iter(self._keys)

    def has_match(
        self, literal: str, expression: re.Pattern[str], of_composed: re.Pattern[str]
    ) -> bool:
        """Return whether a key matches, or the composed form of one the last expression.

        Parameters
        ----------
        literal : str
            What every key has in it that matches.
        expression, of_composed : re.Pattern
            Of a pattern, and of its composed form.
        """
        found = (expression.match(key) for key in self._keys if literal in key)
        return any(found) or any(map(of_composed.match, self._by_form))

    def of_other_form(self, text: str) -> list[str]:
        """Return the keys that are the same text in another Unicode form.

        File systems of macOS decompose names (NFD), all others leave them as
        they were typed, which is composed (NFC).
        """
        form = composed(text)
        found = self._by_form.get(form, [])
        return [key for key in (found or [form]) if key != text and key in self._known]

    def hint(self, text: str) -> str:
        """Return what to say of a key or pattern that matches nothing; perhaps nothing.

        Returns
        -------
        str
            To go on from the message.
        """
        if others := self.of_other_form(text):
            shown = " and ".join(map(ascii, others))
            return (
                f" as {text!a}, but {shown} differs from it only in its Unicode form (NFC or "
                "NFD): write that, or give the files names that differ in more"
            )
        for candidate in _candidates(text):
            if candidate != text and self._is_something(candidate):
                is_longer = text.startswith(candidate.removesuffix("/*"))
                where = "" if is_longer else "keys are relative to data/: "
                return f"; {where}did you mean {quoted(candidate)}?"
        key = self._by_folded.get(folded(text))
        return "" if key is None else f"; did you mean {quoted(key)}?"

    def _is_something(self, text: str) -> bool:
        if not WILDCARD.search(text):
            return text in self._known or bool(self.of_other_form(text))
        start = text.removesuffix("*")
        if not WILDCARD.search(start):
            at = bisect.bisect_left(self._keys, start)
            forms = () if text.isascii() else self._by_form
            return any(key.startswith(start) for key in self._keys[at : at + 1]) or any(
                form.startswith(composed(start)) for form in forms
            )
        forms_of_text = (re.compile(fnmatch.translate(form)) for form in (text, composed(text)))
        return self.has_match("", *forms_of_text)

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self._keys)

    @cached_property
    def _by_form(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in self._keys:
            if not key.isascii():
                found.setdefault(composed(key), []).append(key)
        return found

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        return {folded(key): key for key in self._keys}


def _candidates(text: str) -> Iterator[str]:
    """Yield what may have been meant, the most likely first."""
    path = text.strip().replace("\\", "/")
    path = path[_HERE.match(path).end() :]  # type: ignore[union-attr]  # it matches always
    below = _ABOVE_DATA.match(path + "/")
    for name in dict.fromkeys((path, path[below.end() :] if below else path, unquote(path))):
        yield name
        if not WILDCARD.search(name):
            yield f"{name.rstrip('/')}/*".lstrip("/")
