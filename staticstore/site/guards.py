"""What one rarely means: refused unless it is forced, by one rule for publish, mirror and push.

=========  ====================================================================
*shrink*   No entry would be left, or fewer than half of 20 or more.
*part*     A part would be mirrored over a copy of the whole site.
*folder*   A mirror or push would replace files that neither has written.
*lineage*  A push would replace a newer generation, or the site of another lineage.
=========  ====================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from ..errors import StoreError

__all__ = ["GUARDS", "Force", "Guard", "Guards", "NothingMatchesError", "RefusedError"]

Guard = Literal["shrink", "part", "folder", "lineage"]
#: Whether to do what is refused otherwise: all of it, or what these guards refuse.
Force = bool | Iterable[str]

#: The names of all guards.
GUARDS: tuple[Guard, ...] = get_args(Guard)
_MANY = 20  # entries from which on losing more than half of them is refused


class RefusedError(StoreError):
    """A guard has refused something; what is there stays as it was.

    Attributes
    ----------
    guard : str or None
        The name of the guard.
    """

    guard: Guard | None = None


class NothingMatchesError(RefusedError):
    """A mirror of a part of which the site has nothing."""


class Guards:
    """The guards that hold.

    Parameters
    ----------
    force : bool or iterable of str
        True forces everything; otherwise the names of the guards to ignore.

    Raises
    ------
    ValueError
        There is no guard of such a name.

    Examples
    --------
    >>> Guards({"shrink"}).check_shrink("the mirror", 5, 0)
    >>> Guards(False).check_shrink("the mirror", 5, 0)
    Traceback (most recent call last):
    staticstore.site.guards.RefusedError: the mirror would leave 0 of 5 entries; ...
    """

    def __init__(self, force: Force = False) -> None:
        if isinstance(force, bool):
            forced = frozenset[str](GUARDS if force else ())
        else:
            try:
                forced = frozenset([force] if isinstance(force, str) else force)
            except TypeError:  # not iterable, or its items are not hashable
                forced = frozenset([repr(force)])
        if unknown := sorted(map(str, forced.difference(GUARDS))):
            raise ValueError(
                f"force is True, False or some of {', '.join(GUARDS)}, not {', '.join(unknown)}"
            )
        self._forced = forced

    def refuse(self, guard: Guard, problem: str, kind: type[RefusedError] = RefusedError) -> None:
        """Refuse something, unless that is forced.

        Raises
        ------
        RefusedError
            It is not.
        """
        if guard not in self._forced:
            refused = kind(
                f"{problem}; what is there stays as it was (--force={guard} does it all the same)"
            )
            refused.guard = guard
            raise refused

    def check_shrink(self, what: str, before: int, after: int, *, why: str = "") -> None:
        """Refuse to lose all entries, or more than half of many.

        Parameters
        ----------
        what : str
            Who would do that.
        before, after : int
            How many entries there are, and how many would be left.
        why : str, optional
            What the error adds.

        Raises
        ------
        RefusedError
            It is not forced.
        """
        if before and (not after or (before >= _MANY and after * 2 < before)):
            self.refuse("shrink", f"{what} would leave {after} of {before} entries{why}")
