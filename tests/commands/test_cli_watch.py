"""``staticstore watch``, with conditions, and the commands that it runs."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from staticstore import Change
from staticstore.commands.terminal import Output
from staticstore.commands.watch import ChangeCommand
from tests.commands.conftest import Run
from tests.commands.shell import finish, start
from tests.servers import RawServer, serve_files
from tests.sites import index_of


@contextmanager
def changing(files: dict[str, bytes], changed: bytes) -> Iterator[str]:
    """Serve files whose index changes at its second request."""
    answer = serve_files(files)
    seen = threading.Event()

    def index(request: object, wire: object) -> None:
        if seen.is_set():
            files["index.json"] = changed
        seen.set()
        answer(request, wire)  # type: ignore[arg-type]

    with RawServer(answer.but({"index.json": index})) as server:
        yield server.url


BEFORE = index_of({"changed": b"1", "deleted": b""})
AFTER = index_of({"changed": b"22", "added": b""})


def test_watch_tells_of_changes_as_they_come(cli: Run) -> None:
    with changing({"index.json": BEFORE}, AFTER) as url:
        ended = cli("watch", url, "--interval", "0.05", "--idle", "1", "-q")
    assert ended.code == 0
    assert ended.lines == ["set\tadded\t", "update\tchanged\tsha256, size", "delete\tdeleted\t"]


def test_watch_as_json_has_the_metadata_before_and_after(cli: Run) -> None:
    with changing({"index.json": BEFORE}, AFTER) as url:
        ended = cli("watch", url, "--interval", "0.05", "--idle", "1", "--json")
    assert [(record["action"], record["key"]) for record in ended.records] == [
        ("set", "added"),
        ("update", "changed"),
        ("delete", "deleted"),
    ]
    added, updated, deleted = ended.records
    assert added["previous"] is None
    assert (updated["previous"]["size"], updated["metadata"]["size"]) == (1, 2)
    assert deleted["metadata"] is None
    assert not ended.err


def test_watch_gives_each_change_at_once_also_in_a_pipe() -> None:
    with changing({"index.json": BEFORE}, AFTER) as url:
        process = start("watch", url, "--interval", "0.05", "--json")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["key"] == "added"
        process.terminate()
        finish(process)


def test_watch_ends_when_nothing_comes(cli: Run, url: str) -> None:
    assert cli("watch", url, "--idle", "0.05").code == 0


def test_watch_shows_changes_whose_metadata_before_or_after_fulfills_the_conditions(
    cli: Run,
) -> None:
    with changing({"index.json": BEFORE}, AFTER) as url:
        options = ["--interval", "0.05", "--idle", "1", "-q"]
        ended = cli("watch", url, "size>=1", "size<2", *options)
    assert ended.lines == ["update\tchanged\tsha256, size"]


def test_watch_warns_of_a_field_that_no_entry_has(cli: Run, url: str) -> None:
    ended = cli("watch", url, "tpye=raster", "--idle", "0.05")
    assert ended.code == 0
    assert "no entry has the field 'tpye': did you mean 'type'?" in ended.errors


# -- commands ----------------------------------------------------------------------------


def test_a_command_is_run_for_each_change_in_order(cli: Run) -> None:
    with changing({"index.json": BEFORE}, AFTER) as url:
        options = ["--interval", "0.05", "--idle", "1", "-q"]
        ended = cli("watch", url, *options, "--exec", "echo {action} of {url}")
    assert ended.code == 0
    assert ended.lines[1::2] == [
        f"set of {url}data/added",
        f"update of {url}data/changed",
        f"delete of {url}data/deleted",
    ]


def test_e15_what_fails_is_reported_and_the_others_run(cli: Run) -> None:
    script = "import sys; sys.exit(3 if sys.argv[1] != 'update' else 0)"
    command = shlex.join([sys.executable, "-c", script, "{action}"])
    with changing({"index.json": BEFORE}, AFTER) as url:
        ended = cli("watch", url, "--interval", "0.05", "--idle", "1", "-q", "--exec", command)
    assert ended.code == 8
    assert [line.partition(" failed ")[2] for line in ended.errors.splitlines()[:2]] == [
        "with exit code 3 (set 'added')",
        "with exit code 3 (delete 'deleted')",
    ]
    assert "error: 2 of 3 commands failed" in ended.errors


def test_the_output_of_commands_is_kept_apart_from_json(cli: Run) -> None:
    with changing({"index.json": BEFORE}, AFTER) as url:
        options = ["--interval", "0.05", "--idle", "1", "--json"]
        ended = cli("watch", url, "size=2", *options, "--exec", "echo {key}")
    assert [record["key"] for record in ended.records] == ["changed"]
    assert ended.errors == "changed\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--exec", "no-such-command {key}"], "there is no command 'no-such-command' to run"),
        (["--exec", "no-such|command"], "--shell runs a line of shell"),
        (["--exec", "{key}"], "name a program"),
        (["--exec", ""], "is empty"),
        (["--exec", "echo 'x"], "No closing quotation"),
        (["--shell"], "--shell goes with --exec"),
        (["--shell", "--exec", " "], "is empty"),
        (["--shell", "--exec", "echo {key}"], '"$STATICSTORE_KEY"'),
        (["--exec", "sh -c 'echo {key}'"], '"$STATICSTORE_KEY"'),
        (["--exec", "env X=1 /bin/bash -ec 'echo {url}'"], '"$STATICSTORE_URL"'),
    ],
)
def test_e15_a_command_that_cannot_be_run_is_said_before_anything_begins(
    cli: Run, options: list[str], message: str
) -> None:
    ended = cli("watch", "http://127.0.0.1:9/", *options)
    assert ended.code == 2
    assert message in ended.errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_e15_the_end_of_the_watch_ends_the_command(number: int) -> None:
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with changing({"index.json": BEFORE}, AFTER) as url:
        command = shlex.join([sys.executable, "-c", script])
        process = start("watch", url, "--interval", "0.05", "-q", "--exec", command)
        assert process.stdout is not None
        process.stdout.readline()  # the change
        child = int(process.stdout.readline())
        process.send_signal(number)
        assert finish(process).code == 128 + number
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_e15_ctrl_c_which_the_command_gets_as_well_ends_both() -> None:
    with changing({"index.json": BEFORE}, AFTER) as url:
        command = "sh -c 'echo begun; exec sleep 600'"
        options = ["--interval", "0.05", "-q", "--exec", command]
        process = start("watch", url, *options, start_new_session=True)
        assert process.stdout is not None
        process.stdout.readline()  # the change
        assert process.stdout.readline() == b"begun\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert finish(process).code == 130


class Recorder:
    """Runs a command that writes down what it gets."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "got.json"
        script = folder / "record.py"
        script.write_text(
            "import json, os, sys\n"
            "variables = {n: v for n, v in os.environ.items() if n.startswith('STATICSTORE_')}\n"
            "got = {'words': sys.argv[1:], 'env': variables, 'input': json.load(sys.stdin)}\n"
            f"json.dump(got, open({str(self._file)!r}, 'w'))\n"
        )
        self.command = shlex.join([sys.executable, str(script)])

    def run(self, change: Change, words: str = "", *, shell: bool = False) -> Any:
        self.runner = ChangeCommand(
            f"{self.command} {words}", shell=shell, url_of=lambda key: f"u:{key}", output=Output()
        )
        self.runner.run(change)
        return json.loads(self._file.read_bytes()) if self._file.exists() else None


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


