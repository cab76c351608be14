"""What followers share that send their requests by sessions of their own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...transport.http.wire import Deadline

if TYPE_CHECKING:
    from ...index.freshness import Freshness
    from ...transport.http.session import Session

__all__ = ["DirectFollower"]


class DirectFollower:
    """Base of followers that send requests by sessions of their own.

    One poll at a time calls `fetch`, `part` or `whole`, any thread the other methods.  Every
    call ends when the session's wire is cut.

    Parameters
    ----------
    sessions : sequence of Session
        One for each root.
    freshness : Freshness
        What the first root has said before; also an attribute.
    max_bytes : int
        The most bytes that an index may have; also an attribute.
    seconds : float
        Time limit of one fetch.
    owns_sessions : bool, optional
        Whether `close` cuts the sessions.

    Attributes
    ----------
    session : Session
        That of the first root.
    trouble, checks
        As in `Follower`.
    """

    trouble = None
    checks = True

    def __init__(
        self,
        sessions: Sequence[Session],
        *,
        freshness: Freshness,
        max_bytes: int,
        seconds: float,
        owns_sessions: bool = True,
    ) -> None:
        self.session = sessions[0]
        self.freshness = freshness
        self.max_bytes = max_bytes
        self._sessions = tuple(sessions)
        self._seconds = seconds
        self._owns_sessions = owns_sessions

    @property
    def cut(self) -> threading.Event:
        """Set when the connections are cut."""
        return self.session.wire.cut

    def serve(self, owner: object) -> None:
        """Send the requests in the name of `owner`, which is not kept alive."""
        if self._owns_sessions:  # else in the names of those that share them
            self.session.wire.owners.add(owner)

    def close(self) -> None:
        """Cut the connections to all roots, if they are its own; never blocks."""
        if self._owns_sessions:
            for session in self._sessions:
                session.close()

    def _deadline(self, seconds: float | None) -> Deadline:
        # What a caller waits for at most is a lower limit, which does not grow.
        if seconds is None:
            return Deadline(self._seconds)
        return Deadline(min(self._seconds, seconds), grows=False)
