"""The rules of comparison, over every pair of kinds."""

from __future__ import annotations

import datetime
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.query import between, ge, gt, le, lt
from staticstore.query.comparison import Kind, end_of_day, field_value, order_key
from tests.index.strategies import quick

# Two values of each kind of JSON, the lesser first where there is an order.
LESSER: dict[str, tuple[Any, Any]] = {
    "true or false": (False, True),
    "number": (-1, 2.5),
    "large number": (2**53, 2**53 + 1),
    "date": ("2024-02-29", "2024-03-01"),
    "time": ("2024-02-29T23:59:59.9999999Z", "2024-03-01T00:00:00Z"),
    "text": ("Zebra", "ant"),
    "a text that is no date": ("2024-02-30", "2024-2-1"),
}
NO_ORDER: dict[str, Any] = {"null": None, "list": [1], "object": {"a": 1}, "NaN": float("nan")}
KIND = {name: order_key(pair[0])[0] for name, pair in LESSER.items()}  # type: ignore[index]
SAME_KIND = [
    (one, other) for one, other in itertools.product(LESSER, LESSER) if KIND[one] is KIND[other]
]
OTHER_KIND = [
    (one, other)
    for one, other in itertools.product(LESSER, [*LESSER, *NO_ORDER])
    if KIND[one] is not KIND.get(other)
]


@pytest.mark.parametrize("name", LESSER)
def test_a_lesser_value_is_less(name: str) -> None:
    low, high = LESSER[name]
    assert lt(high).matches(low)
    assert not lt(low).matches(high)


@pytest.mark.parametrize("name", LESSER)
def test_a_greater_value_is_greater(name: str) -> None:
    low, high = LESSER[name]
    assert gt(low).matches(high) or name == "date"  # a day ends where the next begins
    assert not gt(high).matches(low)


@pytest.mark.parametrize("name", LESSER)
def test_a_value_lies_between_itself(name: str) -> None:
    for value in LESSER[name]:
        assert between(value, value).matches(value)
        assert le(value).matches(value)
        assert ge(value).matches(value)
        assert not lt(value).matches(value)
        assert not gt(value).matches(value)


@pytest.mark.parametrize(("wanted", "given"), OTHER_KIND)
def test_values_of_different_kinds_never_match(wanted: str, given: str) -> None:
    values = LESSER[given] if given in LESSER else (NO_ORDER[given],)
    for bound, value in itertools.product(LESSER[wanted], values):
        for predicate in (lt, le, gt, ge):
            assert not predicate(bound).matches(value)
        assert not between(bound, bound).matches(value)


@pytest.mark.parametrize(("one", "other"), SAME_KIND)
def test_two_values_of_a_kind_are_less_equal_or_greater(one: str, other: str) -> None:
    for bound, value in itertools.product(LESSER[one], LESSER[other]):
        if end_of_day(bound) is None:
            assert (
                lt(bound).matches(value)
                + (order_key(bound) == order_key(value))
                + gt(bound).matches(value)
                == 1
            )


@pytest.mark.parametrize("value", NO_ORDER.values(), ids=NO_ORDER)
def test_what_has_no_order_is_no_bound(value: Any) -> None:
    for predicate in (lt, le, gt, ge):
        with pytest.raises(TypeError, match="compares with a number, a text"):
            predicate(value)


