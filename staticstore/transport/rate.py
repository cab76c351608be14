"""A bound on how fast bytes come, for all requests of a session together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..processes import PerProcess

__all__ = ["LEAST_RATE", "RateLimit"]

#: A slower reader is given up by many a host.
LEAST_RATE = 1024  # bytes a second

_STEPS = 16  # receives a second, at the whole rate: many small waits instead of few long ones
_LEAST_PIECE = 256  # bytes
# Hosts give up a connection from which nothing is taken for long, nginx after a
# minute; so slow a one gains nothing by being one of several.
_RATE_OF_ONE = 1 << 16  # bytes a second


class RateLimit:
    """Tells whoever has received bytes how long to wait before receiving more.

    There is no saving up: after an idle while it is no faster than before.
    It may be shared by threads.

    Parameters
    ----------
    rate : float
        Bytes a second, at most.
    wait : callable
        Waits so many seconds, or less if nobody wants the bytes any more.
    clock : callable, optional
        Gives seconds; for tests.

    Attributes
    ----------
    piece : int
        How many bytes to receive at once, at most.
    requests : int
        How many requests are worth being made at once.

    Examples
    --------
    >>> limit = RateLimit(1000, wait=print, clock=lambda: 0.0)
    >>> for count in (500, 500, 0):
    ...     _ = limit.spend(count)
    0.5
    1.0
    """

    def __init__(
        self,
        rate: float,
        wait: Callable[[float], object],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.rate = rate
        self.piece = max(int(rate / _STEPS), _LEAST_PIECE)
        self.requests = max(int(rate / _RATE_OF_ONE), 1)
        self._wait = wait
        self._clock = clock
        self._lock = PerProcess(threading.Lock)
        self._free_at = clock()

    def spend(self, count: int) -> float:
        """Wait as long as so many bytes take; return the seconds."""
        if not count:
            return 0.0
        with self._lock.get():
            now = self._clock()
            self._free_at = max(self._free_at, now) + count / self.rate
            seconds = self._free_at - now
        self._wait(seconds)
        return seconds
