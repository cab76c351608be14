"""The command line in a real terminal."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.shell import TIMEOUT, Terminal, on_terminal
from tests.servers import RawServer, Request, Wire
from tests.sites import write_index, write_site

ESCAPE = "\x1b"


def plain(shown: str) -> str:
    """Return the output without color sequences."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n")


def test_a_table_has_a_header_and_sizes_for_people(url: str) -> None:
    code, shown = on_terminal("ls", url, "terrain/*.tif", "-l")
    assert code == 0
    header, first, *_ = plain(shown).splitlines()
    assert header.split() == ["size", "modified", "type", "key"]
    assert first.split()[:2] == ["96.5", "kB"]
    assert first.split()[-1] == "terrain/dem.tif"


def test_a_table_of_a_query_fits_the_terminal(url: str) -> None:
    _, shown = on_terminal("query", url, "--select", "title,description,bbox,tags")
    assert max(map(len, plain(shown).splitlines())) <= 100


def test_entries_without_select_are_shown_field_by_field(url: str) -> None:
    _, shown = on_terminal("query", url, "bands=3")
    lines = plain(shown).splitlines()
    assert lines[0] == "imagery/true-color.tif"
    assert "  title         True color image of Ilvar" in lines


def test_headers_are_bold(url: str) -> None:
    assert f"{ESCAPE}[1m" in on_terminal("ls", url, "-l")[1]


def test_no_color_is_honored(url: str) -> None:
    code, shown = on_terminal("get", url, "nothing", env={"NO_COLOR": "1"})
    assert code == 3
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown)


def test_errors_are_red(url: str) -> None:
    assert f"{ESCAPE}[1;31merror: " in on_terminal("get", url, "nothing")[1]


def test_keys_are_whole_however_narrow_the_terminal(tmp_path: Path) -> None:
    key = "a/very/long/key/" * 20 + "x"
    write_index(tmp_path, {key: {"title": "t" * 90}})
    _, shown = on_terminal("ls", str(tmp_path))
    assert plain(shown).replace("\n", "") == key


# -- binary ----------------------------------------------------------------------------


def test_binary_is_refused_with_a_hint(url: str) -> None:
    code, shown = on_terminal("get", url, "terrain/dem.tif")
    assert code == 1
    assert plain(shown) == (
        "error: the value of 'terrain/dem.tif' is binary and would garble the terminal\n"
        "hint: -o FILE writes it to a file, '-o -' to the terminal all the same\n"
    )


def test_binary_is_shown_to_who_insists(url: str) -> None:
    code, shown = on_terminal("get", url, "terrain/dem.tif", "--range", "0:4", "-o", "-")
    assert (code, shown) == (0, "II*\0")


def test_text_is_shown(url: str, sample: Path) -> None:
    code, shown = on_terminal("get", url, "stations/stations.csv")
    assert code == 0
    table = (sample / "data/stations/stations.csv").read_text("utf-8")
    assert plain(shown).split() == table.split()


@pytest.mark.parametrize("value", [b"\x1b]0;owned\x07", b"\xc2\x9b31m", b"\xff", b"a\x08b"])
def test_a_text_with_escapes_in_it_is_binary(tmp_path: Path, value: bytes) -> None:
    write_site(tmp_path, {"a.txt": b"text " + value})
    code, shown = on_terminal("get", str(tmp_path), "a.txt")
    assert code == 1
    assert "is binary" in shown
    assert value not in shown.encode()


# -- F10: text from outside ----------------------------------------------------------------

EVIL = {"v": "\x1b[31mred\x1b]0;title\x07\x9b5m\u202e", "[bold]f": "[red]x[/red]\tb\nc"}


@pytest.mark.parametrize(
    "arguments",
    [["query"], ["query", "--select", "v,[bold]f"], ["query", "--json"], ["ls", "-l"]],
    ids=" ".join,
)
def test_f10_metadata_is_shown_as_text(tmp_path: Path, arguments: list[str]) -> None:
    name, *options = arguments
    write_index(tmp_path, {"[link=x]key :smile:": {**EVIL, "type": EVIL["v"]}})
    code, shown = on_terminal(name, str(tmp_path), *options)
    assert code == 0
    assert "[link=x]key :smile:" in plain(shown)
    for forbidden in ("\x1b[31mred", "\x1b]", "\x07", "\x9b", "\u202e"):
        assert forbidden not in shown


