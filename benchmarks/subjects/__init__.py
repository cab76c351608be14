"""What is measured: a module a subject, each with a list of `SUBJECTS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

__all__ = ["MODULES", "CannotRun", "Figures", "Measured", "Place", "Run", "Subject", "Target"]

#: In the order of the report.
MODULES = (
    "connect",
    "polls",
    "interpreter",
    "window",
    "queries",
    "signals",
    "parsing",
    "imports",
    "values",
    "many",
    "ranges",
    "columns",
    "mirrors",
    "publishes",
)

#: What was measured, by name: ``seconds``, ``cpu``, ``wire``, ``peak``, ``grown``.
Figures = dict[str, float]


class CannotRun(Exception):
    """A contender lacks something here, for the reason given; the others run."""


class Measured(Protocol):
    """What measures a part of a run."""

    def measuring(self) -> AbstractContextManager[Figures]:
        """Fill a dictionary when the block ends."""

    def per_call(self, call: Callable[[], object], *, least: float = 0.2) -> Figures:
        """Return the seconds of one call."""


class Site(Protocol):
    """A site that shows one state and then another."""

    url: str

    def show(self, state: str) -> None:
        """Let it show a state."""

    def folder(self, state: str) -> Path:
        """Return the folder of a state."""

    def at(self, state: str) -> str:
        """Return the URL of a state that stays as it is."""

    def scratch(self) -> Path:
        """Make a folder on the same disk, which stays until all is over."""


@dataclass(frozen=True)
class Place:
    """Where a run takes place."""

    site: Site
    #: How many entries the index has.
    count: int
    meter: Measured


Run = Callable[[Place], Figures]


@dataclass(frozen=True)
class Target:
    """What is to be reached.

    Without a peer, `bound` is the most that a figure of ours may have; with
    one, how many times less ours must have; with several, less than the best
    of those that ran.
    """

    contender: str
    figure: str
    bound: float
    peer: str | tuple[str, ...] | None = None


@dataclass(frozen=True)
class Subject:
    """Something that several contenders do."""

    name: str
    title: str
    contenders: dict[str, Run]
    targets: tuple[Target, ...] = ()
    #: How many rounds at most: what takes the ancestor a minute is not done five times.
    rounds: int = 5
    #: Which sites it needs: those with many entries, those with values, or those to copy.
    sites: Literal["indexes", "values", "copies"] = "indexes"


def flat(subjects: dict[str, list[Subject]]) -> Iterator[tuple[str, Subject, Any]]:
    """Iterate over all targets: name of the module, subject, target."""
    for module, some in subjects.items():
        for subject in some:
            for target in subject.targets:
                yield module, subject, target
