"""Directory listings: files become entries, folders links, and nothing else anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from staticstore.errors import IndexFormatError
from staticstore.formats import Document, Entry, Link, autoindex
from staticstore.formats.parsing import parse
from tests.formats.listings import PAGES, apache_table, nginx, python

URL = "https://data.example.org/pub/"
NAMES = [
    "a.txt",
    "two words.txt",
    "a&b.txt",
    'quo"te.txt',
    "100%.txt",
    "é.txt",
    "a:b",
    "x?y#z",
    "~a+b;c",
]


def read(body: str | bytes, note: str | None = None, url: str = URL) -> list[Any]:
    raw = body.encode() if isinstance(body, str) else body
    return list(autoindex.read(Document(url, raw, "text/html", note)))


def entries(body: str | bytes, note: str | None = None, url: str = URL) -> dict[str, Any]:
    return {one.key: one.metadata for one in read(body, note, url) if isinstance(one, Entry)}


def index_of(*hrefs: str) -> str:
    links = "".join(f'<a href="{href}">x</a>\n' for href in hrefs)
    return f"<html><title>Index of /pub/</title><pre>{links}</pre></html>"


@pytest.mark.parametrize("page", PAGES)
def test_a_listing_has_the_files_of_its_folder(page: str) -> None:
    body = PAGES[page](dict.fromkeys(NAMES, 7))
    assert list(entries(body)) == NAMES
    assert all(isinstance(one, Entry) for one in read(body))


@pytest.mark.parametrize("page", PAGES)
def test_a_folder_is_a_link_and_no_leaf(page: str) -> None:
    found = read(PAGES[page]({"sub dir": None, "a.txt": 7}))
    assert found[0] == Link("./sub%20dir/", "sub dir/", leaf=False)


def test_a_key_is_the_path_below_the_first_folder() -> None:
    found = read(nginx({"deep": None, "a b.txt": 7}), note="sub/", url=f"{URL}sub/")
    assert found[0] == Link("./deep/", "sub/deep/")
    assert found[1].key == "sub/a b.txt"
    assert found[1].href == "./a%20b.txt"


def test_a_file_in_the_first_folder_is_beside_its_document() -> None:
    assert {one.href for one in read(nginx(dict.fromkeys(NAMES, 7)))} == {None}


# What is said of a file


@pytest.mark.parametrize(
    ("page", "metadata"),
    [
        ("nginx", {"listed": "29-Nov-2026 18:00 123456", "size": 123456}),
        ("apache", {"listed": "2026-11-29 18:00 120.6K"}),
        ("apache_table", {"listed": "2026-11-29 18:00 120.6K Level 3"}),
        ("lighttpd", {"listed": "2026-Nov-29 18:00:00 120.6K text/plain"}),
        (
            "caddy",
            {
                "listed": "120.6 KiB 11/29/2026 06:00:00 PM +00:00",
                "size": 123456,
                "modified": "2026-11-29T18:00:00Z",
            },
        ),
        ("python", {}),
    ],
)
def test_a_row_is_a_mark_of_change_and_an_exact_size_a_size(
    page: str, metadata: dict[str, Any]
) -> None:
    assert entries(PAGES[page]({"a.txt": 123456, "b.txt": 1}))["a.txt"] == metadata


def test_a_small_size_of_apache_is_exact() -> None:
    assert entries(PAGES["apache"]({"a.txt": 972}))["a.txt"]["size"] == 972


def test_a_number_in_a_description_is_no_size() -> None:
    assert "size" not in entries(apache_table({"a.txt": 7}))["a.txt"]


@pytest.mark.parametrize("rounded", ["1.2K", "12M", "-", "1K", "1,234", "12 B", "0x10"])
def test_a_rounded_size_is_no_size(rounded: str) -> None:
    body = nginx({"a.txt": 7}).replace(" 7\r\n", f" {rounded}\r\n")
    assert entries(body)["a.txt"] == {"listed": f"29-Nov-2026 18:00 {rounded}"}


def test_a_file_that_is_linked_twice_keeps_what_is_said_of_it() -> None:
    body = nginx({"a.txt": 7}).replace("</pre>", '</pre><p>See <a href="a.txt">a</a></p>')
    assert entries(body)["a.txt"]["size"] == 7


# Which links count


@pytest.mark.parametrize(
    "href",
    [
        "",
        ".",
        "./",
        "..",
        "../",
        "../x.txt",
        "/",
        "/pub",
        "/pub/",
        "/other/x.txt",
        "/publisher/x.txt",
        "?C=N;O=D",
        "?sort=size&amp;order=asc",
        "x.txt?download",
        "#top",
        "x.txt#top",
        "a/b.txt",
        "a/b/",
        "a%2Fb.txt",
        "a%2F",
        "%2e%2e",
        "%2E%2e/",
        "%2e/",
        "..%2f..%2fetc%2fpasswd",
        "//evil.example.net/x.txt",
        "///x.txt",
        "https://evil.example.net/x.txt",
        "https://data.example.org/x.txt",
        "https://data.example.org.evil.example.net/pub/x.txt",
        "http://data.example.org/pub/x.txt",
        "javascript:alert(1)",
        "mailto:x@example.org",
        "data:,x",
    ],
)
def test_what_is_not_in_the_folder_is_no_entry(href: str) -> None:
    assert read(index_of(href)) == []


@pytest.mark.parametrize(
    "href",
    [
        "x.txt",
        "./x.txt",
        "/pub/x.txt",
        "//data.example.org/pub/x.txt",
        "https://data.example.org/pub/x.txt",
        "%78.txt",
        "&#120;.txt",
        " x.txt ",
    ],
)
def test_what_is_in_the_folder_is_an_entry_however_it_is_written(href: str) -> None:
    assert list(entries(index_of(href))) == ["x.txt"]


@pytest.mark.parametrize(
    "start",
    [
        "",
        "./",
        "/my%20pub/%C3%A9/",
        "/my%20pub/%c3%a9/",
        "/my pub/é/",
        "//data.example.org/my pub/é/",
    ],
)
def test_a_folder_may_be_written_in_several_ways(start: str) -> None:
    url = "https://data.example.org/my%20pub/%C3%A9/"
    found = read(index_of(f"{start}x%20y.txt", f"{start}sub/", f"{start}../z.txt"), url=url)
    assert found == [Entry("x y.txt", {}), Link("./sub/", "sub/")]


@pytest.mark.parametrize(
    "link",
    [
        '<a href="x.txt">',
        "<a href='x.txt'>",
        "<a href=x.txt>",
        '<A HREF="x.txt">',
        '<a class="f" title="a > b" href = "x.txt">',
        '<a\nhref="x.txt"\n>',
        '<a href="x.txt" download>',
    ],
)
def test_quotes_case_and_other_attributes_do_not_matter(link: str) -> None:
    assert list(entries(f"<html><h1>Index of /</h1>{link}x</a></html>")) == ["x.txt"]


@pytest.mark.parametrize(
    "hidden",
    ["<!-- {} -->", "<script>'{}'</script>", "<style>/* {} */</style>", "<!-- {}", "<script>{}"],
)
def test_links_in_comments_and_scripts_are_none(hidden: str) -> None:
    link = '<a href="x.txt">x</a>'
    body = f'<title>Index of /</title><a href="a.txt">a</a>{hidden.format(link)}'
    assert list(entries(body)) == ["a.txt"]


def test_a_name_that_is_not_utf8_is_no_key_and_spoils_no_other() -> None:
    body = index_of("caf%E9", "b").encode() + b'<a href="\xe9">x</a></html>'
    assert list(entries(body)) == ["caf\udce9", "b", "\udce9"]


# JSON


def test_the_json_of_nginx_has_sizes_and_times() -> None:
    rows = [
        {"name": "sub", "type": "directory", "mtime": "Sun, 29 Nov 2026 18:00:00 GMT"},
        {"name": "a b", "type": "file", "mtime": "Sun, 29 Nov 2026 18:00:00 GMT", "size": 7},
    ]
    assert read(json.dumps(rows)) == [
        Link("./sub/", "sub/"),
        Entry("a b", {"size": 7, "modified": "2026-11-29T18:00:00Z"}),
    ]


def test_a_name_in_json_that_is_not_utf_8_spoils_no_other() -> None:
    body = '[{"name":"é.txt","size":1},{"name":"caf\udce9.txt","size":2}]'
    found = entries(body.encode("utf-8", "surrogateescape"))
    assert found == {"é.txt": {"size": 1}, "caf\udcff.txt": {"size": 2}}


@pytest.mark.parametrize(
    "body", [b'["caf\xe9"]', b'[{"name":"caf\xe9"}', b'["\xe9",' + b"[" * 100_000]
)
def test_json_that_is_no_listing_and_not_utf_8_is_refused(body: bytes) -> None:
    with pytest.raises(IndexFormatError):
        parse(autoindex.read, Document(URL, body, None, None), URL)


def test_an_empty_folder_has_no_entries() -> None:
    assert [*read("[\r\n]"), *read(nginx({})), *read(python({}))] == []


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "."])
def test_a_name_in_json_does_not_leave_the_folder(name: str) -> None:
    assert read(json.dumps([{"name": name, "type": "directory"}])) == []


@pytest.mark.parametrize("body", ["[1]", '[{"size":7}]', '[{"name":7}]', "[", '[{"name":"a"}'])
def test_json_that_is_no_listing_is_refused(body: str) -> None:
    with pytest.raises((ValueError, IndexFormatError)):
        read(body)


# What is refused


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_is_cut_short_is_refused(page: str) -> None:
    body = PAGES[page](dict.fromkeys(NAMES, 7))
    with pytest.raises(ValueError, match="cut short"):
        read(body[: len(body) * 2 // 3])


@pytest.mark.parametrize("body", ["", "{}", "<html><a href='x'>Sign in</a></html>", "a  b\n"])
def test_what_is_no_listing_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match="no listing"):
        read(body)


def test_a_folder_with_a_page_of_its_own_is_reported_and_the_rest_stays() -> None:
    [warning] = read("<html><title>Welcome</title><a href='x'>x</a></html>", note="sub/")
    assert isinstance(warning, str)


@pytest.mark.parametrize(
    "part",
    [
        "<a ",
        "<a href=x",
        '<a href="',
        "<a href='x ",
        "<!--",
        "<script",
        "<a x=\"'",
        "</a",
        "<title>",
        " href",
    ],
)
def test_a_page_of_unclosed_tags_takes_no_longer_than_its_length(part: str) -> None:
    """A46: in quadratic time it would take longer than a test may."""
    body = "<title>Index of /</title><a href=x>" + part * 300_000
    assert len(read(body)) <= 1


@pytest.mark.parametrize("page", PAGES)
def test_its_pages_are_recognized(page: str) -> None:
    assert autoindex.is_likely(Document(URL, PAGES[page]({"a": 7}).encode(), None, None))


def test_the_json_of_nginx_is_recognized() -> None:
    body = b'[\n{ "name":"a", "type":"file", "mtime":"Sun, 29 Nov 2026 18:00:00 GMT", "size":7 }\n]'
    assert autoindex.is_likely(Document(URL, body, None, None))


def test_a_time_that_is_none_spoils_no_file_of_a_json_listing() -> None:
    body = b'[{"name":"a","type":"file","mtime":"yesterday"},{"name":"b","type":"file","size":1}]'
    found = autoindex.read(Document("https://data.example.org/", body, None, None))
    assert list(found) == [Entry("a", {}), Entry("b", {"size": 1})]
