"""What each predicate matches, and how it shows, pickles and refuses."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

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
from staticstore.query.conditions import Conditions

WRITTEN = [
    "lt(5)", "le('2024-05-01')", "gt(True)", "ge(1000000)", "between('a', 'b')", "ne(None)",
    "one_of('raster', 'table')", "contains('North')", "like('EPSG:*')", "matches('^S2[AB]')",
    "exists()", "missing()", "intersects(8, 46, 10.5, 48)", "all_of(ge(1), ne(3))",
    "any_of('draft', missing(), lt(0))", "none_of(any_of(1, 2))",
    "any_where({'type': 'raster', 'size': ge(5)}, {'title': contains('x')})",
]  # fmt: skip
NAMES = {
    value.__name__: value
    for value in (all_of, any_of, any_where, between, contains, exists, ge, gt, intersects, le,
                  like, lt, matches, missing, ne, none_of, one_of)
}  # fmt: skip


@pytest.mark.parametrize("text", WRITTEN)
def test_a_predicate_shows_as_it_was_written(text: str) -> None:
    assert repr(eval(text, NAMES)) == text


@pytest.mark.parametrize("text", WRITTEN)
def test_a_predicate_is_the_same_after_pickling(text: str) -> None:
    predicate = eval(text, NAMES)
    assert pickle.loads(pickle.dumps(predicate)) == predicate


@pytest.mark.parametrize("text", WRITTEN[:-1])
def test_equal_predicates_have_equal_hashes(text: str) -> None:
    one, other = eval(text, NAMES), eval(text, NAMES)
    assert one == other
    assert hash(one) == hash(other)
    assert one != (exists() if isinstance(one, missing) else missing())


@pytest.mark.parametrize("text", WRITTEN[:-1])
def test_a_predicate_has_no_truth_of_its_own(text: str) -> None:
    with pytest.raises(TypeError, match="all_of or any_of"):
        bool(eval(text, NAMES))


ONLY_OF_MISSING = [
    missing(),
    ne(5),
    none_of(5),
    none_of(exists()),
    any_of(5, missing()),
    one_of(None),
]
NOT_OF_MISSING = [
    lt(5), le(5), gt(5), ge(5), between(1, 5), ne(None), one_of(5), contains("n"), like("*"),
    matches(""), exists(), intersects(-180, -90, 180, 90), all_of(ne(5), exists()), any_of(5),
    none_of(missing()), none_of(None),
]  # fmt: skip


@pytest.mark.parametrize("metadata", [{}, {"a": None}], ids=["absent", "null"])
@pytest.mark.parametrize("predicate", ONLY_OF_MISSING, ids=repr)
def test_a_missing_field_matches(predicate: Predicate, metadata: dict[str, Any]) -> None:
    assert Conditions({"a": predicate}, {}).match(metadata)


@pytest.mark.parametrize("metadata", [{}, {"a": None}], ids=["absent", "null"])
@pytest.mark.parametrize("predicate", NOT_OF_MISSING, ids=repr)
def test_a_missing_field_does_not_match(predicate: Predicate, metadata: dict[str, Any]) -> None:
    assert not Conditions({"a": predicate}, {}).match(metadata)


@pytest.mark.parametrize(
    ("predicate", "value", "is_match"),
    [
        (ne("a"), "b", True),
        (ne(1), 1.0, False),
        (ne(1), "1", True),
        (ne("2024-05-01"), "2024-05-01T00:00:00Z", False),
        (one_of(1, [2], {"a": 3}), [2], True),
        (one_of(["a", "b"]), "b", True),
        (one_of(), "b", False),
        (contains("STRASSE"), "Hauptstraße 5", True),
        (contains(""), "", True),
        (contains("a"), ["A"], True),
        (contains("a"), ["ab"], False),
        (contains({"b": 1}), [{"b": 1}], True),
        (contains(None), [None], True),
        (contains("a"), {"a": 1}, False),
        (like("*.tif"), "a/b.tif", True),
        (like("*.TIF"), "a.tif", False),
        (like("a"), ["a"], False),
        (matches("b+$"), "abb", True),
        (matches(re.compile("B", re.IGNORECASE)), "abc", True),
        (matches("1"), 1, False),
        (exists(), [], True),
        (all_of(ge(1), lt(5)), 5, False),
        (all_of(), None, True),
        (any_of("a", len), [], False),
        (none_of("a", ge(3)), 2, True),
    ],
)
def test_what_a_predicate_matches(predicate: Predicate, value: Any, is_match: bool) -> None:
    assert predicate.matches(value) is is_match


@pytest.mark.parametrize(
    ("box", "other", "is_match"),
    [
        ((0, 0, 10, 10), [10, 10, 20, 20], True),
        ((0, 0, 10, 10), [10.1, 0, 20, 10], False),
        ((0, 0, 10, 10), [2, 2, 3, 3], True),
        ((0, 0, 10, 10), [5, 5, 100, 9, 9, 200], True),
        ((0, 0, 5, 10, 10, 9), [5, 5, 6, 6], True),
        ((170, -10, -170, 10), [175, 0, 178, 5], True),
        ((170, -10, -170, 10), [-179, 0, -175, 5], True),
        ((170, -10, -170, 10), [0, 0, 10, 10], False),
        ((170, -10, -170, 10), [160, 0, -160, 5], True),
        ((0, 0, 10, 10), [175, 0, -175, 5], False),
        ((0, 0, 10, 10), [9, 0, -175, 5], True),
        ((-180, -90, 180, 90), [0, 10, 10, 0], False),
        ((-180, -90, 180, 90), [0, 0, 1], False),
        ((-180, -90, 180, 90), [0, 0, "1", 1], False),
        ((-180, -90, 180, 90), [0, 0, True, 1], False),
        ((-180, -90, 180, 90), "0,0,1,1", False),
    ],
)
def test_boxes_touch_inclusively(box: tuple[float, ...], other: Any, is_match: bool) -> None:
    assert intersects(*box).matches(other) is is_match
    assert intersects(list(box)).matches(other) is is_match


@pytest.mark.parametrize(
    "box",
    [
        (1, 2, 3),
        (1, 2, 3, float("nan")),
        (1, 5, 3, 4),
        ("1", 2, 3, 4),
        (),
        ([1, 2], 3),
        ("1234",),
        (5,),
    ],
)
def test_what_is_no_box_is_refused(box: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="west, south, east and north"):
        intersects(*box)


def test_an_expression_that_cannot_be_compiled_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'\(a' is not a regular expression: missing \)"):
        matches("(a")


@pytest.mark.parametrize("make", [like, matches])
def test_a_pattern_is_text(make: Any) -> None:
    with pytest.raises(TypeError, match="as text"):
        make(5)


@pytest.mark.parametrize("wanted", [exists, ge])
def test_a_class_in_place_of_a_predicate_is_refused(wanted: Any) -> None:
    with pytest.raises(TypeError, match="is called"):
        Conditions({"a": wanted}, {})


def test_alternatives_are_not_of_one_field() -> None:
    with pytest.raises(TypeError, match="pass it as where="):
        Conditions({"a": any_where({})}, {})


@pytest.mark.parametrize("where", [5, "a=1", [("a", 1)]])
def test_other_conditions_are_refused(where: Any) -> None:
    with pytest.raises(TypeError, match="from fields to values"):
        Conditions(where, {})
    with pytest.raises(TypeError, match="from fields to values"):
        any_where(where)


def test_alternatives_join_fields() -> None:
    conditions = Conditions(
        any_where({"a": 1, "b": ge(2)}, any_where({"c": exists()})), {"d": None}
    )
    assert conditions.match({"a": 1, "b": 5})
    assert conditions.match({"c": 0})
    assert not conditions.match({"a": 1, "b": 1})
    assert not conditions.match({"c": 0, "d": 1})
    assert not Conditions(any_where(), {}).match({})


def test_a_callable_is_called_for_entries_that_have_the_field() -> None:
    seen: list[Any] = []

    def see(value: Any) -> bool:
        seen.append(value)
        return True

    conditions = Conditions({"a": see, "b.c": bool}, {})
    assert [
        conditions.match(metadata)
        for metadata in ({}, {"a": None, "b": {"c": 1}}, {"a": 1, "b": {"c": 0}}, {"a": 2})
    ] == [False, True, False, False]
    assert seen == [None, 1, 2]


@pytest.mark.parametrize("side", [10**400, -(10**400), float("inf"), float("nan")])
def test_a_box_beyond_all_floats_is_refused(side: float) -> None:
    with pytest.raises(ValueError, match="intersects takes west, south, east and north"):
        intersects(side, 0, side, 1)


def test_numbers_of_numpy_are_bounds_and_boxes() -> None:
    numpy = pytest.importorskip("numpy")
    sides = numpy.array([8.0, 46.0, 10.0, 48.0])
    assert ge(numpy.int64(3)).matches(3)
    assert not lt(numpy.float32(2.5)).matches(3)
    assert intersects(*sides).matches([10, 48, 11, 49])
    assert intersects(sides).matches([10, 48, 11, 49])
    assert intersects(sides) == intersects(*sides) == intersects(8.0, 46.0, 10.0, 48.0)


def test_one_of_a_single_list_is_written_and_pickled_as_such() -> None:
    wanted = one_of([["a", "b"]])
    assert repr(wanted) == "one_of([['a', 'b']])"
    assert pickle.loads(pickle.dumps(wanted)) == wanted
    assert wanted.matches(["a", "b"])
    assert not wanted.matches("a")
