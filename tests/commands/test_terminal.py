"""The output of commands, without commands."""

from __future__ import annotations

import json
import sys
import unicodedata
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore.commands.terminal import Column, Output, hide_secrets, printable
from staticstore.commands.watch import differing_fields
from staticstore.index.changes import Change
from staticstore.index.notebook import size_text

ALL = "".join(map(chr, range(sys.maxunicode + 1)))
# Unicode's Bidi_Control, and the separators of lines.
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029"


def test_f10_what_is_shown_obeys_no_terminal() -> None:
    seen = set(printable(ALL))
    assert seen.isdisjoint(TURNING)
    assert not {character for character in seen if unicodedata.category(character) in ("Cc", "Cs")}


@pytest.mark.parametrize("character", ["\u200b", "\ufeff", "\u2060", "\xad", "\U000e0041"])
def test_f10_what_takes_no_room_is_seen(character: str) -> None:
    assert printable(f"a{character}b") == f"a{ascii(character)[1:-1]}b"


def test_f10_a_record_has_no_raw_one_either() -> None:
    with redirect_stdout(StringIO()) as written:
        Output(as_json=True).record({"text": ALL})
    line = written.getvalue()
    assert json.loads(line) == {"text": json.loads(json.dumps(ALL))}
    assert printable(line[:-1]) == line[:-1]


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_does_no_harm_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("text", ["Zürich", "日本", "नमस्ते", "👩\u200d🔬", "e\u0301", "\u00a0"])
def test_other_scripts_are_shown_as_they_are(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("at https://ali:x@host/a", "at https://…"),
        ("at https://ali:x@host/?sig=a@b c", "at https://… c"),
        ("at https://ali:x?y z@host/ c", "at https://… c"),
        ("at https://host/a?sig=1", "at https://host/a?…"),
        ("at https://host/a?…)", "at https://host/a?…)"),
        ("'GET /a?sig=1 HTTP/1.1' 200", "'GET /a?… HTTP/1.1' 200"),
        ("what? 'a?b' @ c", "what? 'a?b' @ c"),
    ],
)
def test_secrets_of_urls_are_hidden_and_nothing_else(text: str, without: str) -> None:
    assert hide_secrets(text) == without


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=4))
def test_a_record_is_one_line_of_json_that_does_no_harm(record: dict[str, object]) -> None:
    with redirect_stdout(StringIO()) as written:
        Output(as_json=True).record(record)
    line = written.getvalue()
    assert json.loads(line) == record
    assert printable(line[:-1]) == line[:-1]


def test_times_are_rfc_3339(capsys: pytest.CaptureFixture[str]) -> None:
    time = datetime(2026, 11, 20, 12, tzinfo=UTC)
    Output(as_json=True).record({"at": time, "in": [time]})
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-11-20T12:00:00Z",
        "in": ["2026-11-20T12:00:00Z"],
    }


def test_people_and_programs_get_their_own_lines(capsys: pytest.CaptureFixture[str]) -> None:
    for output in Output(), Output(as_json=True):
        output.line("for people")
        output.record({"for": "programs"})
    assert capsys.readouterr().out == 'for people\n{"for": "programs"}\n'


def test_rows_are_written_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    """The first of a million keys is shown before the last is read."""
    taken = []

    def records() -> object:
        for number in range(5000):
            taken.append(number)
            yield {"n": number}
            if number == 4000:
                assert capsys.readouterr().out.startswith("0\n1\n")

    assert Output().rows([Column("n")], records()) == 5000  # type: ignore[arg-type]


def test_sizes_are_decimal() -> None:
    assert [size_text(size) for size in (438, 96510, 5 * 10**9)] == [
        "438 bytes",
        "96.5 kB",
        "5.0 GB",
    ]


def test_no_fields_differ_in_a_set_or_delete() -> None:
    assert differing_fields(Change("a", None, b'{"v":1}')) == []
    assert differing_fields(Change("a", b'{"v":1}', None)) == []


def test_a_field_that_is_null_differs_from_none_at_all() -> None:
    assert differing_fields(Change("a", b'{"v":null}', b"{}")) == ["v"]
