"""A site as a WSGI application: GET and HEAD for the files of one folder."""

from __future__ import annotations

import base64
import binascii
import errno
import hmac
import os
import re
from collections.abc import Collection, Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from .. import tuning
from ..disk.file_system import NotRegularError, open_regular
from ..errors import InvalidKeyError
from ..index.about import FILE_MEDIA_TYPE, FILE_NAMES
from ..index.fields import key_to_path
from ..transport.http.conditions import Representation, answer, header_fields
from .folder.data_file import media_type_of
from .folder.site_folder import SiteFolder, link_problem
from .folder.withheld import folded, is_hidden

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["SiteApplication"]

_DATA = "data/"
# A host and perhaps a port, without user and password (RFC 9110, section 7.2).
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:@/\[\]]+)(?::\d*)?")
_REFUSALS = {412: "the condition does not hold", 416: "there are no such bytes"}
# The conditional headers, by their names in WSGI.
_CONDITIONS = {
    "HTTP_" + name.upper().replace("-", "_"): name
    for name in (
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
        "Range",
    )
}
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)


class SiteApplication:
    """Serves a site's files, with ranges and validators; thread-safe.

    Not served are the publisher's own files, names that are withheld, dot-files in
    the site's root except ``.nojekyll``, its ``about.toml``, folders, and files
    outside of the site (`data` may be a link to elsewhere).

    Parameters
    ----------
    root : Path
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
        root: Path,
        *,
        auth: tuple[str, str] | None = None,
        names: Collection[str] | None = None,
    ) -> None:
        self._folder = SiteFolder(root)
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
        if key is not None and folded(key).startswith(_DATA):
            response.headers["Content-Security-Policy"] = "sandbox"
        return response

    def _answer(self, environ: WSGIEnvironment, key: str | None) -> Response:
        if not self._is_named(environ):
            assert self._names is not None, "with None every name is accepted"
            return _text_response(421, f"this server only answers to {', '.join(self._names)}")
        if not self._may_enter(environ):
            refusal = _text_response(401, "credentials are needed")
            refusal.headers["WWW-Authenticate"] = 'Basic realm="staticstore", charset="UTF-8"'
            return refusal
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            refusal = _text_response(405, "this is read-only")
            refusal.headers["Allow"] = "GET, HEAD"
            return refusal
        if key is None or (file := self._open(key)) is None:
            return _text_response(404, "not found")
        try:
            return _file_response(environ, key, file)
        except BaseException:
            file.close()
            raise

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

    def __init__(self, file: FileIO, start: int, end: int) -> None:
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
    return path[1:] or "index.html"


def _file_response(environ: WSGIEnvironment, key: str, file: FileIO) -> Response:
    current = Representation.of(os.fstat(file.fileno()))
    fields = {name: environ[field] for field, name in _CONDITIONS.items() if field in environ}
    chosen = answer(environ["REQUEST_METHOD"], fields, current)
    if chosen.status in (412, 416):
        file.close()
        response = _text_response(chosen.status, _REFUSALS[chosen.status])
    else:
        response = Response(
            _Body(file, chosen.start, chosen.end),
            status=chosen.status,
            content_type=_media_type_of(key) or "application/octet-stream",
            direct_passthrough=True,
        )
        response.headers["Cache-Control"] = "no-cache"
    response.headers.update(header_fields(chosen, current))
    return response


def _media_type_of(key: str) -> str | None:
    return FILE_MEDIA_TYPE if key in FILE_NAMES else media_type_of(key)


def _text_response(status: int, text: str) -> Response:
    response = Response(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
    response.headers["Cache-Control"] = "no-cache"
    return response
