"""Adapters of requests for ``file:`` and ``data:`` URLs."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse as UrllibResponse

from ...disk.file_system import NotRegularError, open_regular
from ...index.placed import data_of
from .conditions import Answer, Representation, answer, header_fields

__all__ = ["DataAdapter", "FileAdapter", "local_adapter"]

_ABSENT_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


def local_adapter(root_url: str) -> tuple[str, BaseAdapter]:
    """Return the URL prefix below a local root, and the adapter for it."""
    return ("data:", DataAdapter()) if root_url == "data:" else ("file://", FileAdapter())


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
            from urllib.request import url2pathname  # slow to import

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
        return _answered(request, file, answer(method, request.headers, current), current)

    def close(self) -> None:
        """Do nothing: no file is kept open."""


class DataAdapter(BaseAdapter):
    """The adapter of requests for GET and HEAD of ``data:`` URLs (RFC 2397).

    It supports the same as `FileAdapter`; the entity tag is made of the bytes.
    """

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer a request; the other arguments concern networks."""
        try:
            data, media_type = data_of(str(request.url))
        except ValueError:
            return _response(request, 404, {})
        current = Representation(len(data), hashlib.sha256(data).hexdigest()[:32], None)
        chosen = answer(str(request.method), request.headers, current)
        return _answered(request, io.BytesIO(data), chosen, current, media_type)

    def close(self) -> None:
        """Do nothing: nothing is open."""


def _answered(
    request: PreparedRequest,
    file: io.FileIO | io.BytesIO,
    chosen: Answer,
    current: Representation,
    media_type: str | None = None,
) -> Response:
    fields = header_fields(chosen, current)
    if media_type is not None:
        fields["Content-Type"] = media_type
    if chosen.status not in (200, 206) or request.method == "HEAD":
        file.close()
        return _response(request, chosen.status, fields)
    file.seek(chosen.start)
    body = _BoundedFile(file, chosen.end - chosen.start)
    return _response(request, chosen.status, fields, body)


class _BoundedFile(io.RawIOBase):
    def __init__(self, file: io.FileIO | io.BytesIO, size: int) -> None:
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
    response.raw = UrllibResponse(
        body=io.BytesIO() if body is None else body,
        headers=headers,
        status=status,
        request_method=request.method,
        preload_content=False,
    )
    return response
