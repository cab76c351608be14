"""A site as a file system of fsspec: listing directories, and reading many small parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..fetchers import fsspec_client
from ..stores import connect_ours
from . import Figures, Place, Subject, Target
from .many import _fetch, with_fast
from .ranges import _fetched

__all__ = ["SUBJECTS"]

_AT_ONCE = 32  # of the peer, which waits for fewer than this at a time


def _files(root: str) -> Any:
    from staticstore.interop.fsspec import StaticStoreFileSystem

    return StaticStoreFileSystem(root, skip_instance_cache=True)


@contextmanager
def _ours(root: str, at_once: int = 0) -> Iterator[Callable[[Any], Any]]:
    files = _files(root)
    files.cat_ranges(files.find("")[:1], 0, 1)  # connects, and imports all

    def fetch(pieces: Any) -> Any:
        keys = [piece.path.removeprefix("data/") for piece in pieces]
        if pieces[0].end is None:
            found = files.cat(keys)
            return [found[key] for key in keys]
        starts, ends = [piece.start for piece in pieces], [piece.end for piece in pieces]
        return files.cat_ranges(keys, starts, ends)

    yield fetch


def _listed(place: Place) -> Figures:
    place.site.show("first")
    files = _files(place.site.url)
    top = files.ls("", detail=False)[0]
    folder = files.ls(top, detail=False)[0]
    assert len(files.ls(folder)) > 1
    return place.meter.per_call(lambda: files.ls(folder))


def _listed_first(place: Place) -> Figures:
    from staticstore.interop.file_systems.directories import Directories

    place.site.show("first")
    index = connect_ours(place.site.url).index
    folder = Directories(index).level("")[0]["name"]
    folder = Directories(index).level(folder)[0]["name"]
    return place.meter.per_call(lambda: Directories(index).level(folder))


SUBJECTS = [
    Subject(
        "file-system",
        "fsspec: list one directory of a site",
        {"ours": _listed, "ours, the first time": _listed_first},
        (Target("ours", "seconds", 1e-3),),
        rounds=3,
    ),
    Subject(
        "file-system-many",
        "fsspec: 2,000 values of 1 KiB by `cat`",
        {
            "ours, with `fast`": with_fast(_fetch(_ours, _AT_ONCE)),
            "fsspec, http": _fetch(fsspec_client, _AT_ONCE),
        },
        (Target("ours, with `fast`", "seconds", 1, "fsspec, http"),),
        sites="values",
    ),
    Subject(
        "file-system-ranges",
        "fsspec: 2,000 ranges of 1 KiB in 256 MiB by `cat_ranges`",
        {
            "ours, with `fast`": with_fast(_fetched(_ours)),
            "fsspec, http": _fetched(lambda root: fsspec_client(root, _AT_ONCE)),
        },
        (Target("ours, with `fast`", "seconds", 1, "fsspec, http"),),
        sites="values",
    ),
]
