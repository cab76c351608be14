"""Listings of a bucket by moto, which speaks S3."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
import requests

from staticstore.formats import s3
from tests.formats.walk import walk
from tests.servers import S3Server

pytest.importorskip("moto")

PATIENCE = 10.0
VALUES = {
    "a.txt": b"first",
    "maps/a b+c.txt": b"signs",
    "maps/100%.txt": b"percent",
    "maps/é/日本.txt": b"letters",
    "maps/x&y<z>.txt": b"marks",
    "maps/q?r#s.txt": b"query",
    "other/b.txt": b"other",
}


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with S3Server() as server:
        url = server.bucket("data")
        for name, body in {**VALUES, "maps/": b""}.items():
            answer = requests.put(
                f"{url}/{quote(name)}",
                data=body,
                headers={"x-amz-acl": "public-read"},
                timeout=PATIENCE,
            )
            answer.raise_for_status()
        yield url


def bodies(url: str) -> dict[str, bytes]:
    found = walk(s3.read, url)
    return {key: requests.get(place, timeout=PATIENCE).content for key, (_, place) in found.items()}


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("query", ["list-type=2", "list-type=2&max-keys=2", "max-keys=3", ""])
def test_every_object_of_a_bucket_is_found_with_its_url(
    bucket: str, slash: str, query: str
) -> None:
    assert bodies(f"{bucket}{slash}?{query}") == VALUES


@pytest.mark.parametrize("query", ["list-type=2", "list-type=2&max-keys=2"])
def test_encoded_names_are_decoded(bucket: str, query: str) -> None:
    assert bodies(f"{bucket}?{query}&encoding-type=url") == VALUES


def test_a_prefix_is_a_folder(bucket: str) -> None:
    below = {key.removeprefix("maps/"): v for key, v in VALUES.items() if key.startswith("maps/")}
    assert bodies(f"{bucket}?list-type=2&prefix=maps/&max-keys=2") == below


def test_a_delimiter_lists_one_level(bucket: str) -> None:
    assert list(walk(s3.read, f"{bucket}?list-type=2&delimiter=/")) == ["a.txt"]


def test_size_and_etag_are_those_of_the_object(bucket: str) -> None:
    metadata, url = walk(s3.read, f"{bucket}?list-type=2")["a.txt"]
    head = requests.head(url, timeout=PATIENCE).headers
    assert (str(metadata["size"]), f'"{metadata["etag"]}"') == (
        head["Content-Length"],
        head["ETag"],
    )
