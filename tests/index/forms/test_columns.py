"""Columns of fields: ranks and positions are those of a plain sort of any values."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import Index
from staticstore.index.forms.column import FieldColumn
from staticstore.index.forms.found import Found, KeysByPosition, intersection, union
from staticstore.query import between, contains, exists, ge, gt, le, lt, missing, ne
from staticstore.query.comparison import order_key
from staticstore.query.predicates import Predicate
from tests.index.forms.test_shared import many, recorded


def runs(values: Sequence[Any], count: int = 1000) -> Iterator[list[Any]]:
    """Cut values into runs."""
    return (list(values[at : at + count]) for at in range(0, len(values), count))


def found_by(column: FieldColumn, predicate: Any) -> Sequence[int]:
    """Return the positions of the values in an interval."""
    ranks = column.between(predicate.interval)
    return Found(len(column), ranked=(column, ranks)).positions()


def mixed(count: int) -> list[Any]:
    """Return values of all kinds, numbers and times mostly."""
    chance = random.Random(1)
    kinds: list[Any] = [
        lambda: chance.randrange(10**6),
        lambda: chance.uniform(-1e6, 1e6),
        lambda: f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T10:00:00Z",
        lambda: f"title {chance.randrange(10**6)}",
        lambda: None,
        lambda: chance.choice([True, False]),
        lambda: [chance.randrange(5)],
    ]
    return [chance.choice(kinds)() for _ in range(count)]


def test_the_buckets_of_all_kinds_together_have_numbers_that_are_bytes() -> None:
    values = mixed(40_000)
    column = FieldColumn(runs(values))
    assert len(column.buckets) <= 256
    assert len(column) == sum(len(bucket.positions) for bucket in column.buckets) == len(values)


BOUNDS: list[Any] = [
    0, 1000.5, -1, 10**400, "2024-02-29", "2024-06-01", "2024-06-15T10:00:00Z",
    "2024-06-15T10:00:00.5Z", "2024-06-15T12:00:00+02:00", "title 5", "", True, False,
]  # fmt: skip


@pytest.mark.parametrize("make", [lt, le, gt, ge])
@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: str(bound)[:20])
def test_a_large_column_finds_what_a_scan_finds(make: Any, bound: Any) -> None:
    predicate = make(bound)
    expected = [at for at, value in enumerate(VALUES) if predicate.matches(value)]
    assert list(found_by(COLUMN, predicate)) == expected


VALUES = mixed(5_000)
COLUMN = FieldColumn(runs(VALUES))

# Texts that are written alike, and their neighbors.
SHAPES = [
    ["2024-02-29", "2023-03-01", "0000-01-01", "9999-12-31", "2000-02-29"],
    ["2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z", "0000-01-01T00:00:00Z"],
    ["2024-05-01T12:30:00.250Z", "2024-05-01T12:30:00.255Z", "2024-05-01T12:30:01.000Z"],
    ["2024-05-01T12:30:00+00:00", "2024-05-01T12:30:01+00:00"],
    ["2024-05-01T12:30:00", "2024-05-01T12:30:01"],
    ["2024-05-01T12:30", "2024-05-01T12:31"],
    ["2024-05-01T12:30:00+02:00", "2024-05-01T12:30:00+01:00"],
    ["2024-02-30", "2023-02-29", "1900-02-29", "2024-13-01", "abcd-ef"],
    ["2024-05-01T23:59:60Z", "2024-05-02T00:00:00Z"],
]


@pytest.mark.parametrize("texts", SHAPES, ids=lambda texts: texts[0])
@pytest.mark.parametrize("other", [None, 5, "a text", "2024-05-01T12:30:00.25Z"])
def test_instants_compare_alike_in_a_column_however_they_are_written(
    texts: list[str], other: Any
) -> None:
    values = [*texts, other, *texts]
    column = FieldColumn([values[:4], values[4:]])
    for bound in {text for shape in SHAPES for text in shape}:
        for predicate in (lt(bound), le(bound), gt(bound), ge(bound)):
            expected = [at for at, value in enumerate(values) if predicate.matches(value)]
            assert list(found_by(column, predicate)) == expected, predicate
        ranks = column.equal_to(bound)
        equal = Found(len(column), ranked=(column, ranks)).positions()
        assert list(equal) == [at for at, value in enumerate(values) if value == bound]


@pytest.mark.parametrize("zone", ["-23:59", "+23:59"])
def test_a_zone_may_lead_out_of_the_years_that_can_be_written(zone: str) -> None:
    values = ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    column = FieldColumn([values])
    for bound in (f"0000-01-01T00:00:00{zone}", f"9999-12-31T23:59:59{zone}"):
        for predicate in (lt(bound), ge(bound)):
            expected = [at for at, value in enumerate(values) if predicate.matches(value)]
            assert list(found_by(column, predicate)) == expected


def test_a_frequent_value_has_a_bucket_of_its_own() -> None:
    chance = random.Random(2)
    for frequent, other in [(7.0, chance.random), (7, lambda: chance.randrange(100)),
                            ("m", lambda: chance.choice("abxyz") * 3)]:  # fmt: skip
        values = [frequent if chance.random() < 0.6 else other() for _ in range(5_000)]
        column = FieldColumn(runs(values))
        largest = max(column.buckets, key=lambda bucket: len(bucket.positions))
        assert set(largest.values or ()) == {frequent}


def test_numbers_that_no_float_expresses_are_compared_exactly() -> None:
    values = [2**53, 2**53 + 1, 2**70, -(10**400), 0.5]
    column = FieldColumn([values])
    assert found_by(column, gt(2**53)) == [1, 2]
    assert found_by(column, lt(-1)) == [3]


def test_texts_that_are_equal_are_found_together_however_many_they_are() -> None:
    column = FieldColumn(runs(["a"] * 3_000 + ["b"] + ["2024-05-01"] * 2_000))
    assert list(column.texts()) == [
        (0, 2_000, "2024-05-01"), (2_000, 5_000, "a"), (5_000, 5_001, "b"),
    ]  # fmt: skip
    assert found_by(column, gt("a")) == [3_000]
    assert len(found_by(column, le("a"))) == 3_000


@pytest.mark.parametrize("bounds", [(0, 10), (5, 6), (117, 389), (100, 2_900), (0, 3_000)])
def test_the_positions_of_some_ranks_are_found_in_a_bucket_that_is_partly_sorted(
    bounds: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.BUCKET_ENTRIES", 5_000)
    values = random.Random(5).sample(range(3_000), 3_000)
    column = FieldColumn([values])
    low, high = bounds
    expected = [at for at, value in enumerate(values) if low <= value < high]
    monkeypatch.setattr("staticstore.tuning.MARKED_PART", 1)
    found = Found(len(column), ranked=(column, column.between(between(low, high - 1).interval)))
    assert found.positions() == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1, 2, "a", "b", None, [], "2024-05-01", True]), max_size=30))
def test_positions_are_grouped_as_a_plain_sort_orders_them(values: list[Any]) -> None:
    column = FieldColumn([values])
    everything = range(len(values))
    for is_falling in (False, True):
        groups = list(column.groups(everything, None, is_falling=is_falling))
        marked = column.groups((), b"\1" * len(values), is_falling=is_falling)
        assert groups == list(marked)
        keys = [{order_key(values[at]) for at in group} for group in groups]
        assert all(len(some) == 1 for some in keys)
        ordered = [key for some in keys for key in some if key is not None]
        assert ordered == sorted(ordered, reverse=is_falling)
        assert [at for group in groups for at in sorted(group)] == [at for g in groups for at in g]


# -- sets of positions ---------------------------------------------------------------------

_TOTAL = 40
_COLUMN = FieldColumn([[at % 7 for at in range(_TOTAL)]])


def _set(form: str, positions: set[int]) -> Found:
    ordered = sorted(positions)
    if form == "marks":
        return Found(_TOTAL, marks=bytes(at in positions for at in range(_TOTAL)))
    return Found(_TOTAL, positions=ordered)


def _ranked(numbers: set[int]) -> Found:
    ranks = [pair for number in sorted(numbers) for pair in _COLUMN.equal_to(number)]
    return Found(_TOTAL, ranked=(_COLUMN, ranks))


_some = st.sets(st.integers(0, _TOTAL - 1))
_sets = st.builds(_set, st.sampled_from(["marks", "positions"]), _some) | st.builds(
    _ranked, st.sets(st.integers(0, 6))
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_sets, min_size=1, max_size=4), _some, st.sampled_from([0, 0.2, 1]))
def test_sets_of_positions_are_sets_in_every_form(
    sets: list[Found], others: set[int], part: float
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staticstore.tuning.MARKED_PART", part)
        plain = [set(one.positions()) for one in sets]
        for one, positions in zip(sets, plain, strict=True):
            assert len(one) == len(positions)
            assert list(one.positions()) == sorted(positions)
            assert one.in_both(sets[0]) == sorted(positions & plain[0])
            assert one.among(sorted(others)) == sorted(others & positions)
            assert (
                set(one.without(Found(_TOTAL, positions=sorted(others))).positions())
                == positions - others
            )
            assert set(one.complement().positions()) == set(range(_TOTAL)) - positions
        assert list(union(sets, _TOTAL).positions()) == sorted(set().union(*plain))
        assert list(intersection(sets).positions()) == sorted(set.intersection(*plain))


@pytest.mark.parametrize("part", [0, 1])
def test_the_keys_at_positions_are_found_in_any_of_their_tuples(
    part: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.MARKED_PART", part)
    monkeypatch.setattr("staticstore.tuning.MARKED_KEYS", 3)
    keys = KeysByPosition("abcdefgh")
    assert len(keys) == 8
    assert [keys[at] for at in range(8)] == list("abcdefgh")
    for some in ([], [7], [0, 2, 3], [1, 5, 6], list(range(8))):
        parts = keys.runs(Found(8, positions=some))
        assert [key for run in parts for key in run] == ["abcdefgh"[at] for at in some]


def test_without_entries_there_are_no_keys() -> None:
    keys = KeysByPosition([])
    assert len(keys) == 0
    assert list(keys.found(["a"]).positions()) == []


def test_the_positions_of_keys_are_found() -> None:
    keys = KeysByPosition(["a", "c", "e"])
    assert keys.found(["", "a", "b", "e", "f"]).positions() == [0, 2]


# -- what the garbage collector visits at once -----------------------------------------------


def _parts(top: Any) -> Iterator[Any]:
    """Yield all that belongs to an object and that the garbage collector visits."""
    seen, waiting = {id(top)}, [top]
    while waiting:
        one = waiting.pop()
        yield one
        for other in gc.get_referents(one):
            if not isinstance(other, type) and id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)


@pytest.mark.parametrize(
    "value",
    [
        lambda n: n,
        lambda n: 2**60 + n,
        lambda n: n / 3,
        lambda n: f"title {n}",
        lambda n: "ab"[n % 7 == 0],
        lambda n: 5 if n % 2 else n,
        lambda n: f"2024-{n % 12 + 1:02}-{n % 28 + 1:02}T10:00:00Z",
        lambda n: n % 3 == 0,
        lambda n: [n] if n % 5 else "x",
    ],
)
def test_no_list_or_tuple_of_a_column_is_long(
    value: Callable[[int], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a million would keep other threads waiting, when it is visited or freed."""
    monkeypatch.setattr("staticstore.tuning.SHARED_TEXTS", 100)
    total = 50_000
    column = FieldColumn(runs([value(n) for n in range(total)]))
    list(column.texts())
    lengths = [len(part) for part in _parts(column) if isinstance(part, (list, tuple, dict))]
    assert max(lengths) < total / 20


