"""Copies of sites by ours, which verifies them, and by programs that do not.

Each copy has a folder of its own, and is kept until the end: file systems take longer
to make files just after many were removed.
"""

from __future__ import annotations

import json
import random
import shutil
import urllib.request
from pathlib import Path

from ..programs import FIND, find_files, measured, staticstore
from . import Figures, Place, Run, Subject, Target
from .many import with_fast

__all__ = ["SUBJECTS"]

_PEERS = ("wget -i", "aria2c -i -j 16")


def _ours(state: str, *, fast: bool = True) -> Run:
    def run(place: Place) -> Figures:
        copy = place.site.scratch()
        figures = measured(place, *staticstore("mirror", place.site.at(state), copy, fast=fast))
        _check(copy / "data", place, state)
        if state == "gigabytes":
            shutil.rmtree(copy)  # few files, but a lot of disk
        return figures

    return run


def _again(changes: int) -> Run:
    """Mirror a site again, of which some values have changed; connecting is not measured."""

    def run(place: Place) -> Figures:
        from staticstore import StaticStore, mirror

        copy, site = place.site.folder("many-copy"), place.site.folder("many")
        with StaticStore(place.site.at("many"), poll_interval=0) as store:
            mirror(store, copy)  # warm
        _change(site, changes)
        with (
            StaticStore(place.site.at("many"), poll_interval=0) as store,
            place.meter.measuring() as figures,
        ):
            report = mirror(store, copy)
        assert report.fetched == changes
        return {"seconds": figures["seconds"]}

    return run


def _change(site: Path, count: int) -> None:
    """Replace some values by others of the same size, and publish them."""
    from staticstore import publish

    for path in random.sample(sorted((site / "data").rglob("*.bin")), count):
        size = path.stat().st_size
        path.unlink()  # another state may have a link to it
        path.write_bytes(random.randbytes(size))
    if count:
        publish(site)


def _wget(place: Place) -> Figures:
    copy = place.site.scratch()
    urls = _listed(place, "mirrored", copy)
    options = ["--quiet", "--force-directories", "--no-host-directories", "--cut-dirs=2"]
    figures = measured(place, "wget", *options, "-P", copy / "data", "-i", urls)
    _check(copy / "data", place, "mirrored")
    return figures


def _aria2c(place: Place) -> Figures:
    copy = place.site.scratch()
    urls = _listed(place, "mirrored", copy)
    figures = measured(place, "aria2c", "--quiet", "-j", 16, "-d", copy / "data", "-i", urls)
    _check(copy / "data", place, "mirrored")
    return figures


def _curl(place: Place) -> Figures:
    return _by_curl(place, "")


def _curl_sync(place: Place) -> Figures:
    return _by_curl(place, " && sync data/*")


def _by_curl(place: Place, then: str) -> Figures:
    copy = place.site.scratch()
    config = copy / "config"
    lines = (f'url = "{url}"\noutput = "{copy}/data/{key}"\n' for key, url in _urls(place))
    config.write_text("".join(lines), "utf-8")
    options = "--silent --no-progress-meter --fail --create-dirs --parallel --parallel-max 4"
    line = f"cd {copy} && curl {options} --config {config} 2>&1{then}"
    figures = measured(place, "sh", "-c", line)
    _check(copy / "data", place, "gigabytes")
    shutil.rmtree(copy)
    return figures


def _urls(place: Place, state: str = "gigabytes") -> list[tuple[str, str]]:
    root = place.site.at(state)
    return [(key, f"{root}data/{key}") for key in _sizes(place, state)]


def _listed(place: Place, state: str, folder: Path) -> Path:
    """Write a file that lists all URLs, as the peers expect it."""
    path = folder / "urls"
    path.write_text("".join(f"{url}\n" for _, url in _urls(place, state)), "utf-8")
    return path


def _sizes(place: Place, state: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{place.site.at(state)}index.json") as answer:
        return {key: entry["size"] for key, entry in json.load(answer).items()}


def _check(data: Path, place: Place, state: str) -> None:
    """Compare the sizes of files with the index; aria2c puts all into one folder."""
    found = {path.name: path.stat().st_size for path in data.rglob("*") if path.is_file()}
    wanted = {Path(key).name: size for key, size in _sizes(place, state).items()}
    assert found == wanted, "not all has come"


SUBJECTS = [
    Subject(
        "mirror",
        "10,000 values of 4 KiB mirrored",
        {
            "ours, packed": _ours("packs"),
            "ours, with `fast`": with_fast(_ours("mirrored")),
            "ours": _ours("mirrored", fast=False),
            "wget -i": _wget,
            "aria2c -i -j 16": _aria2c,
        },
        (
            Target("ours, packed", "seconds", 2, _PEERS),
            Target("ours, with `fast`", "seconds", 1, _PEERS),
        ),
        sites="copies",
    ),
    Subject(
        "mirror-large",
        "four large values mirrored",
        {
            "ours": _ours("gigabytes"),
            "curl, 4 at once": _curl,
            "curl, 4 at once, then sync": _curl_sync,
        },
        (Target("ours", "seconds", 1, "curl, 4 at once"),),
        rounds=3,
        sites="copies",
    ),
    Subject(
        "mirror-again",
        "a mirror of 100,000 values, connected, of which none has changed",
        {"ours": _again(0), FIND: find_files("many-copy")},
        (Target("ours", "seconds", 1 / 3, FIND),),
        rounds=7,
        sites="copies",
    ),
    Subject(
        "mirror-ten",
        "a mirror of 100,000 values, connected, of which ten have changed",
        {"ours": _again(10), FIND: find_files("many-copy")},
        (Target("ours", "seconds", 1 / 4, FIND),),
        rounds=7,
        sites="copies",
    ),
]
