"""State of one process, and what a fork must not break.

A fork copies memory in whatever state it is: locks that other threads hold,
open connections, half of a TLS handshake.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from . import tuning

__all__ = [
    "ForkGate",
    "KeptObjects",
    "PerProcess",
    "fork_gate",
    "is_held",
    "most_files",
]

K = TypeVar("K")
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
        Makes the object of a child from that of its parent; by default `make` does.

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
        # By process id.  A dictionary without a lock, which could be held at the fork.
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
        # Of two threads that get here at once the first wins.
        own = self._made.setdefault(pid, new)
        for other in [other for other in list(self._made) if other != pid]:
            self._made.pop(other, None)
        return own


class KeptObjects(Generic[K, T]):
    """One object for each key, shared by all who ask for it, and kept for a while.

    An object lives as long as anybody holds it, and some seconds after it was last asked
    for, so that those who use it in turn share it, too.  A thread lets go of it then.
    Any thread may call `get`.

    Parameters
    ----------
    make : callable
        Makes the object of a key; called by one thread at a time.
    seconds : callable
        Returns how long an object is kept, in seconds.

    Examples
    --------
    >>> kept = KeptObjects(set, lambda: 1.0)
    >>> kept.get("a") is kept.get("a")
    True
    """

    def __init__(self, make: Callable[[K], T], seconds: Callable[[], float]) -> None:
        self._make = make
        self._seconds = seconds
        self._changed = threading.Condition()
        self._alive: weakref.WeakValueDictionary[K, T] = weakref.WeakValueDictionary()
        # Until when each is kept, by the monotonic clock.
        self._kept: dict[K, tuple[float, T]] = {}
        self._due = 0.0  # when the thread wakes
        self._thread: threading.Thread | None = None

    def get(self, key: K) -> T:
        """Return the object of a key."""
        with self._changed:
            found = self._alive.get(key)
            if found is None:
                found = self._alive[key] = self._make(key)
            until = time.monotonic() + self._seconds()
            self._kept[key] = until, found
            if self._thread is not None:
                if until < self._due:
                    self._changed.notify()
            else:
                self._thread = threading.Thread(
                    target=self._let_go, name="staticstore kept objects", daemon=True
                )
                try:
                    self._thread.start()
                except RuntimeError:  # no more threads, or the end of the interpreter
                    self._thread = None
                    self._kept.clear()
            return found

    def _let_go(self) -> None:
        while True:
            with self._changed:
                now = time.monotonic()
                due = [key for key, (until, _) in self._kept.items() if until <= now]
                old = [self._kept.pop(key) for key in due]
                if not self._kept:
                    self._thread = None
                    return
                if not old:
                    self._due = min(until for until, _ in self._kept.values())
                    self._changed.wait(self._due - now)
            del old  # without the lock: what ends with them may ask for others


def is_held(lock: threading.Lock) -> bool:
    """Return whether a lock copied by a fork is held.

    What it guards may then be half changed.  Not `Lock.locked`, which is True
    only once the thread that acquired the lock runs.
    """
    is_free = lock.acquire(blocking=False)
    if is_free:
        lock.release()
    return not is_free


class ForkGate:
    """A gate that keeps forks apart from what takes locks that no child can release.

    OpenSSL takes some while it makes contexts and shakes hands, and Python takes one for
    each module while it imports it.  A child forked then inherits them held for good, and
    hangs in its own first handshake or import, where no timeout applies.  For locks of
    ours see `PerProcess`.  Any thread may use it.

    Parameters
    ----------
    patience : float, optional
        The longest time that a fork waits, in seconds.
    """

    def __init__(self, patience: float | None = None) -> None:
        self._patience = tuning.FORK_PATIENCE_SECONDS if patience is None else patience
        self._reset()

    def _reset(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._forks = 0

    def watch(self) -> None:
        """Hold up forks of this process from now on, for good."""
        os.register_at_fork(
            before=self.close, after_in_parent=self.open, after_in_child=self._reset
        )

    @contextlib.contextmanager
    def passing(self) -> Iterator[None]:
        """Hold up forks during the block, for a while; first wait for a fork under way."""
        with self._change:
            # A fork that began to wait just now is done within this time.
            self._change.wait_for(lambda: not self._forks, 2 * self._patience)
            self._inside += 1
        try:
            yield
        finally:
            with self._change:
                self._inside -= 1
                self._change.notify_all()

    def close(self) -> None:
        """Let no thread enter, and wait for those inside."""
        with self._change:
            self._forks += 1
            self._change.wait_for(lambda: not self._inside, self._patience)

    def open(self) -> None:
        """Let threads enter again."""
        with self._change:
            self._forks -= 1
            self._change.notify_all()


@functools.cache
def fork_gate() -> ForkGate:
    """Return the gate of this process; from the first call on it holds up forks."""
    gate = ForkGate()
    if hasattr(os, "register_at_fork"):
        gate.watch()
    return gate


def most_files() -> int:
    """Return how many files this process may have open, sockets included; for any thread.

    Examples
    --------
    >>> most_files() > 0
    True
    """
    try:
        import resource
    except ImportError:  # Windows
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
