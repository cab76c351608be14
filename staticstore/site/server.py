"""Serve a site over HTTP, on this machine or in a local network."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

from .. import tuning
from ..errors import StoreError, quoted, reason_of
from .folder.site_folder import SiteFolder
from .folder.trust_files import check_no_keys

if TYPE_CHECKING:
    from .application import Listener

__all__ = ["SiteServer", "serve"]

_LOG = logging.getLogger("staticstore.site")
_ANY_ADDRESS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


class SiteServer:
    """A running server, from `serve` until `close`; thread-safe.

    A context manager, which closes it.

    Attributes
    ----------
    url : str
        The site's root, with a slash at its end.  If the server listens on all
        addresses, it is that of this machine.
    port : int
        The TCP port.
    """

    url: str
    port: int

    def __init__(self, listener: Listener) -> None:
        """Start to serve with a listener; call `serve` instead."""
        self._listener = listener
        self._closed = threading.Event()
        self._closing = threading.Lock()
        self.port = listener.port
        host = _ANY_ADDRESS.get(listener.host, listener.host)
        shown = f"[{quote(host, safe=':')}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}/"
        self._thread = threading.Thread(
            target=listener.serve_forever,
            args=(tuning.SERVER_POLL_SECONDS,),
            name="staticstore-serve",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving, end all connections and free the port; idempotent.

        Takes about 0.1 seconds, and at most a little more than one.
        """
        with self._closing:
            if self._closed.is_set():
                return
            self._listener.shutdown()
            self._thread.join()
            self._listener.disconnect(tuning.SERVER_CLOSE_SECONDS)
            self._closed.set()

    def wait(self) -> None:
        """Wait until the server is closed, by `close` or a KeyboardInterrupt."""
        try:
            while not self._closed.wait(tuning.WAIT_SECONDS):
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
    data: str | os.PathLike[str] | None = None,
) -> SiteServer:
    """Serve a site's folder over HTTP, in the background.

    Use it to look at a site, for tests, or in a trusted network: there is no TLS,
    and no limit on the number of clients.  Nothing is written.  On an address that
    only this machine can reach, requests must name the host as localhost, by its
    address or as `host` does; any other name is refused with 421.  Response headers
    tell browsers not to guess media types, and not to run anything in a value.

    Parameters
    ----------
    site : path
        The site's folder.
    host : str, optional
        The address to listen on, IPv4, IPv6 or a name; by default only this
        machine can reach it.
    port : int, optional
        The TCP port; 0 chooses a free one.
    auth : (str, str), optional
        User and password that every request must give.  They are sent
        unencrypted.
    data : str or path, optional
        The folder of the values, if not the one that was published.

    Returns
    -------
    SiteServer
        Already serving.  Close it, or use it in a ``with`` block.

    Raises
    ------
    StoreError
        There is no such folder, the port is in use, the address does not belong to
        this machine, the user name has a colon, private keys with which sites are signed
        are in the folder, or werkzeug is not installed.

    Notes
    -----
    Uses one thread, and one more for each connection.

    Examples
    --------
    >>> import pathlib, tempfile, urllib.request
    >>> with tempfile.TemporaryDirectory() as site, serve(site, port=0) as server:
    ...     _ = pathlib.Path(site, "index.json").write_text("{}")
    ...     with urllib.request.urlopen(server.url + "index.json") as response:
    ...         response.read()
    b'{}'
    """
    root = SiteFolder.at(site).root
    if not os.path.isdir(root):
        raise StoreError(f"there is no folder {quoted(str(root))} to serve")
    if auth is not None and ":" in auth[0]:
        raise StoreError("the user name may have no colon, since a colon ends it (RFC 7617)")
    folder = SiteFolder.of(root, data)
    check_no_keys(folder)
    try:
        from .application import Listener, SiteApplication
    except ImportError as error:
        text = "serving needs the package `werkzeug`, which the extra `cli` brings"
        raise StoreError(text) from error
    with _listen(host, port) as listening:
        if auth is not None and not _is_loopback(listening):
            _LOG.warning("the password is sent unencrypted: there is no TLS")
        application = SiteApplication(folder, auth=auth, names=_names(host, listening))
        listener = Listener(host, listening, application)
    return SiteServer(listener)


def _listen(host: str, port: int) -> socket.socket:
    # The same rule as werkzeug's, which must get a socket of the family that it expects.
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
                f"port {port} is in use: choose another one, or 0 for any that is free"
            ) from error
        raise StoreError(f"cannot listen at {where}: {reason_of(error)}") from error
    except UnicodeError as error:  # a name that DNS cannot have
        raise StoreError(f"cannot listen at {where}: {error}") from error


def _names(host: str, listening: socket.socket) -> list[str] | None:
    # None for any name, where other machines can connect.
    if not _is_loopback(listening):
        return None
    own = ("localhost", "127.0.0.1", "::1", host.lower().rstrip("."), listening.getsockname()[0])
    return list(dict.fromkeys(f"[{name}]" if ":" in name else name for name in own))


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback
