"""What the index says of each value: what was measured, and what the publisher was told."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..index.fields import Content, Place, parse_time, time_text
from ..index.snapshot import Index
from .hashing import Digest
from .media_types import media_type_of
from .metadata import Metadata

__all__ = ["described"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def described(
    digests: Mapping[str, Digest],
    fields: Metadata,
    old: Index,
    places: Mapping[str, Place],
) -> Index:
    """Return the index of values.

    Parameters
    ----------
    digests : mapping
        From keys to what the values are.
    fields : Metadata
        What the publisher is told of them.
    old : Index
        What the site says so far.
    places : mapping
        From keys to where values stand in packs, as far as they do.
    """
    known = old.contents_of(digests)
    return Index.from_entries(
        {
            key: _entry(key, digest, fields, known.get(key), places.get(key))
            for key, digest in sorted(digests.items())
        }
    )


def _entry(
    key: str, digest: Digest, fields: Metadata, before: Content | None, place: Place | None
) -> Mapping[str, Any]:
    entry = fields.fields_of(key)
    entry["size"] = digest.size
    entry["sha256"] = digest.sha256
    if (modified := _modified(digest, before)) is not None:
        entry["modified"] = modified
    if (media_type := media_type_of(key)) is not None:
        entry["media_type"] = media_type
    if place is not None:
        entry["packed"] = [place.href, place.offset]
    return entry


def _modified(digest: Digest, before: Content | None) -> str | None:
    """Return when the content was first published: what the old index says, else the file's time.

    A fresh checkout has the same files at other times, and publishes the same index.
    """
    if before is not None and before.sha256 == digest.sha256:
        said = before.modified
        if said is not None and parse_time(said) is not None:
            return said
    return _text_of(digest.mtime_ns // 1_000_000_000)


@functools.lru_cache(maxsize=1024)  # files that were made together have few times
def _text_of(seconds: int) -> str | None:
    """Write a time, given in seconds since 1970; None if it is in a year that no calendar has."""
    try:
        return time_text(_EPOCH + timedelta(seconds=seconds))
    except OverflowError:
        return None
