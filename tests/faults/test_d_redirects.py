"""FAULTS D1 to D3: where a host may redirect to, and what is sent along."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from requests.auth import HTTPDigestAuth

from staticstore import AuthorizationError, HTTPStatusError, StaticStore, TransportError
from tests.servers import (
    Answer,
    Certificates,
    Files,
    RawServer,
    Request,
    Wire,
    serve_files,
    write_certificates,
)
from tests.sites import index_of

VALUE = b"0123456789" * 100
FILES = {"index.json": index_of({"a": VALUE}), "data/a": VALUE}
SITE = serve_files(FILES)

AUTH = ("ali", "open sesame")
SECRETS: dict[str, dict[str, Any]] = {
    "Authorization": {"auth": AUTH},
    "authorization": {"headers": {"authorization": "Bearer open-sesame"}},
    "Cookie": {"headers": {"Cookie": "session=open-sesame"}},
    "X-Api-Key": {"headers": {"X-Api-Key": "open-sesame"}},
}

Start = Callable[..., RawServer]
Connect = Callable[..., StaticStore]


@pytest.fixture
def connect(stack: ExitStack) -> Connect:
    """Connect a store that does not poll by itself."""

    def connect(root: str, **options: Any) -> StaticStore:
        store = StaticStore(root, poll_interval=0)
        stack.callback(store.disconnect)
        return store.connect(**{"timeout": (2, 2), "retries": 0, **options})

    return connect


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return write_certificates(tmp_path_factory.mktemp("certificates"))


def to(location: str, status: int = 302) -> Answer:
    """Redirect to a location, sent as UTF-8."""

    def answer(request: Request, wire: Wire) -> None:
        wire.response(status, headers={"Location": location.encode().decode("latin-1")})

    return answer


def index_at(location: str, status: int = 302) -> Files:
    """Serve the site, but redirect its index to `location`."""
    return SITE.but({"index.json": to(location, status)})


# -- D1 ------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", SECRETS)
def test_d1_a_redirect_to_another_port_gets_no_secret(
    start: Start, connect: Connect, secret: str
) -> None:
    other = start(SITE)
    first = start(index_at(f"{other.url}index.json"))
    connect(first.url, **SECRETS[secret])
    assert secret in first.requests[0].headers
    assert secret not in other.requests[0].headers


def test_d1_a_redirect_to_another_port_gets_no_authorization(
    start: Start, connect: Connect
) -> None:
    other = start(SITE)
    first = start(index_at(f"{other.url}index.json"))
    store = connect(first.url, auth=AUTH)
    assert list(store) == ["a"]
    assert len(other.requests) == 1
    assert "sesame" not in str(other.requests[0].header_list)


@pytest.mark.parametrize("secret", SECRETS)
def test_d1_a_redirect_to_another_host_gets_no_secret(
    start: Start, connect: Connect, secret: str
) -> None:
    server = start(SITE)
    server.answer = serve_files({"moved.json": FILES["index.json"]}).but(
        {"index.json": to(f"http://localhost:{server.port}/moved.json")}
    )
    connect(server.url, **SECRETS[secret])
    asked, moved = server.requests
    assert secret in asked.headers
    assert moved.headers["Host"] == f"localhost:{server.port}"
    assert secret not in moved.headers


@pytest.mark.parametrize("secret", SECRETS)
def test_d1_a_redirect_from_http_to_https_gets_no_secret(
    start: Start, connect: Connect, certificates: Certificates, secret: str
) -> None:
    other = start(SITE, ssl_context=certificates.context(certificates.server))
    first = start(index_at(f"{other.url}index.json"))
    store = connect(first.url, verify=certificates.authority, **SECRETS[secret])
    assert list(store) == ["a"]
    assert secret not in other.requests[0].headers


@pytest.mark.parametrize("read", ["whole", "range", "head"])
def test_d1_a_redirect_of_a_value_gets_no_secret(start: Start, connect: Connect, read: str) -> None:
    other = start(SITE)
    files = {**FILES, "index.json": b'{"a": {}}'}
    first = start(serve_files(files).but({"data/a": to(f"{other.url}data/a")}))
    headers = {"X-Api-Key": "open-sesame", "Cookie": "session=open-sesame"}
    value = connect(first.url, auth=AUTH, headers=headers)["a"]
    if read == "whole":
        assert value.read() == VALUE
    elif read == "range":
        assert value.range(5, 9).read() == VALUE[5:9]
    else:
        assert value.size == len(VALUE)
    assert "X-Api-Key" in first.requests[-1].headers
    assert other.requests
    for request in other.requests:
        assert not {"authorization", "x-api-key", "cookie"} & {
            name.lower() for name, _ in request.header_list
        }


def test_d1_a_redirected_range_request_keeps_its_range(start: Start, connect: Connect) -> None:
    other = start(SITE)
    first = start(SITE.but({"data/a": to(f"{other.url}data/a")}))
    with connect(first.url).get_data_range("a", 5, 9) as stream:
        assert stream.read() == VALUE[5:9]
    assert [request.range for request in other.requests] == [(5, 9)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_d1_every_kind_of_redirect_is_followed(start: Start, connect: Connect, status: int) -> None:
    other = start(SITE)
    first = start(index_at(f"{other.url}index.json", status))
    assert list(connect(first.url)) == ["a"]
    assert other.requests[0].method == "GET"


@pytest.mark.parametrize(
    "location", ["moved.json", "/moved.json", "{url}moved.json", "./x/../moved.json"]
)
def test_d1_a_redirect_within_the_origin_keeps_the_secrets(
    start: Start, connect: Connect, location: str
) -> None:
    server = start(SITE)
    server.answer = serve_files({"moved.json": FILES["index.json"]}).but(
        {"index.json": to(location.format(url=server.url))}
    )
    connect(server.url, auth=AUTH, headers={"X-Api-Key": "open-sesame"})
    asked, moved = server.requests
    assert moved.target == "/moved.json"
    assert moved.headers["Authorization"] == asked.headers["Authorization"]
    assert moved.headers["X-Api-Key"] == "open-sesame"


def test_d1_a_redirect_back_to_the_first_origin_gets_the_secrets_again(
    start: Start, connect: Connect
) -> None:
    first, other = start(SITE), start(SITE)
    first.answer = serve_files({"moved.json": FILES["index.json"]}).but(
        {"index.json": to(f"{other.url}index.json")}
    )
    other.answer = to(f"{first.url}moved.json")
    connect(first.url, auth=AUTH)
    assert "Authorization" not in other.requests[0].headers
    assert "Authorization" in first.requests[1].headers


def test_d1_a_protocol_relative_redirect_gets_no_secret(start: Start, connect: Connect) -> None:
    other = start(SITE)
    first = start(index_at(f"//127.0.0.1:{other.port}/index.json"))
    assert list(connect(first.url, auth=AUTH)) == ["a"]
    assert "Authorization" not in other.requests[0].headers


@pytest.mark.parametrize("userinfo", ["eve:trap", "eve", "127.0.0.1:{port}", "127.0.0.1:{port}\\"])
def test_d1_user_and_password_of_a_redirect_are_ignored(
    start: Start, connect: Connect, userinfo: str
) -> None:
    other, first = start(SITE), start(SITE)
    first.answer = index_at(
        f"http://{userinfo.format(port=first.port)}@127.0.0.1:{other.port}/index.json"
    )
    assert list(connect(first.url, auth=AUTH)) == ["a"]
    assert "Authorization" not in other.requests[0].headers


def test_d1_a_url_with_a_backslash_that_looks_like_the_first_host_gets_no_secret(
    start: Start, connect: Connect
) -> None:
    other, first = start(SITE), start(SITE)
    # In such a URL, one parser sees the host before the backslash, another after "@".
    first.answer = index_at(f"http://127.0.0.1:{other.port}\\@127.0.0.1:{first.port}/moved.json")
    with pytest.raises(HTTPStatusError, match="404"):
        connect(first.url, auth=AUTH)
    assert all("Authorization" not in request.headers for request in other.requests)


def test_d1_a_user_agent_is_sent_and_no_referrer(start: Start, connect: Connect) -> None:
    other = start(SITE)
    first = start(index_at(f"{other.url}index.json"))
    connect(first.url + "?sig=open-sesame")
    assert {name for name, _ in other.requests[0].header_list} <= {
        "Host",
        "User-Agent",
        "Accept",
        "Accept-Encoding",
        "Connection",
    }
    assert other.requests[0].target == "/index.json"


def test_d1_a_netrc_entry_of_the_other_host_is_not_used(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(
        "machine 127.0.0.1 login ali password sesame\nmachine localhost login eve password trap\n"
    )
    monkeypatch.setenv("NETRC", str(netrc))
    other = start(SITE)
    first = start(index_at(f"http://localhost:{other.port}/index.json"))
    connect(first.url, auth="netrc")
    assert "Authorization" in first.requests[0].headers
    assert "Authorization" not in other.requests[0].headers


def test_d1_a_challenge_of_another_origin_is_not_answered(start: Start, connect: Connect) -> None:
    challenge = {"WWW-Authenticate": 'Digest realm="site", nonce="1", qop="auth"'}
    other = start(lambda request, wire: wire.response(401, headers=challenge))
    first = start(index_at(f"{other.url}index.json"))
    with pytest.raises(HTTPStatusError) as caught:
        connect(first.url, auth=HTTPDigestAuth(*AUTH))
    assert caught.value.status == 401
    assert len(other.requests) == 1


@pytest.mark.parametrize("read", ["index", "value"])
def test_d12_a_401_after_a_redirect_to_another_origin_says_that_no_password_was_sent(
    start: Start, connect: Connect, read: str
) -> None:
    other = start(lambda request, wire: wire.response(401))
    first = start(
        index_at(f"{other.url}index.json")
        if read == "index"
        else SITE.but({"data/a": to(f"{other.url}data/a")})
    )
    with pytest.raises(AuthorizationError, match="sent to the origin of the root only") as caught:
        connect(first.url, auth=AUTH)["a"].read()
    assert caught.value.status == 401
    assert "Authorization" not in other.requests[0].headers


def test_d12_a_401_of_the_site_itself_does_not_say_that(start: Start, connect: Connect) -> None:
    server = start(lambda request, wire: wire.response(401))
    with pytest.raises(AuthorizationError, match="right user and password"):
        connect(server.url, auth=AUTH)


@pytest.mark.parametrize("through", [[], ["/consent"], ["/a", "/b"]])
def test_d12_the_error_names_a_host_that_requires_its_cookie(
    start: Start, connect: Connect, through: list[str]
) -> None:
    hops = ["/index.json", *through]

    def answer(request: Request, wire: Wire) -> None:
        following = hops[(hops.index(request.target) + 1) % len(hops)]
        wire.response(302, headers={"Location": following, "Set-Cookie": "seen=1; Path=/"})

    server = start(answer)
    with pytest.raises(TransportError, match="wants a cookie"):
        connect(server.url, retries=3)
    assert len(server.requests) == len(hops)


def test_d12_the_error_names_it_even_if_each_redirect_has_another_query(
    start: Start, connect: Connect
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        fields = {"Location": f"/index.json?check={request.number}", "Set-Cookie": "seen=1"}
        wire.response(302, headers=fields)

    with pytest.raises(TransportError, match="wants a cookie"):
        connect(start(answer).url)


def test_d12_a_redirect_loop_without_a_cookie_does_not_mention_cookies(
    start: Start, connect: Connect
) -> None:
    server = start(index_at("/index.json"))
    with pytest.raises(TransportError, match="more than 5 redirects"):
        connect(server.url)


def test_d1_a_client_certificate_is_sent_only_to_the_first_origin(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    strict = certificates.context(certificates.server, ask_client=True)
    other = start(SITE, ssl_context=strict)
    first = start(SITE, ssl_context=strict)
    options = {
        "verify": certificates.authority,
        "cert": tuple(str(path) for path in certificates.client),
    }
    assert list(connect(first.url, **options)) == ["a"]
    first.answer = index_at(f"{other.url}index.json")
    with pytest.raises(TransportError):
        connect(first.url, **options)
    assert not other.requests


def test_d1_cookies_are_never_sent(start: Start, connect: Connect) -> None:
    def answer(request: Request, wire: Wire) -> None:
        headers = {"Set-Cookie": "session=1; Path=/"}
        if request.path == "/index.json":
            return wire.response(302, headers={**headers, "Location": "/moved.json"})
        return wire.response(200, FILES[request.path[1:].replace("moved", "index")], headers)

    server = start(answer)
    store = connect(server.url)
    store.update_index()
    assert store["a"].read() == VALUE
    assert len(server.requests) == 5
    assert all("Cookie" not in request.headers for request in server.requests)


def test_d1_the_body_of_a_redirect_is_not_waited_for(start: Start, connect: Connect) -> None:
    other = start(SITE)

    def answer(request: Request, wire: Wire) -> None:
        wire.response(302, b"", {"Location": f"{other.url}index.json", "Content-Length": "10"})
        wire.stall()

    assert list(connect(start(answer).url, timeout=(2, 0.5))) == ["a"]


def test_d1_the_endless_body_of_a_redirect_is_not_read(start: Start, connect: Connect) -> None:
    other = start(SITE)
    sent: list[bytes] = []

    def answer(request: Request, wire: Wire) -> None:
        wire.response(302, b"", {"Location": f"{other.url}index.json", "Content-Length": "1" * 15})
        while len(sent) < 64:
            wire.send(bytes(1 << 20))
            sent.append(b"")
        wire.close()

    first = start(answer)
    with suppress(TransportError):
        connect(first.url)
    first.stop()
    assert len(sent) < 32  # the buffers of the kernel


def test_d1_a_permanent_redirect_is_requested_again(start: Start, connect: Connect) -> None:
    other = start(SITE)
    first = start(index_at(f"{other.url}index.json", 301))
    store = connect(first.url)
    first.answer = serve_files({"index.json": b"{}"})
    assert [change.key for change in store.update_index()] == ["a"]


# -- D2 ------------------------------------------------------------------------------


def test_d2_a_redirect_from_https_to_http_is_refused(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    plain = start(SITE)
    first = start(
        index_at(f"{plain.url}index.json"),
        ssl_context=certificates.context(certificates.server),
    )
    with pytest.raises(TransportError, match="from https to http"):
        connect(first.url, verify=certificates.authority)
    assert not plain.requests


def test_d2_a_second_redirect_back_to_http_is_refused_too(
    start: Start, connect: Connect, certificates: Certificates
) -> None:
    plain = start(SITE)
    safe = start(
        to(f"{plain.url}moved.json"), ssl_context=certificates.context(certificates.server)
    )
    plain.answer = index_at(f"{safe.url}index.json")
    with pytest.raises(TransportError, match="from https to http"):
        connect(plain.url, verify=certificates.authority)
    assert len(plain.requests) == 1


def _redirect_chain(hops: int) -> Files:
    """Serve an index that is this many redirects away."""
    steps = [f"step{number}" for number in range(hops)]
    answers = {
        here: to(there) for here, there in zip(["index.json", *steps], [*steps, "x"], strict=True)
    }
    answers[steps[-1]] = lambda request, wire: wire.response(200, FILES["index.json"])
    return SITE.but(answers)


def test_d2_five_hops_are_followed(start: Start, connect: Connect) -> None:
    server = start(_redirect_chain(5))
    assert list(connect(server.url)) == ["a"]
    assert len(server.requests) == 6


def test_d2_six_hops_are_refused(start: Start, connect: Connect) -> None:
    server = start(_redirect_chain(6))
    with pytest.raises(TransportError, match="more than 5 redirects"):
        connect(server.url)
    assert len(server.requests) == 6


@pytest.mark.parametrize("location", ["index.json", "/index.json", "", "#here", "?", "."])
def test_d2_a_redirect_loop_ends(start: Start, connect: Connect, location: str) -> None:
    server = start(to(location))
    with pytest.raises(TransportError, match="more than 5 redirects"):
        connect(server.url)
    assert len(server.requests) == 6


def test_d2_a_redirect_loop_of_two_hosts_ends(start: Start, connect: Connect) -> None:
    first, other = start(SITE), start(SITE)
    first.answer, other.answer = to(f"{other.url}index.json"), to(f"{first.url}index.json")
    with pytest.raises(TransportError, match="more than 5 redirects"):
        connect(first.url, auth=AUTH)
    assert [len(first.requests), len(other.requests)] == [3, 3]


def test_d2_too_many_redirects_are_not_retried(start: Start, connect: Connect) -> None:
    server = start(to("index.json"))
    with pytest.raises(TransportError):
        connect(server.url, retries=1)
    assert len(server.requests) == 6


# -- D3 ------------------------------------------------------------------------------


@pytest.mark.parametrize("location", ["{uri}", "file:{path}", "FILE://localhost{path}"])
def test_d3_a_redirect_to_a_file_is_refused(
    start: Start, connect: Connect, tmp_path: Path, location: str
) -> None:
    index = tmp_path / "index.json"
    index.write_bytes(FILES["index.json"])
    server = start(index_at(location.format(uri=index.as_uri(), path=index)))
    with pytest.raises(TransportError, match="refused: the host redirects to file:"):
        connect(server.url)


def test_d3_a_value_is_never_read_from_a_file(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    (tmp_path / "passwd").write_bytes(VALUE)
    server = start(SITE.but({"data/a": to((tmp_path / "passwd").as_uri())}))
    store = connect(server.url)
    with pytest.raises(TransportError, match="file:") as caught:
        store["a"].read()
    assert caught.value.key == "a"
    with pytest.raises(TransportError, match="file:"):
        store.to_file("a", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:application/json,{}",
        "ftp://127.0.0.1/index.json",
        "mailto:eve@evil.example",
        "gopher://127.0.0.1/",
        "http+unix://%2Frun%2Fdocker.sock/info",
        "http:",
        "http://",
        "https://",
        "http://@/",
        "http://:80/",
        "http://./",
    ],
)
def test_d3_a_redirect_to_anything_but_a_web_host_is_refused(
    start: Start, connect: Connect, location: str
) -> None:
    server = start(to(location))
    with pytest.raises(TransportError) as caught:
        connect(server.url)
    assert caught.value.url == f"{server.url}index.json"
    assert {request.target for request in server.requests} == {"/index.json"}


def test_d3_a_refused_redirect_is_not_retried(start: Start, connect: Connect) -> None:
    server = start(to("file:///etc/passwd"))
    with pytest.raises(TransportError, match="refused"):
        connect(server.url, retries=1)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://[::1/",
        "http://[evil]/",
        "http://evil:port/",
        "http://evil:99999/",
        "http://evil:-1/",
        "http://ev il/",
        "http://*/",
        "http://.evil/",
        "http://evil..example/",
        f"http://{'e' * 64}.example/",
        "http://evil\x00.example/",
        "http://evil\u2100.example/",  # a character that NFKC turns into "a/c"
        "//evil.example/index.json",
    ],
)
def test_d3_a_redirect_to_an_invalid_host_is_a_transport_error(
    start: Start, connect: Connect, location: str
) -> None:
    server = start(to(location))
    with pytest.raises(TransportError):
        connect(server.url, auth=AUTH)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "location",
    [
        "%",
        "%zz",
        "a b",
        "\x7f\x1b[31m",
        "é/日本",
        "x" * 60_000,
        "http:///etc/passwd",
        "///etc/passwd",
    ],
)
def test_d3_unusual_paths_are_requested_from_the_same_host(
    start: Start, connect: Connect, location: str
) -> None:
    server = start(SITE)
    server.answer = serve_files({}).but({"index.json": to(location)})
    with pytest.raises(HTTPStatusError) as caught:
        connect(server.url)
    assert caught.value.status == 404
    assert len(server.requests) == 2
    assert server.requests[1].target.isascii()


def test_d3_a_location_that_is_not_ascii_is_utf_8(start: Start, connect: Connect) -> None:
    server = start(index_at("/é/index.json"))
    server.answer = serve_files({"é/index.json": FILES["index.json"]}).but(
        {"index.json": to("/é/index.json")}
    )
    assert list(connect(server.url)) == ["a"]
    assert server.requests[1].target == "/%C3%A9/index.json"


def test_d3_errors_contain_no_control_characters_of_a_location(
    start: Start, connect: Connect
) -> None:
    with RawServer(SITE) as gone:
        location = f"{gone.url}\x1b[31m\x9b\u202eindex.json"
    server = start(to(location))
    with pytest.raises(TransportError) as caught:
        connect(server.url)
    assert str(caught.value).isprintable()


def test_d3_a_redirect_without_a_location_is_a_transport_error(
    start: Start, connect: Connect
) -> None:
    server = start(lambda request, wire: wire.response(302))
    with pytest.raises(TransportError, match="302"):
        connect(server.url)


def test_d3_a_refused_redirect_keeps_the_old_snapshot(start: Start, connect: Connect) -> None:
    server = start(SITE)
    store = connect(server.url)
    server.answer = to("file:///etc/passwd")
    with pytest.raises(TransportError):
        store.update_index()
    assert list(store) == ["a"]
    assert store.info()["stale"]
