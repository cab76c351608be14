"""Where a bucket is: the URL of https that it becomes."""

from __future__ import annotations

from pathlib import Path

import pytest

from staticstore.transport.buckets.location import BucketLocation
from staticstore.transport.http.root import Root, roots_of


def url_of(text: str, endpoint: str | None = None, region: str | None = None) -> str:
    return BucketLocation.parse(text, endpoint, region).url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("s3://maps", "https://maps.s3.us-east-1.amazonaws.com/"),
        ("S3://maps/a/b", "https://maps.s3.us-east-1.amazonaws.com/a/b/"),
        ("s3://maps/a/b/", "https://maps.s3.us-east-1.amazonaws.com/a/b/"),
        ("s3://maps.example/a", "https://s3.us-east-1.amazonaws.com/maps.example/a/"),
        ("s3://Old_Maps/a", "https://s3.us-east-1.amazonaws.com/Old_Maps/a/"),
        ("s3://maps/é x+%41", "https://maps.s3.us-east-1.amazonaws.com/%C3%A9%20x%2BA/"),
        ("gs://maps_1.example.org/a", "https://storage.googleapis.com/maps_1.example.org/a/"),
        ("s3://maps?region=cn-north-1", "https://maps.s3.cn-north-1.amazonaws.com.cn/"),
        ("s3://maps?endpoint=https://minio.example:9000", "https://minio.example:9000/maps/"),
    ],
)
def test_a_bucket_becomes_a_url_of_https(text: str, url: str) -> None:
    assert url_of(text) == url


def test_an_endpoint_has_the_bucket_in_its_path() -> None:
    assert url_of("s3://maps/a", "http://127.0.0.1:5000/") == "http://127.0.0.1:5000/maps/a/"
    assert url_of("gs://maps/a", "http://127.0.0.1:5000") == "http://127.0.0.1:5000/maps/a/"


def test_the_container_of_azure_belongs_to_the_account_in_the_environment(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("AZURE_STORAGE_ACCOUNT_NAME", "survey")
    assert url_of("az://$web/a") == "https://survey.blob.core.windows.net/$web/a/"


def test_a_container_without_an_account_says_what_to_set() -> None:
    with pytest.raises(ValueError, match="AZURE_STORAGE_ACCOUNT_NAME"):
        url_of("az://maps")


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_comes_from_the_environment(name: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv(name, "eu-north-1")
    assert url_of("s3://maps") == "https://maps.s3.eu-north-1.amazonaws.com/"
    assert url_of("s3://maps", region="eu-west-1") == "https://maps.s3.eu-west-1.amazonaws.com/"


def test_the_region_comes_from_the_profile(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[profile survey]\nregion = eu-south-2\n")
    environment.setenv("AWS_PROFILE", "survey")
    assert url_of("s3://maps") == "https://maps.s3.eu-south-2.amazonaws.com/"


def test_the_endpoint_comes_from_the_profile_unless_the_environment_has_one(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/config").write_text("[default]\nendpoint_url = http://minio.example:9000\n")
    assert url_of("s3://maps") == "http://minio.example:9000/maps/"
    assert url_of("gs://maps") == "https://storage.googleapis.com/maps/"
    environment.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert url_of("s3://maps") == "https://maps.s3.us-east-1.amazonaws.com/"
    environment.setenv("AWS_ENDPOINT_URL", "http://other.example")
    assert url_of("s3://maps") == "http://other.example/maps/"


def test_the_endpoint_comes_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL", "http://minio.example:9000")
    assert url_of("s3://maps") == "http://minio.example:9000/maps/"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("s3://ali:open-sesame@maps/a", "no user and password"),
        ("s3://", "names no bucket"),
        ("s3:///a", "names no bucket"),
        ("s3://maps:9000/a", "names no bucket: .*, and 'maps:9000' is no bucket's name"),
        ("s3://maps/a#b", "fragment"),
        ("s3://maps/a//b", "empty segment"),
        ("s3://maps/a/../b", "empty segment"),
        ("s3://maps/%2e%2e/b", "empty segment"),
        ("s3://maps?X-Amz-Signature=open-sesame", "at most endpoint, region"),
        ("s3://maps?region=", "at most endpoint, region"),
        ("s3://maps?region=a&region=b", "at most endpoint, region"),
        ("gs://maps?region=open-sesame", "at most endpoint"),
        ("s3://maps?region=eu/../open-sesame", "region is a name"),
        ("s3://maps?endpoint=ftp://open-sesame", "endpoint is a URL"),
        ("s3://maps?endpoint=https://ali:open-sesame@x", "endpoint is a URL"),
        ("s3://maps?endpoint=https://[open-sesame", "endpoint is a URL"),
        ("s3://maps?endpoint=https://minio.example%3F", "endpoint is a URL"),
        ("s3://maps?endpoint=https://minio.example%23", "endpoint is a URL"),
        ("s3://maps?endpoint=https://minio.example/%0Aa", "endpoint is a URL"),
    ],
)
def test_what_names_no_bucket_is_refused_and_not_repeated(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        Root(text)
    assert "open-sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["s3://maps/a%20b", "gs://maps/a", "az://maps/a?endpoint=https://x.blob.core.windows.net"],
)
def test_its_location_names_the_same_place_where_the_environment_differs(
    text: str, environment: pytest.MonkeyPatch
) -> None:
    root = Root(text, region="eu-west-3" if text.startswith("s3") else None)
    environment.setenv("AWS_REGION", "eu-central-1")
    environment.setenv("AWS_ENDPOINT_URL", "http://other.example")
    environment.setenv("AZURE_STORAGE_ACCOUNT_NAME", "other")
    if not text.startswith("s3"):
        assert Root(root.location).url == root.url
    environment.delenv("AWS_ENDPOINT_URL")
    assert Root(root.location).url == root.url


def test_an_endpoint_without_a_bucket_is_refused() -> None:
    with pytest.raises(ValueError, match="roots in buckets"):
        roots_of("https://data.example.org/", endpoint="https://minio.example")
    with pytest.raises(ValueError, match="roots at S3"):
        roots_of("gs://maps", region="eu-west-3")


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-west-3", "https://maps.s3.eu-west-3.amazonaws.com/a/"),
        ("cn-north-1", "https://maps.s3.cn-north-1.amazonaws.com.cn/a/"),
        ("us-gov-west-1", "https://maps.s3.us-gov-west-1.amazonaws.com/a/"),
        *((name, None) for name in ("us-east-1", "s3", "evil", "a.b-c-1", "eu-west-1/", "x@y-z-1")),
        *((name, None) for name in ("", "EU-WEST-1", "eu-west-1\n", "eu-west-1#", "s3-eu-west-1")),
    ],
)
def test_the_host_of_another_region_is_made_of_its_name(region: str, url: str | None) -> None:
    bucket = BucketLocation.parse("s3://maps/a", None, "us-east-1").in_region(region)
    assert (bucket and bucket.url) == url


def test_another_region_at_an_endpoint_is_the_same_host() -> None:
    bucket = BucketLocation.parse("s3://maps/a", "https://garage.example", "us-east-1")
    moved = bucket.in_region("garage")
    assert moved is not None
    assert (moved.url, moved.region) == (bucket.url, "garage")
    assert bucket.in_region("a b") is bucket.in_region("us-east-1") is None
