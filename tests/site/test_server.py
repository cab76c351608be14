"""Serving a site: what is handed out, how, and what never is."""

from __future__ import annotations

import base64
import contextlib
import errno
import gc
import io
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from staticstore.errors import StoreError
from staticstore.site import application
from staticstore.site.documents import page
from staticstore.site.folder.site_folder import SiteFolder
from staticstore.site.publisher import publish
from staticstore.site.server import SiteServer, serve
from staticstore.transport.http.conditions import Answer, Representation, answer, header_fields

from .sitefolder import THEN, fill, make_site

VALUE = bytes(range(256)) * 40
SIZE = len(VALUE)
DATE = "Fri, 02 Jan 2026 03:04:05 GMT"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = make_site(tmp_path / "site", {"a.bin": VALUE, "é x+y.csv": b"1", "empty": b""})
    (folder / "index.json").write_bytes(b"{}")
    return folder


@pytest.fixture
def server(site: Path) -> Iterator[SiteServer]:
    with serve(site, port=0) as running:
        yield running


@pytest.fixture
def http() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.headers["Accept-Encoding"] = "identity"
        yield session


def get(server: SiteServer, path: str, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(server.url + path, headers=named, timeout=10)


def raw(server: SiteServer, request: bytes) -> bytes:
    """Send bytes, and return all that comes until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(request)
        pieces = []
        while piece := connection.recv(65536):
            pieces.append(piece)
    return b"".join(pieces)


def status_of(server: SiteServer, target: bytes) -> int:
    """Return the status for a request target that no client would send."""
    response = raw(
        server, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    return int(response.split(b" ", 2)[1])


# What a browser is told, and what it may reach


def with_host(server: SiteServer, host: str, target: str = "/index.json") -> int:
    """Return the status for a request that names a host."""
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    return int(raw(server, request.encode()).split(b" ", 2)[1])


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "localhost.", "127.0.0.1", "[::1]", "localhost:PORT",
     "127.0.0.1:PORT", "localhost:1"],
)  # fmt: skip
def test_f11_a_server_of_this_machine_answers_to_its_own_names(
    server: SiteServer, host: str
) -> None:
    assert with_host(server, host.replace("PORT", str(server.port))) == 200


STRANGERS = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "localhost, evil.example",
    "localhost@evil.example",
    "evil.localhost",
    "127.0.0.1.nip.example",
    "0.0.0.0",
    "[::]",
    "192.0.2.1",
    "",
    ":8000",
    "localhost:x",
    "[::1",
]


@pytest.mark.parametrize("host", STRANGERS)
def test_f11_and_to_no_other_which_could_be_bound_to_it_anew(server: SiteServer, host: str) -> None:
    assert with_host(server, host) == 421


def test_f11_the_refusal_says_which_names_it_has(server: SiteServer) -> None:
    response = get(server, "index.json", Host="evil.example")
    assert response.text == "this server only answers to localhost, 127.0.0.1, [::1]\n"


def test_f11_a_host_is_named_once_and_by_each_request(server: SiteServer) -> None:
    first = b"GET /index.json HTTP/1.1\r\n"
    for fields in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        response = raw(server, first + fields + b"Connection: close\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 421 ")


def test_f11_a_target_that_names_a_host_counts_before_the_field(server: SiteServer) -> None:
    assert with_host(server, "localhost", "http://evil.example/index.json") == 421
    assert with_host(server, "evil.example", "http://localhost/index.json") == 200


def test_f11_other_names_are_refused_before_a_password_is_asked_for(site: Path) -> None:
    with serve(site, port=0, auth=("ali", "sesame")) as server:
        assert with_host(server, "evil.example") == 421
        assert with_host(server, "localhost") == 401


def test_f11_the_name_that_it_was_given_is_its_own(site: Path) -> None:
    with serve(site, host="127.0.0.2", port=0) as server:
        assert get(server, "index.json").ok
        assert get(server, "index.json", Host="localhost").ok
        assert get(server, "index.json", Host="127.0.0.3").status_code == 421


@pytest.mark.parametrize("host", ["::1", "localhost"])
def test_f11_so_it_is_by_every_address_of_this_machine(site: Path, host: str) -> None:
    with serve(site, host=host, port=0) as server:
        assert get(server, "index.json").ok
        assert get(server, "index.json", Host="evil.example").status_code == 421


def test_f11_where_other_machines_connect_any_name_will_do(site: Path) -> None:
    with serve(site, host="0.0.0.0", port=0) as server:
        assert with_host(server, "data.example") == 200


@pytest.mark.parametrize(
    "path", ["index.json", "", "data/a.bin", "none", "data/none", "data/../x", "packs/x"]
)
def test_f10_no_media_type_is_guessed(server: SiteServer, site: Path, path: str) -> None:
    (site / "index.html").write_bytes(b"<p>")
    assert get(server, path).headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /index.json HTTP/9.9\r\n\r\n",
        b"GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"<script> HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"POST /data/a.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /data/a.bin HTTP/1.1\r\nHost: localhost\r\nRange: bytes=99999-\r\n"
        b"Connection: close\r\n\r\n",
    ],
)
def test_f10_also_not_of_what_is_refused(server: SiteServer, request_bytes: bytes) -> None:
    head, _, body = raw(server, request_bytes).partition(b"\r\n\r\n")
    assert b"\r\nX-Content-Type-Options: nosniff" in head
    assert b"\r\nContent-Type: text/plain" in head
    assert b"<" not in body


@pytest.mark.parametrize("name", ["a.html", "a.svg", "b/c.xhtml", "d.bin", "none"])
def test_f10_a_value_is_shown_in_a_sandbox(server: SiteServer, site: Path, name: str) -> None:
    fill(site / "data", {"a.html": b"<p>", "a.svg": b"<svg/>", "b/c.xhtml": b"<p/>", "d.bin": b"1"})
    for response in (get(server, f"data/{name}"), get(server, f"data/{name}", Range="bytes=0-0")):
        assert response.headers["Content-Security-Policy"] == "sandbox"


def test_f10_the_page_of_the_site_is_in_none(server: SiteServer, site: Path) -> None:
    (site / "index.html").write_bytes(b"<p>")
    for path in ("", "index.html", "index.json"):
        assert "Content-Security-Policy" not in get(server, path).headers


@pytest.mark.parametrize(
    "name",
    [
        *("metadata.json", "metadata.toml", "metadata.csv", "about.toml", "METADATA.JSON"),
        *("metadata.csv~", "metadata.json.bak", "about.toml~", "about.toml.bak"),
    ],
)
def test_f11_what_a_publish_reads_is_not_served(server: SiteServer, site: Path, name: str) -> None:
    fill(site, {name: b"for the publisher"})
    fill(site / "data", {name: b"a value"})
    assert get(server, name).status_code == 404
    assert get(server, f"data/{name}").content == b"a value"


# The page of a site that has none


def test_a_site_without_a_page_is_served_with_one(server: SiteServer, site: Path) -> None:
    (site / "index.json").write_text('{"a.bin": {}}')
    for path in ("", "index.html"):
        response = get(server, path)
        assert '<a href="data/a.bin">' in response.text
        assert response.headers["Content-Type"].startswith("text/html")
        assert response.headers["Cache-Control"] == "no-cache"
    assert not (site / "index.html").exists()


def test_it_is_the_page_that_a_publish_would_write(server: SiteServer, site: Path) -> None:
    (site / "about.toml").write_text('title = "Ilvar"')
    publish(site)
    served = get(server, "").content
    publish(site, browse=True)
    assert (site / "index.html").read_bytes() == served


def test_a_site_without_an_index_has_one_too(server: SiteServer, site: Path) -> None:
    (site / "index.json").unlink()
    response = get(server, "")
    assert "staticstore publish" in response.text
    assert "Last-Modified" not in response.headers


def test_its_validators_follow_the_index(server: SiteServer, site: Path) -> None:
    before = get(server, "")
    validators = {"If_None_Match": before.headers["ETag"]}
    assert before.headers["Last-Modified"] == get(server, "index.json").headers["Last-Modified"]
    assert get(server, "", **validators).status_code == 304
    (site / "index.json").write_text('{"new": {}}')
    after = get(server, "", **validators)
    assert after.status_code == 200
    assert "data/new" in after.text


def test_it_is_made_once_for_each_index(
    server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = iter([b"<p>"])
    monkeypatch.setattr(page, "page_of", lambda folder: next(made))
    assert [get(server, "").content for _ in range(3)] == [b"<p>"] * 3


def test_its_parts_and_its_head_are_given(server: SiteServer) -> None:
    whole = get(server, "")
    part = get(server, "", Range="bytes=2-8")
    assert (part.status_code, part.content) == (206, whole.content[2:9])
    head = requests.head(server.url, timeout=10)
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(whole.content)))


def test_what_stands_in_its_place_is_not_covered(server: SiteServer, site: Path) -> None:
    (site / "index.html").mkdir()
    assert get(server, "").status_code == 404


def test_it_needs_the_password_too(site: Path) -> None:
    with serve(site, port=0, auth=("ali", "sesame")) as server:
        assert get(server, "").status_code == 401
        assert requests.get(server.url, auth=("ali", "sesame"), timeout=10).ok


# Whole files


def test_a_file_is_given_with_its_validators(server: SiteServer, site: Path) -> None:
    response = get(server, "data/a.bin")
    status = (site / "data" / "a.bin").stat()
    assert response.content == VALUE
    assert response.headers["Content-Length"] == str(SIZE)
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["Last-Modified"] == DATE
    etag = f'"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"'
    assert response.headers["ETag"] == etag
    assert response.headers["Server"] == "staticstore"


def test_the_media_type_is_that_of_the_publisher(server: SiteServer) -> None:
    assert get(server, "index.json").headers["Content-Type"] == "application/json"
    assert get(server, "data/é x+y.csv").headers["Content-Type"] == "text/csv"


def test_head_gives_the_head_alone(server: SiteServer) -> None:
    response = requests.head(server.url + "data/a.bin", timeout=10)
    assert response.status_code == 200
    assert response.headers["Content-Length"] == str(SIZE)
    assert response.content == b""


def test_an_empty_file_is_given(server: SiteServer) -> None:
    response = get(server, "data/empty")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == "0"


def test_the_root_gives_the_page_that_is_there(server: SiteServer, site: Path) -> None:
    (site / "index.html").write_bytes(b"<p>")
    for path in ("", "index.html"):
        response = get(server, path)
        assert response.content == b"<p>"
        assert response.headers["Content-Type"].startswith("text/html")


def test_a_query_is_ignored(server: SiteServer) -> None:
    assert get(server, "data/a.bin?sha256=1").content == VALUE


def test_a_path_is_decoded_once(server: SiteServer, site: Path) -> None:
    fill(site / "data", {"100%": b"1", "%41": b"2", "a/b": b"3"})
    assert get(server, "data/100%25").content == b"1"
    assert get(server, "data/%2541").content == b"2"
    assert get(server, "data/a%2Fb").content == b"3"
    assert get(server, "data/%41").status_code == 404


def test_an_absolute_request_target_is_understood(server: SiteServer) -> None:
    assert status_of(server, b"http://localhost/index.json") == 200


def test_a_file_of_a_year_that_no_calendar_has_has_no_date() -> None:
    status = SimpleNamespace(st_size=10, st_mtime_ns=10**30, st_ino=1)
    current = Representation.of(cast(os.stat_result, status))
    fields = {"If-Modified-Since": DATE, "If-Unmodified-Since": DATE}
    assert answer("GET", fields, current) == Answer(200, 0, 10)
    assert "Last-Modified" not in header_fields(Answer(200, 0, 10), current)


# Parts


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, SIZE),
        ("bytes=-10", SIZE - 10, SIZE),
        (f"bytes=-{SIZE + 5}", 0, SIZE),
        (f"bytes=5-{SIZE + 5}", 5, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("Bytes= 3-4 ", 3, 5),
    ],
)
def test_a_range_gives_exactly_these_bytes(
    server: SiteServer, wanted: str, start: int, end: int
) -> None:
    response = get(server, "data/a.bin", Range=wanted)
    assert response.status_code == 206
    assert response.content == VALUE[start:end]
    assert response.headers["Content-Range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert response.headers["Content-Length"] == str(end - start)
    assert "ETag" in response.headers


@pytest.mark.parametrize("wanted", [f"bytes={SIZE}-", f"bytes={SIZE + 1}-{SIZE + 2}", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(server: SiteServer, wanted: str) -> None:
    response = get(server, "data/a.bin", Range=wanted)
    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "wanted",
    ["bytes=0-1,5-6", "bytes=5-3", "bytes=-", "bytes=a-b", "pages=1-2", "bytes=" + "9" * 30 + "-"],
)
def test_ranges_that_mean_nothing_or_many_are_ignored(server: SiteServer, wanted: str) -> None:
    response = get(server, "data/a.bin", Range=wanted)
    assert (response.status_code, response.content) == (200, VALUE)
    assert "Content-Range" not in response.headers


@pytest.mark.parametrize("wanted", ["bytes=0-", "bytes=0-0", "bytes=-5"])
def test_c9_a_range_of_an_empty_file_gives_the_empty_file(server: SiteServer, wanted: str) -> None:
    response = get(server, "data/empty", Range=wanted)
    assert (response.status_code, response.content) == (200, b"")


def test_head_has_no_ranges(server: SiteServer) -> None:
    response = requests.head(server.url + "data/a.bin", headers={"Range": "bytes=0-1"}, timeout=10)
    assert (response.status_code, response.headers["Content-Length"]) == (200, str(SIZE))


# Conditions


def test_what_the_client_has_is_304(server: SiteServer) -> None:
    etag = get(server, "data/a.bin").headers["ETag"]
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = get(server, "data/a.bin", If_None_Match=tags)
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["ETag"] == etag
        assert response.headers["Cache-Control"] == "no-cache"
    assert get(server, "data/a.bin", If_None_Match='"other"').status_code == 200


def test_304_comes_before_206(server: SiteServer) -> None:
    etag = get(server, "data/a.bin").headers["ETag"]
    response = get(server, "data/a.bin", If_None_Match=etag, Range="bytes=0-1")
    assert response.status_code == 304


def test_a_tag_counts_more_than_a_date(server: SiteServer) -> None:
    assert get(server, "data/a.bin", If_Modified_Since=DATE).status_code == 304
    response = get(server, "data/a.bin", If_Modified_Since=DATE, If_None_Match='"other"')
    assert response.status_code == 200


def test_an_earlier_date_is_modified_since_and_a_bad_one_no_date(server: SiteServer) -> None:
    for date in ("Fri, 02 Jan 2026 03:04:04 GMT", "yesterday", "Fri, 31 Feb 2026 03:04:04 GMT"):
        assert get(server, "data/a.bin", If_Modified_Since=date).status_code == 200


def test_a12_another_content_of_the_same_size_and_second_is_modified(
    server: SiteServer, site: Path
) -> None:
    etag = get(server, "data/a.bin").headers["ETag"]
    path = site / "data" / "a.bin"
    path.write_bytes(VALUE[::-1])
    os.utime(path, ns=(THEN * 10**9, THEN * 10**9 + 1))
    response = get(server, "data/a.bin", If_None_Match=etag, If_Modified_Since=DATE)
    assert (response.status_code, response.content) == (200, VALUE[::-1])


def test_if_match_refuses_what_has_changed(server: SiteServer) -> None:
    etag = get(server, "data/a.bin").headers["ETag"]
    for tags, status in ((etag, 200), ("*", 200), (f"W/{etag}", 412), ('"other"', 412)):
        response = get(server, "data/a.bin", If_Match=tags)
        assert response.status_code == status


def test_if_unmodified_since_refuses_what_has_changed(server: SiteServer) -> None:
    assert get(server, "data/a.bin", If_Unmodified_Since=DATE).status_code == 200
    date = "Fri, 02 Jan 2026 03:04:04 GMT"
    assert get(server, "data/a.bin", If_Unmodified_Since=date).status_code == 412


def test_if_range_with_the_tag_or_the_date_gives_the_part(server: SiteServer) -> None:
    etag = get(server, "data/a.bin").headers["ETag"]
    for validator in (etag, DATE):
        response = get(server, "data/a.bin", Range="bytes=0-1", If_Range=validator)
        assert response.content == VALUE[:2]


@pytest.mark.parametrize(
    "validator",
    ["weak", '"other"', "Fri, 02 Jan 2026 03:04:06 GMT", "Fri, 02 Jan 2026 03:04:04 GMT", "x", ""],
)
def test_c7_if_range_with_anything_else_gives_the_whole(server: SiteServer, validator: str) -> None:
    if validator == "weak":
        validator = "W/" + get(server, "data/a.bin").headers["ETag"]
    response = get(server, "data/a.bin", Range="bytes=0-1", If_Range=validator)
    assert (response.status_code, response.content) == (200, VALUE)


def test_a_date_of_this_very_second_binds_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    modified = datetime.fromtimestamp(THEN, UTC)
    fields = {"Range": "bytes=0-1", "If-Range": format_datetime(modified, usegmt=True)}
    current = Representation(10, "a", modified)
    monkeypatch.setattr(time, "time", lambda: THEN + 0.9)
    assert answer("GET", fields, current) == Answer(200, 0, 10)
    monkeypatch.setattr(time, "time", lambda: THEN + 1.0)
    assert answer("GET", fields, current) == Answer(206, 0, 2)


# What is not served


@pytest.mark.parametrize(
    "target",
    [
        b"/data",
        b"/data/",
        b"/data/none",
        b"/data/a.bin/",
        b"/data/a.bin/x",
        b"/data//a.bin",
        b"/../site/index.json",
        b"/data/../index.json",
        b"/data/%2e%2e/index.json",
        b"/data/..%2findex.json",
        b"/./index.json",
        b"/%00",
        b"/data/a.bin%00",
        b"/data/%ff",
        b"/data/%ed%a0%80",
        b"/%5cindex.json",
        b"index.json",
        b"*",
        b"/" + b"x" * 300,
        b"/data/" + b"x/" * 3000 + b"x",
    ],
)
def test_what_names_no_file_is_404(server: SiteServer, target: bytes) -> None:
    assert status_of(server, target) == 404


def test_a_path_that_is_not_utf_8_is_not_taken_for_another(server: SiteServer, site: Path) -> None:
    fill(site / "data", {"\ufffd": b"1"})
    assert status_of(server, b"/data/%ef%bf%bd") == 200
    assert status_of(server, b"/data/%ff") == 404


def test_a_target_that_is_no_url_is_400(server: SiteServer) -> None:
    assert status_of(server, b"http://[x/") == 400


def test_f6_secrets_and_the_publishers_own_are_not_served(server: SiteServer, site: Path) -> None:
    hidden = [
        ".staticstore/notes.json",
        ".staticstore-00.tmp",
        ".git/config",
        ".env",
        ".hidden",
        "data/.env",
        "data/.git/config",
        "data/x/id_rsa",
        "data/.staticstore/lock",
        "data/.DS_Store",
    ]
    fill(site, dict.fromkeys(hidden, b"secret"))
    assert [get(server, path).status_code for path in hidden] == [404] * len(hidden)


def test_nojekyll_and_dot_files_of_the_data_are_served(server: SiteServer, site: Path) -> None:
    fill(site, {".nojekyll": b"", "data/.zattrs": b"{}"})
    assert get(server, ".nojekyll").status_code == 200
    assert get(server, "data/.zattrs").headers["Content-Type"] == "application/json"


def test_f5_what_lies_outside_is_not_served(server: SiteServer, site: Path, tmp_path: Path) -> None:
    fill(tmp_path, {"outside/x": b"secret", "site2/x": b"secret"})
    (site / "data" / "file").symlink_to(tmp_path / "outside" / "x")
    (site / "data" / "folder").symlink_to(tmp_path / "site2")
    assert get(server, "data/file").status_code == 404
    assert get(server, "data/folder/x").status_code == 404


def test_f5_links_inside_are_followed_but_not_to_what_is_hidden(
    server: SiteServer, site: Path
) -> None:
    fill(site, {".staticstore/notes.json": b"1", "data/.env": b"2"})
    (site / "data" / "notes").symlink_to("../.staticstore/notes.json")
    (site / "data" / "settings").symlink_to(".env")
    (site / "data" / "b").symlink_to("a.bin")
    assert get(server, "data/notes").status_code == 404
    assert get(server, "data/settings").status_code == 404
    assert get(server, "data/b").content == VALUE


def test_data_may_be_a_link_to_elsewhere(tmp_path: Path) -> None:
    fill(tmp_path / "elsewhere", {"a": b"1", ".env": b"2"})
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "data").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "c").symlink_to(".env")
    with serve(tmp_path / "site", port=0) as server:
        assert get(server, "data/a").content == b"1"
        assert get(server, "data/c").status_code == 404


def test_f4_a_fifo_is_404_and_does_not_block(server: SiteServer, site: Path) -> None:
    os.mkfifo(site / "data" / "fifo")
    assert get(server, "data/fifo").status_code == 404


def test_a_file_that_may_not_be_read_is_404(
    server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(path: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(application, "open_regular", refusing)
    assert get(server, "data/a.bin").status_code == 404


def test_a_file_that_cannot_be_read_is_500_and_the_next_request_works(
    server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(application, "open_regular", failing)
        assert get(server, "data/a.bin").status_code == 500
    assert get(server, "data/a.bin").content == VALUE


def test_a_defect_while_answering_closes_the_file(
    server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def failing(environ: object, key: object, file: Any, current: object) -> None:
        opened.append(file)
        raise RuntimeError

    monkeypatch.setattr(application, "_response", failing)
    assert get(server, "data/a.bin").status_code == 500
    assert opened[0].closed


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405(server: SiteServer, method: str) -> None:
    response = requests.request(method, server.url + "index.json", timeout=10)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD"


# Passwords


def test_auth_is_asked_for_before_anything_is_told(site: Path) -> None:
    with serve(site, port=0, auth=("ali", "sésam: open")) as server:
        for path in ("index.json", "none"):
            response = get(server, path)
            assert response.status_code == 401
            challenge = response.headers["WWW-Authenticate"]
            assert challenge == 'Basic realm="staticstore", charset="UTF-8"'
        assert requests.post(server.url, timeout=10).status_code == 401


def test_the_right_credentials_enter_in_utf_8(site: Path) -> None:
    with serve(site, port=0, auth=("ali", "sésam: open")) as server:
        for scheme in ("Basic", "basic"):
            encoded = base64.b64encode("ali:sésam: open".encode()).decode()
            assert get(server, "index.json", Authorization=f"{scheme} {encoded}").ok


@pytest.mark.parametrize(
    "header",
    [
        "Basic " + base64.b64encode(b"ali:wrong").decode(),
        "Basic " + base64.b64encode(b"ali").decode(),
        "Basic " + base64.b64encode("ali:sésam".encode("latin-1")).decode(),
        "Basic ???",
        "Basic YQ",
        "Basic",
        "Basic é",
        "Bearer " + base64.b64encode("ali:sésam".encode()).decode(),
        "",
    ],
)
def test_other_credentials_do_not_enter(site: Path, header: str) -> None:
    with serve(site, port=0, auth=("ali", "sésam")) as server:
        response = raw(
            server,
            b"GET /index.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            b"Authorization: " + header.encode() + b"\r\n\r\n",
        )
        assert response.startswith(b"HTTP/1.1 401 ")


def test_a_colon_in_the_user_name_is_refused(site: Path) -> None:
    with pytest.raises(StoreError, match="no colon"):
        serve(site, port=0, auth=("a:b", "c"))


def test_a_password_in_the_clear_is_warned_of(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    with serve(site, port=0, auth=("a", "secret")):
        assert caplog.text == ""
    with serve(site, host="0.0.0.0", port=0, auth=("a", "secret")) as server:
        assert "no TLS" in caplog.text
        assert server.url == f"http://127.0.0.1:{server.port}/"
    with serve(site, host="", port=0):
        pass
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_no_password_is_shown_or_logged(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(site, port=0, auth=("ali", "sesame")) as server:
        requests.get(server.url + "index.json", auth=("ali", "sesame"), timeout=10)
        assert "sesame" not in repr(server)
    encoded = base64.b64encode(b"ali:sesame").decode()
    assert "sesame" not in caplog.text
    assert encoded not in caplog.text
    assert "'GET /index.json HTTP/1.1' 200" in caplog.text


# Connections


def test_a_connection_serves_many_requests(server: SiteServer, http: requests.Session) -> None:
    ports = set()
    for path in ("index.json", "data/a.bin", "none", "data/empty", "data/é x+y.csv"):
        with http.get(server.url + path, stream=True, timeout=10) as response:
            ports.add(cast(Any, response.raw.connection).sock.getsockname())
            assert len(response.content) == int(response.headers["Content-Length"])
    assert len(ports) == 1


def test_keep_alive_survives_304_412_416_401_405_and_bodies(site: Path) -> None:
    with serve(site, port=0) as server:
        answers = raw(
            server,
            b"GET /index.json HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\n\r\n"
            b"HEAD /index.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b'GET /index.json HTTP/1.1\r\nHost: localhost\r\nIf-Match: "x"\r\n\r\n'
            b"GET /index.json HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9-\r\n\r\n"
            b"POST /index.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"
            b"GET /none HTTP/1.1\r\n"
            b"HEAD /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
            b"GET /index.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )
    codes = [line[9:12] for line in answers.split(b"\n") if line.startswith(b"HTTP/1.1 ")]
    assert codes == [b"304", b"200", b"412", b"416", b"405", b"404", b"200"]
    assert answers.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: chunked",
        b"Content-Length: 99999999",
        b"Content-Length: x",
        b"Content-Length: -1",
        b"Content-Length: " + b"9" * 5000,
        b"Content-Length: 1\r\nContent-Length: 2",
    ],
)
def test_a_body_without_a_sane_end_ends_the_connection(server: SiteServer, header: bytes) -> None:
    response = raw(
        server, b"GET /index.json HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n\r\n"
    )
    assert response.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in response


def test_http_1_0_is_answered_and_closed(server: SiteServer) -> None:
    for header in (b"", b"Connection: keep-alive\r\n"):
        response = raw(server, b"GET /index.json HTTP/1.0\r\n" + header + b"\r\n")
        assert b"Connection: close" in response
        assert response.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    "request_bytes", [b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"%s %d x y\r\n"]
)
def test_what_is_no_http_is_refused_without_a_word_on_stderr(
    server: SiteServer,
    request_bytes: bytes,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    assert b"400" in raw(server, request_bytes)
    assert capfd.readouterr().err == ""


def test_c1_a_file_that_becomes_shorter_ends_the_connection(
    server: SiteServer, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = application._Body.__iter__

    def shortening(self: application._Body) -> Iterator[bytes]:
        os.truncate(site / "data" / "a.bin", 100)
        return real(self)

    monkeypatch.setattr(application._Body, "__iter__", shortening)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        get(server, "data/a.bin")


def test_a_file_that_cannot_be_read_to_its_end_ends_the_connection(
    server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(self: application._Body) -> Iterator[bytes]:
        yield b"half"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(application._Body, "__iter__", failing)
    response = raw(server, b"GET /data/a.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert response.endswith(b"\r\n\r\nhalf")


def test_a_silent_client_is_given_up(server: SiteServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application.SiteConnection, "timeout", 0.05)
    assert raw(server, b"GET /index.json HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith(b"{}")
    assert raw(server, b"GET /index.json HTTP/1.1\r\nHost:") == b""
    body = b"GET /index.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
    assert raw(server, body) == b""


def test_a_client_that_does_not_read_is_given_up(
    server: SiteServer, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application.SiteConnection, "timeout", 0.05)
    with (site / "data" / "large").open("wb") as file:
        file.truncate(50_000_000)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /data/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100)
        connections = server._listener
        with connections._changed:
            assert connections._changed.wait_for(lambda: not connections._connected, 5)


def test_a_client_that_leaves_in_the_middle_disturbs_nobody(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (site / "data" / "large").open("wb") as file:
        file.truncate(50_000_000)
    with serve(site, port=0) as server:
        with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
            connection.sendall(b"GET /data/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(100)
        assert get(server, "index.json").content == b"{}"
    assert capfd.readouterr().err == ""


def test_a_connection_that_fails_is_logged_and_no_more(
    server: SiteServer,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing(self: object) -> None:
        raise RuntimeError("a defect")

    caplog.set_level(logging.DEBUG)
    with monkeypatch.context() as patched:
        patched.setattr(application.SiteConnection, "run_wsgi", failing)
        assert raw(server, b"GET /index.json HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
    assert get(server, "index.json").ok
    assert "a defect" in caplog.text
    assert capfd.readouterr().err == ""


def test_many_clients_are_served_at_once(server: SiteServer) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(get(server, "data/a.bin").content))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [VALUE] * 16


# The server's life


def test_closing_is_quick_idempotent_and_ends_idle_connections(
    site: Path, http: requests.Session
) -> None:
    server = serve(site, port=0)
    http.get(server.url + "index.json", timeout=10)
    idle = socket.create_connection(("127.0.0.1", server.port), 10)
    with idle:
        idle.sendall(b"GET /index.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert idle.recv(65536).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        server.close()
        server.close()
        assert time.monotonic() - began < 1.0
        idle.settimeout(1.0)
        while idle.recv(65536):
            pass
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url, timeout=1)
    assert repr(server) == f"<SiteServer: {server.url} (closed)>"


def test_closing_ends_a_transfer_that_nobody_reads(site: Path) -> None:
    with (site / "data" / "large").open("wb") as file:
        file.truncate(50_000_000)
    server = serve(site, port=0)
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(b"GET /data/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(100)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 1.0


def test_nothing_is_left_open_after_closing(site: Path) -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with serve(site, port=0) as server:
            get(server, "data/a.bin")
            get(server, "data/a.bin", Range="bytes=99999-")
            get(server, "data/a.bin", If_None_Match="*")
            requests.head(server.url + "data/a.bin", timeout=10)
        gc.collect()
    assert set(threading.enumerate()) <= before


def test_the_port_is_free_again_after_closing(site: Path) -> None:
    with serve(site, port=0) as server:
        port = server.port
        get(server, "index.json")
    with serve(site, port=port) as again:
        assert again.port == port
        assert get(again, "index.json").ok


def test_a_port_in_use_is_an_error_that_says_so(
    site: Path, server: SiteServer, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError, match=f"port {server.port} is in use"):
        serve(site, port=server.port)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("host", "port"), [("192.0.2.1", 0), ("no.such.host.invalid", 0), ("127.0.0.1", 70000)]
)
def test_an_address_that_cannot_be_listened_at_is_an_error(
    site: Path, host: str, port: int
) -> None:
    with pytest.raises(StoreError, match="cannot listen at"):
        serve(site, host=host, port=port)


def test_a_host_that_is_no_name_is_an_error(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*arguments: object) -> None:
        raise UnicodeError("label too long")

    monkeypatch.setattr(socket, "getaddrinfo", refusing)
    with pytest.raises(StoreError, match=r"cannot listen at .*: label too long"):
        serve(site, host="x" * 70, port=0)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no folder"):
        serve(tmp_path / "none", port=0)


def test_ipv6_works(site: Path) -> None:
    with serve(site, host="::1", port=0, auth=("a", "b")) as server:
        assert server.url == f"http://[::1]:{server.port}/"
        assert requests.get(server.url + "index.json", auth=("a", "b"), timeout=10).ok


def test_waiting_ends_when_the_server_is_closed(site: Path) -> None:
    server = serve(site, port=0)
    threading.Timer(0.05, server.close).start()
    server.wait()
    assert "closed" in repr(server)


def test_an_interrupt_while_waiting_closes_the_server(
    server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(timeout: float) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(server._closed, "wait", interrupted)
        server.wait()
    assert "closed" in repr(server)


def test_waiting_goes_on_after_each_look(
    server: SiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([False, False, True])
    monkeypatch.setattr(server._closed, "wait", lambda timeout: next(looks))
    server.wait()
    assert next(looks, None) is None


def test_without_werkzeug_it_is_said_what_to_install(site: Path) -> None:
    code = f"""
import sys
sys.modules["werkzeug"] = None  # as if it were not installed
from staticstore import StoreError, serve
try:
    serve({str(site)!r}, port=0)
except StoreError as error:
    print(error)
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said == "serving needs the package `werkzeug`, which the extra `cli` brings\n"


def test_the_application_is_wsgi(site: Path) -> None:
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
        started.append((status, headers))

    site_application = application.SiteApplication(SiteFolder(site))
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/index.json", "wsgi.input": io.BytesIO()}
    pieces = site_application(environ, start_response)
    with contextlib.closing(cast(Any, pieces)):
        assert b"".join(pieces) == b"{}"
    assert started[0][0] == "200 OK"
    environ["PATH_INFO"] = "/\u20ac"  # no bytes, as WSGI wants them
    assert b"".join(site_application(environ, start_response)) == b"not found\n"
