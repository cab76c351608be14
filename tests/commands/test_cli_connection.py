"""The options that say how a command connects: certificates, header fields, time, copies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from staticstore import tuning
from tests.commands.conftest import Run
from tests.servers import Certificates, RawServer, Request, Wire, serve_files, write_certificates

SITE = serve_files({"index.json": b'{"a": {}}', "data/a": b"value"})
SECRET = "sesame"


@pytest.fixture
def server() -> Iterator[RawServer]:
    with RawServer(SITE) as server:
        yield server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


# -- header fields ---------------------------------------------------------------------


def test_header_fields_are_sent_with_every_request(cli: Run, server: RawServer) -> None:
    cli("get", server.url, "a", "--header", "X-Key: 1:2", "--header", "x-other:\tb c ")
    assert server.requests
    for request in server.requests:
        assert request.headers["X-Key"] == "1:2"
        assert request.headers["X-Other"] == "b c"


@pytest.mark.parametrize("form", [[], ["--json"], ["-vv"]], ids=str)
@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"Bearer {SECRET}: x",
        f": {SECRET}",
        f"X-Key: {SECRET}\r\nX-Other: b",
        f"X-Key: {SECRET}\u20ac",
        f"Range: {SECRET}",
        f"host: {SECRET}",
        f"If-None-Match: {SECRET}",
    ],
)
def test_a_malformed_header_field_or_one_of_ours_is_refused_and_not_repeated(
    cli: Run, server: RawServer, text: str, form: list[str]
) -> None:
    ended = cli("ls", server.url, "--header", text, *form)
    assert ended.code == 2
    assert "--header" in ended.errors
    assert SECRET not in ended.text + ended.errors
    assert not server.requests


def test_a_header_field_that_is_given_twice_is_a_mistake(cli: Run, server: RawServer) -> None:
    ended = cli("ls", server.url, "--header", "X-Key: a", "--header", "x-key: b")
    assert ended.code == 2
    assert "'x-key' is given twice" in ended.errors


@pytest.mark.parametrize("order", [1, -1])
def test_authorization_is_given_in_one_way_only(cli: Run, server: RawServer, order: int) -> None:
    options = [["--header", f"authorization: Bearer {SECRET}"], ["--auth", "ali:x"]][::order]
    ended = cli("ls", server.url, *options[0], *options[1])
    assert ended.code == 2
    assert "only one of --auth" in ended.errors
    assert SECRET not in ended.errors
    assert not server.requests


def test_a_header_field_authorization_counts_before_the_environment(
    cli: Run, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATICSTORE_AUTH", "ali:other")
    assert cli("ls", server.url, "--header", f"Authorization: Bearer {SECRET}").code == 0
    assert {one.headers["Authorization"] for one in server.requests} == {f"Bearer {SECRET}"}


def test_a_header_field_is_in_no_log(cli: Run, server: RawServer) -> None:
    ended = cli("get", server.url, "a", "--header", f"X-Key: {SECRET}", "-vv")
    assert ended.code == 0
    assert f"GET {server.url}data/a 200" in ended.errors
    assert SECRET not in ended.errors


# -- certificates ----------------------------------------------------------------------


@pytest.fixture
def strict(certificates: Certificates) -> Iterator[RawServer]:
    """The site, for clients that prove who they are."""
    context = certificates.context(certificates.server, ask_client=True)
    with RawServer(SITE, ssl_context=context) as server:
        yield server


@pytest.mark.parametrize("is_one_file", [False, True])
def test_a_client_certificate_is_one_file_or_two(
    cli: Run, strict: RawServer, certificates: Certificates, tmp_path: Path, is_one_file: bool
) -> None:
    chain, key = certificates.client
    cert = f"{chain},{key}"
    if is_one_file:
        cert = str(tmp_path / "both, in one.pem")
        Path(cert).write_bytes(chain.read_bytes() + key.read_bytes())
    ended = cli("ls", strict.url, "--ca", certificates.authority, "--cert", cert)
    assert (ended.code, ended.text) == (0, "a\n")


@pytest.mark.parametrize("cert", ["none.pem", "none.pem,none.key", "{chain}", "{key},{chain}", ""])
def test_a_certificate_that_cannot_be_used_is_a_mistake_before_any_request(
    cli: Run, strict: RawServer, certificates: Certificates, cert: str
) -> None:
    chain, key = certificates.client
    cert = cert.format(chain=chain, key=key)
    ended = cli("ls", strict.url, "--ca", certificates.authority, "--cert", cert)
    assert ended.code == 2
    assert "--cert" in ended.errors
    assert "PRIVATE KEY" not in ended.errors
    assert strict.connections == 0


# -- time ------------------------------------------------------------------------------


def silent(request: Request, wire: Wire) -> None:
    wire.stall()


@pytest.mark.parametrize("timeout", ["0.05", "5,0.05"])
def test_a_timeout_ends_a_read(cli: Run, monkeypatch: pytest.MonkeyPatch, timeout: str) -> None:
    monkeypatch.setattr(tuning, "FIRST_BACKOFF_SECONDS", 0.0)
    with RawServer(silent) as server:
        ended = cli("ls", server.url, "--timeout", timeout)
    assert ended.code == 5


@pytest.mark.parametrize("timeout", ["", "0", "-1", "nan", "soon", "1,", "1,2,3", "1e9", "5,0"])
def test_a_timeout_that_is_none_is_a_mistake(cli: Run, server: RawServer, timeout: str) -> None:
    ended = cli("ls", server.url, "--timeout", timeout)
    assert ended.code == 2
    assert "SECONDS or CONNECT,READ" in ended.errors
    assert not server.requests


# -- proxies ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "proxy",
    ["", "http://ali:open/sesame@127.0.0.1:9", "http://127.0.0.1:99999", "gopher://127.0.0.1:9"],
)
def test_a_proxy_that_is_no_url_is_a_mistake_and_not_repeated(
    cli: Run, server: RawServer, proxy: str
) -> None:
    ended = cli("ls", server.url, "--proxy", proxy)
    assert ended.code == 2
    assert "Invalid value for '--proxy': not a URL" in ended.errors
    assert "sesame" not in ended.errors
    assert not server.requests


# -- copies ----------------------------------------------------------------------------


def test_a_copy_answers_in_place_of_a_site_that_does_not(cli: Run, server: RawServer) -> None:
    ended = cli("ls", "http://127.0.0.1:9/", "--copy", "http://127.0.0.1:9/b", "--copy", server.url)
    assert (ended.code, ended.text) == (0, "a\n")
    assert "is passed over" in ended.errors


def test_a_copy_is_not_asked_while_the_site_answers(cli: Run, server: RawServer) -> None:
    with RawServer(SITE) as copy:
        assert cli("ls", server.url, "--copy", copy.url).code == 0
    assert not copy.requests


@pytest.mark.parametrize("url", ["", "ftp://example.org/", "http://"])
def test_a_copy_that_is_no_url_is_a_mistake(cli: Run, server: RawServer, url: str) -> None:
    ended = cli("ls", server.url, "--copy", url)
    assert ended.code == 2
    assert "--copy" in ended.errors
    assert not server.requests


# -- a file of credentials, as netrc ---------------------------------------------------


def netrc_file(folder: Path, text: str) -> str:
    path = folder / "auth"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "machine 127.0.0.1 login ali password sesame",
        "# ours\nmachine example.org login eve password x\n\n"
        "machine 127.0.0.1\n\tlogin ali\n\tpassword sesame\n",
    ],
)
def test_an_auth_file_may_be_written_as_netrc(
    cli: Run, server: RawServer, tmp_path: Path, text: str
) -> None:
    ended = cli("ls", server.url, "--auth-file", netrc_file(tmp_path, text))
    assert (ended.code, ended.errors) == (0, "")
    assert {one.headers["Authorization"] for one in server.requests} == {
        "Basic YWxpOnNlc2FtZQ==",
    }


@pytest.mark.parametrize(
    "text",
    ["machine example.org login ali password sesame", "default login ali password sesame"],
)
def test_it_gives_no_host_the_password_of_another(
    cli: Run, server: RawServer, tmp_path: Path, text: str
) -> None:
    ended = cli("ls", server.url, "--auth-file", netrc_file(tmp_path, text))
    assert ended.code == 1
    assert "has no entry for the host '127.0.0.1'" in ended.errors
    assert SECRET not in ended.errors
    assert not server.requests


def test_a_netrc_file_that_cannot_be_parsed_is_not_repeated(
    cli: Run, server: RawServer, tmp_path: Path
) -> None:
    text = "machine 127.0.0.1 login ali passwort sesame"
    ended = cli("ls", server.url, "--auth-file", netrc_file(tmp_path, text))
    assert ended.code == 2
    assert "no valid netrc file: line 1" in ended.errors
    assert SECRET not in ended.errors


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_netrc_file_that_others_may_read_is_warned_of(
    cli: Run, server: RawServer, tmp_path: Path
) -> None:
    path = netrc_file(tmp_path, "machine 127.0.0.1 login ali password sesame")
    Path(path).chmod(0o644)
    assert "other users may read the password" in cli("ls", server.url, "--auth-file", path).errors


def test_serve_takes_no_netrc_file(cli: Run, sample: Path, tmp_path: Path) -> None:
    text = "machine 127.0.0.1 login ali password sesame"
    ended = cli("serve", sample, "--port", "0", "--auth-file", netrc_file(tmp_path, text))
    assert ended.code == 2
    assert "USER:PASSWORD" in ended.errors


# -- publish ---------------------------------------------------------------------------


def test_a_publish_connects_by_the_same_options(
    cli: Run, folder: Path, certificates: Certificates
) -> None:
    context = certificates.context(certificates.server, ask_client=True)
    with RawServer(SITE, ssl_context=context, heads=True) as server:
        cert = ",".join(map(str, certificates.client))
        ended = cli(
            "publish", folder, "--after", server.url, "--ca", certificates.authority,
            "--cert", cert, "--header", "X-Key: 1", "--timeout", "5",
        )  # fmt: skip
        assert ended.code == 0
        assert server.requests[0].headers["X-Key"] == "1"
