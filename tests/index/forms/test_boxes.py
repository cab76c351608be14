"""Indexes of boxes: with shapely and without, they find what a scan finds."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from staticstore import Index
from staticstore.index.forms import box_index
from staticstore.index.forms.box_index import BoxIndex
from staticstore.query import intersects, ne
from staticstore.query.comparison import Box

needs_shapely = pytest.mark.skipif(
    importlib.util.find_spec("shapely") is None, reason="shapely is not installed"
)
forms = pytest.mark.parametrize(
    "form", ["slices", pytest.param("tree", marks=needs_shapely)], indirect=True
)


@pytest.fixture
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have indexes of boxes in a form, also those of few boxes."""
    monkeypatch.setattr("staticstore.tuning.BOX_TREE_ENTRIES", 1)
    if request.param == "slices":
        monkeypatch.setattr(box_index, "has_shapely", lambda: False)
    return str(request.param)


def runs(values: Sequence[Any], count: int = 1000) -> Iterator[list[Any]]:
    """Cut values into runs."""
    return (list(values[at : at + count]) for at in range(0, len(values), count))


def scanned(values: Sequence[Any], wanted: intersects) -> list[int]:
    """Return the positions of the values that match."""
    return [at for at, value in enumerate(values) if wanted.matches(value)]


def _boxes(count: int) -> list[Any]:
    chance = random.Random(4)
    boxes: list[Any] = []
    for _ in range(count):
        west, south = chance.uniform(-180, 179), chance.uniform(-90, 89)
        size = chance.choice([0, 0.1, 0.5, 0.5, 0.5, 40, 300])
        box = [west, south, west + chance.uniform(0, size), south + chance.uniform(0, size / 2)]
        crossing = [179, south, -179, south + 1]
        six = [*box[:2], 0, *box[2:], 9]
        boxes.append(chance.choice([box, box, box, six, crossing, [0, 1], "a text", None]))
    return [*boxes, [170, -5, -170, 5], [2**60 + 1, 0, 2**60 + 3, 1], [0, 0, 10**400, 1]]


BOXES = _boxes(3_000)
ASKED = [
    (0, 0, 10, 10), (-180, -90, 180, 90), (170, -20, -170, 20), (5, 5, 5, 5), (179, 0, 1, 80),
    (2**60 + 2, 0, 2**60 + 2, 1), (1e300, 0, 1e301, 1), (-180, 89.5, 180, 90),
]  # fmt: skip


@forms
@pytest.mark.parametrize("box", ASKED, ids=lambda box: str(box)[:20])
def test_an_index_finds_what_a_scan_finds(form: str, box: tuple[Any, ...]) -> None:
    found = BoxIndex(runs(BOXES)).intersecting(Box(*box))
    assert list(found.positions()) == scanned(BOXES, intersects(*box))