def test_bounds_of_two_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match="'big' is a text, and 5 is a number"):
        between("big", 5)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2024-05-01", "2024-05-01T00:00Z"),
        ("2024-05-01T00:00", "2024-05-01T00:00:00Z"),
        ("2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00"),
        ("2024-05-01T12:00:00Z", "2024-04-30T23:15:00-12:45"),
        ("2024-05-01T12:00:00.500Z", "2024-05-01T12:00:00.5"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("0000-02-29", "0000-02-29T00:00:00-00:00"),
    ],
)
def test_texts_that_name_one_instant_are_equal(one: str, other: str) -> None:
    assert order_key(one) == order_key(other)
    assert order_key(one)[0] is Kind.INSTANT  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        "2024-13-01", "2024-00-10", "2024-04-31", "2023-02-29", "1900-02-29", "2024-1-1",
        "24-01-01", "2024-01-01 ", " 2024-01-01", "2024-01-01T", "2024-01-01 12:00:00",
        "2024-01-01t12:00:00z", "2024-01-01T24:00:00", "2024-01-01T12:60", "2024-01-01T12",
        "2024-01-01T12:00:61", "2024-01-01T12:00:00.", "2024-01-01T12:00:00,5",
        "2024-01-01T12:00:00+24:00", "2024-01-01T12:00+0100", "20240101", "2024-W01-1",
        "\N{ARABIC-INDIC DIGIT TWO}024-01-01", "2024-01-01Z", "2024-05-01\n", "",
    ],
)  # fmt: skip
def test_a_text_that_only_looks_like_a_date_is_a_text(text: str) -> None:
    assert order_key(text) == (Kind.TEXT, text)


@quick
@given(st.datetimes(timezones=st.timezones()), st.datetimes(timezones=st.timezones()))
def test_times_are_in_the_order_of_their_instants(
    one: datetime.datetime, other: datetime.datetime
) -> None:
    texts = [time.isoformat() for time in (one, other)]
    if all(time.utcoffset().seconds % 60 == 0 for time in (one, other)):  # type: ignore[union-attr]
        first, second = map(order_key, texts)
        assert (first < second) == (one < other)  # type: ignore[operator]
        assert (first == second) == (one.astimezone(datetime.UTC) == other.astimezone(datetime.UTC))


@quick
@given(st.dates())
def test_a_day_ends_where_the_next_begins(day: datetime.date) -> None:
    if day < datetime.date.max:
        next_day = day + datetime.timedelta(days=1)
        assert end_of_day(day.isoformat()) == order_key(next_day.isoformat())


EVENING = "2024-05-01T23:30:00Z"


def test_a_date_as_the_upper_end_means_the_whole_day() -> None:
    assert le("2024-05-01").matches(EVENING)
    assert between("2024-05-01", "2024-05-01").matches(EVENING)
    assert not gt("2024-05-01").matches(EVENING)
    assert gt("2024-05-01").matches("2024-05-02")
    assert not le("2024-05-01").matches("2024-05-02T00:00:00Z")


def test_a_time_as_the_upper_end_means_itself() -> None:
    assert not le("2024-05-01T00:00:00Z").matches(EVENING)
    assert gt("2024-05-01T00:00:00Z").matches(EVENING)


def test_dates_and_times_of_python_are_bounds() -> None:
    assert le(datetime.date(2024, 5, 1)).matches(EVENING)
    assert not le(datetime.datetime(2024, 5, 1)).matches(EVENING)
    zone = datetime.timezone(datetime.timedelta(hours=-2))
    assert ge(datetime.datetime(2024, 5, 1, 21, 30, tzinfo=zone)).matches(EVENING)


@pytest.mark.parametrize("value", [datetime.time(12), datetime.timedelta(1), object()])
def test_other_values_of_python_are_no_bounds(value: object) -> None:
    with pytest.raises(TypeError, match="compares with"):
        lt(value)


METADATA = {
    "a": {"b": 1, "c.d": {"e": 2}, "n": None},
    "a.x": 3,
    "x.y": {"z": 4},
    "n": 5,
    "": {"": 6},
}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("a.b", 1), ("a.c.d.e", 2), ("a.x", 3), ("x.y.z", 4), ("n.m", None), ("a.n", None),
        ("a.q", None), ("q", None), ("n", 5), (".", 6), ("..", None),
    ],
)  # fmt: skip
def test_a_name_with_dots_reaches_into_objects(field: str, value: object) -> None:
    assert field_value(METADATA, field) == value
