"""The predicate of bounding boxes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .comparison import Box, plain_number
from .predicates import Predicate

__all__ = ["intersects"]


class intersects(Predicate):
    """Match bounding boxes that have a point in common with one.

    Boxes touch inclusively.  The field holds a list of four numbers, or of six, of which
    the heights are ignored, as in GeoJSON and STAC; any other value does not match.

    Parameters
    ----------
    *box : float
        West, south, east and north, in the unit of the field, such as degrees; six
        numbers with heights; or one list or array of these.  If west is greater than east, the
        box crosses the antimeridian.

    Raises
    ------
    ValueError
        These are not four or six finite numbers, or south is greater than north.

    Examples
    --------
    >>> alps = intersects(5, 44, 16, 48)
    >>> alps.matches([8, 46, 10, 47]), alps.matches([16, 48, 20, 50])
    (True, True)
    >>> alps.matches([17, 48, 20, 50])
    False
    >>> intersects(170, -20, -170, 0).matches([-175, -10, -174, -9])
    True
    """

    __slots__ = ("box",)

    def __init__(self, *box: Any) -> None:
        numbers = box[0] if len(box) == 1 else box
        if isinstance(numbers, Iterable) and not isinstance(numbers, str):
            numbers = tuple(map(plain_number, numbers))  # also of an array
        found = Box.of(numbers)
        if found is None:
            raise ValueError(
                "intersects takes west, south, east and north (or six numbers, with heights), "
                f"south no greater than north, not {numbers!r}"
            )
        self._arguments = box if isinstance(box[0], list | tuple) else numbers
        self.box = found

    def matches(self, value: Any) -> bool:
        """Return whether a box has a point in common; see `Predicate`."""
        box = Box.of(value)
        return box is not None and self.box.intersects(box)
