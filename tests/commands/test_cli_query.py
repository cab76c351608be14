"""``query`` and ``ls`` with conditions, in an order, and in each form."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import pytest

from tests.commands.conftest import Run
from tests.commands.shell import on_terminal, shell
from tests.commands.test_cli_terminal import plain
from tests.sites import write_index

ENTRIES: dict[str, Any] = {
    "a": {"size": 5, "date": "2024-05-01", "title": "North sea", "bbox": [5, 44, 16, 48]},
    "b": {"size": 50, "date": "2024-05-01T18:00:00Z", "bbox": [170, -20, -170, 0]},
    "c": {"size": 500, "date": "2025-01-01", "title": "South", "proj": {"code": 4326}},
    "d": {"size": "5", "a=b": 1, "tags": ["north", 5]},
}


@pytest.fixture
def site(tmp_path: Path) -> Path:
    write_index(tmp_path, ENTRIES)
    return tmp_path


@pytest.mark.parametrize(
    ("conditions", "keys"),
    [
        (["size>5"], "b c"),
        (["size>=5", "size<500"], "a b"),
        (["size=5"], "a d"),
        (["size!=5"], "b c d"),
        (['size!="5"'], "a b c"),
        (["date<=2024-05-01"], "a b"),
        (["date>2024-05-01T12:00"], "b c"),
        (["title~NORTH"], "a"),
        (["tags~North"], "d"),
        (["tags~5"], "d"),
        (["bbox@16,48,20,50"], "a"),
        (["bbox@-175,-10,-174,-9"], "b"),
        (["title=null"], "b d"),
        (["title!=null"], "a c"),
        (["proj.code>=4326"], "c"),
        (['"a=b"=1'], "d"),
        (["size<60", "title~sea", "date>=2024"], ""),
    ],
)
def test_a_query_finds_what_fulfills_all_conditions(
    cli: Run, site: Path, conditions: list[str], keys: str
) -> None:
    assert cli("query", site, *conditions, "--keys", "-q").lines == keys.split()


@pytest.mark.parametrize(
    ("condition", "message", "hint"),
    [
        ("size=>5", "'=>' is no operator, at character 5", "did you mean 'size>=5'?"),
        ("size==5", "'==' is no operator, at character 5", "did you mean size=5?"),
        ("bbox@1,2,3", "or 6 with heights, not 3, at character 6", "'staticstore query --help'"),
        ("size", "or the shell has taken '<' or '>'", "'staticstore query --help'"),
    ],
)
def test_e14_a_condition_that_cannot_be_understood_is_said_before_anything_begins(
    cli: Run, condition: str, message: str, hint: str
) -> None:
    ended = cli("query", "http://127.0.0.1:9/", condition)
    assert (ended.code, ended.out) == (2, b"")
    assert f"error: the condition {condition!r} cannot be understood: " in ended.errors
    assert message in ended.errors
    assert f"hint: {hint}" in ended.errors


def test_a_terminal_shows_with_a_caret_where_a_condition_goes_wrong() -> None:
    code, shown = on_terminal("query", "http://127.0.0.1:9/", "größe=>日本", env={"COLUMNS": "80"})
    assert code == 2
    assert plain(shown).splitlines()[1:3] == ["  größe=>日本", "       ^"]


def test_a_terminal_shows_a_part_of_a_long_condition() -> None:
    long = "x" * 300 + "=>" + "y" * 300
    _, shown = on_terminal("query", "http://127.0.0.1:9/", long)
    assert plain(shown).splitlines()[1:3] == [
        "  " + "x" * 40 + "=>" + "y" * 38,
        "  " + " " * 40 + "^",
    ]


def test_e14_conditions_that_contradict_each_other_are_an_error(cli: Run) -> None:
    ended = cli("query", "http://127.0.0.1:9/", "type=a", "type=b")
    assert ended.code == 2
    assert "type=a and type=b cannot both hold" in ended.errors


def test_e14_an_operator_that_the_shell_has_taken_is_asked_for(site: Path) -> None:
    ended = shell(f"cd {site} && $STATICSTORE query . size>5")
    assert ended.code == 2
    assert "as in 'size>5'" in ended.errors


@pytest.mark.parametrize("command", [["query"], ["ls", "--where"], ["mirror", "copy", "--where"]])
def test_e14_a_field_that_no_entry_has_is_named_where_nothing_matches(
    cli: Run, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli(command[0], site, *command[1:], "titel=x")
    assert ended.code == 3
    assert "no entry has the field 'titel': did you mean 'title'?" in ended.errors


def test_e14_a_value_of_another_kind_is_named_where_nothing_matches(cli: Run, site: Path) -> None:
    ended = cli("query", site, "date>=2024")
    assert ended.code == 3
    assert "'date' is a date or time in the index, but a number in 'date>=2024'" in ended.errors


# -- order and number --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (["--sort", "size"], "a b c d"),
        (["--sort=-size"], "d c b a"),
        (["--sort", "-size", "--limit", "2"], "d c"),
        (["--sort", "title"], "a c b d"),
        (["--sort=-title"], "c a b d"),
        (["--sort", "nothing,-size"], "d c b a"),
        (["--sort", "proj.code", "--sort=-size"], "c d b a"),
        (["--limit", "1"], "a"),
    ],
)
@pytest.mark.parametrize("command", [["query", "--keys"], ["ls"]])
def test_results_are_sorted_and_limited(
    cli: Run, site: Path, command: list[str], options: list[str], keys: str
) -> None:
    assert cli(command[0], site, *command[1:], *options).lines == keys.split()


def test_sorting_by_a_field_that_no_entry_has_is_warned_of(cli: Run, site: Path) -> None:
    ended = cli("query", site, "--keys", "--sort=-sise")
    assert ended.code == 0
    assert ended.errors == "warning: no entry has the field 'sise': did you mean 'size'?\n"


@pytest.mark.parametrize(("condition", "count", "code"), [("size>5", 2, 0), ("size>999", 0, 3)])
def test_a_count_is_a_number_and_0_ends_with_3_as_of_grep(
    cli: Run, site: Path, condition: str, count: int, code: int
) -> None:
    ended = cli("query", site, condition, "--count")
    assert (ended.code, ended.text, ended.errors) == (code, f"{count}\n", "")
    ended = cli("query", site, condition, "--count", "--json")
    assert (ended.code, ended.records) == (code, [{"count": count}])


def test_ls_lists_what_matches_a_pattern_and_fulfills_conditions(cli: Run, site: Path) -> None:
    ended = cli("ls", site, "[bcd]", "--where", "size>=5", "--where", "size<=50")
    assert ended.lines == ["b"]


# -- forms -------------------------------------------------------------------------------


def test_keys_are_ended_with_nul_for_xargs(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"a b": {}, "é'": {}})
    assert cli("query", tmp_path, "-0").out == "a b\0é'\0".encode()
    assert cli("ls", tmp_path, "--null").out == "a b\0é'\0".encode()


def test_keys_as_json_are_objects(cli: Run, site: Path) -> None:
    assert cli("query", site, "size>50", "--keys", "--json").records == [{"key": "c"}]


def test_csv_has_a_header_with_the_fields_of_all_entries(cli: Run, site: Path) -> None:
    ended = cli("query", site, "--csv")
    assert ended.out.split(b"\r\n")[0] == b"key,size,date,title,bbox,proj,a=b,tags"
    rows = list(csv.DictReader(io.StringIO(ended.out.decode(), newline="")))
    assert [row["key"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["bbox"] == "[5, 44, 16, 48]"
    assert rows[1]["title"] == ""


@pytest.mark.parametrize("options", [(), ("--csv",)])
def test_a_selected_field_reaches_into_objects(
    cli: Run, site: Path, options: tuple[str, ...]
) -> None:
    ended = cli("query", site, "size=500", "--select", "proj.code", *options)
    assert ended.lines[-1].replace("\t", ",") == "c,4326"
    assert not ended.err


@pytest.mark.parametrize("options", [(), ("--csv",), ("--json",)])
def test_e14_a_selected_field_that_no_entry_has_is_warned_of(
    cli: Run, site: Path, options: tuple[str, ...]
) -> None:
    ended = cli("query", site, "--select", "key,tilte,size", *options)
    assert ended.code == 0
    assert "no entry has the field 'tilte': did you mean 'title'?" in ended.errors
    assert "'key'" not in ended.errors


def test_a_field_called_key_has_a_column_of_its_own_in_csv(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"a": {"key": 5}})
    assert cli("query", tmp_path, "--csv").out == b"key,key_\r\na,5\r\n"


@pytest.mark.parametrize("options", [(), ("--csv",)])
def test_the_key_is_shown_once_also_if_it_is_selected(
    cli: Run, site: Path, options: tuple[str, ...]
) -> None:
    ended = cli("query", site, "size=500", "--select", "key,size", *options)
    assert ended.lines[-1].replace("\t", ",") == "c,500"


def test_csv_has_the_fields_selected_in_their_order(cli: Run, site: Path) -> None:
    ended = cli("query", site, "title~north", "--csv", "--select", "title,nothing,size")
    assert ended.out == b"key,title,nothing,size\r\na,North sea,,5\r\n"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-5", "'-5"),
        (-5, "-5"),
        (True, "true"),
        (None, ""),
        ('a "b", c\nd', '"a ""b"", c\nd"'),
        ("\x1b[2J", "\x1b[2J"),
        ("é\r", '"é\r"'),
    ],
)
def test_a_cell_of_csv_is_exact_but_for_formulas(
    cli: Run, tmp_path: Path, value: Any, cell: str
) -> None:
    write_index(tmp_path, {"a": {"v": value, "w": 1}})
    assert cli("query", tmp_path, "--csv").out == f"key,v,w\r\na,{cell},1\r\n".encode()


def test_csv_on_a_terminal_does_not_control_it(tmp_path: Path) -> None:
    write_index(tmp_path, {"a": {"v": "\x1b[2J"}})
    assert "a,\\x1b[2J" in on_terminal("query", str(tmp_path), "--csv")[1]


@pytest.mark.parametrize(
    "options",
    [
        ["--count", "--keys"],
        ["--count", "--csv"],
        ["--csv", "--null"],
        ["--csv", "--json"],
        ["--null", "--json"],
        ["--keys", "--select", "size"],
        ["--count", "--limit", "5"],
        ["--limit", "0"],
        ["--sort", ""],
        ["--sort", "size,-"],
    ],
)
def test_forms_that_exclude_each_other_are_refused(cli: Run, options: list[str]) -> None:
    assert cli("query", "http://127.0.0.1:9/", *options).code == 2


@pytest.mark.skipif(os.name == "nt", reason="there is no xargs")
def test_keys_go_through_a_pipe(site: Path) -> None:
    ended = shell(f"$STATICSTORE query {site} 'size>=50' -0 | xargs -0 -n 1 echo key")
    assert ended.lines == ["key b", "key c"]


def test_keys_ended_with_nul_are_exact_whatever_the_encoding_of_the_output(tmp_path: Path) -> None:
    write_index(tmp_path, {"Zürich": {}})
    ended = shell(f"PYTHONIOENCODING=ascii $STATICSTORE query {tmp_path} -0 | tr '\\0' '\\n'")
    assert ended.lines == ["Zürich"]


def test_ls_shows_the_key_once_also_if_it_is_selected(cli: Run, site: Path) -> None:
    assert cli("ls", site, "c", "--select", "key,proj.code").lines == ["c\t4326"]


def test_e14_a_condition_in_several_words_is_to_be_put_in_quotes(cli: Run, url: str) -> None:
    ended = cli("query", url, "type", "=", "raster")
    assert ended.code == 2
    assert "if there are spaces around it" in ended.errors
    assert "put the condition in quotes, as in 'type>5'" in ended.errors
    assert cli("query", url, "type = raster").code == 0
