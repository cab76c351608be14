"""HTTP/1.1 with keep-alive for `SiteApplication`, on top of werkzeug's server."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import threading
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from .application import SiteApplication

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["Listener", "SiteConnection"]

_LOG = logging.getLogger("staticstore.site")
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
