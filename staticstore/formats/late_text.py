"""Texts of entries that are made when they are looked at, so that entries can share parts."""

from __future__ import annotations

import msgspec

__all__ = ["LateText"]


class LateText(msgspec.Struct, gc=False):
    """The text of a JSON object, which `bytes` makes anew each time.

    A form makes one for each entry.  Two that are equal make the same text; two that are not
    may do so, too.
    """

    #: The bytes that it counts as: about so many as it has, shared or not.
    size: int
    #: Where the value is, which the text ends with as `placed`; set by who knows the root.
    place: str | None

    def __bytes__(self) -> bytes:
        raise NotImplementedError
