"""The predicate of bounding boxes."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .predicates import Predicate

__all__ = ["Box", "intersects"]

_NUMBERS = frozenset((int, float))


class Box(NamedTuple):
    """A bounding box: west, south, east and north.

    If west is greater than east, it crosses the antimeridian (RFC 7946, section 5.2).
    """

    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, value: object) -> Box | None:
        """Return the box that a field's value describes; None for anything else.

        Parameters
        ----------
        value : object
            A list of four finite numbers, or of six, of which the heights are ignored.

        Examples
        --------
        >>> Box.of([8, 46, 400.5, 10, 48, 2000.0])
        Box(west=8, south=46, east=10, north=48)
        >>> Box.of([8, 46, 10]) is Box.of("8,46,10,48") is Box.of([8, 48, 10, 46]) is None
        True
        """
        if not isinstance(value, list | tuple) or len(value) not in (4, 6):
            return None
        if not _NUMBERS.issuperset(map(type, value)) or not all(map(_is_finite, value)):
            return None
        half = len(value) // 2
        box = cls(value[0], value[1], value[half], value[half + 1])
        return box if box.south <= box.north else None

    def intersects(self, other: Box) -> bool:
        """Return whether two boxes have a point in common; a shared edge is enough."""
        if self.south > other.north or other.south > self.north:
            return False
        if self.west > self.east:
            return other.west > other.east or other.east >= self.west or other.west <= self.east
        if other.west > other.east:
            return self.east >= other.west or self.west <= other.east
        return self.west <= other.east and other.west <= self.east


def _is_finite(number: float) -> bool:
    return -math.inf < number < math.inf


class intersects(Predicate):
    """Match bounding boxes that have a point in common with one.

    Boxes touch inclusively.  The field holds a list of four numbers, or of six, of which
    the heights are ignored, as in GeoJSON and STAC; any other value does not match.

    Parameters
    ----------
    *box : float
        West, south, east and north, in the unit of the field, such as degrees; six
        numbers with heights; or one list of these.  If west is greater than east, the
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
        found = Box.of(numbers)
        if found is None:
            raise ValueError(
                "intersects takes west, south, east and north (or six numbers, with heights), "
                f"south no greater than north, not {numbers!r}"
            )
        self._arguments = box
        self.box = found

    def matches(self, value: Any) -> bool:
        """Return whether a box has a point in common; see `Predicate`."""
        box = Box.of(value)
        return box is not None and self.box.intersects(box)