UPDATE = Change("a b", b'{"size":1}', '{"size":2,"title":"Zürich"}'.encode())


def test_the_environment_of_a_command_has_the_change(recorder: Recorder) -> None:
    environment = recorder.run(UPDATE)["env"]
    assert environment["STATICSTORE_ACTION"] == "update"
    assert environment["STATICSTORE_KEY"] == "a b"
    assert environment["STATICSTORE_URL"] == "u:a b"
    assert json.loads(environment["STATICSTORE_METADATA"]) == {"size": 2, "title": "Zürich"}
    assert json.loads(environment["STATICSTORE_PREVIOUS"]) == {"size": 1}


def test_the_metadata_of_what_is_not_there_is_null(recorder: Recorder) -> None:
    assert recorder.run(Change("a", b"{}", None))["env"]["STATICSTORE_METADATA"] == "null"
    assert recorder.run(Change("a", None, b"{}"))["env"]["STATICSTORE_PREVIOUS"] == "null"


def test_the_standard_input_of_a_command_has_the_change(recorder: Recorder) -> None:
    assert recorder.run(UPDATE)["input"] == {
        "action": "update",
        "key": "a b",
        "url": "u:a b",
        "metadata": {"size": 2, "title": "Zürich"},
        "previous": {"size": 1},
    }


