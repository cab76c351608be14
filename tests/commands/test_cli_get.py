"""`get` of several values into a folder, and where a single one is written."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from staticstore import tuning
from staticstore.site.mirroring import survey
from tests.commands.conftest import Run
from tests.commands.shell import TIMEOUT, finish, start
from tests.servers import RawServer, Request, Wire, serve_files
from tests.sites import index_of

VALUES = {"a.txt": b"first", "b/c.txt": b"second", "b/d.bin": b"third", "e/f/g": b"fourth"}
SITE = {"index.json": index_of(VALUES), **{f"data/{key}": VALUES[key] for key in VALUES}}


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(serve_files(SITE)) as server:
        yield server


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def asked(server: RawServer) -> list[str]:
    return [request.path for request in server.requests]


# -- which values ----------------------------------------------------------------------


def test_keys_and_patterns_go_into_a_folder(cli: Run, server: RawServer, out: Path) -> None:
    ended = cli("get", server.url, "a.txt", "b/*", "*.txt", "-o", out)
    assert ended.code == 0
    assert files_in(out) == {key: VALUES[key] for key in ("a.txt", "b/c.txt", "b/d.bin")}
    assert ended.errors == f"{out}: 3 values, 16 bytes\n"


def test_a_single_pattern_goes_into_a_folder_too(cli: Run, server: RawServer, out: Path) -> None:
    assert cli("get", server.url, "a*", "-o", out).code == 0
    assert files_in(out) == {"a.txt": b"first"}


def test_each_value_is_a_line_of_json(cli: Run, server: RawServer, out: Path) -> None:
    ended = cli("get", server.url, "b/d.bin", "a.txt", "-o", out, "--json")
    assert ended.records == [
        {"key": key, "file": str(out / key), "size": len(VALUES[key]), "verified": True}
        for key in ("b/d.bin", "a.txt")
    ]


def test_a_range_is_one_of_each_value(cli: Run, server: RawServer, out: Path) -> None:
    assert cli("get", server.url, "a.txt", "b/d.bin", "-o", out, "--range", "-2:").code == 0
    assert files_in(out) == {"a.txt": b"st", "b/d.bin": b"rd"}


def test_a_key_that_looks_like_a_pattern_is_that_key(cli: Run, out: Path) -> None:
    values = {"a[1]*": b"itself", "a1": b"other"}
    files = {"index.json": index_of(values), **{f"data/{key}": values[key] for key in values}}
    with RawServer(serve_files(files)) as server:
        assert cli("get", server.url, "a[1]*", "-o", out).code == 0
    assert out.read_bytes() == b"itself"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["a.txt", "none"], "the index has no key 'none'"),
        (["none*"], "no key matches 'none*'"),
        (["a.txt", "none", "b/x*"], "nothing in the index matches 'none', 'b/x*'"),
    ],
)
def test_what_matches_nothing_ends_the_command_before_any_value_is_read(
    cli: Run, server: RawServer, out: Path, keys: list[str], message: str
) -> None:
    ended = cli("get", server.url, *keys, "-o", out)
    assert ended.code == 3
    assert message in ended.errors
    assert not out.exists()
    assert not [path for path in asked(server) if path.startswith("/data/")]


def test_a_pattern_leaves_out_what_publish_withholds(cli: Run, out: Path) -> None:
    values = {"a": b"value", ".git/config": b"[core]"}
    files = {"index.json": index_of(values), **{f"data/{key}": values[key] for key in values}}
    with RawServer(serve_files(files)) as server:
        ended = cli("get", server.url, "*", "-o", out)
        assert (ended.code, list(files_in(out))) == (0, ["a"])
        assert "'.git/config' is left out" in ended.errors
        assert cli("get", server.url, "a", ".git/config", "-o", out).code == 0
    assert files_in(out) == values


# -- where to --------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [["a.txt", "e/f/g"], ["b/*"]])
@pytest.mark.parametrize("place", [[], ["-o", "-"]])
def test_several_values_need_a_folder(
    cli: Run, server: RawServer, keys: list[str], place: list[str]
) -> None:
    ended = cli("get", server.url, *keys, *place)
    assert ended.code == 2
    assert "need -o FOLDER" in ended.errors


def test_several_values_do_not_replace_a_file(cli: Run, server: RawServer, out: Path) -> None:
    out.write_text("old")
    ended = cli("get", server.url, "a.txt", "b/c.txt", "-o", out)
    assert ended.code == 1
    assert "it is a file" in ended.errors
    assert out.read_text() == "old"
    assert asked(server) == []


@pytest.mark.parametrize("end", ["", "/"])
def test_a_folder_gets_one_value_under_the_last_part_of_its_key(
    cli: Run, server: RawServer, out: Path, end: str
) -> None:
    out.mkdir()
    [record] = cli("get", server.url, "e/f/g", "-o", f"{out}{end}", "--json").records
    assert record["file"] == str(out / "g")
    assert files_in(out) == {"g": b"fourth"}


def test_a_slash_at_the_end_is_a_folder_that_is_made(
    cli: Run, server: RawServer, out: Path
) -> None:
    assert cli("get", server.url, "e/f/g", "-o", f"{out}/new/").code == 0
    assert files_in(out) == {"new/g": b"fourth"}


def test_the_current_folder_has_a_name(
    cli: Run, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("get", server.url, "e/f/g", "-o", ".").code == 0
    assert files_in(tmp_path) == {"g": b"fourth"}


def test_a_folder_that_is_missing_is_reported_before_any_request(
    cli: Run, server: RawServer, out: Path
) -> None:
    ended = cli("get", server.url, "a.txt", "-o", out / "x")
    assert ended.code == 1
    assert f"there is no folder '{out}': create it" in ended.errors
    assert asked(server) == []


def test_a_folder_of_that_name_is_reported_before_any_request(
    cli: Run, server: RawServer, out: Path
) -> None:
    (out / "g").mkdir(parents=True)
    ended = cli("get", server.url, "e/f/g", "-o", out)
    assert ended.code == 1
    assert "it is a folder" in ended.errors
    assert asked(server) == []


def test_a_key_that_is_not_there_leaves_no_folder(cli: Run, server: RawServer, out: Path) -> None:
    assert cli("get", server.url, "none", "-o", f"{out}/").code == 3
    assert not out.exists()


# -- what fails ------------------------------------------------------------------------


def spoiled(answer: int) -> RawServer:
    def refuse(request: Request, wire: Wire) -> None:
        wire.response(answer)

    return RawServer(serve_files(SITE).but({"data/b/c.txt": refuse, "data/e/f/g": refuse}))


def test_what_fails_is_reported_and_the_rest_is_written(cli: Run, out: Path) -> None:
    with spoiled(404) as server:
        ended = cli("get", server.url, "*", "-o", out)
    assert ended.code == 8
    assert files_in(out) == {key: VALUES[key] for key in ("a.txt", "b/d.bin")}
    assert ended.errors.count("error: ") == 3
    assert "2 of 4 values could not be written" in ended.errors
    assert "b/c.txt" in ended.errors
    assert not (out / "e").exists()


def test_what_fails_is_a_line_of_json_each(cli: Run, out: Path) -> None:
    with spoiled(404) as server:
        ended = cli("get", server.url, "*", "-o", out, "--json")
    assert [record["key"] for record in ended.records] == ["a.txt", "b/d.bin"]
    errors = [json.loads(line)["error"] for line in ended.errors.splitlines()]
    assert [(error["key"], error["status"]) for error in errors] == [
        ("b/c.txt", 404),
        ("e/f/g", 404),
        (None, None),
    ]


def test_if_all_fail_alike_the_exit_code_says_how(cli: Run, out: Path) -> None:
    with spoiled(403) as server:
        ended = cli("get", server.url, "e/f/g", "b/c.txt", "-o", out)
    assert ended.code == 4
    assert "none of 2 values could be written" in ended.errors
    assert not out.exists()


def test_a_wrong_value_leaves_nothing(cli: Run, out: Path) -> None:
    with RawServer(serve_files({**SITE, "data/a.txt": b"wrong"})) as server:
        ended = cli("get", server.url, "a.txt", "b/c.txt", "-o", out)
    assert ended.code == 8
    assert files_in(out) == {"b/c.txt": b"second"}


def test_a_host_that_is_down_is_not_asked_for_every_value(
    cli: Run, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning, "MIRROR_FAILURES", 3)
    monkeypatch.setattr(tuning, "FIRST_BACKOFF_SECONDS", 0.0)
    monkeypatch.setattr(tuning, "CAREFUL_THREADS", 1)
    values = {f"{number:03}": b"value" for number in range(200)}
    answer = serve_files({"index.json": index_of(values)})

    def down(request: Request, wire: Wire) -> None:
        if request.path == "/index.json":
            answer(request, wire)
        else:
            wire.response(503)

    with RawServer(down) as server:
        ended = cli("get", server.url, "*", "-o", out)
        assert ended.code == 5
        assert len(server.requests) < 50
    assert not out.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("keys", [["*"], ["e/f/g"]])
def test_what_ends_the_command_leaves_no_half_of_a_value(
    out: Path, number: signal.Signals, code: int, keys: list[str]
) -> None:
    came = threading.Event()

    def half(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfou")
        came.set()
        wire.stall()

    with RawServer(serve_files(SITE).but({"data/e/f/g": half})) as server:
        process = start("get", server.url, *keys, "-o", f"{out}/", "-q")
        assert came.wait(TIMEOUT)
        process.send_signal(number)
        ended = finish(process)
    assert (ended.code, ended.err) == (code, b"")
    left = files_in(out)
    assert {key: VALUES[key] for key in left} == left
    assert "e/f/g" not in left
    assert not (out / "e").exists()


# -- names -----------------------------------------------------------------------------


def test_a_link_in_the_folder_is_not_followed(cli: Run, server: RawServer, out: Path) -> None:
    (out / "elsewhere").mkdir(parents=True)
    (out / "b").symlink_to(out / "elsewhere")
    (out / "a.txt").symlink_to(out / "elsewhere" / "x")
    ended = cli("get", server.url, "*", "-o", out)
    assert ended.code == 8
    assert ended.errors.count("a symbolic link is in ") == 3
    assert files_in(out) == {"e/f/g": b"fourth"}


@pytest.mark.parametrize("key", ["../x", "/x", "b/../../x", "."])
def test_a_key_that_leads_out_is_in_no_index(cli: Run, tmp_path: Path, out: Path, key: str) -> None:
    files = {"index.json": index_of({key: b"x", "a": b"a", "b": b"b"}), "data/a": b"a"}
    with RawServer(serve_files(files)) as server:
        assert cli("get", server.url, key, "a", "-o", out).code == 3
        assert cli("get", server.url, key, "-o", f"{out}/").code == 3
        cli("get", server.url, "*", "-o", out)
    assert files_in(tmp_path) == {"out/a": b"a"}


def test_two_keys_that_would_be_one_file_are_reported(
    cli: Run, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "spelling_of", lambda folder: str.casefold)
    values = {"A": b"1", "a": b"2", "b": b"3", "b/c": b"4"}
    files = {"index.json": index_of(values), **{f"data/{key}": values[key] for key in values}}
    with RawServer(serve_files(files)) as server:
        ended = cli("get", server.url, "*", "-o", out)
    assert ended.code == 8
    assert "the file system takes it for 'A'" in ended.errors
    assert "other keys need a folder of that name" in ended.errors
    assert files_in(out) == {"A": b"1", "b/c": b"4"}