def test_no_tuple_of_keys_is_longer_than_those_chosen_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("staticstore.tuning.MARKED_KEYS", 1000)
    keys = KeysByPosition(str(n) for n in range(12_345))
    lengths = [len(part) for part in _parts(keys) if isinstance(part, (list, tuple, dict))]
    assert max(lengths) == 1000


# -- what is not done twice ------------------------------------------------------------------


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the fields of which all values are read."""
    return recorded(monkeypatch, "_values_by_piece")


def test_a_column_is_built_once_and_kept_after_a_few_changes(passes: list[str]) -> None:
    index = many()
    for bound in range(10):
        assert index.count(n=lt(bound)) == bound
    index = index.changed_by({"0000": b'{"n":-5}', "0001": None})
    assert list(index.query_keys(n=lt(3))) == ["0000", "0002"]
    assert index.count(n=lt(3), type=missing()) == 1
    assert passes == ["n", "type"]


def test_columns_beyond_the_memory_limit_are_dropped(
    passes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.FIELD_INDEXES_BYTES", 20_000)
    index = many()
    for field in ("n", "type", "n"):
        index.count(where={field: exists()})
    assert passes == ["n", "type", "n"]


@pytest.mark.parametrize("wanted", [ge(490), between(3, 5), ne(7), missing(), exists()], ids=repr)
def test_what_an_index_has_answered_is_not_matched_again(
    wanted: Predicate, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = many()
    expected = [key for key, entry in index.items() if wanted.matches(entry["n"])]
    monkeypatch.setattr(type(wanted), "matches", None)
    assert list(index.query_keys(n=wanted)) == expected
    assert [key for key, _ in index.query(n=wanted)] == expected


def test_a_text_is_looked_at_once_however_many_entries_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    matches = contains.matches

    def noted(self: contains, value: Any) -> bool:
        asked.append(value)
        return matches(self, value)

    monkeypatch.setattr(contains, "matches", noted)
    assert many().count(type=contains("A")) == 250
    assert asked == ["a", "b"]


def test_a_sorted_query_with_a_limit_decodes_what_it_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index, read = many(), list[str]()
    raw = Index.raw

    def noted(self: Index, key: object) -> Any:
        read.append(str(key))
        return raw(self, key)

    monkeypatch.setattr(Index, "raw", noted)
    found = index.query(sort="-n", limit=2, type="a")
    assert [entry["n"] for _, entry in found] == [498, 496]
    assert read == ["0498", "0496"]


def test_a_count_makes_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    index = many()
    index.count(n=ge(5))
    monkeypatch.setattr(KeysByPosition, "runs", None)
    assert index.count(n=ge(5)) == 495
    assert index.count(n=between(5, 9), type=ne("a")) == 3
