"""Copies of sites by ours, which verifies them, and by programs that do not.

Each copy has a folder of its own, and is kept until the end: file systems take longer
to make files just after many were removed.
"""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

from ..programs import measured, staticstore
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


def _again(place: Place) -> Figures:
    return measured(
        place, *staticstore("mirror", place.site.at("many"), place.site.folder("many-copy"))
    )


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
        "a mirror of 100,000 values of which nothing has changed",
        {"ours": _again},
        (Target("ours", "seconds", 3.0),),
        rounds=3,
        sites="copies",
    ),
]
