"""Valid and invalid forms of an index, and how they are parsed (FAULTS A1 to A6)."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore import Index, IndexFormatError
from staticstore.index.changes import diff
from tests.index.strategies import entries, quick

GOOD = (
    b'{"b/\xc3\xa9.tif": {"size": 12, "title": "\\u00fc \\"quoted\\"", "bbox": [1.5, -2e3, null]'
    b"},\n"
    b' "a.csv": {"ok": true, "nested": {"list": [[], {}]}}}'
)


def in_value(json_text: bytes) -> bytes:
    """Return an index of two entries, with this text as a field of the second."""
    return b'{"good": {"v": 1}, "spoiled": {"v": ' + json_text + b"}}"


# -- A1 to A3 ---------------------------------------------------------------------

NO_INDEX = {
    "empty": b"",
    "white space": b" \n",
    "html": b"<!DOCTYPE html><title>Please log in</title>",
    "list": b"[]",
    "list of entries": b'[{"key": "a"}]',
    "null": b"null",
    "true": b"true",
    "number": b"12",
    "text": b'"index"',
    "two objects": b"{}{}",
    "trailing text": b"{} x",
    "leading text": b"x{}",
    "script": b"callback({})",
    "single quotes": b"{'a': {}}",
    "bare key": b"{a: {}}",
    "number as a key": b"{1: {}}",
    "null as a key": b"{null: {}}",
    "trailing comma": b'{"a": {},}',
    "comment": b'{"a": {} /* one */}',
    "no comma": b'{"a": {} "b": {}}',
    "NUL": b"\x00" * 100,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}


@pytest.mark.parametrize("body", NO_INDEX.values(), ids=list(NO_INDEX))
def test_a1_anything_but_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(IndexFormatError, match="not a JSON object"):
        Index.parse(body)


def test_a1_an_index_truncated_at_any_byte_is_refused() -> None:
    assert len(Index.parse(GOOD)) == 2
    for length in range(len(GOOD)):
        with pytest.raises(IndexFormatError):
            Index.parse(GOOD[:length])


@pytest.mark.parametrize("kind", ["null", "[]", "[{}]", "12", "1.5", "true", '"text"'])
def test_a2_an_entry_that_is_not_an_object_is_left_out_and_the_others_stay(kind: str) -> None:
    index = Index.parse(f'{{"a": {{"v": 1}}, "bad": {kind}, "z": {{"v": 2}}}}'.encode())
    assert dict(index) == {"a": {"v": 1}, "z": {"v": 2}}
    assert "bad" not in index
    (warning,) = index.warnings
    assert "'bad'" in warning
    assert "not a JSON object" in warning


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "nan", "1e999", "-1e999"])
@pytest.mark.parametrize("place", ["{}", "[1, {}]", '{{"x": {}}}', '[[{{"y": {}}}]]'])
def test_a3_an_invalid_number_makes_the_index_invalid(number: str, place: str) -> None:
    with pytest.raises(IndexFormatError):
        Index.parse(in_value(place.format(number).encode()))


@pytest.mark.parametrize("entry", [b"NaN", b"1e999", b"Infinity"])
def test_a3_also_instead_of_an_entry(entry: bytes) -> None:
    with pytest.raises(IndexFormatError):
        Index.parse(b'{"a": {}, "b": ' + entry + b"}")


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e308", 1e308),
        ("-1.7976931348623157e308", -1.7976931348623157e308),
        ("5e-324", 5e-324),
        ("1e-999", 0.0),
        ("18446744073709551616", 1 << 64),
        ("-9223372036854775809", -(1 << 63) - 1),
        ("1" * 400, int("1" * 400)),
        ("0." + "1" * 5000, 0.1111111111111111),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a3_every_finite_number_is_accepted(text: str, number: float) -> None:
    assert Index.parse(in_value(text.encode()))["spoiled"] == {"v": number}


# -- A4 -----------------------------------------------------------------------------

# The entry itself is the first of a hundred levels.
NESTS = {"list": (b"[", b"]"), "object": (b'{"x":', b"}"), "both": (b'[{"x":', b"}]")}


def nested(kind: str, depth: int) -> bytes:
    opening, closing = NESTS[kind]
    count = depth // (2 if kind == "both" else 1)
    return opening * count + b"0" + closing * count


@pytest.mark.parametrize(("kind", "depth"), [("list", 99), ("object", 99), ("both", 98)])
def test_a4_an_entry_may_be_a_hundred_levels_deep(kind: str, depth: int) -> None:
    body = in_value(nested(kind, depth))
    assert json.loads(body) == Index.parse(body)


def test_a4_a_hundred_levels_are_allowed_any_number_of_times() -> None:
    body = in_value(b"[" + nested("list", 98) + b", " + nested("object", 98) + b"]")
    assert json.loads(body) == Index.parse(body)


@pytest.mark.parametrize(
    ("kind", "depth"),
    [
        *[("list", depth) for depth in (100, 101, 900, 1100, 5000, 100_000)],
        *[("object", depth) for depth in (100, 101, 900, 1100, 5000, 100_000)],
        *[("both", depth) for depth in (100, 900, 100_000)],
    ],
)
def test_a4_deeper_nesting_is_refused(kind: str, depth: int) -> None:
    with pytest.raises(IndexFormatError, match="nested too deeply"):
        Index.parse(in_value(nested(kind, depth)))


@pytest.mark.parametrize("depth", [200, 100_000])
def test_a4_also_instead_of_an_entry_or_of_the_index(depth: int) -> None:
    deep = nested("list", depth)
    for body in (b'{"a": ' + deep + b"}", deep, b'{"a":' * depth, b"[" * depth):
        with pytest.raises(IndexFormatError):
            Index.parse(body)


def test_a4_many_lists_in_a_row_are_not_deep() -> None:
    body = in_value(b"[" + b",".join([b'[{"x": "]"}]'] * 5000) + b"]")
    assert Index.parse(body)["spoiled"] == json.loads(body)["spoiled"]


@pytest.mark.parametrize(
    "text", ['"' + "[{" * 500 + '"', r'"\"' + "[" * 500 + r'\\"', r'"\\\\\\\"' + "{" * 500 + '"']
)
def test_a4_brackets_in_a_string_are_not_nesting(text: str) -> None:
    assert Index.parse(in_value(text.encode()))["spoiled"] == {"v": json.loads(text)}


@pytest.mark.parametrize("text", [r'"\\"', r'"a\"b"', r'"\\\\"', r'"x\\\""'])
def test_a4_a_string_does_not_hide_the_nesting_after_it(text: str) -> None:
    with pytest.raises(IndexFormatError, match="nested too deeply"):
        Index.parse(in_value(b"[" + text.encode() + b", " + nested("list", 99) + b"]"))


def test_a4_the_deepest_entry_can_be_copied_and_compared() -> None:
    body = in_value(nested("object", 99))
    one, other = Index.parse(body), Index.parse(body.replace(b":0", b":0.0"))
    assert copy.deepcopy(one["spoiled"]) == other["spoiled"]
    assert one == other
    assert not diff(one, other)
    assert Index.parse(one.canonical()) == other


@pytest.mark.parametrize("number", [b"1" * 5000, b"-" + b"9" * 5000, b"[" + b"1" * 5000 + b"]"])
def test_a4_a_number_of_5000_digits_is_refused(number: bytes) -> None:
    with pytest.raises(IndexFormatError):
        Index.parse(in_value(number))


# -- A6 -----------------------------------------------------------------------------


def test_a6_a_byte_order_mark_is_accepted() -> None:
    assert Index.parse(b"\xef\xbb\xbf" + GOOD) == Index.parse(GOOD)


def test_a6_a_second_byte_order_mark_is_refused() -> None:
    with pytest.raises(IndexFormatError):
        Index.parse(b"\xef\xbb\xbf" * 2 + GOOD)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "latin-1"]
)
def test_a6_any_other_encoding_is_refused(encoding: str) -> None:
    text = json.dumps({"ü": {"title": "Zürich"}}, ensure_ascii=False)
    with pytest.raises(IndexFormatError):
        Index.parse(text.encode(encoding))


NO_UTF_8 = {
    "latin-1": b"Z\xfcrich",
    "overlong": b"\xc0\xaf",
    "raw surrogate": b"\xed\xa0\x80",
    "raw surrogate pair": b"\xed\xa0\xb4\xed\xb4\x9e",
    "beyond Unicode": b"\xf4\x90\x80\x80",
    "truncated": b"\xe6\x97",
    "escaped high surrogate": b"\\ud834",
    "escaped low surrogate": b"\\udd1e",
    "escaped surrogates in the wrong order": b"\\udd1e\\ud834",
    "escaped surrogate before another letter": b"\\ud834\\u0041",
}


@pytest.mark.parametrize("text", NO_UTF_8.values(), ids=list(NO_UTF_8))
@pytest.mark.parametrize(
    "place",
    [
        b'{"%s": {}}',
        b'{"a": {"%s": 1}}',
        b'{"a": {"v": "%s"}}',
        b'{"a": {"v": [{"w": "%s"}]}}',
        b'{"a": "%s"}',
        b'{"../refused": {"v": "%s"}}',
    ],
)
def test_a6_text_that_is_not_utf_8_makes_the_index_invalid(text: bytes, place: bytes) -> None:
    with pytest.raises(IndexFormatError):
        Index.parse(place % text)


def test_a6_an_escaped_surrogate_pair_is_one_character() -> None:
    index = Index.parse(b'{"\\ud834\\udd1e": {"v": "\\ud834\\udd1e"}}')
    assert dict(index) == {"\U0001d11e": {"v": "\U0001d11e"}}


# -- keys -----------------------------------------------------------------------------


def test_of_a_key_given_twice_the_last_one_wins() -> None:
    assert dict(Index.parse(b'{"a": {"v": 1}, "b": {}, "a": {"v": 2}}')) == {"a": {"v": 2}, "b": {}}


def test_a_key_is_the_same_escaped_and_plain() -> None:
    assert dict(Index.parse(b'{"a": {"v": 1}, "\\u0061": {"v": 2}}')) == {"a": {"v": 2}}


def test_of_a_field_given_twice_the_last_one_wins() -> None:
    assert Index.parse(b'{"a": {"v": 1, "v": 2}}')["a"] == {"v": 2}


def test_an_invalid_last_entry_does_not_restore_an_earlier_one() -> None:
    index = Index.parse(b'{"a": {"v": 1}, "a": null}')
    assert (len(index), len(index.warnings)) == (0, 1)


@pytest.mark.parametrize("key", ["", "/x", "a//b", "../x", "a/..", "\\\\x", "a\\u202eb", "a\\rb"])
def test_a_refused_key_is_left_out_with_a_warning(key: str) -> None:
    index = Index.parse(b'{"good": {}, "%s": {"v": 1}, "z": {}}' % key.encode())
    assert list(index) == ["good", "z"]
    (warning,) = index.warnings
    assert "left out" in warning


def test_a_warning_escapes_control_characters() -> None:
    (warning,) = Index.parse(b'{"\\u001b[31m\\u202e\\n": {}}').warnings
    assert warning.isprintable()
    assert "\\x1b[31m\\u202e\\n" in warning


def test_a_good_index_has_no_warnings() -> None:
    assert Index.parse(GOOD).warnings == ()


def test_at_most_a_hundred_warnings_are_kept() -> None:
    body = b"{" + b",".join(b'"/%d": {}' % number for number in range(100)) + b"}"
    warnings = Index.parse(body).warnings
    assert len(warnings) == 100
    assert all("starts with a slash" in warning for warning in warnings)


def test_further_warnings_are_counted() -> None:
    body = b"{" + b",".join(b'"/%d": {}' % number for number in range(150)) + b"}"
    warnings = Index.parse(body).warnings
    assert len(warnings) == 101
    assert "'/99'" in warnings[99]
    assert warnings[100] == "50 more entries are left out"


@pytest.mark.parametrize("body", [b"{}", b" { } \r\n", b'{"../x": {}}', b'{"a": []}'])
def test_an_index_may_be_empty(body: bytes) -> None:
    assert len(Index.parse(body)) == 0


def test_keys_are_sorted_by_code_points() -> None:
    keys = ["\U0001d11e", "\uffff", "é", "z", "a/b", "a", "a b", "A", '"', " ", "~"]
    index = Index.parse(json.dumps({key: {} for key in keys}).encode())
    assert list(index) == [" ", '"', "A", "a", "a b", "a/b", "z", "~", "é", "\uffff", "\U0001d11e"]


# -- any document ---------------------------------------------------------------------


@quick
@given(entries, st.booleans(), st.sampled_from([None, 1]))
def test_it_parses_what_pythons_json_writes(
    wanted: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    body = json.dumps(wanted, ensure_ascii=ascii_only, indent=indent).encode()
    index = Index.parse(body)
    assert {key: index[key] for key in index} == {
        key: {field: value for field, value in fields.items() if field != "packed"}
        if _is_place(fields.get("packed"))
        else fields
        for key, fields in wanted.items()
    }


def _is_place(packed: Any) -> bool:
    return (
        isinstance(packed, list) and list(map(type, packed)) == [str, int] and bool(packed[1] >= 0)
    )


@quick
@given(st.binary(max_size=60) | st.text('{}[]",:\\ue1-.0 \ud7ff').map(str.encode))
def test_any_bytes_are_an_index_or_an_index_format_error(body: bytes) -> None:
    try:
        index = Index.parse(body)
    except IndexFormatError:
        return
    assert Index.parse(index.canonical()) == index


@quick
@given(st.data())
def test_a_damaged_index_is_parsed_or_refused(data: st.DataObject) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        index = Index.parse(bytes(body))
    except IndexFormatError:
        return
    assert all(isinstance(metadata, dict) for metadata in index.values())


def test_an_error_names_the_invalid_entry() -> None:
    with pytest.raises(IndexFormatError) as caught:
        Index.parse(in_value(b"1e999"))
    assert caught.value.key == "spoiled"


def test_an_error_chains_its_cause() -> None:
    with pytest.raises(IndexFormatError) as caught:
        Index.parse(b"[")
    assert caught.value.__cause__ is not None
