"""F19: metadata as people have it is read as it is meant, or refused with its line."""

from __future__ import annotations

import csv
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.errors import StoreError
from staticstore.site.about import read_about
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.publisher import publish
from staticstore.site.publishing import text_files
from staticstore.site.publishing.metadata import Metadata, read_metadata
from staticstore.site.publishing.metadata_csv import parse_csv
from staticstore.site.publishing.text_files import KeySearch

ABSENT = object()


def metadata_of(tmp_path: Path, name: str, text: str | bytes) -> Metadata:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_metadata(path)


def column(cells: list[str]) -> list[Any]:
    """Return what the cells of one column become."""
    quoted = ('"' + cell.replace('"', '""') + '"' if cell else "" for cell in cells)
    text = "key,v\n" + "".join(f"k{number},{cell}\n" for number, cell in enumerate(quoted))
    return [fields.get("v", ABSENT) for _, fields in parse_csv(text, "m.csv")]


# Cells


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["true", "false"], [True, False]),
        (["True", "", "FALSE"], [True, ABSENT, False]),
        (["TRUE", "False", "NaN"], [True, False, ABSENT]),
        (["True", "maybe"], ["True", "maybe"]),
        (["true", "1"], ["true", 1]),
        (["yes", "no"], ["yes", "no"]),
        (["tRUE"], ["tRUE"]),
        (["1", "", "2.5"], [1, ABSENT, 2.5]),
        (["1", "NaN", "nan", "null", "None", "NA"], [1, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT]),
        (["NaN", "None"], [ABSENT, ABSENT]),
        (["NA", "DE", "", "null"], ["NA", "DE", ABSENT, "null"]),
        (["1", "NaN", "n.d."], [1, "NaN", "n.d."]),
        (["[1, 2.50]", "", "3"], [[1, 2.5], ABSENT, 3]),
        (['{"a": [true]}', "null"], [{"a": [True]}, ABSENT]),
        (['{"a": 1, "a": 2}'], ['{"a": 1, "a": 2}']),
        (["[1]", "[draft]"], [[1], "[draft]"]),
        (["[NaN]"], ["[NaN]"]),
        (['"a"'], ['"a"']),
    ],
)
def test_a_cell_is_what_its_column_allows(cells: list[str], values: list[Any]) -> None:
    found = column(cells)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    "cell", ["0", "-1", "1.5", "-0.25", "1.0", "0.1", "9007199254740991", "0.00001", "123456.789"]
)
def test_a_number_that_is_written_back_the_same_is_one(cell: str) -> None:
    [value] = column([cell])
    assert type(value) is (float if "." in cell else int)
    assert value == float(cell)


@pytest.mark.parametrize(
    "cell",
    [
        "1.10",
        "10.5280",
        "1E5",
        "1e5",
        "12E3",
        "1e16",
        "5e-325",
        "-0",
        "-0.00",
        "007",
        "+5",
        "1_000",
        "1,000",
        " 5",
        "5 ",
        "5.",
        ".5",
        "0x10",
        "\uff11\uff12",
        "\u0663",
        "9007199254740992",
        "1234567890123456789012345678901234",
        "12345678901234567.5",
        "0.1000000000000000055511151231257827",
        "9" * 5000,
        "Infinity",
        "-inf",
    ],
)
def test_what_only_looks_like_a_number_is_text(cell: str) -> None:
    assert column([cell]) == [cell]
    assert column(["1", cell, "2.5"]) == [1, cell, 2.5]


def test_a_text_in_a_column_of_numbers_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "staticstore.site"):
        list(parse_csv("key,lat,n,t\na,47.3,1,x\nb,,2,1\nc,47.40,,2\n", "m.csv"))
    [message] = caplog.messages
    assert message.startswith("m.csv: column 'lat': the cell '47.40' in line 4 is text")


# Rows


