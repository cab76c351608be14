"""A20: documents that only look canonical are read as any JSON parser reads them in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from staticstore import Index, IndexFormatError
from staticstore.index.changes import diff, follow
from staticstore.index.forms.entries import parse_any


@pytest.fixture(autouse=True, params=[40, 200])
def _many_pieces(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Make small documents have many pieces, and be checked late like large ones."""
    monkeypatch.setattr("staticstore.tuning.INDEX_PIECE_BYTES", request.param)
    monkeypatch.setattr("staticstore.tuning.CHECKED_AT_ONCE_BYTES", 0)


def general(body: bytes) -> Index | None:
    """Parse a document as any JSON; None if it is not an index."""
    try:
        entries, warnings = parse_any(body)
    except IndexFormatError:
        return None
    return Index(entries, warnings=warnings)


def vouched(body: bytes) -> Index | None:
    """Parse a document with the digest of the head; None if it is not an index."""
    try:
        return Index.parse(body, vouched_entries=7)
    except IndexFormatError:
        return None


def lines(*texts: str) -> bytes:
    """Write a document in canonical form."""
    return ("{\n" + ",\n".join(texts) + "\n}\n").encode()


GOOD = [f'"k{n:02}":{{"a":{n % 3},"t":"{"x" * (n % 5)}"}}' for n in range(24)]
OTHER = [
    *['"k05"', '"k05":{}', '"k05":[1]', '"k05":{"a":1}}', '"k05":{"a":{"b":1}}', '"\\u006b05":{}'],
    *['"k05":{"a":1e999}', '"k05":{"a":NaN}', '"k05":{"t":"\\ud800"}', '"k05":{"t":"}"}', ""],
    *['"k05":{"t":"{"}', '"k05": {}', '"k05":{ }', '"k05":{} ', '"../k":{}', '"k05":{"b":1,"a":2}'],
    *[
        '"k05":{"a":1,"a":2}',
        '"k05":{},"k051":{}',
        '"k05":{"a":1.50}',
        '"é":{}',
        '"a":{"q":{',
        "}}",
    ],
    *[
        '"k05":{"a":{},',
        '"k05":{"t":"},\\n',
        '"k05":{},"z":{"y":{}',
        '"k05":' + "[" * 150,
        "{",
        "}",
    ],
    '"k05":{"a":' + "[" * 150 + "]" * 150 + "}",
]
INSERTED = [
    *[b"\n", b" ", b"\r", b",", b'"', b"{", b"}", b"\\", b"\xff", b"\xef\xbb\xbf", b"[", b"]"],
    *[b"},\n", b'"a":{', b'"a":{},\n', b'"x":{\n', b"\n},", b"1e999", b"\x00"],
]


def _swapped(texts: list[str], one: int, other: int) -> list[str]:
    texts[one], texts[other] = texts[other], texts[one]
    return texts


_places = st.integers(0, len(GOOD) - 4)
_of_lines: st.SearchStrategy[Callable[[list[str]], list[str]]] = st.one_of(
    st.builds(lambda a, b: lambda t: _swapped(t, a, b), _places, _places),
    st.builds(lambda a, b: lambda t: [*t[:a], t[b], *t[a:]], _places, _places),
    st.builds(lambda a: lambda t: [*t[:a], *t[a + 1 :]], _places),
    st.builds(
        lambda a, x: lambda t: [*t[:a], x, *t[a + 1 :]],
        st.just(5) | _places,
        st.sampled_from(OTHER),
    ),
    # An object over many lines, each of which looks like an entry.
    st.builds(
        lambda a, b: lambda t: [*t[:a], '"k00x":{"z":{}', *t[a:b], '"zz":{}}', *t[b:]],
        _places,
        _places,
    ),
)
_of_bytes: st.SearchStrategy[Callable[[bytes], bytes]] = st.one_of(
    st.builds(
        lambda a, x: lambda b: b[:a] + x + b[a:], st.integers(3, 600), st.sampled_from(INSERTED)
    ),
    st.builds(lambda a, n: lambda b: b[:a] + b[a + n :], st.integers(3, 600), st.integers(1, 30)),
    st.sampled_from(
        [
            lambda b: b.replace(b"\n", b"\r\n"),
            lambda b: b"\xef\xbb\xbf" + b,
            lambda b: b.replace(b'"a":', b'"\\u0061":'),
            lambda b: b.replace(b"},\n", b"}\n,"),
            lambda b: b.replace(b",\n", b",\n\n", 1),
        ]
    ),
)


