"""What the index says of each value: what was measured, and what the publisher was told."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..index.fields import Content, Place, parse_time, time_text
from ..index.snapshot import Index
from .file_digest import Digest
from .media_types import media_type_of
from .metadata import Metadata

__all__ = ["described"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def described(
    digests: Iterable[tuple[str, Digest]],
    fields: Metadata,
    before: Mapping[str, Content],
    places: Mapping[str, Place],
) -> Index:
    """Return the index of values.

    Parameters
    ----------
    digests : iterable of (str, Digest)
        Keys, in order, and what the values are; taken one by one.
    fields : Metadata
        What the publisher is told of them.
    before : mapping
        What the site says of the values so far, by keys.
    places : mapping
        From keys to where values stand in packs, as far as they do.
    """
    return Index.from_items(
        (key, _entry(key, digest, fields, before.get(key), places.get(key)))
        for key, digest in digests
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
        if parse_time(said) is not None:
            return said
    return _text_of(digest.mtime_ns // 1_000_000_000)


@functools.lru_cache(maxsize=1024)  # files that were made together have few times
def _text_of(seconds: int) -> str | None:
    """Write a time, given in seconds since 1970; None if it is in a year that no calendar has."""
    try:
        return time_text(_EPOCH + timedelta(seconds=seconds))
    except OverflowError:
        return None
