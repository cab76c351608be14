"""Where the values of one snapshot can be had, if a site has several roots."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from ..errors import IndexFormatError, IntegrityError, TransportError
from ..processes import PerProcess
from .auth import Credentials, authentication_elsewhere, called
from .root import Origins, Root
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

#: What a root may answer with that another root makes up for.
PASSED_OVER = (IntegrityError, IndexFormatError, TransportError)


def open_sessions(
    roots: Sequence[Root],
    *,
    auth: Credentials = None,
    proxies: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    verify: bool | str | os.PathLike[str] = True,
    cert: str | tuple[str, str] | None = None,
    timeout: float | tuple[float, float] = (5.0, 30.0),
    retries: int = 4,
    min_rate: float = 1024,
    origins: Origins = "own",
    hint: str | None = None,
) -> list[Session]:
    """Return a session for each root; what is secret is for the first one's origin only.

    The parameters, and what is raised, are as in `Session`.
    """
    auth = called(auth)
    wires = PerProcess(Wire, after_fork=Wire.after_fork)
    sessions = []
    for root in roots:
        is_own = root is roots[0] or (not root.is_local and root.shares_origin(roots[0].url))
        sessions.append(
            Session(
                root,
                auth=auth if is_own else authentication_elsewhere(auth, root),
                proxies=proxies,
                headers=headers if is_own else None,
                verify=verify,
                cert=cert if is_own else None,
                timeout=timeout,
                retries=retries,
                min_rate=min_rate,
                origins=origins,
                wires=wires,
                is_alone=len(roots) == 1,
                hint=hint,
            )
        )
    return sessions


class Wholes(Protocol):
    """What reads values whole, so that parts can be cut out of them; for any thread."""

    def has(self, sha256: str | None) -> bool:
        """Return whether a value of that digest was read before."""
        ...

    def target_of(self, target: Any) -> Any | None:
        """Return where a value was put, read now if need be; None if it is too large."""
        ...


class Sources(NamedTuple):
    """The sessions of all roots, in the order of their preference."""

    #: Roots of the very snapshot: any part of a value can be had from them.
    alike: tuple[Session, ...]
    #: Others, behind it or ahead: a value from there is told by its digest alone.
    unlike: tuple[Session, ...] = ()
    #: What was read whole from these, so that parts can be cut out of it.
    wholes: Wholes | None = None

    @property
    def is_one(self) -> bool:
        """Whether there is a single root."""
        return len(self.alike) + len(self.unlike) == 1

    @property
    def session(self) -> Session:
        """The way to the first root that is not failing."""
        return self.alike[0] if len(self.alike) == 1 else least_failing(self.alike)[0]


def least_failing(sessions: Sequence[Session]) -> list[Session]:
    """Return the sessions in order, but those last that are failing."""
    return sorted(sessions, key=lambda session: session.is_failing)


def anywhere(
    sessions: Sequence[Session], read: Callable[[Session], T], deadline: float | None = None
) -> T:
    """Read from the first root that gives what is wanted, and again if all fail for now.

    Parameters
    ----------
    sessions : sequence of Session
        The ways to all roots, one at least.
    read : callable
        Reads from one of them.
    deadline : float, optional
        When all must be over, by `time.monotonic`.

    Raises
    ------
    IntegrityError, TransportError
        What the first root raised, if none gives it.
    """
    if len(sessions) == 1:
        return read(sessions[0])
    return sessions[0].repeated(lambda: from_any(least_failing(sessions), read), deadline)


def from_any(ways: Sequence[Way], read: Callable[[Way], T]) -> T:
    """Read from the first root that gives what is wanted, and not an error or None.

    Raises
    ------
    IntegrityError, IndexFormatError, TransportError
        None does; what the first raised.
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
