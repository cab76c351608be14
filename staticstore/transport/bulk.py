"""Many answers at once, as fast as can be, from a host that does what it should.

What goes the least bit wrong here is only left out: whoever asked goes the
careful way for it, `Session.request`, which follows redirects, tries again,
and says what was wrong.  So there is one place for all of that, and this one
has nothing to do but to be quick.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Protocol

from urllib3 import Timeout

from ..errors import NotConnectedError, StoreError, TransportTimeout
from .failures import mapped
from .response import allowance
from .wanted import Got, Wanted, believed
from .wire import Bounds

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .lane import Lane
    from .session import Session

__all__ = ["Engine", "engine", "fetch_all"]

# Of a host that is near, one thread has the most: several wait for the interpreter.
# A host that is far away is what they wait for; each answer from there brings one more.
_MOST_THREADS = 24
_FAR = 2e-3  # seconds that an answer takes, from there
# A body of so many bytes takes that long anyway, and the host may limit each connection.
_LONG = 1 << 17  # bytes
_FEW = 4


class Engine(Protocol):
    """What sends many requests: see `fetch_all`."""

    def __call__(self, lane: Lane, wanted: Sequence[Wanted]) -> list[Got | None]:
        """Send the requests."""


def fetch_all(session: Session, wanted: Sequence[Wanted]) -> list[Got | None]:
    """Send many requests, some at once, and return the answers in the same order.

    Parameters
    ----------
    session : Session
        The way to the site.
    wanted : sequence of Wanted
        What to ask for; all answers are in memory together.

    Returns
    -------
    list of Got or None
        None where an answer is not 200 with just the size that is wanted, or
        206 with just the part; or where a request failed, for whatever reason.

    Raises
    ------
    NotConnectedError
        The store was disconnected.
    """
    lane = session.template()
    is_refused = not session.takes_ranges and any(one.start is not None for one in wanted)
    if lane is None or is_refused or not wanted:
        return [None] * len(wanted)
    # A few are sooner there on a connection that is open already; and what is to be slow
    # goes where each byte is counted as it is received.
    if len(wanted) <= _FEW or lane.wire.limits:
        return by_threads(lane, wanted)
    return engine()(lane, wanted)


@cache
def engine() -> Engine:
    """Return the fastest way that is installed."""
    try:
        from .curl import by_curl
    except ImportError:
        return by_threads
    return by_curl


def by_threads(lane: Lane, wanted: Sequence[Wanted]) -> list[Got | None]:
    """Let threads share the connections of a pool of urllib3."""
    if len(wanted) == 1:
        with contextlib.suppress(TransportTimeout):
            return [_fetched(lane, wanted[0])]
        return [None]
    from .daemons import Workers

    got: list[Got | None] = [None] * len(wanted)
    numbered = iter(list(enumerate(wanted)))  # the iterator of a list can be shared
    workers: queue.SimpleQueue[Future[None]] = queue.SimpleQueue()

    def add_worker() -> None:
        if next(others, None):
            workers.put(pool.submit(work))

    def work() -> None:
        for number, one in numbered:
            began = time.monotonic()
            if one.size >= _LONG:
                add_worker()
            try:
                got[number] = _fetched(lane, one)
            except TransportTimeout:
                list(numbered)  # not once more for each of those that are left
            if time.monotonic() - began > _FAR:
                add_worker()

    most = min(_MOST_THREADS, len(wanted), *(limit.requests for limit in lane.wire.limits))
    others = iter(range(1, most))
    with Workers(most, "staticstore fetch") as pool:
        workers.put(pool.submit(work))
        while not workers.empty():
            workers.get().result()
    return got


def _fetched(lane: Lane, wanted: Wanted) -> Got | None:
    headers = dict(lane.headers)
    if wanted.start is not None:
        headers["Range"] = f"bytes={wanted.range}"
    bounds = Bounds(lane.timeout[1], None, lane.min_rate, lane.check_peer)
    try:
        with mapped(lane.wire, key=None, url=None), lane.wire.bounded(bounds):
            lane.wire.keep_query(lane.query)
            response = lane.pool.urlopen(
                "GET",
                lane.prefix + wanted.url_path,
                headers=headers,
                redirect=False,
                assert_same_host=False,  # a proxy is asked by whole URLs
                retries=False,
                preload_content=False,
                timeout=Timeout(*lane.timeout),
            )
            # One that was read to its end has given its connection back.
            with contextlib.closing(response), lane.wire.allowing(allowance(wanted.size)):
                if wanted.start is not None and response.status == 200:
                    return None  # the whole, of which the beginning is no use
                body = response.read(wanted.size + 1, decode_content=False)
    except (NotConnectedError, TransportTimeout):
        raise
    except StoreError:
        return None
    return believed(wanted, response.status, response.headers, body)
