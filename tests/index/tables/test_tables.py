"""Tables of a snapshot: the rows and types that a query would give; A28 of docs/faults.md."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import StaticStore, tuning
from staticstore.index.snapshot import Index
from staticstore.query import ge
from tests.sites import write_site

pa = pytest.importorskip("pyarrow")

PACKED = ["packs/" + "a" * 64 + ".zip", 0]


def _index(*entries: dict[str, Any]) -> Index:
    return Index.from_entries({f"k{number:05}": entry for number, entry in enumerate(entries)})


def _type(*values: Any) -> str:
    return str(_index(*({"field": value} for value in values)).to_arrow().field("field").type)


# Types


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, -(1 << 63), (1 << 63) - 1], "int64"),
        ([1, 2.5], "double"),
        ([1 << 80, 2.5], "double"),
        ([True, None], "bool"),
        (["2024-05-01", "2024-05-01T10:00:00Z"], "string"),
        ([None, None], "null"),
        ([[8, 46, 10.5, 48], []], "list<item: double>"),
        ([{"b": 1}, {"a": "x"}], "struct<a: string, b: int64>"),
        ([{"a": {"b": None}}, {"a": {"b": [True]}}], "struct<a: struct<b: list<item: bool>>>"),
    ],
)
def test_a_field_of_one_kind_has_the_type_of_json(values: list[Any], expected: str) -> None:
    assert _type(*values) == expected


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1, "x"], "field is a number and a text"),
        ([1, True], "field is a number and true or false"),
        ([[1, "x"]], "an item of field is a number and a text"),
        ([{"a": 1}, {"a": [1]}], "field.a is a list and a number"),
        ([1 << 63], "field has integers of more than 64 bits"),
        ([10**400, 2.5], "field has integers too large for a float"),
        ([[[10**400, 2.5]]], "an item of an item of field has integers too large for a float"),
        ([_nested(40)], "it is nested more than 32 levels deep"),
        ([{}], "field is an object without members"),
        ([{str(n): 1 for n in range(1001)}], "field has more than 1000 different members"),
    ],
)
def test_a_field_without_a_type_becomes_json_text_with_a_warning(
    values: list[Any], reason: str
) -> None:
    index = _index(*({"field": value} for value in values), {})
    with pytest.warns(UserWarning, match=f"'field' becomes JSON text: {reason}"):
        column = index.to_arrow()["field"].to_pylist()
    assert [text and json.loads(text) for text in column] == [*values, None]


def test_the_key_comes_first_and_the_fields_in_order_of_name() -> None:
    assert _index({"b": 1, "a": 2}, {"c": 3}).to_arrow().column_names == ["key", "a", "b", "c"]


def test_a_field_called_key_becomes_another_column_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="the field 'key' becomes the column 'key__'"):
        table = _index({"key": 5, "key_": 6}).to_arrow()
    assert table.to_pylist() == [{"key": "k00000", "key__": 5, "key_": 6}]


def test_a_hidden_field_is_no_column() -> None:
    assert _index({"packed": PACKED, "a": 1}).to_arrow().column_names == ["key", "a"]


def test_a_field_packed_that_is_not_hidden_is_a_column() -> None:
    with pytest.warns(UserWarning, match="'packed' becomes JSON text"):
        table = _index({"packed": PACKED}, {"packed": 5}).to_arrow()
    assert table["packed"].to_pylist() == [None, "5"]


def test_an_empty_index_is_an_empty_table() -> None:
    assert Index.from_entries({}).to_arrow().to_pydict() == {"key": []}


def test_entries_without_fields_are_rows() -> None:
    assert _index({}, {}).to_arrow().to_pydict() == {"key": ["k00000", "k00001"]}


def test_more_columns_than_a_table_has_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"more than 10000 different fields: select some"):
        _index({f"f{number}": 1 for number in range(10_001)}).to_arrow()


# Selections and conditions


def test_selected_fields_are_columns_in_the_order_asked() -> None:
    table = _index({"a": 1, "b": 2, "packed": PACKED}).to_arrow(["b", "none", "a", "b", "key"])
    assert table.to_pylist() == [{"key": "k00000", "b": 2, "none": None, "a": 1}]


def test_only_what_fulfills_the_conditions_is_a_row() -> None:
    index = _index({"n": 1, "t": "x"}, {"n": 2, "t": "x"}, {"n": "many"})
    assert index.to_arrow(["n"], where={"n": ge(2)}, t="x").to_pylist() == [
        {"key": "k00001", "n": 2}
    ]


def test_types_are_those_of_the_rows_alone() -> None:
    with warnings.catch_warnings(action="error"):
        table = _index({"n": 1, "t": "x"}, {"n": "many"}).to_arrow(t="x")
    assert str(table.field("n").type) == "int64"


@pytest.mark.parametrize("call", ["to_arrow", "to_pandas", "to_polars"])
def test_a_single_text_is_no_selection(call: str) -> None:
    with pytest.raises(TypeError, match="select takes a list"):
        getattr(_index({}), call)("size")


# Dates


@pytest.mark.parametrize(
    ("values", "expected", "instants"),
    [
        (["2024-02-29", None], "date32[day]", ["2024-02-29", None]),
        (
            ["2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00.25Z"],
            "timestamp[us, tz=UTC]",
            ["2024-05-01T08:00:00+00:00", "2024-05-01T08:00:00.250000+00:00"],
        ),
        (
            ["2024-05-01T10:00", "2024-05-02", "0001-01-01"],
            "timestamp[us, tz=UTC]",
            ["2024-05-01T10:00:00+00:00", "2024-05-02T00:00:00+00:00", "0001-01-01T00:00:00+00:00"],
        ),
        (["2016-12-31T23:59:60Z"], "timestamp[us, tz=UTC]", ["2017-01-01T00:00:00+00:00"]),
    ],
)
def test_a_field_named_in_dates_has_the_type_of_dates(
    values: list[Any], expected: str, instants: list[str | None]
) -> None:
    table = _index(*({"d": value} for value in values)).to_arrow(dates=["d"])
    assert str(table.field("d").type) == expected
    assert [one and one.isoformat() for one in table["d"].to_pylist()] == instants


@pytest.mark.parametrize("others", [["2024-02-30"], ["soon", "later"], [5], ["2024-05-01 10:00Z"]])
def test_what_is_no_date_is_null_with_a_warning(others: list[Any]) -> None:
    index = _index({"d": "2024-05-01"}, *({"d": other} for other in others), {})
    with pytest.warns(UserWarning, match=f"'d' has {len(others)} values that are no dates, such"):
        table = index.to_arrow(dates=["d"])
    found = [one and one.isoformat() for one in table["d"].to_pylist()]
    assert found == ["2024-05-01", *[None] * len(others), None]


def test_a_column_of_no_texts_has_no_dates() -> None:
    with pytest.warns(UserWarning, match="'d' has 1 values that are no dates, such as 5"):
        assert _index({"d": 5}).to_arrow(dates=["d"])["d"].to_pylist() == [None]


# Any entries, in any form

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(allow_nan=False, allow_infinity=False),
    TEXTS,
    st.sampled_from(["2024-05-01", "2024-05-01T00:00:00Z", '"},\n"x":{"', "}"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
)
NAMES = st.sampled_from(["a", "b", "key", "packed", 'with "quotes"', "ü", ""]) | TEXTS
ENTRIES = st.lists(st.dictionaries(NAMES, VALUES | st.just(PACKED), max_size=4), max_size=8)


def _same(value: Any, cell: Any, is_text: bool) -> bool:
    """Return whether a cell says what a value says: absent members of an object are null."""
    if is_text:
        return bool((None if cell is None else json.loads(cell)) == value)
    if isinstance(value, dict):
        names = value.keys() | cell.keys()
        return all(_same(value.get(name), cell.get(name), False) for name in names)
    if isinstance(value, list):
        return len(value) == len(cell) and all(
            _same(one, other, False) for one, other in zip(value, cell, strict=True)
        )
    # Integers among floats are floats.
    return bool(value == cell or (type(cell) is float and float(value) == cell))


@settings(max_examples=150, deadline=None)
@given(ENTRIES, st.none() | st.lists(NAMES, max_size=3), st.booleans())
def test_a_table_says_what_a_query_says(
    entries: list[dict[str, Any]], select: list[str] | None, is_canonical: bool
) -> None:
    index = _index(*entries)
    if not is_canonical:
        text = json.dumps(dict(index.stored.items()), indent=1).encode()
        index = Index.parse(text)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = index.to_arrow(select)
    said = [str(one.message) for one in caught]
    expected = list(index.query(select))
    assert table["key"].to_pylist() == [key for key, _ in expected]
    names = {name for _, fields in expected for name in fields}
    for name in names:
        label = name
        if name == "key":
            label = next(one for one in table.column_names[1:] if one.strip("_") == "key")
        is_text = any(f"the field {name!r} becomes JSON text" in one for one in said)
        column = table[table.column_names.index(label, 1)].to_pylist()
        values = [fields.get(name) for _, fields in expected]
        assert all(_same(*pair, is_text) for pair in zip(values, column, strict=True)), name


# Many entries, read in parts


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "TABLE_SLICE_BYTES", 64)
    monkeypatch.setattr(tuning, "TABLE_BATCH_BYTES", 256)
    monkeypatch.setattr(tuning, "TABLE_SAMPLED_BATCHES", 1)


def _changing() -> Iterator[dict[str, Any]]:
    # Each hundred has a field, and a kind of value, that those before have not.
    for number in range(1_000):
        yield {
            f"f{number // 100}": number,
            "n": number if number < 500 else number / 2,
            "o": {f"m{number // 200}": "x" * (number % 300)},
            "mixed": number if number != 777 else "text",
        }


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("is_canonical", [True, False])
def test_entries_with_other_fields_than_the_first_ones_are_read(is_canonical: bool) -> None:
    entries = list(_changing())
    index = _index(*entries)
    if not is_canonical:
        index = Index.parse(json.dumps(dict(index.items())).encode())
    with pytest.warns(UserWarning, match="'mixed' becomes JSON text"):
        table = index.to_arrow()
    assert table.num_rows == 1_000
    for row, entry in zip(table.to_pylist(), entries, strict=True):
        row["mixed"] = json.loads(row["mixed"])
        row["o"] = {name: value for name, value in row["o"].items() if value is not None}
        assert {name: row[name] for name in entry} == entry


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("wrap", [lambda n: n, lambda n: [n], lambda n: [{"m": n}]])
def test_an_integer_too_large_for_a_float_is_never_infinity(wrap: Callable[[Any], Any]) -> None:
    values = [wrap(number + 0.5) for number in range(100)]
    values[77] = wrap(10**400)
    index = Index.parse(_index(*({"n": value} for value in values)).canonical())
    with pytest.warns(UserWarning, match="'n' becomes JSON text"):
        column = index.to_arrow(["n"])["n"].to_pylist()
    assert [json.loads(text) for text in column] == values


@pytest.mark.usefixtures("small_parts")
def test_changes_laid_over_an_index_are_in_its_table() -> None:
    index = _index(*({"n": number} for number in range(100)))
    changed = index.changed_by({"k00005": None, "k00007": b'{"n":"new"}', "x": b'{"m":true}'})
    with pytest.warns(UserWarning, match="'n' becomes JSON text"):
        table = changed.to_arrow()
    assert table["key"].to_pylist() == list(changed)
    assert table["n"].to_pylist()[6] == '"new"'
    assert table["m"].to_pylist()[-1] is True


# Where the tables are asked for


def test_pandas_keeps_integers_and_the_order_of_columns() -> None:
    pytest.importorskip("pandas")
    frame = _index({"n": 1, "t": "x"}, {}).to_pandas()
    assert list(frame.columns) == ["key", "n", "t"]
    assert str(frame["n"].dtype) == "int64[pyarrow]"


def test_polars_has_the_rows_of_the_table() -> None:
    pytest.importorskip("polars")
    frame = _index({"n": 1, "l": [1.5]}, {"d": "2024-05-01"}).to_polars(dates=["d"])
    assert [str(kind) for kind in frame.dtypes] == ["String", "Date", "List(Float64)", "Int64"]


def test_a_store_makes_the_table_of_its_snapshot(tmp_path: Any) -> None:
    write_site(tmp_path, {"a.txt": b"1", "b.bin": b"22"})
    for lazy in (False, True):
        with StaticStore(tmp_path, poll_interval=0, lazy=lazy) as store:
            assert store.to_arrow(["size"]).to_pydict() == {
                "key": ["a.txt", "b.bin"],
                "size": [1, 2],
            }


@pytest.mark.parametrize(
    ("call", "package"),
    [("to_arrow", "pyarrow"), ("to_pandas", "pandas"), ("to_polars", "polars")],
)
def test_a_missing_package_is_named_with_its_extra(
    call: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = call.removeprefix("to_")
    with pytest.raises(ImportError, match=rf"`{package}`, which the extra `{extra}` brings"):
        getattr(_index({}), call)()


def test_the_warning_names_the_line_of_the_caller() -> None:
    with pytest.warns(UserWarning, match="JSON text") as caught:
        _index({"a": 1}, {"a": "x"}).to_arrow()
    assert caught[0].filename == __file__
