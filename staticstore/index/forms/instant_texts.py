"""Dates and times of a column, kept as texts while those sort as instants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from ...query.comparison import Kind, order_key

__all__ = ["InstantTexts"]

# A date that exists; "29" of February in leap years.
_DATE = (
    r"(?:\d{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)"
    r"|(?:0[13578]|1[02])-31)"
    r"|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
)
# Not a leap second, which is the same instant as the next one.
_TIME = r"T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
_DAY_SECONDS = 86_400
_BEFORE_YEAR_1_DAYS = 366  # of the count of `comparison`
_CENTURIES_DAYS = 146_097  # in 400 years

Place = tuple[int, str]


class InstantTexts:
    """The dates and times of a column, in the order in which they come.

    While all are written alike (a date; or a time in UTC with as many digits), a value is
    the text, and the order of texts is that of instants.  At the first one that is written
    in another way, all become the place of the instant with the text.

    Examples
    --------
    >>> instants = InstantTexts()
    >>> instants.add(["2024-05-01", "x"]), instants.runs
    ([0], [('2024-05-01',)])
    >>> instants.add(["2024-05-01T00:00:00Z"]), instants.place_of(instants.runs[1][0])[1]
    ([0], '')
    """

    __slots__ = ("_are_alike", "_digits", "_pattern", "_zone", "runs")

    def __init__(self) -> None:
        #: Of each instant: a text, or seconds, digits of their fraction, and the text.
        self.runs: list[tuple[Any, ...]] = []
        self._are_alike = True
        self._pattern: re.Pattern[str] | None = None
        # How the texts are written: digits of the fraction, None for a date alone; the zone.
        self._digits: int | None = None
        self._zone = ""

    def add(self, texts: Sequence[str]) -> list[int]:
        """Add those texts that are dates or times; return their positions in the list."""
        places = [at for at, text in enumerate(texts) if text[4:5] == "-"]
        if not places:
            return places
        some = texts if len(places) == len(texts) else [texts[at] for at in places]
        if self._pattern is None:
            self._set_pattern(some[0])
        if not (self._are_alike and self._match_all(some)):
            places = [at for at in places if _is_instant(texts[at])]
            some = [texts[at] for at in places]
            self._check_alike(some)
        if some:
            self.runs.append(self._values(some))
        return places

    def _check_alike(self, texts: Sequence[str]) -> None:
        if self._pattern is None and texts:
            self._set_pattern(texts[0])
        if self._are_alike and texts and not self._match_all(texts):
            self._are_alike = False
            for number, run in enumerate(self.runs):
                self.runs[number] = self._values(run)

    def _values(self, texts: Iterable[str]) -> tuple[Any, ...]:
        values = texts if self._are_alike else ((*place_of(text), text) for text in texts)
        return tuple(values)

    def _set_pattern(self, text: str) -> None:
        found = re.fullmatch(rf"{_DATE}(?:{_TIME}(?:\.(\d+))?(Z|\+00:00)?)?", text, re.ASCII)
        if found is None:
            return
        fraction, zone = found.groups()
        is_date = len(text) == len("2024-05-01")
        self._digits = None if is_date else len(fraction or "")
        self._zone = zone or ""
        time = "" if is_date else _TIME + (rf"\.\d{{{len(fraction)}}}" if fraction else "")
        # Possessive, so that no way back is remembered for each text.
        self._pattern = re.compile(f"(?:{_DATE}{time}{re.escape(self._zone)}\n)*+", re.ASCII)

    def _match_all(self, texts: Sequence[str]) -> bool:
        if self._pattern is None:
            return False
        joined = "\n".join(texts) + "\n"
        return joined.count("\n") == len(texts) and self._pattern.fullmatch(joined) is not None

    def text_of(self, value: Any) -> str:
        """Return how an instant was written."""
        text: str = value if self._are_alike else value[-1]
        return text

    def place_of(self, value: Any) -> Any:
        """Return what orders a value; equal for the same instant."""
        return value if self._are_alike else value[:2]

    def written(self, text: str) -> Any:
        """Return the value of a date or time as it is written; None if none is so."""
        if not self._are_alike:
            return (*place_of(text), text)
        return text if self._match_all([text]) else None

    def needle(self, place: Place, *, is_after: bool) -> tuple[Any, bool]:
        """Return the value to bisect for, and whether after those that equal it.

        Parameters
        ----------
        place : tuple
            Of the instant, as in an `OrderKey`.
        is_after : bool
            Whether to bisect after the values of that instant.
        """
        seconds, fraction = place
        if not self._are_alike:
            return ((seconds, fraction + "\0") if is_after else place), False
        days, rest = divmod(seconds, _DAY_SECONDS)
        date = _date(days)
        if self._digits is None:
            return date, is_after or rest > 0 or fraction != ""
        clock = f"T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
        if self._digits:
            clock += "." + fraction[: self._digits].ljust(self._digits, "0")
        # Texts with fewer digits than the place are less than it.
        return date + clock + self._zone, is_after or len(fraction) > self._digits


def _is_instant(text: str) -> bool:
    key = order_key(text)
    return key is not None and key[0] is Kind.INSTANT


def place_of(text: str) -> Place:
    """Return the place of a text that is a date or time."""
    key = order_key(text)
    assert key is not None
    place: Place = key[1]
    return place


def _date(days: int) -> str:
    from datetime import date

    # A zone may lead out of the years that can be written: to what sorts before or after them.
    ordinal, years = days - _BEFORE_YEAR_1_DAYS, 0
    if ordinal < 1:  # the year 0, which `datetime` does not have
        ordinal, years = ordinal + _CENTURIES_DAYS, 400
    if ordinal > date.max.toordinal():
        return "~"
    day = date.fromordinal(ordinal)
    return f"{day.year - years:04}-{day:%m-%d}" if day.year >= years else " "
