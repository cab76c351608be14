"""Publishing with few changes, against `find`; with all files new, against `sha256sum`."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..programs import FIND, find_files, measured, staticstore
from . import Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_SHA256SUM = "sha256sum, a process for each core"
_ONE_SHA256SUM = "sha256sum, one process"
_CORES = os.cpu_count() or 1


def _unchanged(place: Place) -> Figures:
    return measured(place, *staticstore("publish", place.site.folder("many")))


def _one_changed(metadata: str = "", *, touched: bool = False, also: Sequence[str] = ()) -> Run:
    """Publish in a running process after one of all files was replaced.

    With `touched` it is known which one, as under ``--watch``.
    """

    def run(place: Place) -> Figures:
        from staticstore import publish
        from staticstore.site.publisher import PublishOptions, publish_touched

        site = place.site.folder("unpublished-many")
        given = _metadata(metadata, site / "data", place.site.scratch())
        publish(site, metadata=given, also=also)  # also brings what it imports
        path = _replace_one(place, site)
        with place.meter.measuring() as figures:
            paths = [path.relative_to(site / "data").as_posix()] if touched else None
            report = publish_touched(site, paths, PublishOptions(metadata=given, also=also))
        assert len(report.updated) == 1
        return {name: figures[name] for name in ("seconds", "peak")}

    return run


def _watched(place: Place) -> Figures:
    """Return the time from a change, without the rest that is waited, to the new head."""
    from staticstore import tuning
    from staticstore.site.watching import publish_watching

    site = place.site.folder("unpublished-many")
    stop, is_published = threading.Event(), threading.Event()

    def watch() -> None:
        for _ in publish_watching(site, also=[], stop=stop):
            is_published.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        is_published.wait()
        head = site / "index.head.json"
        before = head.stat().st_ino
        _replace_one(place, site)
        began = time.perf_counter()
        while head.stat().st_ino == before:
            time.sleep(0.001)
        return {"seconds": time.perf_counter() - began - tuning.WATCH_QUIET_SECONDS}
    finally:
        stop.set()
        watcher.join()


def _replace_one(place: Place, site: Path) -> Path:
    path = next(path for path in (site / "data").rglob("*") if path.is_file())
    new = place.site.scratch() / "new"
    new.write_bytes(os.urandom(4 << 10))
    os.replace(new, path)  # others have links to the old file
    return path


def _one_of_all_changed(place: Place) -> Figures:
    """Publish in a running process after one of as many files as entries was replaced."""
    from staticstore import publish

    site = _empty_files(place)
    publish(site)  # the first time all of them; also brings what it imports
    _replace_one(place, site)
    with place.meter.measuring() as figures:
        report = publish(site)
    assert len(report.updated) == 1
    return {name: figures[name] for name in ("seconds", "peak")}


def _find_all(place: Place) -> Figures:
    return find_files(_empty_files(place).name)(place)


def _empty_files(place: Place) -> Path:
    """Return the folder of a site of as many files as entries, made at the first use.

    They are empty: a million files of a block each do not fit on every disk.
    """
    scratch = place.site.scratch()
    site = scratch.with_name("empty-files")
    if not site.exists():
        for number in range(place.count):
            folder = scratch / "data" / f"{number // 1000:05}"
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            (folder / f"value-{number:07}.tif").touch()
        scratch.rename(site)
    return site


def _metadata(kind: str, data: Path, folder: Path) -> dict[str, dict[str, Any]] | Path | None:
    keys = (path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())
    rows = {key: {"title": f"The title of {key}", "cloud": at % 100} for at, key in enumerate(keys)}
    if kind != "csv":
        return rows if kind else None
    lines = (f"{key},{row['title']},{row['cloud']}\n" for key, row in rows.items())
    (folder / "metadata.csv").write_text("key,title,cloud\n" + "".join(lines), "utf-8")
    return folder / "metadata.csv"


def _all_new(state: str) -> Run:
    def run(place: Place) -> Figures:
        site = place.site.folder(f"unpublished-{state}")
        for path in site.iterdir():
            if path.is_dir() and path.name != "data":
                shutil.rmtree(path)
            elif path.name != "data":
                path.unlink()
        return measured(place, *staticstore("publish", site))

    return run


def _sha256sum(state: str, at_once: int) -> Run:
    def run(place: Place) -> Figures:
        names = place.site.scratch() / "names"
        data = place.site.folder(f"unpublished-{state}") / "data"
        paths = [path for path in data.rglob("*") if path.is_file()]
        names.write_text("".join(f"{path}\n" for path in paths), "utf-8")
        each = max(min(len(paths) // at_once, 1000), 1)
        return measured(place, "xargs", "-a", names, "-P", at_once, "-n", each, "sha256sum")

    return run


SUBJECTS = [
    Subject(
        "publish-again",
        "100,000 files published of which none has changed",
        {"ours": _unchanged, FIND: find_files("many")},
        (Target("ours", "seconds", 1 / 4, FIND),),
        rounds=3,
        sites="copies",
    ),
    Subject(
        "publish-changed",
        "100,000 files published in a running process after one was replaced",
        {
            "ours": _one_changed(),
            "ours, told which one": _one_changed(touched=True),
            "ours, with all exports": _one_changed(also=("pooch", "sums", "stac", "datapackage")),
            "ours, by --watch, from the end of the rest": _watched,
            "ours, metadata from a CSV file of a row each": _one_changed("csv"),
            "ours, metadata from a mapping of a key each": _one_changed("mapping"),
            FIND: find_files("many"),
        },
        (
            Target("ours", "seconds", 1 / 3, FIND),
            Target("ours, by --watch, from the end of the rest", "seconds", 0.3),
        ),
        sites="copies",
    ),
    Subject(
        "publish-million",
        "as many files as entries published in a running process after one was replaced",
        {"ours": _one_of_all_changed, FIND: _find_all},
        (Target("ours", "seconds", 1 / 4, FIND),),
        sites="copies",
    ),
    Subject(
        "publish-small",
        "100,000 new files of 4 KiB published",
        {
            "ours": _all_new("many"),
            _ONE_SHA256SUM: _sha256sum("many", 1),
            _SHA256SUM: _sha256sum("many", _CORES),
        },
        (
            Target("ours", "seconds", 1 / 2, _ONE_SHA256SUM),
            Target("ours", "seconds", 1 / 2, _SHA256SUM),
        ),
        rounds=3,
        sites="copies",
    ),
    Subject(
        "publish-large",
        "four new large files published",
        {"ours": _all_new("gigabytes"), _SHA256SUM: _sha256sum("gigabytes", _CORES)},
        (Target("ours", "seconds", 1 / 1.3, _SHA256SUM),),
        rounds=3,
        sites="copies",
    ),
]
