"""Listings of buckets: objects become entries, and the next page a link."""

from __future__ import annotations

from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest

from staticstore.formats import Document, Entry, Link, s3
from tests.formats.buckets import AMAZON, GOOGLE, listing, made

URL = "https://data.example.org/?list-type=2"


def read(body: bytes, url: str = URL, note: str | None = None) -> list[Entry | Link]:
    return list(s3.read(Document(url, body, "application/xml", note)))


def entries(body: bytes, url: str = URL, note: str | None = None) -> dict[str, Entry]:
    return {one.key: one for one in read(body, url, note) if isinstance(one, Entry)}


def link(body: bytes, url: str = URL, note: str | None = None) -> Link:
    [found] = [one for one in read(body, url, note) if isinstance(one, Link)]
    return found


# Objects


def test_an_object_is_an_entry_with_its_etag_as_a_mark_of_change() -> None:
    [entry] = entries(listing([made("a/1.csv")])).values()
    assert entry == Entry(
        "a/1.csv",
        {
            "size": 7,
            "modified": "2026-11-29T18:00:00.000Z",
            "etag": "0cc175b9c0f1b6a831c399e269772661",
            "storage_class": "STANDARD",
        },
    )


@pytest.mark.parametrize("namespace", [AMAZON, GOOGLE, None])
def test_any_namespace_is_read(namespace: str | None) -> None:
    assert list(entries(listing([made("a")], namespace=namespace))) == ["a"]


def test_an_object_without_a_size_has_none() -> None:
    sizes = ["", "-1", "1.2K", "9" * 30]
    objects = [made(f"{number}", Size=size) for number, size in enumerate(sizes)]
    found = entries(listing(objects)).values()
    assert [name for entry in found for name in entry.metadata if name == "size"] == []


def test_what_stands_for_a_folder_is_left_out() -> None:
    body = listing([made("a/", 0), made("a/1"), made("odd/", 5)])
    assert list(entries(body)) == ["a/1", "odd/"]


def test_common_prefixes_are_not_followed() -> None:
    body = listing([made("a"), "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"])
    assert [type(one) for one in read(body, f"{URL}&delimiter=/")] == [Entry]


@pytest.mark.parametrize("name", ["a b+c", "a%20b", "é", "日本/ü", "a&b<c>", "a;b=c?d#e", "~x"])
def test_names_are_what_they_are(name: str) -> None:
    assert list(entries(listing([made(name)]))) == [name]


@pytest.mark.parametrize("coded", ["a+b%2Bc/%C3%A9%01", "a%20b%2Bc%2F%C3%A9%01"])
def test_names_are_decoded_if_the_listing_says_that_they_are_encoded(coded: str) -> None:
    assert list(entries(listing([made(coded)], EncodingType="url"))) == ["a b+c/é\x01"]
    assert list(entries(listing([made(coded)]))) == [coded]


def test_a_name_that_is_not_utf8_is_no_key_and_spoils_no_other() -> None:
    body = listing([made("caf%E9"), made("b")], EncodingType="url")
    assert list(entries(body)) == ["caf\udce9", "b"]


# Where they are


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://data.example.org/?list-type=2", None),
        ("https://data.example.org/x/?list-type=2", None),
        ("https://data.example.org/listings/today.xml", None),
        ("https://s3.example.org/bucket?list-type=2", "./bucket/a%20b/1"),
        ("https://s3.example.org/bucket/?list-type=2", None),
        ("https://s3.example.org/v1/bucket?list-type=2", "./bucket/a%20b/1"),
    ],
)
def test_the_bucket_is_a_host_or_the_last_part_of_the_path(url: str, place: str | None) -> None:
    [entry] = entries(listing([made("a b/1")], Name="bucket"), url).values()
    assert (entry.key, entry.href) == ("a b/1", place)


@pytest.mark.parametrize(
    ("prefix", "key"), [("a/", "b/1"), ("a/b", "b/1"), ("a/b/", "1"), ("", "a/b/1"), ("a", "a/b/1")]
)
def test_a_key_is_below_the_prefix_that_was_asked_for(prefix: str, key: str) -> None:
    url = f"{URL}&prefix={prefix}"
    [entry] = entries(listing([made("a/b/1")]), url).values()
    assert entry.key == key
    assert urljoin(url, entry.href or key) == "https://data.example.org/a/b/1"


@pytest.mark.parametrize("name", ["/evil.example.net/x", "//evil.example.net/x", "http://evil/x"])
@pytest.mark.parametrize("prefix", ["", "/"])
def test_no_name_leads_to_another_host(name: str, prefix: str) -> None:
    if name.startswith(prefix):
        for entry in entries(listing([made(name)]), f"{URL}&prefix={prefix}").values():
            place = entry.href or "./" + entry.key
            assert urlsplit(urljoin(URL, place)).netloc == "data.example.org"