def _written(of_lines: list[Any], of_bytes: list[Any]) -> bytes:
    texts = list(GOOD)
    for change in of_lines:
        texts = change(texts)
    body = lines(*texts)
    for change in of_bytes:
        body = change(body)
    return body


mutants = st.builds(_written, st.lists(_of_lines, max_size=2), st.lists(_of_bytes, max_size=2))
EVIL = lines('"a":{\n"b":{"n":1}\n},"c":{},"d":{}', *GOOD)
BLANK = lines(*GOOD).replace(b",\n", b",\n\n", 1)
thoroughly = settings(max_examples=80, deadline=None, database=None)


def answers(index: Index) -> dict[str, Any]:
    """Return everything that an index can be asked; raise if it is invalid."""
    return {
        "items": dict(index.items()),
        "keys": list(index),
        "len": len(index),
        "by value": {n: list(index.query_keys(a=n)) for n in range(3)},
        "values": list(index.field_values("t")),
        "contents": sorted(index.contents_of(list(index))),
        "warnings": index.warnings,
        "canonical": index.canonical(),
    }


@thoroughly
@given(mutants)
@example(EVIL)
@example(BLANK)
def test_a20_after_the_check_both_ways_agree_or_both_refuse(body: bytes) -> None:
    wanted, index = general(body), vouched(body)
    if wanted is None:
        with pytest.raises(IndexFormatError):
            _check(index)
        if index is not None:
            with pytest.raises(IndexFormatError):
                list(index)
    else:
        assert index is not None
        assert answers(_check(index)) == answers(wanted)
        assert answers(index) == answers(wanted)


def _check(index: Index | None) -> Index:
    if index is None:
        raise IndexFormatError("not even at first")
    for _ in index.checking():
        pass
    return index.checked()


READ: Mapping[str, Callable[[Index], Any]] = {
    "keys": list,
    "entries": lambda index: dict(index.items()),
    "a query": lambda index: list(index.query(a=1)),
    "a query of keys": lambda index: list(index.query_keys(t="xx")),
    "a predicate": lambda index: list(index.query(a=lambda n: n == 1)),
    "values": lambda index: list(index.field_values("a")),
    "a pattern": lambda index: list(index.glob("*1")),
}


@pytest.mark.parametrize("read", READ.values(), ids=READ)
@settings(max_examples=25, deadline=None, database=None)
@given(body=mutants)
@example(body=EVIL)
@example(body=BLANK)
def test_a20_reading_before_the_check_gives_what_json_says(
    body: bytes, read: Callable[[Index], Any]
) -> None:
    wanted, index = general(body), vouched(body)
    if wanted is not None:
        assert index is not None
        assert read(index) == read(wanted)
        assert len(index) == len(wanted) or not index.is_checked


@thoroughly
@given(mutants, st.booleans(), st.booleans(), st.booleans())
@example(BLANK, False, False, True)
def test_a20_a26_the_changes_of_a_poll_lead_to_the_document(
    body: bytes, is_checked: bool, is_vouched: bool, is_followed: bool
) -> None:
    old = Index.parse(lines(*GOOD), vouched_entries=None if is_checked else 24)
    wanted, picture = general(body), dict(old.items())
    try:
        new = Index.parse(body, vouched_entries=7 if is_vouched else None, before=old)
        changes = follow(old, new) if is_followed else diff(old, new)
    except IndexFormatError:
        assert wanted is None
        return
    assert wanted is not None
    for change in changes:
        picture[change.key] = change.metadata or {}
        if change.action == "delete":
            del picture[change.key]
    assert picture == dict(wanted.items()) == dict(changes.index.items())


