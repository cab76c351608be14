"""FAULTS D15 to D18: sites in buckets, on a host that answers as those of the providers."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPBasicAuth

from staticstore import AuthorizationError, HTTPStatusError, StaticStore, StoreError
from staticstore.signals import request_finished
from staticstore.transport.buckets.location import BucketLocation
from tests.servers import Answer, RawServer, Request, Wire, serve_files
from tests.sites import index_of
from tests.transport.buckets.conftest import environment  # noqa: F401

VALUE = b"0123456789" * 100
FILES = {"maps/a/index.json": index_of({"a": VALUE}), "maps/a/data/a": VALUE}
SITE = serve_files(FILES)
KEY = ("AKIDEXAMPLE", "open-sesame")
AZURE_KEY = "b3Blbi1zZXNhbWU="  # open-sesame
SECRETS = ("open-sesame", AZURE_KEY)
SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-3/s3/aws4_request, "
    r"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=([0-9a-f]{64})"
)

Start = Callable[..., RawServer]
Connect = Callable[..., StaticStore]


@pytest.fixture
def connect(stack: ExitStack) -> Connect:
    """Connect to a bucket of a server."""

    def connect(server: RawServer, scheme: str = "s3", **options: Any) -> StaticStore:
        region = "eu-west-3" if scheme == "s3" else None
        root = f"{scheme}://maps/a"
        store = StaticStore(root, poll_interval=0, endpoint=server.url, region=region)
        stack.callback(store.disconnect)
        options = {"auth": KEY, **options}
        return store.connect(timeout=(2, 2), **{"retries": 0, **options})

    return connect


def refuses(status: int, body: str = "", **fields: str) -> Answer:
    """Refuse every request."""

    def answer(request: Request, wire: Wire) -> None:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        wire.response(status, b"" if request.method == "HEAD" else body.encode(), headers=headers)

    return answer


def said(code: str, more: str = "") -> str:
    return f'<?xml version="1.0"?>\n<Error><Code>{code}</Code><Message>x</Message>{more}</Error>'


# -- D15: what is wrong before a request


def test_d15_without_credentials_nothing_is_requested(start: Start, connect: Connect) -> None:
    server = start(SITE)
    with pytest.raises(AuthorizationError, match="no credentials were found for s3://maps/a/"):
        connect(server, auth=None)
    assert not server.requests


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
@pytest.mark.parametrize(
    "auth", ["netrc", 5, {"password": "open-sesame"}, ("open-sesame",), {"token": "a\nb"}, ("a", 5)]
)
def test_d15_credentials_of_another_form_are_refused_and_not_repeated(
    start: Start, connect: Connect, scheme: str, auth: Any
) -> None:
    server = start(SITE)
    with pytest.raises((TypeError, ValueError)) as caught:
        connect(server, scheme, auth=auth)
    assert "open-sesame" not in str(caught.value)
    assert not server.requests


def test_d15_credentials_beside_anonymous_are_refused(start: Start, connect: Connect) -> None:
    with pytest.raises(ValueError, match="leave out auth"):
        connect(start(SITE), anonymous=True)
    with pytest.raises(ValueError, match="roots in buckets"):
        StaticStore("https://data.example.org/").connect(anonymous=True)


# -- D16: what the host says


def late(request: Request, wire: Wire) -> None:
    """Refuse as a host whose clock is 40 minutes behind."""
    date = format_datetime(datetime.now(UTC) - timedelta(minutes=40), usegmt=True)
    refuses(403, said("RequestTimeTooSkewed"), Date=date)(request, wire)


REFUSALS: dict[str, tuple[Answer, type[Exception], str]] = {
    "another region": (
        refuses(301, said("PermanentRedirect"), x_amz_bucket_region="eu-central-1"),
        HTTPStatusError,
        r"region eu-central-1: give region='eu-central-1'",
    ),
    "another region of the signature": (
        refuses(400, said("AuthorizationHeaderMalformed", "<Region>eu-south-2</Region>")),
        HTTPStatusError,
        r"region eu-south-2: give region='eu-south-2'",
    ),
    "expired": (refuses(400, said("ExpiredToken")), AuthorizationError, "have expired"),
    "unknown key": (
        refuses(403, said("InvalidAccessKeyId")),
        AuthorizationError,
        "does not know the access key",
    ),
    "wrong secret": (
        refuses(403, said("SignatureDoesNotMatch")),
        AuthorizationError,
        "does not belong to the access key",
    ),
    "clock": (
        late,
        AuthorizationError,
        "clock is 40 minutes ahead of the host's",
    ),
    "requester pays": (
        refuses(403, said("AccessDenied")),
        AuthorizationError,
        "if the requester pays for this bucket",
    ),
    "no bucket": (refuses(404, said("NoSuchBucket")), HTTPStatusError, "no bucket or container"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_d16_the_error_says_what_is_wrong_and_what_to_do(
    start: Start, connect: Connect, name: str
) -> None:
    answer, kind, message = REFUSALS[name]
    with pytest.raises(kind, match=message):
        connect(start(answer))


def in_region(region: str, **fields: str) -> Answer:
    """Answer as a host that takes only signatures for a region, and names it."""

    def answer(request: Request, wire: Wire) -> None:
        if f"/{region}/s3/" in request.headers.get("Authorization", ""):
            SITE(request, wire)
        elif fields:
            refuses(301, said("PermanentRedirect"), **fields)(request, wire)
        else:
            more = f"<Region>{region}</Region>"
            refuses(400, said("AuthorizationHeaderMalformed", more))(request, wire)

    return answer


@pytest.mark.parametrize(
    "host",
    [in_region("garage"), in_region("eu-central-1", x_amz_bucket_region="eu-central-1")],
    ids=["body", "field"],
)
def test_d16_a_bucket_is_followed_to_its_region_once_and_remembered(
    start: Start, connect: Connect, host: Answer
) -> None:
    server = start(host)
    store = connect(server)
    before = [one for one in server.requests if "/eu-west-3/" in one.headers["Authorization"]]
    assert len(before) == 1
    assert store["a"].read() == VALUE
    assert dict(store.read_many(["a", "a"])) == {"a": VALUE}
    assert store["a"].range(2, 4).read() == b"23"
    after = [one for one in server.requests if "/eu-west-3/" in one.headers["Authorization"]]
    assert after == before


def test_d16_the_host_of_the_region_is_made_and_not_believed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host that another region has gets signatures for it alone."""
    evil, there = start(SITE), start(in_region("eu-central-1"))

    def elsewhere(request: Request, wire: Wire) -> None:
        fields = {"Location": f"{evil.url}maps/a/", "x-amz-bucket-region": "eu-central-1"}
        wire.response(301, said("PermanentRedirect").encode(), headers=fields)

    here = start(elsewhere)
    hosts = {"eu-west-3": here, "eu-central-1": there}
    url = property(lambda bucket: f"{hosts[bucket.region].url}{bucket.name}/{bucket.prefix}")
    monkeypatch.setattr(BucketLocation, "url", url)
    store = StaticStore("s3://maps/a", region="eu-west-3", poll_interval=0).connect(auth=KEY)
    with store:
        assert store["a"].read() == VALUE
        assert dict(store.read_many(["a"])) == {"a": VALUE}
        assert store["a"].url == f"{there.url}maps/a/data/a"
    assert len(here.requests) == 1
    assert evil.requests == []
    assert all("/eu-central-1/s3/" in one.headers["Authorization"] for one in there.requests)


