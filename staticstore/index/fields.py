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
    "Facts",
    "Place",
    "is_packed",
    "parse_time",
    "place_of",
    "time_text",
]

#: What the publisher writes itself and nobody gives by hand.
PUBLISHER_FIELDS = ("size", "sha256", "modified", "media_type", "packed")

# Compiled when first needed, as everywhere that importing staticstore leads.
SHA256 = r"[0-9a-f]{64}\Z"
#: How the href of a pack is written, its digest as a group.
PACK_HREF = r"packs/([0-9a-f]{64})\.zip\Z"
# RFC 3339, section 5.6, in UTC.
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00:00)\Z"
# RFC 9110, section 8.3.1: type "/" subtype, then parameters.
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[\x20-\x7e]*)?\Z"


class Facts(NamedTuple):
    """What an entry says of its value, as far as it can be believed.

    A field of another type, a negative size for instance, is plain metadata
    and stands here as None.
    """

    #: Bytes, or None.
    size: int | None
    #: 64 lowercase hex digits, or None.
    sha256: str | None
    #: When the content was first published, in UTC, or None.
    modified: datetime | None
    #: MIME type, or None.
    media_type: str | None

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Facts:
        """Read the facts from an entry.

        Examples
        --------
        >>> Facts.of({"size": 12, "sha256": "no digest"})
        Facts(size=12, sha256=None, modified=None, media_type=None)
        """
        modified = metadata.get("modified")
        media_type = metadata.get("media_type")
        return cls(
            size=_size(metadata.get("size")),
            sha256=_sha256(metadata.get("sha256")),
            modified=parse_time(modified) if isinstance(modified, str) else None,
            media_type=media_type
            if isinstance(media_type, str) and re.match(_MEDIA_TYPE, media_type)
            else None,
        )


class Place(NamedTuple):
    """Where in a pack the bytes of a value also stand."""

    #: Of the pack: ``packs/<sha256>.zip``.
    href: str
    #: Bytes before them.
    offset: int


class Content(NamedTuple):
    """What an entry says of the bytes of its value, for who reads many.

    As in `Facts`, a field that cannot be believed stands here as None.
    """

    #: Bytes, or None.
    size: int | None
    #: 64 lowercase hex digits, or None.
    sha256: str | None
    #: None for a value that is not packed.
    place: Place | None
    #: A text that may be an RFC 3339 time (see `parse_time`), or None.
    modified: str | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Content:
        """Read it from an entry as it is stored.

        Examples
        --------
        >>> Content.of({"size": 3, "packed": ["../1.zip", 30]})
        Content(size=3, sha256=None, place=None, modified=None)
        """
        modified = entry.get("modified")
        return cls(
            size=_size(entry.get("size")),
            sha256=_sha256(entry.get("sha256")),
            place=place_of(entry.get("packed")),
            modified=modified if isinstance(modified, str) else None,
        )


def _size(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def _sha256(value: object) -> str | None:
    return value if isinstance(value, str) and re.match(SHA256, value) else None


def parse_time(text: str) -> datetime | None:
    """Parse an RFC 3339 time in UTC; None if it is no such time.

    Examples
    --------
    >>> parse_time("2026-11-20T12:00:00Z")
    datetime.datetime(2026, 11, 20, 12, 0, tzinfo=datetime.timezone.utc)
    """
    from datetime import datetime, timedelta

    if not re.match(_TIME, text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:  # a 13th month
        return None
    return time if time.utcoffset() == timedelta(0) else None


def time_text(time: datetime) -> str:
    """Write an aware time as RFC 3339 in UTC, without a fraction where there is none.

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
    """Tell whether `value` is ``[href, offset]``, the place of a value in a pack."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and type(value[1]) is int
        and value[1] >= 0
    )


def place_of(packed: Any) -> Place | None:
    """Return where in a pack a value stands; None if `packed` names no pack by its digest.

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
