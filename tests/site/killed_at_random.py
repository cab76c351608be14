"""Kills real mirrors and publishes by ``kill -9`` after random times, and looks what is left.

Run as ``python -m tests.site.killed_at_random [COUNT]``.  Where `tests.killing` is
at each system call once, this one is in the kernel, between threads, or in the
middle of a file; it takes minutes.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from staticstore import StaticStore, mirror, publish, verify_site
from tests.servers import Nginx

__all__ = ["Tally", "killed_mirrors", "killed_publishes"]

_SMALL, _LARGE = 400, 3  # values
# Of the time that a run takes if nobody else has work to do.
_STARTING = 0.3  # it imports modules
_ENDED = 1.1


class Tally(NamedTuple):
    """What was found at some instants."""

    instants: int
    #: At which there was no index yet, the old one, and the new one.
    nothing: int
    old: int
    new: int
    #: At which values were newer than the index said.
    torn: int


def killed_mirrors(count: int, folder: Path) -> Tally:
    """Kill mirrors, every second of them the first into its folder.

    Raises
    ------
    AssertionError
        A copy cannot be read, has a value that was never right, or is not
        brought to the origin's bytes by the next run.
    """
    site = folder / "site"
    _fill(site, range(_SMALL + _LARGE), b"old")
    publish(site)
    with StaticStore(site, poll_interval=0) as store:
        mirror(store, folder / "template")
    old = (site / "index.json").read_bytes()
    _fill(site, range(100, _SMALL + _LARGE + 50), b"new")
    publish(site, pack=True)
    (folder / "nothing").mkdir()

    def check(copy: Path) -> bool:
        with StaticStore(web.url, poll_interval=0) as store:
            torn = _newer_than_said(copy, site)
            assert not mirror(store, copy).failed
        for name in ("index.json", "index.head.json"):
            assert (copy / name).read_bytes() == (site / name).read_bytes()
        assert verify_site(copy).wrong == []
        return torn

    with Nginx(site) as web:
        templates = [folder / "template", folder / "nothing"]
        return _killed(count, folder, templates, ["mirror", web.url], old, check)


def killed_publishes(count: int, folder: Path) -> Tally:
    """Kill publishes of a site of which a part has changed; as `killed_mirrors`."""
    site = folder / "template"
    _fill(site, range(_SMALL + _LARGE), b"old")
    publish(site)
    old = (site / "index.json").read_bytes()
    _fill(site, range(100, _SMALL + _LARGE + 50), b"new")

    def check(copy: Path) -> bool:
        _newer_than_said(copy, site)  # its data were changed before
        publish(copy, pack=True)
        assert _said(copy) == {key: _sha256(path) for key, path in _values(site)}
        report = verify_site(copy)
        assert (report.wrong, report.extra) == ([], [])
        return False

    return _killed(count, folder, [site], ["publish", "--pack"], old, check)


def _killed(
    count: int,
    folder: Path,
    templates: list[Path],
    command: list[str],
    old: bytes,
    check: Callable[[Path], bool],
) -> Tally:
    copy = folder / "copy"
    found = {"nothing": 0, "old": 0, "new": 0}
    torn = 0
    shortest = math.inf
    for number in range(-len(templates), count):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(templates[number % len(templates)], copy)
        began = time.monotonic()
        run = subprocess.Popen(
            [sys.executable, "-m", "staticstore", *command, copy, "--quiet"],
            stdout=subprocess.DEVNULL,
        )
        if number < 0:  # to learn how long it takes
            assert run.wait() == 0
            shortest = min(shortest, time.monotonic() - began)
            continue
        time.sleep(random.uniform(_STARTING, _ENDED) * shortest)
        run.kill()
        run.wait()
        index = copy / "index.json"
        state = "nothing" if not index.exists() else "new"
        found["old" if index.exists() and index.read_bytes() == old else state] += 1
        torn += check(copy)
    return Tally(count, **found, torn=torn)


def _fill(site: Path, numbers: range, what: bytes) -> None:
    for number in numbers:
        path = site / "data" / str(number % 7) / f"{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%s %d " % (what, number) * (300 if number >= _LARGE else 200_000))


def _newer_than_said(copy: Path, site: Path) -> bool:
    """Tell whether values are newer than the index says; it opens, and none is anything else."""
    if not (copy / "index.json").exists():
        return False
    newer = [key for key, said in _said(copy).items() if _sha256(copy / "data" / key) != said]
    assert all(_sha256(copy / "data" / key) == _sha256(site / "data" / key) for key in newer)
    return bool(newer)


def _said(site: Path) -> dict[str, str | None]:
    with StaticStore(site, poll_interval=0) as store:
        return {key: store[key].sha256 for key in store}


def _values(site: Path) -> list[tuple[str, Path]]:
    data = site / "data"
    paths = (path for path in data.rglob("*") if path.is_file())
    return [(path.relative_to(data).as_posix(), path) for path in paths]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Kill so many of each, and print what was found."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    os.fsync = lambda fd: None  # of what is checked here; the killed ones do sync
    for killing in (killed_mirrors, killed_publishes):
        with tempfile.TemporaryDirectory() as folder:
            print(killing.__name__, killing(count, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
