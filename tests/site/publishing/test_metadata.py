"""Metadata by key and pattern, from mappings and files."""

from __future__ import annotations

import enum
import fnmatch
import json
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore.errors import StoreError
from staticstore.site.publishing.metadata import find_metadata, read_metadata
from staticstore.site.publishing.text_files import KeySearch


def file(tmp_path: Path, name: str, text: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# Rules


def test_the_exact_key_wins_over_patterns() -> None:
    metadata = read_metadata({"a.tif": {"t": "exact"}, "*.tif": {"t": "pattern", "u": 1}})
    assert metadata.fields_of("a.tif") == {"t": "exact", "u": 1}


def test_of_several_patterns_the_later_wins() -> None:
    metadata = read_metadata({"*.tif": {"t": 1, "u": 1}, "a*": {"t": 2}, "?.tif": {"v": 3}})
    assert metadata.fields_of("a.tif") == {"t": 2, "u": 1, "v": 3}
    assert metadata.fields_of("b/c.tif") == {"t": 1, "u": 1}


def test_a_pattern_is_held_against_whole_keys_and_case_counts() -> None:
    metadata = read_metadata({"*.TIF": {"t": 1}, "b*": {"t": 2}})
    assert metadata.fields_of("a.tif") == metadata.fields_of("ab") == {}


def test_a_key_with_wildcards_in_it_can_be_named() -> None:
    metadata = read_metadata({"a[1].tif": {"t": 1}})
    assert metadata.fields_of("a[1].tif") == {"t": 1}
    assert list(metadata.warnings(KeySearch(["a[1].tif"]))) == []


def test_there_is_no_metadata_by_default() -> None:
    assert read_metadata(None).fields_of("a") == {}


def test_what_is_for_nothing_is_warned_of() -> None:
    metadata = read_metadata({"a": {}, "b": {}, "c*": {}, "a*": {}})
    assert list(metadata.warnings(KeySearch(["a"]))) == [
        "metadata: 'b' is no file in data/",
        "metadata: 'c*' matches no file in data/",
    ]


def test_the_given_mapping_is_copied() -> None:
    given_fields: dict[str, Any] = {"tags": ["x"]}
    metadata = read_metadata({"a": given_fields})
    given_fields["tags"].append("y")
    assert metadata.fields_of("a") == {"tags": ["x"]}


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.text("ab*?[]!/", min_size=1, max_size=5),
        st.dictionaries(st.sampled_from("xyz"), st.integers()),
        max_size=5,
    ),
    st.text("ab/[", min_size=1, max_size=5),
)
def test_globs_equal_a_plain_scan(rules: dict[str, dict[str, int]], key: str) -> None:
    expected: dict[str, int] = {}
    for text, fields in rules.items():
        if text != key and any(c in text for c in "*?[") and fnmatch.fnmatchcase(key, text):
            expected.update(fields)
    expected.update(rules.get(key, {}))
    assert read_metadata(rules).fields_of(key) == expected


# Values


class Kind(str, enum.Enum):  # noqa: UP042  # the old way, whose str() is another
    RASTER = "raster"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2, 3)), [1, [2, 3]]),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T03:00:00+01:00"),
        (datetime(2026, 1, 2, 3, 4, 5, 678), "2026-01-02T03:04:05.000678"),
        (date(2026, 1, 2), "2026-01-02"),
        (time(3, 4), "03:04:00"),
        (Kind.RASTER, "raster"),
        (Level.HIGH, 3),
        (True, True),
        (None, None),
        (2**70, 2**70),
        ({"a": {"b": [None, 1.5]}}, {"a": {"b": [None, 1.5]}}),
    ],
)
def test_values_become_what_json_can_say(value: object, plain: object) -> None:
    found = read_metadata({"a": {"f": value}}).fields_of("a")["f"]
    assert found == plain
    assert json.loads(json.dumps(found)) == plain


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("nan"), "is nan"),
        ([-(16**6000)], "more than 4,000 digits"),
        ([float("-inf")], "is -inf"),
        (b"x", "is a bytes"),
        ({1, 2}, "is a set"),
        ({"a": object()}, "is a object"),
        ({1: 2}, "has a key that is a int"),
        ({None: 2}, "has a key that is a NoneType"),
        ("\ud800", "surrogate"),
        ({"\ud800": 1}, "surrogate"),
    ],
)
def test_what_json_cannot_say_is_refused_by_key_and_field(value: object, problem: str) -> None:
    with pytest.raises(StoreError) as caught:
        read_metadata({"dem.tif": {"bbox": value}})
    assert "metadata, 'dem.tif': field 'bbox'" in str(caught.value)
    assert problem in str(caught.value)


