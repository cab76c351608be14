"""Queries with predicates, sorted or not, find what a plain scan finds, in any form of an index."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore import Index
from staticstore.index.fields import visible_metadata
from staticstore.query import (
    Predicate,
    all_of,
    any_of,
    any_where,
    between,
    contains,
    exists,
    ge,
    gt,
    intersects,
    le,
    like,
    lt,
    matches,
    missing,
    ne,
    none_of,
    one_of,
)
from staticstore.query.comparison import field_value, order_key
from staticstore.query.conditions import Where
from tests.index.strategies import quick

PLACE = ["packs/" + "ab" * 32 + ".zip", 30]
BOXES: list[Any] = [
    [0, 0, 10, 10], [10, 10, 20, 20], [5, 5, 0, 6, 6, 9], [170, -10, -170, 10],
    [-180, -90, 180, 90], [3, 3, 3, 3], [0, 5, 1, 4], [1, 2, 3],
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, 1, 1.0, -0.5, 2, 7, 2**53 + 1, float(2**53), 2**70, -(2**70), 1e300,
    "", "1", "a", "A", "ab", "b\n", "2024-05-01", "2024-05-02", "2024-02-30",
    "2024-05-01T00:00:00Z",
    "2024-05-01T12:30:00Z", "2024-05-01T12:30:00.5Z", "2024-05-01T12:30:00.25Z",
    "2024-05-01T14:30:00+02:00", "2024-05-01T12:30", "2024-04-30T23:59:60Z", "0000-01-01",
    "9999-12-31T23:59:59-23:59", "2024-05-01\n2024-05-02", [], [1], ["a", "B"], {}, {"x": 1},
    {"b": "2024-05-01", "c": {"d": 5}}, PLACE, *BOXES,
]  # fmt: skip
DATES = [v for v in VALUES if isinstance(v, str) and v[4:5] == "-"]
FIELDS = ["a", "b", "a.b", "a.c.d", "packed", "bbox"]

_ordered = st.sampled_from([v for v in VALUES if order_key(v) is not None])
_dates = st.sampled_from(DATES)
_any = st.sampled_from(VALUES)
_bounds = _ordered | _dates


def _between(pair: tuple[Any, Any]) -> Predicate:
    low, high = (order_key(value) for value in pair)
    assert low is not None
    assert high is not None
    return between(*pair) if low[0] == high[0] else ge(pair[0])


def _combined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, max_size=3)
    makes: list[type[Predicate]] = [all_of, any_of, none_of]
    return st.builds(lambda make, conditions: make(*conditions), st.sampled_from(makes), some)


_simple = st.one_of(
    _bounds.map(lt), _bounds.map(le), _bounds.map(gt), _bounds.map(ge),
    st.tuples(_bounds, _bounds).map(_between),
    _any.map(ne), st.lists(_any, max_size=3).map(lambda some: one_of(*some, None)),
    st.lists(_any, min_size=2, max_size=3).map(lambda some: one_of(*some)),
    _any.map(contains), st.sampled_from(["a*", "*", "2024-05*", "?"]).map(like),
    st.sampled_from(["a", "^2024", "", "0Z$"]).map(matches), st.just(exists()), st.just(missing()),
    st.sampled_from(BOXES[:6]).map(intersects),
)  # fmt: skip
_calls: st.SearchStrategy[Any] = st.sampled_from([bool, lambda value: value == 1])
_wanted = st.recursive(_any | _simple | _calls, _combined, max_leaves=4)
_where = st.dictionaries(st.sampled_from(FIELDS), _wanted, max_size=3)
_wheres = _where | st.lists(_where, max_size=3).map(lambda some: any_where(*some))
_states = st.dictionaries(
    st.text("abc/", min_size=1, max_size=4).filter(
        lambda key: all(segment for segment in key.split("/"))
    ),
    st.dictionaries(st.sampled_from(FIELDS), _any | _dates, max_size=4),
    max_size=12,
)
_sorts = st.none() | st.lists(
    st.tuples(st.sampled_from(["", "-"]), st.sampled_from(FIELDS)).map("".join), max_size=2
)
_limits = st.none() | st.integers(0, 5)


def holds(wanted: Any, value: Any, is_there: bool) -> bool:
    """Return whether a value fulfills a condition of a query."""
    if isinstance(wanted, Predicate):
        return wanted.matches(value)
    if callable(wanted):
        return is_there and bool(wanted(value))
    return bool(value == wanted)


def fulfills(metadata: dict[str, Any], where: Where | list[Where]) -> bool:
    """Return whether an entry fulfills conditions."""
    if isinstance(where, any_where):
        return any(fulfills(metadata, one) for one in where.__reduce__()[1])
    assert not isinstance(where, list)
    return all(
        holds(wanted, value := field_value(metadata, field), value is not None or field in metadata)
        for field, wanted in where.items()
    )


def scan(
    state: dict[str, Any], where: Where, sort: list[str] | None, limit: int | None
) -> list[tuple[str, dict[str, Any]]]:
    """Find what a query must find, one entry after the other."""
    visible = {key: visible_metadata(json.dumps(state[key]).encode()) for key in sorted(state)}
    found = [(key, entry) for key, entry in visible.items() if fulfills(entry, where)]
    for name in reversed(sort or []):
        field = name.removeprefix("-")
        places = {key: order_key(field_value(entry, field)) for key, entry in found}
        none = [pair for pair in found if field_value(pair[1], field) is None]
        unordered = [pair for pair in found if pair not in none and places[pair[0]] is None]
        ordered = [pair for pair in found if places[pair[0]] is not None]
        ordered.sort(key=lambda pair: places[pair[0]] or (), reverse=name.startswith("-"))
        found = ordered + unordered + none
    return found[:limit]


def canonical(state: dict[str, Any]) -> Index:
    """Return an index of lines."""
    return Index.from_entries(state)


def other(state: dict[str, Any]) -> Index:
    """Return an index of entries in another form."""
    return Index.parse(json.dumps(state, indent=1).encode())


def vouched(state: dict[str, Any]) -> Index:
    """Return an index of lines that are not checked yet."""
    return Index.parse(other(state).canonical(), vouched_entries=len(state))


def overlaid(state: dict[str, Any]) -> Index:
    """Return changes laid over an index, after a query of every field."""
    old = {key: {"a": number, "b": "2024-05-01"} for number, key in enumerate([*state, "x", "y"])}
    base = Index.from_entries({**old, **dict(list(state.items())[::2])})
    for field in FIELDS:
        base.count(where={field: ge(1)})
    now = {key: json.dumps(entry).encode() for key, entry in state.items()}
    return base.changed_by({"x": None, "y": None, **now})


SMALL = {
    "OVERLAY_ENTRIES_PER_CHANGE": 0,
    "RUN_KEYS": 2,
    "INDEX_PIECE_BYTES": 60,
    "CHECKED_AT_ONCE_BYTES": 0,
    "BUCKET_ENTRIES": 1,
    "SLICE_DIVISOR": 0.5,
    "MARKED_KEYS": 2,
    "SORTED_RANKS": 2,
    "COLUMN_RUN_ENTRIES": 3,
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small indexes have the parts of large ones."""
    for name, value in SMALL.items():
        monkeypatch.setattr(f"staticstore.tuning.{name}", value)


