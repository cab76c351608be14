"""The output of each command, in a pipe and as JSON Lines."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from staticstore import StaticStore, __version__, publish, serve
from staticstore.cli import cli as command_line
from staticstore.site.watching import RESCAN_SECONDS
from tests.commands.conftest import Run
from tests.commands.shell import finish, start
from tests.servers import RawServer, serve_files, write_certificates
from tests.sites import index_of, write_index

COMMANDS = [
    "publish",
    "serve",
    "push",
    "keys",
    "renew",
    "info",
    "ls",
    "query",
    "get",
    "watch",
    "mirror",
    "cache",
    "demo",
    "completion",
]


# -- help ------------------------------------------------------------------------------


def test_the_commands_are_listed_in_the_order_of_a_days_work(cli: Run) -> None:
    listed = cli("--help").text.partition("Commands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(cli: Run, name: str) -> None:
    ended = cli(name, "--help")
    assert ended.code == 0
    assert f"\n    staticstore {name}" in ended.text.partition("Examples:")[2]


def command_of(name: str) -> click.Command:
    command = command_line.get_command(click.Context(command_line), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_what_all_take(name: str) -> None:
    command = command_of(name)
    if isinstance(command, click.Group):
        command = next(iter(command.commands.values()))
    options = {option for parameter in command.params for option in parameter.opts}
    assert {"--json", "-v", "-q"} <= options


@pytest.mark.parametrize("name", ["info", "ls", "query", "get", "watch", "mirror"])
def test_every_command_with_a_url_takes_what_connects(name: str) -> None:
    options = {option for parameter in command_of(name).params for option in parameter.opts}
    assert {"--auth", "--proxy", "--ca", "--cache", "url"} <= options


SLOW = {"requests", "urllib3", "werkzeug", "asyncio", "http.client", "ssl"}


def imported_by(*arguments: str | Path) -> set[str]:
    code = (
        "import sys; from staticstore.cli import run; "
        "code = run(sys.argv[1:]); print(*sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return set(subprocess.check_output(command, text=True).split())


@pytest.mark.parametrize("name", ["", "publish", "mirror", "serve"])
def test_help_imports_nothing_that_is_slow(name: str) -> None:
    assert not imported_by(*name.split(), "--help").intersection(SLOW)


@pytest.mark.parametrize("option", ["-q", "--dry-run", "--check"])
def test_publish_imports_nothing_that_speaks_http(folder: Path, option: str) -> None:
    assert not imported_by("publish", folder).intersection(SLOW)
    assert not imported_by("publish", folder, option).intersection(SLOW)


def test_version(cli: Run) -> None:
    assert cli("--version").text == f"staticstore {__version__}\n"


# -- publish ---------------------------------------------------------------------------


def test_publish_tells_what_changed(cli: Run, folder: Path) -> None:
    ended = cli("publish", folder)
    assert ended.code == 0
    assert ended.lines[0] == "set\tborders/coastline.geojson"
    assert ended.lines[-1] == "16 keys, 581.7 kB: 16 set, 0 updated, 0 deleted"
    assert (folder / "index.json").is_file()


def test_publish_tells_it_as_json(cli: Run, folder: Path) -> None:
    [report] = cli("publish", folder, "--json").records
    assert report["entries"] == len(report["set"]) == 16
    assert report["updated"] == report["deleted"] == report["failed"] == []
    assert report["dry_run"] is False


def test_publish_tells_only_the_first_of_many_changes(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(30):
        (tmp_path / f"data/{number:02}").touch()
    assert cli("publish", tmp_path, "--dry-run").text.count("set\t") == 30
    assert cli("publish", tmp_path).lines[20] == "set\tand 10 more"


def test_publish_dry_run_shows_and_writes_nothing(cli: Run, folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    ended = cli("publish", folder, "--dry-run")
    assert ended.code == 0
    assert "nothing was written" in ended.lines[-1]
    assert sorted(folder.rglob("*")) == before


def test_publish_takes_metadata_from_a_file(cli: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("key,title\n*.csv,A table\n")
    cli("publish", folder, "--metadata", tmp_path / "m.csv")
    index = json.loads((folder / "index.json").read_bytes())
    assert index["stations/stations.csv"]["title"] == "A table"
    assert "title" not in index["terrain/dem.tif"]


def test_publish_packs_small_values(cli: Run, folder: Path) -> None:
    ended = cli("publish", folder, "--pack")
    assert ended.lines[-1].endswith(": 16 set, 0 updated, 0 deleted, 14 in packs")
    assert cli("publish", folder, "--check").code == 0


def test_publish_writes_a_page_to_browse(cli: Run, folder: Path) -> None:
    assert cli("publish", folder, "--browse").code == 0
    assert (folder / "index.html").read_bytes().startswith(b"<!DOCTYPE html>")


def test_mirror_writes_a_page_to_browse(cli: Run, folder: Path, tmp_path: Path) -> None:
    assert cli("publish", folder).code == 0
    assert cli("mirror", folder, tmp_path / "copy", "--browse").code == 0
    assert (tmp_path / "copy" / "index.html").read_bytes().startswith(b"<!DOCTYPE html>")


def test_publish_compresses_what_matches_and_ends_it(cli: Run, folder: Path) -> None:
    ended = cli("publish", folder, "--compress", "*.csv", "--compress", "*.geojson")
    assert ended.lines[-1].endswith(": 16 set, 0 updated, 0 deleted, 9 compressed")
    [report] = cli("publish", folder, "--no-compress", "--json").records
    assert report["compressed"] == 0


def test_publish_says_what_has_expired(cli: Run, folder: Path) -> None:
    (folder / "metadata.toml").write_text('["terrain/*"]\nuntil = 2020-01-01\n', "utf-8")
    ended = cli("publish", folder, "--expire", "until")
    assert ended.lines[-1].endswith(": 11 set, 0 updated, 0 deleted, 5 expired")
    assert next(line for line in ended.lines if line.startswith("expired")) == (
        "expired\tterrain/contours.geojson"
    )


def test_publish_packs_what_is_called_small(cli: Run, folder: Path) -> None:
    [report] = cli("publish", folder, "--pack", "--pack-below", "10000", "--json").records
    assert report["packed"] == 6


def test_publish_warns_once_of_what_it_wonders_at(cli: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("key,title\nno-such.csv,A table\n")
    ended = cli("publish", folder, "--metadata", tmp_path / "m.csv")
    assert ended.code == 0
    warned = [line for line in ended.errors.splitlines() if line.startswith("warning: ")]
    assert warned == ["warning: m.csv: 'no-such.csv' is no file in data/"]


def test_publish_watch_says_what_failed_and_goes_on(folder: Path) -> None:
    (folder / "metadata.toml").write_text("=")
    process = start("publish", str(folder), "--watch", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stderr.readline())["error"]["type"] == "StoreError"
    (folder / "metadata.toml").unlink()
    assert json.loads(process.stdout.readline())["entries"] == 16
    process.send_signal(signal.SIGINT)
    assert finish(process).code == 130


@pytest.mark.parametrize(
    "options", [["--watch", "--check"], ["--watch", "--dry-run"], ["--rescan", "5"]]
)
def test_publish_refuses_what_does_not_go_with_watching(
    cli: Run, folder: Path, options: list[str]
) -> None:
    assert cli("publish", folder, *options).code == 2


def test_publish_help_tells_how_often_it_looks_at_all_files(cli: Run) -> None:
    text = " ".join(cli("publish", "--help").text.split())
    assert f"by default every {RESCAN_SECONDS:.0f} seconds" in text


def test_publish_check_finds_nothing_wrong(cli: Run, sample: Path) -> None:
    ended = cli("publish", sample, "--check")
    assert ended.code == 0
    assert ended.text == "16 keys, and all values are what the index says\n"


def test_publish_check_as_json(cli: Run, sample: Path) -> None:
    assert cli("publish", sample, "--check", "--json").records == [
        {"checked": 16, "wrong": [], "extra": []}
    ]


def test_publish_check_names_what_is_not_in_the_index(cli: Run, folder: Path) -> None:
    publish(folder)
    (folder / "data/new.txt").touch()
    ended = cli("publish", folder, "--check")
    assert ended.code == 0
    assert ended.lines[0].startswith("extra\tnew.txt\t")


# -- serve -----------------------------------------------------------------------------


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_serve_serves_with_a_password(sample: Path, json_option: list[str]) -> None:
    process = start("serve", str(sample), "--port", "0", "--auth", "ali:sesame", *json_option)
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    url = json.loads(line)["url"] if json_option else line.strip()
    store = StaticStore(url, poll_interval=0).connect(("ali", "sesame"))
    assert len(store) == 16
    store.disconnect()
    process.terminate()
    finish(process)


def test_serve_warns_where_nothing_is_published(folder: Path) -> None:
    process = start("serve", str(folder), "--port", "0")
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"warning: there is no index.json")
    process.terminate()
    finish(process)


# -- info ------------------------------------------------------------------------------


def test_info_tells_where_and_how_much(cli: Run, url: str) -> None:
    assert cli("info", url).lines == [
        f"root_url\t{url}",
        "entries\t16",
        "generation\t1",
        "trust\ttransport",
    ]


def test_info_as_json_is_what_the_store_knows(cli: Run, url: str) -> None:
    [info] = cli("info", url, "--json").records
    with StaticStore(url, poll_interval=0) as store:
        assert info.keys() == store.info().keys()
    assert info["last_success"].endswith("Z")


def test_info_tells_what_was_left_out(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"a": {}, "../b": {}})
    assert cli("info", tmp_path).lines[-1].startswith("warning\t'../b' is left out")


def test_info_tells_title_and_license_if_the_site_does(cli: Run, folder: Path) -> None:
    (folder / "about.toml").write_text('title = "Ilvar"\nlicense = "CC0-1.0"\nversion = "1"\n')
    publish(folder)
    assert cli("info", folder).lines[-2:] == ["title\tIlvar", "license\tCC0-1.0"]
    [info] = cli("info", folder, "--json").records
    assert info["about"] == {"title": "Ilvar", "license": "CC0-1.0", "version": "1"}


def test_f10_info_shows_the_sites_own_words_escaped_and_shortened(cli: Run, folder: Path) -> None:
    (folder / "about.toml").write_text(
        'title = "\\u001b[2J\\u202e[red]\\ntrust"\nlicense = """' + "x" * 60_000 + '"""\n'
    )
    publish(folder)
    title, license = cli("info", folder).lines[-2:]
    assert title == "title\t\\x1b[2J\\u202e[red]\\ntrust"
    assert len(license) < 300


def test_info_tells_the_rest_where_the_sites_own_words_cannot_be_had(
    cli: Run, folder: Path
) -> None:
    (folder / "about.toml").write_text('title = "Ilvar"\n')
    publish(folder)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*.json*")
        if path.is_file()
    }
    [href] = [name for name in files if name.startswith("about/")]
    answer = serve_files(files).but({href: lambda _, wire: wire.response(402)})
    with RawServer(answer, heads=True) as server:
        ended = cli("info", server.url)
    assert ended.code == 0
    assert "entries\t16" in ended.lines
    assert b"description could not be read" in ended.err


# -- ls --------------------------------------------------------------------------------


def test_ls_lists_all_keys(cli: Run, url: str) -> None:
    ended = cli("ls", url)
    assert len(ended.lines) == 16
    assert "karten/ilvar-übersicht.png" in ended.lines


def test_ls_lists_what_matches(cli: Run, url: str) -> None:
    assert cli("ls", url, "terrain/*.png").lines == ["terrain/hillshade.png", "terrain/relief.png"]


def test_ls_as_json(cli: Run, url: str) -> None:
    assert cli("ls", url, "*dem*", "--json").records == [{"key": "terrain/dem.tif"}]


def test_ls_long_has_size_time_and_type(cli: Run, url: str, sample: Path) -> None:
    [line] = cli("ls", url, "terrain/dem.tif", "-l").lines
    modified = json.loads((sample / "index.json").read_bytes())["terrain/dem.tif"]["modified"]
    assert line.split("\t") == ["96510", modified, "raster", "terrain/dem.tif"]


def test_ls_long_as_json(cli: Run, url: str) -> None:
    [record] = cli("ls", url, "terrain/dem.tif", "-l", "--json").records
    assert record.keys() == {"key", "size", "modified", "type"}
    assert record["size"] == 96510


def test_ls_long_leaves_empty_what_the_index_does_not_say(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"a": {}})
    assert cli("ls", tmp_path, "-l").text == "\t\t\ta\n"


def test_ls_reads_a_folder_too(cli: Run, sample: Path, url: str) -> None:
    assert cli("ls", sample).out == cli("ls", url).out


def test_ls_warns_where_something_is_left_out(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"a": {}, "../b": {}})
    ended = cli("ls", tmp_path)
    assert ended.lines == ["a"]
    assert ended.errors.startswith("warning: in the index of file:")
    assert "'../b' is left out" in ended.errors


def test_ls_of_a_pattern_that_matches_no_key_ends_with_3(cli: Run, url: str) -> None:
    ended = cli("ls", url, "nothing*")
    assert (ended.code, ended.out) == (3, b"")
    assert ended.errors == "error: no key matches 'nothing*'\n"


def test_ls_of_a_folder_names_the_pattern_for_what_is_below_it(cli: Run, url: str) -> None:
    for folder in ("terrain", "terrain/"):
        ended = cli("ls", url, folder)
        assert ended.code == 3
        assert "hint: 'terrain/*' matches the keys below it" in ended.errors


def test_ls_of_a_folder_that_is_not_there_says_so(cli: Run, tmp_path: Path) -> None:
    assert "there is no such folder" in cli("ls", tmp_path / "absent").errors


def test_ls_of_a_folder_without_an_index_says_what_is_missing(cli: Run, tmp_path: Path) -> None:
    errors = cli("ls", tmp_path).errors
    assert "there is no such file: the root of a site is where 'staticstore publish'" in errors


@pytest.mark.parametrize("command", ["ls", "query"])
def test_a_listing_of_an_empty_site_is_no_error(cli: Run, tmp_path: Path, command: str) -> None:
    write_index(tmp_path, {})
    ended = cli(command, tmp_path)
    assert (ended.code, ended.out, ended.errors) == (0, b"", "no keys\n")


# -- query -----------------------------------------------------------------------------


def test_query_finds_by_field_and_shows_what_is_selected(cli: Run, url: str) -> None:
    ended = cli("query", url, "type=raster", "bands=3", "--select", "title,width,nothing")
    assert ended.text == "imagery/true-color.tif\tTrue color image of Ilvar\t120\t\n"


def test_query_takes_several_selects(cli: Run, url: str) -> None:
    together = cli("query", url, "--select", "title,size")
    assert cli("query", url, "--select", "title", "--select", "size").out == together.out


def test_query_without_select_shows_all(cli: Run, url: str, sample: Path) -> None:
    [line] = cli("query", url, "bands=3").lines
    key, metadata = line.split("\t")
    assert json.loads(metadata) == json.loads((sample / "index.json").read_bytes())[key]


def test_query_as_json(cli: Run, url: str) -> None:
    assert cli("query", url, "bands=3", "--select", "title", "--json").records == [
        {"key": "imagery/true-color.tif", "metadata": {"title": "True color image of Ilvar"}}
    ]


@pytest.mark.parametrize(
    ("condition", "keys"),
    [
        ("v=3", "number text"),
        ('v="3"', "text"),
        ('v=["a", 1]', "list"),
        ("v=null", "nothing"),
        ("v=true", "true"),
        ("v=x=y", "equals"),
        ("v=NaN", "nan"),
        ("v=[1,", "half"),
        ("v=", "empty"),
    ],
)
def test_query_finds_what_a_value_is_as_json_and_the_text_as_typed(
    cli: Run, tmp_path: Path, condition: str, keys: str
) -> None:
    values = {
        "number": 3,
        "text": "3",
        "list": ["a", 1],
        "true": True,
        "equals": "x=y",
        "nan": "NaN",
        "half": "[1,",
        "empty": "",
    }
    write_index(tmp_path, {"nothing": {}, **{key: {"v": value} for key, value in values.items()}})
    found = [record["key"] for record in cli("query", tmp_path, condition, "--json").records]
    assert found == keys.split()


def test_a_query_that_finds_nothing_ends_with_3(cli: Run, url: str) -> None:
    ended = cli("query", url, "type=nonsense")
    assert (ended.code, ended.out) == (3, b"")
    assert ended.errors == "error: nothing in the index matches\n"


def test_ls_shows_the_fields_that_are_selected(cli: Run, url: str) -> None:
    ended = cli("ls", url, "*/dem.tif", "--select", "bands,nothing", "--select", "type")
    assert ended.text == "terrain/dem.tif\t1\t\traster\n"
    records = cli("ls", url, "*/dem.tif", "--select", "bands", "--json").records
    assert records == [{"key": "terrain/dem.tif", "bands": 1}]


def test_ls_is_long_or_shows_what_is_selected(cli: Run, url: str) -> None:
    assert cli("ls", url, "-l", "--select", "bands").code == 2


# -- get -------------------------------------------------------------------------------


def test_get_writes_the_value_to_the_standard_output(cli: Run, url: str, sample: Path) -> None:
    ended = cli("get", url, "terrain/dem.tif")
    assert ended.out == (sample / "data/terrain/dem.tif").read_bytes()
    assert not ended.err


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0:4", slice(0, 4)),
        (":4", slice(None, 4)),
        ("-4:", slice(-4, None)),
        ("4:-4", slice(4, -4)),
        (":", slice(None)),
        ("9:3", slice(9, 3)),
        ("96000:999999999999", slice(96000, None)),
    ],
)
def test_get_takes_ranges_as_slices(
    cli: Run, url: str, sample: Path, text: str, part: slice
) -> None:
    ended = cli("get", url, "terrain/dem.tif", "--range", text)
    assert ended.out == (sample / "data/terrain/dem.tif").read_bytes()[part]


def test_get_writes_a_file(cli: Run, url: str, sample: Path, tmp_path: Path) -> None:
    ended = cli("get", url, "terrain/dem.tif", "-o", tmp_path / "dem.tif")
    assert not ended.out
    assert (tmp_path / "dem.tif").read_bytes() == (sample / "data/terrain/dem.tif").read_bytes()


def test_get_writes_a_range_to_a_file(cli: Run, url: str, tmp_path: Path) -> None:
    cli("get", url, "terrain/dem.tif", "--range", "0:4", "-o", tmp_path / "head")
    assert (tmp_path / "head").read_bytes() == b"II*\0"


def test_get_a_dash_is_the_standard_output(cli: Run, url: str) -> None:
    assert cli("get", url, "terrain/dem.tif", "-o", "-", "--range", "0:4").out == b"II*\0"


def test_get_as_json_tells_what_was_written(cli: Run, url: str, tmp_path: Path) -> None:
    [record] = cli("get", url, "terrain/dem.tif", "-o", tmp_path / "x", "--json").records
    assert record == {
        "key": "terrain/dem.tif",
        "file": str(tmp_path / "x"),
        "size": 96510,
        "verified": True,
    }


def test_get_says_only_of_what_was_verified_that_it_was(cli: Run, url: str, tmp_path: Path) -> None:
    arguments = ["get", url, "terrain/dem.tif", "-o", tmp_path / "x", "--range", "0:4", "--json"]
    [record] = cli(*arguments).records
    assert record["verified"] is False


def test_get_leaves_the_old_file_when_it_fails(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    digest = hashlib.sha256(b"another").hexdigest()
    files = {"index.json": json.dumps({"a": {"sha256": digest}}).encode(), "data/a": b"new"}
    with RawServer(serve_files(files)) as server:
        assert cli("get", server.url, "a", "-o", tmp_path / "x").code == 6
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


# -- common options ----------------------------------------------------------------------


def test_credentials_come_from_the_environment(
    cli: Run, locked_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATICSTORE_AUTH", "ali:sesame")
    assert cli("ls", locked_url).code == 0


@pytest.mark.parametrize("command", [["ls"], ["info"], ["query"]])
def test_credentials_come_from_the_option(cli: Run, locked_url: str, command: list[str]) -> None:
    assert cli(*command, locked_url, "--auth", "ali:sesame").code == 0


def test_a_password_may_hold_colons(cli: Run, sample: Path) -> None:
    with serve(sample, port=0, auth=("ali", "a:b:c")) as server:
        assert cli("ls", server.url, "--auth", "ali:a:b:c").code == 0


def test_a_proxy_is_gone_through(cli: Run) -> None:
    with RawServer(serve_files({"index.json": index_of({"a": b""})})) as proxy:
        ended = cli("ls", "http://nowhere.invalid/", "--proxy", proxy.url)
        assert proxy.requests[0].target == "http://nowhere.invalid/index.json"
    # The server is not a real proxy: only the request counts.
    assert ended.code in (0, 5)


def test_an_authority_of_ones_own_is_trusted_when_it_is_named(cli: Run, tmp_path: Path) -> None:
    certificates = write_certificates(tmp_path)
    files = serve_files({"index.json": index_of({"a": b""})})
    with RawServer(files, ssl_context=certificates.context(certificates.server)) as server:
        assert cli("ls", server.url, "--ca", certificates.authority).lines == ["a"]
        refused = cli("ls", server.url)
    assert refused.code == 5
    assert refused.errors.endswith("hint: --ca FILE names the certificate authorities to trust\n")


def test_what_is_no_certificate_is_told_of_in_a_line(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    certificates = write_certificates(tmp_path)
    files = serve_files({})
    with RawServer(files, ssl_context=certificates.context(certificates.server)) as server:
        ended = cli("ls", server.url, "--ca", tmp_path / "ca.pem")
    assert ended.code == 2
    assert ended.errors.startswith("error: Invalid value for '--ca': no certificates are in")


def test_the_help_says_of_each_command_what_it_does_in_a_whole_sentence(cli: Run) -> None:
    text = cli("--help").text
    commands = text.partition("Commands:\n")[2].splitlines()
    assert len(commands) == len(COMMANDS)
    assert [line for line in commands if not line.endswith(".") or line.endswith("...")] == []


def test_verbose_tells_of_the_connection(cli: Run, url: str) -> None:
    assert f"<StaticStore: {url}, 16 keys, connected>" in cli("ls", url, "-v").errors


def test_very_verbose_tells_of_every_request(cli: Run, url: str) -> None:
    lines = cli("ls", url, "-vv").errors.splitlines()
    pattern = rf"GET {re.escape(url)}index\.head\.json 200, \d+ bytes, \d+ ms"
    assert [line for line in lines if re.fullmatch(pattern, line)]


def test_very_verbose_tells_of_attempts_and_errors(cli: Run) -> None:
    with RawServer(lambda request, wire: wire.response(503), heads=True) as server:
        lines = cli("ls", f"{server.url}?sig=hush", "-vv").errors.splitlines()
    pattern = r"GET .+/index\.json\?… 503, 0 bytes, \d+ ms, attempt 2: the host answered 503.*"
    assert [line for line in lines if re.fullmatch(pattern, line)]
    assert "hush" not in "".join(lines)


def test_verbose_alone_tells_of_no_request(cli: Run, url: str) -> None:
    assert f"GET {url}" not in cli("ls", url, "-v").errors


def test_without_verbose_nothing_is_told(cli: Run, url: str) -> None:
    assert not cli("ls", url).err


def test_quiet_leaves_warnings_out(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"a": {}, "../b": {}})
    assert not cli("ls", tmp_path, "-q").err


def test_quiet_leaves_errors_in(cli: Run, tmp_path: Path) -> None:
    assert cli("ls", tmp_path / "nowhere", "-q").errors.startswith("error: ")


def test_warnings_are_json_too(cli: Run, tmp_path: Path) -> None:
    write_index(tmp_path, {"a": {}, "../b": {}})
    message = json.loads(cli("ls", tmp_path, "--json").err)["warning"]["message"]
    assert "'../b' is left out" in message


def test_running_leaves_the_logging_of_the_process_as_it_was(cli: Run, url: str) -> None:
    logger = logging.getLogger("staticstore")
    before = logger.level, list(logger.handlers)
    cli("ls", url, "-vv")
    assert (logger.level, logger.handlers) == before


# -- push ------------------------------------------------------------------------------


def test_push_tells_what_was_uploaded(cli: Run, folder: Path, tmp_path: Path) -> None:
    publish(folder)
    ended = cli("push", folder, tmp_path / "host")
    assert ended.code == 0
    assert ended.lines[0].startswith("upload\tdata/")
    assert ended.lines[20].startswith("upload\tand ")
    assert " files uploaded, " in ended.lines[-1]
    assert len(StaticStore(tmp_path / "host", poll_interval=0).connect()) == 16


def test_push_tells_it_as_json(cli: Run, folder: Path, tmp_path: Path) -> None:
    publish(folder)
    [report] = cli("push", folder, tmp_path / "host", "--json").records
    assert report["uploaded"][-1] == "index.head.json"
    assert report.keys() == {
        *("uploaded", "kept", "deleted", "left", "failed", "inert", "bytes", "seconds", "dry_run")
    }


def test_f11_push_says_what_is_served_as_text(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "site" / "data").mkdir(parents=True)
    (tmp_path / "site" / "data" / "a.html").write_text("<p>")
    publish(tmp_path / "site")
    empty = RawServer(lambda request, wire: wire.response(404, b"<Code>NoSuchKey</Code>"))
    with empty as server:
        options = ["s3://b/x", "--endpoint", server.url, "--anonymous", "--dry-run"]
        ended = cli("push", tmp_path / "site", *options)
        assert "1 value of HTML, SVG, XML or script served as text" in ended.errors
        assert "--active" not in cli("push", tmp_path / "site", *options, "--active").errors


def test_push_dry_run_shows_and_writes_nothing(cli: Run, folder: Path, tmp_path: Path) -> None:
    publish(folder)
    ended = cli("push", folder, tmp_path / "host", "--dry-run")
    assert "upload\tindex.head.json" in ended.lines
    assert not (tmp_path / "host").exists()


def test_push_says_what_it_left(cli: Run, folder: Path, tmp_path: Path) -> None:
    publish(folder)
    cli("push", folder, tmp_path / "host")
    (folder / "data/stations/stations.csv").unlink()
    publish(folder)
    assert "1 old file left there" in cli("push", folder, tmp_path / "host").errors
    ended = cli("push", folder, tmp_path / "host", "--delete")
    assert ended.lines[0] == "delete\tdata/stations/stations.csv"


# -- the feed --------------------------------------------------------------------------


def test_publish_writes_a_feed_and_removes_it(cli: Run, folder: Path) -> None:
    assert cli("publish", folder, "--feed", "https://data.example.org/site").code == 0
    assert 'href="https://data.example.org/site/feed.atom"' in (folder / "feed.atom").read_text()
    assert cli("publish", folder).code == 0
    assert (folder / "feed.atom").exists()
    assert cli("publish", folder, "--no-feed").code == 0
    assert not (folder / "feed.atom").exists()


@pytest.mark.parametrize("url", ["data.example.org", "https://ali:hush@data.example.org/", "?hush"])
def test_what_is_no_url_for_a_feed_is_refused(cli: Run, folder: Path, url: str) -> None:
    ended = cli("publish", folder, "--feed", url)
    assert ended.code == 2
    assert ended.errors.startswith(
        "error: Invalid value for '--feed': a feed needs the http(s) URL"
    )
    assert "hush" not in ended.errors
    assert not (folder / "feed.atom").exists()


def test_a_feed_and_none_are_refused_together(cli: Run, folder: Path) -> None:
    ended = cli("publish", folder, "--feed", "https://data.example.org/", "--no-feed")
    assert (ended.code, ended.errors.splitlines()[0]) == (2, "error: --feed takes no --no-feed")


# -- the index for other programs ------------------------------------------------------


def test_publish_writes_exports_keeps_them_up_and_removes_them(cli: Run, folder: Path) -> None:
    assert cli("publish", folder, "--also", "sums,stac").code == 0
    assert (folder / "SHA256SUMS").exists()
    assert (folder / "items.json").exists()
    assert cli("publish", folder).code == 0
    assert (folder / "SHA256SUMS").exists()
    assert cli("publish", folder, "--no-also").code == 0
    assert not (folder / "SHA256SUMS").exists()
    assert not (folder / "items.json").exists()


def test_exports_are_named_by_several_options(cli: Run, folder: Path) -> None:
    assert cli("publish", folder, "--also", "sums", "--also", "stac,pooch").code == 0
    for name in ("SHA256SUMS", "items.json", "registry.txt"):
        assert (folder / name).exists()


def test_a_name_of_no_export_is_refused(cli: Run, folder: Path) -> None:
    ended = cli("publish", folder, "--also", "sums,zip")
    assert ended.code == 2
    assert "the exports are pooch, sums, stac, datapackage, not 'zip'" in ended.errors
    assert not (folder / "SHA256SUMS").exists()


def test_exports_and_none_are_refused_together(cli: Run, folder: Path) -> None:
    ended = cli("publish", folder, "--also", "sums", "--no-also")
    assert (ended.code, ended.errors.splitlines()[0]) == (2, "error: --also takes no --no-also")


def test_a_file_of_others_in_the_place_of_an_export_is_an_error(cli: Run, folder: Path) -> None:
    (folder / "SHA256SUMS").write_text("mine\n")
    ended = cli("publish", folder, "--also", "sums")
    assert ended.code == 1
    assert "is not replaced by an export: staticstore did not write it" in ended.errors
    assert (folder / "SHA256SUMS").read_text() == "mine\n"
