"""Validators, conditions, ranges and content codings in header fields of HTTP.

RFC 9110, sections 8, 13 and 14, for the reader, which checks what hosts send,
and for both servers: the adapter for ``file:`` roots, and ``serve``.
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

from urllib3.exceptions import DecodeError

from ... import tuning

if TYPE_CHECKING:
    import os


__all__ = [
    "DECODABLE",
    "GZIP_MAGIC",
    "Answer",
    "CodingError",
    "Representation",
    "answer",
    "checked_validators",
    "codings_of",
    "decoded",
    "header_fields",
    "parse_date",
    "parse_strong_etag",
]

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"\Z')
_ETAG = re.compile(rf"(?:W/)?{_STRONG_ETAG.pattern}")
_LONGEST_VALIDATOR_CHARACTERS = 1024
# RFC 9110, section 5.6.7, without its obsolete forms.
_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\Z", re.ASCII)
# Several ranges, or another unit, may be ignored: the answer is the whole.
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*\Z", re.IGNORECASE | re.ASCII)
_TAG = re.compile(r'\*|(?:W/)?"[^"]*"')
#: The codings that can be decoded.
DECODABLE = frozenset({"gzip", "x-gzip", "deflate"})
#: The first bytes of a body in gzip.
GZIP_MAGIC = b"\x1f\x8b"
# The other content codings of IANA's list.
_OTHERS = frozenset({"br", "compress", "dcb", "dcz", "exi", "pack200-gzip", "x-compress", "zstd"})
_MOST_CODINGS = 5


class CodingError(DecodeError):
    """Bytes are not coded as their label says; the message says how."""


def parse_strong_etag(text: str | None) -> str | None:
    """Return an entity tag if it is strong and up to 1 KiB long (RFC 9110, 8.8.3)."""
    if text is None or len(text) > _LONGEST_VALIDATOR_CHARACTERS:
        return None
    return text if _STRONG_ETAG.match(text) else None


def parse_date(text: str | None) -> datetime | None:
    """Return a date of HTTP as aware UTC (RFC 9110, 5.6.7); None for nonsense."""
    try:
        date = parsedate_to_datetime(text or "")
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def checked_validators(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the first field of a conditional request that RFC 9110 allows, if any.

    Raises
    ------
    TypeError, AttributeError
        The fields are not a mapping of str; they are read from files.
    """
    etag, modified = fields.get("If-None-Match", ""), fields.get("If-Modified-Since", "")
    if len(etag) <= _LONGEST_VALIDATOR_CHARACTERS and _ETAG.fullmatch(etag):
        return {"If-None-Match": etag}
    return {"If-Modified-Since": modified} if _DATE.fullmatch(modified) else {}


