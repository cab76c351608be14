"""An index in canonical form, searched without parsing: equal to a parsed one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import Index
from staticstore.index.blocks import block_files
from staticstore.index.changes import diff, follow
from staticstore.index.fields import Content
from staticstore.index.forms.entries import Entries

_keys = st.text('ab"\\ !/é\U0001f600', min_size=1, max_size=4).filter(lambda key: "/" not in key)
_scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text('a"}{,:[é\n')
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
_states = st.dictionaries(
    _keys.filter(lambda key: not key.startswith("\\")),
    st.dictionaries(st.sampled_from(["type", "a", "b"]), _values, max_size=3),
    max_size=30,
)


@pytest.fixture(autouse=True)
def _many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small documents have many pieces, and be trusted like large ones."""
    monkeypatch.setattr("staticstore.tuning.INDEX_PIECE_BYTES", 30)
    monkeypatch.setattr("staticstore.tuning.CHECKED_AT_ONCE_BYTES", 0)
    monkeypatch.setattr("staticstore.tuning.RUN_KEYS", 2)


def general(state: dict[str, Any]) -> Index:
    """Parse a state in another form."""
    return Index.parse(json.dumps(state, indent=1).encode())


def vouched(state: dict[str, Any]) -> Index:
    """Parse a state in canonical form whose digest the head has."""
    return Index.parse(general(state).canonical(), vouched_entries=len(state))


def lines(*texts: str) -> bytes:
    """Write a document in canonical form."""
    return ("{\n" + ",\n".join(texts) + "\n}\n").encode()


@given(_states)
@settings(max_examples=200, deadline=None)
def test_both_forms_hold_the_same(state: dict[str, Any]) -> None:
    one, other = vouched(state), general(state)
    assert list(one) == list(other) == sorted(state)
    assert len(one) == len(state)
    assert dict(one.items()) == state
    assert one == other
    assert one.canonical() == other.canonical()


@given(_states, _states)
@settings(max_examples=200, deadline=None)
def test_both_forms_have_the_same_differences(old: dict[str, Any], new: dict[str, Any]) -> None:
    new = {**dict(list(old.items())[::2]), **new}
    changes = diff(vouched(old), vouched(new))
    assert list(changes) == list(diff(general(old), general(new)))
    assert list(changes) == list(diff(general(old), vouched(new)))


@given(_states, _states, st.sampled_from([0, 1, 100]))
@settings(max_examples=200, deadline=None)
def test_changes_produce_the_lines_of_the_new_document(
    old: dict[str, Any], new: dict[str, Any], folded_above: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("staticstore.tuning.OVERLAY_ENTRIES_PER_CHANGE", folded_above)
        before, after = vouched(old), vouched(new)
        states = {change.key: change.after for change in diff(before, after)}
        changed = before.changed_by(states)
    assert changed.canonical() == after.canonical()
    assert len(changed) == len(new)


@given(_states, _states)
@settings(max_examples=100, deadline=None)
def test_field_indexes_are_updated_when_changes_are_folded(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    before, after = vouched(old), vouched(new)
    list(before.query_keys(type="a"))
    followed = follow(before, after).index
    for value in [None, *(entry.get("type") for entry in new.values())]:
        wanted = [key for key in sorted(new) if new[key].get("type") == value]
        assert list(followed.query_keys(type=value)) == wanted


@given(_states, _states)
@settings(max_examples=100, deadline=None)
def test_lines_that_differ_from_checked_ones_are_checked(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    before = Index.parse(general(old).canonical())
    after = Index.parse(general(new).canonical(), before=before)
    assert dict(after.items()) == new
    assert len(after) == len(new)


@pytest.mark.parametrize("key", [":{", ':{":{', ":{}"])
def test_a_key_may_look_like_the_end_of_one(key: str) -> None:
    state = {key: {"type": 1}, "b": {}}
    assert dict(vouched(state).items()) == state
    assert [change.key for change in diff(vouched({}), vouched(state))] == [key, "b"]
    assert follow(vouched({"b": {}}), vouched(state)).index.raw(key) is not None
    root, text = block_files(general(state).canonical(), None)
    assert key in [
        block.first for block in root.blocks_of(text, 2, len(general(state).canonical()) - 2)
    ]


def test_a_document_in_canonical_form_is_not_parsed() -> None:
    assert vouched({"a": {}}).lines() is not None


@pytest.mark.parametrize(
    "body",
    [
        lines('"b":{}', '"a":{}'),
        lines('"a":{}', '"a":{"n":1}'),
        lines('"a": {}'),
        lines('"a":{}', '"b":{"y":1,"x":2}'),
        lines('"a":{"n":1.50}'),
        lines('"a":{},"b":{}', '"c":{}'),
        lines('"a":{"x":{}', '"b":{}},"b":{}'),
        lines('"a":{"x":1', '"y":2}'),
        lines('"\\u0061":{}'),
        b'{\n"a":{},\n\n}\n',
        b'{\n"a":{}\n}\n}\n',
    ],
)
def test_a_document_that_only_looks_canonical_is_parsed_as_json(body: bytes) -> None:
    try:
        decoded = json.loads(body)
    except ValueError:
        with pytest.raises(ValueError, match="JSON"):
            Index.parse(body)
        return
    index = Index.parse(body)
    assert isinstance(index.stored, Entries)
    assert dict(index.items()) == decoded


def test_no_index_contains_a_key_with_a_lone_surrogate() -> None:
    assert "\ud800" not in vouched({"a": {}})


def test_changes_can_be_applied_to_an_empty_index() -> None:
    changed = vouched({}).changed_by({"a": b'{"n":1}', "b": b"{}"})
    assert changed.canonical() == lines('"a":{"n":1}', '"b":{}')


@pytest.mark.parametrize(
    "fields",
    [
        {"sha256": "/etc/passwd"},
        {"sha256": "A" * 64},
        {"sha256": "a" * 64 + "\n"},
        {"size": -1},
        {"size": 1 << 63},
        {"size": 1, "packed": ["packs/1.zip", -1]},
        {"size": 1, "modified": 7},
        {"size": 1, "modified": "2026-11-20T12:00:00Z"},
        {"size": 1, "sha256": "a" * 64, "packed": ["packs/1.zip", 1]},
        {"size": 1, "placed": {"href": "../x"}, "md5": "a" * 32},
        {"size": 1, "placed": {"href": "../x", "base": "https://a/"}},
        {"size": 1, "placed": "../x"},
    ],
)
def test_contents_depend_only_on_the_entry(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    monkeypatch.setattr("staticstore.tuning.DECODED_SINGLY_ENTRIES", 0)
    (found,) = vouched({"a": fields}).contents_of(["a"]).values()
    place = found.place and (found.place.href, found.place.offset)
    expected = Content.of(fields)
    assert (found.size, found.sha256, place, found.modified) == expected[:4]
    assert (found.placed and found.placed.href) == (expected.placed and expected.placed.href)
    assert found.checksum is None
