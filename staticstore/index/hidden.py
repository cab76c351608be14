"""Fields of an entry that only readers use: they are not part of its metadata."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

__all__ = [
    "HIDDEN_FIELDS",
    "PACK_HREF",
    "Place",
    "hide",
    "is_hidden_value",
    "is_packed",
    "is_placed",
    "place_of",
]


#: The href of a pack; its digest is a group.
PACK_HREF = r"packs/([0-9a-f]{64})\.zip\Z"


class Place(NamedTuple):
    """Where in a pack the bytes of a value also are."""

    #: The pack: ``packs/<sha256>.zip``.
    href: str
    #: Bytes before the value.
    offset: int


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


def is_placed(value: Any) -> bool:
    """Return whether `value` is ``{"href": text}``, the place of a value outside ``data/``."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("href"), str)


_SHAPES = {"packed": is_packed, "placed": is_placed}
#: The names of fields that are hidden where their values have the right shape.
HIDDEN_FIELDS = tuple(_SHAPES)


def is_hidden_value(name: str, value: Any) -> bool:
    """Return whether a field, one of `HIDDEN_FIELDS`, is hidden with this value."""
    return _SHAPES[name](value)


def hide(metadata: dict[str, Any]) -> None:
    """Delete the fields of an entry that only readers use.

    Examples
    --------
    >>> entry = {"title": "A", "placed": {"href": "../a"}, "packed": "by hand"}
    >>> hide(entry)
    >>> entry
    {'title': 'A', 'packed': 'by hand'}
    """
    for name, is_of_readers in _SHAPES.items():
        if is_of_readers(metadata.get(name)):
            del metadata[name]
