"""Serve a site over HTTP on this machine or in a local network; its connections."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
import re
import socket
import threading
from http.client import responses
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .. import tuning
from ..errors import StoreError, quoted
from .folder.site_folder import reason_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .application import SiteApplication


__all__ = ["Listener", "SiteConnection", "SiteServer", "serve"]

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

    Returns
    -------
    SiteServer
        Already serving.  Close it, or use it in a ``with`` block.

    Raises
    ------
    StoreError
        There is no such folder, the port is in use, the address does not belong to
        this machine, the user name has a colon, or werkzeug is not installed.

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
    root = Path(site)
    if not os.path.isdir(root):
        raise StoreError(f"there is no folder {quoted(str(root))} to serve")
    if auth is not None and ":" in auth[0]:
        raise StoreError("the user name may have no colon, since a colon ends it (RFC 7617)")
    try:
        from .application import SiteApplication
        from .server import Listener
    except ImportError as error:
        raise StoreError("serving needs werkzeug: pip install 'staticstore[cli]'") from error
    with _listen(host, port) as listening:
        if auth is not None and not _is_loopback(listening):
            _LOG.warning("the password is sent unencrypted: there is no TLS")
        application = SiteApplication(root, auth=auth, names=_names(host, listening))
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


_NUMBER = re.compile(r"\d{1,19}\Z", re.ASCII)
_MOST_BODY_BYTES = 1 << 20  # a longer request body is not read; the connection ends


class Listener(ThreadedWSGIServer):
    """Accepts connections on a socket, and serves each in a thread of its own.

    Parameters
    ----------
    host : str
        The address that the socket is bound to.
    listening : socket.socket
        A listening socket; it is duplicated, and the caller closes it.
    application : SiteApplication
        Answers the requests.
    """

    def __init__(self, host: str, listening: socket.socket, application: SiteApplication) -> None:
        self.application = application
        self._connected: set[socket.socket] = set()
        self._changed = threading.Condition()
        # werkzeug would end the process if it could not bind a socket of its own.
        port = listening.getsockname()[1]
        super().__init__(host, port, application, SiteConnection, fd=listening.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and remember it for `disconnect`."""
        with self._changed:
            self._connected.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and forget it."""
        super().shutdown_request(request)
        with self._changed:
            self._connected.discard(request)
            self._changed.notify_all()

    def disconnect(self, timeout: float) -> None:
        """End all connections, and wait for their threads.

        Call it after `shutdown`, so that no more are accepted.

        Parameters
        ----------
        timeout : float
            The most seconds to wait.
        """
        with self._changed:
            for connected in self._connected:
                with contextlib.suppress(OSError):  # the client has closed it
                    connected.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connected, timeout)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the failure of a connection; the others are not affected."""
        _LOG.debug("connection failed", exc_info=True)


class SiteConnection(WSGIRequestHandler):
    """One connection: answers its requests in turn until either side closes it.

    werkzeug's own class closes it after each response.
    """

    server: Listener

    protocol_version = "HTTP/1.1"
    timeout = 60.0  # seconds without a byte of a request or a response
    # The body of a response must not wait until the client has acknowledged its head.
    disable_nagle_algorithm = True

    def version_string(self) -> str:
        """Return the Server header, without any version."""
        return "staticstore"

    def make_environ(self) -> WSGIEnvironment:
        """Return the request as a WSGI environment."""
        environ = super().make_environ()
        # werkzeug replaces what is not UTF-8 by U+FFFD, and so would serve another file.
        environ["PATH_INFO"] = unquote_to_bytes(urlsplit(self.path).path).decode("latin-1")
        return environ

    def run_wsgi(self) -> None:
        """Answer one request."""
        if self.request_version != "HTTP/1.1":
            self.close_connection = True  # HTTP/1.0 has no keep-alive by default
        self._discard_body()
        try:
            environ = self.make_environ()
        except ValueError:  # a URL with half a bracket
            self.send_error(400)
            return
        sent = False
        try:
            response = self.server.application.respond(environ)
            with contextlib.closing(response):
                pieces, status, headers = response.get_wsgi_response(environ)
                sent = True
                left = self._send_head(status, headers)
                for piece in pieces:
                    self.wfile.write(piece)
                    left -= len(piece)
            if left:  # the file was truncated: only a closed connection shows that to the client
                self.close_connection = True
        except (ConnectionError, TimeoutError) as error:
            self.close_connection = True
            _LOG.debug("%s has disconnected: %s", self.client_address[0], error)
        except Exception:  # other connections are not affected
            _LOG.debug("%a failed", self.requestline, exc_info=True)
            self.close_connection = True
            if not sent:
                self.send_error(500)

    def _send_head(self, status: str, headers: list[tuple[str, str]]) -> int:
        """Send the head of a response; return the length of its body in bytes."""
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD" or code == "304":
            return 0
        return int(dict(headers)["Content-Length"])

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a malformed request with a line of text, where `http.server` sends HTML."""
        self.log_error("code %d, message %s", code, message)
        self.close_connection = True
        reason = responses.get(code, "error")
        body = f"{code}: {reason.lower()}\n".encode()
        # Without a version (HTTP/0.9) no head would be sent, and the client would guess the type.
        self.request_version = self.protocol_version
        self.send_response(code, reason)
        for name, value in (
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _discard_body(self) -> None:
        # Otherwise the body would be parsed as the next request.
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths and "Transfer-Encoding" not in self.headers:
            return
        length = int(lengths[0]) if len(lengths) == 1 and _NUMBER.match(lengths[0]) else -1
        if "Transfer-Encoding" in self.headers or not 0 <= length <= _MOST_BODY_BYTES:
            self.close_connection = True
        elif length:
            self.rfile.read(length)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log a request, without its headers, which may hold passwords."""
        _LOG.info("%s %a %s", self.client_address[0], self.requestline, code)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log a message of `http.server` or werkzeug."""
        _LOG.debug("%s %a", self.client_address[0], message % args if args else message)
