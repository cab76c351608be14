"""Sessions on misbehaving servers, recorded waits, and calls in threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from staticstore.transport.http.arguments import SessionOptions
from staticstore.transport.http.document import Fetched
from staticstore.transport.http.root import Root
from staticstore.transport.http.session import Session
from staticstore.transport.http.wire import Deadline, SizeLimit
from tests.servers import RawServer

Start = Callable[..., RawServer]
SessionAt = Callable[..., Session]

# Seconds within which a call whose connection was cut must return.
PROMPTLY = 1.0


@pytest.fixture
def session_at(stack: ExitStack) -> SessionAt:
    """Open a session that tolerates a slow machine and never retries."""

    def session_at(root: str, **options: Any) -> Session:
        patient = SessionOptions(timeout=(5, 5), retries=0, proxies={})
        session = Session(Root(root), patient._replace(**options))
        stack.callback(session.close)
        return session

    return session_at


def noted_waits(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the waits of a session instead of waiting."""
    waits: list[float] = []

    def wait(timeout: float | None = None) -> bool:
        assert timeout is not None, "a wait without an end"
        waits.append(timeout)
        return session.wire.cut.is_set()

    monkeypatch.setattr(session.wire.cut, "wait", wait)
    return waits


def fetch(session: Session, url_path: str = "index.json", **options: Any) -> bytes:
    """Fetch a whole document, with ample time and space."""
    limits: dict[str, Any] = {"headers": {}, "max_bytes": 1 << 20, "seconds": 20.0, **options}
    deadline = Deadline(limits.pop("seconds"))
    limit = SizeLimit(limits.pop("max_bytes"), "the index")
    fetched = session.fetch(url_path, deadline=deadline, limit=limit, **limits)
    assert isinstance(fetched, Fetched)
    return bytes(fetched.body)


class Call(threading.Thread):
    """A call in a thread of its own, which can be joined."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._result: object = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # raised again by `result`
            self._error = error

    def result(self, within: float = PROMPTLY) -> object:
        """Return what the call returned, or raise what it raised."""
        self.join(within)
        assert not self.is_alive(), f"the call goes on after {within} s"
        if self._error is not None:
            raise self._error
        return self._result
