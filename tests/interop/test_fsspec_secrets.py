"""No secret of a file system gets into what fsspec keeps, shows or pickles."""

from __future__ import annotations

import base64
import concurrent.futures
import gc
import json
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec")

from requests.auth import HTTPBasicAuth  # noqa: E402

from staticstore import AuthorizationError, StoreError  # noqa: E402
from staticstore.interop.fsspec import StaticStoreFileSystem  # noqa: E402
from tests.client.scene import MemorySite  # noqa: E402
from tests.forks import in_child  # noqa: E402
from tests.interop.file_system_scene import PASSWORD, USER, fill, protect, who  # noqa: E402
from tests.servers import RawServer, serve_files  # noqa: E402

PAIR = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "pair": lambda url: {"root": url, "auth": (USER, PASSWORD)},
    "list": lambda url: {"root": url, "auth": [USER, PASSWORD]},
    "mapping": lambda url: {"root": url, "auth": {"username": USER, "password": PASSWORD}},
    "AuthBase": lambda url: {"root": url, "auth": HTTPBasicAuth(USER, PASSWORD)},
    "closure": lambda url: {"root": url, "auth": lambda: (USER, PASSWORD)},
    "URL": lambda url: {"root": url.replace("//", f"//{USER}:{PASSWORD.replace(' ', '%20')}@")},
    "headers": lambda url: {"root": url, "headers": {"Authorization": f"Basic {PAIR}"}},
    "chain": lambda url: {
        "fo": url, "target_protocol": "http", "target_options": {"auth": (USER, PASSWORD)},
    },
}  # fmt: skip
SECRETS = (PASSWORD, PASSWORD.replace(" ", "%20"), PAIR)


@pytest.fixture(autouse=True)
def new_instances() -> Iterator[None]:
    """Let fsspec forget the file systems of a test."""
    fsspec.register_implementation("staticstore", StaticStoreFileSystem, clobber=True)
    yield
    StaticStoreFileSystem.clear_instance_cache()


def forget() -> None:
    """Let fsspec forget the file systems that the test does not hold."""
    StaticStoreFileSystem.clear_instance_cache()
    gc.collect()  # they hold themselves


@pytest.fixture
def url(site: MemorySite) -> str:
    """The URL of a site that demands a password."""
    fill(site)
    protect(site)
    return site.url


@pytest.mark.parametrize("way", WAYS)
def test_a_file_system_reads_and_shows_no_secret(url: str, way: str) -> None:
    """S1."""
    files = fsspec.filesystem("staticstore", **WAYS[way](url))
    assert files.cat("a.txt") == b"first"
    shown = [
        files.to_json(), repr(files.to_dict()), repr(files), repr(files.storage_options),
        repr(files.storage_args), repr(vars(files)), pickle.dumps(files, 0).decode("latin-1"),
        repr(fsspec.open("staticstore://a.txt", **WAYS[way](url))),
    ]  # fmt: skip
    assert not [text for text in shown for secret in SECRETS if secret in text]


@pytest.mark.parametrize("way", WAYS)
def test_equal_options_give_the_same_file_system(url: str, way: str) -> None:
    options = WAYS[way](url)
    assert fsspec.filesystem("staticstore", **options) is fsspec.filesystem(
        "staticstore", **options
    )


def test_other_passwords_give_other_file_systems(url: str) -> None:
    """S3."""
    right, wrong, none = (
        fsspec.filesystem("staticstore", root=url, **options)
        for options in ({"auth": (USER, PASSWORD)}, {"auth": (USER, "wrong")}, {})
    )
    assert len({right._fs_token, wrong._fs_token, none._fs_token}) == 3
    assert right.cat("a.txt") == b"first"
    for other in (wrong, none):
        with pytest.raises(AuthorizationError):
            other.cat("a.txt")


def test_the_token_does_not_depend_on_the_password_alone(url: str) -> None:
    tokens = set()
    for _ in range(2):
        files = fsspec.filesystem("staticstore", root=url, auth=(USER, PASSWORD))
        tokens.add(files._fs_token)
        del files
        forget()
    assert len(tokens) == 2


