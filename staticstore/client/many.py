"""Many whole values, verified, in the order asked: from packs and by requests in parallel."""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StoreError, TransportError
from ..index.fields import Content
from ..index.keys import key_problem, key_to_url_path
from ..transport.failures import wants_long_rest
from ..transport.ranges import ByteRange, coalesced
from ..transport.request import SizedRequest
from ..transport.threads import fetch_all
from .large_values import LargeValues, read_or_error

if TYPE_CHECKING:
    from .values import Values

__all__ = ["read_each", "read_many"]

# Two windows are in memory: one that is being given out, and the next.
_KEYS = 2048
_BYTES = 1 << 24
_REQUEST = 1 << 12  # bytes of a value that a request takes the time of
# A larger value goes by itself; one whose size nobody knows is read when its turn comes.
_LARGE = 1 << 20  # bytes
# So small that what lies between all values of a window is no more than those may be.
_PACK_GAP = 1 << 13  # bytes
_PACK_STRETCH = 1 << 22  # bytes
_WORKERS = 16  # for what has to go the careful way


_Found = bytes | StoreError | None
_Some = list[tuple[int, Content]]


class _Window(NamedTuple):
    """Values that are fetched together, in the order asked."""

    keys: list[str]
    #: None for a key that the index lacks.
    contents: list[Content | None]
    #: Numbers and contents of those that are small.
    small: _Some
    #: Those of the ones that `LargeValues` reads.
    large: _Some


