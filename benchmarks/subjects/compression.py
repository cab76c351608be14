"""A large GeoJSON with a compressed copy, over a line of 10 MB/s and on loopback."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch

from staticstore import StaticStore

from ..line import line_to
from ..stores import connect_ours
from ..value_sites import FEATURES, size_of
from . import CannotRun, Figures, Place, Run, Subject, Target

__all__ = ["SUBJECTS"]

_RATE = 10e6  # bytes a second
_PART_BYTES = 4 << 20

Read = Callable[[StaticStore], int]


def _whole(store: StaticStore) -> int:
    return len(store[FEATURES].read())


def _part(store: StaticStore) -> int:
    with store.get_data_range(FEATURES, _PART_BYTES // 3, _PART_BYTES // 3 + _PART_BYTES) as part:
        return len(part.read())


def _many(store: StaticStore) -> int:
    return sum(len(data) for _, data in store.read_many([FEATURES]))


def _reading(read: Read, *, by_copy: bool, rate: float | None) -> Run:
    from staticstore import zstd

    def run(place: Place) -> Figures:
        if zstd.find_zstd() is None:
            raise CannotRun("there is no module that decompresses")
        place.site.show("features")
        found = zstd.find_zstd() if by_copy else None
        with (
            line_to(place.site.url, rate=rate) as (line, _),
            patch.object(zstd, "find_zstd", lambda: found),
            connect_ours(line if rate else place.site.url) as store,
            place.meter.measuring() as figures,
        ):
            count = read(store)
        size = size_of(f"{place.site.url}data/{FEATURES}")
        assert count == (min(_PART_BYTES, size - _PART_BYTES // 3) if read is _part else size)
        return figures

    return run


def _contenders(rate: float | None) -> dict[str, Run]:
    return {
        "read, compressed": _reading(_whole, by_copy=True, rate=rate),
        "read, plain": _reading(_whole, by_copy=False, rate=rate),
        "read_many, compressed": _reading(_many, by_copy=True, rate=rate),
        "read_many, plain": _reading(_many, by_copy=False, rate=rate),
        "4 MiB of it, compressed": _reading(_part, by_copy=True, rate=rate),
        "4 MiB of it, plain": _reading(_part, by_copy=False, rate=rate),
    }


SUBJECTS = [
    Subject(
        "compressed",
        "A GeoJSON of 100 MB with a compressed copy, at 10 MB/s for each connection",
        _contenders(_RATE),
        targets=(Target("read, compressed", "seconds", 5.0, peer="read, plain"),),
        rounds=3,
        sites="values",
    ),
    Subject(
        "compressed-near",
        "The same on loopback",
        _contenders(None),
        rounds=3,
        sites="values",
    ),
]
