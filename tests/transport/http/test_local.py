"""A folder is read like a site on a good web server."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import requests

from staticstore import AuthorizationError, HTTPStatusError, StaticStore, TransportError
from staticstore.transport.http import local_adapters
from staticstore.transport.http.conditions import (
    Answer,
    Representation,
    answer,
    header_fields,
)
from staticstore.transport.http.local_adapters import FileAdapter
from staticstore.transport.http.response import ContentRange, Response
from tests.sites import write_site
from tests.transport.conftest import Call, SessionAt, noted_waits

VALUE = bytes(range(100))
TIME = 1_700_000_000

Ask = Callable[..., Response]


@pytest.fixture
def ask(session_at: SessionAt, tmp_path: Path) -> Ask:
    """Request a file of 100 bytes."""
    (tmp_path / "a").write_bytes(VALUE)
    os.utime(tmp_path / "a", (TIME, TIME))
    session = session_at(str(tmp_path))

    def ask(headers: Mapping[str, str] | None = None, *, method: str = "GET") -> Response:
        return session.request(method, "a", headers=headers)

    return ask


def body(response: Response) -> bytes:
    return b"".join(iter(lambda: response.read(1 << 16), b""))


# -- the whole -------------------------------------------------------------------------


def test_a_file_is_returned_whole(ask: Ask, tmp_path: Path) -> None:
    answer = ask()
    assert body(answer) == VALUE
    assert (answer.status, answer.content_length) == (200, 100)
    assert answer.url == (tmp_path / "a").as_uri()
    assert answer.header("Accept-Ranges") == "bytes"
    assert answer.header("Last-Modified") == formatdate(TIME, usegmt=True)


def test_an_empty_file_is_returned_whole(session_at: SessionAt, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    answer = session_at(str(tmp_path)).request("GET", "empty")
    assert (answer.status, answer.content_length, body(answer)) == (200, 0, b"")


def test_a_file_is_read_in_pieces(ask: Ask) -> None:
    answer = ask()
    assert [len(answer.read(40)) for _ in range(4)] == [40, 40, 20, 0]


def test_head_returns_header_fields_and_no_body(ask: Ask) -> None:
    answer = ask(method="HEAD")
    assert (answer.status, answer.content_length) == (200, 100)
    assert answer.etag == ask().etag
    assert body(answer) == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get"])
def test_other_methods_are_not_allowed(tmp_path: Path, method: str) -> None:
    (tmp_path / "a").write_bytes(VALUE)
    request = requests.PreparedRequest()
    request.prepare_url((tmp_path / "a").as_uri(), None)
    request.prepare_headers({})
    request.method = method
    answer = FileAdapter().send(request)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert (tmp_path / "a").read_bytes() == VALUE


@pytest.mark.parametrize(
    "name",
    ["a b", "é日本", "100%", "%41", "a?b#c", "a;b=c&d", "a+b", "~x", ".hidden", "a:b", "x\n"],
)
def test_a_url_path_finds_its_file(session_at: SessionAt, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(VALUE)
    url_path = (tmp_path / name).as_uri().removeprefix(f"{tmp_path.as_uri()}/")
    assert body(session_at(str(tmp_path)).request("GET", url_path)) == VALUE


# -- ranges (RFC 9110, section 14) -----------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-9", 0, 10),
        ("bytes=5-", 5, 100),
        ("bytes=99-", 99, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-5", 95, 100),
        ("bytes=-1000", 0, 100),
        ("BYTES=5-9", 5, 10),
        ("bytes=000-009", 0, 10),
    ],
)
def test_a_range_is_a_206(ask: Ask, asked: str, start: int, end: int) -> None:
    answer = ask({"Range": asked})
    assert (answer.status, answer.content_length) == (206, end - start)
    assert answer.content_range == ContentRange(start, end, 100)
    assert body(answer) == VALUE[start:end]


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=1000-", "bytes=-0"])
def test_a_range_beyond_the_end_is_a_416(ask: Ask, asked: str) -> None:
    answer = ask({"Range": asked})
    assert (answer.status, answer.header("Content-Range")) == (416, "bytes */100")
    assert body(answer) == b""


@pytest.mark.parametrize("asked", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_a_range_of_an_empty_file_is_answered_with_the_whole(
    session_at: SessionAt, tmp_path: Path, asked: str
) -> None:
    (tmp_path / "empty").touch()
    answer = session_at(str(tmp_path)).request("GET", "empty", headers={"Range": asked})
    assert (answer.status, answer.header("Content-Range"), body(answer)) == (200, None, b"")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,5-9",
        "bytes=0-1, -1",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=9-5",
        "bytes=0-9x",
        "bytes=--9",
        "bytes=0.5-9",
        "lines=0-9",
        "0-9",
        "bytes 0-9",
        "",
        f"bytes=0-{'9' * 30}",
    ],
)
def test_an_unsupported_range_is_answered_with_the_whole(ask: Ask, asked: str) -> None:
    answer = ask({"Range": asked})
    assert (answer.status, answer.header("Content-Range")) == (200, None)
    assert body(answer) == VALUE


def test_a_head_request_ignores_ranges(ask: Ask) -> None:
    answer = ask({"Range": "bytes=0-9"}, method="HEAD")
    assert (answer.status, answer.content_length) == (200, 100)


# -- conditions (RFC 9110, section 13) -------------------------------------------------


def test_the_etag_is_strong_and_stable(ask: Ask) -> None:
    first, second = ask(), ask({"Range": "bytes=0-3"})
    assert first.strong_etag is not None
    assert first.strong_etag == second.strong_etag == ask(method="HEAD").strong_etag


@pytest.mark.parametrize("change", ["size", "time", "nanosecond", "file"])
def test_the_etag_changes_when_the_file_does(ask: Ask, tmp_path: Path, change: str) -> None:
    before = ask().etag
    path = tmp_path / "a"
    if change == "size":
        path.write_bytes(VALUE[1:])
        os.utime(path, (TIME, TIME))
    elif change == "time":
        os.utime(path, (TIME, TIME + 1))
    elif change == "nanosecond":
        os.utime(path, ns=(TIME * 10**9, TIME * 10**9 + 1))
    else:
        new = tmp_path / "new"
        new.write_bytes(VALUE[::-1])
        os.utime(new, (TIME, TIME))
        new.replace(path)
    assert ask().etag != before


DATE = formatdate(TIME, usegmt=True)
EARLIER = formatdate(TIME - 1, usegmt=True)
LATER = formatdate(TIME + 1, usegmt=True)


@pytest.mark.parametrize("form", ["{}", "W/{}", "*"])
def test_a_matching_etag_is_a_304(ask: Ask, form: str) -> None:
    answer = ask({"If-None-Match": form.format(ask().etag)})
    assert answer.status == 304
    assert answer.etag == ask().etag
    assert body(answer) == b""


@pytest.mark.parametrize("date", [DATE, LATER])
def test_a_matching_date_is_a_304(ask: Ask, date: str) -> None:
    assert ask({"If-Modified-Since": date}).status == 304


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"other"'},
        {"If-None-Match": ""},
        {"If-Modified-Since": EARLIER},
        {"If-Modified-Since": "yesterday"},
        {"If-Modified-Since": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"},
        {"If-None-Match": '"other"', "If-Modified-Since": DATE},
    ],
)
def test_without_a_match_the_file_is_returned(ask: Ask, headers: Mapping[str, str]) -> None:
    answer = ask(headers)
    assert (answer.status, body(answer)) == (200, VALUE)


def test_an_etag_takes_precedence_over_a_date(ask: Ask) -> None:
    headers = {"If-None-Match": str(ask().etag), "If-Modified-Since": EARLIER}
    assert ask(headers).status == 304


@pytest.mark.parametrize("validator", ["etag", "date"])
def test_a_range_is_returned_if_if_range_matches(ask: Ask, validator: str) -> None:
    if_range = DATE if validator == "date" else str(ask().etag)
    answer = ask({"Range": "bytes=5-9", "If-Range": if_range})
    assert (answer.status, body(answer)) == (206, VALUE[5:10])


@pytest.mark.parametrize("if_range", ['"other"', EARLIER, LATER, "", "W/{etag}"])
def test_the_whole_is_returned_if_if_range_does_not_match(ask: Ask, if_range: str) -> None:
    if_range = if_range.format(etag=ask().etag)
    answer = ask({"Range": "bytes=5-9", "If-Range": if_range})
    assert (answer.status, body(answer)) == (200, VALUE)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": "*"}, 200),
        ({"If-Match": "{etag}"}, 200),
        ({"If-Match": '"other", {etag}'}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "W/{etag}"}, 412),
        ({"If-Unmodified-Since": LATER}, 200),
        ({"If-Unmodified-Since": DATE}, 200),
        ({"If-Unmodified-Since": EARLIER}, 412),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"If-Unmodified-Since": EARLIER, "If-Match": "{etag}"}, 200),
    ],
)
def test_a_failed_precondition_is_a_412(ask: Ask, headers: Mapping[str, str], status: int) -> None:
    etag = str(ask().etag)
    wanted = {name: value.replace("{etag}", etag) for name, value in headers.items()}
    if status == 200:
        assert body(ask(wanted)) == VALUE
        return
    with pytest.raises(HTTPStatusError) as caught:
        ask(wanted)
    assert caught.value.status == status


def test_a_file_whose_date_cannot_be_written_has_no_last_modified(tmp_path: Path) -> None:
    # No file system that we know can store such a date.
    found = SimpleNamespace(st_size=5, st_mtime_ns=10**21, st_ino=7)
    current = Representation.of(cast(os.stat_result, found))
    assert current.modified is None
    assert "Last-Modified" not in header_fields(answer("GET", {}, current), current)
    assert answer("GET", {"If-Modified-Since": DATE}, current) == Answer(200, 0, 5)
    assert answer("GET", {"If-Unmodified-Since": DATE}, current) == Answer(200, 0, 5)


def test_a_condition_is_checked_before_a_range(ask: Ask) -> None:
    headers = {"Range": "bytes=5-9", "If-None-Match": str(ask().etag)}
    assert ask(headers).status == 304


# -- what is not a regular file --------------------------------------------------------


def no_file(path: Path) -> None:
    """Create nothing."""


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(path))


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def looping_link(path: Path) -> None:
    path.symlink_to(path)


def link_to_folder(path: Path) -> None:
    path.symlink_to(path.parent)


def link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("fifo"))
    path.symlink_to("fifo")


NO_FILES = [
    no_file,
    folder,
    fifo,
    unix_socket,
    device,
    terminal,
    dangling_link,
    looping_link,
    link_to_folder,
    link_to_fifo,
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("make", NO_FILES)
def test_anything_but_a_regular_file_is_not_found_without_waiting(
    session_at: SessionAt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Path], None],
    method: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "thing")
    session = session_at(str(tmp_path), retries=2)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(HTTPStatusError) as caught:
        Call(lambda: session.request(method, "thing")).result()
    assert caught.value.status == 404
    assert waits == []


@pytest.mark.parametrize(
    "url_path",
    ["a/b", "a/", "%00", "a%00", "x" * 300, "x/" * 3000, "%ff%fe"],
    ids=["below a file", "slash", "NUL", "NUL at the end", "long name", "long path", "not UTF-8"],
)
def test_an_impossible_path_is_not_found(
    session_at: SessionAt,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url_path: str,
) -> None:
    (tmp_path / "a").write_bytes(VALUE)
    session = session_at(str(tmp_path), retries=2)
    waits = noted_waits(session, monkeypatch)
    with pytest.raises(HTTPStatusError) as caught:
        session.request("GET", url_path)
    assert caught.value.status == 404
    assert waits == []


def test_a_link_to_a_file_is_followed(session_at: SessionAt, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(VALUE)
    (tmp_path / "link").symlink_to("a")
    assert body(session_at(str(tmp_path)).request("GET", "link")) == VALUE


def test_an_unreadable_file_is_an_authorization_error(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, who may read everything.
    def refuse(path: Any) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(local_adapters, "open_regular", refuse)
    with pytest.raises(AuthorizationError) as caught:
        ask()
    assert caught.value.status == 403


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_permissions_are_respected(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "a").chmod(0)
    with pytest.raises(AuthorizationError):
        ask()


def test_a_failing_disk_is_a_transport_error(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Any) -> Any:
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(local_adapters, "open_regular", fail)
    with pytest.raises(TransportError, match="Input/output error"):
        ask()


def test_a_file_that_shrinks_during_a_read_is_a_transport_error(ask: Ask, tmp_path: Path) -> None:
    answer = ask()
    answer.read(10)
    os.truncate(tmp_path / "a", 20)
    with pytest.raises(TransportError):
        body(answer)


def test_a_file_that_grows_during_a_read_returns_its_announced_size(
    ask: Ask, tmp_path: Path
) -> None:
    answer = ask()
    with (tmp_path / "a").open("ab") as file:
        file.write(VALUE)
    assert body(answer) == VALUE


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=500-"}, {"If-None-Match": "*"}])
def test_files_are_closed(
    ask: Ask, tmp_path: Path, method: str, headers: Mapping[str, str]
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    given = [ask(headers, method=method) for _ in range(10)]
    for response in given:
        response.close()
        response.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_site_in_a_folder_makes_no_network_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket.socket, "connect")
    write_site(tmp_path, {"a": VALUE})
    with StaticStore(tmp_path, poll_interval=0) as store:
        assert store["a"].read() == VALUE
