"""Queries with predicates: ranges, boxes, several conditions, and the subscriptions they filter."""

from __future__ import annotations

import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from ..stores import connect_encore, connect_ours
from . import Figures, Place, Run, Subject, Target
from .interpreter import watching

__all__ = ["SUBJECTS"]

_SIZES = 10**9  # of the values, spread evenly
_LOW = _SIZES // 2
_THOUSANDTH = _LOW, _LOW + _SIZES // 1000
_FIFTH = _LOW, _LOW + _SIZES // 5
_PEERS = ("sqlite3", "duckdb", "polars")
_BOX = (8.0, 46.0, 18.7, 51.3)  # has one in a thousand of the boxes

Range = tuple[int, int]


def _changed(index: Any, place: Place, changes: int) -> Any:
    keys = list(islice(index, 0, None, max(place.count // changes, 1)))[:changes]
    return index.changed_by(dict.fromkeys(keys, b'{"size":1,"type":"changed"}'))


# -- ranges ------------------------------------------------------------------------------


def _ours(bounds: Range, *, counts: bool = False, changes: int = 0) -> Run:
    def run(place: Place) -> Figures:
        from staticstore.query import between

        place.site.show("first")
        index, wanted = connect_ours(place.site.url).index, between(*bounds)
        assert list(index.query_keys(size=wanted))
        if changes:
            index = _changed(index, place, changes)
            index.count(size=wanted)
        if counts:
            return place.meter.per_call(lambda: index.count(size=wanted))
        return place.meter.per_call(lambda: list(index.query_keys(size=wanted)))

    return run


def _rows(place: Place) -> Iterable[tuple[str, int]]:
    from ..indexes import entries

    return ((key, entry["size"]) for key, entry in sorted(entries(place.count).items()))


def _sqlite(bounds: Range, *, counts: bool = False) -> Run:
    def run(place: Place) -> Figures:
        import sqlite3

        with contextlib.closing(sqlite3.connect(":memory:")) as base:
            base.execute("create table entries (key text, size integer)")
            base.executemany("insert into entries values (?, ?)", _rows(place))
            base.execute("create index by_size on entries (size, key)")
            where = "from entries where size between ? and ?"
            if counts:
                ask = f"select count(*) {where}"
                return place.meter.per_call(lambda: base.execute(ask, bounds).fetchone())
            ask = f"select key {where} order by key"
            return place.meter.per_call(lambda: [key for (key,) in base.execute(ask, bounds)])

    return run


def _duckdb(bounds: Range, *, counts: bool = False) -> Run:
    def run(place: Place) -> Figures:
        import duckdb
        import pyarrow

        columns = zip(*_rows(place), strict=True)
        frame = pyarrow.table(dict(zip(("key", "size"), columns, strict=True)))
        base = duckdb.connect()
        base.register("frame", frame)
        base.execute("create table entries as select * from frame order by key")
        base.execute("create index by_size on entries (size)")
        where = "from entries where size between ? and ?"
        if counts:
            ask = f"select count(*) {where}"
            return place.meter.per_call(lambda: base.execute(ask, bounds).fetchone())
        ask = f"select key {where} order by key"
        return place.meter.per_call(
            lambda: [key for (key,) in base.execute(ask, bounds).fetchall()]
        )

    return run


def _polars(bounds: Range, *, counts: bool = False) -> Run:
    def run(place: Place) -> Figures:
        import polars

        frame = polars.DataFrame(list(_rows(place)), schema=["key", "size"], orient="row")
        wanted = polars.col("size").is_between(*bounds)
        if counts:
            return place.meter.per_call(lambda: frame.select(wanted.sum()).item())
        return place.meter.per_call(lambda: frame.filter(wanted)["key"].to_list())

    return run


def _first(ask: Callable[[Any], object], connect: Callable[[str], Any]) -> Run:
    def run(place: Place) -> Figures:
        place.site.show("first")
        store = connect(place.site.url)
        with place.meter.measuring() as figures:
            ask(store)
        return figures

    return run


def _first_of_ours(store: Any) -> object:
    from staticstore.query import between

    return list(store.query_keys(size=between(*_THOUSANDTH)))


def _scan(place: Place) -> Figures:
    # encore has equality alone: the same pass over all entries.
    return _first(lambda store: list(store.query_keys(size=_LOW)), connect_encore)(place)


# -- boxes -------------------------------------------------------------------------------


def _boxes(count: int) -> Iterator[tuple[float, float, float, float]]:
    chance = random.Random(3)
    for _ in range(count):
        west, south = chance.uniform(-180, 179), chance.uniform(-90, 89)
        yield west, south, west + chance.uniform(0, 0.5), south + chance.uniform(0, 0.5)


def _keys(count: int) -> list[str]:
    return [f"scene-{number:07}.tif" for number in range(count)]


def _boxes_of_ours(place: Place, *, geo: bool) -> Figures:
    from staticstore import Index
    from staticstore.query import intersects

    if not geo:
        _hide_shapely()
    pairs = zip(_keys(place.count), _boxes(place.count), strict=True)
    index = Index.from_items((key, {"bbox": list(box)}) for key, box in pairs)
    wanted = intersects(*_BOX)
    list(index.query_keys(bbox=wanted))
    assert ("numpy" in sys.modules) == geo
    return place.meter.per_call(lambda: list(index.query_keys(bbox=wanted)))


def _hide_shapely() -> None:
    """Have this process fail to import shapely, as where it is not installed."""
    assert "shapely" not in sys.modules
    sys.modules["shapely"] = None  # type: ignore[assignment]


def _strtree(place: Place) -> Figures:
    import numpy
    import shapely

    keys, sides = _keys(place.count), numpy.array(list(_boxes(place.count)))
    tree, box = shapely.STRtree(shapely.box(*sides.T)), shapely.box(*_BOX)

    def ask() -> list[str]:
        found = tree.query(box)
        found.sort()
        return [keys[position] for position in found.tolist()]

    ask()
    return place.meter.per_call(ask)


# -- several conditions, and an order -----------------------------------------------------


def _three(place: Place) -> Figures:
    from staticstore.query import between, ge, one_of

    place.site.show("first")
    index = connect_ours(place.site.url).index
    thin = between(_LOW, _LOW + _SIZES // 10_000)

    def ask() -> list[str]:
        return list(
            index.query_keys(size=thin, modified=ge("2026-03-01"), type=one_of("raster", "table"))
        )

    assert ask()
    return place.meter.per_call(ask)


# -- subscriptions -----------------------------------------------------------------------


def _subscriptions(place: Place) -> Figures:
    """Announce 100 changes to 1,000 subscriptions with different conditions."""
    import weakref

    from staticstore import Index
    from staticstore.client.telling.subscribers import Subscribers
    from staticstore.client.telling.subscription import Subscription, SubscriptionOptions
    from staticstore.index.changes import diff
    from staticstore.query import between, ge, intersects, one_of
    from staticstore.query.conditions import Conditions

    from ..indexes import changed, entries

    state = entries(1000)
    old, new = Index.from_entries(state), Index.from_entries(changed(state, 100))
    changes, heard = diff(old, new), [0]
    assert len(changes) == 100

    class Store:
        """Something to have subscriptions."""

    def hear(change: object) -> None:
        heard[0] += 1

    store = Store()
    subscribers = Subscribers(weakref.ref(store), lambda: True)
    for number in range(1000):
        size = number * (_SIZES // 1000)
        conditions: list[dict[str, Any]] = [
            {"size": between(size, size + _SIZES // 100)},
            {"tile": f"T{number:03}", "modified": ge("2026-03-01")},
            {"bbox": intersects(number % 180, 0, number % 180 + 1, 1)},
            {"type": one_of("raster", "table"), "size": ge(size)},
        ]
        options = SubscriptionOptions(hear, Conditions(conditions[number % 4], {}))
        subscription = Subscription(options, old, weakref.ref(subscribers))
        subscribers.add(subscription, old)
    number = subscribers.put_changes(old, changes, lambda: False, is_first=False)
    with place.meter.measuring() as figures:
        subscribers.deliveries.run(number, given_up=lambda: False)
    assert heard[0]
    return figures


# -- waits -------------------------------------------------------------------------------


def _waits(ask: Callable[[Any], object], *, is_further: bool = False, geo: bool = False) -> Run:
    def run(place: Place) -> Figures:
        import staticstore.query

        assert staticstore.query
        if not geo:
            _hide_shapely()
        place.site.show("first")
        store = connect_ours(place.site.url)
        if is_further:
            ask(store)
        with watching() as figures:
            ask(store)
        return figures

    return run


def _ask(**conditions: Callable[[], Any]) -> Callable[[Any], object]:
    return lambda store: list(
        store.query_keys(where={field: make() for field, make in conditions.items()})
    )


def _between(bounds: tuple[Any, Any]) -> Callable[[], Any]:
    def make() -> Any:
        from staticstore.query import between

        return between(*bounds)

    return make


def _around(*box: float) -> Callable[[], Any]:
    def make() -> Any:
        from staticstore.query import intersects

        return intersects(*box)

    return make


_WAITS: dict[str, Run] = {
    "idle": _waits(lambda store: time.sleep(0.5)),
    "first range": _waits(_ask(size=_between(_THOUSANDTH))),
    "first range of times": _waits(_ask(modified=_between(("2026-03-01", "2026-04-01")))),
    "first box": _waits(_ask(bbox=_around(*_BOX))),
    "first box, geo": _waits(_ask(bbox=_around(*_BOX)), geo=True),
    "range one in five": _waits(_ask(size=_between(_FIFTH)), is_further=True),
    "sort": _waits(lambda store: list(store.query_keys(sort="-size", limit=10))),
}


def _range(name: str, title: str, bounds: Range, factor: float, *, counts: bool = False) -> Subject:
    return Subject(
        name,
        title,
        {
            "ours": _ours(bounds, counts=counts),
            "ours, 10 changes later": _ours(bounds, counts=counts, changes=10),
            "ours, 10,000 changes later": _ours(bounds, counts=counts, changes=10_000),
            "sqlite3": _sqlite(bounds, counts=counts),
            "duckdb": _duckdb(bounds, counts=counts),
            "polars": _polars(bounds, counts=counts),
        },
        (
            Target("ours", "seconds", factor, _PEERS),
            Target("ours, 10 changes later", "seconds", factor / 2, _PEERS),
        ),
        rounds=7,
    )


SUBJECTS = [
    Subject(
        "first range",
        "the first range query of a field",
        {"ours": _first(_first_of_ours, connect_ours), "encore, a scan": _scan},
        (Target("ours", "seconds", 0.5, "encore, a scan"),),
        rounds=7,
    ),
    _range("range one in a thousand", "a further range: one in a thousand", _THOUSANDTH, 3),
    _range("range one in five", "a further range: one in five", _FIFTH, 1),
    _range("range count", "a further range: one in five, counted", _FIFTH, 3, counts=True),
    Subject(
        "box",
        "a further box: one in a thousand",
        {
            "ours": lambda place: _boxes_of_ours(place, geo=False),
            "ours, geo": lambda place: _boxes_of_ours(place, geo=True),
            "shapely STRtree": _strtree,
        },
        (
            Target("ours", "seconds", 0.25, "shapely STRtree"),
            Target("ours, geo", "seconds", 1, "shapely STRtree"),
        ),
        rounds=7,
    ),
    Subject(
        "three conditions",
        "three conditions, the smallest finds one in ten thousand",
        {"ours": _three},
        (Target("ours", "seconds", 0.2e-3),),
        rounds=7,
    ),
    Subject(
        "subscriptions",
        "1,000 subscriptions with different conditions, 100 changes",
        {"ours": _subscriptions},
        (Target("ours", "seconds", 60e-3),),
        rounds=7,
    ),
    Subject(
        "waits of predicates",
        "the longest wait of another thread while predicates are answered",
        _WAITS,
        tuple(Target(name, "seconds", 20e-3) for name in _WAITS if name != "idle"),
        rounds=7,
    ),
]
