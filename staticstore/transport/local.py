"""The adapter for local folders, which answers like a good web server."""

from __future__ import annotations

import errno
import io
import os
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse

from .conditions import Representation, answer, header_fields
from .regular import NotRegularError, open_regular

__all__ = ["FileAdapter"]

_ABSENT_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class FileAdapter(BaseAdapter):
    """The adapter of requests for GET and HEAD of ``file:`` URLs.

    Its answers have a strong ETag made of size, time and inode, and
    Last-Modified.  It supports 304, If-Range, and one range as 206 or 416;
    several ranges are answered with the whole (RFC 9110, sections 13 and 14).
    """

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer a request; the other arguments concern networks."""
        method = str(request.method)
        if method not in ("GET", "HEAD"):
            return _response(request, 405, {"Allow": "GET, HEAD"})
        try:
            file = open_regular(url2pathname(urlsplit(str(request.url)).path))
        except (NotRegularError, ValueError):
            return _response(request, 404, {})
        except PermissionError:
            return _response(request, 403, {})
        except OSError as error:
            if error.errno not in _ABSENT_ERRNOS:
                raise
            return _response(request, 404, {})
        current = Representation.of(os.fstat(file.fileno()))
        chosen = answer(method, request.headers, current)
        fields = header_fields(chosen, current)
        if chosen.status not in (200, 206) or method == "HEAD":
            file.close()
            return _response(request, chosen.status, fields)
        file.seek(chosen.start)
        body = _BoundedFile(file, chosen.end - chosen.start)
        return _response(request, chosen.status, fields, body)

    def close(self) -> None:
        """Do nothing: no file is kept open."""


class _BoundedFile(io.RawIOBase):
    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count

    def read1(self, size: int) -> bytes:
        # urllib3 calls it, as of a buffered file.
        return self.read(size) or b""

    def close(self) -> None:
        self._file.close()
        super().close()


def _response(
    request: PreparedRequest, status: int, headers: dict[str, str], body: io.RawIOBase | None = None
) -> Response:
    response = Response()
    response.request = request
    response.url = request.url or ""
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers)
    response.raw = HTTPResponse(
        body=io.BytesIO() if body is None else body,
        headers=headers,
        status=status,
        request_method=request.method,
        preload_content=False,
    )
    return response
