"""How commands end: each exit code, and never a traceback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from staticstore import publish
from staticstore.commands.exits import CommandError, ExitCode, ending_of
from staticstore.errors import (
    AuthorizationError,
    HTTPStatusError,
    IndexFormatError,
    IntegrityError,
    InvalidKeyError,
    NotConnectedError,
    StoreError,
    TransportError,
    TransportTimeout,
)
from tests.commands.conftest import Run
from tests.commands.shell import Terminal, environment, finish, shell, start
from tests.servers import RawServer, Request, Wire, serve_files
from tests.sites import index_of

NOWHERE = "http://127.0.0.1:1/"


def error_of(err: bytes) -> dict[str, object]:
    """Return the error of a command with ``--json``."""
    error = json.loads(err.splitlines()[-1])["error"]
    assert isinstance(error, dict)
    return error


def interrupted_in_a_lock() -> RuntimeError:
    """Return what `threading.Condition.wait` may raise if it is interrupted."""
    error = RuntimeError("cannot release un-acquired lock")
    error.__context__ = KeyboardInterrupt()
    return error


# -- the mapping ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("x"), 1),
        (NotConnectedError("x"), 1),
        (InvalidKeyError("x"), 1),
        (OSError(28, "No space left on device"), 1),
        (CommandError("x"), 1),
        (click.UsageError("x"), 2),
        (click.BadParameter("x"), 2),
        (CommandError("x", code=ExitCode.NO_SUCH_KEY), 3),
        (AuthorizationError("x", status=401), 4),
        (TransportError("x"), 5),
        (TransportTimeout("x"), 5),
        (HTTPStatusError("x", status=404), 5),
        (IntegrityError("x"), 6),
        (IndexFormatError("x"), 7),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (interrupted_in_a_lock(), 130),
        (BrokenPipeError(32, "Broken pipe"), 141),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    ending = ending_of(error)
    assert ending is not None
    assert ending.code == code


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), AssertionError("x")])
def test_a_defect_has_none_and_is_seen(error: Exception) -> None:
    assert ending_of(error) is None


# -- commands --------------------------------------------------------------------------


def test_0_when_all_is_done(cli: Run, url: str) -> None:
    assert cli("info", url).code == 0


def test_1_for_a_folder_that_is_not_there(cli: Run, tmp_path: Path) -> None:
    ended = cli("publish", tmp_path / "nowhere")
    assert ended.code == 1
    assert ended.errors.startswith("error: there is no folder")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["ls"],
        ["ls", "--nonsense", "x"],
        ["ls", "x", "y", "z"],
        ["ls", "ftp://example.org/"],
        ["ls", "http://["],
        ["ls", "http://example.org:port/"],
        ["query", "x", "type"],
        ["query", "x", "=raster"],
        ["query", "x", "a=1", "a=2"],
        ["query", "x", "--select", "a,,b"],
        ["get", "x"],
        ["get", "x", "y", "--range", "0-4"],
        ["get", "x", "y", "--range", "a:b"],
        ["get", "x", "y", "--range", "7"],
        ["get", "x", "y", "-o", ""],
        ["watch", "x", "--interval", "0"],
        ["watch", "x", "--interval", "nan"],
        ["watch", "x", "--idle", "soon"],
        ["serve", "x", "--port", "70000"],
        ["publish", "x", "--check", "--dry-run"],
        ["publish", "x", "--check", "--metadata", "m.csv"],
        ["publish", "x", "--check", "--pack"],
        ["publish", "x", "--check", "--compress", "*"],
        ["publish", "x", "--compress", "*", "--no-compress"],
        ["publish", "x", "--expire", "sha256"],
        ["publish", "x", "--check", "--browse"],
        ["publish", "x", "--pack-below", "100"],
        ["publish", "x", "--pack", "--pack-below", "0"],
        ["info", "x", "--ca", "/nowhere/ca.pem"],
        ["info", "x", "--proxy", "nonsense"],
        ["info", "x", "--proxy", "http://["],
        ["info", "x", "--auth", "ali"],
    ],
    ids=" ".join,
)
def test_2_for_what_cannot_be_meant(cli: Run, arguments: list[str]) -> None:
    ended = cli(*arguments)
    assert ended.code == 2
    first, second = ended.errors.splitlines()
    assert first.startswith("error: ")
    assert second.startswith("hint: 'staticstore")
    assert "--help" in second
    assert not ended.out


@pytest.mark.parametrize("arguments", [["get", "x", "y"], ["get", "x", "y", "-o", "-"], ["foo"]])
def test_2_is_told_as_json_too(cli: Run, arguments: list[str]) -> None:
    ended = cli(*arguments, "--json")
    assert ended.code == 2
    assert error_of(ended.err).keys() == {"type", "message", "key", "url", "status"}


def test_2_and_the_help_for_no_command_at_all(cli: Run) -> None:
    ended = cli()
    assert ended.code == 2
    assert "Commands:" in ended.errors


def test_3_for_a_key_that_is_not_in_the_index(cli: Run, url: str) -> None:
    ended = cli("get", url, "terrain/dem.tiff")
    assert ended.code == 3
    assert ended.errors == (
        "error: the index has no key 'terrain/dem.tiff'\nhint: did you mean 'terrain/dem.tif'?\n"
    )


def test_3_as_json_names_the_key(cli: Run, url: str, tmp_path: Path) -> None:
    ended = cli("get", url, "nothing/alike", "--json", "-o", tmp_path / "x")
    assert ended.code == 3
    error = error_of(ended.err)
    assert error["type"] == "KeyError"
    assert error["key"] == "nothing/alike"


def test_4_for_want_of_credentials(cli: Run, locked_url: str) -> None:
    ended = cli("ls", locked_url)
    assert ended.code == 4
    assert "401" in ended.errors
    assert "--auth" in ended.errors


def test_4_for_wrong_ones(cli: Run, locked_url: str) -> None:
    ended = cli("ls", locked_url, "--auth", "ali:wrong", "--json")
    assert ended.code == 4
    error = error_of(ended.err)
    assert error["type"] == "AuthorizationError"
    assert error["status"] == 401
    assert error["url"] == locked_url + "index.json"


def test_5_when_nobody_answers(cli: Run) -> None:
    ended = cli("ls", NOWHERE)
    assert ended.code == 5
    assert "Connection refused" in ended.errors
    assert NOWHERE in ended.errors


def test_5_when_the_url_is_that_of_no_site(cli: Run) -> None:
    with RawServer(serve_files({})) as server:
        ended = cli("ls", server.url)
    assert ended.code == 5
    assert "404" in ended.errors
    assert "staticstore publish" in ended.errors


def test_5_when_a_value_is_missing_on_the_host(cli: Run) -> None:
    with RawServer(serve_files({"index.json": index_of({"a": b"x"})})) as server:
        assert cli("get", server.url, "a").code == 5


def test_6_for_other_bytes_than_the_index_says(cli: Run, tmp_path: Path) -> None:
    files = {"index.json": index_of({"a": b"what was"}), "data/a": b"what is!"}
    with RawServer(serve_files(files)) as server:
        ended = cli("get", server.url, "a", "-o", tmp_path / "a")
    assert ended.code == 6
    assert "sha256" in ended.errors
    assert not list(tmp_path.iterdir())


def test_6_for_a_site_whose_data_has_changed(cli: Run, folder: Path) -> None:
    cli("publish", folder, "-q")
    (folder / "data/stations/stations.csv").write_text("nothing")
    ended = cli("publish", folder, "--check")
    assert ended.code == 6
    assert ended.lines[0].startswith("wrong\tstations/stations.csv\t")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"a": {"v": NaN}}'])
def test_7_for_an_index_that_is_none(cli: Run, body: bytes) -> None:
    with RawServer(serve_files({"index.json": body})) as server:
        ended = cli("ls", server.url)
    assert ended.code == 7
    assert server.url in ended.errors


def test_8_when_part_of_it_failed(cli: Run, folder: Path) -> None:
    os.mkfifo(folder / "data/pipe.txt")
    ended = cli("publish", folder, "--json")
    assert ended.code == 8
    [report] = ended.records
    assert report["entries"] == 16
    assert [path for path, _ in report["failed"]] == ["pipe.txt"]
    assert error_of(ended.err)["type"] == "PartlyFailed"


def test_8_names_what_failed(cli: Run, folder: Path) -> None:
    os.mkfifo(folder / "data/pipe.txt")
    ended = cli("publish", folder)
    assert any(line.startswith("failed\tpipe.txt\t") for line in ended.lines)
    assert "error: 1 file or folder could not be published" in ended.errors


def test_8_for_a_push_of_a_file_that_is_not_as_the_index_says(
    cli: Run, folder: Path, tmp_path: Path
) -> None:
    publish(folder)
    path = folder / "data/stations/stations.csv"
    before = path.stat()
    path.write_bytes(b"!" + path.read_bytes()[1:])
    os.utime(
        path, ns=(before.st_atime_ns, before.st_mtime_ns)
    )  # hides the change until it is hashed
    ended = cli("push", folder, tmp_path / "host", "-v")
    assert ended.code == 8
    assert any(line.startswith("failed\tdata/stations/stations.csv\t") for line in ended.lines)
    assert not (tmp_path / "host/index.json").exists()


def test_130_for_an_interrupted_watch(url: str) -> None:
    process = start("watch", url)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"watching 16 keys")
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130
    assert not ended.err


def test_130_for_an_interrupted_serve(sample: Path) -> None:
    process = start("serve", str(sample), "--port", "0", "-q")
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130
    assert not ended.err


def test_130_for_an_interrupted_publish_that_watches(folder: Path) -> None:
    process = start("publish", str(folder), "--watch")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith(b"16 keys, ")
    assert process.stderr.readline().startswith(b"watching until")
    (folder / "data/new.txt").write_bytes(b"new")
    assert process.stdout.readline().startswith(b"17 keys, ")
    process.send_signal(signal.SIGINT)
    ended = finish(process)
    assert ended.code == 130
    assert not ended.out
    assert not ended.err


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [(403, 4, "credentials"), (301, 5, "--region"), (404, 5, "the bucket does not exist")],
)
def test_what_a_bucket_says_ends_a_push_with_a_hint_that_fits(
    cli: Run, sample: Path, status: int, code: int, hint: str
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(status, b"<Error><Code>NoSuchBucket</Code></Error>")

    with RawServer(answer) as server:
        ended = cli("push", sample, "s3://b/x", "--endpoint", server.url, "--anonymous")
    assert ended.code == code
    assert hint in ended.errors.splitlines()[-1]


@pytest.mark.parametrize("stalled", ["index.json", ".staticstore/push.json", "data/"])
def test_130_for_an_interrupted_push_to_a_host_that_says_nothing(
    sample: Path, stalled: str
) -> None:
    came = threading.Event()

    def answer(request: Request, wire: Wire) -> None:
        if request.path.startswith(f"/bucket/site/{stalled}"):
            came.set()
            wire.stall()
        elif request.method == "GET":
            wire.response(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            wire.response(200, headers={"ETag": '"1"'})

    with RawServer(answer) as server:
        target = ["s3://bucket/site", "--endpoint", server.url, "--anonymous"]
        process = start("push", str(sample), *target)
        assert came.wait(20)
        process.send_signal(signal.SIGINT)
        ended = finish(process)
    assert (ended.code, ended.out, ended.err) == (130, b"", b"")


def test_130_for_who_interrupts_at_the_password(locked_url: str) -> None:
    terminal = Terminal()
    with terminal.run("ls", locked_url, "--auth", "ali") as process:
        terminal.read_until("Password")
        process.send_signal(signal.SIGINT)
        shown = terminal.read()
        assert process.wait(20) == 130
    terminal.close()
    assert "Traceback" not in shown


def test_141_in_silence_when_the_reader_has_gone(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(index_of({f"key/{n}": b"" for n in range(20_000)}))
    ended = shell(f"$STATICSTORE ls {tmp_path} | head -n 1; echo ${{PIPESTATUS[0]}}")
    assert ended.lines == ["key/0", "141"]
    assert not ended.err


def test_141_in_silence_for_a_value(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_bytes(bytes(1 << 22))
    (tmp_path / "index.json").write_bytes(index_of({"a": bytes(1 << 22)}))
    ended = shell(f"$STATICSTORE get {tmp_path} a | head -c 1 | wc -c; echo ${{PIPESTATUS[0]}}")
    assert ended.lines == ["1", "141"]
    assert not ended.err


# -- no tracebacks ---------------------------------------------------------------------


def test_a_full_disk_is_told_in_a_line(sample: Path) -> None:
    ended = shell(f"$STATICSTORE ls {sample} > /dev/full")
    assert ended.code == 1
    assert ended.errors == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_end_in_no_traceback(sample: Path, closed: str) -> None:
    ended = shell(f"$STATICSTORE ls {sample} {closed}")
    assert ended.code == 0
    assert not ended.err


def test_an_error_nobody_can_read_still_has_its_code(tmp_path: Path) -> None:
    assert shell(f"$STATICSTORE ls {tmp_path} 2>&-").code == 5


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_key_that_the_locale_lacks_ends_in_no_traceback(sample: Path, encoding: str) -> None:
    ended = finish(start("ls", str(sample), "*bersicht*", env={"PYTHONIOENCODING": encoding}))
    assert ended.code == 0
    assert b"bersicht.png" in ended.out


def test_json_is_utf_8_whatever_the_locale(sample: Path) -> None:
    process = start("ls", str(sample), "*bersicht*", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert finish(process).records == [{"key": "karten/ilvar-übersicht.png"}]


def test_arguments_that_are_no_text_end_in_no_traceback(sample: Path) -> None:
    ended = shell(f"$STATICSTORE get {sample} $'\\xff'")
    assert ended.code == 3
    assert "\\udcff" in ended.errors


@pytest.mark.parametrize("name", ["m.json", "m.toml", "m.csv"])
def test_metadata_with_an_error_in_it_is_told_in_a_line(
    cli: Run, folder: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text('{"a": ["')
    ended = cli("publish", folder, "--metadata", tmp_path / name)
    assert ended.code == 1
    assert ended.errors.startswith(f"error: {name}, line 1: ")
    assert ended.errors.count("\n") == 1


def test_a_file_that_cannot_be_written_is_told_in_a_line(cli: Run, url: str) -> None:
    ended = cli("get", url, "stations/stations.csv", "-o", "/nowhere/x.csv")
    assert ended.code == 1
    problem = "there is no folder '/nowhere': create it"
    assert ended.errors == f"error: '/nowhere/x.csv' cannot be written: {problem}\n"


def test_a_folder_is_not_written_over(cli: Run, url: str, tmp_path: Path) -> None:
    (tmp_path / "stations.csv").mkdir()
    assert cli("get", url, "stations/stations.csv", "-o", tmp_path).code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["stations.csv"]


def test_a_port_in_use_is_told_in_a_line(cli: Run, sample: Path, url: str) -> None:
    ended = cli("serve", sample, "--port", url.split(":")[2].strip("/"))
    assert ended.code == 1
    assert "is in use" in ended.errors


def test_a_host_that_fails_while_it_is_watched_is_told_in_a_line(cli: Run) -> None:
    index = index_of({"a": b""})

    def answer(request: Request, wire: Wire) -> None:
        wire.response(404 if request.number else 200, index)

    with RawServer(answer) as server:
        ended = cli("watch", server.url, "--interval", "0.05", "--idle", "0.4")
    assert ended.code == 0
    assert "warning: a poll failed, and the old snapshot is kept" in ended.errors


# -- without the extra --------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["click", "rich", "werkzeug"])
def test_without_the_extra_a_line_says_what_to_install(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from staticstore.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "ls", "."],
        capture_output=True,
        env=environment(),
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    said = f"the command line needs the package `{missing}`, which the extra `cli` brings\n"
    assert done.stderr.decode() == said


def test_python_m_is_the_same_command() -> None:
    assert shell("$STATICSTORE --version").text.startswith("staticstore 0.")


def test_the_console_script_is_the_same_command() -> None:
    if shutil.which("staticstore", path=str(Path(sys.executable).parent)) is None:
        pytest.skip("the package is not installed here, only imported")
    assert shell(f"{Path(sys.executable).parent}/staticstore --version").code == 0
