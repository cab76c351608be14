"""Guards against likely mistakes in publish, mirror and push; see `force`.

=========  ====================================================================
*shrink*   The index would lose all entries, or more than half of 20 or more.
*part*     A mirror would replace a copy of the whole site by a part of it.
*folder*   A mirror or push would replace files that staticstore did not write.
*lineage*  A push would replace a newer generation, or a site of another lineage.
=========  ====================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from ..errors import StoreError

__all__ = ["GUARDS", "Force", "Guard", "Guards", "NothingMatchesError", "RefusedError", "first_few"]

Guard = Literal["shrink", "part", "folder", "lineage"]
#: True overrides all guards; otherwise the names of those to override.
Force = bool | Iterable[str]

#: The names of all guards.
GUARDS: tuple[Guard, ...] = get_args(Guard)
_MANY_ENTRIES = 20  # a smaller index may lose more than half of them
_FEW = 3  # items that a message names


class RefusedError(StoreError):
    """A guard refused the operation; existing files are unchanged.

    Attributes
    ----------
    guard : str or None
        The guard's name, which `force` takes.
    """

    guard: Guard | None = None


class NothingMatchesError(RefusedError):
    """The site has none of the keys that the mirror is to copy."""


class Guards:
    """The guards of one operation.

    Parameters
    ----------
    force : bool or iterable of str
        True overrides all guards; otherwise the names of those to override.

    Raises
    ------
    ValueError
        There is no guard with such a name.

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
        """Raise `RefusedError`, unless this guard is overridden.

        Parameters
        ----------
        guard : str
            The guard.
        problem : str
            What is wrong, and what to do; the message adds how to force it.
        kind : type, optional
            The class of the error.

        Raises
        ------
        RefusedError
            The guard is not overridden.
        """
        if guard not in self._forced:
            refused = kind(
                f"{problem}; existing files are unchanged (--force={guard} to do it anyway)"
            )
            refused.guard = guard
            raise refused

    def check_shrink(self, what: str, before: int, after: int, *, why: str = "") -> None:
        """Refuse to lose all entries, or more than half of 20 or more.

        Parameters
        ----------
        what : str
            The operation, such as ``"the mirror"``; the message begins with it.
        before, after : int
            The number of entries now, and that would be left.
        why : str, optional
            The end of the message.

        Raises
        ------
        RefusedError
            The guard is not overridden.
        """
        if before and (not after or (before >= _MANY_ENTRIES and after * 2 < before)):
            self.refuse("shrink", f"{what} would leave {after} of {before} entries{why}")


def first_few(items: Sequence[str], separator: str = ", ") -> str:
    """Return the first three items as a text, and the number of the others.

    Examples
    --------
    >>> first_few(["a", "b", "c", "d", "e"])
    'a, b, c, and 2 more'
    """
    more = [f"and {len(items) - _FEW} more"] if len(items) > _FEW else []
    return separator.join([*items[:_FEW], *more])
