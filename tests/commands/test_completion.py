"""What a shell completes: commands, options, names of files, and keys that are known here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from staticstore import StaticStore, publish, serve
from staticstore.commands.shells import COMPLETE_VARIABLE
from tests.commands.conftest import Run
from tests.commands.shell import environment

BREAKS = " \t\n\"'><=;|&(:"


class Shell:
    """Asks as the script of bash does; returns the lines of the answer."""

    def __init__(self, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self._cli = cli
        self._monkeypatch = monkeypatch

    def __call__(self, line: object, shell: str = "bash") -> list[str]:
        self._monkeypatch.setenv(COMPLETE_VARIABLE, f"{shell}_complete")
        self._monkeypatch.setenv("_STATICSTORE_LINE", str(line))
        self._monkeypatch.setenv("_STATICSTORE_BREAKS", BREAKS)
        self._monkeypatch.setenv("COMP_WORDS", str(line))
        self._monkeypatch.setenv("COMP_CWORD", str(len(str(line).split(" ")) - 1))
        try:
            ended = self._cli()
        finally:
            self._monkeypatch.delenv(COMPLETE_VARIABLE)
        assert (ended.code, ended.errors) == (0, "")
        return [answer for answer in ended.lines if answer]


@pytest.fixture
def complete(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell of a user whose cache is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Shell(cli, monkeypatch)


def test_commands_are_completed(complete: Shell) -> None:
    assert complete("staticstore pu") == ["plain,publish", "plain,push"]


def test_options_are_completed(complete: Shell) -> None:
    assert complete("staticstore get --ra") == ["plain,--range"]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("publish ", "dir"),
        ("serve ", "dir"),
        ("push site ", "dir"),
        ("mirror http://x/ ", "dir"),
        ("get http://x/ key -o ", "file"),
        ("publish --metadata ", "file"),
        ("ls --ca ", "file"),
        ("ls --cache ", "dir"),
        ("ls ", "dir"),
    ],
)
def test_names_of_files_and_folders_are_left_to_the_shell(
    complete: Shell, line: str, kind: str
) -> None:
    assert complete(f"staticstore {line}") == [f"{kind},"]


@pytest.mark.parametrize("command", ["get", "ls"])
def test_keys_of_a_folder_are_completed_level_by_level(
    complete: Shell, sample: Path, command: str
) -> None:
    assert complete(f"staticstore {command} {sample} p") == ["open,places/"]
    assert complete(f"staticstore {command} {sample} places/") == [
        "plain,places/places.geojson",
        "plain,places/trails.geojson",
    ]


def test_keys_of_a_cached_site_are_completed_without_its_host(
    complete: Shell, sample: Path, tmp_path: Path
) -> None:
    with serve(sample, port=0) as server:
        StaticStore(server.url, cache=tmp_path / "here").connect().disconnect()
    line = f"staticstore get --cache {tmp_path / 'here'} {server.url}"
    assert complete(f"{line} terrain/d") == ["plain,terrain/dem.tif"]


def test_keys_are_completed_from_the_cache_of_the_user(
    complete: Shell, sample: Path, tmp_path: Path
) -> None:
    with serve(sample, port=0) as server, StaticStore(server.url, cache=True):
        pass
    assert complete(f"staticstore ls {server.url} stat") == ["open,stations/"]


def test_roots_of_cached_sites_are_completed_from_where_bash_cuts_them(
    complete: Shell, sample: Path
) -> None:
    with serve(sample, port=0) as server, StaticStore(server.url, cache=True):
        pass
    assert complete("staticstore get http") == [f"plain,{server.url}"]
    assert complete("staticstore get http:") == [f"plain,{server.url.removeprefix('http:')}"]


@pytest.mark.parametrize("words", ["query {}", "watch {}", "ls {} --where", "mirror {} x --where"])
def test_fields_of_conditions_are_completed(complete: Shell, sample: Path, words: str) -> None:
    line = f"staticstore {words.format(sample)}"
    assert complete(f"{line} t") == ["open,tags", "open,title", "open,type"]


def test_operators_that_fit_the_values_of_a_field_are_completed(
    complete: Shell, sample: Path
) -> None:
    line = f"staticstore query {sample} type=raster"
    assert complete(f"{line} bands") == [
        f"open,bands{operator}" for operator in ("=", r"\!=", r"\<", r"\<=", r"\>", r"\>=")
    ]
    assert complete(f"{line} bb") == ["open,bbox=", r"open,bbox\!=", "open,bbox@"]


def test_nothing_is_requested(complete: Shell, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("a store connects")

    monkeypatch.setattr(StaticStore, "connect", connect)
    assert complete(f"staticstore get {url} terrain") == []


@pytest.mark.parametrize("site", ["missing", "https://[", "bad"])
def test_a_site_that_cannot_be_read_completes_nothing(
    complete: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "index.json").write_text("[")
    assert complete(f"staticstore get {site} te") == []


def test_no_password_is_asked_for(
    complete: Shell, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prompt(*_: object, **__: object) -> None:
        raise AssertionError("a password is asked for")

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click, "prompt", prompt)
    assert complete(f"staticstore get --auth ali {sample} terrain/d") == ["plain,terrain/dem.tif"]


def test_keys_are_offered_up_to_a_bound(
    complete: Shell, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("staticstore.tuning.COMPLETED_KEYS", 2)
    assert complete(f"staticstore get {sample} ") == ["open,borders/", "open,imagery/"]


def test_keys_that_would_be_something_else_are_quoted_or_left_out(
    complete: Shell, tmp_path: Path
) -> None:
    """A tilde would be the home folder, and a hyphen the beginning of an option."""
    for key in "~", "--force", "a~":
        (tmp_path / "data" / key).parent.mkdir(exist_ok=True)
        (tmp_path / "data" / key).touch()
    publish(tmp_path)
    assert complete(f"staticstore get {tmp_path} ") == ["plain,a~", "plain,\\~"]


def test_a_word_with_escapes_is_continued(complete: Shell, tmp_path: Path) -> None:
    for key in "a b; c/d e", "a b; c:d/e":
        (tmp_path / "data" / key).parent.mkdir(parents=True)
        (tmp_path / "data" / key).touch()
    publish(tmp_path)
    line = f"staticstore get {tmp_path} a\\ b\\;\\ c"
    assert complete(f"{line}/") == ["plain,a\\ b\\;\\ c/d\\ e"]
    assert complete(f"{line}:d/") == ["plain,d/e"]


def test_keys_of_a_larger_index_are_not_completed(
    complete: Shell, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(sample, port=0) as server, StaticStore(server.url, cache=True):
        pass
    monkeypatch.setattr("staticstore.tuning.COMPLETED_INDEX_BYTES", 1000)
    assert complete(f"staticstore get {sample} pl") == []
    assert complete(f"staticstore get {server.url} pl") == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no FIFOs here")
def test_an_index_that_is_a_fifo_is_not_waited_for(complete: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "index.json")
    assert complete(f"staticstore get {tmp_path} pl") == []


def test_zsh_gets_a_description_of_each_command(complete: Shell) -> None:
    assert complete("staticstore inf", shell="zsh") == [
        "plain",
        "info",
        "Show what a site is.",
    ]


def test_zsh_adds_no_space_after_a_level(complete: Shell, sample: Path) -> None:
    assert complete(f"staticstore get {sample} pl", shell="zsh") == ["open", "places/", "_"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_no_argument_of_a_process_repeats_what_is_typed(cli: Run, shell: str) -> None:
    """All users of a machine can see arguments, and passwords may be typed."""
    script = cli("completion", shell).text
    assert "complete" in script
    assert "env " not in script


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_valid(cli: Run, tmp_path: Path, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_bytes(cli("completion", shell).out)
    checked = subprocess.run([program, "-n", script], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_the_shells_to_choose_from_stand_in_a_line(cli: Run) -> None:
    assert cli("completion").errors.startswith(
        "error: Missing argument '{bash|fish|zsh}'. Choose from: bash, fish, zsh\n"
    )


def test_an_unknown_shell_is_a_usage_error(cli: Run) -> None:
    ended = cli("completion", "tcsh")
    assert ended.code == 2
    assert "'tcsh' is not one of 'bash', 'fish', 'zsh'" in ended.errors


def test_bash_completes_keys_with_blanks_after_a_url(tmp_path: Path, sample: Path) -> None:
    """The script in a real bash, which cuts the URL into words."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    site = tmp_path / "my site"
    (site / "data").mkdir(parents=True)
    (site / "data" / "a b, c.txt").touch()
    program = tmp_path / "staticstore"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m staticstore "$@"\n')
    program.chmod(0o755)
    line = f"{program} get file://{tmp_path}/my%20site a"
    code = f"""
{program} publish '{site}' --quiet >/dev/null
eval "$({program} completion bash)"
complete -p staticstore
COMP_LINE={line!r} COMP_POINT={len(line)}
_staticstore_completion {program} 2>/dev/null
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        [bash, "--norc", "-c", code], env=environment(), capture_output=True, check=True
    )
    assert done.stdout.decode().splitlines() == [
        "complete -o nosort -F _staticstore_completion staticstore",
        "a\\ b,\\ c.txt",
    ]
