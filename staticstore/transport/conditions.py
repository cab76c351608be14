"""What a request's conditions ask for: all, a part, nothing new, or a refusal.

RFC 9110, sections 13 and 14, for the two places that answer requests: the
adapter for ``file:`` roots, and the server.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import os

__all__ = ["Answer", "Representation", "answer", "header_fields"]

# More than one range is a whole set; like any other unit, it may be ignored.
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*\Z", re.IGNORECASE | re.ASCII)

_TAG = re.compile(r'\*|(?:W/)?"[^"]*"')


class Representation(NamedTuple):
    """What a URL stands for at the moment."""

    #: Bytes.
    size: int
    #: Strong, and without its quotes.
    etag: str
    #: In UTC and whole seconds; None where the time is none that HTTP can say.
    modified: datetime | None

    @classmethod
    def of(cls, status: os.stat_result) -> Representation:
        """Describe a file: its tag is made of size, time in nanoseconds, and inode."""
        etag = f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"
        try:
            modified = datetime.fromtimestamp(status.st_mtime_ns // 1_000_000_000, UTC)
        except (OverflowError, ValueError, OSError):  # a year that no calendar has
            modified = None
        return cls(status.st_size, etag, modified)


class Answer(NamedTuple):
    """What to send."""

    #: 200, 206, 304, 412 or 416.
    status: int
    #: The bytes ``[start:end]``, for 200 and 206.
    start: int
    end: int


def answer(method: str, fields: Mapping[str, str], current: Representation) -> Answer:
    """Decide what a GET or HEAD is answered with.

    Parameters
    ----------
    method : {"GET", "HEAD"}
        What is asked.
    fields : mapping
        The header fields of the request, by their usual names.
    current : Representation
        What there is.

    Examples
    --------
    >>> current = Representation(size=10, etag="a", modified=None)
    >>> answer("GET", {"Range": "bytes=-4"}, current)
    Answer(status=206, start=6, end=10)
    """
    if _has_failed(fields, current):
        return Answer(412, 0, 0)
    if _is_known(fields, current):
        return Answer(304, 0, 0)
    whole = Answer(200, 0, current.size)
    # Ranges are defined for GET alone, and no part of nothing can be told from it.
    if method != "GET" or not current.size:
        return whole
    if "Range" not in fields or not _is_unchanged(fields, current):
        return whole
    return _part(fields["Range"], current.size) or whole


def _has_failed(fields: Mapping[str, str], current: Representation) -> bool:
    """Tell whether If-Match, or without it If-Unmodified-Since, does not hold."""
    if "If-Match" in fields:
        wanted = _tags(fields["If-Match"])
        return not {"*", f'"{current.etag}"'} & wanted
    limit = _date(fields.get("If-Unmodified-Since"))
    return limit is not None and current.modified is not None and current.modified > limit


def _is_known(fields: Mapping[str, str], current: Representation) -> bool:
    """Tell whether the client has it, by If-None-Match, or without it by If-Modified-Since."""
    if "If-None-Match" in fields:
        held = _tags(fields["If-None-Match"])
        return bool({"*", f'"{current.etag}"', f'W/"{current.etag}"'} & held)
    since = _date(fields.get("If-Modified-Since"))
    return since is not None and current.modified is not None and current.modified <= since


def _is_unchanged(fields: Mapping[str, str], current: Representation) -> bool:
    """Tell whether If-Range, if there is one, names exactly what there is."""
    validator = fields.get("If-Range")
    if validator is None:
        return True
    if (date := _date(validator)) is not None:
        # A date binds only once its second is over (RFC 9110, section 8.8.2.2).
        return date == current.modified and time.time() - date.timestamp() >= 1.0
    return validator.strip() == f'"{current.etag}"'


def _part(wanted: str, size: int) -> Answer | None:
    """Find the part that one range names; None if it has to be ignored."""
    if (match := _RANGE.match(wanted)) is None or match[0].rstrip().endswith("=-"):
        return None
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size)
        return Answer(206, size - length, size) if length else Answer(416, 0, 0)
    if last and int(last) < int(first):
        return None
    if int(first) >= size:
        return Answer(416, 0, 0)
    return Answer(206, int(first), min(int(last) + 1, size) if last else size)


def header_fields(chosen: Answer, current: Representation) -> dict[str, str]:
    """Return the header fields that go with an answer, apart from what concerns its content."""
    fields = {"ETag": f'"{current.etag}"', "Accept-Ranges": "bytes"}
    if current.modified is not None:
        fields["Last-Modified"] = format_datetime(current.modified, usegmt=True)
    if chosen.status in (200, 206):
        fields["Content-Length"] = str(chosen.end - chosen.start)
    if chosen.status == 206:
        fields["Content-Range"] = f"bytes {chosen.start}-{chosen.end - 1}/{current.size}"
    if chosen.status == 416:
        fields["Content-Range"] = f"bytes */{current.size}"
    return fields


def _tags(field: str) -> set[str]:
    """Return the entity tags of a list, and ``*``, as they are written."""
    return set(_TAG.findall(field))


def _date(field: str | None) -> datetime | None:
    """Return a date of HTTP (RFC 9110, section 5.6.7), aware; None for nonsense."""
    try:
        date = parsedate_to_datetime(field or "")
    except (ValueError, OverflowError):
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date
