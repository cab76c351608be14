"""Conditions as text: what they mean, and where they go wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from staticstore.query import (
    Predicate,
    all_of,
    any_of,
    contains,
    ge,
    gt,
    intersects,
    le,
    lt,
    ne,
    one_of,
)
from staticstore.query.syntax import (
    OPERATORS,
    ConditionError,
    parse_condition,
    where_of,
    written_field,
)


@pytest.mark.parametrize(
    ("text", "field", "wanted"),
    [
        ("type=raster", "type", "raster"),
        ("bands=3", "bands", one_of(3, "3")),
        ("v=-5", "v", one_of(-5, "-5")),
        ('v="3"', "v", one_of("3", '"3"')),
        ("v=true", "v", one_of(True, "true")),
        ('v=["a", 1]', "v", one_of(["a", 1], '["a", 1]')),
        ("v=", "v", ""),
        ("v=null", "v", None),
        ("v=NaN", "v", "NaN"),
        ("v=1e999", "v", "1e999"),
        ("v=x=y", "v", "x=y"),
        ("v=!important", "v", "!important"),
        ("type!=raster", "type", ne("raster")),
        ("v!=", "v", ne("")),
        ("v!=null", "v", ne(None)),
        ("size<-5", "size", lt(-5)),
        ("size<=5", "size", le(5)),
        ("size>5", "size", gt(5)),
        ("size>=5", "size", ge(5)),
        ('v>"=5"', "v", gt("=5")),
        ("date>=2024-05-01", "date", ge("2024-05-01")),
        ("title~North", "title", contains("North")),
        ("title~2024", "title", any_of(contains(2024), contains("2024"))),
        ("bbox@5,44,16,48", "bbox", intersects(5, 44, 16, 48)),
        ("bbox@-5.5,44,0,1e1,+48,9", "bbox", intersects(-5.5, 44, 0, 10.0, 48, 9)),
        ("bbox@[5, 44, 16, 48]", "bbox", intersects(5, 44, 16, 48)),
        ("proj:code=EPSG:4326", "proj:code", "EPSG:4326"),
        ("a.b>5", "a.b", gt(5)),
        ("Größe≠>5", "Größe≠", gt(5)),
        ("a field=x", "a field", "x"),
        (" size  >=  5 ", "size", ge(5)),
        ("v= x", "v", one_of("x", " x")),
        ("@type=Dataset", "@type", "Dataset"),
        ("@box@1,2,3,4", "@box", intersects(1, 2, 3, 4)),
        ("who@x=a@b", "who@x", "a@b"),
        ("wow!=5", "wow", ne(5)),
        ('"wow!"=5', "wow!", one_of(5, "5")),
        ('"a=b" < 5', "a=b", lt(5)),
        ('"a\\"b"@1,2,3,4', 'a"b', intersects(1, 2, 3, 4)),
        ('""=x', "", "x"),
    ],
)
def test_a_condition_names_a_field_and_what_is_wanted_of_it(
    text: str, field: str, wanted: Any
) -> None:
    condition = parse_condition(text)
    assert (condition.field, condition.wanted) == (field, wanted)
    assert type(condition.wanted) is type(wanted)


@pytest.mark.parametrize(
    ("text", "position", "suggestion"),
    [
        ("size=>5", 4, "size>=5"),
        ("size=<5", 4, "size<=5"),
        ("size==5", 4, "size=5"),
        ("size===5", 4, "size=5"),
        ("size!==5", 4, "size!=5"),
        ("size<>5", 4, "size!=5"),
        ("size>>5", 4, "size>5"),
        ("size≥5", 4, "size>=5"),
        ("title=~x", 5, "title~x"),
        ("title~=x", 5, "title~x"),
        ('"a b"==5', 5, '"a b"=5'),
        ("size=>[1]", 4, None),
        ("size<=>5", 4, None),
        ("bbox@1,2,3", 5, None),
        ("bbox@", 5, None),
        ("bbox@1,x,3,4", 7, None),
        ("bbox@1,,3,4", 7, None),
        ("bbox@1 2 3 4", 5, "bbox@1,2,3,4"),
        ("bbox@8,48,10,46", 5, "bbox@8,46,10,48"),
        ("bbox@1e999,1,2,3", 5, None),
        ("size", 4, None),
        ("", 0, None),
        ("  ", 0, None),
        ("=5", 0, None),
        (">=5", 0, None),
        ("size>", 5, None),
        ("title~", 6, None),
        ("v>null", 2, None),
        ("v> [1]", 3, None),
        ('"a', 0, None),
        ('"a"b=5', 3, None),
    ],
)
def test_an_error_says_where_and_what_was_meant(
    text: str, position: int, suggestion: str | None
) -> None:
    with pytest.raises(ConditionError) as raised:
        parse_condition(text)
    assert (raised.value.position, raised.value.suggestion) == (position, suggestion)


def test_a_bare_field_asks_whether_the_shell_has_taken_the_operator() -> None:
    with pytest.raises(ConditionError, match="shell has taken '<' or '>'"):
        parse_condition("size")


def where(*texts: str) -> dict[str, Any]:
    return where_of(map(parse_condition, texts))


def test_conditions_of_one_field_all_hold() -> None:
    assert where("size>1000", "type=raster", "size<2000", "size!=1500") == {
        "size": all_of(gt(1000), lt(2000), ne(1500)),
        "type": "raster",
    }


def test_a_field_may_be_given_the_same_value_twice() -> None:
    assert where("v=1", "v=1.0") == {"v": all_of(one_of(1, "1"), one_of(1.0, "1.0"))}


@pytest.mark.parametrize("other", ["type=table", "type=null", "type=5"])
def test_different_values_of_one_field_are_an_error(other: str) -> None:
    with pytest.raises(ConditionError, match=f"type=raster and {other} cannot both hold"):
        where("type=raster", other)


NAMES = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


@settings(deadline=None)
@given(NAMES, VALUES)
def test_any_name_and_value_can_be_written_as_json(name: str, value: Any) -> None:
    text = json.dumps(value)
    condition = parse_condition(f"{json.dumps(name)}={text}")
    assert condition.field == name
    if value is None:
        assert condition.wanted is None
    else:
        assert condition.wanted == one_of(value, text)
    assert parse_condition(f"{json.dumps(name)}!={text}").wanted == ne(value)


@settings(deadline=None)
@given(NAMES, st.integers() | NAMES, st.sampled_from(["<", "<=", ">", ">="]))
def test_any_number_and_text_can_be_compared_with(name: str, value: Any, operator: str) -> None:
    predicates = {"<": lt, "<=": le, ">": gt, ">=": ge}
    condition = parse_condition(f"{json.dumps(name)}{operator}{json.dumps(value)}")
    assert condition.wanted == predicates[operator](value)


@settings(deadline=None)
@given(st.text("ab \"'=!<>~@.,:[]{}0123456789-+eE≥\\"))
@example("x=" + "[" * 100_000)
@example("9" * 5000 + ">" + "9" * 5000)
def test_any_text_is_a_condition_or_an_error_within_it(text: str) -> None:
    wrong = None
    try:
        condition = parse_condition(text)
    except ConditionError as error:
        wrong = error
    if wrong is None:
        assert condition.wanted is None or isinstance(condition.wanted, Predicate | str)
        assert any(operator in text for operator in OPERATORS)
        return
    assert 0 <= wrong.position <= len(text)
    if wrong.suggestion is not None:
        assert parse_condition(wrong.suggestion).text == wrong.suggestion


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters='"=!<>~@', exclude_categories=["Cs", "Z", "C"]),
               min_size=1))  # fmt: skip
def test_a_name_without_operators_needs_no_quotes(name: str) -> None:
    assert {parse_condition(f"{name}{operator}5").field for operator in OPERATORS[:-1]} == {name}


@settings(deadline=None)
@given(st.text("ab\"\\'=!<>~@. \t\n-≥é"))
def test_any_name_is_written_as_it_is_parsed(name: str) -> None:
    for operator in OPERATORS[:-1]:
        assert parse_condition(f"{written_field(name)}{operator}5").field == name
    assert parse_condition(f"{written_field(name)}@1,2,3,4").field == name


def test_a_box_beyond_all_floats_is_refused() -> None:
    with pytest.raises(ConditionError, match="a number is too large"):
        parse_condition(f"bbox@0,0,{'9' * 400},1")
