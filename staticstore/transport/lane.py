"""What many requests to one site share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .root import Root
from .wire import Wire

__all__ = ["Lane"]


class Lane(NamedTuple):
    """What all requests to the root's own origin have in common, for who sends many at once."""

    root: Root
    wire: Wire
    #: With credentials.
    headers: Mapping[str, str]
    #: URL, with credentials.
    proxy: str | None
    verify: bool | str
    cert: str | tuple[str, str] | None
    #: To connect, and of silence, in seconds.
    timeout: tuple[float, float]
    min_rate: float
    #: As in `Bounds`; None through a proxy.
    check_peer: Callable[[str], None] | None
    #: The connections that all others use, too.
    pool: Any
    #: What stands before the path below the root in the target of a request.
    prefix: str
    #: What follows it.
    query: str
