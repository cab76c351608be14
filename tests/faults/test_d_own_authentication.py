"""FAULTS D4, D5: exceptions of a caller's own authentication are raised unchanged."""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from requests import PreparedRequest, Response
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from staticstore import (
    AuthorizationError,
    StaticStore,
    StoreError,
    TransportError,
    mirror,
    poll_failed,
)
from staticstore.errors import ForeignError
from tests.engines import ENGINES, sending_by
from tests.servers import RawServer, Request, Wire, serve_files
from tests.sites import index_of

VALUES = {f"v{number}": b"%d" % number * 10 for number in range(8)}
FILES = {
    "index.json": index_of(VALUES),
    **{f"data/{key}": value for key, value in VALUES.items()},
}
SITE = serve_files(FILES)

ERRORS = [
    ValueError("no token in the keyring"),
    KeyError("token"),
    TypeError("a token is a text"),
    AttributeError("token"),
    OSError("the token file"),
    FileNotFoundError("the token file"),
    TimeoutError("the token"),
    ConnectionError("the token"),
    OverflowError("the token"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "the token"),
    RuntimeError("the token"),
    StopIteration("the token"),
]

READS: dict[str, Callable[[StaticStore, Path], object]] = {
    "poll": lambda store, path: store.update_index(),
    "read": lambda store, path: store["v0"].read(),
    "range": lambda store, path: store["v0"].range(0, 5).read(),
    "open": lambda store, path: store["v0"].open().read(),
    "size": lambda store, path: store["v0"].etag,
    "iterdata": lambda store, path: list(store["v0"].iterdata()),
    "ranges": lambda store, path: store.get_ranges("v0", [(0, 2), (5, 7)]),
    "to_file": lambda store, path: store.to_file("v0", path / "copy"),
    "read_many": lambda store, path: list(store.read_many(VALUES)),
    "multiget_data": lambda store, path: [one.read() for one in store.multiget_data(VALUES)],
}

Start = Callable[..., RawServer]
Connect = Callable[..., StaticStore]


class OnCall(AuthBase):
    """Authentication that raises a given error while a request is prepared."""

    error: BaseException | None = None
    calls = 0

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self.error is not None:
            self.calls += 1
            raise self.error
        return request


