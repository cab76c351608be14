"""HTTP/1.1 below the WSGI application: werkzeug's server, with connections that stay open."""

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

__all__ = ["Connection", "Listener"]

_LOG = logging.getLogger("staticstore.site")
_NUMBER = re.compile(r"\d{1,19}\Z", re.ASCII)
_LONGEST_BODY = 1 << 20  # bytes that are read, to be thrown away, before a request is refused


class Listener(ThreadedWSGIServer):
    """Accepts connections on a socket, and serves each in a thread of its own.

    Parameters
    ----------
    host : str
        What the socket is bound to.
    listening : socket.socket
        A listening socket; it is duplicated, and stays the caller's to close.
    application : SiteApplication
        What answers.
    """

    def __init__(self, host: str, listening: socket.socket, application: SiteApplication) -> None:
        self.application = application
        self._connected: set[socket.socket] = set()
        self._changed = threading.Condition()
        # A socket of ours, since werkzeug would end the process if it could not bind its own.
        port = listening.getsockname()[1]
        super().__init__(host, port, application, Connection, fd=listening.fileno())

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and remember it to be able to end it."""
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
        """End all connections, idle or not, and wait at most `timeout` seconds for their threads.

        To be called when no more are accepted.
        """
        with self._changed:
            for connected in self._connected:
                with contextlib.suppress(OSError):  # the client was faster
                    connected.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._connected, timeout)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what went wrong with a connection; the others go on."""
        _LOG.debug("connection failed", exc_info=True)


class Connection(WSGIRequestHandler):
    """One connection: requests and responses in turn, until either side ends it.

    werkzeug's own closes it after each response.
    """

    server: Listener

    protocol_version = "HTTP/1.1"
    timeout = 60.0  # seconds without a request, or without progress of a response
    # Head and body of a response are two packets; the second must not wait for the first's receipt.
    disable_nagle_algorithm = True

    def version_string(self) -> str:
        """Return what the Server header says: no versions."""
        return "staticstore"

    def make_environ(self) -> WSGIEnvironment:
        """Describe the request as WSGI has it.

        werkzeug puts U+FFFD for what is not UTF-8 in the path, and so would
        serve another file.
        """
        environ = super().make_environ()
        environ["PATH_INFO"] = unquote_to_bytes(urlsplit(self.path).path).decode("latin-1")
        return environ

    def run_wsgi(self) -> None:
        """Answer one request."""
        if self.request_version != "HTTP/1.1":
            self.close_connection = True  # HTTP/1.0 has another way to stay open
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
            if left:  # the file has become shorter: only the end of the connection can tell
                self.close_connection = True
        except (ConnectionError, TimeoutError) as error:
            self.close_connection = True
            _LOG.debug("%s is gone: %s", self.client_address[0], error)
        except Exception:  # whatever it is, the other requests go on
            _LOG.debug("%a failed", self.requestline, exc_info=True)
            self.close_connection = True
            if not sent:
                self.send_error(500)

    def _send_head(self, status: str, headers: list[tuple[str, str]]) -> int:
        """Send what stands before the body, and return how many bytes that has to have."""
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
        """Refuse what cannot be read, in a line of text; `http.server` would send a page."""
        self.log_error("code %d, message %s", code, message)
        self.close_connection = True
        reason = responses.get(code, "error")
        body = f"{code}: {reason.lower()}\n".encode()
        # A request that says no version would get no head (HTTP/0.9), and its body a guessed type.
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
        """Read a request's body, so that the next request is not looked for in it."""
        lengths = self.headers.get_all("Content-Length", [])
        if not lengths and "Transfer-Encoding" not in self.headers:
            return
        length = int(lengths[0]) if len(lengths) == 1 and _NUMBER.match(lengths[0]) else -1
        if "Transfer-Encoding" in self.headers or not 0 <= length <= _LONGEST_BODY:
            self.close_connection = True
        elif length:
            self.rfile.read(length)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log a request: no headers, for they hold passwords."""
        _LOG.info("%s %a %s", self.client_address[0], self.requestline, code)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log what `http.server` and werkzeug have to say."""
        _LOG.debug("%s %a", self.client_address[0], message % args if args else message)