def test_a_cell_may_be_longer_than_the_limit_of_the_csv_module(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    long, quoted = "x" * 3 * limit, 'y,"' * limit
    text = 'key,a,b\nk,{},"{}"\n'.format(long, quoted.replace('"', '""'))
    assert metadata_of(tmp_path, "m.csv", text).fields_of("k") == {"a": long, "b": quoted}
    assert csv.field_size_limit() == limit


@given(
    st.lists(
        st.lists(st.text('ab",;\n\r \u2028\x1c\0', max_size=5), min_size=2, max_size=2),
        unique_by=lambda row: row[0],
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_the_csv_module_writes_is_read(rows: list[list[str]], line_end: str) -> None:
    rows = [["k" + key, value] for key, value in rows]
    written = ["key,v"]
    for row in rows:
        written.append(",".join('"' + cell.replace('"', '""') + '"' for cell in row))
    found = parse_csv(line_end.join([*written, ""]), "m.csv")
    assert [[key, fields.get("v", "")] for key, fields in found] == rows


def test_a_row_may_be_shorter_than_the_header(tmp_path: Path) -> None:
    # Excel leaves empty cells at the end of a row out.
    metadata = metadata_of(tmp_path, "m.csv", "key,a,b\nx,1\ny\n\n,,\nz,,2")
    assert [metadata.fields_of(key) for key in "xyz"] == [{"a": 1}, {}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("key,a\nx,1\ny,2\nx,3\n", "line 4: the key 'x' is also in line 2"),
        ('key,a\nx,"1\n2"\n*.csv,2\n*.csv,2\n', "line 5: the key '*.csv' is also in line 4"),
        ("key,a\r\rx,1\rx,1\r", "line 4: the key 'x' is also in line 3"),
        ("key,a\nx,1\nkey,a\ny,2\n", "line 3: the header is also in line 1"),
        ("key;a\nx;1\n", "separated by commas, not by ';'"),
        ("key\ta\nx\t1\n", r"separated by commas, not by '\t'"),
        ("sep=;\nkey;a\n", "line 1: the first column"),
        ('key,a\nx,1\ny,"a\nb', "line 3: it is not valid CSV: a quote is not closed"),
        ('key,a\n\n"x"y,1\n', "line 3: it is not valid CSV: text follows a closing quote"),
        ('key,a\nx,"1\n2"\ny,1,2\n', "line 4: there are 3 cells below 2 columns"),
    ],
)
def test_an_error_in_a_csv_file_has_its_line(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(StoreError) as caught:
        metadata_of(tmp_path, "m.csv", text)
    assert where in str(caught.value)


# JSON and TOML


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": {},\n "b": {},\n "a": {}}', "line 3: the key 'a' is also in line 1"),
        ('{"*": {}, "b": {}, "*": {"x": 1}}', "line 1: the key '*' is also in line 1"),
        ('{"a": {"t": 1,\n"t": 2}}', "line 2: the field 't' is also in line 1"),
        ('{"a": {"b": {"t": 1},\n"c": [{"t": 1,\n"t": 2}]}}', "line 3: the field 't' is also"),
        ('{"a": {},\n"\\u0061": {}}', "line 2: the key 'a' is also in line 1"),
        ('{"a\\"{": {"x": ["}", "t"]},\n"a\\"{": {}}', "line 2: the key 'a\"{' is also in line 1"),
        ('{"a":\n{"x": ' + "9" * 5000 + "}}", "line 2: a number has"),
        ('{"a":\n{"x": -Infinity}}', "line 2: JSON has no -Infinity"),
        ('{"a":\n\n{"x": ' + "[" * 5000, "line 3: it is nested"),
        ('{"a":\n{"x": 1,}}', "line 2: not valid JSON"),
    ],
)
def test_an_error_in_a_json_file_has_its_line(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(StoreError) as caught:
        metadata_of(tmp_path, "m.json", text)
    assert where in str(caught.value)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[a]\nt = 1\n\nn = " + "9" * 5000 + "\n[b]\n", "line 4: a number has too many digits"),
        ("[a]\nt = '" + "9" * 5000 + "'\nn = [1,\n  -" + "1_0" * 3000 + "]", "line 4: a number"),
        ("[a]\nn = " + "[" * 5000, "line 2: it is nested too deeply"),
        ("[a]\n" + ".".join(["b"] * 5000) + " = 1", "line 2: a key has more than 3,000 parts"),
        ("[a]\nn = 1\nn = 2\n", "line 3: it is not valid TOML"),
        ("['a']\n[b]\n[a]\n", "line 3: it is not valid TOML"),
    ],
)
def test_an_error_in_a_toml_file_has_its_line(tmp_path: Path, text: str, where: str) -> None:
    with pytest.raises(StoreError) as caught:
        metadata_of(tmp_path, "m.toml", text)
    assert where in str(caught.value)
    (tmp_path / "data").mkdir()
    (tmp_path / "about.toml").write_text(text)
    with pytest.raises(StoreError) as caught:
        read_about(SiteFolder(tmp_path))
    assert where in str(caught.value)


