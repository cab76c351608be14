"""Run the measurements: ``python -m benchmarks``; ``--help`` lists the options."""

from __future__ import annotations

import argparse
import compileall
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

import staticstore
from staticstore import serve
from tests.servers import Nginx, Unavailable

from .chart import chart
from .record import Measurement, Record
from .report import as_markdown, machine
from .subjects import MODULES, Figures, Subject

_RECORD = Path(__file__).with_name("results.json")
_RESULTS = Path(__file__).with_name("RESULTS.md")
_CHART = Path(__file__).parent.parent / "docs" / "benchmarks.svg"

# What the chart in the README shows: subject, our contender, and its label there.
_BARS = (
    ("connect", "ours", "connect, whole index"),
    ("connect-again", "ours, lazy", "connect and look one key up, lazy"),
    ("changes", "ours", "learn of 10 changes"),
    ("query one in five", "ours", "query that finds one in five"),
    ("query unique", "ours", "query that finds one"),
)


def main() -> None:
    """Measure, and print or write the results."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--value", type=int, default=256, metavar="MIB", help="of a large value")
    parser.add_argument("--rounds", type=int, default=5, help="at most; slow subjects have fewer")
    parser.add_argument(
        "--only",
        metavar="SUBJECT",
        action="append",
        help="by its name or that of its module; may be given several times",
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="keep the results in benchmarks/results.json, and write benchmarks/RESULTS.md and "
        "docs/benchmarks.svg from all that are kept",
    )
    asked = parser.parse_args()
    subjects = [
        (module, subject)
        for module in MODULES
        for subject in importlib.import_module(f"benchmarks.subjects.{module}").SUBJECTS
    ]
    chosen = [
        (module, subject)
        for module, subject in subjects
        if asked.only is None or not {module, subject.name}.isdisjoint(asked.only)
    ]
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    record = Record(asked.entries, asked.value, {}, {})
    if asked.write:
        try:  # said before an hour of measurements
            record = Record.read(_RECORD).updated_by(record)
        except ValueError as error:
            parser.error(str(error))
    console = Console()
    # As after an installation by pip; each run is a process of its own.
    compileall.compile_dir(Path(staticstore.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        for sites in sorted({subject.sites for _, subject in chosen}):
            console.print(f"making sites for the {sites} ...")
            _make_apart(sites, folder, asked.entries, asked.value)
        with _served(Path(folder)) as (url, server):
            measurements = {}
            for module, subject in chosen:
                console.print(f"{subject.title} ...")
                rounds = min(asked.rounds, subject.rounds)
                command = [sys.executable, "-m", "benchmarks.process", module, subject.name]
                place = [folder, url, str(asked.entries)]
                runs = _in_turn(command, subject, place, rounds, console)
                measurements[subject.name] = Measurement.of(day, runs, subject.targets)
    new = Record(asked.entries, asked.value, {day: machine(server)}, measurements)
    console.print(Markdown(as_markdown(new, [subject for _, subject in chosen])))
    if asked.write:
        record = record.updated_by(new)
        record.write(_RECORD)
        _RESULTS.write_text(as_markdown(record, [subject for _, subject in subjects]), "utf-8")
        _CHART.write_text(_picture(record), "utf-8")


def _make_apart(sites: str, folder: str, entries: int, mebibytes: int) -> None:
    """Make sites in another process, so that its memory is freed."""
    module, size = {
        "indexes": ("benchmarks.sites", entries),
        "values": ("benchmarks.value_sites", mebibytes << 20),
        "copies": ("benchmarks.copy_sites", mebibytes << 20),
        "arrays": ("benchmarks.array_sites", 0),
        "channels": ("benchmarks.channel_sites", entries),
    }[sites]
    subprocess.run([sys.executable, "-m", module, folder, str(size)], check=True)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a folder by nginx, or by `staticstore.serve` where there is no nginx."""
    try:
        nginx = Nginx(folder).start()
    except Unavailable:
        with serve(folder, port=0) as server:
            yield server.url, "staticstore's own server, for there is no nginx here"
        return
    try:
        yield nginx.url, "nginx on loopback"
    finally:
        nginx.stop()


def _in_turn(
    command: list[str], subject: Subject, place: list[str], rounds: int, console: Console
) -> dict[str, list[Figures]]:
    """Run the contenders in turn, several times, each in its own process."""
    runs: dict[str, list[Figures]] = {name: [] for name in subject.contenders}
    for _ in range(rounds):
        for name in list(runs):
            answer = json.loads(subprocess.check_output([*command, name, *place]))
            if isinstance(answer, str):
                console.print(f"    {name} {answer}")
                del runs[name]
            else:
                runs[name].append(answer)
    return runs


def _picture(record: Record) -> str:
    bars = [
        (name, record.measurements[subject].times_faster(ours, "encore"))
        for subject, ours, name in _BARS
    ]
    return chart(f"Times faster than encore's StaticURLStore, {record.entries:,} entries", bars)


if __name__ == "__main__":
    main()
