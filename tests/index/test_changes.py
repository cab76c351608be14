"""Differences between two snapshots, and their application to the first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from staticstore import Change, Changes, Index
from staticstore.index.changes import apply, diff
from tests.index.strategies import entries, quick


def index_of(body: str) -> Index:
    return Index.parse(body.encode())


@quick
@given(entries, entries)
def test_applying_the_changes_between_two_snapshots_yields_the_second(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = Index.from_entries(before), Index.from_entries(after)
    changes = diff(old, new)
    assert apply(changes, old) == new
    assert dict(old) == dict(Index.from_entries(before))


@quick
@given(entries, entries)
def test_changes_equal_those_of_a_plain_comparison_in_key_order(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old, new = Index.from_entries(before), Index.from_entries(after)
    plain_old, plain_new = dict(old), dict(new)
    expected = [
        (key, plain_old.get(key), plain_new.get(key))
        for key in sorted(plain_old.keys() | plain_new.keys())
        if plain_old.get(key) != plain_new.get(key)
    ]
    assert [(c.key, c.previous, c.metadata) for c in diff(old, new)] == expected


@quick
@given(entries)
def test_equal_snapshots_have_no_changes(wanted: dict[str, Any]) -> None:
    one = Index.from_entries(wanted)
    other = Index.parse(json.dumps(dict(reversed(wanted.items())), indent=1).encode())
    changes = diff(one, other)
    assert not changes
    assert changes.index is other


def test_a_snapshot_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise a poll that found nothing new would compare a million keys.
    def differing_keys(self: Index, other: Index) -> bool:
        raise AssertionError("compared")

    monkeypatch.setattr(Index, "differing_keys", differing_keys)
    index = index_of('{"a": {}}')
    assert not diff(index, index)


def test_actions_are_set_update_and_delete() -> None:
    changes = diff(index_of('{"u": {"v": 1}, "d": {}}'), index_of('{"u": {"v": 2}, "s": {}}'))
    assert [(change.action, change.key) for change in changes] == [
        ("delete", "d"),
        ("set", "s"),
        ("update", "u"),
    ]


def test_a_set_has_no_previous_and_a_delete_no_metadata() -> None:
    changes = diff(index_of('{"d": {"v": 1}}'), index_of('{"s": {"v": 2}}'))
    assert [(change.previous, change.metadata) for change in changes] == [
        ({"v": 1}, None),
        (None, {"v": 2}),
    ]


def test_empty_metadata_is_not_a_missing_key() -> None:
    assert [change.action for change in diff(index_of("{}"), index_of('{"a": {}}'))] == ["set"]
    assert [change.action for change in diff(index_of('{"a": {}}'), index_of("{}"))] == ["delete"]


SAME = [
    ('{"a": {"x": 1, "y": 2}}', '{"a": {"y": 2, "x": 1}}'),
    ('{"a": {}, "b": {}}', '{"b": {}, "a": {}}'),
    ('{"a": {"x": [1, 2]}}', '{\n "a" :\t{ "x" : [ 1,2 ] } }\n'),
    ('{"a": {"x": 1}}', '{"a": {"x": 1.0}}'),
    ('{"a": {"x": [{"y": 100}]}}', '{"a": {"x": [{"y": 1e2}]}}'),
    ('{"a": {"x": "é"}}', '{"a": {"x": "\\u00e9"}}'),
    ('{"a": {"x": 0.1}}', '{"a": {"x": 0.10}}'),
    ('{"a": {"x": 0}}', '{"a": {"x": -0.0}}'),
    ('{"a": {"x": 1, "x": 2}}', '{"a": {"x": 2}}'),
    ('{"a": {}}', '{"a": {}, "../x": {}}'),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a10_a_different_notation_is_no_change(one: str, other: str) -> None:
    assert not diff(index_of(one), index_of(other))
    assert not diff(index_of(other), index_of(one))
    assert index_of(one) == index_of(other)


OTHER = [
    ('{"a": {"x": 1}}', '{"a": {"x": 2}}'),
    ('{"a": {"x": 1}}', '{"a": {"x": "1"}}'),
    ('{"a": {"x": null}}', '{"a": {}}'),
    ('{"a": {"x": [1, 2]}}', '{"a": {"x": [2, 1]}}'),
    ('{"a": {"x": "\\u00e9"}}', '{"a": {"x": "e\\u0301"}}'),
    ('{"a": {"x": []}}', '{"a": {"x": {}}}'),
    ('{"a": {"x": 9007199254740993}}', '{"a": {"x": 9007199254740992}}'),
    ('{"a": {"packed": ["p", 1]}}', '{"a": {"packed": "p"}}'),
    ('{"a": {"packed": ["p", -1]}}', '{"a": {"packed": ["p", -2]}}'),
]


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_different_metadata_is_an_update(one: str, other: str) -> None:
    assert [change.action for change in diff(index_of(one), index_of(other))] == ["update"]
    assert index_of(one) != index_of(other)


PACKED = '{"a": {"packed": ["packs/1.zip", 0], "v": 1}}'


@pytest.mark.parametrize("other", ['["packs/2.zip", 0]', '["packs/1.zip", 77]'])
def test_a_different_place_in_a_pack_is_no_change(other: str) -> None:
    assert not diff(index_of(PACKED), index_of('{"a": {"v": 1, "packed": ' + other + "}}"))
    assert not diff(index_of(PACKED), index_of('{"a": {"v": 1}}'))


def test_changes_do_not_contain_the_place_in_a_pack() -> None:
    (change,) = diff(index_of(PACKED), index_of(PACKED.replace('"v": 1', '"v": 2')))
    assert (change.previous, change.metadata) == ({"v": 1}, {"v": 2})


def test_applied_changes_include_the_place_in_a_pack() -> None:
    old, new = index_of("{}"), index_of(PACKED)
    assert apply(diff(old, new), old).canonical() == new.canonical()


def test_apply_accepts_changes_for_missing_keys() -> None:
    changes = [Change("a", b"{}", None), Change("b", b'{"v": 1}', b'{"v": 2}')]
    assert dict(apply(changes, index_of('{"c": {}}'))) == {"b": {"v": 2}, "c": {}}


def test_of_two_changes_for_a_key_the_last_wins() -> None:
    changes = [Change("a", None, b'{"v": 1}'), Change("a", b'{"v": 1}', None)]
    assert dict(apply(changes, index_of("{}"))) == {}


# -- Changes and Change -------------------------------------------------------------


@pytest.fixture
def changes() -> Changes:
    return diff(
        index_of('{"d": {}, "u": {"v": 1}}'), index_of('{"s1": {}, "s2": {}, "u": {"v": 2}}')
    )


def test_changes_are_a_sequence(changes: Changes) -> None:
    keys = ["d", "s1", "s2", "u"]
    assert len(changes) == 4
    assert [change.key for change in changes] == keys
    assert [changes[position].key for position in range(-4, 4)] == keys * 2
    assert [change.key for change in changes[1:3]] == ["s1", "s2"]
    assert changes[0] in changes
    assert [change.key for change in reversed(changes)] == keys[::-1]
    with pytest.raises(IndexError):
        changes[4]


def test_changes_are_grouped_by_action(changes: Changes) -> None:
    assert [change.key for change in changes.set] == ["s1", "s2"]
    assert [change.key for change in changes.update] == ["u"]
    assert [change.key for change in changes.delete] == ["d"]


def test_changes_are_false_only_if_empty(changes: Changes) -> None:
    assert changes
    assert not Changes((), changes.index)


def test_changes_have_the_snapshot_that_they_lead_to() -> None:
    new = index_of('{"a": {}}')
    assert diff(index_of("{}"), new).index is new


def test_the_repr_of_changes_has_the_number_of_each_action(changes: Changes) -> None:
    assert repr(changes) == "<Changes: 2 set, 1 update, 1 delete>"


def test_the_repr_of_a_change_has_its_action_and_escaped_key(changes: Changes) -> None:
    assert repr(changes[3]) == "<Change: update 'u'>"
    assert repr(Change("a\u2028b", None, b"{}")) == "<Change: set 'a\\u2028b'>"


def test_equal_changes_have_the_same_key_and_metadata() -> None:
    change = Change("a", b'{"v": 1}', b'{"v": 2, "w": 3}')
    assert change == Change("a", b'{"v":1.0}', b'{"w": 3, "v": 2}')
    assert change != Change("b", b'{"v": 1}', b'{"v": 2, "w": 3}')
    assert change != Change("a", None, b'{"v": 2, "w": 3}')
    assert change != Change("a", b'{"v": 1}', None)
    assert change != "a"


@pytest.mark.parametrize("value", [Change("a", None, b"{}"), index_of("{}")], ids=repr)
def test_objects_that_compare_by_content_have_no_hash(value: object) -> None:
    with pytest.raises(TypeError):
        hash(value)


# -- indexes compare ----------------------------------------------------------------


def test_an_index_equals_a_mapping_with_the_same_entries() -> None:
    index = index_of('{"a": {"v": 1}}')
    assert index == {"a": {"v": 1.0}}
    assert index != {"a": {"v": 2}}
    assert index != 5


def test_the_repr_of_an_index_has_its_number_of_keys() -> None:
    assert repr(index_of('{"a": {}, "b": {}}')) == "<Index: 2 keys>"


def test_raw_returns_the_text_of_an_entry() -> None:
    index = index_of('{"a": { "v":1.0 }}')
    raw = index.raw("a")
    assert raw is not None
    assert bytes(raw) == b'{ "v":1.0 }'
    assert index.raw("b") is None


@pytest.mark.parametrize("key", ["b", "../a", "", 5, None, b"a", ["a"], {"a": 1}], ids=repr)
def test_a_key_of_any_type_is_merely_not_contained(key: Any) -> None:
    assert key not in index_of('{"a": {}}')


def test_a_missing_key_is_a_key_error() -> None:
    index = index_of('{"a": {}}')
    with pytest.raises(KeyError):
        index["b"]
    assert index.get("b") is None
    assert index.get("b", 5) == 5