@pytest.mark.parametrize("key", ["terrain/dem.tif", "terrain/*.tif", "*", "Übersicht.png"])
def test_a_key_without_quotes_in_a_toml_file_is_shown_with_them(tmp_path: Path, key: str) -> None:
    with pytest.raises(StoreError, match=re.escape(f'put the key in quotes: ["{key}"]')):
        metadata_of(tmp_path, "m.toml", f"[{key}]\ntitle = 'x'\n")


@pytest.mark.parametrize(
    "text", ["[a]\n[a]\n", "[a b]\n", '["a/b"\n', "['a/b']\n['a/b']\n", "[[*]]"]
)
def test_other_errors_in_a_toml_file_say_nothing_of_quotes(tmp_path: Path, text: str) -> None:
    with pytest.raises(StoreError, match="not valid TOML") as caught:
        metadata_of(tmp_path, "m.toml", text)
    assert "quotes" not in str(caught.value)


@pytest.mark.parametrize("name", ["m.json", "m.toml"])
def test_an_integer_of_any_size_is_kept_exactly(tmp_path: Path, name: str) -> None:
    number = 10**400 + 7
    text = f'{{"a": {{"n": {number}}}}}' if name == "m.json" else f"[a]\nn = {number}\n"
    assert metadata_of(tmp_path, name, text).fields_of("a") == {"n": number}


# Files


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("key,t\na,é\n".encode("utf-16"), "line 1: it is UTF-16"),
        ("key,t\na,é\n".encode("utf-16-be"), "line 1: it is UTF-16"),
        ("key,t\na,1\n".encode("utf-16-le"), "line 1: it is UTF-16"),
        ("key,t\na,é\n".encode("latin-1"), "line 2: it is not UTF-8"),
        ("key,t\n\na,„x“\n".encode("cp1252"), "line 3: it is not UTF-8"),
    ],
)
def test_another_encoding_is_named_with_its_line(tmp_path: Path, body: bytes, where: str) -> None:
    with pytest.raises(StoreError, match=where):
        metadata_of(tmp_path, "m.csv", body)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.json")
    (tmp_path / "m.toml").symlink_to("/dev/zero")
    for name in ("m.json", "m.toml"):
        with pytest.raises(StoreError, match="not a regular file"):
            read_metadata(tmp_path / name)


def test_a_file_is_read_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "_MOST_BYTES", 1 << 20)
    with (tmp_path / "m.csv").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(StoreError, match="more than 1 MiB"):
        read_metadata(tmp_path / "m.csv")


def test_patterns_that_fill_the_memory_are_refused() -> None:
    keys = KeySearch([f"k{number:03}" for number in range(300)])
    metadata = read_metadata({"k*": {"a": "x" * 2_000_000}, "k0": {"a": "y" * 2_000_000}})
    with pytest.raises(StoreError, match=r"'k\*', would give the keys more than 256 MiB"):
        metadata.check_size(keys)
    metadata.check_size(KeySearch(["k0", "k1"]))
    read_metadata({"k0": {"a": "x" * 2_000_000}}).check_size(keys)


