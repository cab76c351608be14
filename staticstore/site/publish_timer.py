"""When a watched site is published, and which of its files are looked at."""

from __future__ import annotations

from collections.abc import Collection

from .. import tuning

__all__ = ["PublishTimer", "TouchedPaths"]


class PublishTimer:
    """Decides when to publish: at once, and after changes.  All times in seconds.

    Examples
    --------
    >>> timer = PublishTimer(600.0)
    >>> timer.is_due(changed=False, now=0.0)
    True
    >>> timer.published(failed=False, now=1.0)
    >>> [timer.is_due(changed=now < 3.0, now=now) for now in (2.0, 2.4, 2.8, 3.0)]
    [False, False, False, False]
    >>> timer.is_due(changed=False, now=3.3)
    True
    """

    def __init__(self, rescan: float) -> None:
        self._rescan = rescan
        self._due: float | None = None  # None before the first publish
        self._first: float | None = None  # time of the first change since the last publish
        self._last = 0.0

    def is_due(self, *, changed: bool, now: float) -> bool:
        """Record whether something has changed; return whether to publish now."""
        if changed:
            self._first = now if self._first is None else self._first
            self._last = now
        if self._due is None or now >= self._due:
            return True
        if self._first is None:
            return False
        is_quiet = now - self._last >= tuning.WATCH_QUIET_SECONDS
        return is_quiet or now - self._first >= tuning.WATCH_LONGEST_SECONDS

    def published(self, *, failed: bool, now: float) -> None:
        """Record that a publish has ended."""
        self._first = None
        pause = min(tuning.WATCH_RETRY_SECONDS, self._rescan) if failed else self._rescan
        self._due = now + pause


class TouchedPaths:
    """Collects the paths at which something has changed since the last publish."""

    def __init__(self, rescan: float) -> None:
        self._rescan = rescan  # seconds
        self._paths: set[str] | None = None  # None for all
        self._next = 0.0  # when to look at all files again

    def add(self, paths: Collection[str] | None) -> None:
        """Add paths; None if anything may have changed."""
        if paths is None:
            self._paths = None
        elif self._paths is not None:
            self._paths.update(paths)

    def take(self, now: float) -> set[str] | None:
        """Return the paths, and collect anew; None if all files are to be looked at."""
        paths, self._paths = self._paths, set()
        if paths and now < self._next:
            return paths
        self._next = now + self._rescan
        return None
