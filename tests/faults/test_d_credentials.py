"""FAULTS D4 to D6: how credentials are sent, and what happens if they are refused."""

from __future__ import annotations

import base64
import hashlib
import itertools
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import parse_http_list, parse_keqv_list

import pytest
from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from staticstore import (
    AuthorizationError,
    StaticStore,
    StoreError,
    TransportError,
    poll_failed,
)
from staticstore.client.following.connection import Poller
from tests.servers import (
    Answer,
    LoggedRequest,
    Nginx,
    RawServer,
    Request,
    Wire,
    require,
    serve_files,
)
from tests.sites import index_of, write_site

VALUE = b"0123456789" * 100
SITE = serve_files({"index.json": index_of({"a": VALUE}), "data/a": VALUE})

USER, PASSWORD = "alí", "open:sesame 100% €"
SECRET = "hush-sesame"

Start = Callable[..., RawServer]
Connect = Callable[..., StaticStore]


@pytest.fixture
def connect(stack: ExitStack) -> Connect:
    """Connect a store that does not poll by itself, with the default number of retries."""

    def connect(root: str, auth: Any = None, **options: Any) -> StaticStore:
        store = StaticStore(root, poll_interval=0)
        stack.callback(store.disconnect)
        return store.connect(auth, **{"timeout": (2, 2), **options})

    return connect


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    require("nginx")
    folder = tmp_path_factory.mktemp("site")
    write_site(folder, {"a": VALUE})
    with Nginx(folder, auth=(USER, PASSWORD)) as server:
        yield server


@pytest.fixture
def nginx_requests(nginx: Nginx) -> Callable[[], list[LoggedRequest]]:
    """Return the requests to nginx since the test began."""
    before = len(nginx.requests())
    return lambda: nginx.requests()[before:]


def refuse(status: int) -> Answer:
    """Refuse as servers that require a password do."""
    fields = {401: {"WWW-Authenticate": 'Basic realm="site"'}, 407: {"Proxy-Authenticate": "Basic"}}
    return lambda request, wire: wire.response(status, b"no", fields.get(status, {}))


# -- D4 ------------------------------------------------------------------------------

FORMS: dict[str, Any] = {
    "pair": (USER, PASSWORD),
    "list": [USER, PASSWORD],
    "mapping": {"username": USER, "password": PASSWORD},
    "AuthBase": HTTPBasicAuth(USER.encode(), PASSWORD.encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_d4_right_credentials_are_sent_with_each_request(
    nginx: Nginx, connect: Connect, nginx_requests: Callable[[], list[LoggedRequest]], form: str
) -> None:
    store = connect(nginx.url, FORMS[form])
    assert store["a"].read() == VALUE
    store.update_index()
    assert [request.status for request in nginx_requests()] == [404, 200, 200, 304]
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert {request.headers["Authorization"] for request in nginx_requests()} == {f"Basic {pair}"}


@pytest.mark.parametrize("auth", [None, (USER, "wrong"), ("", "")], ids=["none", "wrong", "empty"])
def test_d4_without_right_credentials_there_is_one_request_and_an_authorization_error(
    nginx: Nginx, connect: Connect, nginx_requests: Callable[[], list[LoggedRequest]], auth: Any
) -> None:
    with pytest.raises(AuthorizationError, match="401 Unauthorized") as caught:
        connect(nginx.url, auth)
    assert (caught.value.status, caught.value.url) == (401, f"{nginx.url}index.json")
    assert [request.status for request in nginx_requests()] == [401, 401]


@pytest.mark.parametrize("status", [401, 403, 407])
def test_d4_a_refusal_is_never_retried(start: Start, connect: Connect, status: int) -> None:
    server = start(refuse(status))
    with pytest.raises(AuthorizationError) as caught:
        connect(server.url, (USER, PASSWORD))
    assert caught.value.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "count"), [(401, 1), (403, 3), (407, 1)])
def test_d4_a_refused_value_is_an_authorization_error_with_its_key(
    start: Start, connect: Connect, status: int, count: int
) -> None:
    """A 403 is repeated past all caches, which may have stored it (C15)."""
    server = start(SITE.but({"data/a": refuse(status)}))
    store = connect(server.url)
    with pytest.raises(AuthorizationError) as caught:
        store["a"].read()
    assert (caught.value.status, caught.value.key) == (status, "a")
    assert len(server.requests) == 1 + count


