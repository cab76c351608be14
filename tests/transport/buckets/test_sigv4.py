"""Signature Version 4, against what Amazon and Google have published, and against botocore."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import pytest

from staticstore.transport.buckets.sigv4 import AWS, GOOGLE_RSA, Scope, presigned, signed

AT = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)
IDENTITY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
# Of Amazon's "Authenticating Requests: Using the Authorization Header" and "Query Parameters".
OF_AMAZON = Scope(AWS, IDENTITY, "us-east-1", datetime(2013, 5, 24, tzinfo=UTC))

URLS = [
    "https://maps.s3.eu-central-1.amazonaws.com/site/index.json",
    "https://maps.s3.eu-central-1.amazonaws.com:443/site/data/a",
    "http://127.0.0.1:5000/maps/data/100%25%20%2B%20%3F%23%3B%26%3D%C3%A9/%E6%97%A5%5Bx%5D~.txt",
    "https://maps.s3.eu-central-1.amazonaws.com/data/a.tif?sha256=00ff",
    "https://maps.s3.eu-central-1.amazonaws.com/?b=2&a=%20x&empty=",
]


def test_the_header_fields_are_those_of_amazons_example() -> None:
    url = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J"
    fields = signed(OF_AMAZON, OF_AMAZON.with_secret(SECRET), "GET", url, {})
    assert fields["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )


def test_the_url_is_that_of_amazons_example() -> None:
    url = "https://examplebucket.s3.amazonaws.com/test.txt"
    found = presigned(OF_AMAZON, OF_AMAZON.with_secret(SECRET), url, 86400)
    assert found == (
        f"{url}?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def _botocore(kind: str, token: str | None, **options: Any) -> Any:
    auth = pytest.importorskip("botocore.auth")
    credentials = pytest.importorskip("botocore.credentials").Credentials(IDENTITY, SECRET, token)
    return getattr(auth, kind)(credentials, "s3", "eu-central-1", **options)


def _aws_request(method: str, url: str, fields: dict[str, str]) -> Any:
    awsrequest = pytest.importorskip("botocore.awsrequest")
    return awsrequest.AWSRequest(method=method, url=url, headers=fields)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("token", [None, "FQoGZXIvYXdzEBY/+="])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_header_fields_are_those_of_botocore(method: str, token: str | None, url: str) -> None:
    own = {"Range": "bytes=0-9", "x-amz-request-payer": "requester"}
    request = _aws_request(method, url, {"x-amz-request-payer": "requester"})
    auth = _botocore("S3SigV4Auth", token)
    with patch("botocore.auth.get_current_datetime", lambda: AT.replace(tzinfo=None)):
        auth.add_auth(request)
    scope = Scope(AWS, IDENTITY, "eu-central-1", AT)
    found = signed(scope, scope.with_secret(SECRET), method, url, own, token)
    assert found["Authorization"] == request.headers["Authorization"]
    for name, value in found.items():
        assert request.headers[name] == value


@pytest.mark.parametrize("url", [url.partition("?")[0] for url in URLS])
@pytest.mark.parametrize("token", [None, "FQoGZXIvYXdzEBY/+="])
def test_the_url_is_that_of_botocore(token: str | None, url: str) -> None:
    request = _aws_request("GET", url, {})
    auth = _botocore("S3SigV4QueryAuth", token, expires=3600)
    with patch("botocore.auth.get_current_datetime", lambda: AT.replace(tzinfo=None)):
        auth.add_auth(request)
    scope = Scope(AWS, IDENTITY, "eu-central-1", AT)
    found = presigned(scope, scope.with_secret(SECRET), url, 3600, token)
    assert found.partition("?")[0] == url
    assert parse_qs(urlsplit(found).query) == parse_qs(urlsplit(request.url).query)


# Google's conformance tests of signed URLs (googleapis/conformance-tests, Apache 2.0): the
# account, the public half of its key, and signatures that it has made.
ACCOUNT = "test-iam-credentials@dummy-project-id.iam.gserviceaccount.com"
MODULUS = int(
    "ac3f3322ac8a2db5f436af28d098f5a871211e1a8edfed0e3fb4c4171e55c5ce8f77006814dadf9c9448fd2f99683612"
    "d5abebe4faa9a7c83cf9434e32f23556c8c633cc634dac6456ff2698aa7aa52990b2d4eddb9a736357b1036c2fe31356"
    "4b058d14dc76921df9fa4bd343f0c5dd803d3fba54535b0ababd4f3fc3a8b9b58b14ee7d8b2e54139757d0eff7a63bd9"
    "d87021497b31d955ad0799e5ac747c16b28934b24c10610348ccfdc917d0694798094f680d81ee8aa290deb0978ba0bc"
    "da5fb7149c39fe0809e72ee2c3c304ac2152b257184116c1573e9960a5a411c261b3c046dffd7a6df6aa36eb0d943209"
    "f7d23b0e68a9527805fc712e95885fad",
    16,
)
SIMPLE = (
    "https://storage.googleapis.com/test-bucket/test-object",
    "2019-02-01T09:00:00Z",
    10,
    "95e6a13d43a1d1962e667f17397f2b80ac9bdd1669210d5e08e0135df9dff4e56113485dbe429ca2266487b9d1796ebd"
    "ee2d7cf682a6ef3bb9fbb4c351686fba90d7b621cf1c4eb1fdf126460dd25fa0837dfdde0a9fd98662ce60844c458448"
    "fb2b352c203d9969cb74efa4bdb742287744a4f2308afa4af0e0773f55e32e92973619249214b97283b2daa141952444"
    "44e33f938138d1e5f561088ce8011f4986dda33a556412594db7c12fc40e1ff3f1bedeb7a42f5bcda0b9567f17f65855"
    "f65071fabb88ea12371877f3f77f10e1466fff6ff6973b74a933322ff0949ce357e20abe96c3dd5cfab42c9c83e740a4"
    "d32b9e11e146f0eb3404d2e975896f74",
)
LATER = (
    "https://storage.googleapis.com/test-bucket/test-object",
    "2019-03-01T09:00:00Z",
    20,
    "9669ed5b10664dc594c758296580662912cf4bcc5a4ba0b6bf055bcbf6f34eed7bdad664f534962174a924741a0c273a"
    "4f67bc1847cef20192a6beab44223bd9d4fbbd749c407b79997598c30f82ddc269ff47ec09fa3afe74e00616d438df0d"
    "96a7d8ad0adacfad1dc3286f864d924fe919fb0dce45d3d975c5afe8e13af2db9cc37ba77835f92f7669b61e94c6d562"
    "196c1274529e76cfff1564cc2cad7d5387dc8e12f7a5dfd925685fe92c30b43709eee29fa2f66067472cee5423d1a3a4"
    "182fe8cea75c9329d181dc6acad7c393cd04f8bf5bc0515127d8ebd65d80c08e19ad03316053ea60033fd1b1fd85a69c"
    "576415da3bf0a3718d9ea6d03e0d66f0",
)


@pytest.mark.parametrize(("url", "time", "seconds", "signature"), [SIMPLE, LATER])
def test_what_is_signed_for_google_is_what_its_conformance_tests_sign(
    url: str, time: str, seconds: int, signature: str
) -> None:
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    padding = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.padding")
    hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
    texts = []

    def sign(text: bytes) -> str:
        texts.append(text)
        return signature

    at = datetime.fromisoformat(time)
    found = presigned(Scope(GOOGLE_RSA, ACCOUNT, "auto", at), sign, url, seconds)
    assert found == (
        f"{url}?X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential="
        "test-iam-credentials%40dummy-project-id.iam.gserviceaccount.com"
        f"%2F{at:%Y%m%d}%2Fauto%2Fstorage%2Fgoog4_request&X-Goog-Date={at:%Y%m%dT%H%M%SZ}"
        f"&X-Goog-Expires={seconds}&X-Goog-SignedHeaders=host&X-Goog-Signature={signature}"
    )
    key = rsa.RSAPublicNumbers(65537, MODULUS).public_key()
    key.verify(bytes.fromhex(signature), texts[0], padding.PKCS1v15(), hashes.SHA256())
