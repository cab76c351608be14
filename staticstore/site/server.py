"""A site on the network, to look at it or to share it in a room: ``serve``."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import StoreError, quoted
from .folder import reason_of

if TYPE_CHECKING:
    from .connections import Listener

__all__ = ["SiteServer", "serve"]

_LOG = logging.getLogger("staticstore.site")
_POLL = 0.05  # seconds between two looks at whether to end
_PATIENCE = 1.0  # seconds that connections get to end
_EVERYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class SiteServer:
    """A site being served, from `serve` on until `close`.

    Its methods may be called by any thread.  In a ``with`` block it is closed
    at the end.

    Attributes
    ----------
    url : str
        The site's root, with a slash at its end.  It is of this machine, if
        the server listens everywhere.
    port : int
        The TCP port.
    """

    url: str
    port: int

    def __init__(self, listener: Listener) -> None:
        """Take a listener, and serve with it; `serve` makes both."""
        self._listener = listener
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self.port = listener.port
        host = _EVERYWHERE.get(listener.host, listener.host)
        shown = f"[{quote(host, safe=':')}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/"
        self._thread = threading.Thread(
            target=listener.serve_forever, args=(_POLL,), name="staticstore-serve", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving, end all connections and give the port back; the second time nothing.

        Takes about a tenth of a second, and at most a little more than one.
        """
        with self._closing:
            if self._closed.is_set():
                return
            self._listener.shutdown()
            self._thread.join()
            self._listener.disconnect(_PATIENCE)
            self._closed.set()

    def wait(self) -> None:
        """Wait until the server is closed; a KeyboardInterrupt closes it, and is not raised."""
        try:
            # Waits of some length, since Windows cannot interrupt one.
            while not self._closed.wait(0.5):
                pass
        except KeyboardInterrupt:
            self.close()

    def __enter__(self) -> SiteServer:
        """Return the server."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the server."""
        self.close()

    def __repr__(self) -> str:
        """Show the URL."""
        return f"<SiteServer: {self.url}{' (closed)' if self._closed.is_set() else ''}>"


def serve(
    site: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    auth: tuple[str, str] | None = None,
) -> SiteServer:
    """Serve a site's folder over HTTP, in the background.

    It is for looking at a site, for tests and for a trusted network: there is
    no TLS and no bound on how many clients there may be.  Nothing is written.
    At an address of this machine alone, requests have to name it as localhost,
    by its address or as `host` does; any other name is refused with 421.
    Browsers are told to take media types as they are, and to run nothing of a value.

    Parameters
    ----------
    site : path
        The site's folder.
    host : str, optional
        The address to listen at, IPv4, IPv6 or a name; by default this
        machine can reach it and no other.
    port : int, optional
        The TCP port; 0 takes one that is free.
    auth : (str, str), optional
        User and password that every request has to give.  They travel in the
        clear.

    Returns
    -------
    SiteServer
        It is serving already.  Close it, or use it in a ``with`` block.

    Raises
    ------
    StoreError
        There is no such folder, the port is in use, the address is not of this
        machine, the user name has a colon, or werkzeug is not installed.

    Notes
    -----
    One thread, and one more for each connection.

    Examples
    --------
    >>> import pathlib, tempfile, urllib.request
    >>> with tempfile.TemporaryDirectory() as site, serve(site, port=0) as server:
    ...     _ = pathlib.Path(site, "index.json").write_text("{}")
    ...     with urllib.request.urlopen(server.url + "index.json") as response:
    ...         response.read()
    b'{}'
    """
    root = Path(site)
    if not os.path.isdir(root):
        raise StoreError(f"there is no folder {quoted(str(root))} to serve")
    if auth is not None and ":" in auth[0]:
        raise StoreError("the user name may have no colon, since it ends there (RFC 7617)")
    try:
        from .application import SiteApplication
        from .connections import Listener
    except ImportError as error:
        raise StoreError("serving needs werkzeug: pip install 'staticstore[cli]'") from error
    with _listen(host, port) as listening:
        if auth is not None and not _is_loopback(listening):
            _LOG.warning("the password travels in the clear: there is no TLS")
        application = SiteApplication(root, auth=auth, names=_names(host, listening))
        listener = Listener(host, listening, application)
    return SiteServer(listener)


def _listen(host: str, port: int) -> socket.socket:
    # As werkzeug tells the families apart; it has to agree with the socket.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    where = f"{quoted(host)}, port {port}"
    if not 0 <= port < 1 << 16:  # the resolver would take it modulo 65536
        raise StoreError(f"cannot listen at {where}: ports go from 0 to 65535")
    try:
        address = socket.getaddrinfo(
            host or "0.0.0.0", port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE
        )[0][4]
        return socket.create_server(address[:2], family=family, backlog=128)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise StoreError(
                f"port {port} is in use: take another one, or 0 for one that is free"
            ) from error
        raise StoreError(f"cannot listen at {where}: {reason_of(error)}") from error
    except UnicodeError as error:  # a name that DNS cannot have
        raise StoreError(f"cannot listen at {where}: {error}") from error


def _names(host: str, listening: socket.socket) -> list[str] | None:
    """Return the hosts that requests may name; None for any, where other machines can connect."""
    if not _is_loopback(listening):
        return None
    own = ("localhost", "127.0.0.1", "::1", host.lower().rstrip("."), listening.getsockname()[0])
    return list(dict.fromkeys(f"[{name}]" if ":" in name else name for name in own))


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback
