"""The results, as a table for the terminal and as ``RESULTS.md``."""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .subjects import Figures, Subject, Target

__all__ = ["Results", "as_markdown", "medians", "times_faster"]

_PACKAGES = [
    "staticstore",
    "encore",
    "requests",
    "msgspec",
    "blinker",
    "cachetools",
    "duckdb",
    "polars",
    "orjson",
    "urllib3",
    "obstore",
    "aiohttp",
    "fsspec",
    "pooch",
    "pycurl",
]
_UNITS = {"seconds": "time", "cpu": "CPU", "wire": "bytes on the wire", "peak": "memory"}

#: By subject and contender: what each run measured.
Results = dict[str, dict[str, list[Figures]]]


def medians(runs: list[Figures]) -> Figures:
    """Return the median of each figure."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def times_faster(results: Results, subject: str, ours: str, peer: str) -> float:
    """Return how many times faster ours is."""
    found = results[subject]
    return medians(found[peer])["seconds"] / medians(found[ours])["seconds"]


@dataclass(frozen=True)
class _Outcome:
    """A target and what was reached."""

    what: str
    wanted: str
    reached: str
    is_met: bool


def as_markdown(
    results: Results, subjects: list[Subject], *, count: int, value: int, server: str
) -> str:
    """Write the results as a document."""
    return "\n".join(
        [
            "# What was measured",
            "",
            f"{count:,} entries of eight fields, a large value of {value:,} MiB, on "
            f"{datetime.now(UTC):%Y-%m-%d}, by `make bench-full`.  Contenders ran in turn, each in "
            "a fresh process; the figures are medians, and ratios are of medians.  Machines "
            "differ: compare ratios, not times.",
            "",
            *_machine(server),
            "",
            "## Targets",
            "",
            "| | wanted | reached | |",
            "|---|---|---|---|",
            *(
                f"| {one.what} | {one.wanted} | {one.reached} | {'yes' if one.is_met else 'no'} |"
                for subject in subjects
                for one in _outcomes(results, subject)
            ),
            "",
            "## Figures",
            "",
            "| | | time | CPU | bytes on the wire | peak memory | grown by |",
            "|---|---|---:|---:|---:|---:|---:|",
            *(row for subject in subjects for row in _rows(results, subject)),
            "",
            "CPU, bytes (both ways over loopback, heads of packets included, where nothing else is "
            "said) and memory are of the measured part alone, where they were measured.",
            "",
        ]
    )


def _machine(server: str) -> Iterator[str]:
    yield f"- {platform.system()} {platform.machine()}, {_processor()}, {_memory()}"
    yield f"- Python {platform.python_version()}, served by {server}"
    yield f"- {', '.join(_versions())}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} cores of {names[0]}" if names else "an unknown processor"


def _memory() -> str:
    line = Path("/proc/meminfo").read_text("ascii").splitlines()[0]
    return f"{round(int(line.split()[1]) / (1 << 20))} GiB"


def _versions() -> Iterator[str]:
    for name in _PACKAGES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    if shutil.which("curl") is not None:
        output = subprocess.check_output(["curl", "--version"], text=True)
        yield " ".join(output.split()[:2])


def _outcomes(results: Results, subject: Subject) -> Iterator[_Outcome]:
    found = results[subject.name]
    for target in subject.targets:
        peers = [peer for peer in _peers(target) if peer in found]
        if target.contender in found and (peers or target.peer is None):
            yield _outcome(found, subject, target, peers)


def _peers(target: Target) -> tuple[str, ...]:
    if target.peer is None:
        return ()
    return (target.peer,) if isinstance(target.peer, str) else target.peer


def _outcome(
    found: dict[str, list[Figures]], subject: Subject, target: Target, peers: list[str]
) -> _Outcome:
    ours = medians(found[target.contender])[target.figure]
    what = f"{subject.title}: {target.contender}"
    if not peers:
        shown = _shown(target.figure, ours)
        return _Outcome(
            what, f"≤ {_shown(target.figure, target.bound)}", shown, ours <= target.bound
        )
    theirs, peer = min((medians(found[peer])[target.figure], peer) for peer in peers)
    ratio = theirs / max(ours, 1e-9)
    kind = "x" if target.figure == "seconds" else f"x less {_UNITS[target.figure]}"
    among = f", the best of {len(peers)}" if len(peers) > 1 else ""
    wanted = f"{round(target.bound, 2):,g} {kind} against {peer}{among}"
    return _Outcome(what, wanted, f"{ratio:,.{1 if ratio >= 10 else 2}f} x", ratio >= target.bound)


def _rows(results: Results, subject: Subject) -> Iterator[str]:
    title = subject.title
    for contender, runs in results[subject.name].items():
        found = medians(runs)
        cells = [
            _shown(name, found[name]) if name in found else ""
            for name in ("seconds", "cpu", "wire", "peak", "grown")
        ]
        yield f"| {title} | {contender} | {' | '.join(cells)} |"
        title = ""


def _shown(figure: str, value: float) -> str:
    if figure in ("seconds", "cpu"):
        for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
            if abs(value) >= size:
                return f"{value / size:,.3g} {unit}"
        return f"{value / 1e-9:,.3g} ns"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= scale:
            return f"{value / scale:,.3g} {unit}"
    return f"{value:,.0f} B"
