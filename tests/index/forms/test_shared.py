"""Snapshots that share entries, and queries that only read entries that match."""

from __future__ import annotations

import gc
import json
import operator
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import Index
from staticstore.index.changes import apply, diff, follow
from staticstore.index.forms.field_index import NOT_INDEXED, frozen
from staticstore.index.forms.lines import Lines

_numbers = st.integers(-3, 3) | st.sampled_from([0.0, -0.0, 1.0, 2.5, 2**70, 1e300])
_scalars = st.none() | st.booleans() | _numbers | st.text("ab", max_size=2)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=1), inner),
    max_leaves=4,
)
_fields = st.sampled_from(["n", "type", "", 'a"b', "é", "packed", "\x01"])
_metadata = st.dictionaries(_fields, _values, max_size=3)
_keys = st.sampled_from([f"{letter}{number}" for letter in "aéz" for number in range(4)])
_indexes = st.dictionaries(_keys, _metadata, max_size=12)
_questions = st.dictionaries(_fields, _values, max_size=3)


def scan(index: Index, wanted: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Find the results of a query by a plain scan."""
    return [
        (key, metadata)
        for key, metadata in index.items()
        if all(metadata.get(field) == value for field, value in wanted.items())
    ]


@pytest.fixture(autouse=True)
def _shared_even_if_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small snapshots share entries, which otherwise only large ones do."""
    monkeypatch.setattr("staticstore.tuning.OVERLAY_ENTRIES_PER_CHANGE", 0)
    monkeypatch.setattr("staticstore.tuning.RUN_KEYS", 2)


def history(states: list[dict[str, Any]]) -> Iterator[tuple[Index, Index]]:
    """Yield each state as the snapshot that polls produce, and as a newly parsed one."""
    current = Index.from_entries(states[0])
    yield current, current
    for state in states[1:]:
        parsed = Index.from_entries(state)
        list(current.query(type="a"))  # so that there are field indexes to update
        current = follow(current, parsed).index
        yield current, parsed


@settings(max_examples=150, deadline=None)
@given(states=st.lists(_indexes, min_size=1, max_size=4), wanted=_questions)
def test_a_query_finds_what_a_scan_finds_after_any_history(
    states: list[dict[str, Any]], wanted: dict[str, Any]
) -> None:
    for current, parsed in history(states):
        assert list(current.query(where=wanted)) == scan(parsed, wanted)
        assert list(current.query_keys(where=wanted)) == [key for key, _ in scan(parsed, wanted)]


@settings(max_examples=100, deadline=None)
@given(states=st.lists(_indexes, min_size=1, max_size=4))
def test_a_snapshot_produced_by_changes_equals_a_parsed_one(
    states: list[dict[str, Any]],
) -> None:
    for current, parsed in history(states):
        assert current == parsed
        assert list(current.items()) == list(parsed.items())
        assert len(current) == len(parsed)
        assert current.canonical() == parsed.canonical()
        assert not diff(current, parsed)
        assert not diff(parsed, current)


@settings(max_examples=100, deadline=None)
@given(states=st.lists(_indexes, min_size=2, max_size=5))
def test_snapshots_of_one_history_have_the_differences_of_their_states(
    states: list[dict[str, Any]],
) -> None:
    snapshots = list(history(states))
    (first, first_parsed), (last, last_parsed) = snapshots[0], snapshots[-1]
    assert list(diff(first, last)) == list(diff(first_parsed, last_parsed))
    assert apply(diff(first, last), first) == last


def test_the_old_snapshot_stays_unchanged_by_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    old = Index.from_entries({"a": {"n": 1}, "b": {"n": 2}})
    assert list(old.query_keys(n=2)) == ["b"]
    new = apply(diff(old, Index.from_entries({"a": {"n": 2}, "c": {"n": 2}})), old)
    assert list(new.query_keys(n=2)) == ["a", "c"]
    assert list(old.query_keys(n=2)) == ["b"]
    assert "c" not in old
    assert list(old) == ["a", "b"]


@given(one=_values, other=_values)
def test_frozen_values_are_equal_exactly_if_the_values_are(one: Any, other: Any) -> None:
    assert (frozen(one) == frozen(other)) == (one == other)


@pytest.mark.parametrize(
    "wanted", [(1, 2), {1, 2}, b"a", range(2), object(), [(1,)], {"x": (1,)}, 1j]
)
def test_values_that_are_not_json_are_compared_one_by_one(wanted: object) -> None:
    assert frozen(wanted) is NOT_INDEXED


def test_an_object_with_its_own_equality_is_asked() -> None:
    class Everything:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    index = Index.from_entries({"a": {"n": 1}, "b": {}})
    assert list(index.query_keys(n=Everything())) == ["a", "b"]


def test_a_tuple_does_not_equal_a_list() -> None:
    index = Index.from_entries({"a": {"bbox": [1, 2]}})
    assert list(index.query_keys(bbox=(1, 2))) == []
    assert list(index.query_keys(bbox=[1, 2])) == ["a"]


def recorded(monkeypatch: pytest.MonkeyPatch, method: str) -> list[str]:
    """Record the fields for which a method of `Lines` is called."""
    fields: list[str] = []
    values = getattr(Lines, method)

    def noted(self: Lines, field: str) -> Any:
        fields.append(field)
        return values(self, field)

    monkeypatch.setattr(Lines, method, noted)
    return fields


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the fields for which an index over all entries is built."""
    return recorded(monkeypatch, "values_of")


def many(count: int = 500) -> Index:
    """Return an index with a number and a text in each entry."""
    return Index.from_entries({f"{n:04}": {"n": n, "type": "ab"[n % 2]} for n in range(count)})


def test_a_field_index_is_built_once(built: list[str]) -> None:
    index = many()
    for n in range(10):
        assert list(index.query_keys(n=n, type="ab"[n % 2])) == [f"{n:04}"]
    assert built == ["n", "type"]


def test_a_field_index_is_kept_after_a_few_changes(built: list[str]) -> None:
    index = many()
    list(index.query_keys(type="a"))
    states = {key: dict(metadata) for key, metadata in index.items()}
    states["0000"]["type"] = "changed"
    changed = follow(index, Index.from_entries(states)).index
    assert list(changed.query_keys(type="changed")) == ["0000"]
    assert built == ["type"]


def test_field_indexes_beyond_the_memory_limit_are_dropped(
    built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.FIELD_INDEXES_BYTES", 13_000)
    index = many(100)
    for field in ("n", "type", "n", "type"):
        list(index.query_keys(where={field: 1}))
    assert built == ["n", "type", "n", "type"]


def test_a_single_field_index_beyond_the_memory_limit_is_kept(
    built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.FIELD_INDEXES_BYTES", 1000)
    index = many(100)
    for n in range(3):
        assert list(index.query_keys(n=n)) == [f"{n:04}"]
    assert built == ["n"]


def test_many_changes_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticstore.tuning.OVERLAY_ENTRIES_PER_CHANGE", 100)
    index = many()
    changed = index.changed_by({f"{n:04}": b'{"n": 0}' for n in range(50)})
    assert not changed.shares_with(index)
    assert changed.is_document
    assert sum(1 for _ in changed.query_keys(n=0)) == 50


def test_a_snapshot_does_not_keep_the_document_of_its_changes_alive() -> None:
    index = many()
    document = json.dumps({**dict(index.items()), "0000": {"n": -1}}).encode()
    changed = follow(index, Index.parse(document)).index
    assert type(changed.raw("0000")) is bytes
    assert operator.eq(changed["0000"], {"n": -1})


def test_replaced_entries_are_freed_without_the_garbage_collector() -> None:
    index = Index.from_entries({"a": {"v": 1}, "b": {"v": 2}})
    assert list(index.query_keys(v=1)) == ["a"]
    known = weakref.ref(index.stored)
    gc.disable()
    try:
        del index
        assert known() is None
    finally:
        gc.enable()
