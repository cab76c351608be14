"""Many whole values in the order asked: read from packs and in parallel."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from .. import tuning
from ..errors import StoreError
from ..index.fields import Content, key_to_url_path
from ..transport.many.batch import fetch_all
from ..transport.many.request import SizedRequest
from ..transport.many.threads import requests_at_once
from ..transport.values.ranges import WantedRanges, read_ranges
from .large_values import Found, LargeValues
from .value import URLValue, remote_of
from .value_requests import CarefulReads, accept, pack_stretches, read_singly

if TYPE_CHECKING:
    from .site_snapshot import Values

__all__ = ["read_each", "read_many", "read_ranges_many"]

_Some = list[tuple[int, Content]]


class _Window(NamedTuple):
    """Values that are fetched together, in the order asked."""

    keys: list[str]
    #: None for a key that the index lacks.
    contents: list[Content | None]
    #: Positions and contents of the small ones.
    small: _Some
    #: Those of the ones that `LargeValues` reads.
    large: _Some


def read_many(values: Values, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield keys and whole values; see `StaticStore.read_many`."""
    for key, data in read_each(values, keys):
        if isinstance(data, StoreError):
            raise data
        yield key, data


def read_ranges_many(
    values: Mapping[str, URLValue],
    ranges: Iterable[tuple[str, int | None, int | None]],
    max_gap: int,
    max_size: int,
) -> list[bytes]:
    """Read many parts of values; see `StaticStore.get_ranges_many`."""
    by_key: dict[str, list[tuple[int | None, int | None]]] = {}
    places = []
    for key, start, end in ranges:
        of_key = by_key.setdefault(key, [])
        places.append((key, len(of_key)))
        of_key.append((start, end))
    wanted = [WantedRanges(remote_of(values[key]), of_key) for key, of_key in by_key.items()]
    read = read_ranges(wanted, operator.index(max_gap), operator.index(max_size))
    found = dict(zip(by_key, read, strict=True))
    return [found[key][number] for key, number in places]


def read_each(
    values: Values,
    keys: Iterable[str],
    *,
    together: int | None = None,
    first: int | None = None,
) -> Iterator[tuple[str, bytes | StoreError]]:
    """Yield keys and whole values as `read_many`, or an error in place of a value.

    Parameters
    ----------
    values : Values
        The values of a snapshot.
    keys : iterable of str
        Their keys.
    together : int, optional
        The most bytes that are fetched before the first of them is yielded, unless that
        is larger; 16 MiB at most, and by default.
    first : int, optional
        The most bytes of the first window.  Each window has twice as many, so that the
        first values of a slow host are yielded soon.
    """
    most = tuning.WINDOW_BYTES
    together = most if together is None else min(together, most)
    first = most if first is None else first
    with contextlib.closing(LargeValues(values.access, partial(read_singly, values))) as large:
        windows = _planned(large, _windows(values, keys, together, first))
        window, following = next(windows, _Window([], [], [], [])), next(windows, None)
        if following is None:  # a thread would cost more than it gains
            yield from _yielded(values, window, _fetched(values, window), large)
            return
        from ..workers import Workers

        with Workers(1, "staticstore read_many") as ahead:
            fetched = ahead.submit(partial(_fetched, values, window))
            while following is not None:
                upcoming = ahead.submit(partial(_fetched, values, following))
                yield from _yielded(values, window, fetched.result(), large)
                window, fetched, following = following, upcoming, next(windows, None)
            yield from _yielded(values, window, fetched.result(), large)


def _planned(large: LargeValues, windows: Iterator[_Window]) -> Iterator[_Window]:
    for window in windows:
        for number, content in window.large:
            large.plan(window.keys[number], content)
        yield window


def _yielded(
    values: Values, window: _Window, fetched: list[Found], large: LargeValues
) -> Iterator[tuple[str, bytes | StoreError]]:
    are_large = {number for number, _ in window.large}
    for number, (key, content) in enumerate(zip(window.keys, window.contents, strict=True)):
        if content is None:
            raise KeyError(key)
        data = large.take() if number in are_large else fetched[number]
        yield key, read_singly(values, key) if data is None else data


def _windows(values: Values, keys: Iterable[str], together: int, first: int) -> Iterator[_Window]:
    window, bytes_of_it, most = _Window([], [], [], []), 0, min(first, together)
    most_keys, most_small = tuning.WINDOW_KEYS, tuning.LARGE_VALUE_BYTES
    cost = tuning.REQUEST_COST_BYTES
    numbered = iter(keys)
    while some := list(islice(numbered, most_keys)):
        contents = values.index.contents_of(some)
        for key in some:
            content = contents.get(key) if isinstance(key, str) else None
            size = -1 if content is None or content.size is None else content.size
            is_small = 0 <= size <= most_small
            if len(window.keys) == most_keys or (is_small and bytes_of_it + size > most):
                yield window
                window, bytes_of_it, most = _Window([], [], [], []), 0, min(2 * most, together)
            if is_small and content is not None:
                window.small.append((len(window.keys), content))
                bytes_of_it += size + cost
            elif size > most_small and content is not None:
                window.large.append((len(window.keys), content))
            window.keys.append(key)
            window.contents.append(content)
    if window.keys:
        yield window


def _fetched(values: Values, window: _Window) -> list[Found]:
    # None stands for a value that is read when its turn comes.
    found: dict[int, Found] = dict(_from_cache(values, window))
    for fetch in (_from_packs, _whole, _carefully):
        if len(found) < len(window.small):
            missing = [one for one in window.small if one[0] not in found]
            found |= fetch(values, window, missing)
    return [found.get(number) for number in range(len(window.keys))]


def _from_cache(values: Values, window: _Window) -> Iterator[tuple[int, bytes]]:
    if values.access.cache:
        for number, content in window.small:
            data = values.access.cache.read(content.sha256, content.size)
            if data is not None:
                yield number, data


def _from_packs(values: Values, window: _Window, missing: _Some) -> dict[int, bytes]:
    stretches = list(pack_stretches(missing))
    got = fetch_all(values.access.session, [one.request for one in stretches])
    found: dict[int, bytes] = {}
    for stretch, answer in zip(stretches, got, strict=True):
        if answer is not None:
            found |= {number: answer.body[start:end] for number, start, end in stretch.places}
    return _right(values, window, found)


def _whole(values: Values, window: _Window, missing: _Some) -> dict[int, bytes]:
    wanted = [
        SizedRequest(key_to_url_path(values.data_path, window.keys[number]), content.size or 0)
        for number, content in missing
    ]
    got = zip(missing, fetch_all(values.access.session, wanted), strict=True)
    found = {number: one.body for (number, _), one in got if one is not None}
    return _right(values, window, found)


def _right(values: Values, window: _Window, found: dict[int, bytes]) -> dict[int, bytes]:
    right: dict[int, bytes] = {}
    for number, data in found.items():
        content = window.contents[number]
        assert content is not None
        if accept(values, content, data):
            right[number] = data
    return right


def _carefully(values: Values, window: _Window, missing: _Some) -> dict[int, Found]:
    from ..workers import Workers

    read = CarefulReads(values).read
    workers = requests_at_once(values.access.session.wire, tuning.CAREFUL_THREADS)
    with Workers(workers, "staticstore read_many") as pool:
        reads = {number: pool.submit(partial(read, window.keys[number])) for number, _ in missing}
        return {number: one.result() for number, one in reads.items()}
