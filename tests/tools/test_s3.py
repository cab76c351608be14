"""S3 and CloudFront: moto, which speaks S3, and boto take what docs/hosting shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
import requests

from staticstore import StaticStore
from staticstore.site.push import push
from tests.servers import S3Server
from tests.tools.web_server import LINES, ORIGIN, TIMEOUT, VALUES, listed

pytest.importorskip("moto")
boto3 = pytest.importorskip("boto3")
botocore_session = pytest.importorskip("botocore.session")
botocore_validate = pytest.importorskip("botocore.validate")

BUCKET = "my-bucket"


class Bucket(NamedTuple):
    """An empty bucket that nobody but its owner may read."""

    endpoint: str
    url: str
    client: Any


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ali")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
    with S3Server() as server:
        client = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield Bucket(server.url, f"{server.url}/{BUCKET}/", client)


def _json(name: str) -> Any:
    return json.loads((LINES / name).read_bytes())


def test_the_policy_opens_the_site_in_a_bucket_and_nothing_else(
    bucket: Bucket, hosted_site: Path, session: requests.Session
) -> None:
    push(hosted_site, f"s3://{BUCKET}", endpoint=bucket.endpoint, region="us-east-1")
    bucket.client.put_object(Bucket=BUCKET, Key=".staticstore/push.json", Body=b"{}")
    assert session.get(f"{bucket.url}index.json", timeout=TIMEOUT).status_code == 403
    bucket.client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(_json("s3-policy.json")))
    there = bucket.client.list_objects_v2(Bucket=BUCKET)["Contents"]
    for path in {one["Key"] for one in there} - {".nojekyll", ".staticstore/push.json"}:
        assert session.get(bucket.url + quote(path), timeout=TIMEOUT).status_code == 200
    notes = session.get(f"{bucket.url}.staticstore/push.json", timeout=TIMEOUT)
    assert notes.status_code == 403
    with StaticStore(bucket.url, poll_interval=0) as store:
        assert dict(store.read_many(VALUES)) == VALUES
        assert not store.update_index()


def test_the_rules_of_a_bucket_let_other_origins_see_ranges(
    bucket: Bucket, hosted_site: Path, session: requests.Session
) -> None:
    push(hosted_site, f"s3://{BUCKET}", endpoint=bucket.endpoint, region="us-east-1")
    bucket.client.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(_json("s3-policy.json")))
    bucket.client.put_bucket_cors(Bucket=BUCKET, CORSConfiguration=_json("s3-cors.json"))
    answer = session.get(
        f"{bucket.url}data/small/000.txt", headers={"Range": "bytes=0-3"}, timeout=TIMEOUT
    )
    assert answer.status_code == 206
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", ORIGIN)
    assert listed(answer, "Access-Control-Expose-Headers") >= {"content-range", "etag"}


@pytest.mark.parametrize(
    ("name", "operation", "parameter"),
    [
        ("cloudfront-cache-policy.json", "CreateCachePolicy", "CachePolicyConfig"),
        (
            "cloudfront-response-headers-policy.json",
            "CreateResponseHeadersPolicy",
            "ResponseHeadersPolicyConfig",
        ),
    ],
)
def test_the_policies_for_cloudfront_are_what_its_interface_takes(
    name: str, operation: str, parameter: str
) -> None:
    service = botocore_session.get_session().get_service_model("cloudfront")
    shape = service.operation_model(operation).input_shape
    report = botocore_validate.ParamValidator().validate({parameter: _json(name)}, shape)
    assert not report.has_errors(), report.generate_report()
    for lists in _objects(_json(name)):
        if "Items" in lists:
            assert lists["Quantity"] == len(lists["Items"])


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from _objects(part)