@pytest.mark.parametrize("form", ["slices"], indirect=True)
@pytest.mark.parametrize("divisor", [0.5, 3, 50])
@pytest.mark.parametrize("most", [7, 4096])
def test_slices_of_any_size_find_the_same(
    form: str, divisor: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.SLICE_DIVISOR", divisor)
    monkeypatch.setattr("staticstore.tuning.SLICE_ENTRIES", most)
    index = BoxIndex(runs(BOXES))
    for box in ASKED:
        assert list(index.intersecting(Box(*box)).positions()) == scanned(BOXES, intersects(*box))


@needs_shapely
@pytest.mark.parametrize("form", ["tree"], indirect=True)
@pytest.mark.parametrize(("leaves", "entries", "step"), [(4, 1, 1), (64, 4, 3), (8192, 1, 100)])
def test_leaves_of_any_size_find_the_same(
    form: str, leaves: int, entries: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.BOX_LEAVES", leaves)
    monkeypatch.setattr("staticstore.tuning.BOX_LEAF_ENTRIES", entries)
    monkeypatch.setattr("staticstore.tuning.BOX_TREE_STEP_LEAVES", step)
    index = BoxIndex(runs(BOXES))
    for box in ASKED:
        assert list(index.intersecting(Box(*box)).positions()) == scanned(BOXES, intersects(*box))


# Few different numbers, so that boxes touch; and those at which floats end.
_numbers = st.sampled_from(
    [
        0, 1, 2, 3, -1, 0.5, 1e-320, -180, 180, 179.9999999999999, 1e308, -1e308, 2**53, 2**53 + 1,
        -(2**53) - 1, 2**60 + 1, 10**400, -(10**400), sys.float_info.max, -sys.float_info.max,
    ]
)  # fmt: skip
_sides = st.tuples(_numbers, _numbers, _numbers, _numbers).map(
    lambda sides: [sides[0], min(sides[1], sides[3]), sides[2], max(sides[1], sides[3])]
)
# What is too large for a float can be in an index, but is refused in a condition.
_asked = _sides.filter(lambda sides: all(abs(side) < 10**400 for side in sides))
_values: st.SearchStrategy[Any] = st.one_of(
    _sides,
    _sides,
    st.lists(_numbers, min_size=6, max_size=6),
    st.sampled_from([None, True, "0,0,1,1", [0, 0, 1], [0, 0, "1", 1], [False, 0, 1, 1], {}]),
)


@forms
# The form is the same for all examples.
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=st.lists(_values, max_size=40), asked=st.lists(_asked, min_size=1, max_size=4))
def test_any_values_are_found_as_by_a_scan(
    form: str, values: list[Any], asked: list[list[Any]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staticstore.tuning.BOX_LEAF_ENTRIES", 3)
        index = BoxIndex(runs(values, 7))
        for box in asked:
            expected = scanned(values, intersects(*box))
            found = index.intersecting(Box(*box))
            assert len(found) == len(expected)
            assert list(found.positions()) == expected
            assert found.marks().count(1) == len(expected)


@forms
def test_boxes_meet_other_conditions_changes_and_counts_in_every_form(form: str) -> None:
    pairs = [(f"{at:05}", {"bbox": box, "n": at % 3}) for at, box in enumerate(BOXES[:-1])]
    index, wanted = Index.from_items(pairs), intersects(-1, -1, 1, 1)
    expected = [key for key, entry in pairs if wanted.matches(entry["bbox"]) and entry["n"] != 1]
    assert 1 < len(expected) < len(pairs) / 32
    assert list(index.query_keys(bbox=wanted, n=ne(1))) == expected
    assert [key for key, _ in index.query(bbox=wanted, n=ne(1))] == expected
    assert index.count(bbox=wanted, n=ne(1)) == len(expected)
    assert list(index.query_keys(bbox=wanted, n=ne(1), limit=2)) == expected[:2]
    changed = index.changed_by({expected[0]: None, "new": b'{"bbox":[0,0,0,0]}'})
    assert list(changed.query_keys(bbox=wanted, n=ne(1))) == [*expected[1:], "new"]


def test_few_boxes_are_found_without_importing_shapely() -> None:
    program = (
        "import sys; from staticstore import Index; from staticstore.query import intersects\n"
        "index = Index.from_entries({'a': {'bbox': [0, 0, 1, 1]}})\n"
        "assert list(index.query_keys(bbox=intersects(1, 1, 2, 2))) == ['a']\n"
        "assert not {'numpy', 'shapely'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_many_boxes_are_found_where_shapely_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("staticstore.tuning.BOX_TREE_ENTRIES", 1)
    monkeypatch.setitem(sys.modules, "shapely", None)
    assert BoxIndex([[[0, 0, 1, 1]]]).intersecting(Box(1, 1, 2, 2)).positions() == [0]


@forms
def test_boxes_that_are_all_the_same_are_found(form: str) -> None:
    values = [[-180, -90, 180, 90]] * 10_000
    assert len(BoxIndex(runs(values)).intersecting(Box(0, 0, 1, 1))) == len(values)
