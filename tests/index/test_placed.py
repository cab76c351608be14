"""Where an entry says that its value is (FAULTS A29)."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from staticstore import Index
from staticstore.index.fields import Content
from staticstore.index.hidden import is_placed
from staticstore.index.placed import (
    Placed,
    data_of,
    href_problem,
    is_data_url,
    placed_of,
    resolved_url,
)
from tests.index.strategies import quick

BASE = "http://a/b/c/d;p?q"

# RFC 3986, section 5.4.
EXAMPLES = {
    "g": "http://a/b/c/g",
    "./g": "http://a/b/c/g",
    "g/": "http://a/b/c/g/",
    "/g": "http://a/g",
    "//g": "http://g/",  # normalized, section 6.2.3
    "?y": "http://a/b/c/d;p?y",
    "g?y": "http://a/b/c/g?y",
    "#s": "http://a/b/c/d;p?q",
    "g#s": "http://a/b/c/g",
    "g?y#s": "http://a/b/c/g?y",
    ";x": "http://a/b/c/;x",
    "g;x": "http://a/b/c/g;x",
    "": "http://a/b/c/d;p?q",
    ".": "http://a/b/c/",
    "./": "http://a/b/c/",
    "..": "http://a/b/",
    "../": "http://a/b/",
    "../g": "http://a/b/g",
    "../..": "http://a/",
    "../../g": "http://a/g",
    "../../../g": "http://a/g",
    "../../../../g": "http://a/g",
    "/./g": "http://a/g",
    "/../g": "http://a/g",
    "g.": "http://a/b/c/g.",
    ".g": "http://a/b/c/.g",
    "..g": "http://a/b/c/..g",
    "./../g": "http://a/b/g",
    "./g/.": "http://a/b/c/g/",
    "g/./h": "http://a/b/c/g/h",
    "g/../h": "http://a/b/c/h",
    "g;x=1/./y": "http://a/b/c/g;x=1/y",
    "g?y/../x": "http://a/b/c/g?y/../x",
}


@pytest.mark.parametrize(("href", "url"), EXAMPLES.items())
def test_references_are_resolved_as_the_rfc_says(href: str, url: str) -> None:
    assert href_problem(href) is None
    assert resolved_url(Placed(href, BASE), "https://unused/") == url


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("a//b///c", "https://r/s/a//b///c"),
        ("é ü".replace(" ", "%20"), "https://r/s/%C3%A9%20%C3%BC"),
        ("100%", "https://r/s/100%25"),
        ("x?q=é&p=%", "https://r/s/x?q=%C3%A9&p=%25"),
        ("{a}|b", "https://r/s/%7Ba%7D%7Cb"),
        ("//other.example:8443/x", "https://other.example:8443/x"),
        ("HTTPS://Other.example", "https://Other.example/"),
    ],
)
def test_without_a_base_a_reference_is_relative_to_the_root(href: str, url: str) -> None:
    assert resolved_url(Placed(href), "https://r/s/") == url


@given(st.text(max_size=40))
@quick
def test_what_is_accepted_is_resolved_to_http_without_a_user(href: str) -> None:
    if href_problem(href) is None and not is_data_url(href):
        parts = urlsplit(resolved_url(Placed(href), "https://r/s/"))
        assert parts.scheme in ("http", "https")
        assert parts.hostname
        assert "@" not in parts.netloc
        assert parts.path.startswith("/")
        assert not {".", ".."}.intersection(parts.path.split("/"))
        assert parts._replace(netloc="").geturl().isascii()


def test_a_reference_may_have_2048_characters() -> None:
    assert href_problem("x" * 2048) is None
    assert href_problem("x" * 2049) == "its place has more than 2048 characters"


def test_a_data_url_may_have_64_kib() -> None:
    assert href_problem("data:," + "x" * ((1 << 16) - 6)) is None
    assert href_problem("data:," + "x" * ((1 << 16) - 5)) == "its data: URL has more than 64 KiB"
    assert href_problem("data:," + "é" * (1 << 15)) is not None


@pytest.mark.parametrize(
    ("href", "data", "media_type"),
    [
        ("data:,", b"", None),
        ("data:,a%20b c", b"a b c", None),
        ("DATA:text/plain;charset=utf-8,%C3%A9é", "éé".encode(), "text/plain;charset=utf-8"),
        ("data:;base64,aGk=", b"hi", None),
        ("data:application/x;BASE64,aGk", b"hi", "application/x"),
        ("data:;base64,%61Gk%3D", b"hi", None),
    ],
)
def test_a_data_url_holds_bytes(href: str, data: bytes, media_type: str | None) -> None:
    assert href_problem(href) is None
    assert data_of(href) == (data, media_type)


@given(st.binary(max_size=100))
@quick
def test_any_bytes_can_stand_in_a_data_url(data: bytes) -> None:
    assert data_of("data:x/y;base64," + base64.b64encode(data).decode()) == (data, "x/y")


@pytest.mark.parametrize(
    "value", [None, "x", ["x"], {}, {"href": 1}, {"href": "x", "title": "X"}, {"url": "x"}]
)
def test_other_shapes_say_nothing(value: object) -> None:
    assert not is_placed(value)
    assert placed_of(value) is None


def test_https_leads_to_https_only_where_that_is_asked_for() -> None:
    assert href_problem("http://a/b") is None
    assert href_problem("//a/b", https_only=True) is None
    assert href_problem("HTTP://a/b", https_only=True) == "its place leads from https to http"


LINE = b'"%s":{"placed":{"href":"%s"}}'


def index_with(bad: bytes, count: int = 20_000) -> bytes:
    """Return a large index in canonical form with one bad place in the middle."""
    lines = [b'"%06d":{"n":%d}' % (number, number) for number in range(count)]
    lines[count // 2] = LINE % (b"%06d" % (count // 2), bad)
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


@pytest.mark.parametrize("bad", [b"file:///etc/passwd", b"http://a/b"])
@pytest.mark.parametrize("is_vouched", [True, False])
def test_a_refused_entry_is_left_out_of_a_large_index(bad: bytes, is_vouched: bool) -> None:
    vouched = 20_000 if is_vouched else None
    for read in (lambda one: one.raw("010000"), lambda one: sum(1 for _ in one.query()), len):
        index = Index.parse(index_with(bad), vouched_entries=vouched, https_only=True)
        read(index)
        assert "010000" not in index.checked()
        assert index.raw("010000") is None
        assert [text[:21] for text in index.warnings] == ["'010000' is left out:"]
        assert len(index) == 19_999


def test_entries_that_came_later_are_checked_too() -> None:
    before = Index.parse(index_with(b"https://a/b"), https_only=True)
    after = Index.parse(index_with(b"http://a/b"), https_only=True, before=before)
    assert "010000" in before
    assert "010000" not in after


def test_the_place_is_found_in_every_form() -> None:
    text = index_with(b"https://a/b")
    forms = [
        Index.parse(text),
        Index.parse(text.replace(b'":', b'": ')),
        Index.parse(text[:-3] + b"}"),
    ]
    for index in forms:
        few, many = index.contents_of(["010000"]), index.contents_of(list(index))
        for found in (few, many):
            assert found["010000"].placed is not None
            assert found["010000"].placed.href == "https://a/b"
        placed = Placed("https://a/b")
        assert index.described("010000") == ({}, Content(None, None, None, placed=placed))


DIGESTS = {"sha512": "ab" * 64, "sha1": "cd" * 20, "md5": "ef" * 16}


def test_only_foreign_indexes_have_checksums_and_the_best_counts() -> None:
    assert Content.of(DIGESTS).digest is None
    assert Content.of(DIGESTS, has_checksums=True).digest == f"sha512:{DIGESTS['sha512']}"
    left = {"sha1": DIGESTS["sha1"], "md5": DIGESTS["md5"]}
    assert Content.of(left, has_checksums=True).digest == f"sha1:{DIGESTS['sha1']}"


def test_a_sha256_is_the_digest_where_there_is_one() -> None:
    entry = {**DIGESTS, "sha256": "01" * 32}
    assert Content.of(entry, has_checksums=True).digest == "sha256:" + "01" * 32
    assert Content.of(entry, has_checksums=True).checksum is None


@pytest.mark.parametrize("text", ["AB" * 16, "ab" * 15, "g" * 32, "ab" * 16 + "\n", 5, None])
def test_a_checksum_of_another_shape_is_plain_metadata(text: object) -> None:
    assert Content.of({"md5": text}, has_checksums=True).digest is None