@pytest.mark.parametrize("method", ["size", "to_file", "range"])
def test_d4_every_way_to_read_raises_it(
    start: Start, connect: Connect, tmp_path: Path, method: str
) -> None:
    files = {"index.json": b'{"a": {}}'}
    server = start(serve_files(files).but({"data/a": refuse(401)}))
    value = connect(server.url)["a"]
    calls: dict[str, Callable[[], object]] = {
        "size": lambda: value.size,
        "to_file": lambda: value.to_file(tmp_path / "a"),
        "range": lambda: value.range(1, 2),
    }
    with pytest.raises(AuthorizationError):
        calls[method]()
    assert len(server.requests) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [401, 403, 407])
def test_d4_the_body_of_a_refusal_is_not_waited_for(
    start: Start, connect: Connect, status: int
) -> None:
    def answer(request: Request, wire: Wire) -> None:
        wire.response(status, b"", {"Content-Length": "10"})
        wire.stall()

    server = start(answer)
    with pytest.raises(AuthorizationError):
        connect(server.url, (USER, PASSWORD), timeout=(2, 0.5), retries=1)
    assert len(server.requests) == 1


def test_d4_a_refused_poll_keeps_the_snapshot_and_is_signaled(
    start: Start, connect: Connect
) -> None:
    server = start(SITE)
    store = connect(server.url)
    server.answer = refuse(401)
    errors: list[StoreError] = []

    def on_failure(sender: object, *, error: StoreError) -> None:
        errors.append(error)

    with poll_failed.connected_to(on_failure, sender=store), pytest.raises(AuthorizationError):
        store.update_index()
    assert [error.status for error in errors] == [401]
    assert list(store) == ["a"]
    assert len(server.requests) == 2


def test_d4_the_poller_waits_longer_after_a_refusal() -> None:
    poller = Poller(lambda: None, 10.0, threading.Event())
    longest = max(poller.pause(TransportError("the line broke")) for _ in range(100))
    shortest = min(poller.pause(AuthorizationError("no", status=401)) for _ in range(100))
    assert shortest > 2 * longest


def test_d4_the_poller_waits_a_day_if_that_is_its_interval() -> None:
    poller = Poller(lambda: None, 86400.0, threading.Event())
    assert poller.pause(AuthorizationError("no", status=401)) >= 0.9 * 86400.0


def test_d4_a_new_connect_uses_new_credentials(nginx: Nginx, connect: Connect) -> None:
    store = StaticStore(nginx.url, poll_interval=0)
    with pytest.raises(AuthorizationError):
        store.connect((USER, "wrong"))
    assert not store.is_connected()
    with store.connect((USER, PASSWORD)):
        assert list(store) == ["a"]


def test_d4_an_authentication_object_of_the_user_is_used(start: Start, connect: Connect) -> None:
    class Token(AuthBase):
        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            request.headers["Authorization"] = f"Bearer {next(tokens)}"
            return request

    tokens = itertools.count(1)
    server = start(SITE)
    store = connect(server.url, Token())
    assert store["a"].read() == VALUE
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer 2", "Bearer 3"]  # the first was sent with the request for a head


# -- D5 ------------------------------------------------------------------------------


class DigestSite:
    """A site with digest authentication (RFC 7616); `renew` makes the nonce stale."""

    def __init__(self, answer: Answer, *, algorithm: str = "MD5", cookie: bool = False) -> None:
        self.answer = answer
        self.algorithm = algorithm
        self.cookie = cookie
        self.nonce = ""
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.renew()

    def renew(self) -> None:
        self.nonce = f"nonce-{next(self._numbers)}"

    def __call__(self, request: Request, wire: Wire) -> None:
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        fields = parse_keqv_list(parse_http_list(rest)) if scheme == "Digest" else {}
        if fields and not self._is_right(request, fields):
            return self._challenge(wire, stale=False)
        if fields.get("nonce") != self.nonce:
            return self._challenge(wire, stale=bool(fields))
        return self.answer(request, wire)

    def _is_right(self, request: Request, fields: dict[str, str]) -> bool:
        """Section 3.4.1: the response is a digest over user, password and request."""
        a1 = self._hash(f"{USER}:site:{PASSWORD}")
        a2 = self._hash(f"{request.method}:{request.target}")
        parts = [a1, fields["nonce"], fields["nc"], fields["cnonce"], "auth", a2]
        return (
            fields["uri"] == request.target
            and fields["opaque"] == "0paque"
            and fields["response"] == self._hash(":".join(parts))
        )

    def _hash(self, text: str) -> str:
        name = {"MD5": "md5", "SHA-256": "sha256"}[self.algorithm]
        return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

    def _challenge(self, wire: Wire, *, stale: bool) -> None:
        fields = {
            "WWW-Authenticate": f'Digest realm="site", qop="auth", nonce="{self.nonce}", '
            f'opaque="0paque", algorithm={self.algorithm}, stale={str(stale).lower()}'
        }
        if self.cookie:
            fields["Set-Cookie"] = "session=1; Path=/"
        wire.response(401, b"<h1>401</h1>" * 100, fields)