@thoroughly
@given(mutants, st.lists(_places, unique=True, max_size=3))
def test_a20_changes_to_a_document_checked_later_apply_to_its_real_content(
    body: bytes, places: list[int]
) -> None:
    wanted, index = general(body), vouched(body)
    states = {f"k{n:02}": None if n % 2 else b'{"a":7}' for n in places}
    if wanted is None or index is None:
        return
    changed = index.changed_by(states, index.warnings)
    assert answers(changed.checked()) == answers(wanted.changed_by(states, wanted.warnings))


def test_a20_a_lookup_checks_what_it_reads() -> None:
    for key in ("a", "b", "c", "d"):
        index = Index.parse(EVIL, vouched_entries=3)
        assert (key in index) == (key != "b")


def test_a19_entries_are_counted_whatever_the_head_says() -> None:
    for claim in (0, 5, 2**63 - 1):
        assert len(Index.parse(lines(*GOOD), vouched_entries=claim)) == len(GOOD)


def test_counted_newlines_are_not_counted_again() -> None:
    body = lines(*GOOD)
    index = Index.parse(body, vouched_entries=0, newlines=body.count(b"\n"))
    assert len(index) == len(GOOD)


def test_a_canonical_document_stays_unchanged_by_its_check() -> None:
    index = Index.parse(lines(*GOOD), vouched_entries=24)
    before = index.lines()
    assert not index.is_checked
    assert index.checked().lines() is index.lines() is before
    assert index.is_checked


def test_a_check_goes_piece_by_piece_and_is_resumed() -> None:
    index = Index.parse(lines(*GOOD), vouched_entries=24)
    steps = index.checking()
    assert sum(1 for _ in zip(range(2), steps, strict=False)) == 2
    rest = sum(1 for _ in index.checking())
    assert 0 < rest < len(list(Index.parse(lines(*GOOD), vouched_entries=24).checking()))


def test_a_refused_index_raises_on_reading_but_has_a_length() -> None:
    index = Index.parse(lines(*GOOD, '"l":{"a":1e999}'), vouched_entries=25)
    with pytest.raises(IndexFormatError):
        list(index.checking())
    assert index.refusal is not None
    assert len(index) == 25
    for read in READ.values():
        with pytest.raises(IndexFormatError):
            read(index)
    with pytest.raises(IndexFormatError):
        index["k01"]
    with pytest.raises(IndexFormatError):
        index.canonical()


def test_after_a_refused_index_every_key_is_new() -> None:
    old = Index.parse(lines(*GOOD, '"l":{"a":1e999}'), vouched_entries=25)
    with pytest.raises(IndexFormatError):
        old.checked()
    new = Index.parse(lines(*GOOD), vouched_entries=24)
    assert len(follow(old, new).set) == len(diff(old, new).set) == len(GOOD)
    with pytest.raises(IndexFormatError):
        follow(new, old)


@pytest.mark.parametrize("state", ["lines", "unchecked", "dictionary", "changed", "folded"])
@pytest.mark.parametrize("key", [5, b"k01", None, 1.5, ("k01",), [], {}, "\ud800", ""], ids=repr)
def test_an_invalid_key_is_in_no_form_of_an_index(state: str, key: Any) -> None:
    index = Index.parse(lines(*GOOD), vouched_entries=24 if state == "unchecked" else None)
    if state == "dictionary":
        index = Index.parse(json.dumps(dict(index.items())).encode())
    elif state in ("changed", "folded"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "staticstore.tuning.OVERLAY_ENTRIES_PER_CHANGE", 0 if state == "changed" else 9
            )
            index = index.changed_by({"k01": b"{}", "k02": None})
    assert key not in index
    assert index.get(key) is None
    assert set(index.contents_of([key, "k03"])) == {"k03"}
    with pytest.raises(KeyError):
        index[key]
