"""A site as a WSGI application, and the connections that bring its requests."""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import hmac
import logging
import os
import re
import socket
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from http.client import responses
from io import BytesIO, FileIO
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.datastructures import EnvironHeaders
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from .. import tuning
from ..disk.file_system import NotRegularError, open_regular
from ..errors import InvalidKeyError
from ..index.fields import key_to_path
from ..transport.http.conditions import Representation, answer, header_fields
from .about import served_type
from .documents.page import LivePage
from .folder.site_folder import SiteFolder, link_problem
from .folder.withheld import folded, is_hidden

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Listener", "SiteApplication", "SiteConnection"]

_LOG = logging.getLogger("staticstore.site")
# A host and perhaps a port, without user and password (RFC 9110, section 7.2).
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:@/\[\]]+)(?::\d*)?")
_REFUSALS = {412: "the condition does not hold", 416: "there are no such bytes"}
_NUMBER = re.compile(r"\d{1,19}\Z", re.ASCII)
_MOST_BODY_BYTES = 1 << 20  # a longer request body is not read; the connection ends
_PAGE = "index.html"
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)


class SiteApplication:
    """Serves a site's files, with ranges and validators; thread-safe.

    Not served are the publisher's own files, names that are withheld, dot-files in
    the site's root except ``.nojekyll``, its ``about.toml``, folders, and files
    outside of the site (`data` may be a link to elsewhere).  A site without
    ``index.html`` is served with the page to browse it, made in memory.

    Parameters
    ----------
    folder : SiteFolder
        The site's folder.
    auth : (str, str), optional
        User and password that every request must give.
    names : collection of str, optional
        The hosts that requests may name, in lowercase; None for any.  A page of
        another site can point its own name to this machine (DNS rebinding), and
        would then have the same origin as what is served here.
    """

    def __init__(
        self,
        folder: SiteFolder,
        *,
        auth: tuple[str, str] | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        self._folder = folder
        self._page = LivePage(folder)
        self._data = folded(folder.data_path)
        self._credentials = None if auth is None else ":".join(auth).encode()
        self._names = names

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        return self.respond(environ)(environ, start_response)

    def respond(self, environ: WSGIEnvironment) -> Response:
        """Return the response to a request.

        Its headers keep browsers from running anything in a value.

        Raises
        ------
        OSError
            A file exists but cannot be read, for another reason than permissions.
        """
        key = _key(environ.get("PATH_INFO", ""))
        response = self._answer(environ, key)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if key is not None and folded(key).startswith(self._data):
            response.headers["Content-Security-Policy"] = "sandbox"
        return response

    def _answer(self, environ: WSGIEnvironment, key: str | None) -> Response:
        if not self._is_named(environ):
            assert self._names is not None, "with None every name is accepted"
            return _text_response(421, f"this server only answers to {', '.join(self._names)}")
        if not self._may_enter(environ):
            challenge = {"WWW-Authenticate": 'Basic realm="staticstore", charset="UTF-8"'}
            return _text_response(401, "credentials are needed", challenge)
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text_response(405, "this is read-only", {"Allow": "GET, HEAD"})
        if key is None:
            return _text_response(404, "not found")
        if (file := self._open(key)) is not None:
            try:
                return _response(environ, key, file, Representation.of(os.fstat(file.fileno())))
            except BaseException:
                file.close()
                raise
        if key == _PAGE and not os.path.lexists(self._folder.page):
            page, current = self._page.current()
            return _response(environ, key, BytesIO(page), current)
        return _text_response(404, "not found")

    def _is_named(self, environ: WSGIEnvironment) -> bool:
        if self._names is None:
            return True
        host: str | None = environ.get("HTTP_HOST")
        if host is None:  # browsers always send it, and HTTP/1.1 requires it
            return environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
        match = _HOST.fullmatch(host)
        return match is not None and match[1].lower().rstrip(".") in self._names

    def _may_enter(self, environ: WSGIEnvironment) -> bool:
        if self._credentials is None:
            return True
        scheme, _, encoded = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, self._credentials)

    def _open(self, key: str) -> FileIO | None:
        try:
            relative = key_to_path(key)
        except InvalidKeyError:
            return None
        if is_hidden(relative.as_posix()):
            return None
        root, data = os.fspath(self._folder.root), os.fspath(self._folder.data)
        real = os.path.realpath(os.path.join(root, relative))
        if link_problem(root, data, real) is not None:
            return None
        try:
            return open_regular(real)
        except NotRegularError:
            return None
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise


class _Body:
    """The body of a response: part of a file."""

    def __init__(self, file: FileIO | BytesIO, start: int, end: int) -> None:
        self._file = file
        self._start = start
        self._end = end

    def __iter__(self) -> Iterator[bytes]:
        """Yield pieces; fewer bytes than expected if the file was truncated."""
        self._file.seek(self._start)
        left = self._end - self._start
        while left > 0 and (piece := self._file.read(min(left, tuning.SERVED_PIECE_BYTES))):
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _key(path_info: str) -> str | None:
    # WSGI passes the bytes of the path, percent-decoded, as Latin-1.
    try:
        path = path_info.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return None
    if not path.startswith("/"):
        return None
    return path[1:] or _PAGE


def _response(
    environ: WSGIEnvironment, key: str, file: FileIO | BytesIO, current: Representation
) -> Response:
    chosen = answer(environ["REQUEST_METHOD"], dict(EnvironHeaders(environ)), current)
    if chosen.status in (412, 416):
        file.close()
        response = _text_response(chosen.status, _REFUSALS[chosen.status])
    else:
        response = Response(
            _Body(file, chosen.start, chosen.end),
            status=chosen.status,
            content_type=served_type(key),
            direct_passthrough=True,
        )
        response.headers["Cache-Control"] = "no-cache"
    response.headers.update(header_fields(chosen, current))
    return response


def _text_response(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
    response.headers.update({"Cache-Control": "no-cache", **(headers or {})})
    return response


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
        headers = [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("X-Content-Type-Options", "nosniff"),
        ]
        if self._send_head(f"{code} {reason}", headers):
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
