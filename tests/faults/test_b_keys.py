"""FAULTS B: keys that are not what they seem."""

from __future__ import annotations

import http.client
import json
from pathlib import Path

import pytest

from staticstore import StaticStore
from tests.faults.conftest import Opened
from tests.servers import Nginx, PythonServer, require, serve_files
from tests.sites import entry, index_of, write_index, write_site

REFUSED = {
    "B1": ["../x", "a/../../x", ".", "a/./b", "", "/x", "a//b", "..", "a/..", "a/"],
    "B5": ["nul\0", "cr\r", "lf\n", "del\x7f", "turn\u202eround", "c1\x85", "\\rooted"],
}
LEGAL = {
    "B2": ["%2e%2e/x", "a%2fb", "100%", "%", "%zz", "%2E%2E%2Fx"],
    "B3": [
        "http://evil.example/x".replace("//", "/"),
        "mailto:x",
        "data:x",
        "?x=1",
        "#x",
        "@host/x",
    ],
    "B4": ["a b", "a+b", "a?b", "a#b", "a;b", "a&b", "é", "日本", "a=b", "~x", "a'b\"c", "[x]"],
    "B6": ["caf\u00e9", "cafe\u0301", "A", "a", "CON", "aux.txt", "a:b", "dot.", "sp ace "],
}


@pytest.mark.parametrize("key", [key for keys in REFUSED.values() for key in keys])
def test_b1_b5_an_invalid_key_is_left_out_and_reported(opened: Opened, key: str) -> None:
    files = {"index.json": json.dumps({key: {}, "good": {}}).encode()}
    store, _ = opened(serve_files(files))
    assert list(store) == ["good"]
    assert len(store.info()["warnings"]) == 1
    assert store.info()["warnings"][0].isprintable()


@pytest.mark.parametrize("key", ["http://evil.example/x", "//evil.example/x"])
def test_b3_a_key_that_looks_like_a_url_is_refused_for_its_empty_segment(
    opened: Opened, key: str
) -> None:
    store, _ = opened(serve_files({"index.json": json.dumps({key: {}}).encode()}))
    assert list(store) == []


def test_b1_a_key_with_dots_would_leave_the_folder_on_the_way_to_any_server(
    tmp_path: Path,
) -> None:
    """Show why such keys are refused: even if quoted, clients or servers resolve them."""
    (tmp_path / "site/data").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    with PythonServer(tmp_path) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("GET", "/site/data/%2e%2e/%2e%2e/secret")
        assert connection.getresponse().read() == b"secret"
        connection.close()


@pytest.mark.parametrize("key", [key for keys in LEGAL.values() for key in keys])
def test_b2_b3_b4_b6_a_valid_key_is_sent_quoted_once(opened: Opened, key: str) -> None:
    value = key.encode()
    files = {"index.json": index_of({key: value}), f"data/{key}": value}
    store, server = opened(serve_files(files))
    assert store.to_bytes(key) == value
    assert server.requests[-1].path == f"/data/{key}"


@pytest.mark.parametrize("key", [*LEGAL["B2"], *LEGAL["B4"], *LEGAL["B6"]])
def test_b2_b4_b6_nginx_serves_a_valid_key(tmp_path: Path, key: str) -> None:
    require("nginx")
    write_site(tmp_path, {key: key.encode()})
    with Nginx(tmp_path) as nginx, StaticStore(nginx.url, poll_interval=0) as store:
        assert store.to_bytes(key) == key.encode()


def test_b6_keys_that_differ_in_unicode_form_or_case_are_different_keys(tmp_path: Path) -> None:
    keys = ["caf\u00e9", "cafe\u0301", "A", "a"]
    write_site(tmp_path, {key: key.encode() for key in keys})
    with StaticStore(tmp_path, poll_interval=0) as store:
        assert {key: store.to_bytes(key) for key in store} == {key: key.encode() for key in keys}


def test_b6_an_index_may_have_a_key_and_another_below_it(tmp_path: Path) -> None:
    write_index(tmp_path, {"a": entry(b""), "a/b": entry(b""), "c" * 300: entry(b"")})
    with StaticStore(tmp_path, poll_interval=0) as store:
        assert list(store) == ["a", "a/b", "c" * 300]
