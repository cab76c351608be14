"""The servers of the tests do what the other tests rely on."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.servers import (
    Apache,
    Caddy,
    Certificates,
    Nginx,
    PythonServer,
    RawServer,
    Relay,
    Request,
    Squid,
    Unavailable,
    Wire,
    debian,
    find,
    require,
    serve_files,
    write_certificates,
)

TIMEOUT = 10.0
FILES = {"index.json": b"{}\n", "data/a b": bytes(range(256)) * 8}
AUTH = ("ali", "open sesame: 1%/@")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site $x")
    for path, content in FILES.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
    return root


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 0), TIMEOUT)


def hello(request: Request, wire: Wire) -> None:
    wire.response(200, b"hello")


class TestDebian:
    """A fetched program is complete, and is fetched once."""

    @pytest.fixture
    def archive(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """Imitate apt-get and dpkg: the package's only file has the content of `archive`."""
        tools = tmp_path / "tools"
        tools.mkdir()
        archive = tmp_path / "archive"
        scripts = {
            "apt-get": f"echo . >>{tmp_path}/calls\n"
            f"test -e {archive} || {{ echo E: no such package >&2; exit 100; }}\n"
            f'cp {archive} "$(sed -n \'s/.*archives "\\(.*\\)";/\\1/p\' $2)/toy.deb"\n',
            "dpkg": 'mkdir -p $3/usr/sbin && cp $2 $3/usr/sbin/toy && chmod +x "$3/usr/sbin/toy"\n',
        }
        for name, script in scripts.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}")
            (tools / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
        monkeypatch.setattr(debian, "CACHE", tmp_path / "cache")
        monkeypatch.setattr(debian, "PACKAGES", {"toy": "toy"})
        debian._outcome.cache_clear()
        yield archive
        debian._outcome.cache_clear()

    def test_a_fetched_program_is_found_again_without_apt(
        self, archive: Path, tmp_path: Path
    ) -> None:
        archive.write_text("#!/bin/sh\n")
        first = find("toy")
        debian._outcome.cache_clear()
        assert find("toy") == first
        assert first.path == first.prefix / "usr/sbin/toy"
        assert (tmp_path / "calls").read_text() == ".\n.\n"  # update, install

    def test_a_program_that_does_not_start_is_not_kept(self, archive: Path, tmp_path: Path) -> None:
        archive.write_text("#!/bin/sh\necho libtoy.so.1: not found >&2; exit 127\n")
        with pytest.raises(Unavailable, match=r"libtoy\.so\.1: not found"):
            find("toy")
        assert not list((tmp_path / "cache").glob("toy-*"))

    def test_the_rest_of_a_killed_fetch_is_not_used(self, archive: Path, tmp_path: Path) -> None:
        left = tmp_path / "cache/work-1/whole/usr/sbin"
        left.mkdir(parents=True)
        (left / "older").touch()
        archive.write_text("#!/bin/sh\n")
        assert [path.name for path in find("toy").path.parent.iterdir()] == ["toy"]
        assert not left.exists()

    @pytest.mark.usefixtures("archive")
    def test_the_reason_why_it_is_unavailable_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match=r"^toy is not available: E: no such pack"):
            require("toy")

    @pytest.mark.usefixtures("archive")
    def test_on_ci_a_missing_server_fails_the_test(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match=r"^toy is not available"):
            require("toy")

    def test_two_runs_at_once_fetch_once(self, archive: Path, tmp_path: Path) -> None:
        archive.write_text("#!/bin/sh\n")
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(find, ["toy", "toy"])
        assert first == second
        assert (tmp_path / "calls").read_text() == ".\n.\n"


