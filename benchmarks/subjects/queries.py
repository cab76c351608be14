"""Queries: the first of a field, further ones, and those after changes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from ..stores import a_key, connect_encore, connect_ours
from . import Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_FIELDS = ("type", "title", "tile")


def _unique(count: int) -> tuple[str, str]:
    place = a_key(count).partition("/")[0].title()
    return "title", f"Scene {count // 2} of the {place}"


_QUESTIONS: dict[str, Callable[[int], tuple[str, str]]] = {
    "unique": _unique,
    "one in a thousand": lambda count: ("tile", "T007"),
    "one in five": lambda count: ("type", "vector"),
}


def _ours(question: str, changes: int = 0) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("first")
        index = connect_ours(place.site.url).index
        field, value = _QUESTIONS[question](place.count)
        list(index.query_keys(**{field: value}))
        if changes:
            keys = list(index)[:: max(place.count // changes, 1)][:changes]
            index = index.changed_by(dict.fromkeys(keys, b'{"type":"changed"}'))
        found = list(index.query_keys(**{field: value}))
        assert changes or found
        return place.meter.per_call(lambda: list(index.query_keys(**{field: value})))

    return run


def _encore(question: str) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("first")
        store = connect_encore(place.site.url)
        field, value = _QUESTIONS[question](place.count)
        return place.meter.per_call(lambda: list(store.query_keys(**{field: value})), least=1)

    return run


def _rows(place: Place) -> Iterable[tuple[str, ...]]:
    from ..indexes import entries

    return (
        (key, *(entry[field] for field in _FIELDS)) for key, entry in entries(place.count).items()
    )


def _sqlite(question: str) -> Run:
    def run(place: Place) -> Figures:
        import sqlite3

        with contextlib.closing(sqlite3.connect(":memory:")) as base:
            base.execute("create table entries (key text, type text, title text, tile text)")
            base.executemany("insert into entries values (?, ?, ?, ?)", _rows(place))
            field, value = _QUESTIONS[question](place.count)
            base.execute(f"create index by_field on entries ({field}, key)")
            ask = f"select key from entries where {field} = ? order by key"
            return place.meter.per_call(lambda: [key for (key,) in base.execute(ask, (value,))])

    return run


def _duckdb(question: str) -> Run:
    def run(place: Place) -> Figures:
        import duckdb
        import pyarrow

        columns = zip(*_rows(place), strict=True)
        frame = pyarrow.table(dict(zip(("key", *_FIELDS), columns, strict=True)))
        base = duckdb.connect()
        base.register("frame", frame)
        base.execute("create table entries as select * from frame order by key")
        field, value = _QUESTIONS[question](place.count)
        base.execute(f"create index by_field on entries ({field})")
        ask = f"select key from entries where {field} = ?"
        return place.meter.per_call(
            lambda: [key for (key,) in base.execute(ask, [value]).fetchall()]
        )

    return run


def _polars(question: str) -> Run:
    def run(place: Place) -> Figures:
        import polars

        frame = polars.DataFrame(list(_rows(place)), schema=["key", *_FIELDS], orient="row")
        frame = frame.sort("key")
        field, value = _QUESTIONS[question](place.count)
        wanted = polars.col(field) == value
        return place.meter.per_call(lambda: frame.filter(wanted)["key"].to_list())

    return run


def _first(connect: Callable[[str], Any]) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("first")
        store = connect(place.site.url)
        with place.meter.measuring() as figures:
            list(store.query_keys(type="vector"))
        return figures

    return run


def _question(name: str, factor: float) -> Subject:
    return Subject(
        f"query {name}",
        f"a further query: {name}",
        {
            "ours": _ours(name),
            "ours, 10 changes later": _ours(name, 10),
            "ours, 10,000 changes later": _ours(name, 10_000),
            "encore": _encore(name),
            "sqlite3": _sqlite(name),
            "duckdb": _duckdb(name),
            "polars": _polars(name),
        },
        (
            Target("ours", "seconds", factor, "encore"),
            *(Target("ours", "seconds", 1, peer) for peer in ("sqlite3", "duckdb", "polars")),
            Target("ours, 10,000 changes later", "seconds", 20, "encore"),
        ),
        rounds=3,
    )


SUBJECTS = [
    Subject(
        "first query",
        "the first query of a field",
        {"ours": _first(connect_ours), "encore": _first(connect_encore)},
        (Target("ours", "seconds", 0.5, "encore"),),
        rounds=3,
    ),
    _question("unique", 50_000),
    _question("one in a thousand", 5_000),
    _question("one in five", 50),
]
