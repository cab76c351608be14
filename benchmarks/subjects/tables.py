"""Tables: the whole index as a table of Arrow, and a query of its Parquet file by URL."""

from __future__ import annotations

from typing import Any

from ..stores import a_key, connect_ours
from . import Figures, Place, Subject, Target

__all__ = ["SUBJECTS"]

# The table itself, and 150 MB: of a million entries it has 230 MB.
_MOST_BYTES = 380_000_000
# Of 78 MB.
_MOST_WIRE_BYTES = 8_000_000


def _ours(place: Place) -> Figures:
    import pyarrow.json  # imported before, as in a program that makes several

    assert pyarrow.json
    index = _checked(place)
    with place.meter.measuring() as figures:
        assert index.to_arrow().num_columns == 9
    return figures


def _arrow(place: Place) -> Figures:
    import pyarrow as pa
    from pyarrow import json

    lines = _lines(_checked(place))
    with place.meter.measuring() as figures:
        assert json.read_json(pa.BufferReader(lines)).num_columns == 8
    return figures


def _keys_by_url(place: Place) -> Figures:
    import polars

    from staticstore.site.publishing.table_file import parquet_of

    folder = place.site.scratch()
    (folder / "index.parquet").write_bytes(parquet_of(_checked(place).to_arrow()))
    url = f"{place.site.at(folder.name)}index.parquet"
    first = a_key(place.count)
    is_near = (polars.col("key") >= first) & (polars.col("key") <= f"{first}~")
    with place.meter.measuring() as figures:
        assert polars.scan_parquet(url).filter(is_near).select("key", "size").collect().height
    return figures


def _checked(place: Place) -> Any:
    """Return a snapshot that is checked, as that of a store is soon after it was fetched."""
    place.site.show("first")
    return connect_ours(place.site.url).index.checked()


def _lines(index: Any) -> bytes:
    """Return the entries as JSON lines, without their keys."""
    return b"\n".join(bytes(index.raw(key)) for key in index)


SUBJECTS = [
    Subject(
        "to_arrow",
        "the whole index as a table",
        {"ours": _ours, "pyarrow.json.read_json of the same lines": _arrow},
        (
            Target("ours", "seconds", 1 / 2.5, "pyarrow.json.read_json of the same lines"),
            Target("ours", "grown", _MOST_BYTES),
        ),
        rounds=7,
    ),
    Subject(
        "table-url",
        "a query of the index as a Parquet file, by its URL",
        {"polars": _keys_by_url},
        (Target("polars", "wire", _MOST_WIRE_BYTES),),
        rounds=3,
    ),
]
