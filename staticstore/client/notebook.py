"""What a notebook shows of a store and of a value, without I/O."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..errors import without_secrets
from ..index.fields import PUBLISHER_FIELDS, Content, parse_media_type, parse_time
from ..notebook import MOST_ROWS, age_text, size_text, table

if TYPE_CHECKING:
    from ..index.snapshot import Index

__all__ = ["store_html", "value_html"]


def store_html(title: str, info: Mapping[str, Any], index: Index | None) -> str:
    """Return a table of the first keys of a store, and how current they are.

    Parameters
    ----------
    title : str
        The caption.
    info : mapping
        From `StaticStore.info`.
    index : Index or None
        The snapshot; None if nothing or only parts of it were read.
    """
    rows = [] if index is None else [_row(index, key) for key in islice(index, MOST_ROWS)]
    return table(
        title, rows, header=["key", "size", "media type"] if rows else (), notes=_notes(info, rows)
    )


def _row(index: Index, key: str) -> tuple[object, ...]:
    metadata = index[key]
    return key, _size(Content.of(metadata).size), parse_media_type(metadata.get("media_type"))


def _notes(info: Mapping[str, Any], rows: list[tuple[object, ...]]) -> list[str]:
    notes = []
    if rows and (more := info["entries"] - len(rows)):
        notes.append(f"and {more:,} more")
    if info["age"] is not None:
        notes.append(f"index confirmed {age_text(info['age'])}")
    if info["last_error"] is not None:
        notes.append(f"last error: {info['last_error']}")
    return notes + [f"warning: {warning}" for warning in info["warnings"]]


def value_html(title: str, url: str, metadata: Mapping[str, Any]) -> str:
    """Return a table of what the index says of a value."""
    content = Content.of(metadata)
    known = [
        ("url", without_secrets(url)),
        ("size", _size(content.size)),
        ("media type", parse_media_type(metadata.get("media_type"))),
        ("modified", parse_time(content.modified)),
        ("sha256", content.sha256),
    ]
    others = [(name, field) for name, field in metadata.items() if name not in PUBLISHER_FIELDS]
    return table(title, [row for row in known if row[1] is not None] + others)


def _size(size: int | None) -> str | None:
    return None if size is None else size_text(size)
