"""One column of a Parquet file, read without downloading the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from ..line import line_to
from ..stores import connect_ours
from ..value_sites import COLUMN, TABLE
from . import CannotRun, Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

#: Opens the table at a root URL as a seekable file.
Open = Callable[[str], AbstractContextManager[Any]]


def _read(open_file: Open) -> Run:
    def run(place: Place) -> Figures:
        if not (place.site.folder("columns") / "data" / TABLE).exists():
            raise CannotRun("there is no pyarrow that would have made the table")
        from pyarrow import parquet

        place.site.show("columns")
        with line_to(place.site.url) as (url, fetched), open_file(url) as file:
            before = fetched()
            with place.meter.measuring() as figures:
                table = parquet.read_table(file, columns=[COLUMN])
            assert table.column_names == [COLUMN]
            return {**figures, "wire": fetched() - before}

    return run


@contextmanager
def _ours(root: str) -> Iterator[Any]:
    with connect_ours(root) as store, store[TABLE].open() as file:
        yield file


@contextmanager
def _fsspec(root: str) -> Iterator[Any]:
    import fsspec

    with fsspec.filesystem("http").open(f"{root}data/{TABLE}") as file:
        yield file


@contextmanager
def _obstore(root: str) -> Iterator[Any]:
    from obstore.fsspec import FsspecStore  # whose files pyarrow takes, unlike those of obstore

    store = FsspecStore("http", client_options={"allow_http": True})
    with store.open(f"{root}data/{TABLE}") as file:
        yield file


SUBJECTS = [
    Subject(
        "column",
        "one of 4 columns of a Parquet file, 12 MB in 8 row groups",
        {"ours": _read(_ours), "obstore": _read(_obstore), "fsspec": _read(_fsspec)},
        (
            Target("ours", "seconds", 1, ("obstore", "fsspec")),
            Target("ours", "wire", 1.1 * 12_200_000),
        ),
        sites="values",
    ),
]
