"""When the index was last known to be current, and what went wrong since."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from .poller import seconds_since_boot

if TYPE_CHECKING:
    from .held import Held
    from .lazy import Partial

__all__ = ["Confirmation"]


class Confirmation:
    """The last success and the last failure of the polls of a store.

    Attributes
    ----------
    error : str or None
        The text of the failure of the last poll; None if it went well.
    """

    def __init__(self) -> None:
        self.error: str | None = None
        # By the clock on the wall, and by one that nobody sets.
        self._success: tuple[float, float] | None = None

    def succeed(self) -> None:
        """Note that the host has confirmed the index, now."""
        self.error = None
        self._success = time.time(), seconds_since_boot()

    def recall(self, when: float) -> None:
        """Note that the host has confirmed the index at a time, in seconds since 1970."""
        age = max(time.time() - when, 0.0)
        self._success = when, seconds_since_boot() - age

    def info(
        self, held: Held | Partial | None, *, root_url: str, is_open: bool, is_doubtful: bool
    ) -> dict[str, Any]:
        """Return the fields of `StaticStore.info` that concern the index.

        Parameters
        ----------
        held : Held, Partial or None
            What is held.
        root_url : str
            The first root.
        is_open : bool
            Whether the store is connected.
        is_doubtful : bool
            Whether the host has said something older more than once in a row.
        """
        from datetime import UTC, datetime

        success, error = self._success, self.error
        is_own = held is None or held.source is None
        return {
            "source": None if held is None else held.source or root_url,
            "generation": None if held is None or held.head is None else held.head.generation,
            "entries": None if held is None else held.entries,
            "last_success": None if success is None else datetime.fromtimestamp(success[0], UTC),
            "age": None if success is None else seconds_since_boot() - success[1],
            "last_error": error,
            "trust": None if held is None else "transport",
            "stale": held is not None
            and (error is not None or not is_open or is_doubtful or not is_own),
            "warnings": [] if held is None else list(held.problems),
        }
