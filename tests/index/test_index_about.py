"""The description of a site; F11: only files of the fixed names are ever named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from staticstore import IndexFormatError
from staticstore.index.about import FILE_NAMES, MOST_ABOUT_BYTES, MOST_FILE_BYTES, About, NamedFile
from staticstore.index.head import Head, NamedDocument, Role

FILE = {"size": 3, "sha256": "ab" * 32}
WORDS: dict[str, str | list[str]] = {
    "title": "Zürich <b>",
    "description": "two\nlines",
    "license": "CC0-1.0",
    "homepage": "https://example.org/ilvar?x=1#y",
    "contact": "ali@example.org",
    "keywords": ["snow", ""],
    "version": "2",
    "cite_as": "Ali, 2026",
}


def parsed(said: Any) -> dict[str, Any]:
    return About.parse(json.dumps(said).encode()).as_json()


def test_all_fields_are_parsed() -> None:
    said = {**WORDS, "files": dict.fromkeys(FILE_NAMES, FILE)}
    assert parsed(said) == said


def test_an_encoded_description_can_be_parsed() -> None:
    about = About(WORDS, {"README.md": NamedFile.of(b"hello")})
    assert About.parse(about.encode()) == about


def test_these_are_the_only_file_names() -> None:
    assert sorted(FILE_NAMES) == [
        "CITATION.cff",
        "LICENSE",
        "LICENSE.md",
        "LICENSE.rst",
        "LICENSE.txt",
        "README",
        "README.md",
        "README.rst",
        "README.txt",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "README.php",
        "../README.md",
        "README.md/x",
        "readme.md",
        "README.md ",
        "README.md\n",
        "README.md\0",
        "./README.md",
        "data/README.md",
        "LICENSE.html",
        ".git/config",
        "index.html",
        "about.json",
        "",
    ],
)
def test_f11_a_file_of_any_other_name_is_left_out(name: str) -> None:
    assert parsed({"title": "x", "files": {name: FILE, "LICENSE": FILE}}) == {
        "title": "x",
        "files": {"LICENSE": FILE},
    }


@pytest.mark.parametrize(
    "file",
    [
        None,
        [],
        "README.md",
        {},
        {"size": 3},
        {"size": -1, "sha256": "ab" * 32},
        {"size": True, "sha256": "ab" * 32},
        {"size": 2.5, "sha256": "ab" * 32},
        {"size": MOST_FILE_BYTES + 1, "sha256": "ab" * 32},
        {"size": 3, "sha256": "AB" * 32},
        {"size": 3, "sha256": "../" * 22},
        {"size": 3, "sha256": ["ab" * 32]},
    ],
)
def test_an_invalid_file_description_is_left_out(file: Any) -> None:
    assert parsed({"files": {"README.md": file}}) == {}


@pytest.mark.parametrize("files", [None, [], "README.md", 1, [["README.md", FILE]]])
def test_files_of_another_type_are_left_out(files: Any) -> None:
    assert parsed({"title": "x", "files": files}) == {"title": "x"}


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("value", [None, 1, True, {}, [1], [["x"]], {"a": "b"}])
def test_a_field_of_another_type_is_left_out(name: str, value: Any) -> None:
    assert name not in parsed({**WORDS, name: value})


def test_unknown_fields_are_ignored() -> None:
    assert parsed({"title": "x", "doi": "10.1/x", "__class__": "y"}) == {"title": "x"}


@pytest.mark.parametrize(
    "homepage",
    [
        "javascript:alert(1)",
        "java\nscript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//evil.example/",
        "evil.example",
        "https://",
        "https:///x",
        "https://ali:secret@example.org/",
        "https://example.org\\@evil.example/",
        "https://example.org/ x",
        "https://example.org/\x1b[31m",
        "https://example.org/\u202ecod.exe",
        "https://example.org/\x9b31m",
        " https://example.org/",
        "https://example.org/\n",
    ],
)
def test_a_homepage_that_is_not_a_web_address_is_left_out(homepage: str) -> None:
    assert parsed({"homepage": homepage}) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"title"',
        b"<!DOCTYPE html>",
        b'{"title": "x"',
        b'{"title": "\xff"}',
        b'{"title": NaN}',
        b"[" * 60_000,
        b'{"title":' * 7000,
        b'{"title": "' + b"x" * MOST_ABOUT_BYTES + b'"}',
    ],
)
def test_an_invalid_document_is_an_error(body: bytes) -> None:
    with pytest.raises(IndexFormatError):
        About.parse(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([*WORDS, *FILE_NAMES]),
    lambda some: (
        st.lists(some, max_size=4)
        | st.dictionaries(
            st.text() | st.sampled_from([*WORDS, *FILE_NAMES, "files", "size", "sha256"]),
            some,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=50)
@given(JSON)
def test_any_json_is_parsed_or_refused(said: Any) -> None:
    body = json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")
    try:
        about = About.parse(body)
    except IndexFormatError:
        return
    assert set(about.files) <= set(FILE_NAMES)
    assert About.parse(about.encode()) == about


def test_the_result_belongs_to_the_caller() -> None:
    about = About({"keywords": ["a"]}, {"LICENSE": NamedFile.of(b"")})
    given_away = about.as_json()
    given_away["keywords"].append("b")
    given_away["files"]["LICENSE"]["size"] = 5
    assert about == About({"keywords": ["a"]}, {"LICENSE": NamedFile.of(b"")})


# In the head


HEAD = Head("cd" * 16, 1, "2026-11-20T12:00:00Z", NamedDocument(Role.INDEX, 12, "ab" * 32), 0)
DOCUMENT = NamedDocument(Role.ABOUT, 812, "77" * 32)


def test_the_head_names_the_description_without_an_href() -> None:
    head = Head(**{**vars(HEAD), "about": DOCUMENT})
    assert json.loads(head.encode())["about"] == {"size": 812, "sha256": "77" * 32}
    assert Head.parse(head.encode()) == head
    assert DOCUMENT.href == f"about/{'77' * 32}.json"


@pytest.mark.parametrize(
    "about",
    [
        [],
        "about.json",
        {},
        {"size": -1, "sha256": "77" * 32},
        {"size": "812", "sha256": "77" * 32},
        {"size": 812, "sha256": "../README"},
        {"size": 812, "sha256": "77" * 32 + "\n"},
        {"size": 812, "sha256": "77" * 32, "href": "README.php"},
        {"size": 812, "sha256": "77" * 32, "href": None},
    ],
)
def test_a19_a_head_with_an_invalid_about_is_invalid(about: Any) -> None:
    said = {**json.loads(HEAD.encode()), "about": about}
    with pytest.raises(IndexFormatError):
        Head.parse(json.dumps(said).encode())
