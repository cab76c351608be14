"""Advice on conditions: how they can go on, and why they match nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from .. import tuning
from ..errors import quoted
from ..query.comparison import Box, Kind, field_value, order_key
from ..query.order import Ordered
from ..query.predicates import exists
from ..query.syntax import OPERATORS, FieldCondition, written_field
from .snapshot import Index

__all__ = ["condition_advice", "condition_beginnings", "known_fields", "unknown_field_advice"]


def condition_advice(index: Index, conditions: Iterable[FieldCondition]) -> Iterator[str]:
    """Yield why conditions match no entry, as far as that is easily seen.

    No entry has the field, or its values are of other kinds than the one they are compared
    with.  The cost is that of a query of each field.

    Examples
    --------
    >>> from staticstore.query.syntax import parse_condition
    >>> index = Index.from_entries({"a": {"date": "2024-05-01"}})
    >>> for text in condition_advice(index, [parse_condition("date>2024")]):
    ...     print(text)
    'date' is a date or time in the index, but a number in 'date>2024': values of different kinds
    never match
    """
    conditions = list(conditions)
    yield from unknown_field_advice(index, [condition.field for condition in conditions])
    for condition in conditions:
        if isinstance(condition.wanted, Ordered):
            yield from _kind_advice(index, condition, condition.wanted.interval.kind)


def unknown_field_advice(index: Index, fields: Iterable[str]) -> Iterator[str]:
    """Yield a sentence for each unknown field, naming a similar one if any.

    Examples
    --------
    >>> list(unknown_field_advice(Index.from_entries({"a": {"type": "raster"}}), ["tpye"]))
    ["no entry has the field 'tpye': did you mean 'type'?"]
    """
    for field in dict.fromkeys(fields):
        if next(index.query_keys(where={field: exists()}, limit=1), None) is None:
            import difflib  # slow to import

            others = known_fields(index).keys() - {field}
            alike = difflib.get_close_matches(field, sorted(others), n=1)
            hint = f": did you mean {quoted(alike[0])}?" if alike else ""
            if field == "key":
                hint = ": the key itself is no field; 'staticstore ls' finds keys by a pattern"
            yield f"no entry has the field {quoted(field)}{hint}"


def _kind_advice(index: Index, condition: FieldCondition, kind: Kind) -> Iterator[str]:
    field = condition.field
    entries = index.query(where={field: exists()}, limit=tuning.SAMPLED_ENTRIES)
    keys = [order_key(field_value(metadata, field)) for _, metadata in entries]
    kinds = sorted({key[0] for key in keys if key is not None})
    if kinds and kind not in kinds:
        yield (
            f"{quoted(field)} is {' or '.join(map(str, kinds))} in the index, but {kind} in "
            f"{quoted(condition.text)}: values of different kinds never match"
        )


def known_fields(index: Index) -> dict[str, Any]:
    """Return the fields of the first entries, each with a value; nested as ``a.b``.

    Examples
    --------
    >>> known_fields(Index.from_entries({"a": {"size": 5}, "b": {"proj": {"code": "x"}}}))
    {'size': 5, 'proj': {'code': 'x'}, 'proj.code': 'x'}
    """
    fields: dict[str, Any] = {}
    for _, metadata in itertools.islice(index.query(), tuning.SAMPLED_ENTRIES):
        for field, value in metadata.items():
            fields.setdefault(field, value)
            if isinstance(value, dict):
                for inner, inner_value in value.items():
                    fields.setdefault(f"{field}.{inner}", inner_value)
    return fields


def condition_beginnings(index: Index, text: str) -> list[str]:
    """Return how a condition that begins with `text` can go on, for completion.

    Names of fields; after a whole name, or if there is only one, the operators that fit
    its values.

    Examples
    --------
    >>> index = Index.from_entries({"a": {"size": 5, "seen": True, "a=b": "x"}})
    >>> condition_beginnings(index, "s")
    ['seen', 'size']
    >>> condition_beginnings(index, "si")
    ['size=', 'size!=', 'size<', 'size<=', 'size>', 'size>=']
    """
    fields = {written_field(field): value for field, value in known_fields(index).items()}
    # What begins with "-" would be an option.
    names = sorted(name for name in fields if name.startswith(text) and name[:1] != "-")
    if len(names) != 1 and text not in names:
        return names
    name = text if text in names else names[0]
    names.remove(name)
    return [name + operator for operator in _fitting_operators(fields[name])] + names


def _fitting_operators(value: object) -> list[str]:
    is_box = Box.of(value) is not None
    unfit = set() if is_box else {"@"}
    if order_key(value) is None:
        unfit |= {"<", "<=", ">", ">="}
    if is_box or not isinstance(value, str | list):
        unfit.add("~")
    return [operator for operator in OPERATORS if operator not in unfit]
