"""Count what each recipe of docs/cookbook.md costs: ``python -m benchmarks.cookbook``.

Each recipe runs as it stands, with large files, in a process of its own: with a store of
ours, and with files that fsspec opens by URL.  The bytes and requests are those in the log
of nginx.  The seconds are of another run, over a line whose round trips last 20 ms.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from staticstore import StaticStore
from tests.cookbook.recipes import MAKER, RECIPES, Recipe
from tests.servers import Nginx

from .line import line_to

__all__ = ["CONTENDERS", "SHOWN", "VARIANTS", "Cost", "cost_of"]

#: Seconds that a round trip takes in the second run.
DELAY_SECONDS = 0.02
#: Those whose cost the page shows: they read a part of a large file.
SHOWN = (
    "xarray-day",
    "xarray-point",
    "xarray-point, of the other file",
    "h5py",
    "astropy",
    "numpy",
    "scipy",
    "pandas-parquet",
    "pyarrow-parquet",
    "pyarrow-row-group",
    "pyarrow-feather",
    "pyarrow-orc",
    "polars-pyarrow",
    "duckdb",
    "geopandas-parquet",
    "rasterio-window",
    "rasterio-overview",
    "tifffile-page",
    "tifffile-window",
    "zarr-zip",
    "zipfile",
    "tarfile",
    "gzip",
    "wave",
    "soundfile",
)
#: A recipe with another file: its name, and the two files.
VARIANTS = {"xarray-point, of the other file": ("xarray-point", "by-point.nc", "by-day.nc")}
_PACKAGES = ("staticstore", "fsspec", "aiohttp", "xarray", "h5py", "pyarrow", "rasterio")


class _Fsspec:
    """Opens keys as fsspec opens URLs: by default, with blocks of 5 MiB in memory."""

    def __init__(self, url: str, **options: Any) -> None:
        self._url, self._options = url, options

    def open(self, key: str) -> Any:
        import fsspec

        return fsspec.open(f"{self._url}data/{quote(key)}", **self._options).open()


#: Makes what a recipe calls `store`, of the root URL of a site.
CONTENDERS: dict[str, Callable[[str], Any]] = {
    "ours": lambda url: StaticStore(url, poll_interval=0).connect(),
    "fsspec": _Fsspec,
    "fsspec, blocks of 64 KiB": lambda url: _Fsspec(
        url, block_size=1 << 16, cache_type="readahead"
    ),
}


class Cost(NamedTuple):
    """What a recipe took of the server, and from start to end."""

    requests: int
    bytes: int
    seconds: float


def cost_of(name: str, contender: str, server: Nginx) -> Cost | str:
    """Run a recipe in a process of its own; return its cost, or why it failed."""
    before = len(server.requests())
    if (took := _run_apart(name, contender, server.url)) is None:
        return "fails"
    answers = [one for one in server.requests()[before:] if "/data/" in unquote(one.target)]
    with line_to(server.url, delay=DELAY_SECONDS) as (url, _):
        took = _run_apart(name, contender, url)
    return Cost(len(answers), sum(one.sent for one in answers), took or 0.0)


def _run_apart(name: str, contender: str, url: str) -> float | None:
    command = [sys.executable, "-m", "benchmarks.cookbook", "--run", name, contender, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name}, {contender}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    seconds: float = json.loads(done.stdout)
    return seconds


def _recipe(name: str) -> Recipe:
    if name not in VARIANTS:
        return RECIPES[name]
    recipe, file, other = VARIANTS[name]
    return replace(RECIPES[recipe], code=RECIPES[recipe].code.replace(file, other))


def _run(name: str, contender: str, url: str) -> None:
    recipe = _recipe(name)
    for library in recipe.libraries:
        importlib.import_module(library)
    store = CONTENDERS[contender](url)
    began = time.perf_counter()
    recipe.run(store, url)
    print(time.perf_counter() - began, flush=True)
    os._exit(0)  # threads of a library may abort the process at a normal exit


def _row(name: str, site: Path, costs: list[Cost | str]) -> str:
    sizes = [(site / "data" / key).stat().st_size for key in _recipe(name).keys]
    cells = [
        cost
        if isinstance(cost, str)
        else f"{_megabytes(cost.bytes)}, {cost.requests}, {cost.seconds:.2g} s"
        for cost in costs
    ]
    return f"| {name} | {_megabytes(sum(sizes))} | {' | '.join(cells)} |"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.3g} MB" if count >= 1e6 else f"{count / 1e3:.3g} kB"


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", help="those to measure; by default those shown")
    parser.add_argument("--site", type=Path, help="where the files are, or are to be kept")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        _run(*asked.run)
        return
    with ExitStack() as stack:
        site = asked.site or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (site / "index.json").exists():
            subprocess.run([sys.executable, MAKER, site, "--large"], check=True)
        server = stack.enter_context(Nginx(site))
        print(", ".join(f"{package} {version(package)}" for package in _PACKAGES))
        print(f"\n| | file | {' | '.join(CONTENDERS)} |")
        print(f"|---|---:|{'---:|' * len(CONTENDERS)}")
        for name in asked.recipes or SHOWN:
            costs = [cost_of(name, contender, server) for contender in CONTENDERS]
            print(_row(name, site, costs), flush=True)


if __name__ == "__main__":
    main()