def test_configured_secrets_are_kept_as_given_ones(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured = {"root": url, "auth": (USER, PASSWORD)}
    monkeypatch.setitem(fsspec.config.conf, "staticstore", configured)
    with fsspec.open("staticstore://a.txt") as file:
        assert file.read() == b"first"
    files = fsspec.filesystem("staticstore")
    assert PASSWORD not in repr([files.storage_options, files.to_json()])


def test_what_is_unpickled_in_its_process_uses_the_live_connection(
    url: str, site: MemorySite
) -> None:
    """S2."""
    files = fsspec.filesystem("staticstore", root=url, auth=(USER, PASSWORD))
    files.ls("")
    before = len(site.server.requests)
    again = pickle.loads(pickle.dumps(files))
    read = fsspec.AbstractFileSystem.from_json(files.to_json())
    assert again.ls("", detail=False) == read.ls("", detail=False)
    assert len(site.server.requests) == before


def test_what_comes_from_another_process_uses_the_connection_of_this_one(url: str) -> None:
    options = {"root": url, "auth": (USER, PASSWORD)}
    foreign = pickle.dumps(fsspec.filesystem("staticstore", **options))
    name = fsspec.filesystem("staticstore", **options).storage_options["account"]
    foreign = foreign.replace(name.encode(), b"0123456789abcdef")
    own = fsspec.filesystem("staticstore", **options)
    own.ls("")
    assert pickle.loads(foreign).cat("a.txt") == b"first"


def test_of_two_connections_of_this_process_none_is_taken(url: str, site: MemorySite) -> None:
    """S2."""
    own = [
        fsspec.filesystem("staticstore", root=url, auth=auth)
        for auth in ((USER, PASSWORD), HTTPBasicAuth(USER, PASSWORD))
    ]
    for files in own:
        files.ls("")
    name = own[0].storage_options["account"]
    foreign = pickle.dumps(own[0]).replace(name.encode(), b"0123456789abcdef")
    with pytest.raises(AuthorizationError):
        pickle.loads(foreign).ls("")


def test_secrets_are_for_the_root_that_they_were_given_for(
    url: str, start: Callable[..., RawServer]
) -> None:
    """S11: a pickle, a catalog or a reference file may have the name of an account."""
    own = fsspec.filesystem("staticstore", root=url, auth=(USER, PASSWORD))
    other = start(serve_files({"index.json": b"{}"}))
    name = own.storage_options["account"]
    written = json.loads(own.to_json())
    assert "root" in written
    for files in (
        fsspec.filesystem("staticstore", root=other.url, account=name),
        fsspec.AbstractFileSystem.from_json(json.dumps({**written, "root": other.url})),
    ):
        assert files.ls("") == []
    assert other.requests
    assert not any("Authorization" in request.headers for request in other.requests)


def test_secrets_that_are_given_beside_the_name_of_others_are_used(url: str) -> None:
    """S3: options that were derived from those of another user."""
    own = fsspec.filesystem("staticstore", root=url, auth=(USER, PASSWORD))
    own.ls("")
    others = fsspec.filesystem("staticstore", **{**own.storage_options, "auth": (USER, "wrong")})
    with pytest.raises(AuthorizationError):
        others.ls("")


def test_a_url_of_another_site_than_the_configured_one_is_refused(
    url: str, start: Callable[..., RawServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S11: neither is its password sent there, nor is one site read in the place of another."""
    configured = {"root": url, "auth": (USER, PASSWORD)}
    monkeypatch.setitem(fsspec.config.conf, "staticstore", configured)
    other = start(serve_files({"index.json": b"{}"}))
    with pytest.raises(ValueError, match="another root"):
        fsspec.open(f"staticstore://a.txt::{other.url}")
    assert other.requests == []


def test_a_refusal_says_that_a_pickle_has_no_secrets(url: str) -> None:
    """S2."""
    files = fsspec.filesystem("staticstore", root=url, auth=(USER, PASSWORD))
    pickled = pickle.dumps(files)
    del files
    forget()
    with pytest.raises(AuthorizationError, match=r"no password.*module:function"):
        pickle.loads(pickled).ls("")


def test_a_function_is_kept_by_its_name(url: str) -> None:
    files = fsspec.filesystem("staticstore", root=url, auth=who)
    assert files.storage_options["auth"] == f"{who.__module__}:who"
    assert fsspec.AbstractFileSystem.from_json(files.to_json()).cat("a.txt") == b"first"


def _read(files: Any) -> Any:
    return files.cat("a.txt")


def test_another_process_calls_the_function(url: str) -> None:
    files = fsspec.filesystem("staticstore", root=url, auth=who)
    spawned = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawned) as pool:
        assert pool.submit(_read, files).result(60) == b"first"


def test_a_forked_child_keeps_the_password(url: str) -> None:
    """S10."""
    files = fsspec.filesystem("staticstore", root=url, auth=(USER, PASSWORD))
    assert in_child(lambda: files.cat("a.txt")) == b"first"


@pytest.mark.parametrize("text", [f"{USER}:{PASSWORD}", "ali:sesame", "sesame", "os:environ"])
def test_a_text_that_names_no_function_is_neither_shown_nor_kept(url: str, text: str) -> None:
    """S4."""
    files = fsspec.filesystem("staticstore", root=url, auth=text)
    assert text not in repr([files.storage_options, files.to_json()])
    with pytest.raises(StoreError, match=r"module:function") as caught:
        files.ls("")
    assert text not in str(caught.value)


def test_a_query_of_the_root_is_pickled_but_not_shown(site: MemorySite) -> None:
    """S1."""
    fill(site)
    files = fsspec.filesystem("staticstore", root=f"{site.url}?sig=sesame")
    assert files.cat("a.txt") == b"first"
    pickled = pickle.dumps(files)
    assert not any("sesame" in text for text in (files.to_json(), repr(files), str(pickled)))
    del files
    forget()
    assert pickle.loads(pickled).cat("a.txt") == b"first"
    assert all("sig=sesame" in request.target for request in site.server.requests)


def test_a_bucket_is_kept_as_it_is_typed() -> None:
    files = fsspec.filesystem(
        "staticstore", root="s3://bucket/site", region="eu-west-1", auth=("an-id", "sesame")
    )
    assert files.storage_options["root"] == "s3://bucket/site?region=eu-west-1"
    assert "sesame" not in repr([files.storage_options, files.to_json(), files])
    assert pickle.loads(pickle.dumps(files)) is files