def test_d16_a_host_that_names_other_regions_again_and_again_is_followed_once(
    start: Start, connect: Connect
) -> None:
    regions = iter(["eu-north-1", "eu-south-1", "eu-north-1"])

    def wanders(request: Request, wire: Wire) -> None:
        answer = refuses(301, said("PermanentRedirect"), x_amz_bucket_region=next(regions))
        answer(request, wire)

    server = start(wanders)
    with pytest.raises(HTTPStatusError, match="region eu-south-1: give region='eu-south-1'"):
        connect(server)
    assert len(server.requests) == 2


def test_d16_an_authentication_of_ones_own_is_not_sent_elsewhere(
    start: Start, connect: Connect
) -> None:
    server = start(in_region("eu-central-1"))
    with pytest.raises(HTTPStatusError, match="give region='eu-central-1'"):
        connect(server, auth=HTTPBasicAuth("ali", "open-sesame"))
    assert len(server.requests) == 1


def test_d16_a_region_that_is_no_name_is_not_repeated(start: Start, connect: Connect) -> None:
    odd = refuses(301, said("PermanentRedirect"), x_amz_bucket_region="\x1b[2J")
    with pytest.raises(HTTPStatusError, match="in another region"):
        connect(start(odd))


def test_d16_credentials_that_expire_while_a_store_lives_are_no_missing_head(
    start: Start, connect: Connect
) -> None:
    answers: list[Answer] = [SITE]
    store = connect(start(lambda request, wire: answers[-1](request, wire)))
    answers.append(refuses(400, said("ExpiredToken")))
    with pytest.raises(AuthorizationError, match="have expired"):
        store.update_index()
    assert list(store) == ["a"]