def test_nesting_has_a_bound_below_that_of_an_index() -> None:
    from staticstore.index.snapshot import Index

    def nested(depth: int) -> Any:
        value: Any = 1
        for _ in range(depth):
            value = [value]
        return value

    fields = read_metadata({"a": {"f": nested(98)}}).fields_of("a")
    assert len(Index.from_entries({"a": fields})) == 1
    with pytest.raises(StoreError, match="nested more than 98 deep"):
        read_metadata({"a": {"f": nested(99)}})


def test_a_circle_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(StoreError, match="nested"):
        read_metadata({"a": {"f": circle}})


def test_metadata_cannot_say_that_a_value_is_elsewhere() -> None:
    with pytest.raises(StoreError, match="'a': field 'placed' would say that the value is else"):
        read_metadata({"a": {"placed": {"href": "https://other.example.org/a"}}})
    fields = {"placed": "by hand"}
    assert read_metadata({"a": fields}).fields_of("a") == fields


@pytest.mark.parametrize("field", ["size", "sha256", "modified", "media_type", "packed"])
def test_what_the_publisher_writes_cannot_be_given(field: str) -> None:
    with pytest.raises(StoreError, match=f"'a': field '{field}' is written by the publisher"):
        read_metadata({"a": {field: 1}})


def test_what_is_no_mapping_of_mappings_is_refused() -> None:
    with pytest.raises(StoreError, match="a key or pattern is a text, not int"):
        read_metadata({1: {}})  # type: ignore[dict-item]
    with pytest.raises(StoreError, match="a mapping from fields to values, not list"):
        read_metadata({"a": []})  # type: ignore[dict-item]
    with pytest.raises(StoreError, match="a field's name is a text, not int"):
        read_metadata({"a": {1: 2}})  # type: ignore[dict-item]
    with pytest.raises(StoreError, match="surrogate"):
        read_metadata({"a": {"\ud800": 2}})
    with pytest.raises(StoreError, match="surrogate"):
        read_metadata({"\ud800": {}})
    with pytest.raises(TypeError, match="a mapping or a path, not int"):
        read_metadata(5)  # type: ignore[arg-type]


# Files


def test_json_toml_and_csv_say_the_same(tmp_path: Path) -> None:
    from_json = file(tmp_path, "m.json", '{"*.tif": {"type": "raster"}, "a.tif": {"n": [1, 2.5]}}')
    from_toml = file(tmp_path, "m.toml", '["*.tif"]\ntype = "raster"\n["a.tif"]\nn = [1, 2.5]\n')
    from_csv = file(tmp_path, "m.csv", 'key,type,n\n*.tif,raster,\na.tif,,"[1, 2.5]"\n')
    for path in (from_json, str(from_toml), from_csv):
        metadata = read_metadata(path)
        assert metadata.fields_of("a.tif") == {"type": "raster", "n": [1, 2.5]}
        assert metadata.fields_of("b.tif") == {"type": "raster"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.json", '\ufeff{"a": {"t": "é"}}'),
        ("m.TOML", '\ufeff[a]\r\nt = "é"\r\n'),
        ("m.csv", "\ufeffkey,t\r\na,é\r\n"),
    ],
)
def test_a_byte_order_mark_is_tolerated(tmp_path: Path, name: str, text: str) -> None:
    assert read_metadata(file(tmp_path, name, text)).fields_of("a") == {"t": "é"}


