"""Views: queries over two joined stores with many keys in common."""

from __future__ import annotations

import contextlib
from typing import Any

from ..indexes import entries
from . import Figures, Place, Subject

__all__ = ["SUBJECTS"]

_WANTED = "vector"  # one in five


def _halves(count: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first two thirds of the entries, and the last two."""
    items = list(entries(count).items())
    third = count // 3
    return dict(items[: 2 * third]), dict(items[third:])


def _ours(place: Place) -> Figures:
    from staticstore import Index
    from staticstore.index.views import Part, ViewIndex

    members = [Index.from_entries(half) for half in _halves(place.count)]
    view = ViewIndex(members, [Part(), Part(rivals=range(1))])
    assert list(view.query_keys(type=_WANTED))
    return place.meter.per_call(lambda: list(view.query_keys(type=_WANTED)))


def _sqlite(place: Place) -> Figures:
    import sqlite3

    with contextlib.closing(sqlite3.connect(":memory:")) as base:
        for name, half in zip("ab", _halves(place.count), strict=True):
            base.execute(f"create table {name} (key text primary key, type text) without rowid")
            rows = ((key, entry["type"]) for key, entry in half.items())
            base.executemany(f"insert into {name} values (?, ?)", rows)
            base.execute(f"create index by_type_{name} on {name} (type, key)")
        ask = (
            "select key from a where type = ?1 union all select key from b where type = ?1"
            " and not exists (select 1 from a where a.key = b.key) order by key"
        )
        return place.meter.per_call(lambda: [key for (key,) in base.execute(ask, (_WANTED,))])


SUBJECTS = [
    Subject(
        "query of a view",
        "two joined stores, one key in five",
        {"ours": _ours, "sqlite3": _sqlite},
        rounds=3,
    )
]