def test_an_object_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="not below the prefix"):
        read(listing([made("b/1")]), f"{URL}&prefix=a/")


# Pages


def page_after(found: Link, url: str = URL) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(urljoin(url, found.href)).query))


def test_the_next_page_is_asked_for_by_the_token() -> None:
    url = f"{URL}&prefix=a%2Fb%20c&max-keys=2&continuation-token=first"
    token = "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM= &+"
    body = listing(
        [made("a/b c")],
        IsTruncated="true",
        NextContinuationToken=token.replace("&", "&amp;"),
    )
    found = link(body, url)
    assert urljoin(url, found.href).startswith("https://data.example.org/?")
    assert page_after(found, url) == {
        "list-type": "2",
        "prefix": "a/b c",
        "max-keys": "2",
        "continuation-token": token,
    }


def test_the_prefix_of_the_first_page_counts_on_all() -> None:
    first = listing([made("a/1")], IsTruncated="true", NextContinuationToken="x")
    note = link(first, f"{URL}&prefix=a/").note
    assert list(entries(listing([made("a/2")]), "https://data.example.org/other", note)) == ["2"]


def test_the_last_page_has_no_link() -> None:
    body = listing([made("a")], IsTruncated="false", NextContinuationToken="x")
    assert [type(one) for one in read(body)] == [Entry]


@pytest.mark.parametrize(
    ("page", "marker"),
    [({}, "b +"), ({"NextMarker": "c"}, "c"), ({"EncodingType": "url", "NextMarker": "c+"}, "c ")],
)
def test_an_old_listing_goes_on_behind_its_last_object(page: dict[str, str], marker: str) -> None:
    url = "https://data.example.org/?marker=a"
    last = "b+%2B" if page.get("EncodingType") else "b +"
    found = link(listing([made("a"), made(last)], IsTruncated="true", **page), url)
    assert page_after(found, url) == {"marker": marker}


def test_a_listing_that_goes_on_without_saying_where_is_refused() -> None:
    with pytest.raises(ValueError, match="how to ask"):
        read(listing([made("a")], IsTruncated="true"))


def test_a_token_that_stays_the_same_leads_to_the_same_page() -> None:
    body = listing([], IsTruncated="true", NextContinuationToken="same")
    first = urljoin(URL, link(body).href)
    assert urljoin(first, link(body, first).href) == first


# What is refused

ENTITIES = """<?xml version="1.0"?>
<!DOCTYPE ListBucketResult [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ListBucketResult><Contents><Key>&b;</Key></Contents></ListBucketResult>"""
EXTERNAL = """<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<ListBucketResult><Contents><Key>&a;</Key></Contents></ListBucketResult>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "text", [ENTITIES, EXTERNAL, "<!DOCTYPE html><html></html>", " " * 99_999 + EXTERNAL]
)
def test_a_doctype_is_refused(text: str, encoding: str) -> None:
    """A43."""
    with pytest.raises(ValueError, match="DOCTYPE"):
        read(text.encode(encoding))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html><body>Sign in</body></html>", "no listing"),
        (b"<Error><Code>AccessDenied</Code></Error>", "no listing"),
        (b"<ListVersionsResult></ListVersionsResult>", "no listing"),
        (b"<ListBucketResult>" + b"<a>" * 100_000, "no listing"),
        (b"", "no element"),
        (b'{"a":{}}', "not well-formed"),
        (listing([made("a")])[:-20], "no element|not well-formed|unclosed"),
        (listing([made("&nbsp;")]).replace(b"&amp;nbsp;", b"&nbsp;"), "undefined entity"),
    ],
)
def test_what_is_no_listing_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Exception, match=reason):
        read(body)


def test_a_listing_is_recognized() -> None:
    assert s3.is_likely(Document(URL, listing([]), None, None))
    assert not s3.is_likely(Document(URL, b"<html></html>", None, None))


@pytest.mark.parametrize("begin", [b"<ListBucketResult a='", b"<ListBucketResult><!--"])
def test_an_endless_tag_does_not_take_quadratic_time(begin: bytes) -> None:
    with pytest.raises(ValueError, match="too long"):
        read(begin + b"x" * (3 << 20))


def test_an_old_listing_goes_on_behind_a_name_that_is_not_utf8() -> None:
    body = listing([made("a%FF")], EncodingType="url", IsTruncated="true")
    assert link(body, "https://data.example.org/?prefix=").href.endswith("marker=a%FF")
