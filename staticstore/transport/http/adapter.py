"""The adapter that requests sends http and https by, on sockets of a `Wire`."""

from __future__ import annotations

import base64
import contextlib
import queue
import socket
import threading
from collections import deque
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

from requests import PreparedRequest, Request, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidURL
from requests.utils import get_auth_from_url
from urllib3.connection import HTTPConnection, HTTPSConnection

from ... import tuning
from ...errors import InnerAddressError
from ...processes import fork_gate
from ...signals import request_finished
from .cancellation import cut_when_canceled
from .http1 import BoundedResponse
from .report import new_report
from .root import Origin, Origins, origin_of
from .wire import is_inner

if TYPE_CHECKING:
    from .wire import Wire

__all__ = ["BoundedAdapter", "Perimeter"]

_ERROR_BODY_BYTES = 1 << 16  # of a refusal that an authentication scheme may read


class BoundedAdapter(HTTPAdapter):
    """The adapter of requests for http and https, on sockets of a `Wire`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._lock = threading.Lock()
        super().__init__(pool_maxsize=tuning.IDLE_CONNECTIONS)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pools of direct connections, which are bounded ones."""
        super().init_poolmanager(*args, **kwargs)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Return the pools of connections through a proxy, which are bounded ones."""
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
        """Return the target of the request without its query.

        The query may be as good as a password; the connection appends it.
        """
        target, self._wire.current.query = self.target(request, proxies)
        return target

    def target(self, request: PreparedRequest, proxies: Any) -> tuple[str, str]:
        """Return the target of the request, and its query with its question mark."""
        url, mark, query = super().request_url(request, proxies).partition("?")
        return url, mark + query

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the credentials for a proxy, in UTF-8; requests writes Latin-1."""
        user, password = get_auth_from_url(proxy)
        if not user:
            return {}
        encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {encoded}"}

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Send a request; only the first 64 KiB of the body of a refusal can be read.

        Digest authentication reads that body whole, whatever its length.
        """
        wire, current = self._wire, self._wire.current
        if current.report is not None:  # an authentication scheme repeats the request
            current.report.finish()
        current.report = None
        if request_finished.receivers:
            method, url = str(request.method), str(request.url)
            current.report = new_report(current, wire.owners, method, url)
        response = super().send(request, *args, **kwargs)
        if 400 <= response.status_code < 500:
            response.raw = _ShortBody(response.raw)
        if current.report is not None:
            current.report.answered(response.status_code, response.raw)
        return response


def _bounded_pool(pool: type[Any], wire: Wire) -> type[Any]:
    # A subclass of each pool class, since pools for SOCKS proxies have their own.
    plain: type[HTTPConnection] = pool.ConnectionCls
    bounded = type(f"Bounded{plain.__name__}", (_BoundedConnection, plain), {"wire": wire})
    classes = {"ConnectionCls": bounded, "QueueCls": _IdleConnections}
    return type(f"Bounded{pool.__name__}", (pool,), classes)


class _BoundedConnection:
    """A mixin for the connection classes of urllib3."""

    wire: Wire
    sock: socket.socket | None
    _handle: socket.socket | None = None
    _handshake: contextlib.ExitStack
    _peer_address = ""
    _requests_sent = 0

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            # The peer's own address: a second lookup of the name may give another.
            self._peer_address = sock.getpeername()[0]
            self._check_peer()
            # During the handshake only the TLS layer has the socket; a second handle
            # of the same connection lets the wire cut that, too.
            self._handle = sock.dup()
            self.wire.add(self._handle)
            self._handshake.enter_context(cut_when_canceled(self._handle))
        except BaseException:
            sock.close()
            raise
        if isinstance(self, HTTPSConnection):
            self._handshake.enter_context(fork_gate().passing())
        return sock

    def connect(self) -> None:
        self._requests_sent = 0
        try:
            with contextlib.ExitStack() as self._handshake:
                super().connect()  # type: ignore[misc]
        finally:
            if self._handle is not None:
                self._handle.close()
        if self.sock is not None:
            self.wire.add(self.sock)
            self._note_socket()

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:
            # Opened for an earlier request, which perhaps was allowed more addresses.
            self._check_peer()
            self._note_socket()
        self._requests_sent += 1
        super().putrequest(method, url + self.wire.current.query, *args, **kwargs)  # type: ignore[misc]

    def _note_socket(self) -> None:
        note = self.wire.current.note_socket
        if note is not None and self.sock is not None:
            note(self.sock)

    def _check_peer(self) -> None:
        check = self.wire.current.bounds.check_peer
        if check is not None:
            check(self._peer_address)

    def response_class(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> HTTPResponse:
        # In the place of the class attribute that `http.client` calls.
        is_reused = self._requests_sent > 1
        return BoundedResponse(sock, self.wire, debuglevel, method, is_reused=is_reused)


class _ShortBody:
    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._left = _ERROR_BODY_BYTES
        self._is_whole = False

    def read(self, size: int, *, decode_content: bool | None = None) -> bytes:
        if not self._left:
            return b""
        piece: bytes = self._raw.read(min(size, self._left), decode_content=decode_content)
        self._left -= len(piece)
        self._is_whole = not piece and self._left > 0
        return piece

    def tell(self) -> int:
        count: int = self._raw.tell()
        return count

    def release_conn(self) -> None:
        # A connection with unread bytes cannot serve another request.
        if self._is_whole:
            self._raw.release_conn()
        else:
            self._raw.close()

    def close(self) -> None:
        self._raw.close()


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
    origin : Origin, optional
        That of the root; also an attribute.
    """

    def __init__(self, origins: Origins, origin: Origin | None = None) -> None:
        self.origin = origin
        self._named = frozenset[Origin]() if isinstance(origins, str) else _as_sent(origins)
        # Each is only ever set, so that no thread can undo what another has seen.
        self._was_inner = self._was_public = self._has_refused = False

    @property
    def is_in_doubt(self) -> bool:
        """Whether an address was refused without knowing whether the root is public."""
        return self._has_refused and not self._knows_root

    @property
    def _knows_root(self) -> bool:
        return self._was_inner or self._was_public

    def is_named(self, origin: Origin) -> bool:
        """Return whether an origin is among those that the user has named."""
        return origin in self._named

    def check(self, address: str, url: str, is_root: bool, *, is_connected: bool = True) -> None:
        """Refuse a connection from a public root to an inner address.

        Parameters
        ----------
        address : str
            Of the peer; through a proxy, the host in the URL.
        url : str
            The requested URL.
        is_root : bool
            Whether the URL has the root's own origin.
        is_connected : bool, optional
            Whether there is a connection, so that the address tells whether the root is public.

        Raises
        ------
        InnerAddressError
            The address is inner and not allowed.
        """
        inner = is_inner(address)
        if is_root and is_connected:
            if inner:
                self._was_inner = True
            else:
                self._was_public = True
        if not inner or (self._was_inner and not self._was_public):
            return
        if is_root and not self._knows_root:  # the first connection is to be made
            return
        origin = origin_of(url)
        if self.is_named(origin):
            return
        self._has_refused = True
        what = "has become" if is_root else "leads to"
        site = "site in a folder" if self.origin and self.origin.scheme == "file" else "public site"
        raise InnerAddressError(
            f"refused: this {site} {what} the inner address {address}; if that is right, "
            f"add '{origin}' to the store's origins"
        )


def _as_sent(origins: tuple[str, ...]) -> frozenset[Origin]:
    # requests sends hosts in IDNA, not in Unicode.
    sent = set()
    for origin in origins:
        with contextlib.suppress(InvalidURL):  # no request can go there
            sent.add(origin_of(str(Request("GET", origin).prepare().url)))
    return frozenset(sent)
