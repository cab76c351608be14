"""The thread that polls."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable

from ..errors import AuthorizationError, HTTPStatusError, StoreError

__all__ = ["Poller", "seconds_since_boot"]

_log = logging.getLogger("staticstore")
_JITTER = 0.1  # of the interval, either way, so that a thousand readers do not poll at once
_LONGEST_BACKOFF = 3600.0  # seconds
_SOON = 5.0  # seconds; after which a store that could not reach its host tries again
_LOOK_UP = 15.0  # seconds; how often a long wait looks whether the machine slept
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", None)


def seconds_since_boot() -> float:
    """Return a clock that nobody sets and that counts the machine's sleep, where it can."""
    return time.monotonic() if _SINCE_BOOT is None else time.clock_gettime(_SINCE_BOOT)


class Poller(threading.Thread):
    """Calls `poll` every now and then until it is told to end.

    The time between polls is `interval`, give or take a tenth.  After
    failures it doubles with each, up to an hour; a host that asks for more
    patience (Retry-After) gets it, and refused credentials are tried again at
    a quarter of that pace, lest an account be locked.  Until a first poll has
    gone well, five seconds stand in place of a longer interval.

    Parameters
    ----------
    poll : callable
        Polls once; returns what went wrong, or None; False once nobody wants
        to know any more.
    interval : float
        Seconds between polls.
    cut : threading.Event
        Ends the thread, at once if it waits.
    begin : callable, optional
        Called first of all, in the thread.
    has_polled : bool, optional
        Whether a poll has gone well before.
    clock : callable, optional
        Gives seconds; for tests.
    """

    def __init__(
        self,
        poll: Callable[[], StoreError | bool | None],
        interval: float,
        cut: threading.Event,
        *,
        begin: Callable[[], object] | None = None,
        has_polled: bool = True,
        clock: Callable[[], float] = seconds_since_boot,
    ) -> None:
        super().__init__(name="staticstore-poller", daemon=True)
        self._poll = poll
        self._interval = interval
        self._cut = cut
        self._pid = os.getpid()
        self._begin = begin
        self._has_polled = has_polled
        self._clock = clock
        self._failures = 0

    def run(self) -> None:
        """Wait and poll, in turn."""
        error: StoreError | None = None
        if self._begin is not None:
            self._outcome_of(self._begin)
        while self._wait(self.pause(error)):
            outcome = self._outcome_of(self._poll)
            if outcome is False or self._pid != os.getpid():  # a handler may fork
                return
            error = outcome if isinstance(outcome, StoreError) else None
            self._failures = self._failures + 1 if error is not None else 0
            self._has_polled = self._has_polled or error is None

    def _outcome_of(self, call: Callable[[], object]) -> object:
        try:
            return call()
        except BaseException as unforeseen:
            # A defect of ours, no memory, a handler that calls sys.exit: said
            # loudly, and polling goes on.
            _log.exception("a poll failed in a way that it should not")
            return StoreError(f"a poll failed: {type(unforeseen).__name__}")

    def pause(self, error: StoreError | None) -> float:
        """Return the seconds to wait after a poll that ended with `error` or well."""
        pause = self._interval if self._has_polled else min(self._interval, _SOON)
        if error is not None:
            doublings = min(self._failures, 30)
            if isinstance(error, AuthorizationError):
                doublings += 2
            pause = min(pause * 2**doublings, max(pause, _LONGEST_BACKOFF))
        pause *= random.uniform(1 - _JITTER, 1 + _JITTER)
        if isinstance(error, HTTPStatusError) and error.retry_after is not None:
            patience = min(error.retry_after, _LONGEST_BACKOFF)
            return max(pause, patience * random.uniform(1, 1 + _JITTER))
        return pause

    def _wait(self, seconds: float) -> bool:
        """Wait, and tell whether to poll; a machine that slept meanwhile polls on waking.

        An event's own timeout stands still while the machine sleeps, so a long
        wait looks at the clock in between.
        """
        due = self._clock() + seconds
        while (left := due - self._clock()) > 0:
            if self._cut.wait(min(left, _LOOK_UP)):
                return False
            if self._clock() > due + _LOOK_UP:
                # The machine slept, and so did others: they shall not all poll at once.
                return not self._cut.wait(random.uniform(0, min(self._interval * _JITTER, 10)))
        return not self._cut.is_set()
