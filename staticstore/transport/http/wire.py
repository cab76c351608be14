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
from typing import Protocol, cast
from urllib.parse import unquote

import requests

from ... import tuning
from ...errors import InnerAddressError
from ...processes import PerProcess
from .bounds import Bounds
from .root import Origin, Origins, origin_of

__all__ = [
    "LEAST_BYTES_A_SECOND",
    "Perimeter",
    "RateLimit",
    "Receivable",
    "Wire",
    "address_in",
    "is_inner",
]

#: Bytes a second; many hosts give up a slower reader.
LEAST_BYTES_A_SECOND = 1024

_LEAST_PIECE_BYTES = 256
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")


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
    cut : threading.Event
        Set once, when the session is closed; every wait is a wait on it.
    limits : tuple of RateLimit
        The limits on all that is received, at present.
    """

    def __init__(self, *, is_cut: bool = False) -> None:
        self._pid = os.getpid()
        self.cut = threading.Event()
        if is_cut:
            self.cut.set()
        self.limits: tuple[RateLimit, ...] = ()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        # Reentrant: the garbage collector may interrupt any thread, here too,
        # with a finalizer that closes the wire.
        self._lock = threading.RLock()
        self._current = threading.local()

    @property
    def is_inherited(self) -> bool:
        """Whether it belongs to a process from which this one was forked."""
        return self._pid != os.getpid()

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
        if self.is_inherited:
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

    @contextlib.contextmanager
    def bounded(self, bounds: Bounds) -> Iterator[None]:
        """Apply `bounds` to the answers to this thread's requests in the block."""
        self._current.bounds = bounds
        try:
            yield
        finally:
            del self._current.bounds

    @property
    def bounds(self) -> Bounds:
        """The bounds of this thread's current request."""
        return cast(Bounds, self._current.bounds)

    @contextlib.contextmanager
    def allowing(self, count: int) -> Iterator[None]:
        """Let this thread receive at most `count` bytes in the block.

        A host can send many bytes that yield no data: trailers, empty pieces
        of a content coding.
        """
        self._current.allowance = count
        try:
            yield
        finally:
            self._current.allowance = None

    def spend(self, count: int) -> bool:
        """Count bytes that this thread received; return whether they were allowed."""
        allowance: int | None = getattr(self._current, "allowance", None)
        if allowance is None:
            return True
        self._current.allowance = allowance - count
        return count <= allowance

    def note_answer(self, answer: Receivable) -> None:
        """Keep the answer to this thread's request for `take_answer`."""
        self._current.answer = answer

    def take_answer(self) -> Receivable | None:
        """Return the answer noted last, once; None if it was not read from a socket."""
        answer: Receivable | None = getattr(self._current, "answer", None)
        self._current.answer = None
        return answer

    def keep_query(self, query: str) -> None:
        """Keep the query of this thread's request for `take_query`.

        urllib3 logs URLs and quotes them in errors, so it must not see a query.
        """
        self._current.query = query

    def take_query(self) -> str:
        """Return the query that was kept, once, with its question mark; or an empty str."""
        query: str = getattr(self._current, "query", "")
        self._current.query = ""
        return query


def _shut_down(sock: socket.socket) -> None:
    # Not `SSLSocket.shutdown`: it would drop the TLS layer under a thread that
    # reads, which might then take ciphertext for data.
    with contextlib.suppress(OSError):  # not connected yet, or no longer
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Perimeter:
    """The check of the addresses that one session connects to.

    A root is public as soon as a connection to it had a public address, and
    never becomes inner again.  So a host whose name later gets another address
    (DNS rebinding) is refused, while a root that was inner from the start may
    lead anywhere.  Any thread may use it.

    Parameters
    ----------
    origins : "own", "any" or sequence of str
        As in `StaticStore`; those that are named may have inner addresses.
    """

    def __init__(self, origins: Origins) -> None:
        self._named = frozenset[Origin]() if isinstance(origins, str) else _as_sent(origins)
        # Each is only ever set, so that no thread can undo what another has seen.
        self._was_inner = self._was_public = False

    def check(self, address: str, url: str, is_root: bool) -> None:
        """Refuse a connection from a public root to an inner address.

        Parameters
        ----------
        address : str
            Of the peer; through a proxy, the host in the URL.
        url : str
            The requested URL.
        is_root : bool
            Whether the URL has the root's own origin.

        Raises
        ------
        InnerAddressError
            The address is inner and not allowed.
        """
        inner = is_inner(address)
        if is_root and inner:
            self._was_inner = True
        elif is_root:
            self._was_public = True
        if not inner or (self._was_inner and not self._was_public):
            return
        origin = origin_of(url)
        if origin in self._named:
            return
        what = "has become" if is_root else "leads to"
        raise InnerAddressError(
            f"refused: this public site {what} the inner address {address}; if that is right, "
            f"add '{origin}' to the store's origins"
        )


def _as_sent(origins: tuple[str, ...]) -> frozenset[Origin]:

    # requests sends hosts in IDNA, not in Unicode.
    sent = set()
    for origin in origins:
        with contextlib.suppress(requests.exceptions.InvalidURL):  # no request can go there
            sent.add(origin_of(str(requests.Request("GET", origin).prepare().url)))
    return frozenset(sent)


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