# Names


COMPOSED = unicodedata.normalize("NFC", "Übersicht é.csv")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
HALF = "\u00dcbersicht e\u0301.csv"


@pytest.mark.parametrize("given_as", [COMPOSED, DECOMPOSED, HALF])
@pytest.mark.parametrize("on_disk", [COMPOSED, DECOMPOSED])
def test_the_unicode_form_of_a_name_does_not_count(
    tmp_path: Path, given_as: str, on_disk: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / on_disk).write_bytes(b"1")
    pattern = given_as.replace("csv", "*")
    report = publish(tmp_path, metadata={given_as: {"t": 1}, pattern: {"u": 2}})
    assert (report.set, report.warnings) == ([on_disk], [])
    index = (tmp_path / "index.json").read_text()
    assert '"t":1,"u":2' in index


def test_of_two_forms_of_one_name_each_file_has_its_own_fields() -> None:
    keys = KeySearch(sorted([COMPOSED, DECOMPOSED]))
    metadata = read_metadata({COMPOSED: {"t": 1}, DECOMPOSED: {"t": 2}}).spelled_as(keys)
    assert [metadata.fields_of(key) for key in (COMPOSED, DECOMPOSED)] == [{"t": 1}, {"t": 2}]


@pytest.mark.parametrize(
    ("texts", "keys"),
    [([HALF], [COMPOSED, DECOMPOSED]), ([COMPOSED, DECOMPOSED], [COMPOSED])],
)
def test_forms_that_cannot_be_told_apart_are_shown(texts: list[str], keys: list[str]) -> None:
    known = KeySearch(sorted(keys))
    metadata = read_metadata({text: {"t": text} for text in texts}).spelled_as(known)
    assert [metadata.fields_of(key).get("t", key) for key in keys] == keys
    [warning] = metadata.warnings(known)
    assert all(ascii(name) in warning for name in (texts[-1], *keys))
    assert "Unicode form" in warning


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("folder/", "folder/*"),
        ("folder", "folder/*"),
        ("./folder/", "folder/*"),
        ("data/folder/", "folder/*"),
        ("data/", "*"),
        ("data/a.csv", "a.csv"),
        ("./a.csv", "a.csv"),
        ("/a.csv", "a.csv"),
        ("./data/a.csv", "a.csv"),
        ("/srv/my_site/data/a.csv", "a.csv"),
        ("data\\folder\\b.csv", "folder/b.csv"),
        ("folder\\b.csv", "folder/b.csv"),
        ("a.csv ", "a.csv"),
        ("A.CSV", "a.csv"),
        ("data/*.csv", "*.csv"),
        ("./*.csv", "*.csv"),
        ("folder\\*", "folder/*"),
        ("folder/c%20d.csv", "folder/c d.csv"),
        ("data/\u00dc/", "\u00dc/*"),
        ("\u00dc/E.csv", "U\u0308/e.csv"),
        ("data/?/e.csv", "?/e.csv"),
    ],
)
def test_what_was_meant_is_guessed(text: str, meant: str) -> None:
    metadata = read_metadata({text: {"t": 1}})
    [warning] = metadata.warnings(
        KeySearch(sorted(["a.csv", "folder/b.csv", "folder/c d.csv", "U\u0308/e.csv"]))
    )
    assert warning.endswith(f"did you mean {meant!r}?")


def test_where_nothing_is_near_nothing_is_guessed() -> None:
    metadata = read_metadata({"other/": {}, "data/x": {}, "x*": {}, "fold": {}})
    found = list(metadata.warnings(KeySearch(["a.csv", "folder/b.csv"])))
    assert len(found) == 4
    assert not any("did you mean" in warning for warning in found)
