"""A local folder, spoken to as if a good web server stood before it."""

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

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)


class FileAdapter(BaseAdapter):
    """Answers GET and HEAD for ``file:`` URLs (RFC 9110, sections 13 and 14).

    It gives a strong ETag made of size, time and inode, Last-Modified, 304,
    one range as 206 or 416, and honors If-Range; several ranges at once are
    answered with the whole, as a server may.
    """

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer a request; what else requests gives concerns networks."""
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
            if error.errno not in _ABSENT:
                raise
            return _response(request, 404, {})
        current = Representation.of(os.fstat(file.fileno()))
        chosen = answer(method, request.headers, current)
        fields = header_fields(chosen, current)
        if chosen.status not in (200, 206) or method == "HEAD":
            file.close()
            return _response(request, chosen.status, fields)
        file.seek(chosen.start)
        return _response(request, chosen.status, fields, _Part(file, chosen.end - chosen.start))

    def close(self) -> None:
        """Do nothing: no file is kept open."""


class _Part(io.RawIOBase):
    """The next bytes of an open file, and no more of them."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._file.readinto(memoryview(buffer)[: self._left]) or 0
        self._left -= count
        return count

    def read1(self, size: int) -> bytes:
        """Read, as a buffered file does; urllib3 asks for it."""
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
