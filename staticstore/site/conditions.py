"""What a request's conditions ask for: all, a part, nothing new, or a refusal.

RFC 9110, sections 13 and 14.  werkzeug's parsers are used, and its decisions
are not: it sends a part where nothing is new, takes a weak tag or an earlier
date in If-Range for the current one, and refuses ranges that have to be
ignored.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from werkzeug.http import parse_date, parse_etags

__all__ = ["Answer", "Representation", "answer"]

# More than one range is a whole set; like any other unit, it may be ignored.
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*\Z", re.IGNORECASE | re.ASCII)


class Representation(NamedTuple):
    """What a URL stands for at the moment."""

    #: Bytes.
    size: int
    #: Strong, and without its quotes.
    etag: str
    #: In UTC and whole seconds; None where the time is none that HTTP can say.
    modified: datetime | None


class Answer(NamedTuple):
    """What to send."""

    #: 200, 206, 304, 412 or 416.
    status: int
    #: The bytes ``[start:end]``, for 200 and 206.
    start: int
    end: int


def answer(environ: Mapping[str, Any], current: Representation) -> Answer:
    """Decide what a GET or HEAD is answered with.

    Parameters
    ----------
    environ : mapping
        The request, as in WSGI.
    current : Representation
        What there is.

    Examples
    --------
    >>> current = Representation(size=10, etag="a", modified=None)
    >>> answer({"REQUEST_METHOD": "GET", "HTTP_RANGE": "bytes=-4"}, current)
    Answer(status=206, start=6, end=10)
    """
    if _has_failed(environ, current):
        return Answer(412, 0, 0)
    if _is_known(environ, current):
        return Answer(304, 0, 0)
    whole = Answer(200, 0, current.size)
    # Ranges are defined for GET alone, and no part of nothing can be told from it.
    if environ["REQUEST_METHOD"] != "GET" or not current.size:
        return whole
    if "HTTP_RANGE" not in environ or not _is_unchanged(environ, current):
        return whole
    return _part(environ["HTTP_RANGE"], current.size) or whole


def _has_failed(environ: Mapping[str, Any], current: Representation) -> bool:
    """Tell whether If-Match, or without it If-Unmodified-Since, does not hold."""
    if "HTTP_IF_MATCH" in environ:
        wanted = parse_etags(environ["HTTP_IF_MATCH"])
        return not (wanted.star_tag or wanted.is_strong(current.etag))
    limit = parse_date(environ.get("HTTP_IF_UNMODIFIED_SINCE"))
    return limit is not None and current.modified is not None and current.modified > limit


def _is_known(environ: Mapping[str, Any], current: Representation) -> bool:
    """Tell whether the client has it, by If-None-Match, or without it by If-Modified-Since."""
    if "HTTP_IF_NONE_MATCH" in environ:
        held = parse_etags(environ["HTTP_IF_NONE_MATCH"])
        return held.star_tag or held.contains_weak(current.etag)
    since = parse_date(environ.get("HTTP_IF_MODIFIED_SINCE"))
    return since is not None and current.modified is not None and current.modified <= since


def _is_unchanged(environ: Mapping[str, Any], current: Representation) -> bool:
    """Tell whether If-Range, if there is one, names exactly what there is."""
    validator = environ.get("HTTP_IF_RANGE")
    if validator is None:
        return True
    if (date := parse_date(validator)) is not None:
        # A date binds only once its second is over (RFC 9110, section 8.8.2.2).
        return date == current.modified and time.time() - date.timestamp() >= 1.0
    return bool(validator.strip() == f'"{current.etag}"')


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
