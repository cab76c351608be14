"""FAULTS A48: what a data package says, also where real ones are irregular."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from staticstore.formats import Document, Entry, Link
from staticstore.formats.datapackage import is_likely, read

URL = "https://data.example.org/prices/datapackage.json"


def document(value: object) -> Document:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Document(URL, body, "application/json", None)


def found(*resources: object) -> list[Entry | Link | str]:
    return list(read(document({"name": "prices", "resources": list(resources)})))


def entry(**resource: Any) -> Entry:
    (one,) = found({"name": "r", **resource})
    assert isinstance(one, Entry)
    return one


def test_a_relative_path_is_the_key() -> None:
    one = entry(path="data/year 2024%.csv", title="Prices", schema={"fields": []})
    assert one == Entry(
        "data/year 2024%.csv", {"name": "r", "title": "Prices", "schema": {"fields": []}}
    )


def test_of_a_remote_path_the_name_is_the_key() -> None:
    one = entry(path="https://other.example.org/a.csv")
    assert (one.key, one.href) == ("r", "https://other.example.org/a.csv")


def test_each_path_of_several_is_a_value() -> None:
    paths = ["a.csv", "https://other.example.org/b.csv", "https://other.example.org/c.csv"]
    keys = [
        (one.key, one.href) for one in found({"name": "r", "path": paths}) if isinstance(one, Entry)
    ]
    assert keys == [("a.csv", None), ("r/2", paths[1]), ("r/3", paths[2])]


def test_size_and_digest_of_several_files_are_of_none() -> None:
    first, _ = found({"name": "r", "path": ["a", "b"], "bytes": 7, "hash": "0" * 32})
    assert isinstance(first, Entry)
    assert first.metadata == {"name": "r", "bytes": 7, "hash": "0" * 32}


@pytest.mark.parametrize(
    ("text", "field", "digest"),
    [
        ("ab" * 16, "md5", "ab" * 16),
        ("md5:" + "AB" * 16, "md5", "AB" * 16),
        ("sha1:" + "ab" * 20, "sha1", "ab" * 20),
        ("sha256:" + "ab" * 32, "sha256", "ab" * 32),
        ("SHA-512:" + "ab" * 64, "sha512", "ab" * 64),
    ],
)
def test_a_digest_is_md5_unless_it_says_otherwise(text: str, field: str, digest: str) -> None:
    metadata = entry(path="a", hash=text).metadata
    assert metadata == {"name": "r", "hash": text, field: digest}


@pytest.mark.parametrize(
    "text", ["ab" * 32, "crc32:abcdef01", "sha256:ab", "md5:" + "x" * 32, 5, None, ""]
)
def test_another_digest_is_plain_metadata(text: object) -> None:
    assert entry(path="a", hash=text).metadata == {"name": "r", "hash": text}


def test_size_and_media_type_are_those_of_the_value() -> None:
    metadata = entry(path="a", bytes=7, mediatype="text/csv").metadata
    assert isinstance(metadata, dict)
    assert (metadata["size"], metadata["media_type"]) == (7, "text/csv")


@pytest.mark.parametrize("size", ["7", 7.0, True, None])
def test_another_size_is_plain_metadata(size: object) -> None:
    metadata = entry(path="a", bytes=size).metadata
    assert isinstance(metadata, dict)
    assert "size" not in metadata


# Irregularities of real packages


def test_a_path_may_begin_with_a_dot() -> None:
    assert entry(path="./data/a.csv").key == "data/a.csv"


def test_before_version_1_a_remote_resource_has_a_url() -> None:
    assert entry(url="https://other.example.org/a.csv").href == "https://other.example.org/a.csv"


@pytest.mark.parametrize("data", [[{"a": 1}], "a\n1\n", {"x": "ü"}])
def test_inline_data_are_a_value(data: object) -> None:
    one = entry(data=data, path=None)
    assert one.key == "r"
    assert one.href is not None
    head, _, text = one.href.partition(",")
    body = base64.b64decode(text)
    assert head == "data:;base64"
    assert (body.decode() if isinstance(data, str) else json.loads(body)) == data


def test_a_resource_may_be_the_path_of_its_descriptor() -> None:
    assert found("resources/a.json") == [Link("resources/a.json")]
    described = document({"name": "a", "path": "a.csv", "bytes": 3})
    assert list(read(described)) == [Entry("a.csv", {"name": "a", "bytes": 3, "size": 3})]


def test_a_remote_resource_without_a_name_is_left_out_and_reported() -> None:
    (warning,) = found({"path": "https://other.example.org/a.csv"})
    assert warning == "resource 1 is left out: it has neither a relative path nor a name"


@pytest.mark.parametrize("resource", [None, 5, {}, {"name": "r"}, {"name": "r", "path": []}])
def test_what_is_no_resource_is_left_out_and_reported(resource: object) -> None:
    warning, one = found(resource, {"name": "r", "path": "a"})
    assert warning == "resource 1 is left out: it has neither a path nor data"
    assert isinstance(one, Entry)


def test_a_path_that_is_no_text_is_left_out_and_reported() -> None:
    warning, one = found({"name": "r", "path": [5, "a"]})
    assert warning == "resource 1 is left out: a path is text, not int"
    assert isinstance(one, Entry)


def test_a_byte_order_mark_is_passed_over() -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"resources": [{"name": "r", "path": "a"}]}).encode()
    assert [one.key for one in read(document(body)) if isinstance(one, Entry)] == ["a"]
    assert is_likely(document(body))


# Bad input


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"resources":{}}', b'{"resources":null}', b"[" * 100_000],
)
def test_what_is_no_package_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        list(read(document(body)))


def test_a_document_is_recognized_by_its_list_of_resources() -> None:
    assert is_likely(document({"resources": []}))
    assert not is_likely(document({"title": '"resources": ['}))
    assert not is_likely(document(b"[]"))
