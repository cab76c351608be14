"""Queries return what a plain scan over the decoded entries finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore import Index
from staticstore.query.conditions import Conditions, selected, selection
from tests.index.strategies import keys, quick

# Few and similar values, so that queries find something: None and missing, booleans and
# numbers, whole and not.
VALUES: list[Any] = [None, True, False, 0, 1, 1.0, 0.5, "", "1", [], [1], [1.0], {}, {"x": 1}]
FIELDS = ["a", "b", "c", "no identifier", "select", "where", "self"]
PREDICATES: list[Callable[[Any], object]] = [
    bool,
    lambda value: value is None,
    lambda value: isinstance(value, int | float) and value > 0,
    lambda value: "truthy" if value == 1 else "",
]

_fields = st.sampled_from(FIELDS)
_entries = st.dictionaries(
    keys, st.dictionaries(_fields, st.sampled_from(VALUES), max_size=5), max_size=8
)
_conditions = st.dictionaries(_fields, st.sampled_from([*VALUES, *PREDICATES]), max_size=2)


def scan(
    entries: Mapping[str, Mapping[str, Any]],
    select: list[str] | None,
    *conditions: Mapping[str, Any],
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Scan all entries for what `Index.query` must return."""
    for key in sorted(entries):
        metadata = entries[key]
        for field, wanted in (pair for mapping in conditions for pair in mapping.items()):
            if callable(wanted):
                if field not in metadata or not wanted(metadata[field]):
                    break
            elif metadata.get(field) != wanted:
                break
        else:
            names = list(metadata) if select is None else select
            yield key, {name: metadata[name] for name in names if name in metadata}


@quick
@given(
    _entries,
    st.none() | _conditions,
    _conditions.map(lambda wanted: {k: v for k, v in wanted.items() if k in "abc"}),
    st.none() | st.lists(_fields, max_size=3),
)
def test_a_query_finds_the_same_as_a_plain_scan(
    entries: dict[str, dict[str, Any]],
    where: dict[str, Any] | None,
    equals: dict[str, Any],
    select: list[str] | None,
) -> None:
    index = Index.from_entries(entries)
    expected = list(scan(entries, select, where or {}, equals))
    assert list(index.query(select, where=where, **equals)) == expected
    assert list(index.query_keys(where=where, **equals)) == [key for key, _ in expected]


INDEX = Index.from_entries(
    {
        "a": {"type": "raster", "size": 10, "flag": True, "bbox": [1, 2.0], "one": 1},
        "b": {"type": "table", "size": None, "one": 1.0},
        "c": {"type": "raster", "data:type": "x"},
    }
)


def test_without_conditions_everything_is_found_in_key_order() -> None:
    assert list(INDEX.query()) == [(key, INDEX[key]) for key in "abc"]
    assert list(INDEX.query_keys()) == ["a", "b", "c"]


def test_a_missing_field_equals_none_and_so_does_null() -> None:
    assert list(INDEX.query_keys(size=None)) == ["b", "c"]


def test_equality_is_that_of_python() -> None:
    assert list(INDEX.query_keys(one=True)) == ["a", "b"]
    assert list(INDEX.query_keys(flag=1)) == ["a"]
    assert list(INDEX.query_keys(bbox=[1.0, 2])) == ["a"]
    assert list(INDEX.query_keys(bbox=(1, 2))) == []


def test_all_conditions_must_hold() -> None:
    assert list(INDEX.query_keys(type="raster", size=10)) == ["a"]
    assert list(INDEX.query_keys(where={"type": "raster"}, size=None)) == ["c"]


def test_a_field_in_where_and_as_a_keyword_must_match_both() -> None:
    assert list(INDEX.query_keys(where={"type": "raster"}, type="table")) == []
    assert list(INDEX.query_keys(where={"size": lambda size: size}, size=10)) == ["a"]


def test_where_accepts_fields_that_are_not_identifiers() -> None:
    assert list(INDEX.query_keys(where={"data:type": "x"})) == ["c"]


def test_a_predicate_is_called_only_for_entries_with_the_field() -> None:
    asked: list[Any] = []
    list(INDEX.query(size=asked.append))
    assert asked == [10, None]


