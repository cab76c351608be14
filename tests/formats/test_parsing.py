"""What a form yields, checked: keys, metadata, places, links and texts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from staticstore import IndexFormatError
from staticstore.formats import Document, Entry, Link, Read, known_form, reader_of, sums
from staticstore.formats.parsing import MOST_PROBLEMS, ParsedDocument, parse
from staticstore.index.placed import Placed, resolved_url

ROOT = "https://data.example.org/site/"


def parsed(*items: Any, url: str = f"{ROOT}list.txt") -> ParsedDocument:
    return parse(lambda document: items, Document(url, b"", None, None), ROOT)


def entry_of(*items: Any, url: str = f"{ROOT}list.txt") -> Any:
    (raw,) = parsed(*items, url=url).entries.values()
    return json.loads(bytes(raw))


def place_of(href: str | None, url: str = f"{ROOT}list.txt", key: str = "a b") -> str | None:
    found = entry_of(Entry(key, {"n": 1}, href), url=url)
    return found["placed"]["href"] if "placed" in found else None


# Entries


def test_a_mapping_becomes_json() -> None:
    assert entry_of(Entry("a", {"n": 1, "t": ["é"]})) == {"n": 1, "t": ["é"]}


def test_a_text_stays_byte_for_byte() -> None:
    text = b'{ "n" : 1.0 , "t":"\\u00e9"}'
    assert parsed(Entry("a", text)).entries == {"a": text}


def test_a_raw_value_of_msgspec_is_a_text() -> None:
    raw = msgspec.json.decode(b'{"a": {"n": 1}}', type=dict[str, msgspec.Raw])["a"]
    assert entry_of(Entry("a", raw)) == {"n": 1}


def test_texts_count_as_unchecked() -> None:
    assert parsed(Entry("a", b"{}"), Entry("b", {})).unchecked == ["a"]


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    assert entry_of(Entry("a", {"n": 1}), Entry("a", {"n": 2})) == {"n": 2}


@pytest.mark.parametrize(("name", "count"), [("sha256", 64), ("sha512", 128), ("md5", 32)])
def test_a_digest_in_upper_case_is_lowered(name: str, count: int) -> None:
    assert entry_of(Entry("a", {name: "A" * count})) == {name: "a" * count}


def test_a_text_that_is_no_digest_is_not_lowered() -> None:
    assert entry_of(Entry("a", {"sha256": "Unknown"})) == {"sha256": "Unknown"}


@pytest.mark.parametrize(
    "key", ["", "/x", "../x", "a//b", "a\x00b", "a\u202eb", "\\\\x", "caf\udce9"]
)
def test_a_key_that_is_none_is_reported_and_the_others_stay(key: str) -> None:
    found = parsed(Entry("good", {}), Entry(key, {}))
    assert list(found.entries) == ["good"]
    assert "is left out" in found.warnings[0]


@pytest.mark.parametrize("key", [7, None, b"a"])
def test_a_key_that_is_no_text_is_reported(key: Any) -> None:
    assert "a key is text" in parsed(Entry(key, {})).warnings[0]


@pytest.mark.parametrize("value", [object(), {1j: 2}])
def test_metadata_that_json_cannot_express_is_reported(value: Any) -> None:
    found = parsed(Entry("good", {}), Entry("bad", {"v": value}))
    assert list(found.entries) == ["good"]
    assert "'bad' is left out" in found.warnings[0]


def test_many_problems_are_counted() -> None:
    found = parsed(*(Entry(f"/{number}", {}) for number in range(MOST_PROBLEMS + 7)))
    assert found.warnings[-1] == "7 more entries are left out"
    assert len(found.warnings) == MOST_PROBLEMS + 1


# Places


def test_a_value_beside_a_document_in_the_root_has_no_place() -> None:
    assert place_of(None) is None


def test_a_value_beside_a_document_below_the_root_is_in_its_folder() -> None:
    assert place_of(None, f"{ROOT}deep/list.txt") == "deep/a%20b"


def test_a_value_beside_a_document_that_was_redirected_is_beside_that() -> None:
    assert place_of(None, "https://cdn.example.net/x/list.txt?sig=1") == (
        "https://cdn.example.net/x/a%20b"
    )


@pytest.mark.parametrize(
    ("href", "place"),
    [
        ("v.tif", "v.tif"),
        ("../v.tif", "../v.tif"),
        ("/v.tif", "/v.tif"),
        ("//cdn.example.net/v", "//cdn.example.net/v"),
        ("https://cdn.example.net/v?id=1", "https://cdn.example.net/v?id=1"),
        ("?id=1", f"{ROOT}list.txt?id=1"),
    ],
)
def test_a_reference_of_a_document_in_the_root_is_kept(href: str, place: str) -> None:
    assert place_of(href) == place


@pytest.mark.parametrize(
    ("href", "place"),
    [
        ("v.tif", "deep/v.tif"),
        ("../v.tif", "deep/../v.tif"),
        ("/v.tif", "https://data.example.org/v.tif"),
        ("//cdn.example.net/v", "https://cdn.example.net/v"),
        ("https://cdn.example.net/v", "https://cdn.example.net/v"),
        ("?id=1", f"{ROOT}deep/list.txt?id=1"),
    ],
)
def test_a_reference_of_another_document_is_relative_to_that(href: str, place: str) -> None:
    assert place_of(href, f"{ROOT}deep/list.txt") == place


def test_a_folder_that_looks_like_a_scheme_is_named_with_its_root() -> None:
    assert place_of("v", f"{ROOT}c:x/list.txt") == f"{ROOT}c:x/v"


@pytest.mark.parametrize("text", [b"{}", b"{ }", b'{"n": 1}', b'{"n": 1} \n'])
def test_the_place_is_the_last_member_of_a_text(text: bytes) -> None:
    found = entry_of(Entry("a", text, "v.tif"))
    assert found.pop("placed") == {"href": "v.tif"}
    assert found == json.loads(text)


def test_a_place_of_the_document_itself_does_not_count_beside_ours() -> None:
    text = b'{"placed": {"href": "https://evil.example.org/"}}'
    assert entry_of(Entry("a", text, "v.tif")) == {"placed": {"href": "v.tif"}}


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://data.example.org/v",
        "https://user:secret@data.example.org/v",
        "https://data.example.org/a b",
        "\\\\host\\share",
        "x" * 3000,
        "https://",
        7,
    ],
)
def test_a_reference_that_no_reader_follows_is_reported(href: Any) -> None:
    found = parsed(Entry("good", {}), Entry("bad", {}, href))
    assert list(found.entries) == ["good"]
    assert "'bad' is left out" in found.warnings[0]


def test_a_place_that_a_mapping_has_is_checked_too() -> None:
    found = parsed(Entry("bad", {"placed": {"href": "file:///etc/passwd"}}))
    assert "'bad' is left out" in found.warnings[0]


# Links, texts, and what forms raise


def test_links_and_texts_are_passed_on() -> None:
    link = Link("next.txt", "page 2")
    found = parsed(link, "line 7 is left out")
    assert (found.links, found.warnings) == ((link,), ("line 7 is left out",))


def test_anything_else_is_an_error() -> None:
    with pytest.raises(IndexFormatError, match="yields dict, no Entry and no Link"):
        parsed({})


def failing(document: Document) -> Iterator[Entry]:
    yield Entry("a", {})
    raise KeyError("packages")


def test_what_a_form_raises_is_an_index_format_error_with_the_url() -> None:
    with pytest.raises(IndexFormatError, match="KeyError: 'packages'") as caught:
        parse(failing, Document(f"{ROOT}a.json?sig=secret", b"", None, None), ROOT)
    assert caught.value.url == f"{ROOT}a.json?…"


def test_a_long_reason_is_shortened() -> None:
    def read(document: Document) -> Iterable[Entry]:
        raise ValueError("\x1b" * 100_000)

    with pytest.raises(IndexFormatError) as caught:
        parse(read, Document(ROOT, b"", None, None), ROOT)
    assert len(str(caught.value)) < 2000
    assert "\x1b" not in str(caught.value)


# Forms by name


def test_the_error_of_a_document_of_another_form_names_that() -> None:
    document = Document(ROOT, b"a.txt " + b"ab" * 32, None, None)
    with pytest.raises(IndexFormatError, match="it looks like one for format='pooch'"):
        parse(sums.read, document, ROOT)


def test_a_document_in_which_a_form_finds_nothing_is_one_of_another() -> None:
    document = Document(ROOT, b"a.txt " + b"ab" * 32, None, None)
    with pytest.raises(IndexFormatError, match=r"lists nothing .* format='pooch'"):
        parse(lambda document: (), document, ROOT)


def test_a_document_of_no_known_form_has_no_hint() -> None:
    assert known_form(Document(ROOT, b"\x00", None, None)) is None


def test_a_function_is_its_own_form() -> None:
    assert reader_of(failing) is failing


@pytest.mark.parametrize(("form", "error"), [("zip", ValueError), (7, TypeError), ("", ValueError)])
def test_a_form_that_is_none_is_refused(form: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        reader_of(form)


class _Point:
    def __init__(self, name: str, loaded: Any) -> None:
        self.name = name
        self._loaded = loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    def install(name: str, loaded: Any) -> None:
        points = {"staticstore.formats": [_Point(name, loaded)]}
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points[group])

    return install


def test_an_installed_package_has_a_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_forms.py").write_text("def read(document):\n    return ()\n")
    installed = tmp_path / "their_forms-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: their-forms\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        "[staticstore.formats]\ntheirs = their_forms:read\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert list(reader_of("theirs")(Document(ROOT, b"", None, None))) == []
    with pytest.raises(ValueError, match=r"[Tt]here are .*, theirs"):
        reader_of("others")


def test_an_entry_point_is_a_form(install: Any) -> None:
    install("mine", failing)
    read: Read = reader_of("mine")
    assert read is failing


def test_an_entry_point_that_cannot_be_imported_says_why(install: Any) -> None:
    install("mine", ImportError("no module named numpy"))
    with pytest.raises(ValueError, match="'mine' cannot be imported: no module named numpy"):
        reader_of("mine")


def test_an_entry_point_does_not_replace_a_form_of_ours(install: Any) -> None:
    install("sums", failing)
    assert reader_of("sums") is sums.read


# Hostile documents, and mistakes of forms


@pytest.mark.parametrize("metadata", ["{}", None, [1], 5])
def test_metadata_of_another_kind_spoil_no_other_entry(metadata: Any) -> None:
    found = parsed(Entry("a", metadata), Entry("b", {}))
    assert list(found.entries) == ["b"]
    assert "a mapping or bytes" in found.warnings[0]


@pytest.mark.parametrize("href", [["x"], None, 5, b"x"])
def test_a_link_whose_place_is_no_text_is_reported(href: Any) -> None:
    found = parsed(Link(href), Link("b"))
    assert found.links == (Link("b"),)
    assert "its place is text" in found.warnings[0]


@pytest.mark.parametrize("text", ["red \x1b[31m\n" + "x" * 10_000, "x" * 10_000])
def test_a_warning_of_a_form_is_short_and_has_no_control_characters(text: str) -> None:
    (warning,) = parsed(text).warnings
    assert warning.isprintable()
    assert len(warning) < 500


def test_a_long_key_makes_no_long_warning() -> None:
    (warning,) = parsed(Entry("/" + "x" * 10_000, {})).warnings
    assert len(warning) < 500
    assert warning.endswith("is left out: it starts with a slash")


@pytest.mark.parametrize("href", ["//user@data.example.org/a", "//*/a"])
def test_a_reference_to_another_host_is_looked_at_closely(href: str) -> None:
    found = parsed(Entry("a", {}, href))
    assert not found.entries
    assert "its place" in found.warnings[0]


@pytest.mark.parametrize("path", ["/x/", "//evil.example.org/", "/"])
def test_a_folder_that_begins_with_an_empty_segment_is_not_another_host(path: str) -> None:
    place = place_of(None, f"{ROOT}{path}list.txt", "a")
    assert place is not None
    assert resolved_url(Placed(place), ROOT) == f"{ROOT}{path}a"


@pytest.mark.parametrize("entry", [Entry("a", {}, "x" * 2000), Entry("é" * 400, {})])
def test_a_place_that_gets_too_long_by_its_folder_is_reported(entry: Entry) -> None:
    found = parsed(entry, url=f"https://mirror.example.org/{'y' * 100}/list.txt")
    assert not found.entries
    assert "2048 characters" in found.warnings[0]
