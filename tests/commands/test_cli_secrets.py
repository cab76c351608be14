"""No password, and no query of a URL, is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from staticstore.commands.options import CommonOptions
from staticstore.commands.terminal import hide_secrets
from tests.commands.conftest import Run
from tests.servers import RawServer, serve_files
from tests.sites import index_of

SECRET = "open@sesame"
URL = f"http://ali:{SECRET}@127.0.0.1:1/site/?sig={SECRET}"


@pytest.mark.parametrize("form", [[], ["--json"], ["-vv"]], ids=str)
@pytest.mark.parametrize(
    "arguments",
    [
        [URL],
        ["info", "x", URL],
        ["info", URL, "x"],
        ["ls", "--nonsense", URL],
        ["ls", f"--nonsense={URL}"],
        ["query", "x", URL.partition("?")[0]],
        ["get", "x", "y", "--range", URL],
        ["watch", "x", "--interval", URL],
        ["info", "x", f"ali:{SECRET}"],
        ["info", "x", "--proxy", f"http://ali:{SECRET}@["],
        ["info", "x", "--proxy", f"ali:{SECRET}"],
        ["info", f"http://ali:{SECRET}@[/"],
        ["info", f"http://ali:{SECRET}@example.org:port/"],
        ["info", f"nonsense://ali:{SECRET}@example.org/"],
    ],
    ids=lambda arguments: " ".join(arguments).replace(SECRET, "SECRET"),
)
def test_what_cannot_be_understood_is_not_repeated(
    cli: Run, arguments: list[str], form: list[str]
) -> None:
    ended = cli(*arguments, *form)
    assert ended.code == 2
    assert "sesame" not in ended.text + ended.errors


@pytest.mark.parametrize("form", [[], ["--json"], ["-vv"]], ids=str)
@pytest.mark.parametrize("command", [["info"], ["ls", "-l"], ["query"], ["get", "a"]], ids=str)
def test_a_url_with_secrets_works_and_is_shown_without(
    cli: Run, tmp_path: Path, command: list[str], form: list[str]
) -> None:
    name, *rest = command
    if rest == ["a"]:
        rest += ["-o", str(tmp_path / "a")]
    files = {"index.json": index_of({"a": b"1"}), "data/a": b"1"}
    with RawServer(serve_files(files)) as server:
        url = server.url.replace("//", "//ali:sesame@") + "?sig=sesame"
        ended = cli(name, url, *rest, *form)
        assert "sig=sesame" in server.requests[0].target
        assert "Authorization" in server.requests[0].headers
    assert ended.code == 0
    assert "sesame" not in ended.text + ended.errors


@pytest.mark.parametrize("form", [[], ["--json"], ["-vv"]], ids=str)
def test_a_refused_password_is_not_shown(cli: Run, locked_url: str, form: list[str]) -> None:
    ended = cli("ls", locked_url, "--auth", "ali:topsecret", *form)
    assert ended.code == 4
    assert "topsecret" not in ended.text + ended.errors


@pytest.mark.parametrize("form", [[], ["--json"], ["-vv"]], ids=str)
def test_a_proxy_that_fails_shows_no_password(cli: Run, form: list[str]) -> None:
    proxy = f"http://ali:{SECRET}@127.0.0.1:1"
    ended = cli("ls", "http://127.0.0.1:2/", "--proxy", proxy, *form)
    assert ended.code == 5
    assert "sesame" not in ended.text + ended.errors


def test_a_password_in_the_clear_is_warned_of_in_a_line(cli: Run) -> None:
    # A local proxy takes the place of a remote one.
    with RawServer(lambda request, wire: wire.response(200, b"{}")) as proxy:
        url = "http://data.example/"
        ended = cli("ls", url, "--auth", "ali:sesame", "--proxy", proxy.url)
    assert ended.code == 0
    assert f"warning: the password for {url} is sent in the clear: use https\n" in ended.errors


def test_the_log_of_requests_to_a_server_shows_no_query() -> None:
    line = "127.0.0.1 'GET /index.json?sig=sesame HTTP/1.1' 200"
    assert hide_secrets(line) == "127.0.0.1 'GET /index.json?… HTTP/1.1' 200"


def test_what_commands_share_has_no_secret_in_its_repr() -> None:
    common = CommonOptions(auth=("ali", "sesame"), proxy="http://ali:sesame@proxy/")
    assert "sesame" not in repr(common)
