"""Each single document of ``trust/`` refused, cut off, led elsewhere or held back by the host."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator

import pytest

from staticstore import (
    AuthorizationError,
    HTTPStatusError,
    NotConnectedError,
    StaticStore,
    StoreError,
    TransportError,
    TransportTimeout,
    TrustError,
    poll_failed,
)
from tests.servers import RawServer, serve_files
from tests.servers.wire import Answer, Request, Wire
from tests.trust.conftest import Opened
from tests.trust_sites import SignedSite, new_key

#: As the second publish names them; the first root document is never asked for.
NAMES = {
    "root": "2.root.json",
    "timestamp": "timestamp.json",
    "snapshot": "2.snapshot.json",
    "targets": "2.targets.json",
    "head": "",
}
ROLES = tuple(NAMES)


class Host:
    """Answers with the files of a site as they are, but for some of the documents."""

    def __init__(self, site: SignedSite) -> None:
        self._site = site
        self.answers: dict[str, Answer] = {}

    def __call__(self, request: Request, wire: Wire) -> None:
        files = self._site.files()
        by_path = {f"/trust/{self.name(role)}": one for role, one in self.answers.items()}
        by_path.get(request.path, serve_files(files))(request, wire)

    def name(self, role: str) -> str:
        """Return the name of a document of the second publish."""
        head = hashlib.sha256((self._site.root / "index.head.json").read_bytes()).hexdigest()
        return NAMES[role] or f"{head}.index.head.json"


@pytest.fixture
def host(site: SignedSite) -> Host:
    return Host(site)


@pytest.fixture
def server(host: Host) -> Iterator[RawServer]:
    with RawServer(host, heads=True) as server:
        yield server


def status(number: int, **fields: str) -> Answer:
    """Refuse with a status."""
    return lambda request, wire: wire.response(number, b"no", fields)


def breaks(request: Request, wire: Wire) -> None:
    """Break the connection in the middle."""
    wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"{" * 250)
    wire.close()


def endless(request: Request, wire: Wire) -> None:
    """Answer without an end."""
    wire.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        wire.send(b" " * 65536)


def circles(request: Request, wire: Wire) -> None:
    """Redirect to the same place."""
    wire.response(302, headers={"Location": request.path})


def to_a_page(request: Request, wire: Wire) -> None:
    """Redirect to a page to log in, on another path."""
    if request.target.endswith("?login"):
        wire.response(200, b"<!DOCTYPE html><form>", {"Content-Type": "text/html"})
    else:
        wire.response(302, headers={"Location": f"{request.path}?login"})


# The answers, and the error of a poll: of the next root document, and of the others.
Expected = tuple[type[StoreError] | None, type[StoreError]]
REFUSALS: dict[str, tuple[Answer, Expected]] = {
    "401": (status(401), (None, AuthorizationError)),
    "403": (status(403), (None, AuthorizationError)),
    "404": (status(404), (None, TrustError)),
    "429": (status(429, **{"Retry-After": "3600"}), (HTTPStatusError, HTTPStatusError)),
    "500": (status(500), (None, HTTPStatusError)),
    "503": (status(503), (None, HTTPStatusError)),
    "breaks": (breaks, (TransportError, TransportError)),
    "circles": (circles, (TransportError, TransportError)),
    "a page": (to_a_page, (None, TrustError)),
    "endless": (endless, (None, TrustError)),
}
REASONS = {"404": "missing", "a page": "missing", "endless": "mismatch"}


@pytest.mark.parametrize("what", REFUSALS)
def test_t22_a_poll_that_is_refused_a_document_fails_and_the_next_one_mends_it(
    site: SignedSite, opened: Opened, host: Host, server: RawServer, what: str
) -> None:
    answer, (of_root, of_others) = REFUSALS[what]
    store = opened(server.url)
    failures: list[Exception] = []

    def note(_: object, error: Exception) -> None:
        failures.append(error)

    site.publish({"b.txt": b"two"})
    before, is_current = store.index, False
    with poll_failed.connected_to(note, sender=store):
        for role in (*ROLES[1:], ROLES[0]):  # the last one may find the publish
            host.answers = {role: answer}
            expected = of_root if role == "root" else of_others
            if expected is None:
                assert store.update_index()
                is_current = True
                continue
            with pytest.raises(expected) as caught:
                store.update_index()
            assert failures.pop() is caught.value
            if isinstance(caught.value, TrustError):
                is_page_as_head = (what, role) == ("a page", "head")
                assert caught.value.reason == ("mismatch" if is_page_as_head else REASONS[what])
            assert store.index is before
            assert store.info()["last_error"] == str(caught.value)
            assert store["a.txt"].read() == b"one"
    assert failures == []
    host.answers = {}
    assert bool(store.update_index()) != is_current
    assert store["b.txt"].read() == b"two"


def test_t22_documents_that_the_host_has_in_another_place_are_as_good(
    site: SignedSite, opened: Opened, host: Host, server: RawServer
) -> None:
    def moved(request: Request, wire: Wire) -> None:
        if request.target.endswith("?moved"):
            serve_files(site.files())(request, wire)
        else:
            wire.response(302, headers={"Location": f"{request.path}?moved"})

    store = opened(server.url)
    site.keys["targets"] = [new_key()]
    site.write_root()
    site.publish({"b.txt": b"two"})
    host.answers = dict.fromkeys(ROLES, moved)
    assert store.update_index()
    assert sum(request.target.endswith("?moved") for request in server.requests) == len(ROLES)


def test_t23_a_next_root_document_that_fails_is_no_wrong_signature(
    site: SignedSite, opened: Opened, host: Host, server: RawServer
) -> None:
    """The keys were replaced, and the host is overloaded when a reader asks for them."""
    store = opened(server.url)
    renew = [new_key()]
    site.keys |= {"snapshot": renew, "timestamp": renew}
    site.write_root()
    site.publish({"b.txt": b"two"})
    host.answers = {"root": status(503)}
    with pytest.raises(HTTPStatusError, match=r"2\.root\.json"):
        store.update_index()
    host.answers = {}
    assert store.update_index()


def test_t22_a_document_that_comes_too_slowly_fails_in_time(
    site: SignedSite, host: Host, server: RawServer
) -> None:
    def drips(request: Request, wire: Wire) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        wire.drip(b" " * 10000)

    host.answers = {"timestamp": drips}
    store = StaticStore(server.url, trust=site.pinned, poll_interval=0)
    with pytest.raises(TransportTimeout):
        store.connect(retries=0, index_deadline=0.5)


# Cut


class Held:
    """Holds the answer with one document back, and notes when it is asked for and given up."""

    def __init__(self) -> None:
        self.asked, self.given_up = threading.Event(), threading.Event()
        self.on_asked: Callable[[], object] = self.asked.set

    def __call__(self, request: Request, wire: Wire) -> None:
        self.on_asked()
        wire.stall()
        self.given_up.set()


@pytest.mark.parametrize("role", ROLES)
def test_t24_disconnect_cuts_a_poll_that_waits_for_a_document(
    site: SignedSite, opened: Opened, host: Host, server: RawServer, role: str
) -> None:
    store = opened(server.url)
    site.publish({"b.txt": b"two"})
    held = Held()
    host.answers = {role: held}
    errors: list[BaseException] = []

    def poll() -> None:
        try:
            store.update_index()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=poll)
    thread.start()
    assert held.asked.wait(10)
    store.disconnect()
    thread.join(10)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [NotConnectedError]
    assert held.given_up.wait(10)


@pytest.mark.parametrize("role", ROLES)
def test_t24_a_canceled_connect_that_waits_for_a_document_ends(
    site: SignedSite, host: Host, server: RawServer, role: str
) -> None:
    site.publish({"b.txt": b"two"})
    held = Held()
    host.answers = {role: held}
    store = StaticStore(server.url, trust=site.pinned, poll_interval=0)

    async def connect() -> None:
        async with store.connect_async():
            raise AssertionError("it is held back")

    async def cancel() -> None:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        held.on_asked = lambda: loop.call_soon_threadsafe(asked.set)
        connecting = asyncio.create_task(connect())
        await asyncio.wait_for(asked.wait(), 10)
        connecting.cancel()
        done, _ = await asyncio.wait([connecting], timeout=10)
        assert done == {connecting}
        assert connecting.cancelled()

    asyncio.run(cancel())
    assert held.given_up.wait(10)
    assert not store.is_connected()