def digest_auth(password: str = PASSWORD) -> HTTPDigestAuth:
    return HTTPDigestAuth(USER, password)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_d5_digest_authentication_works(start: Start, connect: Connect, algorithm: str) -> None:
    server = start(DigestSite(SITE, algorithm=algorithm))
    store = connect(server.url, digest_auth())
    assert store["a"].read() == VALUE
    assert store["a"].range(3, 7).read() == VALUE[3:7]
    # Challenged once; then the nonce is known.
    assert len(server.requests) == 4
    assert PASSWORD not in str(server.requests)


def test_d5_the_challenge_is_answered_on_the_same_connection(
    start: Start, connect: Connect
) -> None:
    server = start(DigestSite(SITE))
    connect(server.url, digest_auth())
    assert (len(server.requests), server.connections) == (2, 1)


def test_d5_a_stale_nonce_is_replaced(start: Start, connect: Connect) -> None:
    site = DigestSite(SITE)
    server = start(site)
    store = connect(server.url, digest_auth())
    for _ in range(3):
        site.renew()
        assert store["a"].read() == VALUE
        assert not store.update_index()
    assert len(server.requests) == 2 + 3 * 3


def test_d5_each_thread_answers_its_own_challenges(start: Start, connect: Connect) -> None:
    server = start(DigestSite(SITE))
    store = connect(server.url, digest_auth())
    read: list[bytes] = []
    threads = [threading.Thread(target=lambda: read.append(store["a"].read())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert read == [VALUE] * 8


def test_d5_a_wrong_password_is_an_authorization_error_after_two_requests(
    start: Start, connect: Connect
) -> None:
    server = start(DigestSite(SITE))
    with pytest.raises(AuthorizationError) as caught:
        connect(server.url, digest_auth("wrong"))
    assert caught.value.status == 401
    assert len(server.requests) == 2


def test_d5_a_query_of_the_root_is_part_of_the_signature(start: Start, connect: Connect) -> None:
    server = start(DigestSite(SITE))
    assert list(connect(server.url + "?sig=a%2Fb", digest_auth())) == ["a"]


def test_d5_a_cookie_of_the_challenge_is_not_sent_back(start: Start, connect: Connect) -> None:
    server = start(DigestSite(SITE, cookie=True))
    store = connect(server.url, digest_auth())
    assert store["a"].read() == VALUE
    assert all("Cookie" not in request.headers for request in server.requests)


def test_d5_a_redirect_within_the_origin_is_authenticated_too(
    start: Start, connect: Connect
) -> None:
    def moved(request: Request, wire: Wire) -> None:
        wire.response(302, headers={"Location": "/sub/index.json"})

    files = {"sub/index.json": b'{"b": {}}'}
    server = start(DigestSite(serve_files(files).but({"index.json": moved})))
    assert list(connect(server.url, digest_auth())) == ["b"]


@pytest.mark.parametrize(
    "challenge",
    [
        "Digest",
        "Digest ",
        "Digest ,,,=",
        'Digest qop="auth", nonce="1"',
        'Digest realm="site", qop="auth"',
        'Digest realm="site", nonce="1", algorithm="MD7"',
        'Digest realm="site", nonce="1", qop="auth-int"',
        'Digest realm="\x1b\xff", nonce="1", qop="auth"',
    ],
)
def test_d5_an_invalid_challenge_is_a_store_error(
    start: Start, connect: Connect, challenge: str
) -> None:
    server = start(
        lambda request, wire: wire.response(401, headers={"WWW-Authenticate": challenge})
    )
    with pytest.raises(StoreError):
        connect(server.url, digest_auth(), retries=0)
    assert len(server.requests) <= 2


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_d5_the_endless_body_of_a_refusal_is_not_read(
    start: Start, connect: Connect, status: int
) -> None:
    sent: list[int] = []

    def answer(request: Request, wire: Wire) -> None:
        challenge = {"WWW-Authenticate": 'Digest realm="site", nonce="1", qop="auth"'}
        wire.response(status, b"", {**challenge, "Content-Length": "1" * 15})
        for _ in range(64):
            wire.send(bytes(1 << 20))
            sent.append(1 << 20)
        wire.close()

    server = start(answer)
    with pytest.raises(TransportError):
        connect(server.url, digest_auth(), retries=0)
    server.stop()
    assert sum(sent) < 48 << 20  # the buffers of the kernel, twice


# -- D6 ------------------------------------------------------------------------------


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a netrc file, and name it in the environment."""

    def write(text: str) -> Path:
        path = tmp_path / "my netrc"
        path.write_text(text, "utf-8")
        monkeypatch.setenv("NETRC", str(path))
        return path

    return write


Netrc = Callable[[str], Path]
EXACT = f"machine 127.0.0.1 login ali password {SECRET}\n"


def sent_by(server: RawServer) -> set[str | None]:
    """Return the Authorization header fields that were received."""
    return {request.headers.get("Authorization") for request in server.requests}


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize("text", [EXACT, f"default login ali password {SECRET}\n"])
def test_d6_a_netrc_is_not_read_without_being_requested(
    start: Start, connect: Connect, netrc: Netrc, text: str
) -> None:
    netrc(text)
    server = start(SITE)
    connect(server.url)
    assert sent_by(server) == {None}


def test_d6_nor_is_the_netrc_in_the_home_folder_read(
    start: Start, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(EXACT)
    (tmp_path / ".netrc").chmod(0o600)
    server = start(SITE)
    connect(server.url)
    assert sent_by(server) == {None}


def test_d6_a_netrc_is_read_on_request(start: Start, connect: Connect, netrc: Netrc) -> None:
    netrc(EXACT)
    server = start(SITE)
    connect(server.url, "netrc")
    assert sent_by(server) == {basic("ali", SECRET)}


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_d6_the_netrc_of_the_home_folder_is_read(
    start: Start,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / name).write_text(EXACT)
    server = start(SITE)
    connect(server.url, "netrc")
    assert sent_by(server) == {basic("ali", SECRET)}


def test_d6_the_netrc_named_in_the_environment_takes_precedence(
    start: Start, connect: Connect, netrc: Netrc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login home password home\n")
    netrc(EXACT)
    server = start(SITE)
    connect(server.url, "netrc")
    assert sent_by(server) == {basic("ali", SECRET)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"default login ali password {SECRET}\n",
        f"machine localhost login ali password {SECRET}\n",
        f"machine 27.0.0.1 login ali password {SECRET}\n",
        f"machine x.127.0.0.1 login ali password {SECRET}\n",
    ],
    ids=["empty", "default", "other", "suffix", "below"],
)
def test_d6_only_an_entry_for_exactly_this_host_is_used(
    start: Start, connect: Connect, netrc: Netrc, text: str
) -> None:
    netrc(text)
    server = start(SITE)
    with pytest.raises(StoreError, match=r"no netrc file has an entry for the host '127\.0\.0\.1'"):
        connect(server.url, "netrc")
    assert not server.requests


def test_d6_the_default_entry_does_not_apply_to_a_host_named_default(
    connect: Connect, netrc: Netrc
) -> None:
    netrc(f"default login ali password {SECRET}\n")
    with pytest.raises(StoreError, match="no netrc file has an entry"):
        connect("http://default/", "netrc")


def test_d6_the_case_of_the_root_does_not_matter(
    start: Start, connect: Connect, netrc: Netrc
) -> None:
    netrc(f"machine localhost login ali password {SECRET}\n")
    server = start(SITE)
    connect(f"http://LocalHost:{server.port}/", "netrc")
    assert sent_by(server) == {basic("ali", SECRET)}


def test_d6_a_missing_netrc_is_a_store_error(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="no netrc file has an entry"):
        connect("http://127.0.0.1:1/", "netrc")


def test_d6_a_netrc_that_is_a_folder_is_a_store_error(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path))
    with pytest.raises(StoreError, match="cannot be read"):
        connect("http://127.0.0.1:1/", "netrc")


@pytest.mark.parametrize(
    "text",
    [
        f"machine 127.0.0.1 login ali password open {SECRET}\n",
        f"machine 127.0.0.1 login ali {SECRET} password open\n",
        f"{SECRET}\n",
        f"machine 127.0.0.1 login ali password {SECRET}\nmachine",
    ],
)
def test_d6_the_error_for_a_broken_netrc_contains_no_password(
    connect: Connect, netrc: Netrc, text: str
) -> None:
    path = netrc(text)
    with pytest.raises(StoreError) as caught:
        connect("http://127.0.0.1:1/", "netrc")
    assert str(path) in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_d6_the_error_for_a_binary_netrc_contains_no_password(
    connect: Connect, netrc: Netrc
) -> None:
    netrc("").write_bytes(f"machine 127.0.0.1 password {SECRET}".encode() + b"\xff\xfe\x00")
    with pytest.raises(StoreError) as caught:
        connect("http://127.0.0.1:1/", "netrc")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_d6_the_netrc_is_read_only_at_connect(start: Start, connect: Connect, netrc: Netrc) -> None:
    path = netrc(EXACT)
    server = start(SITE)
    store = connect(server.url, "netrc")
    path.unlink()
    store.update_index()
    assert sent_by(server) == {basic("ali", SECRET)}
