"""Shared by the tests of the client: a changing site, stalled answers, calls in threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, Self, TypeVar

from staticstore import StaticStore
from tests.servers import Answer, RawServer, Request, Wire, serve_files

__all__ = ["STAGES", "TIMEOUT", "Call", "MemorySite", "Stage", "Stall", "pollers"]

T = TypeVar("T")

TIMEOUT = 20.0  # seconds after which a test has failed; none takes as long

Stage = Literal["head", "body", "retry"]
STAGES: tuple[Stage, ...] = ("head", "body", "retry")


class Call(threading.Thread, Generic[T]):
    """A call in a thread of its own, started immediately; if it hangs, the test does not."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._results: list[T] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # raised again by `result`
            self._error = error

    def is_back(self, seconds: float = TIMEOUT) -> bool:
        """Return whether the call returns or raises within that time."""
        self.join(seconds)
        return not self.is_alive()

    def result(self) -> T:
        """Wait for the result of the call, or raise what it raises."""
        assert self.is_back(), "the call hangs"
        if self._error is not None:
            raise self._error
        return self._results[0]


class Stall:
    """Answers that stop at a stage; `reached` is set when one has got there."""

    def __init__(self, stage: Stage) -> None:
        self.reached = threading.Event()
        self._stage = stage

    def __call__(self, request: Request, wire: Wire) -> None:
        if self._stage == "retry":
            wire.response(503, headers={"Retry-After": "60"})
            self.reached.set()
            return
        if self._stage == "body":
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"{" * 70_000)
        self.reached.set()
        wire.stall()


class MemorySite:
    """A site on a server that does what the test says.

    `files` may change while it is served, and so may `server.answer`, which
    is `good` at first.
    """

    def __init__(self, entries: Mapping[str, Any] | bytes = b"{}") -> None:
        self.files: dict[str, bytes] = {}
        self.write(entries)
        self.good = serve_files(self.files)
        self.server = RawServer(self.good)

    @property
    def url(self) -> str:
        """The site's root URL."""
        return self.server.url

    def write(self, entries: Mapping[str, Any] | bytes) -> None:
        """Replace the index."""
        body = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
        self.files["index.json"] = body

    def spoil(self, answer: Answer, path: str = "index.json") -> None:
        """Answer requests for one path with a script."""
        self.server.answer = self.good.but({path: answer})

    def stall(self, stage: Stage, path: str = "index.json") -> Stall:
        """Let answers for one path stop at a stage."""
        stall = Stall(stage)
        self.spoil(stall, path)
        return stall

    def restore(self) -> None:
        """Answer normally again."""
        self.server.answer = self.good

    def requests(self, path: str = "index.json") -> list[Request]:
        """Return the requests for one path so far."""
        return [request for request in self.server.requests if request.path == f"/{path}"]

    def open(self, **connect: Any) -> StaticStore:
        """Connect a store that polls only on request."""
        return StaticStore(self.url, poll_interval=0).connect(**{"retries": 0, **connect})

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.server.__exit__(*error)


def pollers() -> set[threading.Thread]:
    """Return the polling threads of all stores."""
    return {thread for thread in threading.enumerate() if thread.name == "staticstore-poller"}
