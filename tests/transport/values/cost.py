"""The cost of reading a value through `open`, in requests and bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from staticstore import StaticStore
from tests.servers import RawServer, Request, Wire
from tests.sites import index_of

__all__ = ["Cost", "Read", "Start", "cost_of", "requested_parts"]

Start = Callable[..., RawServer]
Read = Callable[[Any], object]


class Cost(NamedTuple):
    """The requests that the server received for the one value."""

    requests: int
    bytes: int


def cost_of(start: Start, value: bytes, read: Read) -> Cost:
    """Read a value through `open`, and return the requests that the server received."""
    parts = requested_parts(start, value, read)
    return Cost(len(parts), sum(end - start for start, end in parts))


def requested_parts(start: Start, value: bytes, read: Read) -> list[tuple[int, int]]:
    """Read a value through `open`, and return the parts that were requested."""

    def answer(request: Request, wire: Wire) -> None:
        if request.path != "/data/a":
            wire.response(200, index_of({"a": value}))
            return
        first, last, _ = slice(*(request.range or (0, None))).indices(len(value))
        fields = {"ETag": '"1"', "Content-Range": f"bytes {first}-{last - 1}/{len(value)}"}
        wire.response(206 if request.range else 200, value[first:last], fields)

    server = start(answer)
    with StaticStore(server.url, poll_interval=0) as store, store["a"].open() as file:
        read(file)
    asked = [one.range or (0, None) for one in server.requests if one.path == "/data/a"]
    return [(first, min(last or len(value), len(value))) for first, last in asked]
