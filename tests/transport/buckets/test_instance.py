"""The metadata services of clouds, as a script answers for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from staticstore import AuthorizationError
from staticstore.transport.buckets.credentials import bucket_authentication
from staticstore.transport.buckets.instance import instance_credentials
from staticstore.transport.buckets.location import BucketLocation
from tests.servers import RawServer, Request, Wire

Start = Callable[..., RawServer]

SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
OF_AWS = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "open-sesame",
    "Token": "FQoGZ",
    "Expiration": SOON.strftime("%Y-%m-%dT%H:%M:%SZ"),
}
AS_OBSTORE = {
    "access_key_id": "ASIAEXAMPLE",
    "secret_access_key": "open-sesame",
    "token": "FQoGZ",
    "expires_at": SOON,
}


def ec2(request: Request, wire: Wire) -> None:
    """Answer as the service of EC2 in its second version, which wants a token."""
    path = "/latest/meta-data/iam/security-credentials/"
    if (request.method, request.path) == ("PUT", "/latest/api/token"):
        assert request.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        wire.response(200, b"a-token")
    elif request.headers.get("X-aws-ec2-metadata-token") != "a-token":
        wire.response(401)
    elif request.path == path:
        wire.response(200, b"reader")
    else:
        assert request.path == f"{path}reader"
        wire.response(200, json.dumps(OF_AWS).encode())


def says(fields: dict[str, Any], **wanted: str) -> Any:
    """Answer with JSON to a request that has some header fields."""

    def answer(request: Request, wire: Wire) -> None:
        has = all(request.headers.get(n.replace("_", "-")) == wanted[n] for n in wanted)
        wire.response(200 if has else 403, json.dumps(fields).encode())

    return answer


def test_an_instance_of_ec2_is_asked_with_a_token(
    start: Start, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", start(ec2).url)
    assert instance_credentials("s3") == AS_OBSTORE


def test_a_container_of_aws_is_asked_where_its_environment_says(
    start: Start, environment: pytest.MonkeyPatch
) -> None:
    server = start(says(OF_AWS, Authorization="open-sesame"))
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}credentials")
    environment.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "open-sesame")
    assert instance_credentials("s3") == AS_OBSTORE


def test_a_containers_token_is_not_sent_in_the_clear_to_another_machine(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://data.example/credentials")
    with pytest.raises(AuthorizationError, match="ValueError"):
        instance_credentials("s3")


def test_a_machine_of_google_is_asked(start: Start, environment: pytest.MonkeyPatch) -> None:
    fields = {"access_token": "open-sesame", "expires_in": 3600}
    server = start(says(fields, Metadata_Flavor="Google"))
    environment.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://").rstrip("/"))
    found = instance_credentials("gs")
    assert found["token"] == "open-sesame"
    assert found["expires_at"] > datetime.now(UTC) + timedelta(minutes=59)


def test_a_machine_of_azure_is_asked(start: Start, environment: pytest.MonkeyPatch) -> None:
    fields = {"access_token": "open-sesame", "expires_on": str(int(SOON.timestamp()))}
    environment.setenv(
        "AZURE_POD_IDENTITY_AUTHORITY_HOST", start(says(fields, Metadata="true")).url
    )
    assert instance_credentials("az") == {"token": "open-sesame", "expires_at": SOON}


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b"[" * 5_000])
def test_what_is_no_credential_is_an_authorization_error(
    start: Start, environment: pytest.MonkeyPatch, body: bytes
) -> None:
    server = start(lambda request, wire: wire.response(200, body))
    environment.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
    with pytest.raises(AuthorizationError, match="metadata service") as caught:
        instance_credentials("s3")
    assert "html" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b'Content-Length: 41\r\n\r\n{"access_token": "a", "expires_in": 1e30}',
        b'Content-Length: 43\r\n\r\n{"access_token": "a", "expires_in": 1e9999}',
    ],
    ids=["gzip", "chunks", "years", "infinity"],
)
def test_an_answer_that_cannot_be_used_is_an_authorization_error(
    start: Start, environment: pytest.MonkeyPatch, answer: bytes
) -> None:
    server = start(lambda request, wire: wire.send(b"HTTP/1.1 200 OK\r\n" + answer))
    environment.setenv("GCE_METADATA_HOST", server.url.removeprefix("http://").rstrip("/"))
    with pytest.raises(AuthorizationError, match="metadata service"):
        instance_credentials("gs")


def test_the_service_is_asked_if_auth_says_so(
    start: Start, environment: pytest.MonkeyPatch
) -> None:
    server = start(ec2)
    environment.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url)
    bucket = BucketLocation.parse("s3://maps", None, "eu-west-3")
    with pytest.raises(AuthorizationError, match="--instance"):
        bucket_authentication(None, bucket, anonymous=False)
    assert not server.requests
    bucket_authentication("instance", bucket, anonymous=False)
    assert server.requests
