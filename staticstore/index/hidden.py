"""Fields of an entry that only readers use: they are not part of its metadata."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

__all__ = [
    "HIDDEN_FIELDS",
    "PACK_HREF",
    "CompressedCopy",
    "Place",
    "copy_of",
    "hide",
    "is_hidden_value",
    "is_packed",
    "is_placed",
    "is_stored",
    "place_of",
]

#: The href of a pack; its digest is a group.
PACK_HREF = r"packs/([0-9a-f]{64})\.zip\Z"
_SHA256 = r"[0-9a-f]{64}\Z"


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


class CompressedCopy(NamedTuple):
    """A copy of a value, compressed by Zstandard, in frames with a seek table.

    Examples
    --------
    >>> CompressedCopy(3, "ab" * 32).href
    'stored/abababababababababababababababababababababababababababababababab.zst'
    """

    #: Of the copy, in bytes; a claim of the host, not a bound.
    size: int
    #: Of the copy, lowercase hex.
    sha256: str

    @property
    def href(self) -> str:
        """Path relative to the root; derived from the digest, so that no host chooses it."""
        return f"stored/{self.sha256}.zst"

    def as_json(self) -> list[Any]:
        """Return the field ``stored``, which `copy_of` reads."""
        return ["zstd", self.size, self.sha256]


def is_stored(value: Any) -> bool:
    """Return whether `value` is ``["zstd", size, sha256]``, a compressed copy."""
    return (
        isinstance(value, list)
        and len(value) == 3
        and value[0] == "zstd"
        and type(value[1]) is int
        and 0 <= value[1] < 1 << 63
        and isinstance(value[2], str)
        and re.match(_SHA256, value[2]) is not None
    )


def copy_of(stored: Any) -> CompressedCopy | None:
    """Return the compressed copy that the field ``stored`` of an entry names, or None.

    Examples
    --------
    >>> copy_of(["zstd", 3, "ab" * 32]).size
    3
    >>> copy_of(["zstd", 3, "../" + "ab" * 32]) is copy_of("in the cellar") is None
    True
    """
    return CompressedCopy(stored[1], stored[2]) if is_stored(stored) else None


def is_placed(value: Any) -> bool:
    """Return whether `value` is ``{"href": text}``, a place outside ``data/``."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("href"), str)


_SHAPES = {"packed": is_packed, "placed": is_placed, "stored": is_stored}
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
    for name in HIDDEN_FIELDS:
        if name in metadata and _SHAPES[name](metadata[name]):
            del metadata[name]
