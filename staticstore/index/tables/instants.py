"""Columns of texts that are dates and times, as Arrow's own dates and times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ...query.comparison import Kind, end_of_day, order_key
from .. import codec

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Instants", "instants"]

_DAY_SECONDS = 86_400
_SECOND_MICROSECONDS = 1_000_000
# Texts that Arrow reads by the rules of `order_key`, and a hundred times as fast.  Others, such as
# those without a zone, with a leap second or that are no dates, are read by these rules.
_DATE = r"^\d{4}-\d\d-\d\d$"
_TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)$"


class Instants(NamedTuple):
    """A column of dates or times."""

    #: ``date32``, or ``timestamp[us, tz=UTC]`` if one value has a time.
    column: pa.ChunkedArray
    #: How many values are neither a date nor a time, and became null.
    others: int
    #: One of these, as JSON; None if there are none.
    example: str | None


def instants(column: pa.ChunkedArray, *, is_json: bool) -> Instants:
    """Return a column of dates and times, by the rules by which queries compare them.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Texts, or values of another type, which are no dates.
    is_json : bool
        Whether the texts are JSON texts of values of mixed kinds.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    time_type = pa.timestamp("us", tz="UTC")
    if column.type == pa.string() and not is_json:
        for pattern, kind in ((_DATE, pa.date32()), (_TIME, time_type)):
            if pc.all(pc.match_substring_regex(column, pattern)).as_py() is not False:
                try:
                    return Instants(column.cast(kind), 0, None)
                except pa.ArrowInvalid:  # no such day, say
                    break
    places: list[Any] = []
    have_times, example = False, None
    encoded = [chunk.dictionary_encode() for chunk in column.chunks if len(chunk)]
    for chunk in encoded:
        values = chunk.dictionary.to_pylist()
        if is_json:
            values = [codec.decode(text.encode()) for text in values]
        microseconds = list(map(_microseconds, values))
        for value, place in zip(values, microseconds, strict=True):
            if place is None:
                example = example or codec.encode(value).decode()
            elif end_of_day(value) is None:
                have_times = True
        places.append(pa.array(microseconds, pa.int64()).take(chunk.indices))
    found = pa.chunked_array(places, pa.int64())
    others = found.null_count - column.null_count
    if have_times or not column.length() - found.null_count:
        return Instants(found.cast(time_type), others, example)
    days = pc.divide(found, _DAY_SECONDS * _SECOND_MICROSECONDS)  # without a remainder
    return Instants(days.cast(pa.int32()).cast(pa.date32()), others, example)


def _microseconds(value: object) -> int | None:
    key = order_key(value)
    if key is None or key[0] is not Kind.INSTANT:
        return None
    seconds: int
    seconds, fraction = key[1]
    return (seconds - _epoch()) * _SECOND_MICROSECONDS + int(fraction[:6].ljust(6, "0"))


def _epoch() -> int:
    key = order_key("1970-01-01")
    assert key is not None
    seconds: int = key[1][0]
    return seconds
