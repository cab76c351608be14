"""Sockets that can be bounded in time, and cut off by another thread.

A socket's own timeout starts anew with every byte, so a host that sends one
byte each second can hold a reader for days (and header lines, too, are read
byte by byte).  Here every receive passes one place that knows how much time
the whole answer may take, how slow it may be, and whether the store has been
disconnected meanwhile.
"""

from __future__ import annotations

import base64
import contextlib
import io
import os
import queue
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from typing import Any, NamedTuple, cast

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import IncompleteRead

from .fork_gate import fork_gate
from .http1 import HeaderReader, Status
from .rate import RateLimit

__all__ = ["BoundedAdapter", "BoundedResponse", "Bounds", "Wire"]

_BUFFER = 1 << 16  # bytes asked of the kernel at once, where a reader wants fewer
_ERROR_BODY = 1 << 16  # bytes of a 401 that an authentication scheme may want to read


class Bounds(NamedTuple):
    """How long the answer to one request may take, and from where; all times in seconds.

    Parameters
    ----------
    silence : float
        The longest time without a byte.  The head of the answer must arrive
        whole within this time.
    deadline : float, optional
        When the whole answer must have arrived, by `time.monotonic`.
    min_rate : float, optional
        The least bytes a second of a body, averaged over `silence`; time in
        which nobody reads does not count.
    check_peer : callable, optional
        Called with the address at the other end of the connection before
        anything is sent on it; raises if it must not be used.
    """

    silence: float
    deadline: float | None = None
    min_rate: float = 0
    check_peer: Callable[[str], None] | None = None


class Wire:
    """The open sockets of a session, and the switch that cuts them all.

    It belongs to the process that made it: in a forked child nothing is read from its
    sockets, for the parent would miss those bytes, and none is shut down.

    Parameters
    ----------
    is_cut : bool, optional
        Whether it is closed from the start.

    Attributes
    ----------
    cut : threading.Event
        Set once, when the session is closed; whoever waits, waits on it.
    limits : tuple of RateLimit
        What holds for all that is received, at present.
    """

    def __init__(self, *, is_cut: bool = False) -> None:
        self._pid = os.getpid()
        self.cut = threading.Event()
        if is_cut:
            self.cut.set()
        self.limits: tuple[RateLimit, ...] = ()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        # Reentrant, since a finalizer may close the wire in whichever thread
        # the garbage collector interrupts, here too.
        self._lock = threading.RLock()
        self._current = threading.local()

    @property
    def is_inherited(self) -> bool:
        """Whether it belongs to a process from which this one was forked."""
        return self._pid != os.getpid()

    def after_fork(self) -> Wire:
        """Return one for a child, which is closed if this one was."""
        return Wire(is_cut=self.cut.is_set())

    def add(self, sock: socket.socket) -> None:
        """Watch over one more socket."""
        with self._lock:
            self._sockets.add(sock)
        if self.cut.is_set():
            _shut_down(sock)

    def close(self) -> None:
        """End every read and write that goes on, and every one to come; idempotent."""
        if self.is_inherited:
            return
        self.cut.set()
        with self._lock:
            sockets = list(self._sockets)
        for sock in sockets:
            _shut_down(sock)

    @contextlib.contextmanager
    def limited(self, rate: float) -> Iterator[RateLimit]:
        """Let all that is received in the block, by any thread, be no faster than a rate."""
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
        """Let the bounds hold for the answers to what this thread requests in the block."""
        self._current.bounds = bounds
        try:
            yield
        finally:
            del self._current.bounds

    @contextlib.contextmanager
    def allowing(self, count: int) -> Iterator[None]:
        """Let this thread receive so many bytes in the block, and no more.

        A host can send much that comes to nothing: trailers, empty pieces of a
        coding.
        """
        self._current.allowance = count
        try:
            yield
        finally:
            self._current.allowance = None

    def spend(self, count: int) -> None:
        """Note bytes that this thread has received."""
        allowance = getattr(self._current, "allowance", None)
        if allowance is None:
            return
        self._current.allowance = allowance - count
        if allowance < count:
            raise HTTPException("the host sends much that comes to nothing")

    def note_answer(self, answer: BoundedResponse) -> None:
        """Note the answer to this thread's request, whose body can be received into a buffer."""
        self._current.answer = answer

    def take_answer(self) -> BoundedResponse | None:
        """Give the last answer that was noted, once; None where it did not come by a socket."""
        answer: BoundedResponse | None = getattr(self._current, "answer", None)
        self._current.answer = None
        return answer

    def keep_query(self, query: str) -> None:
        """Keep the query of this thread's request from urllib3, which logs and quotes URLs."""
        self._current.query = query

    def take_query(self) -> str:
        """Give the query that was kept back, once, with its question mark; or nothing."""
        query: str = getattr(self._current, "query", "")
        self._current.query = ""
        return query

    @property
    def bounds(self) -> Bounds:
        """The bounds of this thread's current request."""
        return cast(Bounds, self._current.bounds)