@pytest.mark.parametrize("form", [canonical, other, vouched, overlaid])
@quick
@given(
    state=_states,
    where=_wheres,
    equals=_where,
    sort=_sorts,
    limit=_limits,
    marked=st.sampled_from([0, 0.5, 1]),
    shared=st.sampled_from([0, 100]),
)
def test_a_query_finds_the_same_as_a_plain_scan(
    form: Callable[[dict[str, Any]], Index],
    state: dict[str, Any],
    where: Where,
    equals: dict[str, Any],
    sort: list[str] | None,
    limit: int | None,
    marked: float,
    shared: int,
) -> None:
    both = {"a": equals["a"]} if "a" in equals else {}
    expected = [pair for pair in scan(state, where, sort, None) if fulfills(pair[1], both)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staticstore.tuning.MARKED_PART", marked)
        patch.setattr("staticstore.tuning.SHARED_TEXTS", shared)
        index = form(state)
        for _ in range(2):  # without indexes of fields, and with them
            keys = list(index.query_keys(where=where, sort=sort, limit=limit, **both))
            assert keys == [key for key, _ in expected[:limit]]
            found = list(index.query(where=where, sort=sort, limit=limit, **both))
            assert found == expected[:limit]
            assert index.count(where=where, **both) == len(expected)


@pytest.mark.parametrize("sort", ["a", "-a", ["a"], ("-a", "b"), iter(["a", "-b"])])
def test_a_sort_is_a_field_or_several(sort: Any) -> None:
    index = Index.from_entries({"x": {"a": 1}, "y": {"a": 2}, "z": {}})
    assert list(index.query_keys(sort=sort, limit=0)) == []


def test_missing_fields_are_sorted_last_in_both_directions() -> None:
    index = Index.from_entries({"x": {"a": 1}, "y": {"a": "2"}, "z": {}, "l": {"a": []}})
    assert list(index.query_keys(sort="a")) == ["x", "y", "l", "z"]
    assert list(index.query_keys(sort="-a")) == ["y", "x", "l", "z"]


def test_ties_go_by_key_in_both_directions() -> None:
    index = Index.from_entries({key: {"a": 1, "b": key} for key in "zyx"})
    assert list(index.query_keys(sort="a")) == list(index.query_keys(sort="-a")) == ["x", "y", "z"]
    assert list(index.query_keys(sort=["a", "-b"], limit=2)) == ["z", "y"]


@pytest.mark.parametrize("ask", ["query", "query_keys"])
@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"sort": 5}, TypeError, "names of fields"),
        ({"sort": [5]}, TypeError, "names of fields"),
        ({"sort": "-"}, ValueError, "names of fields"),
        ({"sort": ""}, ValueError, "names of fields"),
        ({"limit": -1}, ValueError, "0 or more"),
        ({"limit": 1.0}, TypeError, "whole number"),
        ({"limit": True}, TypeError, "whole number"),
        ({"limit": "5"}, TypeError, "whole number"),
    ],
)
def test_a_wrong_sort_or_limit_is_an_error_immediately(
    ask: str, arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        getattr(Index.from_entries({}), ask)(**arguments)


# -- one level of the keys ----------------------------------------------------------


def level(keys: list[str], prefix: str, delimiter: str) -> list[str]:
    """List what is directly below a prefix, by looking at every key."""
    found = set()
    for key in keys:
        if key.startswith(prefix):
            name, mark, _ = key[len(prefix) :].partition(delimiter)
            found.add(prefix + name + mark)
    return sorted(found)


@pytest.mark.parametrize("form", [canonical, other, vouched, overlaid])
@quick
@given(_states, st.text("abc/", max_size=3), st.sampled_from(["/", "b", "a/", "//"]))
def test_a_level_has_the_keys_and_prefixes_directly_below(
    form: Callable[[dict[str, Any]], Index], state: dict[str, Any], prefix: str, delimiter: str
) -> None:
    expected = level(sorted(state), prefix, delimiter)
    assert list(form(state).prefixes(prefix, delimiter=delimiter)) == expected


def test_a_level_reaches_past_the_last_character() -> None:
    keys = ["a\U0010ffff\U0010ffffb", "a\U0010ffff\U0010ffffc", "b", "\U0010ffffx", "\U0010ffffy"]
    index = Index.from_entries({key: {} for key in keys})
    mark = "\U0010ffff"
    assert list(index.prefixes(delimiter=mark)) == level(sorted(keys), "", mark)
    assert list(index.prefixes("a", delimiter=mark * 2)) == ["a" + mark * 2]


@pytest.mark.parametrize(
    ("prefix", "delimiter", "error"),
    [(5, "/", TypeError), ("", b"/", TypeError), ("", "", ValueError)],
)
def test_a_wrong_prefix_or_delimiter_is_an_error_immediately(
    prefix: Any, delimiter: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Index.from_entries({}).prefixes(prefix, delimiter=delimiter)
