"""The option --origin: values of a site that are on other hosts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.servers import RawServer, serve_files
from tests.sites import entry


@pytest.fixture
def other(start: Callable[..., RawServer]) -> RawServer:
    return start(serve_files({"a.txt": b"far away"}))


@pytest.fixture
def url(start: Callable[..., RawServer], other: RawServer) -> str:
    """The URL of a site with a value at another origin."""
    entries = {"a.txt": entry(b"far away", placed={"href": f"{other.url}a.txt"})}
    return start(serve_files({"index.json": json.dumps(entries).encode()})).url


def test_a_value_elsewhere_is_read_with_the_option(cli: Run, url: str, other: RawServer) -> None:
    assert cli("get", url, "a.txt", "--origin", other.url).out == b"far away"
    assert cli("get", url, "a.txt", "--origin", "any").out == b"far away"


def test_without_it_the_error_names_the_origin(cli: Run, url: str, other: RawServer) -> None:
    ended = cli("get", url, "a.txt")
    assert (ended.code, ended.out) == (5, b"")
    assert f"add 'http://127.0.0.1:{other.port}' to the store's origins" in ended.errors
    assert "hint: --origin URL permits a host" in ended.errors
    assert other.requests == []


def test_a_folder_is_not_called_a_public_site(cli: Run, other: RawServer, tmp_path: Path) -> None:
    entries = {"a.txt": entry(b"far away", placed={"href": f"{other.url}a.txt"})}
    (tmp_path / "index.json").write_text(json.dumps(entries))
    errors = cli("get", tmp_path, "a.txt", "--origin", "any").errors
    assert "this site in a folder leads to the inner address 127.0.0.1" in errors


def test_what_is_no_origin_is_an_error_of_usage(cli: Run, url: str) -> None:
    ended = cli("ls", url, "--origin", "cdn.example.org")
    assert ended.code == 2
    assert "URL or --origin" in ended.errors


def test_a_mirror_takes_the_option(cli: Run, url: str, other: RawServer, tmp_path: Path) -> None:
    assert cli("mirror", url, tmp_path / "copy", "--origin", other.url).code == 0
    assert (tmp_path / "copy/data/a.txt").read_bytes() == b"far away"


def test_own_permits_no_other_host_where_a_format_permits_all(
    cli: Run, other: RawServer, tmp_path: Path
) -> None:
    registry = tmp_path / "registry.txt"
    registry.write_text(f"a.txt {hashlib.sha256(b'far away').hexdigest()} {other.url}a.txt\n")
    with_format = ("get", "--format", "pooch", registry, "a.txt")
    ended = cli(*with_format, "--origin", "own")
    assert ended.code == 5
    assert "to the store's origins" in ended.errors
    assert other.requests == []
    assert cli(*with_format, "--origin", "own", "--origin", other.url).out == b"far away"
