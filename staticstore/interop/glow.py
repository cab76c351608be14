"""Which rows glow: those of keys that have just changed, for a second, less and less."""

from __future__ import annotations

from collections import deque
from collections.abc import Set

__all__ = ["Glow"]

_SECONDS = 1.0


class Glow:
    """Keys that were lit, and how strongly they glow at a time.

    Times are seconds of one clock that the caller looks at.  Keys are kept
    by the poll that changed them, so that lighting costs the same for
    one key and for a million.

    Examples
    --------
    >>> glow = Glow()
    >>> glow.light({"a", "b"}, 10.0)
    >>> glow.strength("a", 10.25), glow.strength("c", 10.25), glow.strength("a", 11.5)
    (0.75, 0.0, 0.0)
    >>> glow.is_out(10.75), glow.is_out(11.5)
    (False, True)
    """

    def __init__(self) -> None:
        self._lit: deque[tuple[float, Set[str]]] = deque()  # the newest first

    def light(self, keys: Set[str], now: float) -> None:
        """Let keys glow from now on; they are held and not copied."""
        self._lit.appendleft((now, keys))

    def strength(self, key: str, now: float) -> float:
        """Return how much a key glows, from 1 to 0."""
        since = next((since for since, keys in self._lit if key in keys), None)
        return 0.0 if since is None else max(0.0, 1 - (now - since) / _SECONDS)

    def is_out(self, now: float) -> bool:
        """Tell whether nothing glows any more; what does not is forgotten."""
        while self._lit and now - self._lit[-1][0] >= _SECONDS:
            self._lit.pop()
        return not self._lit
