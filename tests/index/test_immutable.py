"""Results of an index belong to the caller; the index itself never changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from staticstore import Change, Changes, Index
from staticstore.index.changes import apply, diff

BODY = b'{"a": {"list": [1, {"x": 2}], "text": "t"}, "b": {}}'

WAYS: dict[str, Callable[[Index], Mapping[str, Any]]] = {
    "item": lambda index: index["a"],
    "get": lambda index: index.get("a", {}),
    "items": lambda index: next(iter(index.items()))[1],
    "values": lambda index: next(iter(index.values())),
    "dict": lambda index: dict(index)["a"],
    "query": lambda index: next(index.query())[1],
    "query of fields": lambda index: next(index.query(["list"]))[1],
    "change": lambda index: diff(Index.parse(b"{}"), index)[0].metadata or {},
    "previous": lambda index: diff(index, Index.parse(b"{}"))[0].previous or {},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_changing_a_result_does_not_change_the_index(
    way: Callable[[Index], dict[str, Any]],
) -> None:
    index = Index.parse(BODY)
    mine = way(index)
    mine["list"][1]["x"] = "spoiled"
    mine["list"].append("spoiled")
    mine.clear()
    assert index == Index.parse(BODY)
    assert way(index)["list"] == [1, {"x": 2}]


def test_a_change_returns_a_new_copy_each_time() -> None:
    (change,) = diff(Index.parse(b'{"a": {"list": [1]}}'), Index.parse(b'{"a": {"list": [2]}}'))
    for _ in range(2):
        assert (change.previous, change.metadata) == ({"list": [1]}, {"list": [2]})
        for metadata in (change.previous, change.metadata):
            assert metadata is not None
            metadata["list"].clear()


def test_apply_leaves_the_first_snapshot_unchanged() -> None:
    old = Index.parse(BODY)
    apply(diff(old, Index.parse(b'{"c": {}}')), old)
    assert old == Index.parse(BODY)


@pytest.mark.parametrize("method", ["__setitem__", "__delitem__", "pop", "update", "clear"])
def test_an_index_has_no_method_that_changes_it(method: str) -> None:
    assert not hasattr(Index.parse(BODY), method)


@pytest.mark.parametrize(
    ("shared", "attribute"),
    [
        (Change("a", None, b"{}"), "key"),
        (Change("a", None, b"{}"), "action"),
        (Change("a", None, b"{}"), "metadata"),
        (Changes((), Index.parse(b"{}")), "index"),
        (Index.parse(b"{}"), "warnings"),
    ],
    ids=lambda value: str(value),
)
def test_shared_objects_have_no_attribute_that_can_be_set(shared: object, attribute: str) -> None:
    with pytest.raises(AttributeError):
        setattr(shared, attribute, "spoiled")
