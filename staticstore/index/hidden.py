"""Fields of an entry that only readers use: they are not part of its metadata."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from . import codec
from .codec import PACK_HREF
from .placed import is_placed

if TYPE_CHECKING:
    from .codec import Raw

__all__ = [
    "HIDDEN_FIELDS",
    "Place",
    "hide",
    "is_hidden_value",
    "is_packed",
    "place_of",
    "visible_metadata",
]


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


def visible_metadata(raw: Raw) -> dict[str, Any]:
    """Decode an entry; what only readers use is left out (`hide`)."""
    metadata: dict[str, Any] = codec.decode(raw)
    hide(metadata)
    return metadata