def test_d16_a_head_that_may_not_be_read_is_absent(start: Start, connect: Connect) -> None:
    site = SITE.but({"maps/a/index.head.json": refuses(403, said("AccessDenied"))})
    assert connect(start(site))["a"].read() == VALUE


def test_d16_a_refusal_without_an_end_is_read_no_further_than_needed(
    start: Start, connect: Connect
) -> None:
    def endless(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9999999999\r\n\r\n")
        wire.send(b"<Error><Code>AccessDenied</Code>" + b" " * (1 << 15))

    with pytest.raises(AuthorizationError, match="403 Forbidden"):
        connect(start(endless))


# -- D17: each request is signed, and for this host only


def test_d17_each_request_is_signed_anew(start: Start, connect: Connect) -> None:
    server = start(SITE)
    store = connect(server)
    value = store["a"]
    assert value.read() == VALUE
    assert value.range(3, 5).read() == b"34"
    assert store["a"].etag
    requests = [one for one in server.requests if one.method in ("GET", "HEAD")]
    assert {one.method for one in requests} == {"GET", "HEAD"}
    for one in requests:
        assert SIGNED.fullmatch(one.headers["Authorization"])
    signatures = {one.headers["Authorization"] for one in requests}
    assert len(signatures) >= len({(one.method, one.target) for one in requests})


def test_d17_a_retry_and_a_query_past_caches_are_signed(start: Start, connect: Connect) -> None:
    def once_wrong(request: Request, wire: Wire) -> None:
        if "?sha256=" in request.target:
            SITE(request, wire)
        elif failures:
            failures.pop()
            wire.response(503, b"")
        else:
            wire.response(200, bytes(len(VALUE)))

    failures = [503]
    server = start(SITE.but({"maps/a/data/a": once_wrong}))
    assert connect(server, retries=2)["a"].read() == VALUE
    last = [one for one in server.requests if "data/a" in one.target]
    assert len(last) == 4
    for one in last:
        assert SIGNED.fullmatch(one.headers["Authorization"])
    assert last[-1].headers["Authorization"] != last[-2].headers["Authorization"]


@pytest.mark.parametrize(
    ("scheme", "auth"),
    [
        ("s3", KEY),
        ("gs", {"token": "open-sesame"}),
        ("az", ("survey", AZURE_KEY)),
        ("az", {"sas_token": "sv=2021&sig=open-sesame"}),
    ],
)
def test_d17_a_redirect_to_another_host_gets_no_signature(
    start: Start, connect: Connect, scheme: str, auth: Any
) -> None:
    other = start(SITE)

    def away(request: Request, wire: Wire) -> None:
        wire.response(307, headers={"Location": f"{other.url}maps/a/data/a"})

    store = connect(start(SITE.but({"maps/a/data/a": away})), scheme, auth=auth)
    assert store["a"].read() == VALUE
    (request,) = other.requests
    assert "Authorization" not in request.headers
    assert not any(name.lower().startswith("x-amz-") for name in request.headers)
    assert "?" not in request.target


def test_d17_anonymous_requests_have_no_signature(start: Start, connect: Connect) -> None:
    server = start(SITE)
    assert connect(server, auth=None, anonymous=True)["a"].read() == VALUE
    assert not any("Authorization" in one.headers for one in server.requests)


def test_d17_a_copy_elsewhere_gets_no_explicit_credentials(start: Start) -> None:
    first, copy = start(SITE), start(SITE)
    roots = ["s3://maps/a?region=eu-west-3&endpoint=" + first.url, copy.url + "maps/a"]
    with StaticStore(roots, poll_interval=0).connect(auth=KEY) as store:
        first.stop()
        assert store["a"].read() == VALUE
    assert copy.requests
    assert not any("Authorization" in one.headers for one in copy.requests)


# -- D18: no secret leaks


def _shown(store: StaticStore) -> list[str]:
    value = store["a"]
    return [repr(store), value.url, repr(value), repr(store.info()), repr(pickle.dumps(store))]


@pytest.mark.parametrize(
    ("scheme", "auth"),
    [
        (
            "s3",
            {"access_key_id": "ali", "secret_access_key": "open-sesame", "token": "open-sesame"},
        ),
        ("gs", {"token": "open-sesame"}),
        ("az", ("survey", AZURE_KEY)),
        ("az", {"sas_token": "sv=2021&sig=open-sesame"}),
    ],
)
def test_d18_no_secret_is_in_a_repr_a_url_an_error_a_pickle_or_a_report(
    start: Start, connect: Connect, scheme: str, auth: Any
) -> None:
    urls = []

    def note(sender: object, *, url: str, error: object, **others: object) -> None:
        urls.append(f"{url} {error!r} {vars(error) if error else ''}")

    site = SITE.but({"maps/a/data/a": refuses(403, said("AccessDenied"))})
    with request_finished.connected_to(note):
        store = connect(start(site), scheme, auth=auth)
        with pytest.raises(StoreError) as caught:
            store["a"].read()
    shown = [*_shown(store), *urls, str(caught.value), repr(vars(caught.value))]
    assert urls
    assert not [text for text in shown if any(secret in text for secret in SECRETS)]


def test_d18_an_unpickled_store_says_that_pickles_carry_no_secret(
    start: Start, connect: Connect
) -> None:
    copy = pickle.loads(pickle.dumps(connect(start(SITE))))
    with pytest.raises(AuthorizationError, match=r"no credentials were found.*pickle"):
        len(copy)


def _key() -> dict[str, str]:
    return {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "open-sesame"}


def test_d18_an_unpickled_store_calls_the_function_that_has_the_credentials(
    start: Start, connect: Connect
) -> None:
    store = connect(start(SITE), auth=_key)
    value = pickle.loads(pickle.dumps(store["a"]))
    with pickle.loads(pickle.dumps(store)) as copy:
        assert copy["a"].read() == value.read() == VALUE


def test_d18_an_unpickled_store_goes_to_the_same_host(
    start: Start, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickled = pickle.dumps(connect(start(SITE), auth=None, anonymous=True))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    with pickle.loads(pickled) as copy:
        assert copy["a"].read() == VALUE


def test_d18_a_file_of_credentials_that_cannot_be_read_is_not_repeated(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "key.json"
    path.write_text('{"type": "service_account", "private_key": "open-sesame"}')
    with pytest.raises(StoreError, match=r"key\.json") as caught:
        connect(start(SITE), "gs", auth={"service_account": str(path)})
    assert "open-sesame" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
