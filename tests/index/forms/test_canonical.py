"""The canonical form: what the publisher writes, byte for byte."""

from __future__ import annotations

import json
import random
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore import Index, IndexFormatError
from staticstore.index.fields import canonical_line
from tests.index.strategies import entries, keys, quick, texts


def test_it_has_one_line_for_each_entry_between_braces() -> None:
    index = Index.from_entries({"b": {"y": [1, 2.5], "x": "é"}, "a": {}, "c": {"z": None}})
    assert index.canonical() == (
        '{\n"a":{},\n"b":{"x":"é","y":[1,2.5]},\n"c":{"z":null}\n}\n'.encode()
    )


def test_an_empty_index_is_two_lines() -> None:
    assert Index.from_entries({}).canonical() == b"{\n}\n"


def test_one_entry_has_no_comma() -> None:
    assert Index.from_entries({"a": {"v": True}}).canonical() == b'{\n"a":{"v":true}\n}\n'


def test_keys_and_fields_are_sorted_by_code_point_at_every_level() -> None:
    names = ["\U0001d11e", "\uffff", "é", "a", " ", '"', "~", "A"]
    fields = dict.fromkeys(names, 1)
    index = Index.from_entries({name: {**fields, "nested": [fields]} for name in names})
    sorted_names = [" ", '"', "A", "a", "~", "é", "\uffff", "\U0001d11e"]
    pairs = json.loads(index.canonical(), object_pairs_hook=list)
    assert [key for key, _ in pairs] == sorted_names
    for _, metadata in pairs:
        assert [field for field, _ in metadata if field != "nested"] == sorted_names
        (nested,) = dict(metadata)["nested"]
        assert [field for field, _ in nested] == sorted_names


def test_a_quote_sorts_by_its_code_point_and_not_by_its_escape() -> None:
    index = Index.from_entries({"#": {}, '"': {}, "!": {}})
    assert index.canonical() == b'{\n"!":{},\n"\\"":{},\n"#":{}\n}\n'


def test_only_characters_that_json_must_escape_are_escaped() -> None:
    text = "".join(
        chr(code)
        for code in range(0x20, 0x11000)
        if chr(code) not in '"\\' and not 0xD800 <= code <= 0xDFFF
    )
    assert canonical_line("k", {"v": text}) == f'"k":{{"v":"{text}"}}'.encode()


def test_required_escapes_are_as_short_as_possible() -> None:
    assert canonical_line("k", {"v": '"\\\b\f\n\r\t\0\x1f'}) == (
        rb'"k":{"v":"\"\\\b\f\n\r\t\u0000\u001f"}'
    )


@quick
@given(entries)
def test_it_can_be_parsed_to_the_same_index(wanted: dict[str, Any]) -> None:
    index = Index.from_entries(wanted)
    again = Index.parse(index.canonical())
    assert again == index
    assert again.canonical() == index.canonical()


@quick
@given(entries, st.randoms(use_true_random=False), st.booleans(), st.sampled_from([None, 2]))
def test_it_does_not_depend_on_the_form_of_the_index(
    wanted: dict[str, Any], chance: random.Random, ascii_only: bool, indent: int | None
) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return [shuffled(item) for item in value] if isinstance(value, list) else value
        items = list(value.items())
        chance.shuffle(items)
        return {field: shuffled(item) for field, item in items}

    body = json.dumps(shuffled(wanted), ensure_ascii=ascii_only, indent=indent).encode()
    assert Index.parse(body).canonical() == Index.from_entries(wanted).canonical()


@quick
@given(st.dictionaries(keys, st.dictionaries(texts, texts | st.integers(), max_size=4), max_size=5))
def test_it_equals_pythons_json_without_spaces(wanted: dict[str, Any]) -> None:
    lines = [
        json.dumps({key: wanted[key]}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        for key in sorted(wanted)
    ]
    body = "".join(["{\n", ",\n".join(line[1:-1] for line in lines), "\n" if lines else "", "}\n"])
    assert Index.from_entries(wanted).canonical() == body.encode()


@quick
@given(entries)
def test_every_line_between_the_braces_is_an_entry_in_ascending_order(
    wanted: dict[str, Any],
) -> None:
    first, *lines, last, rest = Index.from_entries(wanted).canonical().decode().split("\n")
    assert (first, last, rest) == ("{", "}", "")
    found = [json.loads("{" + line.removesuffix(",") + "}") for line in lines]
    assert [line.endswith("},") for line in lines] == [True] * (len(lines) - 1) + [False] * bool(
        lines
    )
    assert [key for entry in found for key in entry] == sorted(wanted)


def test_the_place_in_a_pack_is_kept() -> None:
    body = b'{\n"a":{"packed":["packs/x.zip",40],"size":2}\n}\n'
    assert Index.parse(body).canonical() == body


@pytest.mark.parametrize(
    "value",
    [
        *[object(), {1: 2}, {None: 1}, "\ud800", {"\udfff": 1}, 1j, range(3)],
        *[float("nan"), float("inf"), float("-inf"), [float("nan")], {"x": float("inf")}],
        *[b"bytes", {"a", "set"}, date(2026, 11, 20), Decimal("1.0")],
    ],
)
def test_metadata_that_json_cannot_express_is_an_index_format_error(value: object) -> None:
    with pytest.raises(IndexFormatError) as caught:
        canonical_line("the key", {"v": value})
    assert caught.value.key == "the key"
    with pytest.raises(IndexFormatError):
        Index.from_entries({"the key": {"v": value}})


def test_metadata_that_contains_itself_is_an_index_format_error() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(IndexFormatError):
        canonical_line("a", {"v": loop})


def test_a_lone_surrogate_in_a_key_is_an_index_format_error() -> None:
    with pytest.raises(IndexFormatError):
        canonical_line("\ud800", {})


@pytest.mark.parametrize("key", ["../x", "", "/x", "a//b", "a\nb", "a\u202eb"])
def test_an_index_cannot_be_built_with_an_invalid_key(key: str) -> None:
    with pytest.raises(IndexFormatError, match="left out"):
        Index.from_entries({"good": {}, key: {}})


def test_an_index_cannot_be_built_with_an_entry_that_is_not_a_mapping() -> None:
    with pytest.raises(IndexFormatError, match="not a JSON object"):
        Index.from_entries({"a": ["list"]})  # type: ignore[dict-item]


def test_an_index_copies_the_metadata_it_is_built_from() -> None:
    source: dict[str, dict[str, Any]] = {"a": {"list": [1]}}
    index = Index.from_entries(source)
    source["a"]["list"].append(2)
    source["b"] = {}
    assert dict(index) == {"a": {"list": [1]}}
