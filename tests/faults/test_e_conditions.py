"""E16: conditions that cannot be, and functions that raise, in queries and subscriptions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from staticstore import Index
from staticstore.query import between, ge, intersects, like, lt, matches

INDEX = Index.from_entries({"a": {"size": 0}, "b": {"size": 5}, "c": {"size": "x"}})


@pytest.mark.parametrize(
    "make",
    [
        lambda: intersects(8, 46, 10),
        lambda: intersects(8, 48, 10, 46),
        lambda: matches("(a"),
        lambda: like(5),  # type: ignore[arg-type]
        lambda: ge(None),
        lambda: between(1, "b"),
        lambda: INDEX.query(size=ge),
        lambda: INDEX.query_keys(sort="-"),
        lambda: INDEX.query_keys(limit=-1),
        lambda: INDEX.prefixes(delimiter=""),
    ],
)
def test_e16_what_cannot_be_asked_is_refused_at_once(make: Callable[[], object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        make()


@pytest.mark.parametrize("sort", [None, "size"])
@pytest.mark.parametrize("ask", ["query", "query_keys"])
def test_e16_what_a_function_raises_comes_out_of_a_query_as_it_is(ask: str, sort: Any) -> None:
    found = getattr(INDEX, ask)(size=lambda size: 1 / size, sort=sort)
    with pytest.raises(ZeroDivisionError):
        list(found)
    with pytest.raises(ZeroDivisionError):
        INDEX.count(size=lambda size: 1 / size)


def test_e16_values_of_other_kinds_are_not_found_and_raise_nothing() -> None:
    assert list(INDEX.query_keys(size=lt(3))) == ["a"]
    assert list(INDEX.query_keys(size=lt("y"))) == ["c"]