def _shut_down(sock: socket.socket) -> None:
    """Wake whoever reads from the socket.

    Of a TLS socket the plain one beneath is shut down, without a word to the
    TLS layer: `SSLSocket.shutdown` would drop that layer under the reader,
    who might then take ciphertext for data.
    """
    with contextlib.suppress(OSError):  # not connected yet, or no longer
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _BoundedReads(io.RawIOBase):
    """What a socket gives, within bounds."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, wire: Wire, bounds: Bounds) -> None:
        self._sock = sock
        self._raw = raw
        self._wire = wire
        self._bounds = bounds
        self._head_deadline: float | None = time.monotonic() + bounds.silence
        self._waited = 0.0
        self._received = 0
        # Seconds in which we ourselves did not want to receive; no bound counts them.
        self._rested = 0.0

    def head_is_read(self) -> None:
        """Begin to hold the body to its own bounds."""
        self._head_deadline = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        limits = self._wire.limits
        for limit in limits:
            buffer = memoryview(buffer)[: limit.piece]
        began = time.monotonic()
        self._check_cut()
        self._sock.settimeout(self._patience(began))
        count = self._raw.readinto(buffer)
        if self._wire.cut.is_set():
            raise ConnectionAbortedError("disconnected")
        self._wire.spend(count or 0)
        self._check_rate(count or 0, time.monotonic() - began)
        for limit in limits:
            self._rested += limit.spend(count or 0)
        return count

    def readall(self) -> bytes:
        """Refuse: http.client asks for it where a host sends a chunk of -1 bytes."""
        raise HTTPException("a read without a bound")

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()

    def _check_cut(self) -> None:
        if self._wire.is_inherited:
            raise ConnectionAbortedError("the connection belongs to another process")
        if self._wire.cut.is_set():
            raise ConnectionAbortedError("disconnected")

    def _patience(self, now: float) -> float:
        """Return how long the next byte may take."""
        deadlines = [d for d in (self._head_deadline, self._bounds.deadline) if d is not None]
        left = (deadline + self._rested - now for deadline in deadlines)
        patience = min([self._bounds.silence, *left])
        if patience <= 0:
            raise TimeoutError("the answer took too long")
        return patience

    def _check_rate(self, count: int, seconds: float) -> None:
        if self._head_deadline is not None:
            return
        self._received += count
        self._waited += seconds
        if self._waited < self._bounds.silence:
            return
        if self._received < self._bounds.min_rate * self._waited:
            raise TimeoutError(
                f"slower than {self._bounds.min_rate} bytes a second for {self._waited:.0f} s"
            )
        self._received, self._waited = 0, 0.0


class BoundedResponse(HTTPResponse):
    """An `http.client` response that reads within bounds."""

    def __init__(
        self,
        sock: socket.socket,
        wire: Wire,
        debuglevel: int,
        method: str | None,
        *,
        is_reused: bool = False,
    ) -> None:
        self._sock = sock
        self._wire = wire
        # HTTPResponse asks of a socket nothing but `makefile`, and gets it from here.
        super().__init__(cast(socket.socket, self), debuglevel, method=method)
        self._header = HeaderReader(self.fp, is_reused=is_reused)
        self._request_method = method

    def makefile(self, mode: str) -> io.BufferedReader:
        """Give what the answer is read from."""
        # Unbuffered: a SocketIO, which keeps the socket open as long as it lives.
        raw = cast(io.RawIOBase, self._sock.makefile("rb", buffering=0))
        self._reads = _BoundedReads(self._sock, raw, self._wire, self._wire.bounds)
        return io.BufferedReader(self._reads, _BUFFER)

    def begin(self) -> None:
        """Receive the head; from then on the body has its own bounds."""
        status = self._read_status()
        self.code = self.status = status.code
        self.reason = status.reason
        self.version = 10 if status.version in ("HTTP/1", "HTTP/1.0") else 11
        self.headers = self.msg = self._header.fields(status.code, self._request_method)
        self.chunked = "Transfer-Encoding" in self.headers
        self.chunk_left = None
        self.length = self._body_length(status.code)
        # A body of no known length ends with the connection.
        self.will_close = self._closes() or (self.length is None and not self.chunked)
        self._reads.head_is_read()
        self._promised = self.length or 0
        self._wire.note_answer(self)

    def _read_status(self) -> Status:
        """Read a status line; called by http.client for the answer of a proxy to CONNECT."""
        return self._header.status()

    def _closes(self) -> bool:
        """Return whether the connection ends after the body (RFC 9112, section 9.3)."""
        said = ", ".join(self.headers.get_all("Connection", [])).lower()
        return "close" in said or (self.version == 10 and "keep-alive" not in said)

    def _body_length(self, status: int) -> int | None:
        """Return the bytes of the body, if the head says so (RFC 9112, section 6.3)."""
        if status in (204, 304) or status < 200 or self._request_method == "HEAD":
            return 0
        length = self.headers.get("Content-Length")
        return None if length is None else int(length)

    def receive_into(self, buffer: memoryview) -> int:
        """Receive bytes of a body that is not chunked, as they come; 0 at its end.

        As `readinto`, but what came before the connection broke is not lost.
        """
        if self.fp is None:
            return 0
        if self.length is not None:
            buffer = buffer[: self.length]
        count = self.fp.readinto1(buffer) if len(buffer) else 0
        missing = self.length = None if self.length is None else self.length - count
        if not count or missing == 0:
            self.close()
        if not count and missing:
            raise IncompleteRead(self._promised - missing, missing)
        return count


class _BoundedConnection:
    """Mixed into a connection class of urllib3."""

    wire: Wire
    sock: socket.socket | None
    _handle: socket.socket | None = None
    _handshake: contextlib.ExitStack
    _peer = ""  # its address
    _requests = 0  # sent on it

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            # Not what a resolver says, which may say something else each time.
            self._peer = sock.getpeername()[0]
            self._check_peer()
        except BaseException:
            sock.close()
            raise
        # TLS takes the socket over, and nobody has it during the handshake: a
        # second handle of the same connection can cut that, too.
        self._handle = sock.dup()
        self.wire.add(self._handle)
        if isinstance(self, HTTPSConnection):
            self._handshake.enter_context(fork_gate().passing())
        return sock

    def connect(self) -> None:
        self._requests = 0
        try:
            with contextlib.ExitStack() as self._handshake:
                super().connect()  # type: ignore[misc]
        finally:
            if self._handle is not None:
                self._handle.close()
        if self.sock is not None:
            self.wire.add(self.sock)

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        """Begin to send a request, with the query that was kept back."""
        if self.sock is not None:
            # Used before, perhaps when more was allowed.
            self._check_peer()
        self._requests += 1
        super().putrequest(method, url + self.wire.take_query(), *args, **kwargs)  # type: ignore[misc]

    def _check_peer(self) -> None:
        check = self.wire.bounds.check_peer
        if check is not None:
            check(self._peer)

    def response_class(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> HTTPResponse:
        """Stand in for the class of that name; http.client calls it to read an answer."""
        return BoundedResponse(sock, self.wire, debuglevel, method, is_reused=self._requests > 1)


class BoundedAdapter(HTTPAdapter):
    """The adapter of requests for http and https, on sockets of a `Wire`."""

    def __init__(self, wire: Wire, *, connections: int = 32) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        super().__init__(pool_maxsize=connections)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Let the pools of direct connections make bounded ones."""
        super().init_poolmanager(*args, **kwargs)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Let the pools of connections through a proxy make bounded ones."""
        with self._lock:
            known = proxy in self.proxy_manager
            manager = super().proxy_manager_for(proxy, **kwargs)
            if not known:
                self._bind(manager)
            return manager

    def _bind(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {
            scheme: _bounded_pool(pool, self._wire)
            for scheme, pool in manager.pool_classes_by_scheme.items()
        }

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """Return what to ask for, its query kept back: it may be as good as a password."""
        url, mark, query = super().request_url(request, proxies).partition("?")
        self._wire.keep_query(mark + query)
        return url

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the credentials for a proxy, in UTF-8 where requests writes Latin-1."""
        user, password = get_auth_from_url(proxy)
        if not user:
            return {}
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {encoded}"}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request; of the body of a refusal no more than 64 KiB can be read.

        Digest authentication reads that body whole, whatever its length.
        """
        response = super().send(request, *args, **kwargs)
        if 400 <= response.status_code < 500:
            response.raw = _ShortBody(response.raw)
        return response


class _ShortBody:
    """The beginning of a body, for requests to read, and its connection."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._left = _ERROR_BODY
        self._is_whole = False

    def read(self, size: int, *, decode_content: bool | None = None) -> bytes:
        if not self._left:
            return b""
        piece: bytes = self._raw.read(min(size, self._left), decode_content=decode_content)
        self._left -= len(piece)
        self._is_whole = not piece and self._left > 0
        return piece

    def release_conn(self) -> None:
        """Give the connection back, unless something is left in it."""
        if self._is_whole:
            self._raw.release_conn()
        else:
            self._raw.close()

    def close(self) -> None:
        self._raw.close()


def _bounded_pool(pool: type[Any], wire: Wire) -> type[Any]:
    """Return the pool class with connections that are bounded, of whatever kind they were."""
    plain: type[HTTPConnection] = pool.ConnectionCls
    bounded = type(f"Bounded{plain.__name__}", (_BoundedConnection, plain), {"wire": wire})
    classes = {"ConnectionCls": bounded, "QueueCls": _IdleConnections}
    return type(f"Bounded{pool.__name__}", (pool,), classes)


class _IdleConnections:
    """The part of `queue.LifoQueue` that a pool of urllib3 uses, without its lock.

    The finalizer of a pool empties it, in a forked child too, where that lock would
    never be released if another thread held it at the fork.
    """

    def __init__(self, maxsize: int) -> None:
        self._maxsize = maxsize
        self._items: deque[Any] = deque()

    def get(self, block: bool = False, timeout: float | None = None) -> Any:
        try:
            return self._items.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, item: Any, block: bool = False, timeout: float | None = None) -> None:
        if len(self._items) >= self._maxsize:
            raise queue.Full
        self._items.append(item)

    def qsize(self) -> int:
        return len(self._items)