def read_many(values: Values, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield keys and whole values; see `StaticStore.read_many`."""
    for key, data in read_each(values, keys):
        if isinstance(data, StoreError):
            raise data
        yield key, data


def read_each(
    values: Values, keys: Iterable[str], *, together: int = _BYTES, first: int = _BYTES
) -> Iterator[tuple[str, bytes | StoreError]]:
    """Yield keys and whole values as `read_many`, or what went wrong in the place of a value.

    Parameters
    ----------
    values : Values
        The values of a snapshot.
    keys : iterable of str
        Which of them.
    together : int, optional
        Bytes that are fetched before the first of them is given out, at most,
        if it is not larger.
    first : int, optional
        How many of them the first time: then twice as many each time, so that what a
        slow host has given is soon given out.
    """
    with contextlib.closing(LargeValues(values)) as large:
        windows = _planned(large, _windows(values, keys, min(together, _BYTES), first))
        window, following = next(windows, _Window([], [], [], [])), next(windows, None)
        if following is None:  # for a few a thread would cost more than it gains
            yield from _given(values, window, _fetched(values, window), large)
            return
        from ..transport.daemons import Workers

        ahead = Workers(1, "staticstore read_many")
        fetched = ahead.submit(partial(_fetched, values, window))
        try:
            while following is not None:
                upcoming = ahead.submit(partial(_fetched, values, following))
                yield from _given(values, window, fetched.result(), large)
                window, fetched, following = following, upcoming, next(windows, None)
            yield from _given(values, window, fetched.result(), large)
        finally:
            ahead.close()


def _planned(large: LargeValues, windows: Iterator[_Window]) -> Iterator[_Window]:
    for window in windows:
        for number, content in window.large:
            large.plan(window.keys[number], content)
        yield window


def _given(
    values: Values, window: _Window, fetched: list[_Found], large: LargeValues
) -> Iterator[tuple[str, bytes | StoreError]]:
    are_large = {number for number, _ in window.large}
    for number, (key, content) in enumerate(zip(window.keys, window.contents, strict=True)):
        if content is None:
            raise KeyError(key)
        data = large.take() if number in are_large else fetched[number]
        yield key, read_or_error(values, key) if data is None else data


def _windows(values: Values, keys: Iterable[str], together: int, first: int) -> Iterator[_Window]:
    """Yield as many values together as are fetched together."""
    window, bytes_of_it, most = _Window([], [], [], []), 0, min(first, together)
    numbered = iter(keys)
    while some := list(islice(numbered, _KEYS)):
        contents = values.index.contents_of(some)
        for key in some:
            content = contents.get(key) if isinstance(key, str) else None
            size = -1 if content is None or content.size is None else content.size
            is_small = 0 <= size <= _LARGE
            if len(window.keys) == _KEYS or (is_small and bytes_of_it + size > most):
                yield window
                window, bytes_of_it, most = _Window([], [], [], []), 0, min(2 * most, together)
            if is_small and content is not None:
                window.small.append((len(window.keys), content))
                bytes_of_it += size + _REQUEST
            elif size > _LARGE and content is not None:
                window.large.append((len(window.keys), content))
            window.keys.append(key)
            window.contents.append(content)
    if window.keys:
        yield window


def _fetched(values: Values, window: _Window) -> list[_Found]:
    """Return each value, or the error for it; None for one that is read when its turn comes."""
    found: dict[int, _Found] = dict(_kept(values, window))
    for fetch in (_from_packs, _whole, _carefully):
        if len(found) < len(window.small):
            missing = [one for one in window.small if one[0] not in found]
            found |= fetch(values, window, missing)
    return [found.get(number) for number in range(len(window.keys))]


def _kept(values: Values, window: _Window) -> Iterator[tuple[int, bytes]]:
    """Yield what need not be fetched."""
    if values.kept:
        for number, content in window.small:
            data = values.kept.read(content.sha256, content.size)
            if data is not None:
                yield number, data


def _from_packs(values: Values, window: _Window, missing: _Some) -> dict[int, bytes]:
    """Read what stands in packs; what is not right there is left out."""
    by_href: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for number, content in missing:
        if content.place is not None and content.size and content.sha256:
            href, start = content.place.href, content.place.offset
            by_href[href].append((start, start + content.size, number))
    stretches = [
        (href, stretch)
        for href, places in by_href.items()
        if key_problem(href) is None
        for stretch in coalesced(
            (ByteRange(start, end) for start, end, _ in places), _PACK_GAP, _PACK_STRETCH
        )
    ]
    wanted = [
        SizedRequest(key_to_url_path("", href), stretch.end - stretch.start, stretch.start)
        for href, stretch in stretches
    ]
    found: dict[int, bytes] = {}
    for (href, stretch), got in zip(stretches, fetch_all(values.session, wanted), strict=True):
        if got is None:
            continue
        first, last = stretch
        for start, end, number in by_href[href]:
            if first <= start and end <= last:
                found[number] = got.body[start - first : end - first]
    return _right(values, window, found)


def _whole(values: Values, window: _Window, missing: _Some) -> dict[int, bytes]:
    """Read values with one request each; what goes wrong is left out."""
    wanted = [
        SizedRequest(key_to_url_path(values.data_path, window.keys[number]), content.size or 0)
        for number, content in missing
    ]
    got = zip(missing, fetch_all(values.session, wanted), strict=True)
    found = {number: one.body for (number, _), one in got if one is not None}
    return _right(values, window, found)


def _right(values: Values, window: _Window, found: dict[int, bytes]) -> dict[int, bytes]:
    """Return the bytes that are those of the index, and keep them; they have the right sizes."""
    right: dict[int, bytes] = {}
    keep = values.kept.put if values.kept else None
    for number, data in found.items():
        content = window.contents[number]
        assert content is not None
        if content.sha256 is None or hashlib.sha256(data).hexdigest() == content.sha256:
            right[number] = data
            if keep is not None:
                keep(content.sha256, data)
    return right


def _carefully(values: Values, window: _Window, missing: _Some) -> dict[int, _Found]:
    """Read values with all that a single read does: redirects, retries, errors.

    Once no host is to be had, in spite of all retries, or wants no requests
    for long, the others fail at once.
    """
    from ..transport.daemons import Workers

    outage: list[TransportError] = []

    def read(key: str) -> bytes | StoreError:
        if outage:
            first = outage[0]
            return type(first)(first.args[0], key=key, url=values[key].url, status=first.status)
        found = read_or_error(values, key)
        if isinstance(found, TransportError) and _is_outage(values, found):
            outage.append(found)
        return found

    workers = min([_WORKERS, *(limit.requests for limit in values.session.wire.limits)])
    with Workers(workers, "staticstore read_many") as pool:
        reads = {number: pool.submit(partial(read, window.keys[number])) for number, _ in missing}
        return {number: one.result() for number, one in reads.items()}


def _is_outage(values: Values, error: TransportError) -> bool:
    return values.session.is_failing and (error.status is None or wants_long_rest(error))
