"""What is measured: in each module, a list of `SUBJECTS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

__all__ = ["MODULES", "CannotRun", "Figures", "Measured", "Place", "Run", "Subject", "Target"]

#: The modules, in the order of the report.
MODULES = (
    "connect",
    "polls",
    "signatures",
    "interpreter",
    "window",
    "queries",
    "views",
    "predicates",
    "tables",
    "signals",
    "parsing",
    "formats",
    "imports",
    "values",
    "many",
    "connections",
    "awaited",
    "ranges",
    "compression",
    "tasks",
    "columns",
    "arrays",
    "channels",
    "file_systems",
    "mirrors",
    "publishes",
    "stac",
)

#: What was measured, by name: ``seconds``, ``cpu``, ``wire``, ``peak``, ``grown``, ``requests``.
Figures = dict[str, float]


class CannotRun(Exception):
    """A contender cannot run here, for the reason given; the others do."""


class Measured(Protocol):
    """Measures a part of a run."""

    def measuring(self) -> AbstractContextManager[Figures]:
        """Fill a dictionary with figures when the block ends."""

    def per_call(self, call: Callable[[], object], *, least: float = 0.2) -> Figures:
        """Return the seconds of one call."""


class Site(Protocol):
    """A site that shows one state and then another."""

    url: str

    def show(self, state: str) -> None:
        """Show a state."""

    def folder(self, state: str) -> Path:
        """Return the folder of a state."""

    def at(self, state: str) -> str:
        """Return the URL of a state that does not change."""

    def scratch(self) -> Path:
        """Make a folder on the same disk, which is kept until the end."""


@dataclass(frozen=True)
class Place:
    """Where a run takes place."""

    site: Site
    #: The number of entries in the index.
    count: int
    meter: Measured


Run = Callable[[Place], Figures]


@dataclass(frozen=True)
class Target:
    """A target.

    Without a peer, `bound` is the largest figure that ours may reach.  With one, it is
    the factor by which ours must be smaller; with several, smaller than the best of
    those that ran.  A significant target is missed only by a difference that is
    improbable if both are equal: what is no slower is sometimes a little slower.
    """

    contender: str
    figure: str
    bound: float
    peer: str | tuple[str, ...] | None = None
    is_significant: bool = False

    @property
    def peers(self) -> tuple[str, ...]:
        """The peers, of which there may be none."""
        if self.peer is None:
            return ()
        return (self.peer,) if isinstance(self.peer, str) else self.peer


@dataclass(frozen=True)
class Subject:
    """A task that several contenders do."""

    name: str
    title: str
    contenders: dict[str, Run]
    targets: tuple[Target, ...] = ()
    #: The most rounds: what takes encore a minute is not done five times.
    rounds: int = 5
    #: The sites that it needs: with many entries, with values, to copy, with arrays of zarr, or
    #: with indexes of conda.
    sites: Literal["indexes", "values", "copies", "arrays", "channels"] = "indexes"


def flat(subjects: dict[str, list[Subject]]) -> Iterator[tuple[str, Subject, Any]]:
    """Iterate over all targets, each with its module and subject."""
    for module, some in subjects.items():
        for subject in some:
            for target in subject.targets:
                yield module, subject, target
