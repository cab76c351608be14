"""The results, as a table for the terminal and as ``RESULTS.md``."""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .record import Measurement, Record
from .subjects import Subject, Target

__all__ = ["as_markdown", "machine"]

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
    "pyarrow",
    "shapely",
    "numpy",
    "zarr",
]
_SIGNIFICANT = 0.05  # chance below which a difference counts
_UNITS = {"seconds": "time", "cpu": "CPU", "wire": "bytes on the wire", "peak": "memory"}


@dataclass(frozen=True)
class _Outcome:
    """A target and what was reached."""

    what: str
    wanted: str
    reached: str
    is_met: bool


def as_markdown(record: Record, subjects: Sequence[Subject]) -> str:
    """Write what is recorded of some subjects as a document."""
    known = [subject for subject in subjects if subject.name in record.measurements]
    return "\n".join(
        [
            "# What was measured",
            "",
            f"{record.entries:,} entries of eight fields and a large value of {record.value:,} "
            "MiB, by `make bench-full`.  Contenders ran in turn, each in a fresh process; the "
            "figures are medians, and ratios are of medians.  Machines differ: compare ratios, "
            "not times.  Where a chance p stands, a target is missed only by a difference that is "
            f"significant (p < {_SIGNIFICANT}, one-sided Mann-Whitney U test).",
            *(line for day in record.machines for line in ("", f"{day}:", *_listed(record, day))),
            "",
            "## Targets",
            "",
            "| | wanted | reached | |",
            "|---|---|---|---|",
            *(
                f"| {one.what} | {one.wanted} | {one.reached} | {'yes' if one.is_met else 'no'} |"
                for subject in known
                for one in _outcomes(record.measurements[subject.name], subject)
            ),
            "",
            "## Figures",
            "",
            "| | | time | CPU | bytes on the wire | peak memory | grown by | measured on |",
            "|---|---|---:|---:|---:|---:|---:|---|",
            *(
                row
                for subject in known
                for row in _rows(record.measurements[subject.name], subject)
            ),
            "",
            "CPU, bytes (both ways over loopback, heads of packets included, where nothing else is "
            "said) and memory are of the measured part alone, where they were measured.",
            "",
        ]
    )


def _listed(record: Record, day: str) -> Iterator[str]:
    yield ""
    yield from (f"- {line}" for line in record.machines[day])


def machine(server: str) -> list[str]:
    """Return what is known of this machine, and the versions of what runs on it.

    Parameters
    ----------
    server : str
        The name of the server that serves the sites.
    """
    return [
        f"{platform.system()} {platform.machine()}, {_processor()}, {_memory()}",
        f"Python {platform.python_version()}, served by {server}",
        ", ".join(_versions()),
    ]


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


def _outcomes(measurement: Measurement, subject: Subject) -> Iterator[_Outcome]:
    medians = measurement.medians
    for target in subject.targets:
        peers = [peer for peer in target.peers if peer in medians]
        if target.contender in medians and (peers or target.peer is None):
            yield _outcome(measurement, subject, target, peers)


def _outcome(
    measurement: Measurement, subject: Subject, target: Target, peers: list[str]
) -> _Outcome:
    medians = measurement.medians
    ours = medians[target.contender][target.figure]
    what = f"{subject.title}: {target.contender}"
    if not peers:
        shown = _shown(target.figure, ours)
        return _Outcome(
            what, f"≤ {_shown(target.figure, target.bound)}", shown, ours <= target.bound
        )
    theirs, peer = min((medians[peer][target.figure], peer) for peer in peers)
    ratio = theirs / max(ours, 1e-9)
    kind = "x" if target.figure == "seconds" else f"x less {_UNITS[target.figure]}"
    among = f", the best of {len(peers)}" if len(peers) > 1 else ""
    wanted = f"{round(target.bound, 2):,g} {kind} against {peer}{among}"
    reached, is_met = f"{ratio:,.{1 if ratio >= 10 else 2}f} x", ratio >= target.bound
    if peer in measurement.chances:
        chance = measurement.chances[peer]
        wanted += f", p < {_SIGNIFICANT}"
        reached += f", p = {chance:.2g}"
        is_met = is_met or chance >= _SIGNIFICANT
    return _Outcome(what, wanted, reached, is_met)


def _rows(measurement: Measurement, subject: Subject) -> Iterator[str]:
    title, day = subject.title, measurement.day
    for contender, found in measurement.medians.items():
        cells = [
            _shown(name, found[name]) if name in found else ""
            for name in ("seconds", "cpu", "wire", "peak", "grown")
        ]
        yield f"| {title} | {contender} | {' | '.join(cells)} | {day} |"
        title = day = ""


def _shown(figure: str, value: float) -> str:
    if figure in ("seconds", "cpu"):
        for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
            if abs(value) >= size:
                return f"{value / size:,.3g} {unit}"
        return f"{value / 1e-9:,.3g} ns"
    if figure == "requests":
        return f"{value:,.0f} request{'' if value == 1 else 's'}"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(value) >= scale:
            return f"{value / scale:,.3g} {unit}"
    return f"{value:,.0f} B"
