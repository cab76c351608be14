"""Entries that expire by a field: ``publish(expire="valid_until")``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ... import tuning
from ...errors import quoted
from ...index.fields import PUBLISHER_FIELDS
from ...query.comparison import Kind, end_of_day, field_value, order_key

__all__ = ["Expired", "Expiry"]

_EPOCH_SECONDS = order_key("1970-01-01")[1][0]  # type: ignore[index]


class Expired(NamedTuple):
    """Which entries have expired."""

    keys: frozenset[str] = frozenset()
    #: When the next one expires, in seconds since 1970; None if none does.
    following: float | None = None
    warnings: tuple[str, ...] = ()


class Expiry:
    """When entries expire: at the date or time in a field, as in queries.

    A date ends with its day, in UTC.  What is neither a date nor a time never expires.

    Parameters
    ----------
    field : str
        The field; ``a.b`` reaches into objects.
    now : float, optional
        The time, in seconds since 1970; by default the current one.

    Raises
    ------
    ValueError
        It is no field that a publisher gives.

    Examples
    --------
    >>> expiry = Expiry("until", now=1714608000.0)  # 2024-05-02, at midnight
    >>> entries = {"a": {"until": "2024-05-01"}, "b": {"until": "2024-05-02"}}
    >>> sorted(expiry.among(entries, entries.__getitem__).keys)
    ['a']
    """

    def __init__(self, field: str, now: float | None = None) -> None:
        if not isinstance(field, str) or not field or field in PUBLISHER_FIELDS:
            raise ValueError(f"expire is the name of a field of your metadata, not {field!r}")
        self.field = field
        self._now = time.time() if now is None else now

    def end_of(self, metadata: Mapping[str, Any]) -> float | None:
        """Return when an entry expires, in seconds since 1970; None if never."""
        value = field_value(metadata, self.field)
        if not isinstance(value, str):
            return None
        key = end_of_day(value) or order_key(value)
        if key is None or key[0] is not Kind.INSTANT:
            return None
        seconds, fraction = key[1]
        return float(seconds - _EPOCH_SECONDS) + float(f"0.{fraction or 0}")

    def among(
        self, keys: Iterable[str], metadata_of: Callable[[str], Mapping[str, Any]]
    ) -> Expired:
        """Return which entries have expired, given their metadata.

        A field that is there and says no time is probably a mistake: it is warned of.
        """
        expired: list[str] = []
        following: float | None = None
        count, wrong = 0, list[str]()
        sample: list[Mapping[str, Any]] = []
        for key in keys:
            metadata = metadata_of(key)
            if len(sample) < tuning.SAMPLED_ENTRIES:
                sample.append(metadata)
            end = self.end_of(metadata)
            if end is None:
                if field_value(metadata, self.field) is not None:
                    wrong.append(key)
                continue
            count += 1
            if end <= self._now:
                expired.append(key)
            elif following is None or end < following:
                following = end
        warnings = []
        if wrong:
            warnings.append(
                f"the field {quoted(self.field)} of {len(wrong)} keys, such as {quoted(wrong[0])}, "
                "is neither a date nor a time: they never expire"
            )
        elif not count:
            warnings.append(
                f"nothing expires: no key has the field {quoted(self.field)}{self._hint(sample)}"
            )
        return Expired(frozenset(expired), following, tuple(warnings))

    def _hint(self, sample: Iterable[Mapping[str, Any]]) -> str:
        import difflib  # slow to import

        names = {name for metadata in sample for name in metadata}.difference(PUBLISHER_FIELDS)
        alike = difflib.get_close_matches(self.field, sorted(names), n=1)
        return f": did you mean {quoted(alike[0])}?" if alike else ""
