"""The snapshot of a view equals one made of all that the view shows."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import Index, IndexFormatError
from staticstore.index import codec
from staticstore.index.changes import apply, diff
from staticstore.index.forms.entries import Entries
from staticstore.index.views import Part, ViewIndex
from staticstore.query import any_where, ge, missing, one_of

Shown = dict[str, dict[str, Any]]

KEYS = ["a", "b", "x", "xa", "x/a", "x/b", "x/y/a", "x/y/b", "y/a", "z"]
PREFIXES = ["", "x", "x/", "x/y/", "y/", "z"]
entries = st.dictionaries(
    st.sampled_from(KEYS),
    st.fixed_dictionaries({"v": st.sampled_from([0, 1, 2.5, "1", None, [1]])}),
    max_size=6,
)


def joined(members: list[Index]) -> ViewIndex:
    return ViewIndex(members, [Part(rivals=range(number)) for number in range(len(members))])


def mounted(members: dict[str, Index]) -> ViewIndex:
    parts = [
        Part(at=at, hidden=tuple(one for one in members if one != at and one.startswith(at)))
        for at in members
    ]
    return ViewIndex(list(members.values()), parts)


def joined_entries(members: list[Shown]) -> Shown:
    return {key: one[key] for one in reversed(members) for key in one}


def mounted_entries(members: dict[str, Shown]) -> Shown:
    found = {}
    for at, one in members.items():
        for key, metadata in one.items():
            longest = max((p for p in members if (at + key).startswith(p)), key=len)
            if longest == at:
                found[at + key] = metadata
    return found


def below_entries(one: Shown, prefix: str) -> Shown:
    return {key.removeprefix(prefix): one[key] for key in one if key.startswith(prefix)}


@st.composite
def views(draw: st.DrawFn) -> tuple[ViewIndex, Shown]:
    """A view of views, and the entries that it shows."""
    one, two, three, four = (draw(entries) for _ in range(4))
    indexes = [Index.from_entries(each) for each in (one, two, three, four)]
    prefix, *ats = draw(st.permutations(PREFIXES))[:4]
    below = ViewIndex([indexes[0]], [Part(below=prefix)])
    mounts: dict[str, Index] = {ats[0]: below, ats[1]: indexes[1], ats[2]: indexes[2]}
    seen = mounted_entries({ats[0]: below_entries(one, prefix), ats[1]: two, ats[2]: three})
    whole = joined([mounted(mounts), indexes[3], indexes[0]])
    return whole, joined_entries([seen, four, one])


CONDITIONS: list[dict[str, Any]] = [
    {},
    {"v": 1},
    {"v": None},
    {"v": ge(1)},
    {"v": missing()},
    {"v": one_of(1, "1")},
    {"v": lambda value: value == 2.5},
]


@settings(max_examples=60, deadline=None)
@given(pair=views(), start=st.sampled_from(["", *KEYS]))
def test_a_view_reads_like_a_snapshot_of_what_it_shows(
    pair: tuple[ViewIndex, Shown], start: str
) -> None:
    view, shown = pair
    assert dict(view) == shown
    assert list(view) == sorted(shown)
    assert len(view) == len(shown)
    assert [key for key in KEYS if key in view] == [key for key in KEYS if key in shown]
    assert list(view.keys_from(start)) == [key for key in sorted(shown) if key >= start]
    assert list(view.glob("x*")) == [key for key in sorted(shown) if key.startswith("x")]
    assert list(view.field_values("v")) == [(key, shown[key]["v"]) for key in sorted(shown)]
    assert view.contents_of([*KEYS, "nowhere"]).keys() == shown.keys() & {*KEYS}


@settings(max_examples=60, deadline=None)
@given(
    pair=views(),
    conditions=st.sampled_from(CONDITIONS),
    sort=st.sampled_from([None, "v", "-v", ["-v", "w"]]),
    limit=st.sampled_from([None, 0, 1, 3]),
)
def test_a_query_of_a_view_is_that_of_a_snapshot_of_what_it_shows(
    pair: tuple[ViewIndex, Shown], conditions: Any, sort: Any, limit: int | None
) -> None:
    view, shown = pair
    # Not `from_entries`: keys of a view may begin with a slash.
    same = Index(Entries({key: codec.encode(shown[key]) for key in shown}))
    found = list(view.query(sort=sort, limit=limit, **conditions))
    assert found == list(same.query(sort=sort, limit=limit, **conditions))
    keys = list(view.query_keys(sort=sort, limit=limit, **conditions))
    assert keys == [key for key, _ in view.query(sort=sort, limit=limit, **conditions)]
    assert view.count(**conditions) == len(list(view.query(**conditions)))
    assert list(view.query(["w"], sort=sort, **conditions)) == [
        (key, {}) for key, _ in view.query(sort=sort, **conditions)
    ]


@settings(max_examples=60, deadline=None)
@given(old=views(), new=st.lists(entries, min_size=4, max_size=4))
def test_the_difference_of_two_snapshots_of_a_view_leads_from_one_to_the_other(
    old: tuple[ViewIndex, Shown], new: list[Shown]
) -> None:
    view = old[0]
    other = joined([Index.from_entries(each) for each in new[:3]])
    three = joined([Index.from_entries(each) for each in new[1:]])
    for before, after in ((other, three), (view, other), (other, view)):
        changes = diff(before, after)
        assert apply(changes, before) == after
        assert (before == after) is not bool(changes)
        assert [change.key for change in changes] == sorted({change.key for change in changes})


def test_a_wrong_argument_of_a_query_is_refused_at_once() -> None:
    view = joined([Index.from_entries({"a": {}})])
    for call in (
        lambda: view.query("v"),
        lambda: view.query(limit=-1),
        lambda: view.query_keys(where=5),  # type: ignore[arg-type]
        lambda: view.count(where=5),  # type: ignore[arg-type]
    ):
        with pytest.raises((TypeError, ValueError)):
            call()


def test_alternatives_are_conditions_of_a_view_too() -> None:
    view = joined([Index.from_entries({"a": {"v": 1}}), Index.from_entries({"b": {"w": 2}})])
    assert list(view.query_keys(where=any_where({"v": 1}, {"w": 2}))) == ["a", "b"]


def test_one_level_of_a_view_is_listed() -> None:
    view = mounted(
        {"": Index.from_entries({"a/b": {}, "c": {}}), "m/": Index.from_entries({"x": {}})}
    )
    assert list(view.prefixes()) == ["a/", "c", "m/"]


def test_a_snapshot_of_a_view_can_be_pickled_and_written() -> None:
    view = joined([Index.from_entries({"a": {"v": 1}}), Index.from_entries({"a": {}, "b": {}})])
    assert pickle.loads(pickle.dumps(view)) == view
    assert Index.parse(view.canonical()) == view
    assert Index.parse(b"".join(view.document())) == view


def test_metadata_of_a_view_is_a_copy() -> None:
    view = joined([Index.from_entries({"a": {"list": [1]}})])
    view["a"]["list"].append(2)
    assert view["a"] == {"list": [1]}


def test_h8_a_view_of_a_refused_snapshot_raises_and_can_be_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("staticstore.tuning.CHECKED_AT_ONCE_BYTES", 0)
    bad = Index.parse(b'{\n"a":{},\n"b":{"v":nope}\n}\n', vouched_entries=2)
    view, good = joined([bad]), joined([Index.from_entries({"c": {}})])
    with pytest.raises(IndexFormatError):
        list(view)
    assert view.refusal is not None
    assert [change.action for change in diff(view, good)] == ["set"]