class TestNginx:
    def test_ranges_are_answered_and_logged(self, site: Path, session: requests.Session) -> None:
        with Nginx(site) as server:
            url = f"{server.url}data/a%20b"
            answer = session.get(url, headers={"Range": "bytes=1-3"}, timeout=TIMEOUT)
            (request,) = server.requests()
        assert (answer.status_code, answer.content) == (206, b"\x01\x02\x03")
        assert (request.method, request.target, request.status) == ("GET", "/data/a%20b", 206)
        assert request.headers["Range"] == "bytes=1-3"
        assert request.sent > 3

    def test_ranges_can_be_turned_off(self, site: Path, session: requests.Session) -> None:
        with Nginx(site, max_ranges=0) as server:
            url = f"{server.url}data/a%20b"
            assert session.get(url, headers={"Range": "bytes=1-3"}, timeout=TIMEOUT).ok
            assert [request.status for request in server.requests()] == [200]

    def test_gzip_on_drops_ranges(self, site: Path, session: requests.Session) -> None:
        with Nginx(site, gzip=True) as server:
            url = f"{server.url}data/a%20b"
            answer = session.get(url, headers={"Range": "bytes=1-3"}, timeout=TIMEOUT)
        assert answer.status_code == 200
        assert answer.headers["Content-Encoding"] == "gzip"

    def test_a_password_can_be_required(self, site: Path, session: requests.Session) -> None:
        with Nginx(site, auth=AUTH) as server:
            url = f"{server.url}index.json"
            assert session.get(url, timeout=TIMEOUT).status_code == 401
            assert session.get(url, auth=AUTH, timeout=TIMEOUT).status_code == 200

    def test_a_site_can_be_below_a_path(self, site: Path, session: requests.Session) -> None:
        with Nginx(site, location="/a%20b/") as server:
            assert server.url.endswith("/a%20b/")
            assert session.get(f"{server.url}index.json", timeout=TIMEOUT).text == "{}\n"

    def test_lines_of_configuration_can_be_added(
        self, site: Path, session: requests.Session
    ) -> None:
        with Nginx(site, extra="location = /old { return 301 /index.json; }") as server:
            assert session.get(f"{server.url}old", timeout=TIMEOUT).text == "{}\n"

    def test_https(self, site: Path, certificates: Certificates, session: requests.Session) -> None:
        with Nginx(site, tls=certificates.server) as server:
            url = f"{server.url}index.json"
            assert session.get(url, verify=str(certificates.authority), timeout=TIMEOUT).ok

    def test_after_a_restart_it_has_the_same_port_and_log(
        self, site: Path, session: requests.Session
    ) -> None:
        with Nginx(site) as server:
            url = f"{server.url}index.json"
            session.get(url, timeout=TIMEOUT)
            server.stop()
            with pytest.raises(requests.ConnectionError):
                session.get(url, timeout=TIMEOUT)
            server.start()
            session.get(url, timeout=TIMEOUT)
            assert len(server.requests()) == 2
        assert len(server.requests()) == 2

    def test_a_wrong_configuration_is_reported_with_its_message(self, site: Path) -> None:
        with pytest.raises(RuntimeError, match='unknown directive "nonsense"'):
            Nginx(site, extra="nonsense;").start()

    def test_it_ends_when_python_is_killed(self, site: Path) -> None:
        script = (
            "import os, pathlib, signal, sys; from tests.servers import Nginx\n"
            "print(Nginx(pathlib.Path(sys.argv[1])).start().url, flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        require("nginx")
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-c", script, site],
            cwd=root,
            env={**os.environ, "TMPDIR": str(site.parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        with suppress(ConnectionError), connect(done.stdout.strip()) as client:
            client.recv(1)  # no request was made: this waits for the end of the server


@pytest.mark.parametrize("kind", [Apache, Caddy])
class TestApacheAndCaddy:
    def test_ranges_are_answered_and_logged(
        self, kind: type[Apache | Caddy], site: Path, session: requests.Session
    ) -> None:
        with kind(site) as server:
            url = f"{server.url}data/a%20b?c"
            answer = session.get(url, headers={"Range": "bytes=1-3"}, timeout=TIMEOUT)
            (request,) = server.requests()
        assert (answer.status_code, answer.content) == (206, b"\x01\x02\x03")
        assert (request.method, request.target, request.status) == ("GET", "/data/a%20b?c", 206)
        assert request.headers["Range"] == "bytes=1-3"
        assert request.headers["Host"] == f"127.0.0.1:{server.port}"
        assert request.sent >= 3

    def test_header_fields_of_a_request_are_logged_unchanged(
        self, kind: type[Apache | Caddy], site: Path, session: requests.Session
    ) -> None:
        fields = {"User-Agent": 'a "b" \\ c\td', "Authorization": "Basic YTpi"}
        with kind(site) as server:
            session.get(f"{server.url}index.json", headers=fields, timeout=TIMEOUT)
            (request,) = server.requests()
        assert {name: request.headers[name] for name in fields} == fields
        assert "Range" not in request.headers

    def test_after_a_restart_it_has_the_same_port_and_log(
        self, kind: type[Apache | Caddy], site: Path, session: requests.Session
    ) -> None:
        with kind(site) as server:
            session.get(f"{server.url}index.json", timeout=TIMEOUT)
            server.stop()
            with pytest.raises(requests.ConnectionError):
                session.get(f"{server.url}index.json", timeout=TIMEOUT)
            server.start()
            session.get(f"{server.url}index.json", timeout=TIMEOUT)
            assert len(server.requests()) == 2
        assert len(server.requests()) == 2

    def test_a_wrong_configuration_is_reported_with_its_message(
        self, kind: type[Apache | Caddy], site: Path
    ) -> None:
        with pytest.raises(RuntimeError, match=r"did not start(.|\n)*nonsense"):
            kind(site, extra="nonsense").start()


class TestSquid:
    def test_it_forwards_with_the_password(self, site: Path, session: requests.Session) -> None:
        with Nginx(site) as server, Squid(auth=AUTH) as proxy:
            proxies = {"http": proxy.url_with_auth}
            url = f"{server.url}data/a%20b?c=%20"
            assert session.get(url, proxies=proxies, timeout=TIMEOUT).content == FILES["data/a b"]
            (request,) = proxy.requests()
            assert (request.method, request.target, request.status) == ("GET", url, 200)
            assert "Proxy-Authorization" in request.headers
            assert "Proxy-Authorization" not in server.requests()[0].headers

    def test_without_the_password_it_answers_407(
        self, site: Path, session: requests.Session
    ) -> None:
        with Nginx(site) as server, Squid(auth=AUTH) as proxy:
            answer = session.get(server.url, proxies={"http": proxy.url}, timeout=TIMEOUT)
            assert answer.status_code == 407
            assert server.requests() == []

    def test_tunnels(
        self, site: Path, certificates: Certificates, session: requests.Session
    ) -> None:
        with Nginx(site, tls=certificates.server) as server, Squid(auth=AUTH) as proxy:
            session.proxies = {"https": proxy.url_with_auth}
            session.verify = str(certificates.authority)
            assert session.get(f"{server.url}index.json", timeout=TIMEOUT).text == "{}\n"
            session.close()  # the end of the tunnel, which is when it is logged
            (request,) = proxy.requests()
            assert (request.method, request.target) == ("CONNECT", f"127.0.0.1:{server.port}")

    def test_nothing_is_cached(self, session: requests.Session) -> None:
        answer = serve_files(FILES)
        with RawServer(answer) as server, Squid() as proxy:
            for _ in range(2):
                session.get(f"{server.url}index.json", proxies={"http": proxy.url}, timeout=TIMEOUT)
            assert len(server.requests) == 2

    def test_it_forwards_only_to_this_machine(self, session: requests.Session) -> None:
        with Squid() as proxy:
            proxies = {"http": proxy.url}
            answer = session.get("http://192.0.2.1/", proxies=proxies, timeout=TIMEOUT)
            assert answer.status_code == 403

    def test_this_machine_can_be_given_names(self, session: requests.Session) -> None:
        with RawServer(hello) as server, Squid(names=["data.example"]) as proxy:
            url = f"http://data.example:{server.port}/"
            assert session.get(url, proxies={"http": proxy.url}, timeout=TIMEOUT).text == "hello"

    def test_two_at_once(self) -> None:
        with Squid() as one, Squid() as other:
            assert one.port != other.port


class TestPythonServer:
    def test_it_serves_whole_files_over_http_1_0(
        self, site: Path, session: requests.Session
    ) -> None:
        with PythonServer(site) as server:
            url = f"{server.url}data/a%20b"
            answer = session.get(url, headers={"Range": "bytes=1-3"}, timeout=TIMEOUT)
            (request,) = server.requests()
        assert (answer.status_code, answer.content) == (200, FILES["data/a b"])
        assert answer.raw.version == 10
        assert "ETag" not in answer.headers
        assert (request.method, request.path, request.headers["range"]) == (
            "GET",
            "/data/a%20b",
            "bytes=1-3",
        )

    def test_it_ends_although_a_client_sends_nothing(
        self, site: Path, session: requests.Session
    ) -> None:
        with PythonServer(site) as server:
            client = connect(server.url)
            session.get(server.url, timeout=TIMEOUT)  # the first one is accepted by now, too
        with client:
            assert client.recv(1) == b""


class TestRawServer:
    def test_a_connection_is_kept_alive(self, session: requests.Session) -> None:
        with RawServer(hello) as server:
            for _ in range(2):
                assert session.get(f"{server.url}x", timeout=TIMEOUT).content == b"hello"
        assert [(r.target, r.number, r.connection) for r in server.requests] == [
            ("/x", 0, 0),
            ("/x", 1, 0),
        ]

    def test_a_request_is_reported_as_it_was_on_the_wire(self) -> None:
        with RawServer(hello) as server, connect(server.url) as client:
            client.sendall(b"PUT /a%2fb?c HTTP/1.1\r\nA: 1\r\na: 2\r\nContent-Length: 2\r\n\r\nxy")
            client.recv(1)
            (request,) = server.requests
        assert (request.method, request.target, request.path) == ("PUT", "/a%2fb?c", "/a/b")
        assert request.header_list == (("A", "1"), ("a", "2"), ("Content-Length", "2"))
        assert request.headers["A"] == "2"
        assert request.body == b"xy"

    @pytest.mark.parametrize(
        ("field", "wanted"),
        [
            ("bytes=5-9", (5, 10)),
            ("bytes=5-", (5, None)),
            ("bytes=-5", (-5, None)),
            ("bytes=0-1,3-4", None),
            ("bytes=-", None),
        ],
    )
    def test_a_range_is_as_in_a_slice(self, field: str, wanted: tuple[int, int | None]) -> None:
        request = Request("GET", "/", "HTTP/1.1", (("range", field),), b"", 0, 0)
        assert request.range == wanted

    def test_an_answer_without_length_ends_with_the_connection(
        self, session: requests.Session
    ) -> None:
        def answer(request: Request, wire: Wire) -> None:
            wire.response(200, b"hello", length=False)

        with RawServer(answer) as server:
            response = session.get(server.url, timeout=TIMEOUT)
        assert response.content == b"hello"
        assert "Content-Length" not in response.headers

    def test_a_reset_follows_all_that_was_sent(self) -> None:
        data = bytes(1 << 20)

        def answer(request: Request, wire: Wire) -> None:
            wire.send(data)
            wire.reset()

        with RawServer(answer) as server, connect(server.url) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            chunks: list[bytes] = []
            with pytest.raises(ConnectionResetError):
                chunks.extend(iter(lambda: client.recv(1 << 16), b""))
            assert b"".join(chunks) == data

    @pytest.mark.parametrize("tls", [False, True])
    def test_a_stall_ends_when_the_client_disconnects(
        self, tls: bool, certificates: Certificates
    ) -> None:
        ended = threading.Event()

        def answer(request: Request, wire: Wire) -> None:
            wire.stall()
            ended.set()

        context = certificates.context(certificates.server) if tls else None
        with RawServer(answer, ssl_context=context) as server:
            client = connect(server.url)
            if tls:
                trust = ssl.create_default_context(cafile=certificates.authority)
                client = trust.wrap_socket(client, server_hostname="localhost")
            with client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                client.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                assert not ended.is_set()
            assert ended.wait(TIMEOUT)

    def test_a_stall_ends_when_the_server_is_stopped(self) -> None:
        def answer(request: Request, wire: Wire) -> None:
            stalled.set()
            wire.stall()

        stalled = threading.Event()
        with RawServer(answer) as server:
            client = connect(server.url)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stalled.wait(TIMEOUT)
        with client:
            assert client.recv(1) == b""

    def test_bytes_can_be_sent_slowly(self) -> None:
        def answer(request: Request, wire: Wire) -> None:
            wire.drip(b"abc", pause=0.0)
            wire.close()

        with RawServer(answer) as server, connect(server.url) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.makefile("rb").read() == b"abc"

    def test_an_answer_can_wait_for_the_test(self) -> None:
        now = threading.Event()

        def answer(request: Request, wire: Wire) -> None:
            wire.send(b"a")
            wire.wait(now)
            wire.send(b"b")

        with RawServer(answer) as server, connect(server.url) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(9) == b"a"
            now.set()
            assert client.recv(9) == b"b"

    def test_an_exception_of_the_script_is_raised_at_the_end(self) -> None:
        def answer(request: Request, wire: Wire) -> None:
            raise LookupError("a slip")

        server = RawServer(answer).start()
        with connect(server.url) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(1) == b""
        with pytest.raises(LookupError, match="a slip"):
            server.stop()

    def test_an_exception_of_the_test_is_not_hidden_by_one_of_the_script(self) -> None:
        def answer(request: Request, wire: Wire) -> None:
            raise LookupError("a slip")

        def fail() -> None:
            with RawServer(answer) as server, connect(server.url) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                client.recv(1)
                raise AssertionError("the test")

        with pytest.raises(AssertionError, match="the test") as caught:
            fail()
        assert "a slip" in caught.value.__notes__[0]

    def test_a_script_that_does_not_answer_is_an_error(self) -> None:
        server = RawServer(lambda request, wire: None).start()
        with connect(server.url) as client:
            client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            assert client.recv(1) == b""
        with pytest.raises(RuntimeError, match="did not answer GET /x"):
            server.stop()

    def test_a_client_that_disconnects_is_not_an_error(self) -> None:
        gone = threading.Event()

        def answer(request: Request, wire: Wire) -> None:
            wire.wait(gone)
            wire.send(bytes(1 << 24))

        with RawServer(answer) as server:
            with connect(server.url) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            gone.set()


class TestFiles:
    def get(
        self, session: requests.Session, server: RawServer, **headers: str
    ) -> requests.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return session.get(f"{server.url}data/a%20b", headers=fields, timeout=TIMEOUT)

    def test_the_conditions_of_rfc_9110(self, session: requests.Session) -> None:
        with RawServer(serve_files(FILES)) as server:
            whole = self.get(session, server)
            tag, date = whole.headers["ETag"], whole.headers["Last-Modified"]
            part = "bytes=1-3"

            def status(**headers: str) -> int:
                return self.get(session, server, **headers).status_code

            assert whole.content == FILES["data/a b"]
            assert status(If_None_Match=tag) == 304
            assert status(If_None_Match=f'"x", W/{tag}') == 304
            assert status(If_None_Match='"x"', If_Modified_Since=date) == 200
            assert status(If_Modified_Since=date) == 304
            assert status(If_Match='"x"') == 412
            assert status(Range=part) == 206
            assert status(Range=part, If_Range=tag) == 206
            assert status(Range=part, If_Range=date) == 206
            assert status(Range=part, If_Range=f"W/{tag}") == 200
            assert status(Range="bytes=99999-") == 416
            assert session.get(f"{server.url}none", timeout=TIMEOUT).status_code == 404
            assert session.post(server.url, timeout=TIMEOUT).status_code == 405
            head = session.head(f"{server.url}data/a%20b", timeout=TIMEOUT)
            assert head.headers["Content-Length"] == str(len(whole.content))

    @pytest.mark.parametrize(
        ("asked", "start", "end"),
        [("bytes=1-3", 1, 4), ("bytes=2000-", 2000, 2048), ("bytes=-5", 2043, 2048)],
    )
    def test_a_range(self, asked: str, start: int, end: int, session: requests.Session) -> None:
        with RawServer(serve_files(FILES)) as server:
            answer = self.get(session, server, Range=asked)
        assert answer.content == FILES["data/a b"][start:end]
        assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/2048"

    def test_a_weak_tag_never_binds_parts(self, session: requests.Session) -> None:
        with RawServer(serve_files(FILES, etag="weak")) as server:
            tag = self.get(session, server).headers["ETag"]
            answer = self.get(session, server, Range="bytes=1-3", If_Range=tag)
        assert tag.startswith("W/")
        assert answer.status_code == 200

    def test_features_can_be_left_out(self, session: requests.Session) -> None:
        with RawServer(serve_files(FILES, ranges=False, etag=None, dates=False)) as server:
            answer = self.get(session, server, Range="bytes=1-3")
        assert answer.status_code == 200
        assert not {"ETag", "Last-Modified", "Accept-Ranges"} & set(answer.headers)

    def test_a_replaced_file_has_another_tag_and_a_later_date(
        self, session: requests.Session
    ) -> None:
        files = dict(FILES)
        with RawServer(serve_files(files)) as server:
            old = self.get(session, server).headers
            files["data/a b"] = b"new"
            new = self.get(session, server, If_None_Match=old["ETag"])
        assert new.content == b"new"
        assert new.headers["Last-Modified"] > old["Last-Modified"]

    def test_one_answer_can_be_replaced(self, session: requests.Session) -> None:
        files = serve_files(FILES)
        with RawServer(files.but({"data/a b": hello})) as server:
            assert self.get(session, server).content == b"hello"
            assert session.get(f"{server.url}index.json", timeout=TIMEOUT).text == "{}\n"


class TestRelay:
    def test_it_counts_both_ways(self) -> None:
        with RawServer(hello) as server, Relay(server.port) as relay:
            with connect(relay.url) as client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                answer = client.makefile("rb").read()
            assert (relay.sent, relay.received, relay.connections) == (18, len(answer), 1)

    def test_a_cut_resets_both_sides_and_new_connections_work(
        self, session: requests.Session
    ) -> None:
        ended = threading.Event()

        def stall(request: Request, wire: Wire) -> None:
            wire.send(b"HTTP/1.1 200 OK\r\n")
            wire.stall()
            ended.set()

        with RawServer(stall) as server, Relay(server.port) as relay:
            with connect(relay.url) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert client.recv(99)
                relay.cut()
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
            assert ended.wait(TIMEOUT)
            server.answer = hello
            assert session.get(relay.url, timeout=TIMEOUT).text == "hello"

    def test_a_reset_is_passed_on(self) -> None:
        with (
            RawServer(lambda request, wire: wire.reset()) as server,
            Relay(server.port) as relay,
            connect(relay.url) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                client.recv(1)

    def test_each_round_trip_is_delayed(self, session: requests.Session) -> None:
        with RawServer(hello) as server, Relay(server.port, delay=0.05) as relay:
            first = session.get(relay.url, timeout=TIMEOUT).elapsed.total_seconds()
            second = session.get(relay.url, timeout=TIMEOUT).elapsed.total_seconds()
        assert first >= 0.1  # opening the connection, and the request
        assert second >= 0.05  # the request

    def test_when_stopped_it_refuses_connections(self) -> None:
        with RawServer(hello) as server, Relay(server.port) as relay:
            pass
        with pytest.raises(ConnectionRefusedError):
            connect(relay.url)


class TestCertificates:
    def verify(self, certificates: Certificates, name: str) -> None:
        pair = getattr(certificates, name)
        trust = ssl.create_default_context(cafile=certificates.authority)
        with (
            RawServer(hello, ssl_context=certificates.context(pair)) as server,
            connect(server.url) as client,
            trust.wrap_socket(client, server_hostname="127.0.0.1") as secured,
        ):
            secured.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert secured.recv(12) == b"HTTP/1.1 200"

    def test_the_good_one_is_accepted(self, certificates: Certificates) -> None:
        self.verify(certificates, "server")

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("expired", "has expired"),
            ("other_host", "IP address mismatch"),
            ("foreign", "unable to get local issuer"),
        ],
    )
    def test_a_bad_one_is_refused(self, name: str, reason: str, certificates: Certificates) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            self.verify(certificates, name)

    def test_a_client_can_be_asked_for_a_certificate(
        self, certificates: Certificates, session: requests.Session
    ) -> None:
        context = certificates.context(certificates.server, ask_client=True)
        session.verify = str(certificates.authority)
        with RawServer(hello, ssl_context=context) as server:
            with pytest.raises(requests.ConnectionError):
                session.get(server.url, timeout=TIMEOUT)
            chain, key = map(str, certificates.client)
            assert session.get(server.url, cert=(chain, key), timeout=TIMEOUT).text == "hello"
