"""What is said of conditions that match nothing, and how they go on."""

from __future__ import annotations

import pytest

from staticstore import Index
from staticstore.index.advice import (
    condition_advice,
    condition_beginnings,
    known_fields,
    unknown_field_advice,
)
from staticstore.query.syntax import parse_condition

INDEX = Index.from_entries(
    {
        "a": {"type": "raster", "size": 5, "bbox": [1, 2, 3, 4], "-x": 1, "nothing": None},
        "b": {"type": "table", "size": "big", "proj": {"code": 4326}, "a=b": True},
    }
)


def advice(*conditions: str) -> list[str]:
    return list(condition_advice(INDEX, map(parse_condition, conditions)))


def test_an_unknown_field_is_named_with_a_similar_one() -> None:
    assert advice("tpye=x", "type=x") == ["no entry has the field 'tpye': did you mean 'type'?"]


def test_an_unknown_field_is_named_once_and_alone_if_none_is_similar() -> None:
    assert advice("zzz>1", "zzz<2") == ["no entry has the field 'zzz'"]


def test_the_key_is_no_field() -> None:
    (advice,) = unknown_field_advice(Index.from_entries({"a": {"keys": 1}}), ["key"])
    assert "'staticstore ls' finds keys by a pattern" in advice


def test_a_field_that_is_always_null_is_no_field() -> None:
    assert list(unknown_field_advice(INDEX, ["nothing"])) == ["no entry has the field 'nothing'"]


def test_fields_of_objects_are_known() -> None:
    assert advice("proj.cod=1") == ["no entry has the field 'proj.cod': did you mean 'proj.code'?"]
    assert advice("proj.code=1") == []


def test_a_bound_of_another_kind_than_all_values_is_named() -> None:
    assert advice("size>2024-05-01") == [
        "'size' is a number or a text in the index, but a date or time in 'size>2024-05-01': "
        "values of different kinds never match"
    ]
    assert advice("size>99", "size>zz") == []


def test_lists_have_no_kind_to_name() -> None:
    assert advice("bbox>5") == []


def test_fields_are_those_of_the_first_entries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("staticstore.tuning.SAMPLED_ENTRIES", 1)
    assert "proj" not in known_fields(INDEX)


@pytest.mark.parametrize(
    ("text", "beginnings"),
    [
        ("t", ["type=", "type!=", "type<", "type<=", "type>", "type>=", "type~"]),
        ("bb", ["bbox=", "bbox!=", "bbox@"]),
        ("proj", ["proj=", "proj!=", "proj.code"]),
        ('"', ['"a=b"=', '"a=b"!=', '"a=b"<', '"a=b"<=', '"a=b">', '"a=b">=']),
        ("-", []),
        ("size>", []),
    ],
)
def test_a_condition_goes_on_with_a_name_and_then_with_fitting_operators(
    text: str, beginnings: list[str]
) -> None:
    assert condition_beginnings(INDEX, text) == beginnings