def test_a_predicate_is_called_only_if_all_other_conditions_hold() -> None:
    asked: list[Any] = []
    list(INDEX.query(where={"size": asked.append, "type": "raster"}))
    assert asked == [10]


def test_an_exception_of_a_predicate_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(INDEX.query(size=lambda size: 1 / 0))


def test_select_returns_the_fields_that_exist() -> None:
    assert list(INDEX.query(["size", "nowhere"])) == [
        ("a", {"size": 10}),
        ("b", {"size": None}),
        ("c", {}),
    ]


def test_select_may_be_empty_or_an_iterator() -> None:
    assert list(INDEX.query([], size=10)) == [("a", {})]
    assert list(INDEX.query(iter(["size"]), type="raster")) == [("a", {"size": 10}), ("c", {})]


def test_nothing_is_decoded_before_the_first_result_is_requested() -> None:
    asked: list[Any] = []

    def ask(kind: Any) -> bool:
        asked.append(kind)
        return True

    found = INDEX.query(type=ask)
    assert asked == []
    assert [key for key, _ in islice(found, 1)] == ["a"]
    assert asked == ["raster"]


@pytest.mark.parametrize("select", ["title", 5, [5], ["title", None], b"title"], ids=repr)
def test_a_wrong_select_is_a_type_error_immediately(select: Any) -> None:
    with pytest.raises(TypeError):
        INDEX.query(select)


@pytest.mark.parametrize("where", ["type", [("type", "x")], 5, {5: 1}, {None: 1}], ids=repr)
def test_a_wrong_where_is_a_type_error_immediately(where: Any) -> None:
    with pytest.raises(TypeError):
        INDEX.query(where=where)
    with pytest.raises(TypeError):
        INDEX.query_keys(where=where)


def test_the_results_belong_to_the_caller() -> None:
    next(INDEX.query())[1]["bbox"].append(3)
    next(INDEX.query(["bbox"]))[1]["bbox"].append(3)
    assert INDEX["a"]["bbox"] == [1, 2.0]


def test_a_predicate_cannot_change_the_index() -> None:
    assert list(INDEX.query_keys(bbox=lambda bbox: bbox.pop())) == ["a"]
    assert INDEX["a"]["bbox"] == [1, 2.0]


def test_empty_conditions_are_false_and_match_everything() -> None:
    assert not Conditions(None, {})
    assert Conditions(None, {}).match({})
    assert Conditions({"a": None}, {})
    assert Conditions(None, {"a": bool})


def test_without_a_selection_the_metadata_itself_is_returned() -> None:
    metadata = {"a": 1}
    assert selection(None) is None
    assert selected(metadata, None) is metadata


# -- one field ---------------------------------------------------------------------


@pytest.mark.parametrize("form", ["canonical", "any"])
def test_field_values_are_those_of_all_entries_in_every_form(
    form: str,
) -> None:
    entries: dict[str, Any] = {f"k{n:03}": {"n": n, "t": [n]} for n in range(300)}
    entries["k007"] = {"t": "no n", "packed": "plain metadata"}
    index = Index.from_entries(entries)
    if form == "any":
        index = Index.parse(json.dumps(entries).encode())
    packed = b'{"packed":["packs/0.zip",5],"n":7}'
    changed = index.changed_by({"k000": None, "k008": packed, "k0": b'{"n":"new"}'})
    for each in (index, changed):
        for field in ("n", "t", "packed", "missing"):
            expected = [(key, metadata.get(field)) for key, metadata in each.items()]
            assert list(each.field_values(field)) == expected


# -- glob --------------------------------------------------------------------------


@quick
@given(st.sets(keys | st.text("abA[]*?!-.é", min_size=3), max_size=8), st.text("abA[]*?!-.é/"))
def test_glob_is_fnmatchcase_on_whole_keys(found: set[str], pattern: str) -> None:
    index = Index.from_entries({key: {} for key in found})
    expected = [key for key in sorted(found) if fnmatchcase(key, pattern)]
    assert list(index.glob(pattern)) == expected
