"""The open sockets of a session: their bounds, and the switch that cuts them all.

A socket's own timeout starts anew with every byte, so a host that sends one
byte a second could hold a reader for days.  Therefore every receive passes
`http1.BoundedResponse`, which asks here how long the whole answer may take,
how slow or fast it may be, and whether the store was disconnected meanwhile.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from ... import tuning
from ...errors import IndexFormatError
from ...processes import PerProcess
from .cancellation import shut_down, this_call
from .report import Owners, ReportedRequest

__all__ = [
    "LEAST_BYTES_A_SECOND",
    "Bounds",
    "CurrentRequest",
    "Deadline",
    "DocumentProgress",
    "RateLimit",
    "Receivable",
    "SizeLimit",
    "Wire",
    "address_in",
    "is_inner",
]

#: Bytes a second; many hosts give up a slower reader.
LEAST_BYTES_A_SECOND = 1024

#: Called as ``progress(done, total)``, in bytes; the total may be unknown.
DocumentProgress = Callable[[int, int | None], object]

_LEAST_PIECE_BYTES = 256
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
# Texts compress 50 to 1 at best; zeros in gzip 1000 to 1.
_MOST_RATIO = 500
_SURELY_NO_BOMB_BYTES = 64 << 20  # decoded


class Deadline:
    """The time that documents may take together; the more bytes come, the longer.

    A slow line is not a dead one: each 32 KiB that were received add a second.  Any
    thread may use it.

    Parameters
    ----------
    seconds : float
        The time without what bytes add.
    grows : bool, optional
        Whether bytes add to it.
    """

    def __init__(self, seconds: float, *, grows: bool = True) -> None:
        self._at = time.monotonic() + seconds
        self._grows = grows
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        """The seconds that are left; below 0 once it has passed."""
        return self._at - time.monotonic()

    def note_received(self, count: int) -> None:
        """Add the time of some bytes that were received."""
        if self._grows and count:
            with self._lock:
                self._at += count / tuning.SLOW_LINE_BYTES_A_SECOND

    def within(self, seconds: float) -> Deadline:
        """Return this, or a new one if more than so many seconds are left."""
        return self if self.left <= seconds else Deadline(seconds)


class Bounds(NamedTuple):
    """Bounds on the answer to one request: time, rate and peer; all times in seconds.

    Parameters
    ----------
    silence : float
        The longest time without a byte.  The head of the answer must arrive
        whole within this time.
    deadline : Deadline, optional
        When the whole answer must have arrived.
    min_rate : float, optional
        The least bytes a second of a body, averaged over `silence`; time in
        which the caller does not read is not counted.
    check_peer : callable, optional
        Called with the address at the other end of the connection before
        anything is sent on it; raises if it must not be used.
    """

    silence: float
    deadline: Deadline | None = None
    min_rate: float = 0
    check_peer: Callable[[str], None] | None = None


class SizeLimit(NamedTuple):
    """The most bytes that a document may have, decoded, and the words for an error."""

    most_bytes: int
    #: The name of the document.
    what: str
    #: The argument that the user has set; None for a fixed limit.
    argument: str | None = None

    @property
    def named_size(self) -> int | None:
        """The size of the document as its head says it; None if the user set the limit."""
        return self.most_bytes if self.argument is None else None

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


class CurrentRequest(ReportedRequest):
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
    note_socket : callable or None
        Called with the socket before a request is sent on it.
    """

    bounds: Bounds
    query = ""
    note_socket: Callable[[socket.socket], object] | None = None
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
    owners : Owners
        The stores whose requests these are, for `request_finished`.
    """

    def __init__(self, *, is_cut: bool = False) -> None:
        self.pid = os.getpid()
        self.cut = threading.Event()
        if is_cut:
            self.cut.set()
        self.limits: tuple[RateLimit, ...] = ()
        self.owners = Owners()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        # Reentrant: the garbage collector may interrupt any thread, here too,
        # with a finalizer that closes the wire.
        self._lock = threading.RLock()
        self.current = CurrentRequest()

    def after_fork(self) -> Wire:
        """Return a new wire for a forked child, closed if this one was."""
        own = Wire(is_cut=self.cut.is_set())
        own.owners = self.owners.copy()
        return own

    @property
    def is_cut(self) -> bool:
        """Whether the session was closed, or the call that this thread makes was canceled."""
        return self.cut.is_set() or this_call.cut.is_set()

    def rest(self, seconds: float) -> None:
        """Wait, but no longer than until it `is_cut`."""
        if this_call.cancellation is None:
            self.cut.wait(seconds)
            return
        until = time.monotonic() + seconds
        while not self.is_cut and (left := until - time.monotonic()) > 0:
            this_call.cut.wait(min(left, tuning.CUT_CHECK_SECONDS))

    def add(self, sock: socket.socket) -> None:
        """Add a socket to those that `close` shuts down."""
        with self._lock:
            self._sockets.add(sock)
        if self.cut.is_set():
            shut_down(sock)

    def close(self) -> None:
        """End every current and future read and write; idempotent."""
        if self.pid != os.getpid():
            return
        self.cut.set()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            shut_down(sock)

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


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@functools.lru_cache(maxsize=256)  # called for each request, with the same few addresses
def is_inner(address: str) -> bool:
    """Return whether an address is not public; a host name counts as public.

    Examples
    --------
    >>> [is_inner(a) for a in ("8.8.8.8", "10.0.0.1", "::ffff:127.0.0.1", "data.example.org")]
    [False, True, True, False]
    """
    literal = address_in(address)
    return literal is not None and any(
        not one.is_global or one.is_reserved or (one.version == 6 and one.is_site_local)
        for one in _embedded(ipaddress.ip_address(literal))
    )


def address_in(host: str) -> str | None:
    """Return the address that a host stands for, in any notation; None for a name.

    Examples
    --------
    >>> address_in("0x7f.1"), address_in("localhost"), address_in("data.example.org")
    ('127.0.0.1', '127.0.0.1', None)
    """
    host = unquote(host).rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return "127.0.0.1"
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host))
    with contextlib.suppress(OSError, ValueError):
        return socket.inet_ntoa(socket.inet_aton(host))  # 127.1, 0x7f000001, 0177.0.0.1
    return None


def _embedded(address: _Address) -> Iterator[_Address]:
    # A connection to this address may end at any of those that it embeds.
    if address.version == 4:
        yield address
    elif address in _NAT64:
        yield ipaddress.IPv4Address(address.packed[12:])
    elif address in _LOCAL_NAT64:
        yield from _translated(address.packed)
    else:
        yield address.ipv4_mapped or address.sixtofour or address


def _translated(packed: bytes) -> Iterator[ipaddress.IPv4Address]:
    # The NAT64 may have a prefix of 48 or of 96 bits (RFC 6052, section 2.2); only the
    # network knows.  A reading in 0.0.0.0/8 is impossible, unless both are there.
    readings = [ipaddress.IPv4Address(p) for p in (packed[6:8] + packed[9:11], packed[12:])]
    yield from [one for one in readings if one not in _THIS_NETWORK] or readings
