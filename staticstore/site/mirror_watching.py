"""Copies that follow their site: a mirror whenever the site changes."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from ..client.store import StaticStore
from ..errors import AuthorizationError, NotConnectedError, StoreError, TransportError
from ..signals import index_updated, poll_failed
from .guards import RefusedError
from .mirror import MirrorReport

__all__ = ["mirror_watching"]

_TICK_SECONDS = 0.1  # between two checks whether to stop


def mirror_watching(
    store: StaticStore,
    run: Callable[[], MirrorReport],
    *,
    retry: float = 60.0,
    stop: threading.Event | None = None,
) -> Iterator[MirrorReport | StoreError]:
    """Mirror a site now, and again whenever its index changes.

    Once there is a copy, errors are yielded and not raised: hosts come back, and
    broken indexes are repaired.  Before that, only a host that cannot be reached and
    a guard that refuses are waited for.

    Parameters
    ----------
    store : StaticStore
        The site, connected.  Its polls find the changes.
    run : callable
        Mirrors the store once, such as ``lambda: mirror(store, "copy", delete=True)``.
    retry : float, optional
        Seconds until the next run, without any change, after one that failed or in
        which values failed.
    stop : threading.Event, optional
        Ends the iteration when set: within a tenth of a second, or when the current
        run is done.

    Yields
    ------
    MirrorReport or StoreError
        The report of each run, or why a run or a poll failed.  The same failure is
        yielded once until the site has been read again.

    Raises
    ------
    StoreError
        The first copy cannot be made, and waiting would not help.
    NotConnectedError
        The store is not connected, or was disconnected.

    Notes
    -----
    All work is done in the iterating thread.  Changes while the caller does something
    else lead to one run.

    Examples
    --------
    >>> import tempfile
    >>> from staticstore import mirror
    >>> with tempfile.TemporaryDirectory() as copy:
    ...     outcomes = mirror_watching(sample_store, lambda: mirror(sample_store, copy))
    ...     next(outcomes).fetched
    16
    """
    stop = threading.Event() if stop is None else stop
    changed = threading.Event()
    failures: deque[StoreError] = deque(maxlen=1)  # only the newest one is worth reporting

    def on_update(sender: object, **_: object) -> None:
        changed.set()

    def on_failure(sender: object, *, error: StoreError) -> None:
        failures.append(error)

    has_copied = False
    yielded: object = None
    with (
        index_updated.connected_to(on_update, sender=store),
        poll_failed.connected_to(on_failure, sender=store),
    ):
        while not stop.is_set():
            changed.clear()
            try:
                report = run()
            except StoreError as error:
                if isinstance(error, NotConnectedError) or not (has_copied or _may_pass(error)):
                    raise
                failures.append(error)
                seconds = retry
            else:
                has_copied, yielded = True, None
                yield report
                seconds = _seconds_after(report, retry)
            for failure in _failures_until(changed, seconds, store, failures, stop):
                if (identity := _identity(failure, store)) != yielded:
                    yielded = identity
                    yield failure


def _may_pass(error: StoreError) -> bool:
    if isinstance(error, AuthorizationError):
        return False
    return isinstance(error, RefusedError | TransportError)


def _seconds_after(report: MirrorReport, retry: float) -> float:
    """Return the seconds until the next run if the index does not change."""
    if report.newer:
        return 0.0
    # Missing values may be uploaded without a new index; an older answer may be a stale cache.
    return retry if report.failed or report.older else math.inf


def _failures_until(
    changed: threading.Event,
    seconds: float,
    store: StaticStore,
    failures: deque[StoreError],
    stop: threading.Event,
) -> Iterator[StoreError]:
    """Yield failures until it is time for the next run."""
    end = time.monotonic() + seconds
    while True:
        while failures:
            yield failures.popleft()
        left = end - time.monotonic()
        if left <= 0 or stop.is_set() or not store.is_connected():
            return
        if changed.wait(min(left, _TICK_SECONDS)):
            return


def _identity(error: StoreError, store: StaticStore) -> object:
    """Return what is equal for two failures of which one is to be yielded."""
    if isinstance(error, RefusedError):
        return "refused", error.guard  # the numbers in the message change with each index
    return store.info()["last_success"], str(error)
