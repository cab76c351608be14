"""The open sockets of a session: their bounds, and the switch that cuts them all.

A socket's own timeout starts anew with every byte, so a host that sends one
byte a second could hold a reader for days.  Therefore every receive passes
`http1.BoundedResponse`, which asks here how long the whole answer may take,
how slow or fast it may be, and whether the store was disconnected meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from ... import tuning
from ...errors import IndexFormatError
from ...processes import PerProcess

__all__ = [
    "LEAST_BYTES_A_SECOND",
    "Bounds",
    "CurrentRequest",
    "RateLimit",
    "Receivable",
    "SizeLimit",
    "Wire",
]

#: Bytes a second; many hosts give up a slower reader.
LEAST_BYTES_A_SECOND = 1024

_LEAST_PIECE_BYTES = 256
# Texts compress 50 to 1 at best; zeros in gzip 1000 to 1.
_MOST_RATIO = 500
_SURELY_NO_BOMB_BYTES = 64 << 20  # decoded


class Bounds(NamedTuple):
    """Bounds on the answer to one request: time, rate and peer; all times in seconds.

    Parameters
    ----------
    silence : float
        The longest time without a byte.  The head of the answer must arrive
        whole within this time.
    deadline : float, optional
        When the whole answer must have arrived, by `time.monotonic`.
    min_rate : float, optional
        The least bytes a second of a body, averaged over `silence`; time in
        which the caller does not read is not counted.
    check_peer : callable, optional
        Called with the address at the other end of the connection before
        anything is sent on it; raises if it must not be used.
    """

    silence: float
    deadline: float | None = None
    min_rate: float = 0
    check_peer: Callable[[str], None] | None = None


class SizeLimit(NamedTuple):
    """The most bytes that a document may have, decoded, and the words for an error."""

    most_bytes: int
    #: The name of the document.
    what: str
    #: The argument that the user has set; None for a fixed limit.
    argument: str | None = None

    def check(self, count: int, url: str) -> None:
        """Raise `IndexFormatError` if there are more bytes."""
        if count > self.most_bytes:
            bound = (
                f"{self.argument}={self.most_bytes}"
                if self.argument
                else f"{self.most_bytes} bytes"
            )
            raise IndexFormatError(f"{self.what} is larger than {bound}", url=url)

    def check_ratio(self, count: int, received: int, url: str) -> None:
        """Raise `IndexFormatError` if `count` bytes were decoded from too few."""
        if count > _SURELY_NO_BOMB_BYTES and count > _MOST_RATIO * received:
            raise IndexFormatError(
                f"{self.what} is refused: it is compressed more than {_MOST_RATIO} to 1", url=url
            )


class Receivable(Protocol):
    """An answer whose body can be received into a buffer: `http1.BoundedResponse`."""

    chunked: bool

    def receive_into(self, buffer: memoryview) -> int:
        """Receive bytes of the body as they arrive; 0 at its end."""
        ...

    def isclosed(self) -> bool:
        """Return whether the body has been read to its end."""
        ...


class RateLimit:
    """A limit on how fast bytes arrive, for all requests of a session together.

    Unused rate is not saved: after an idle period it is no faster than before.
    Any thread may use it.

    Parameters
    ----------
    rate : float
        Bytes a second, at most.
    wait : callable
        Waits the given number of seconds, or less if the bytes are no longer wanted.
    clock : callable, optional
        Returns seconds; for tests.

    Attributes
    ----------
    piece : int
        How many bytes to receive at once, at most.
    requests : int
        How many concurrent requests are worthwhile.

    Examples
    --------
    >>> limit = RateLimit(1000, wait=print, clock=lambda: 0.0)
    >>> for count in (500, 500, 0):
    ...     _ = limit.spend(count)
    0.5
    1.0
    """

    def __init__(
        self,
        rate: float,
        wait: Callable[[float], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self.piece = max(int(rate / tuning.RECEIVES_A_SECOND), _LEAST_PIECE_BYTES)
        self.requests = max(int(rate / tuning.CONNECTION_BYTES_A_SECOND), 1)
        self._wait = wait
        self._clock = clock
        self._lock = PerProcess(threading.Lock)
        self._free_at = clock()

    def spend(self, count: int) -> float:
        """Wait as long as `count` bytes take at this rate; return the seconds."""
        if not count:
            return 0.0
        with self._lock.get():
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self.rate
            seconds = self._free_at - now
        self._wait(seconds)
        return seconds


class CurrentRequest(threading.local):
    """A thread's request: what its sender and its connection have to know of each other.

    requests and urllib3 stand between them, and pass none of it on.

    Attributes
    ----------
    bounds : Bounds
        On the answer.
    query : str
        What to append to the request target, with its question mark.  urllib3 logs URLs
        and quotes them in errors, so it must not see a query.
    answer : Receivable or None
        The answer; None if it is not read from a socket.
    allowance : int or None
        How many bytes may still be received; None for any number.  A host can send many
        bytes that yield no data: trailers, empty pieces of a content coding.
    """

    bounds: Bounds
    query = ""
    answer: Receivable | None = None
    allowance: int | None = None


class Wire:
    """The open sockets of a session, and the switch that cuts them all.

    It belongs to the process that made it.  A forked child neither reads from
    these sockets, since the parent would miss the bytes, nor shuts them down.
    Any thread may use it.

    Parameters
    ----------
    is_cut : bool, optional
        Whether it is closed from the start.

    Attributes
    ----------
    pid : int
        The process that it belongs to.
    cut : threading.Event
        Set once, when the session is closed; every wait is a wait on it.
    current : CurrentRequest
        The request of the thread that asks.
    limits : tuple of RateLimit
        The limits on all that is received, at present.
    """

    def __init__(self, *, is_cut: bool = False) -> None:
        self.pid = os.getpid()
        self.cut = threading.Event()
        if is_cut:
            self.cut.set()
        self.limits: tuple[RateLimit, ...] = ()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        # Reentrant: the garbage collector may interrupt any thread, here too,
        # with a finalizer that closes the wire.
        self._lock = threading.RLock()
        self.current = CurrentRequest()

    def after_fork(self) -> Wire:
        """Return a new wire for a forked child, closed if this one was."""
        return Wire(is_cut=self.cut.is_set())

    def add(self, sock: socket.socket) -> None:
        """Add a socket to those that `close` shuts down."""
        with self._lock:
            self._sockets.add(sock)
        if self.cut.is_set():
            _shut_down(sock)

    def close(self) -> None:
        """End every current and future read and write; idempotent."""
        if self.pid != os.getpid():
            return
        self.cut.set()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            _shut_down(sock)

    @contextlib.contextmanager
    def limited(self, rate: float) -> Iterator[RateLimit]:
        """Limit all that any thread receives in the block to `rate` bytes a second."""
        limit = RateLimit(rate, self.cut.wait)
        with self._lock:
            self.limits = (*self.limits, limit)
        try:
            yield limit
        finally:
            with self._lock:
                self.limits = tuple(other for other in self.limits if other is not limit)


def _shut_down(sock: socket.socket) -> None:
    # Not `SSLSocket.shutdown`: it would drop the TLS layer under a thread that
    # reads, which might then take ciphertext for data.
    with contextlib.suppress(OSError):  # not connected yet, or no longer
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
