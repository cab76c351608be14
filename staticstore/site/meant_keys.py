"""Which key somebody meant by a text that is none: hints, and other Unicode forms."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from urllib.parse import unquote

from ..errors import quoted
from .key_pattern import KeyPattern, composed, is_pattern
from .withheld import folded

__all__ = ["MeantKeys"]

# How the path of a value begins for those who do not count from its data folder.
_ABOVE_DATA = re.compile(r"(?:.*?/)??data/")
_HERE = re.compile(r"(?:\.?/)*")


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

    def has_match(self, pattern: KeyPattern) -> bool:
        """Return whether a key matches."""
        return any(map(pattern.matches, self._keys))

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
        if not is_pattern(text):
            return text in self._known or bool(self.of_other_form(text))
        start = text.removesuffix("*")
        if not is_pattern(start):
            at = bisect.bisect_left(self._keys, start)
            forms = () if text.isascii() else self._by_form
            return any(key.startswith(start) for key in self._keys[at : at + 1]) or any(
                form.startswith(composed(start)) for form in forms
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
        if not is_pattern(name):
            yield f"{name.rstrip('/')}/*".lstrip("/")
