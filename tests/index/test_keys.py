"""Which texts are keys, and which paths they have."""

from __future__ import annotations

import os
import unicodedata
from pathlib import PurePath, PurePosixPath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore import InvalidKeyError
from staticstore.index.fields import (
    check_key,
    key_problem,
    key_to_path,
    key_to_url_path,
)
from tests.index.strategies import keys, quick

DOTS = ["../x", "a/../../x", "..", ".", "a/./b", "./a", "a/..", "a/.", "a/../b"]
EMPTY = ["", "/", "/x", "//evil/x", "http://evil/x", "a//b", "a/", "a/b/", "//"]
CONTROLS = ["a\x00b", "a\rb", "a\nb", "\t", "\x1f", "\x7f", "\x80", "a\x9fb"]
TURNS = ["a\u202eb", "\u202a", "\u202b", "\u202c", "\u202d", "\u2066", "\u2067", "\u2068", "\u2069"]
SURROGATES = ["\ud800", "a\udfffb", "\udc80"]
ROOTED = ["\\x", "\\\\server\\share", "\\"]
REFUSED = [*DOTS, *EMPTY, *CONTROLS, *TURNS, *SURROGATES, *ROOTED]

LEGAL = [
    *["%2e%2e/x", "a%2fb", "100%", "%", "http:/evil/x", "file:/etc/passwd"],
    *["a b", "a+b", "a?b", "a#b", "a;b", "a&b", "a=b", "é", "日本", "\U0001d11e"],
    *["e\u0301", "\u00e9", "A", "a", "CON", "aux.txt", "a:b", "a.", "C:/x", "x" * 300],
    *[".hidden", "...", "a..b", "..a", "a../b", ".../x", "a\\b", "a\\..\\b", " "],
    *['"', "<script>", "{}", "[x]", "*", "\u200b", "\ufeff", "\uffff"],
]


@pytest.mark.parametrize("key", REFUSED, ids=ascii)
def test_an_invalid_key_is_refused(key: str) -> None:
    assert key_problem(key)
    with pytest.raises(InvalidKeyError) as caught:
        check_key(key)
    assert caught.value.key == key


@pytest.mark.parametrize("key", LEGAL, ids=ascii)
def test_any_other_text_is_a_key_and_stays_unchanged(key: str) -> None:
    assert key_problem(key) is None
    assert check_key(key) is key


@pytest.mark.parametrize("key", [None, 5, b"bytes", ["list"], PurePosixPath("a")], ids=repr)
def test_a_key_that_is_not_a_string_is_refused_with_its_type(key: object) -> None:
    with pytest.raises(InvalidKeyError, match=type(key).__name__) as caught:
        check_key(key)
    assert caught.value.key is None


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "empty"),
        ("/x", "starts with a slash"),
        ("//evil/x", "starts with a slash"),
        ("\\x", "backslash"),
        ("a/../b", "segments"),
        ("a//b", "segments"),
        ("a\u202eb", r"U\+202E"),
        ("\ud800", r"U\+D800"),
        ("\x00", r"U\+0000"),
    ],
)
def test_the_error_says_what_is_wrong_with_the_key(key: str, reason: str) -> None:
    with pytest.raises(InvalidKeyError, match=reason) as caught:
        check_key(key)
    assert str(caught.value).isprintable()


@quick
@given(st.text(st.sampled_from("./\\a%é \x00\x7f\u202e\u2069\ud800"), max_size=7))
def test_the_rule_is_the_documented_one(key: str) -> None:
    legal = (
        all(segment not in ("", ".", "..") for segment in key.split("/"))
        and not key.startswith("\\")
        and not any(
            unicodedata.category(letter) in ("Cc", "Cs")
            or unicodedata.bidirectional(letter)
            in ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
            for letter in key
        )
    )
    assert (key_problem(key) is None) == legal


def test_only_controls_direction_marks_and_surrogates_are_refused_characters() -> None:
    def is_refused(letter: str) -> bool:
        turns = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        return unicodedata.category(letter) in ("Cc", "Cs") or letter in turns

    letters = [chr(code) for code in range(0x11000) if chr(code) != "/"]
    found = [letter for letter in letters if key_problem(f"a{letter}a")]
    assert found == [letter for letter in letters if is_refused(letter)]


# -- URLs ------------------------------------------------------------------------


@quick
@given(keys)
def test_a_key_is_quoted_exactly_once(key: str) -> None:
    path = key_to_url_path("data/", key)
    assert path.isascii()
    assert unquote(path, errors="strict") == f"data/{key}"