class Representation(NamedTuple):
    """The present state of what a URL names."""

    #: Bytes.
    size: int
    #: Strong, and without its quotes.
    etag: str
    #: In UTC and whole seconds; None if HTTP cannot express the time.
    modified: datetime | None

    @classmethod
    def of(cls, status: os.stat_result) -> Representation:
        """Describe a file; its tag is made of size, time in nanoseconds, and inode."""
        etag = f"{status.st_size:x}-{status.st_mtime_ns:x}-{status.st_ino:x}"
        try:
            modified = datetime.fromtimestamp(status.st_mtime_ns // 1_000_000_000, UTC)
        except (OverflowError, ValueError, OSError):  # a year beyond the calendar
            modified = None
        return cls(status.st_size, etag, modified)


class Answer(NamedTuple):
    """The status and the bytes to send."""

    #: 200, 206, 304, 412 or 416.
    status: int
    #: The bytes ``[start:end]``, for 200 and 206.
    start: int
    end: int


def answer(method: str, fields: Mapping[str, str], current: Representation) -> Answer:
    """Choose the answer to a GET or HEAD by its conditions and range.

    Parameters
    ----------
    method : {"GET", "HEAD"}
        Of the request.
    fields : mapping
        The header fields of the request, by their usual names.
    current : Representation
        The present state.

    Examples
    --------
    >>> current = Representation(size=10, etag="a", modified=None)
    >>> answer("GET", {"Range": "bytes=-4"}, current)
    Answer(status=206, start=6, end=10)
    """
    if _precondition_fails(fields, current):
        return Answer(412, 0, 0)
    if _client_has_it(fields, current):
        return Answer(304, 0, 0)
    whole = Answer(200, 0, current.size)
    # Ranges are defined for GET only, and an empty value has no part.
    if method != "GET" or not current.size:
        return whole
    if "Range" not in fields or not _range_applies(fields, current):
        return whole
    return _part(fields["Range"], current.size) or whole


def _precondition_fails(fields: Mapping[str, str], current: Representation) -> bool:
    if "If-Match" in fields:
        wanted = _tags(fields["If-Match"])
        return not {"*", f'"{current.etag}"'} & wanted
    limit = parse_date(fields.get("If-Unmodified-Since"))
    return limit is not None and current.modified is not None and current.modified > limit


def _client_has_it(fields: Mapping[str, str], current: Representation) -> bool:
    if "If-None-Match" in fields:
        held = _tags(fields["If-None-Match"])
        return bool({"*", f'"{current.etag}"', f'W/"{current.etag}"'} & held)
    since = parse_date(fields.get("If-Modified-Since"))
    return since is not None and current.modified is not None and current.modified <= since


def _range_applies(fields: Mapping[str, str], current: Representation) -> bool:
    validator = fields.get("If-Range")
    if validator is None:
        return True
    if (date := parse_date(validator)) is not None:
        # A date is a strong validator only once its second is over (RFC 9110, 8.8.2.2).
        return date == current.modified and time.time() - date.timestamp() >= 1.0
    return validator.strip() == f'"{current.etag}"'


def _part(wanted: str, size: int) -> Answer | None:
    # None means that the range has to be ignored.
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
    """Return the header fields of an answer, except those that describe its content."""
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
    return set(_TAG.findall(field))


def codings_of(field: str | None) -> tuple[str, ...]:
    """Return the content codings that a field names, in the order they were applied.

    `identity` and labels that are not content codings are left out.

    Examples
    --------
    >>> codings_of("aws-chunked, GZIP"), codings_of("UTF-8"), codings_of(None)
    (('gzip',), (), ())
    """
    if not field:
        return ()
    names = (name.strip().lower() for name in field.split(","))
    return tuple(name for name in names if name in DECODABLE or name in _OTHERS)


def decoded(pieces: Iterable[bytes], codings: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes decoded, the last coding first, in pieces of up to 1 MiB.

    Raises
    ------
    CodingError
        They are coded otherwise, or cut short.
    """
    if len(codings) > _MOST_CODINGS:
        raise CodingError(f"{len(codings)} content codings at once")
    for coding in reversed(codings):
        if coding not in DECODABLE:
            raise CodingError(f"{coding} was not asked for")
        pieces = _decoded(pieces, coding)
    yield from pieces


def _decoded(pieces: Iterable[bytes], coding: str) -> Iterator[bytes]:
    decoder, members, size = None, 0, tuning.DOCUMENT_PIECE_BYTES
    try:
        for piece in pieces:
            left = piece
            while left:
                if decoder is None:
                    if members and (coding == "deflate" or not left.startswith(GZIP_MAGIC[:1])):
                        return  # padding, which other clients ignore
                    decoder = zlib.decompressobj(_window_bits(coding, left))
                    members += 1
                text = decoder.decompress(left, size)
                if text:
                    yield text
                left = decoder.unconsumed_tail
                while len(text) == size and not left and not decoder.eof:
                    if text := decoder.decompress(b"", size):
                        yield text
                if decoder.eof:
                    left, decoder = decoder.unused_data, None
    except zlib.error as error:
        raise CodingError(f"the bytes are not {coding}") from error
    if decoder is not None:
        raise CodingError(f"the {coding} is cut short")


def _window_bits(coding: str, text: bytes) -> int:
    # Hosts send two formats by the name of deflate (RFC 1950 and 1951).
    if coding != "deflate":
        return 16 + zlib.MAX_WBITS
    is_zlib = text[0] & 15 == 8 and (len(text) == 1 or (text[0] << 8 | text[1]) % 31 == 0)
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
