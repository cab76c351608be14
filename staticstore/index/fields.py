"""The fields of an entry that the reader understands, where they have the right type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

__all__ = [
    "PACK_HREF",
    "PUBLISHER_FIELDS",
    "SHA256",
    "Content",
    "Place",
    "is_packed",
    "parse_media_type",
    "parse_time",
    "place_of",
    "time_text",
]

#: The fields that the publisher writes itself; they may not be given by hand.
PUBLISHER_FIELDS = ("size", "sha256", "modified", "media_type", "packed")

# Compiled at their first use, so that `import staticstore` does not pay (benchmark: imports).
SHA256 = r"[0-9a-f]{64}\Z"
#: The href of a pack; its digest is a group.
PACK_HREF = r"packs/([0-9a-f]{64})\.zip\Z"
# RFC 3339, section 5.6, in UTC.
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)\Z"
# RFC 9110, section 8.3.1: type "/" subtype, then parameters.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[\x20-\x7e]*)?\Z"


class Place(NamedTuple):
    """Where in a pack the bytes of a value also are."""

    #: The pack: ``packs/<sha256>.zip``.
    href: str
    #: Bytes before the value.
    offset: int


class Content(NamedTuple):
    """What an entry says of the bytes of its value.

    A field of another type, such as a negative size, is plain metadata and
    None here.
    """

    #: Bytes, or None.
    size: int | None
    #: 64 lowercase hex digits, or None.
    sha256: str | None
    #: None for a value that is not packed.
    place: Place | None
    #: The text of the field, or None; `parse_time` checks it.
    modified: str | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Content:
        """Read the fields of an entry.

        Examples
        --------
        >>> Content.of({"size": 3, "sha256": "no digest", "packed": ["../1.zip", 30]})
        Content(size=3, sha256=None, place=None, modified=None)
        """
        size, sha256, modified = entry.get("size"), entry.get("sha256"), entry.get("modified")
        return cls(
            size=size if type(size) is int and 0 <= size < 1 << 63 else None,
            sha256=sha256 if isinstance(sha256, str) and re.match(SHA256, sha256) else None,
            place=place_of(entry.get("packed")),
            modified=modified if isinstance(modified, str) else None,
        )


def parse_media_type(value: object) -> str | None:
    """Return the value of a field if it is a well-formed MIME type, else None.

    Examples
    --------
    >>> parse_media_type("text/csv; charset=utf-8")
    'text/csv; charset=utf-8'
    >>> parse_media_type("csv") is None
    True
    """
    return value if isinstance(value, str) and re.match(_MEDIA_TYPE, value) else None


def parse_time(text: str | None) -> datetime | None:
    """Parse an RFC 3339 time in UTC; return None for anything else.

    Examples
    --------
    >>> parse_time("2026-11-20T12:00:00Z")
    datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.timezone.utc)
    """
    from datetime import datetime, timedelta

    if text is None or not re.match(_TIME, text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:  # a 13th month
        return None
    return time if time.utcoffset() == timedelta(0) else None


def time_text(time: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC, without a fraction if it has none.

    Examples
    --------
    >>> from datetime import datetime
    >>> time_text(datetime.fromisoformat("2026-11-20T13:00:00+01:00"))
    '2026-11-20T12:00:00Z'
    """
    from datetime import timedelta

    utc = time - (time.utcoffset() or timedelta(0))
    return utc.replace(tzinfo=None).isoformat() + "Z"


def is_packed(value: Any) -> bool:
    """Return whether `value` is ``[href, offset]``, the place of a value in a pack."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and type(value[1]) is int
        and value[1] >= 0
    )


def place_of(packed: Any) -> Place | None:
    """Return the place in a pack; None if `packed` does not name a pack by its digest.

    Examples
    --------
    >>> place_of(["packs/" + "ab" * 32 + ".zip", 30]).offset
    30
    >>> place_of([".git/config", 0]) is None
    True
    """
    if not is_packed(packed) or not re.match(PACK_HREF, packed[0]):
        return None
    return Place(*packed)