@quick
@given(keys)
def test_a_quoted_key_is_only_the_path_of_a_url(key: str) -> None:
    path = key_to_url_path("data/", key)
    parts = urlsplit(f"http://host/{path}")
    assert (parts.netloc, parts.path, parts.query, parts.fragment) == ("host", f"/{path}", "", "")


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("%2e%2e/x", "data/%252e%252e/x"),
        ("a%2fb", "data/a%252fb"),
        ("100%", "data/100%25"),
        ("http:/evil/x", "data/http%3A/evil/x"),
        ("a b+c?d#e;f&g", "data/a%20b%2Bc%3Fd%23e%3Bf%26g"),
        ("é", "data/%C3%A9"),
        ("e\u0301", "data/e%CC%81"),
        ("a\\b", "data/a%5Cb"),
    ],
)
def test_b2_a_key_that_looks_quoted_is_quoted_again(key: str, path: str) -> None:
    assert key_to_url_path("data/", key) == path


def test_the_data_path_is_quoted_too() -> None:
    assert key_to_url_path("d ä/", "x") == "d%20%C3%A4/x"


# -- files -----------------------------------------------------------------------


def test_a_key_becomes_a_relative_path_of_its_segments() -> None:
    assert key_to_path("a/b c/d.tif", windows=True) == PurePath("a", "b c", "d.tif")


@quick
@given(keys)
def test_the_path_of_a_key_gives_the_key_again(key: str) -> None:
    assert key_to_path(key, windows=False).as_posix() == key


@quick
@given(keys)
def test_a_path_never_leaves_its_folder(key: str) -> None:
    path = key_to_path(key, windows=False)
    assert not path.is_absolute()
    assert os.path.normpath(os.path.join("/folder", path)).startswith("/folder/")


@pytest.mark.parametrize("key", REFUSED, ids=ascii)
def test_an_invalid_key_has_no_path(key: str) -> None:
    with pytest.raises(InvalidKeyError):
        key_to_path(key)


@pytest.mark.parametrize("segment", ["x" * 255, "é" * 127 + "x", "\U0001d11e" * 63])
def test_b6_a_segment_may_have_255_bytes(segment: str) -> None:
    assert key_to_path(f"a/{segment}/b", windows=False).parts[1] == segment


@pytest.mark.parametrize("segment", ["x" * 256, "é" * 128, "x" * 300, "\U0001d11e" * 64])
@pytest.mark.parametrize("key", ["{}", "a/{}", "{}/a"])
def test_b6_a_longer_file_name_is_refused(segment: str, key: str) -> None:
    with pytest.raises(InvalidKeyError, match="255") as caught:
        key_to_path(key.format(segment), windows=False)
    assert caught.value.key == key.format(segment)


WINDOWS = [
    *["CON", "con", "aux.txt", "NUL.tar.gz", "prn", "COM1", "com9.x", "LPT1", "COM¹", "lpt³.txt"],
    *["a:b", "a<b", "a>b", 'a"b', "a|b", "a?b", "a*b", "a\\b", "C:/x"],
    *["a.", "a ", "a/b./c", "a/b /c", "x/CON/y"],
]


@pytest.mark.parametrize("key", WINDOWS)
def test_b6_with_windows_rules_names_invalid_there_are_refused(key: str) -> None:
    with pytest.raises(InvalidKeyError, match="Windows") as caught:
        key_to_path(key, windows=True)
    assert caught.value.key == key


# As in `os.path.isreserved` of Python 3.13.
@pytest.mark.parametrize("key", ["CONIN$", "conout$.txt", "nul .txt", "CON  .x"])
def test_b6_less_known_device_names_of_windows_are_refused_too(key: str) -> None:
    with pytest.raises(InvalidKeyError, match="Windows"):
        key_to_path(key, windows=True)


@pytest.mark.parametrize("key", WINDOWS)
def test_b6_on_other_systems_these_names_are_allowed(key: str) -> None:
    assert key_to_path(key, windows=False).as_posix() == key


@pytest.mark.parametrize(
    "key", ["CONSOLE", "com", "com10x", "a.CON", "lpt", "auxiliary.txt", "nul-1", ".a", "a b"]
)
def test_b6_a_name_that_only_resembles_a_device_is_allowed(key: str) -> None:
    assert key_to_path(key, windows=True).as_posix() == key
