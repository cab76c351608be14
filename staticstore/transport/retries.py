"""Attempts: again after a failure that may heal, and after a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .failures import may_heal, was_dropped

if TYPE_CHECKING:
    import tenacity

__all__ = ["once", "retrying"]

T = TypeVar("T")

_LONGEST_BACKOFF = 30.0  # seconds


def retrying(
    attempt: Callable[[], T],
    *,
    retries: int,
    deadline: float | None,
    sleep: Callable[[float], None],
) -> T:
    """Make an attempt, and others after failures that may heal.

    Parameters
    ----------
    attempt : callable
        What to do.
    retries : int
        How often it is repeated, at most.
    deadline : float or None
        When all must be over, by `time.monotonic`.
    sleep : callable
        Waits so many seconds, or less.

    Raises
    ------
    StoreError
        What the last attempt raised.
    """
    failed: list[Exception] = []
    try:
        return attempt()
    except Exception as error:
        if not may_heal(error):
            raise
        failed.append(error)
    return _retried(attempt, failed, retries, deadline, sleep)


def once(attempt: Callable[[], T]) -> T:
    """Make an attempt; and another at once, if the host had closed an idle connection."""
    try:
        return attempt()
    except Exception as error:
        if not was_dropped(error):
            raise
    return attempt()


def _retried(
    attempt: Callable[[], T],
    failed: list[Exception],
    retries: int,
    deadline: float | None,
    sleep: Callable[[float], None],
) -> T:
    """Go on after a failure, which is taken out of the list lest a frame keep it alive."""
    # It brings asyncio, which takes longer than a request; most need no second attempt.
    import tenacity

    again_and_again = tenacity.Retrying(
        stop=_stop(retries, deadline),
        wait=_wait,
        retry=tenacity.retry_if_exception(may_heal),
        sleep=sleep,
        reraise=True,
    )

    def again() -> T:
        if failed:
            raise failed.pop()
        return attempt()

    return again_and_again(again)


def _stop(retries: int, deadline: float | None) -> Any:
    import tenacity

    attempts = tenacity.stop_after_attempt(retries + 1)

    def stop(state: tenacity.RetryCallState) -> bool:
        if deadline is not None and time.monotonic() + state.upcoming_sleep >= deadline:
            return True
        return attempts(state)

    return stop


def _wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds until the next attempt."""
    import tenacity

    error = state.outcome.exception() if state.outcome else None
    if state.attempt_number == 1 and error is not None and was_dropped(error):
        return 0.0  # an idle connection that the host had closed
    jittered = tenacity.wait_random_exponential(multiplier=0.5, max=_LONGEST_BACKOFF)(state)
    return jittered + (getattr(error, "retry_after", None) or 0.0)