def test_toml_times_become_text(tmp_path: Path) -> None:
    path = file(tmp_path, "m.toml", "[a]\nt = 2026-01-02T03:04:05Z\nd = 2026-01-02\nl = 03:04:05\n")
    assert read_metadata(path).fields_of("a") == {
        "t": "2026-01-02T03:04:05Z",
        "d": "2026-01-02",
        "l": "03:04:05",
    }


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("m.json", '{"a": {},\n "b" {}}', "m.json, line 2: not valid JSON"),
        ("m.json", '{"a": {},\n\n "b": ', "m.json, line 3: not valid JSON"),
        ("m.json", '\n{"a": {"x": NaN}}', "m.json, line 2: JSON has no NaN"),
        ("m.json", "[]", "m.json, line 1: it is not a JSON object"),
        ("m.json", '{"a": {}}\n  x', "m.json, line 2: "),
        ("m.json", '{"a": [1]}', "m.json, 'a': a key or pattern has a mapping"),
        ("m.json", b'{"a": {}}\n\xff', "m.json, line 2: it is not UTF-8"),
        ("m.json", "[" * 100_000, "nested too deeply"),
        ("m.toml", "[a]\nx = = 1", "m.toml, line 2: it is not valid TOML"),
        ("m.toml", "[a]\nx = [1,\n", "m.toml, line 2: it is not valid TOML"),
        ("m.toml", "x = " + "[" * 10_000, "m.toml"),
        ("m.toml", "[a]\nx = inf", "m.toml, 'a': field 'x' is inf"),
        ("m.toml", "title = 'x'", "m.toml, 'title': a key or pattern has a mapping"),
        ("m.csv", "", "m.csv, line 1: the first column"),
        ("m.csv", "key;type\na;b", "m.csv, line 1: the first column"),
        ("m.csv", "key,a,\n", "m.csv, line 1: column 3 has no name"),
        ("m.csv", "key,a,b,a\n", "m.csv, line 1: two columns are named 'a'"),
        ("m.csv", "key,a\nx,1\n,2\n", "m.csv, line 3: the key is missing"),
        ("m.csv", "key,a\nx,1,2\n", "m.csv, line 2: there are 3 cells below 2 columns"),
        ("m.csv", 'key,a\nx,"1"2\n', "m.csv, line 2: it is not valid CSV"),
        ("m.csv", 'key,a\nx,"1\n', "it is not valid CSV"),
        ("m.csv", "key,size\nx,1\n", "m.csv, 'x': field 'size' is written by the publisher"),
        ("m.yaml", "", "m.yaml: metadata is read from files named"),
        ("a\x1b.json", "[]", "'a\\x1b.json', line 1"),
    ],
)
def test_an_error_in_a_file_names_file_and_place(
    tmp_path: Path, name: str, text: str | bytes, where: str
) -> None:
    with pytest.raises(StoreError) as caught:
        read_metadata(file(tmp_path, name, text))
    assert where in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.json' cannot be read: No such file"):
        read_metadata(tmp_path / "none.json")


def test_a_csv_cell_may_hold_commas_and_lines(tmp_path: Path) -> None:
    metadata = read_metadata(file(tmp_path, "m.csv", 'key,t\na,"x,\r\ny"\n'))
    assert metadata.fields_of("a") == {"t": "x,\r\ny"}


def test_a_toml_key_that_should_be_quoted_is_explained(tmp_path: Path) -> None:
    metadata = read_metadata(file(tmp_path, "m.toml", "[dem.tif]\ntitle = 'x'\n[other]\n"))
    assert list(metadata.warnings(KeySearch(["dem.tif"]))) == [
        "m.toml: 'dem' is no file in data/; "
        'a key with a dot in it has to be quoted, as in ["dem.tif"]',
        "m.toml: 'other' is no file in data/",
    ]


def test_a_site_has_one_file_of_metadata_at_most(tmp_path: Path) -> None:
    assert find_metadata(tmp_path) is None
    file(tmp_path, "metadata.toml", "")
    assert find_metadata(tmp_path) == tmp_path / "metadata.toml"
    file(tmp_path, "metadata.csv", "")
    with pytest.raises(StoreError, match=r"metadata\.toml and metadata\.csv .* keep one"):
        find_metadata(tmp_path)
