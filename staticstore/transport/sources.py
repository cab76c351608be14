"""The sources of values and documents, if a site has several roots."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from ..errors import IndexFormatError, IntegrityError, TransportError
from ..processes import PerProcess
from .arguments import SessionOptions
from .auth import authentication_elsewhere, called
from .root import Root
from .session import Session
from .wire import Wire

__all__ = [
    "PASSED_OVER",
    "Sources",
    "Wholes",
    "anywhere",
    "from_any",
    "least_failing",
    "open_sessions",
]

T = TypeVar("T")
Way = TypeVar("Way")

#: The failures of one root that another root makes up for.
PASSED_OVER = (IntegrityError, IndexFormatError, TransportError)


def open_sessions(roots: Sequence[Root], options: SessionOptions) -> list[Session]:
    """Open a session for each root; secrets go to the first one's origin only.

    Raises
    ------
    TypeError, ValueError, StoreError
        As `Session`.
    """
    own = options._replace(auth=called(options.auth))
    wires = PerProcess(Wire, after_fork=Wire.after_fork)
    sessions = []
    for root in roots:
        of_root = own
        if root is not roots[0] and (root.is_local or not root.shares_origin(roots[0].url)):
            auth = authentication_elsewhere(own.auth, root)
            of_root = own._replace(auth=auth, headers=None, cert=None)
        sessions.append(Session(root, of_root, wires=wires, is_alone=len(roots) == 1))
    return sessions


class Wholes(Protocol):
    """Values read whole to serve parts of them: `copies.WholeValues`.

    Any thread may use it.
    """

    def has(self, sha256: str | None) -> bool:
        """Return whether the value with that digest was read before."""
        ...

    def target_of(self, target: Any) -> Any | None:
        """Return the value's copy as a target; None if it is too large."""
        ...


class Sources(NamedTuple):
    """The sessions of all roots, in the order of their preference."""

    #: Roots with the same snapshot: parts of values can be read from them.
    alike: tuple[Session, ...]
    #: Others, behind it or ahead: only whole values, verified by their digests.
    unlike: tuple[Session, ...] = ()
    #: Values that were read whole from these.
    wholes: Wholes | None = None

    @property
    def is_one(self) -> bool:
        """Whether there is a single root."""
        return len(self.alike) + len(self.unlike) == 1

    @property
    def session(self) -> Session:
        """The session of the first root that is not failing."""
        return self.alike[0] if len(self.alike) == 1 else least_failing(self.alike)[0]


def least_failing(sessions: Sequence[Session]) -> list[Session]:
    """Order sessions: healthy first, each group in order of preference."""
    return sorted(sessions, key=lambda session: session.is_failing)


def anywhere(
    sessions: Sequence[Session], read: Callable[[Session], T], deadline: float | None = None
) -> T:
    """Read from the first root that succeeds, and retry if all fail for now.

    Parameters
    ----------
    sessions : sequence of Session
        Those of all roots, at least one.
    read : callable
        Reads from one of them.
    deadline : float, optional
        When all must be over, by `time.monotonic`.

    Raises
    ------
    IntegrityError, TransportError
        The first root's error, if all fail.
    """
    if len(sessions) == 1:
        return read(sessions[0])
    return sessions[0].repeated(lambda: from_any(least_failing(sessions), read), deadline)


def from_any(ways: Sequence[Way], read: Callable[[Way], T]) -> T:
    """Read from the first root that gives neither an error nor None.

    Raises
    ------
    IntegrityError, IndexFormatError, TransportError
        The first root's error, if all fail.
    """
    first, *others = ways

    def read_elsewhere() -> T | None:
        for other in others:
            with contextlib.suppress(*PASSED_OVER):
                found = read(other)
                if found is not None:
                    return found
        return None

    try:
        found = read(first)
    except PASSED_OVER:
        elsewhere = read_elsewhere()
        if elsewhere is None:
            raise
        return elsewhere
    if found is not None:
        return found
    elsewhere = read_elsewhere()
    return found if elsewhere is None else elsewhere
