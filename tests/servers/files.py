"""Answers for `RawServer` from a mapping of files, so that a script spoils only one thing."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Literal

from .wire import Answer, Request, Wire

ETag = Literal["strong", "weak"] | None


def serve_files(
    files: Mapping[str, bytes],
    *,
    ranges: bool = True,
    etag: ETag = "strong",
    dates: bool = True,
) -> Files:
    """Answer like a good server for these files, with or without some of its features.

    Parameters
    ----------
    files : mapping
        From paths, decoded and without the leading slash, to contents.
        It is read for each request, so files may come, change and go.
    ranges : bool
        Answer a request for one range with 206.
    etag : "strong", "weak" or None
        Derived from the content.
    dates : bool
        Send ``Last-Modified``: it advances by a second with each change that is seen.
    """
    return Files(files, {}, ranges, etag, dates)


class Files:
    """The answers of `serve_files`; `but` replaces some of them."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        answers: Mapping[str, Answer],
        ranges: bool,
        etag: ETag,
        dates: bool,
    ) -> None:
        self._files = files
        self._answers = answers
        self._options = (ranges, etag, dates)
        self._lock = threading.Lock()
        self._modified: dict[str, tuple[bytes, datetime]] = {}

    def but(self, answers: Mapping[str, Answer]) -> Files:
        """Answer the same, but use scripts for these paths.

        A script can leave a request to the original, ``files(request, wire)``.
        """
        return Files(self._files, {**self._answers, **answers}, *self._options)

    def __call__(self, request: Request, wire: Wire) -> None:
        """Answer the request according to RFC 9110, as far as reading needs it."""
        path = request.path.removeprefix("/")
        if path in self._answers:
            self._answers[path](request, wire)
        elif request.method not in ("GET", "HEAD"):
            wire.response(405, headers={"Allow": "GET, HEAD"})
        elif (content := self._files.get(path)) is None:
            wire.response(404, b"there is no such file\n", {"Content-Type": "text/plain"})
        else:
            self._answer(request, wire, content)

    def _answer(self, request: Request, wire: Wire, content: bytes) -> None:
        ranges, etag, dates = self._options
        path = request.path.removeprefix("/")
        fields = {"Content-Type": mimetypes.guess_type(path)[0] or "application/octet-stream"}
        modified = self._date(path, content)
        if etag:
            fields["ETag"] = ("W/" if etag == "weak" else "") + _tag(content)
        if dates:
            fields["Last-Modified"] = format_datetime(modified, usegmt=True)
        if ranges:
            fields["Accept-Ranges"] = "bytes"

        asked = request.headers
        tags = _tags(asked.get("If-None-Match"))
        if "If-Match" in asked and not {"*", fields.get("ETag")} & set(_tags(asked["If-Match"])):
            return wire.response(412, headers=fields)
        if tags and etag:
            unchanged = "*" in tags or _tag(content) in (tag.removeprefix("W/") for tag in tags)
        else:
            since = _parse_date(asked.get("If-Modified-Since")) if dates and not tags else None
            unchanged = since is not None and modified <= since
        if unchanged:
            return wire.response(304, headers=fields)

        # If-Range has one strong tag or one date, and either must be exactly the one that we send.
        current = (_tag(content) if etag == "strong" else None, fields.get("Last-Modified"))
        part = request.range
        if not ranges or part is None or asked.get("If-Range", current[0]) not in current:
            return wire.response(200, content, fields)
        start, end, _ = slice(*part).indices(len(content))
        if start >= end:
            fields["Content-Range"] = f"bytes */{len(content)}"
            return wire.response(416, headers=fields)
        fields["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
        return wire.response(206, content[start:end], fields)

    def _date(self, path: str, content: bytes) -> datetime:
        digest = hashlib.sha256(content).digest()
        with self._lock:
            first = b"", datetime(2026, 1, 1, tzinfo=UTC)
            known, date = self._modified.get(path, first)
            if digest != known:
                date += timedelta(seconds=1)
                self._modified[path] = digest, date
            return date


def requiring_password(answer: Answer, user: str, password: str) -> Answer:
    """Answer only requests with these basic credentials, and refuse others with 401."""
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def answer_with_password(request: Request, wire: Wire) -> None:
        if request.headers.get("Authorization") != expected:
            wire.response(401, headers={"WWW-Authenticate": "Basic"})
        else:
            answer(request, wire)

    return answer_with_password


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:16]}"'


def _tags(field: str | None) -> list[str]:
    return [tag.strip() for tag in (field or "").split(",") if tag.strip()]


def _parse_date(field: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(field) if field else None
    except ValueError:
        return None
