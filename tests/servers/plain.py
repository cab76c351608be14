"""Serves a site with Python's own `http.server`: HTTP/1.0, no ranges, no ETag, but dates."""

from __future__ import annotations

import socket
import socketserver
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

from requests.structures import CaseInsensitiveDict


class PlainRequest(NamedTuple):
    """A request: its path as it was on the wire, and its header fields."""

    method: str
    path: str
    headers: CaseInsensitiveDict[str]


class PythonServer:
    """Does what `python -m http.server` does for the folder `site`, in a thread, and quietly."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.host = "127.0.0.1"
        self.port = 0
        self._requests: list[PlainRequest] = []
        self._server: _Server | None = None

    @property
    def url(self) -> str:
        """The site's root URL, with a final slash."""
        return f"http://{self.host}:{self.port}/"

    def requests(self) -> list[PlainRequest]:
        """Return the requests so far."""
        return list(self._requests)

    def start(self) -> Self:
        """Start the server; after `stop`, again at the same port."""
        if self._server is None:
            answer = partial(_Answer, directory=str(self.site), seen=self._requests)
            self._server = _Server((self.host, self.port), answer)
            self.port = self._server.server_port
            self._server.thread.start()
        return self

    def stop(self) -> None:
        """End the server and all its connections."""
        if self._server is not None:
            server, self._server = self._server, None
            server.end()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()


class _Answer(SimpleHTTPRequestHandler):
    def __init__(
        self,
        request: socket.socket,
        address: tuple[str, int],
        server: socketserver.BaseServer,
        *,
        directory: str,
        seen: list[PlainRequest],
    ) -> None:
        self.seen = seen
        super().__init__(request, address, server, directory=directory)

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        headers = CaseInsensitiveDict(self.headers.items())
        self.seen.append(PlainRequest(self.command, self.path, headers))
        return True

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    # Joined at the end, so that no thread with a socket outlives a test.
    daemon_threads = False

    def __init__(self, address: tuple[str, int], answer: partial[_Answer]) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(address, answer)
        self.thread = threading.Thread(target=self.serve_forever, args=[0.01], daemon=True)

    def server_bind(self) -> None:
        # HTTPServer would ask a resolver for the name of 127.0.0.1.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    # A "request" of socketserver is a connection.
    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def end(self) -> None:
        self.shutdown()
        self.thread.join()
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was being closed already
        self.server_close()
