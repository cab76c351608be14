"""Many answers at once, as fast as can be, from a host that does what it should.

What goes the least bit wrong here is only left out: whoever asked goes the
careful way for it, `Session.request`, which follows redirects, tries again,
and says what was wrong.  So there is one place for all of that, and this one
has nothing to do but to be quick.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from ..errors import NotConnectedError, StoreError
from .failures import mapped
from .response import parse_content_range
from .sockets import Bounds

if TYPE_CHECKING:
    from .session import Lane, Session

__all__ = ["Got", "Wanted", "fetch_all"]

# More threads take longer: they wait for the interpreter, and for each other.
_THREADS = 4


class Wanted(NamedTuple):
    """A request: the whole of something, or a part of it."""

    #: Quoted path below the root.
    url_path: str
    #: Bytes that the answer must have.
    size: int
    #: Where the part begins; None for the whole.
    start: int | None = None
    #: Bytes of the whole, of which this is a part, if that is known.
    total: int | None = None

    @property
    def range(self) -> str:
        """The value of the Range field (RFC 9110, section 14.2)."""
        assert self.start is not None, "a part is wanted"
        return f"bytes={self.start}-{self.start + self.size - 1}"


class Got(NamedTuple):
    """An answer that is just what was wanted."""

    body: bytes
    etag: str | None


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
    lane = session.lane()
    if lane is None:
        return [None] * len(wanted)
    return _engine()(lane, wanted)


@cache
def _engine() -> Callable[[Lane, Sequence[Wanted]], list[Got | None]]:
    """Return the fastest way that is installed."""
    if importlib.util.find_spec("pycurl") is None:
        return _by_threads
    from .curl import by_curl

    return by_curl


def _by_threads(lane: Lane, wanted: Sequence[Wanted]) -> list[Got | None]:
    """Let a few threads share connections of urllib3."""
    got: list[Got | None] = [None] * len(wanted)
    numbered = iter(list(enumerate(wanted)))  # a list's iterator can be shared

    def work() -> None:
        for number, one in numbered:
            got[number] = _fetched(lane, one)

    count = min(_THREADS, len(wanted))
    with ThreadPoolExecutor(max(count, 1)) as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()
    return got


def _fetched(lane: Lane, wanted: Wanted) -> Got | None:
    url_path = lane.prefix + wanted.url_path
    headers = lane.headers if wanted.start is None else {**lane.headers, "Range": wanted.range}
    bounds = Bounds(lane.silence, None, lane.min_rate)
    try:
        with mapped(lane.wire, key=None, url=None), lane.wire.bounded(bounds):
            path, mark, query = url_path.partition("?")
            lane.wire.keep_query(mark + query + lane.query(mark))
            response = lane.pool.urlopen(
                "GET",
                path,
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=lane.timeout,
            )
            try:
                body = response.read(wanted.size + 1, decode_content=False)
                whole = body if len(body) != wanted.size else body + response.read(1)
            finally:
                response.release_conn() if response._fp is None else response.close()
    except NotConnectedError:
        raise
    except StoreError:
        return None
    return None