@pytest.mark.parametrize("key", ["a; exit 3", "$(exit 3)", "a b", "'\"", "{action}", "Zürich"])
def test_e15_a_key_is_one_word_whatever_it_contains(recorder: Recorder, key: str) -> None:
    words = recorder.run(Change(key, None, b"{}"), "{key} x/{key} '{action} {other}'")["words"]
    assert words == [key, f"x/{key}", "set {other}"]


def test_a_shell_has_the_key_in_a_variable(recorder: Recorder) -> None:
    change = Change("$(exit 3)", None, b"{}")
    words = recorder.run(change, '"$STATICSTORE_KEY" && true', shell=True)["words"]
    assert words == ["$(exit 3)"]


def test_e15_a_key_is_never_an_option_of_the_command(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    change = Change("--output=x", None, b"{}")
    assert recorder.run(change, "{key}") is None
    assert recorder.runner.failed == 1
    assert "write -- before {key} (set '--output=x')" in capsys.readouterr().err
    assert recorder.run(change, "-- {key}")["words"] == ["--", "--output=x"]


def test_e15_metadata_too_long_for_the_environment_is_on_the_standard_input_alone(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    long = {"title": "x" * 200_000}
    got = recorder.run(Change("a", None, json.dumps(long).encode()))
    assert "STATICSTORE_METADATA" not in got["env"]
    assert got["input"]["metadata"] == long
    assert "STATICSTORE_METADATA of 'a' is too long" in capsys.readouterr().err


def test_a_command_need_not_read_its_standard_input() -> None:
    long = json.dumps({"title": "x" * 200_000}).encode()
    runner = ChangeCommand("true", shell=False, url_of=str, output=Output(quiet=True))
    runner.run(Change("a", None, long))
    assert (runner.started, runner.failed) == (1, 0)


@pytest.mark.parametrize("key", ["a\0b", "\ud800"])
def test_e15_a_key_that_cannot_be_passed_is_a_failure(
    recorder: Recorder, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    recorder.run(Change(key, None, b"{}"), "{key}")
    assert recorder.runner.failed == 1
    assert "the key cannot be passed to a program" in capsys.readouterr().err


def test_e15_a_signal_that_ends_a_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    runner = ChangeCommand("kill -9 $$", shell=True, url_of=str, output=Output())
    runner.run(UPDATE)
    assert "the command was ended by SIGKILL (update 'a b')" in capsys.readouterr().err


def test_a_program_that_vanishes_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    runner = ChangeCommand(str(program), shell=False, url_of=str, output=Output())
    program.unlink()
    runner.run(UPDATE)
    assert "cannot be started: No such file or directory" in capsys.readouterr().err


def test_a_program_that_may_not_be_executed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "program").touch()
    with pytest.raises(click.UsageError, match="there is no command"):
        ChangeCommand(str(tmp_path / "program"), shell=False, url_of=str, output=Output())
