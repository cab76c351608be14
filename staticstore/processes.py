"""State of which each process has its own, since a fork copies it in whatever state it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["PerProcess", "is_held"]

T = TypeVar("T")


class PerProcess(Generic[T]):
    """One object for each process: a forked child makes its own at its first `get`.

    A fork copies a lock that another thread holds as a lock that is never
    released, and an open connection as a second reader of the same answers.
    Both processes may fork again.  Any thread may call `get`.

    Parameters
    ----------
    make : callable
        Makes the object.
    after_fork : callable, optional
        Makes the object of a child out of that of its parent; by default `make` does.

    Examples
    --------
    >>> import threading
    >>> lock = PerProcess(threading.Lock)
    >>> with lock.get():
    ...     lock.get().locked()
    True
    """

    __slots__ = ("_after_fork", "_made", "_make")

    def __init__(
        self, make: Callable[[], T], *, after_fork: Callable[[T], T] | None = None
    ) -> None:
        self._make = make
        self._after_fork = after_fork
        # By the process id.  A dictionary and no lock, which could be held at the fork.
        self._made: dict[int, T] = {}

    def get(self) -> T:
        """Return the object of this process."""
        pid = os.getpid()
        try:
            return self._made[pid]
        except KeyError:
            return self._new(pid)

    def _new(self, pid: int) -> T:
        before = list(self._made.values())
        new = self._after_fork(before[0]) if before and self._after_fork else self._make()
        # Of two threads that come here at once the first wins.
        own = self._made.setdefault(pid, new)
        for other in [other for other in list(self._made) if other != pid]:
            self._made.pop(other, None)
        return own


def is_held(lock: threading.Lock) -> bool:
    """Return whether a lock that was copied by a fork is held, and so guards half a change.

    Not `Lock.locked`, which says so only once the thread that was given the lock runs.
    """
    is_free = lock.acquire(blocking=False)
    if is_free:
        lock.release()
    return not is_free
