"""A local folder, spoken to as if a good web server stood before it."""

from __future__ import annotations

import io
import os
import re
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.response import HTTPResponse

from .integrity import open_regular

__all__ = ["FileAdapter"]

_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))\Z", re.IGNORECASE)


class FileAdapter(BaseAdapter):
    """Answers GET and HEAD for ``file:`` URLs (RFC 9110, sections 13 and 14).

    It gives a strong ETag made of size, time and inode, Last-Modified, 304,
    one range as 206 or 416, and honors If-Range; several ranges at once are
    answered with the whole, as a server may.
    """

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer a request; what else requests gives concerns networks."""
        if request.method not in ("GET", "HEAD"):
            return _response(request, 405, {"Allow": "GET, HEAD"})
        try:
            file = open_regular(url2pathname(urlsplit(request.url or "").path))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
            return _response(request, 404, {})
        except PermissionError:
            return _response(request, 403, {})
        status, headers, start, end = _choose(request, os.fstat(file.fileno()))
        if status in (304, 416) or request.method == "HEAD":
            file.close()
            return _response(request, status, headers)
        file.seek(start)
        return _response(request, status, headers, _Part(file, end - start))

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

    def close(self) -> None:
        self._file.close()
        super().close()


def _choose(
    request: PreparedRequest, status: os.stat_result
) -> tuple[int, dict[str, str], int, int]:
    """Return status, header fields, and which bytes to send."""
    size = status.st_size
    etag = f'"{size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"'
    date = formatdate(status.st_mtime, usegmt=True)
    headers = {"ETag": etag, "Last-Modified": date, "Accept-Ranges": "bytes"}
    asked = request.headers
    if "If-None-Match" in asked:
        if asked["If-None-Match"] in (etag, f"W/{etag}", "*"):
            return 304, headers, 0, 0
    elif asked.get("If-Modified-Since") == date:
        return 304, headers, 0, 0
    wanted = _RANGE.match(asked.get("Range", ""))
    if wanted is None or asked.get("If-Range", etag) not in (etag, date):
        return 200, {**headers, "Content-Length": str(size)}, 0, size
    start, end = _bytes_wanted(wanted, size)
    if start >= end:
        return 416, {**headers, "Content-Range": f"bytes */{size}"}, 0, 0
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return 206, {**headers, "Content-Length": str(end - start)}, start, end


def _bytes_wanted(wanted: re.Match[str], size: int) -> tuple[int, int]:
    first, last, suffix = wanted.groups()
    if suffix is not None:
        return max(size - int(suffix), 0), size
    return int(first), min(int(last) + 1, size) if last else size


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