def test_f10_markup_is_shown_as_text(tmp_path: Path) -> None:
    write_index(tmp_path, {"a": EVIL})
    _, shown = on_terminal("query", str(tmp_path))
    assert r"[red]x[/red]\tb\nc" in plain(shown)


def test_f10_a_refused_key_is_told_of_as_text(tmp_path: Path) -> None:
    write_index(tmp_path, {"a\x1b[31m": {}})
    code, shown = on_terminal("info", str(tmp_path))
    assert code == 0
    assert r"'a\x1b[31m' is left out" in plain(shown)


def test_f10_an_argument_is_told_of_as_text(url: str) -> None:
    _, shown = on_terminal("get", url, "\x1b[31m[red]x")
    assert r"'\x1b[31m[red]x'" in plain(shown)


def test_f10_in_a_pipe_a_line_stays_a_line(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"k": {"v": "a\tb\nc\u2028d"}})
    assert cli("query", tmp_path, "--select", "v").out == b"k\ta\\tb\\nc\\u2028d\n"


# -- progress --------------------------------------------------------------------------


def run_with(streams: list[str], *arguments: str) -> str:
    terminal = Terminal()
    try:
        with terminal.run(*arguments, streams=streams) as process:
            shown = terminal.read()
            assert process.wait(TIMEOUT) == 0
    finally:
        terminal.close()
    return shown


def test_a_bar_shows_the_progress_where_errors_go(url: str, tmp_path: Path) -> None:
    shown = run_with(["stderr"], "get", url, "terrain/dem.tif", "-o", str(tmp_path / "x"))
    assert "terrain/dem.tif ━" in plain(shown)


def test_no_bar_for_who_wants_quiet(url: str, tmp_path: Path) -> None:
    assert not run_with(["stderr"], "get", url, "terrain/dem.tif", "-q", "-o", str(tmp_path / "x"))


def test_no_bar_beside_json(url: str, tmp_path: Path) -> None:
    arguments = ["get", url, "terrain/dem.tif", "--json", "-o", str(tmp_path / "x")]
    assert not run_with(["stderr"], *arguments)


def test_no_bar_where_errors_go_elsewhere(url: str, tmp_path: Path) -> None:
    assert not run_with(["stdout"], "get", url, "terrain/dem.tif", "-o", str(tmp_path / "x"))


@pytest.mark.parametrize("command", ["ls", "query", "info"])
def test_an_index_that_takes_long_has_a_bar_meanwhile(command: str) -> None:
    body, go_on = b'{"a": {}' + b" " * 60_000 + b"}", threading.Event()

    def slowly(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        wire.send(body[:30_000])
        wire.wait(go_on)
        wire.send(body[30_000:])

    terminal = Terminal()
    try:
        with (
            RawServer(slowly) as server,
            terminal.run(command, server.url, streams=["stderr"]) as process,
        ):
            shown = plain(terminal.read_until("/60.0 kB"))
            assert re.search(r"index ━+╸?╺?━* +30\.0/60\.0 kB", shown)
            go_on.set()
            assert process.wait(TIMEOUT) == 0
    finally:
        terminal.close()


def test_an_index_that_comes_at_once_has_no_bar(url: str) -> None:
    assert not run_with(["stderr"], "ls", url, "-q")
    assert "index" not in run_with(["stderr"], "ls", url)


def test_hashing_has_a_bar(folder: Path) -> None:
    assert "hashing ━" in plain(run_with(["stderr"], "publish", str(folder)))


def test_mirroring_has_a_bar_and_programs_have_none(url: str, tmp_path: Path) -> None:
    assert "mirroring ━" in plain(run_with(["stderr"], "mirror", url, str(tmp_path / "a")))
    assert not run_with(["stderr"], "mirror", url, str(tmp_path / "b"), "-q")
    assert not run_with(["stderr"], "mirror", url, str(tmp_path / "c"), "--json")


# -- passwords -------------------------------------------------------------------------


def test_a_password_left_out_is_asked_for_and_not_shown(locked_url: str) -> None:
    terminal = Terminal()
    try:
        with terminal.run("ls", locked_url, "--auth", "ali") as process:
            terminal.read_until("Password for ali: ")
            terminal.type("sesame\n")
            shown = terminal.read()
            assert process.wait(TIMEOUT) == 0
    finally:
        terminal.close()
    assert "terrain/dem.tif" in shown
    assert "sesame" not in shown