class OnAnswer(OnCall):
    """Authentication that raises when it sees the response."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.register_hook("response", self.look)  # type: ignore[no-untyped-call]
        return request

    def look(self, answer: Response, **options: Any) -> Response:
        if self.error is not None:
            self.calls += 1
            raise self.error
        return answer


class OfBasic(OnCall, HTTPBasicAuth):
    """Authentication that also inherits from a class of requests."""

    def __init__(self) -> None:
        HTTPBasicAuth.__init__(self, "ali", "sesame")


@pytest.fixture
def connect(stack: ExitStack) -> Connect:
    """Connect a store with the default number of retries."""

    def connect(root: str, auth: AuthBase, *, poll_interval: float = 0.0) -> StaticStore:
        store = StaticStore(root, poll_interval=poll_interval)
        stack.callback(store.disconnect)
        return store.connect(auth, timeout=(2, 2))

    return connect


@pytest.fixture(params=[OnCall, OnAnswer, OfBasic])
def auth(request: pytest.FixtureRequest) -> OnCall:
    made: OnCall = request.param()
    return made


@pytest.mark.parametrize("read", READS)
def test_d4_an_error_of_the_callers_authentication_is_raised_unchanged(
    start: Start, connect: Connect, auth: OnCall, read: str, tmp_path: Path
) -> None:
    store = connect(start(SITE).url, auth)
    auth.error = ValueError("no token in the keyring")
    with pytest.raises(ValueError, match="no token") as caught:
        READS[read](store, tmp_path)
    assert caught.value is auth.error


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_d4_any_kind_of_exception_is_raised_unchanged(
    start: Start, connect: Connect, auth: OnCall, error: BaseException
) -> None:
    store = connect(start(SITE).url, auth)
    auth.error = error
    with pytest.raises(type(error)) as caught:
        store["v0"].read()
    assert caught.value is error
    assert auth.calls == 1  # not retried


def test_d4_it_is_raised_unchanged_while_connecting(
    start: Start, connect: Connect, auth: OnCall
) -> None:
    auth.error = ValueError("no token in the keyring")
    with pytest.raises(ValueError, match="no token"):
        connect(start(SITE).url, auth)


@pytest.mark.parametrize("engine", ENGINES)
def test_d4_it_is_raised_unchanged_for_many_requests(
    start: Start, connect: Connect, auth: OnCall, engine: str
) -> None:
    store = connect(start(SITE).url, auth)
    auth.error = ValueError("no token in the keyring")
    with sending_by(engine), pytest.raises(ValueError, match="no token"):
        list(store.read_many(VALUES))


def test_d4_it_is_raised_unchanged_in_a_mirror(
    start: Start, connect: Connect, auth: OnCall, tmp_path: Path
) -> None:
    store = connect(start(SITE).url, auth)
    auth.error = ValueError("no token in the keyring")
    with pytest.raises(ValueError, match="no token"):
        mirror(store, tmp_path / "copy")


def test_d4_such_a_failed_poll_is_signaled_and_the_next_one_is_made(
    start: Start, connect: Connect, auth: OnCall
) -> None:
    failures: queue.SimpleQueue[StoreError] = queue.SimpleQueue()

    def note(store: StaticStore, error: StoreError) -> None:
        auth.error = None
        failures.put(error)

    store = connect(start(SITE).url, auth, poll_interval=0.01)
    with poll_failed.connected_to(note, sender=store):
        auth.error = ValueError("sesame")
        error = failures.get(timeout=5)
        auth.error = ValueError("sesame")
        failures.get(timeout=5)
    assert isinstance(error, StoreError)
    assert isinstance(error.__cause__, ForeignError)
    assert error.__cause__.kinds == (ValueError,)
    assert "ValueError" in str(error)
    assert "sesame" not in str(error)


def test_d4_such_a_failure_is_in_info(start: Start, connect: Connect, auth: OnCall) -> None:
    store = connect(start(SITE).url, auth)
    auth.error = ValueError("sesame")
    with pytest.raises(ValueError, match="sesame"):
        store.update_index()
    assert store.info()["last_error"] == "a poll failed: ValueError"
    assert store.info()["stale"]
    assert list(store) == sorted(VALUES)


@pytest.mark.parametrize(
    "error",
    [
        requests.ConnectionError("the token server"),
        requests.Timeout("the token server"),
        requests.HTTPError("the token server"),
        requests.exceptions.InvalidJSONError("the token server"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_d4_an_error_of_requests_in_authentication_is_a_transport_error(
    start: Start, auth: OnCall, error: BaseException
) -> None:
    store = StaticStore(start(SITE).url, poll_interval=0).connect(auth, retries=0)
    auth.error = error
    with store, pytest.raises(TransportError) as caught:
        store["v0"].read()
    assert caught.value.key == "v0"


@pytest.mark.parametrize("engine", ENGINES)
def test_d4_a_callers_token_is_made_for_each_of_many_requests(
    start: Start, connect: Connect, engine: str
) -> None:
    class Tokens(HTTPBasicAuth):
        made = 0

        def __call__(self, request: PreparedRequest) -> PreparedRequest:
            self.made += 1
            request.headers["Authorization"] = f"Bearer {self.made}"
            return request

    server, tokens = start(SITE), Tokens("ali", "sesame")
    store = connect(server.url, tokens)
    before = tokens.made, len(server.requests)
    with sending_by(engine):
        assert dict(store.read_many(VALUES)) == VALUES
    assert tokens.made - before[0] == len(server.requests) - before[1] == len(VALUES)


# -- the schemes of requests -------------------------------------------------------------


@pytest.fixture
def challenged(start: Start) -> tuple[RawServer, list[str]]:
    """Serve a site that demands authentication on request, even after a right answer."""
    challenges = ['Digest realm="site", nonce="1", qop="auth"']

    def answer(request: Request, wire: Wire) -> None:
        if challenges and (
            "Authorization" not in request.headers or 'nonce="1"' not in challenges[0]
        ):
            wire.response(401, headers={"WWW-Authenticate": challenges[0]})
        else:
            SITE(request, wire)

    return start(answer), challenges


class Inherited(HTTPDigestAuth):
    """A subclass that adds nothing."""


@pytest.mark.parametrize("kind", [HTTPDigestAuth, Inherited])
@pytest.mark.parametrize(
    "challenge",
    [
        "Digest",
        'Digest nonce="2"',
        'Digest realm="site"',
        'Digest realm="site", nonce="2", algorithm="MD7"',
        'Digest realm="site", nonce="2", qop="auth-int"',
    ],
)
def test_d5_an_invalid_challenge_after_a_good_one_does_not_persist(
    challenged: tuple[RawServer, list[str]],
    connect: Connect,
    kind: type[HTTPDigestAuth],
    challenge: str,
) -> None:
    server, challenges = challenged
    store = connect(server.url, kind("ali", "sesame"))
    good = challenges[0]
    challenges[0] = challenge
    for _ in range(2):
        with pytest.raises(AuthorizationError, match="401"):
            store["v0"].read()
    challenges[0] = good
    assert store["v0"].read() == VALUES["v0"]
