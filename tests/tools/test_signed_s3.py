"""A site in a bucket that wants signed requests: moto checks each signature."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from staticstore import (
    AuthorizationError,
    IntegrityError,
    StaticStore,
    StoreError,
    URLValue,
    mirror,
    publish,
    request_finished,
)
from staticstore.cli import run
from tests.forks import in_child
from tests.servers import PythonServer, SignedS3Server
from tests.site.sitefolder import fill, make_site
from tests.transport.buckets.conftest import environment  # noqa: F401

pytest.importorskip("moto")

VALUES = {f"small/{number:03}.txt": b"value %d" % number for number in range(30)}
VALUES["large é+%.bin"] = bytes(range(256)) * 8000
PLACE: dict[str, Any] = {"region": "eu-central-1", "poll_interval": 0}


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sites")
    publish(make_site(folder / "my maps", VALUES), pack=True)
    return folder


@pytest.fixture(scope="module")
def server(sites: Path) -> Iterator[SignedS3Server]:
    with SignedS3Server(sites) as server:
        yield server


@pytest.fixture
def root(server: SignedS3Server, environment: pytest.MonkeyPatch) -> str:  # noqa: F811
    """The root of the site; host and key are in the environment."""
    environment.setenv("AWS_ENDPOINT_URL", server.url)
    for name, value in server.keys["temporary"].items():
        environment.setenv(f"AWS_{name.upper()}", value)
    return "s3://sites/my maps"


def test_a_mirror_is_a_copy_of_the_site(root: str, tmp_path: Path, sites: Path) -> None:
    with StaticStore(root, **PLACE) as store:
        report = mirror(store, tmp_path / "copy")
    assert report.fetched == len(VALUES)
    for key, value in VALUES.items():
        assert (tmp_path / "copy/data" / key).read_bytes() == value


def test_a_lazy_store_reads_a_key_by_parts_of_the_index(root: str) -> None:
    with StaticStore(root, lazy=True, **PLACE) as store:
        assert store["large é+%.bin"].read() == VALUES["large é+%.bin"]


def test_many_values_and_ranges_are_read(root: str) -> None:
    with StaticStore(root, **PLACE) as store:
        assert dict(store.read_many(VALUES)) == VALUES
        found = store.get_ranges("large é+%.bin", [(0, 3), (-5, None), (10**6, 10**6 + 4)])
    whole = VALUES["large é+%.bin"]
    assert found == [whole[:3], whole[-5:], whole[10**6 : 10**6 + 4]]


def test_a_change_in_the_bucket_is_followed(server: SignedS3Server, root: str, sites: Path) -> None:
    site = make_site(sites / "changing", {"a.txt": b"a"})
    publish(site)
    with StaticStore("s3://sites/changing", **PLACE) as store:
        fill(site / "data", {"b.txt": b"b"})
        publish(site)
        assert [change.key for change in store.update_index()] == ["b.txt"]


def test_a_copy_in_the_bucket_serves_what_the_first_root_lacks(root: str, sites: Path) -> None:
    with (
        PythonServer(sites) as first,
        StaticStore([f"{first.url}my%20maps/", root], **PLACE) as store,
    ):
        first.stop()
        assert store.to_bytes("small/003.txt") == VALUES["small/003.txt"]


def test_explicit_keys_are_also_for_a_copy_in_another_bucket_of_the_host(
    server: SignedS3Server,
    environment: pytest.MonkeyPatch,  # noqa: F811
) -> None:
    roots = ["s3://nowhere/my maps", "s3://sites/my maps"]
    store = StaticStore(roots, endpoint=server.url, **PLACE)
    with store.connect(auth=server.keys["key"], retries=0):
        assert store.to_bytes("small/003.txt") == VALUES["small/003.txt"]


def test_a_query_past_caches_is_signed(root: str, sites: Path) -> None:
    site = make_site(sites / "stale", {"a.txt": b"right"})
    publish(site)
    seen = []

    def note(sender: object, *, url: str, status: int, **others: object) -> None:
        seen.append((url.rpartition("/")[2], status))

    with StaticStore("s3://sites/stale", **PLACE) as store:
        fill(site / "data", {"a.txt": b"wrong"})
        with request_finished.connected_to(note), pytest.raises(IntegrityError):
            store.to_bytes("a.txt")
    assert seen == [("a.txt", 200), ("a.txt", 200), ("a.txt?…", 200)]


def _read(value: URLValue) -> bytes:
    return value.read()


def test_a_value_is_read_in_another_process(root: str) -> None:
    with (
        StaticStore(root, **PLACE) as store,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
    ):
        assert pool.submit(_read, store["small/004.txt"]).result() == VALUES["small/004.txt"]


def test_a_forked_child_reads(root: str) -> None:
    with StaticStore(root, **PLACE) as store:
        assert in_child(lambda: store.to_bytes("small/005.txt")) == VALUES["small/005.txt"]


def test_a_pickle_contains_no_key(server: SignedS3Server, root: str) -> None:
    store = StaticStore(root, **PLACE).connect(auth=server.keys["temporary"])
    with store:
        pickled = pickle.dumps(store)
    for name in ("secret_access_key", "session_token"):
        assert server.keys["temporary"][name].encode() not in pickled


def test_a_wrong_key_is_an_authorization_error(server: SignedS3Server, root: str) -> None:
    auth = {**server.keys["key"], "secret_access_key": "open-sesame"}
    with pytest.raises(AuthorizationError, match="SignatureDoesNotMatch"):
        StaticStore(root, **PLACE).connect(auth=auth)


def test_anonymous_requests_are_refused(root: str) -> None:
    with pytest.raises(AuthorizationError, match="403"):
        StaticStore(root, **PLACE).connect(anonymous=True)


# moto answers 500 to URLs with a signature: `tests/transport/buckets/test_sigv4.py` holds
# them against botocore's.


def test_a_signed_url_names_the_value_and_the_url_of_the_value_is_not_signed(
    server: SignedS3Server, root: str
) -> None:
    with StaticStore(root, **PLACE) as store:
        value = store["large é+%.bin"]
        signed = store.sign(value.key, expires=60)
        view = store.below("large ").sign("é+%.bin", expires=60)
    assert value.url == f"{server.url}/sites/my%20maps/data/large%20%C3%A9%2B%25.bin"
    for url in (signed, view):
        assert url.startswith(f"{value.url}?X-Amz-Algorithm=AWS4-HMAC-SHA256&")
        assert "&X-Amz-Expires=60&" in url


@pytest.mark.parametrize("expires", [0, -1, 604_801, True, "60", float("nan"), float("inf")])
def test_a_url_is_signed_for_a_second_to_seven_days(root: str, expires: Any) -> None:
    with (
        StaticStore(root, **PLACE) as store,
        pytest.raises(ValueError, match="from 1 to 604800"),
    ):
        store.sign("small/000.txt", expires)


def test_only_a_bucket_has_signed_urls(sites: Path) -> None:
    with (
        StaticStore(sites / "my maps", poll_interval=0) as store,
        pytest.raises(StoreError, match="in a bucket"),
    ):
        store.sign("small/000.txt")


# The command line


def test_commands_take_the_url_of_a_bucket(
    root: str, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    options = ["--region", "eu-central-1"]
    assert run(["get", root, "small/007.txt", "-o", "-", *options]) == 0
    assert run(["mirror", root, str(tmp_path / "copy"), "-q", *options]) == 0
    assert run(["info", root, "--anonymous", *options]) == 4
    assert run(["ls", f"{root}?region=x&token=y", *options]) == 2
    out, err = capfdbinary.readouterr()
    assert out.startswith(VALUES["small/007.txt"])
    assert b"query of s3:// has at most endpoint, region" in err


def test_the_cache_names_the_bucket(
    root: str,
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    options = ["--cache", str(tmp_path / "cache"), "--region", "eu-central-1"]
    assert run(["ls", root, *options]) == 0
    assert run(["cache", "info", "--cache", str(tmp_path / "cache")]) == 0
    shown = capfdbinary.readouterr().out.decode()
    assert "s3://sites/my%20maps?endpoint=http://127.0.0.1:" in shown


def test_a_key_is_given_as_user_and_password(
    server: SignedS3Server,
    environment: pytest.MonkeyPatch,  # noqa: F811
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    key = server.keys["key"]
    auth = f"{key['access_key_id']}:{key['secret_access_key']}"
    environment.setenv("STATICSTORE_AUTH", auth)
    assert run(["ls", "s3://sites/my maps", "--endpoint", server.url]) == 0
    assert capfdbinary.readouterr().out.count(b"\n") == len(VALUES)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["s3://maps/a", "--netrc"], b"--netrc is not for buckets"),
        (["s3://maps/a", "--auth", "a:b", "--anonymous"], b"give none"),
        (["s3://maps/a", "--auth", "\u00e9:open-sesame"], b"both in ASCII"),
        (["https://data.example/", "--anonymous"], b"--anonymous is for buckets"),
        (["https://data.example/", "--instance"], b"--instance is for buckets"),
        (["https://data.example/", "--region", "x"], b"are for roots in buckets"),
        (["s3://ali:open-sesame@maps/a"], b"no user and password"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_request(
    arguments: list[str], complaint: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert run(["ls", *arguments]) == 2
    err = capfdbinary.readouterr().err
    assert complaint in err
    assert b"sesame" not in err
