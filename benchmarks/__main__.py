"""Run the measurements: ``python -m benchmarks [--entries N] [--rounds N]``."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from staticstore import serve

from .indexes import entries, write_index
from .subjects import CONTENDERS, SUBJECTS

Runs = dict[str, list[dict[str, float]]]


def main() -> None:
    """Measure every subject for every contender in turn, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    table = Table(title=f"{asked.entries:,} entries over loopback, medians of {asked.rounds}")
    table.add_column("subject")
    for name in CONTENDERS:
        table.add_column(name, justify="right")
        table.add_column("peak", justify="right")
    table.add_column("ratio", justify="right")
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        (site / "data").mkdir()
        write_index(site / "index.json", entries(asked.entries))
        with serve(site, port=0) as server:
            for subject in SUBJECTS:
                runs = _measure(subject, site, server.url, asked.entries, asked.rounds)
                table.add_row(subject, *_cells(runs))
    Console().print(table)


def _measure(subject: str, site: Path, root: str, count: int, rounds: int) -> Runs:
    runs: Runs = {name: [] for name in CONTENDERS}
    for _ in range(rounds):
        for name in CONTENDERS:
            command = [sys.executable, "-m", "benchmarks.subjects", subject, name]
            output = subprocess.check_output([*command, str(site), root, str(count)])
            runs[name].append(json.loads(output))
    return runs


def _cells(runs: Runs) -> list[str]:
    medians = {name: statistics.median(run["seconds"] for run in runs[name]) for name in runs}
    cells = []
    for name in runs:
        peak = max(run["peak"] for run in runs[name])
        cells += [f"{medians[name] * 1000:,.3f} ms", f"{peak / 1e6:,.0f} MB"]
    return [*cells, f"{medians['encore'] / medians['ours']:,.1f} x faster"]


if __name__ == "__main__":
    main()
