"""FAULTS D10: a public site leads to no internal address, whatever it says and by any name.

The result is checked at servers with public and internal addresses, all of them in a
network namespace: an error of the store does not count if a server got a request.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from staticstore import StaticStore, StoreError, TransportError
from staticstore.transport.http.root import checked_origins
from tests.engines import ENGINES, sending_by
from tests.namespace import Namespace, resolve
from tests.servers import (
    Answer,
    Certificates,
    RawServer,
    Request,
    Wire,
    serve_files,
    write_certificates,
)
from tests.sites import index_of

PUBLIC, OTHER, PUBLIC_6 = "8.8.8.8", "1.1.1.1", "2606:4700::1111"
PRIVATE = "10.1.2.3"
INNER = [
    "127.0.0.1",
    "127.9.9.9",
    PRIVATE,
    "172.16.1.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "::1",
    "fd00:ec2::254",
    "64:ff9b::a01:203",
    "64:ff9b:1:a01:2:300::",
    "2002:a01:203::1",
]
ADDRESSES = [
    f"{address}/{128 if ':' in address else 32}"
    for address in (PUBLIC, OTHER, PUBLIC_6, *INNER)
    if address != "::1" and not address.startswith("127.")
]

VALUES = {f"v{number}": b"%d" % number * 10 for number in range(8)}
FILES = {
    "index.json": index_of(VALUES),
    **{f"data/{key}": value for key, value in VALUES.items()},
}
SITE = serve_files(FILES)


@pytest.fixture(scope="module")
def namespace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Namespace]:
    namespace = Namespace(tmp_path_factory.mktemp("namespace"), ADDRESSES)
    yield namespace
    namespace.close()


class Seen(NamedTuple):
    """The result in the store, and the requests at the server that it was led to."""

    error: StoreError | None
    data: bytes | None
    requests: int
    #: At the root.
    asked: int


def _index(store: StaticStore) -> bytes:
    return b"" if "v0" in store else b"?"


READS: dict[str, Callable[[StaticStore], bytes]] = {
    "poll": lambda store: _index(store) if store.update_index().index else b"?",
    "read": lambda store: store["v0"].read(),
    "range": lambda store: store["v0"].range(0, 5).read(),
    "open": lambda store: store["v0"].open().read(),
    "many": lambda store: b"".join(data for _, data in store.read_many(VALUES)),
    "ranges": lambda store: b"".join(store.get_ranges("v0", [(0, 2), (5, 7)])),
}


def _to(root: Callable[[], str]) -> Answer:
    def answer(request: Request, wire: Wire) -> None:
        location = root() + request.target[1:]
        wire.response(302, headers={"Location": location.encode().decode("latin-1")})

    return answer


def _store(stack: ExitStack, root: str, options: dict[str, Any]) -> StaticStore:
    """Return a store that is not connected yet, and makes at most three attempts."""
    store = StaticStore(root, poll_interval=0, **options)
    stack.callback(store.disconnect)
    return store


CONNECT: dict[str, Any] = {"timeout": (2, 2), "retries": 2, "proxies": {}}


def redirected(
    here: str, there: str, written: str | None = None, *, read: str = "", **options: Any
) -> Seen:
    """Let a site redirect its index, or only the value for `read`, to another address."""
    with ExitStack() as stack:
        other = stack.enter_context(RawServer(SITE, host=there))
        host = written or (f"[{there}]" if ":" in there else there)
        moved = _to(lambda: f"http://{host}:{other.port}/")
        paths = FILES if not read else [path for path in FILES if path != "index.json"]
        root = stack.enter_context(RawServer(SITE.but(dict.fromkeys(paths, moved)), host=here))
        if options.get("origins") == "there":
            options["origins"] = [f"http://{host}:{other.port}"]
        store = _store(stack, root.url, options)
        error, data = None, None
        try:
            store.connect(**CONNECT)
            if read == "poll":
                root.answer = moved
            data = READS[read](store) if read else _index(store)
        except StoreError as caught:
            error = caught
        return Seen(error, data, len(other.requests), len(root.requests))


def redirected_to_tls(certificates: Certificates) -> Seen:
    """Let a public site redirect to a loopback address, over TLS."""
    with ExitStack() as stack:
        context = certificates.context(certificates.server)
        other = stack.enter_context(RawServer(SITE, host="127.0.0.1", ssl_context=context))
        root = stack.enter_context(RawServer(_to(lambda: other.url), host=PUBLIC))
        store = _store(stack, root.url, {})
        with pytest.raises(TransportError) as caught:
            store.connect(**CONNECT, verify=certificates.authority)
        return Seen(caught.value, None, len(other.requests), len(root.requests))


def placed(
    here: str,
    there: str,
    written: str | None = None,
    *,
    read: str = "read",
    engine: str = "threads",
    origins: Any = "any",
) -> Seen:
    """Let the index of a site say that its values are at another address."""
    with ExitStack() as stack:
        other = stack.enter_context(RawServer(SITE, host=there))
        host = written or (f"[{there}]" if ":" in there else there)
        url = f"http://{host}:{other.port}/"
        entries = {
            key: {**one, "placed": {"href": f"{url}data/{key}"}}
            for key, one in json.loads(FILES["index.json"]).items()
        }
        site = serve_files({"index.json": json.dumps(entries).encode()})
        root = stack.enter_context(RawServer(site, host=here))
        store = _store(stack, root.url, {"origins": [url] if origins == "there" else origins})
        store.connect(**CONNECT)
        stack.enter_context(sending_by(engine))
        error, data = None, None
        try:
            data = READS[read](store)
        except StoreError as caught:
            error = caught
        return Seen(error, data, other.connections, len(root.requests))


def rebound_over_tls(certificates: Certificates, engine: str) -> Seen:
    """Give a public root with TLS a private address, and count the connections to it."""
    with ExitStack() as stack:
        resolve("site.example", PUBLIC)
        context = certificates.context(certificates.server)
        root = stack.enter_context(RawServer(SITE, host=PUBLIC, ssl_context=context))
        received = bytearray()
        listener = stack.enter_context(socket.create_server((PRIVATE, root.port)))
        store = _store(stack, f"https://site.example:{root.port}/", {})
        store.connect(**CONNECT, verify=False)
        resolve("site.example", PRIVATE)
        root.stop()
        stack.enter_context(sending_by(engine))
        listener.settimeout(0.0)
        error = None
        try:
            READS["many"](store)
        except StoreError as caught:
            error = caught
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    received += connection.recv(1 << 12)
        return Seen(error, bytes(received), 0, 0)


def rebound(first: str, then: str, *, read: str, engine: str = "threads", **options: Any) -> Seen:
    """Connect to a name, give it another address, and read."""
    with ExitStack() as stack:
        resolve("site.example", first)
        root = stack.enter_context(RawServer(SITE, host=first))
        other = RawServer(SITE, host=then)
        other.port = root.port
        stack.enter_context(other)
        if options.get("origins") == "site":
            options["origins"] = [f"http://site.example:{root.port}"]
        store = _store(stack, f"http://site.example:{root.port}/", options).connect(**CONNECT)
        resolve("site.example", then)
        root.stop()  # so that a new connection is made
        stack.enter_context(sending_by(engine))
        error, data = None, None
        try:
            data = READS[read](store)
        except StoreError as caught:
            error = caught
        return Seen(error, data, len(other.requests), len(root.requests))


def reused(read: str) -> tuple[Seen, bytes]:
    """Make an internal root public while a connection to it is kept open."""
    with ExitStack() as stack:
        resolve("site.example", PRIVATE)
        inner = stack.enter_context(RawServer(SITE, host=PRIVATE))
        public = RawServer(SITE, host=PUBLIC)
        public.port = inner.port
        stack.enter_context(public)
        store = _store(stack, f"http://site.example:{inner.port}/", {}).connect(**CONNECT)
        stream = store.get_data("v0")
        resolve("site.example", PUBLIC)
        data = store["v1"].read()
        before = len(inner.requests)
        stream.read()
        stream.close()  # the connection to the internal address is the first to be reused
        stack.enter_context(sending_by("threads"))
        error = None
        try:
            READS[read](store)
        except StoreError as caught:
            error = caught
        requests = len(inner.requests) - before
        return Seen(error, None, requests, len(public.requests)), data


def copied(first: str, copy: str) -> Seen:
    """Read from a copy at another address while the first root is down."""
    with ExitStack() as stack:
        root = stack.enter_context(RawServer(SITE, host=first))
        other = stack.enter_context(RawServer(SITE, host=copy))
        store = StaticStore([root.url, other.url], poll_interval=0)
        stack.callback(store.disconnect)
        store.connect(**CONNECT)
        root.stop()
        data = store["v0"].read()
        return Seen(None, data, len(other.requests), len(root.requests))


# -- redirects -----------------------------------------------------------------------


@pytest.mark.parametrize("address", INNER)
def test_d10_a_redirect_of_a_public_site_to_an_internal_address_is_refused(
    namespace: Namespace, address: str
) -> None:
    seen = namespace.run(redirected, PUBLIC, address)
    assert isinstance(seen.error, TransportError)
    assert f"the inner address {address}; if" in str(seen.error)
    assert seen.requests == 0


@pytest.mark.parametrize(
    "written",
    [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "0.0.0.0",
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "user@127.0.0.1",
        "intranet.example",
        "INTRANET.example",
    ],
)
def test_d10_it_is_refused_in_every_notation_of_the_address(
    namespace: Namespace, written: str
) -> None:
    namespace.run(resolve, "intranet.example", "127.0.0.1")
    seen = namespace.run(redirected, PUBLIC, "127.0.0.1", written)
    assert isinstance(seen.error, TransportError)
    assert "the inner address " in str(seen.error)
    assert seen.requests == 0


def test_d10_a_site_at_a_public_ipv6_address_is_public(namespace: Namespace) -> None:
    seen = namespace.run(redirected, PUBLIC_6, "::1")
    assert "the inner address ::1" in str(seen.error)


@pytest.mark.parametrize("read", READS)
def test_d10_it_is_refused_for_every_way_of_reading(namespace: Namespace, read: str) -> None:
    seen = namespace.run(redirected, PUBLIC, PRIVATE, read=read)
    assert isinstance(seen.error, TransportError)
    assert f"the inner address {PRIVATE}" in str(seen.error)
    assert seen.requests == 0


def test_d10_a_refused_redirect_is_not_retried(namespace: Namespace) -> None:
    assert namespace.run(redirected, PUBLIC, PRIVATE).asked == 1


def test_d10_the_error_says_what_to_do(namespace: Namespace) -> None:
    seen = namespace.run(redirected, PUBLIC, PRIVATE)
    assert f"add 'http://{PRIVATE}:" in str(seen.error)


def test_d10_no_tls_handshake_is_begun(namespace: Namespace, tmp_path: Path) -> None:
    seen = namespace.run(redirected_to_tls, write_certificates(tmp_path))
    assert "the inner address 127.0.0.1" in str(seen.error)
    assert seen.requests == 0


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (PUBLIC, OTHER),
        (PUBLIC, PUBLIC_6),
        (PRIVATE, "127.0.0.1"),
        ("127.0.0.1", PRIVATE),
        ("::1", "169.254.169.254"),
        (PRIVATE, PUBLIC),
    ],
)
def test_d10_other_redirects_are_followed(namespace: Namespace, here: str, there: str) -> None:
    seen = namespace.run(redirected, here, there, read="read")
    assert seen.error is None
    assert seen.data is not None
    assert seen.requests > 0


@pytest.mark.parametrize("read", ["", "many"])
def test_d10_a_named_origin_may_be_internal(namespace: Namespace, read: str) -> None:
    seen = namespace.run(redirected, PUBLIC, PRIVATE, read=read, origins="there")
    assert seen.error is None
    assert seen.requests > 0


@pytest.mark.parametrize(
    "origins", ["own", "any", [], [f"http://{PRIVATE}"], ["http://127.0.0.1"]], ids=str
)
def test_d10_other_named_origins_do_not_allow_it(namespace: Namespace, origins: Any) -> None:
    seen = namespace.run(redirected, PUBLIC, PRIVATE, origins=origins)
    assert isinstance(seen.error, TransportError)
    assert seen.requests == 0


# -- what an index says ----------------------------------------------------------------


@pytest.mark.parametrize("address", INNER)
@pytest.mark.parametrize("read", ["read", "many", "ranges"])
def test_d10_a_place_at_an_internal_address_is_refused(
    namespace: Namespace, address: str, read: str
) -> None:
    for engine in ENGINES:
        seen = namespace.run(placed, PUBLIC, address, read=read, engine=engine)
        assert isinstance(seen.error, TransportError)
        assert f"the inner address {address}; if" in str(seen.error)
        assert seen.data is None


@pytest.mark.parametrize("written", ["intranet.example", "[::ffff:127.0.0.1]", "127.1", "0"])
def test_d10_it_is_refused_under_every_name(namespace: Namespace, written: str) -> None:
    namespace.run(resolve, "intranet.example", "127.0.0.1")
    seen = namespace.run(placed, PUBLIC, "127.0.0.1", written)
    assert "the inner address " in str(seen.error)


@pytest.mark.parametrize(
    ("here", "there", "origins"),
    [
        (PUBLIC, OTHER, "any"),
        (PUBLIC, PUBLIC_6, "any"),
        (PRIVATE, "127.0.0.1", "any"),
        (PUBLIC, PRIVATE, "there"),
        (PRIVATE, PUBLIC, "there"),
    ],
)
def test_d10_other_places_are_read(
    namespace: Namespace, here: str, there: str, origins: str
) -> None:
    for read in ("read", "many", "ranges"):
        seen = namespace.run(placed, here, there, read=read, origins=origins)
        assert seen.error is None
        assert seen.data is not None


# -- names that change their address ---------------------------------------------------


@pytest.mark.parametrize(
    ("address", "read"),
    [*((PRIVATE, read) for read in READS), ("127.0.0.1", "read"), ("fd00:ec2::254", "read")],
)
def test_d10_a_rebound_public_root_is_refused(
    namespace: Namespace, address: str, read: str
) -> None:
    seen = namespace.run(rebound, PUBLIC, address, read=read)
    assert isinstance(seen.error, TransportError)
    assert f"has become the inner address {address}" in str(seen.error)
    assert seen.requests == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_d10_a_rebound_root_is_refused_by_each_engine(namespace: Namespace, engine: str) -> None:
    seen = namespace.run(rebound, PUBLIC, PRIVATE, read="many", engine=engine)
    assert "has become the inner address" in str(seen.error)
    assert seen.requests == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_d10_a_rebound_root_gets_no_byte_of_a_handshake(
    namespace: Namespace, tmp_path: Path, engine: str
) -> None:
    seen = namespace.run(rebound_over_tls, write_certificates(tmp_path), engine)
    assert "has become the inner address" in str(seen.error)
    assert seen.data == b""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("first", "then"), [(PUBLIC, OTHER), (PRIVATE, "127.0.0.1"), (PRIVATE, PUBLIC)]
)
def test_d10_a_root_may_move_to_another_public_address(
    namespace: Namespace, first: str, then: str, engine: str
) -> None:
    seen = namespace.run(rebound, first, then, read="many", engine=engine)
    assert seen.data == b"".join(VALUES.values())


@pytest.mark.parametrize("engine", ENGINES)
def test_d10_a_root_named_in_origins_may_be_rebound(namespace: Namespace, engine: str) -> None:
    seen = namespace.run(rebound, PUBLIC, PRIVATE, read="many", engine=engine, origins="site")
    assert seen.data == b"".join(VALUES.values())


@pytest.mark.parametrize("read", ["read", "many"])
def test_d10_an_open_connection_is_checked_again(namespace: Namespace, read: str) -> None:
    seen, data = namespace.run(reused, read)
    assert data == VALUES["v1"]
    assert seen.requests == 0


def test_d10_a_copy_given_by_the_user_may_be_internal(namespace: Namespace) -> None:
    assert namespace.run(copied, PUBLIC, PRIVATE).data == VALUES["v0"]


# -- through a proxy, where only the host in the URL is known ----------------------------


@pytest.fixture
def connect(stack: ExitStack) -> Callable[..., StaticStore]:
    """Connect a store through a proxy."""

    def connect(root: str, proxy: RawServer, **options: Any) -> StaticStore:
        store = StaticStore(root, poll_interval=0, **options)
        stack.callback(store.disconnect)
        return store.connect(timeout=(2, 2), retries=2, proxies={"http": proxy.url})

    return connect


def proxied(there: str) -> Answer:
    """Answer as a proxy for any site; the one at ``site.example`` has its index elsewhere."""

    def answer(request: Request, wire: Wire) -> None:
        path = urlsplit(request.target).path[1:]
        if request.target == "http://site.example/index.json":
            wire.response(302, headers={"Location": there})
        else:
            wire.response(200, FILES[path]) if path in FILES else wire.response(404)

    return answer


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        PRIVATE,
        "[::1]",
        "[::ffff:10.1.2.3]",
        "[64:ff9b::a01:203]",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "LOCALHOST.",
        "any.localhost",
        "169.254.169.254:8080",
    ],
)
def test_d10_through_a_proxy_an_internal_address_in_the_url_is_refused(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore], host: str
) -> None:
    proxy = start(proxied(f"http://{host}/index.json"))
    with pytest.raises(TransportError, match="refused: this public site leads to the inner"):
        connect("http://site.example/", proxy)
    assert [request.target for request in proxy.requests] == ["http://site.example/index.json"]


@pytest.mark.parametrize("host", ["other.example", PUBLIC, f"[{PUBLIC_6}]"])
def test_d10_through_a_proxy_other_hosts_are_requested(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore], host: str
) -> None:
    proxy = start(proxied(f"http://{host}/index.json"))
    assert "v0" in connect("http://site.example/", proxy)


def test_d10_through_a_proxy_a_named_origin_may_be_internal(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore]
) -> None:
    proxy = start(proxied(f"http://{PRIVATE}:8080/index.json"))
    store = connect("http://site.example/", proxy, origins=[f"http://{PRIVATE}:8080"])
    assert "v0" in store


@pytest.mark.parametrize("host", [PRIVATE, "localhost", "[::1]"])
def test_d10_through_a_proxy_an_internal_root_may_lead_to_internal_addresses(
    start: Callable[..., RawServer], connect: Callable[..., StaticStore], host: str
) -> None:
    proxy = start(SITE)

    def answer(request: Request, wire: Wire) -> None:
        if request.target == f"http://{host}/index.json":
            wire.response(302, headers={"Location": "http://127.0.0.1/index.json"})
        else:
            wire.response(200, FILES["index.json"])

    proxy.answer = answer
    assert "v0" in connect(f"http://{host}/", proxy)


# -- the option ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origins", ["own", "any", ["https://cdn.example.org", "http://10.0.0.1:8080/"], []], ids=str
)
def test_d10_origins_are_pickled(origins: Any) -> None:
    store = StaticStore("https://data.example.org/", origins=origins)
    again = pickle.loads(pickle.dumps(store))
    assert again._options["origins"] == store._options["origins"] == checked_origins(origins)
