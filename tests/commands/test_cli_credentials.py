"""A password can be kept off the command line, where `ps` would show it (FAULTS D13)."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.servers import RawServer, serve_files

SECRET = "open:sesame"
SITE = serve_files({"index.json": b'{"a": {}}'})
SENT = "Basic " + base64.b64encode(f"ali:{SECRET}".encode()).decode()


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(SITE) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATICSTORE_AUTH", raising=False)


def auth_file(folder: Path, body: bytes = f"ali:{SECRET}\n".encode(), mode: int = 0o600) -> str:
    path = folder / "auth"
    path.write_bytes(body)
    path.chmod(mode)
    return str(path)


def sent(server: RawServer) -> set[str | None]:
    return {request.headers.get("Authorization") for request in server.requests}


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_a_password_comes_from_a_file(
    cli: Run, server: RawServer, tmp_path: Path, end: bytes
) -> None:
    ended = cli(
        "ls", server.url, "--auth-file", auth_file(tmp_path, f"ali:{SECRET}".encode() + end)
    )
    assert (ended.code, ended.errors) == (0, "")
    assert sent(server) == {SENT}


@pytest.mark.parametrize(
    "command",
    [["ls"], ["info"], ["query"], ["get", "a", "-o", "-"], ["mirror", "copy"],
     ["watch", "--idle", "0.01"]],
    ids=lambda command: str(command[0]),
)  # fmt: skip
def test_every_command_that_takes_a_url_takes_it(
    cli: Run, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name, *rest = command
    cli(name, server.url, *rest, "--auth-file", auth_file(tmp_path))
    assert sent(server) == {SENT}


def test_so_does_a_publish_after_a_url(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "site" / "data").mkdir(parents=True)
    site = str(tmp_path / "site")
    with RawServer(SITE, heads=True) as server:
        cli("publish", site, "--after", server.url, "--auth-file", auth_file(tmp_path))
        assert sent(server) == {SENT}


def test_a_password_comes_from_netrc_if_that_is_asked_for(
    cli: Run, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ali password {SECRET}")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert cli("ls", server.url).code == 0
    assert sent(server) == {None}
    assert cli("ls", server.url, "--netrc").code == 0
    assert sent(server) == {None, SENT}


def test_netrc_without_the_host_is_an_error_in_words(
    cli: Run, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login ali password x")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    ended = cli("ls", server.url, "--netrc")
    assert ended.code == 1
    assert "no netrc file has an entry for the host '127.0.0.1'" in ended.errors


def test_netrc_is_not_asked_for_a_folder(
    cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    (tmp_path / "index.json").write_text("{}")
    assert cli("ls", str(tmp_path), "--netrc").code == 0


@pytest.mark.parametrize("typed", [["--auth-file"], ["--netrc"], ["--auth", f"ali:{SECRET}"]])
def test_what_is_typed_counts_before_the_environment(
    cli: Run,
    server: RawServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: list[str],
) -> None:
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login ali password {SECRET}")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("STATICSTORE_AUTH", "eve")  # which asks for a password
    if typed == ["--auth-file"]:
        typed = [*typed, auth_file(tmp_path)]
    assert cli("ls", server.url, *typed).code == 0
    assert sent(server) == {SENT}


def test_two_of_them_are_a_mistake(cli: Run, server: RawServer, tmp_path: Path) -> None:
    ended = cli("ls", server.url, "--netrc", "--auth-file", auth_file(tmp_path))
    assert ended.code == 2
    assert "only one of --auth, --auth-file, --netrc" in ended.errors
    assert not server.requests


@pytest.mark.parametrize("form", [[], ["--json"], ["-vv"]], ids=str)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"sesame",
        b"\nali:sesame",
        b"ali:sesame\nbob:sesame",
        b"ali:\xff\xfesesame",
        b"ali:sesame" * 10_000,
    ],
)
def test_a_file_of_another_form_is_refused_and_not_repeated(
    cli: Run, server: RawServer, tmp_path: Path, body: bytes, form: list[str]
) -> None:
    ended = cli("ls", server.url, "--auth-file", auth_file(tmp_path, body), *form)
    assert ended.code == 2
    assert "one line, USER:PASSWORD" in ended.errors
    assert "sesame" not in ended.text + ended.errors
    assert "Traceback" not in ended.errors


@pytest.mark.parametrize("option", ["--auth-file", "--auth"])
def test_an_empty_text_is_no_consent_to_go_without_credentials(
    cli: Run, server: RawServer, option: str
) -> None:
    ended = cli("ls", server.url, option, "")
    assert ended.code == 2
    assert option in ended.errors
    assert server.requests == []


@pytest.mark.parametrize("name", ["none", ".", "a\x1b[31m"])
def test_a_file_that_cannot_be_read_is_named(
    cli: Run, server: RawServer, tmp_path: Path, name: str
) -> None:
    ended = cli("ls", server.url, "--auth-file", str(tmp_path / name))
    assert ended.code == 2
    assert "cannot be read" in ended.errors
    assert "\x1b" not in ended.errors


def test_an_empty_name_of_a_file_is_a_mistake_and_not_no_password(
    cli: Run, server: RawServer
) -> None:
    ended = cli("ls", server.url, "--auth-file", "")
    assert ended.code == 2
    assert "'' cannot be read" in ended.errors
    assert not server.requests


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o666])
def test_a_file_that_others_may_read_is_warned_of(
    cli: Run, server: RawServer, tmp_path: Path, mode: int
) -> None:
    ended = cli("ls", server.url, "--auth-file", auth_file(tmp_path, mode=mode))
    assert ended.code == 0
    assert "warning: other users may read the password" in ended.errors
    assert "sesame" not in ended.errors


@pytest.mark.skipif(os.name != "posix", reason="pipes have names on POSIX alone")
def test_it_may_be_a_pipe(cli: Run, server: RawServer) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as file:
        file.write(f"ali:{SECRET}\n")
    ended = cli("ls", server.url, "--auth-file", f"/dev/fd/{reader}")
    os.close(reader)
    assert (ended.code, ended.errors) == (0, "")
    assert sent(server) == {SENT}


@pytest.mark.parametrize("option", ["--auth", "--auth-file"])
def test_a_password_that_is_no_text_is_a_mistake_and_not_repeated(
    cli: Run, server: RawServer, tmp_path: Path, option: str
) -> None:
    value = "ali:sesame\udcff" if option == "--auth" else auth_file(tmp_path, b"ali:sesame\xff")
    ended = cli("ls", server.url, option, value)
    assert ended.code == 2
    assert "sesame" not in ended.text + ended.errors
