"""Many whole values, verified, in the order asked: from packs and by requests in parallel."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StoreError
from ..index.fields import Content
from ..index.keys import key_problem, key_to_url_path
from ..transport.bulk import fetch_all
from ..transport.parts import Target
from ..transport.ranges import Span, coalesced
from ..transport.stream import copy_whole
from ..transport.wanted import Got, Wanted

if TYPE_CHECKING:
    from .values import Values

__all__ = ["read_many"]

# Two windows are in memory: one that is being given out, and the next.
_KEYS = 2048
_BYTES = 1 << 24
# A larger value, or one whose size nobody knows, is read when its turn comes.
_LARGE = 1 << 23  # bytes
# Of a pack, what lies between two values is small, for it is values, too.
_PACK_GAP = 1 << 16  # bytes
_PACK_STRETCH = 1 << 22  # bytes
_WORKERS = 16  # for what has to go the careful way


class _One(NamedTuple):
    """A value that is asked for."""

    key: str
    #: None if the index lacks it.
    content: Content | None

    @property
    def is_small(self) -> bool:
        """Whether it is fetched with others, and not when its turn comes."""
        return self.content is not None and (
            self.content.size is not None and self.content.size <= _LARGE
        )

    def is_right(self, data: bytes) -> bool:
        """Tell whether bytes of the right size are the value's."""
        assert self.content is not None
        sha256 = self.content.sha256
        return sha256 is None or hashlib.sha256(data).hexdigest() == sha256


_Window = list[_One]
_Found = bytes | StoreError | None


def read_many(values: Values, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield keys and whole values; see `StaticStore.read_many`."""
    windows = _windows(values, keys)
    window, following = next(windows, []), next(windows, None)
    if following is None:  # for a few a thread would cost more than it gains
        yield from _given(values, window, _fetched(values, window))
        return
    from concurrent.futures import ThreadPoolExecutor

    ahead = ThreadPoolExecutor(1, "staticstore read_many")
    fetched = ahead.submit(_fetched, values, window)
    try:
        while following is not None:
            upcoming = ahead.submit(_fetched, values, following)
            yield from _given(values, window, fetched.result())
            window, fetched, following = following, upcoming, next(windows, None)
        yield from _given(values, window, fetched.result())
    finally:
        ahead.shutdown(wait=False, cancel_futures=True)


def _given(values: Values, window: _Window, fetched: list[_Found]) -> Iterator[tuple[str, bytes]]:
    for one, data in zip(window, fetched, strict=True):
        if one.content is None:
            raise KeyError(one.key)
        if isinstance(data, StoreError):
            raise data
        yield one.key, values[one.key].read() if data is None else data


def _windows(values: Values, keys: Iterable[str]) -> Iterator[_Window]:
    """Yield as many values together as are fetched together."""
    window: _Window = []
    size = 0
    numbered = iter(keys)
    while some := list(islice(numbered, _KEYS)):
        contents = values.index.contents_of(some)
        for key in some:
            one = _One(key, contents.get(key))
            added = one.content.size or 0 if one.is_small and one.content is not None else 0
            if window and (len(window) >= _KEYS or size + added > _BYTES):
                yield window
                window, size = [], 0
            window.append(one)
            size += added
    if window:
        yield window


def _fetched(values: Values, window: _Window) -> list[_Found]:
    """Return each value, or the error for it; None for one that is read when its turn comes."""
    found: dict[int, _Found] = {}
    found |= _kept(values, window)
    kept = set(found)
    small = [number for number, one in enumerate(window) if one.is_small]
    found |= _from_packs(values, window, [n for n in small if n not in found])
    found |= _whole(values, window, [n for n in small if n not in found])
    found |= _carefully(values, window, [n for n in small if n not in found])
    _keep(values, window, {n: data for n, data in found.items() if n not in kept})
    return [found.get(number) for number in range(len(window))]


def _kept(values: Values, window: _Window) -> dict[int, bytes]:
    """Return what need not be fetched."""
    if not values.kept:
        return {}
    read = (
        (number, values.kept.read(one.content.sha256, one.content.size))
        for number, one in enumerate(window)
        if one.content is not None and one.is_small
    )
    return {number: data for number, data in read if data is not None}


def _keep(values: Values, window: _Window, found: Mapping[int, _Found]) -> None:
    """Keep what was fetched, for the next time."""
    if not values.kept:
        return
    for number, data in found.items():
        content = window[number].content
        if content is not None and isinstance(data, bytes):
            values.kept.put(content.sha256, data)


def _from_packs(values: Values, window: _Window, numbers: Iterable[int]) -> dict[int, bytes]:
    """Read what stands in packs; what is not right there is left out."""
    by_href: defaultdict[str, list[tuple[Span, int]]] = defaultdict(list)
    for number in numbers:
        content = window[number].content
        if content is None or not (content.packed and content.size and content.sha256):
            continue
        href, offset = content.packed
        by_href[href].append((Span(offset, offset + content.size), number))
    stretches = [
        (href, stretch)
        for href, members in by_href.items()
        if key_problem(href) is None
        for stretch in coalesced((span for span, _ in members), _PACK_GAP, _PACK_STRETCH)
    ]
    wanted = [
        Wanted(key_to_url_path("", href), stretch.end - stretch.start, stretch.start)
        for href, stretch in stretches
    ]
    found: dict[int, bytes] = {}
    for (href, stretch), got in zip(stretches, fetch_all(values.session, wanted), strict=True):
        if got is None:
            continue
        first, last = stretch
        for (start, end), number in by_href[href]:
            if first <= start and end <= last:
                data = got.body[start - first : end - first]
                if window[number].is_right(data):
                    found[number] = data
    return found


def _whole(values: Values, window: _Window, numbers: Sequence[int]) -> dict[int, bytes]:
    """Read values with one request each; what goes wrong is left out."""
    wanted = [_wanted(values, window[number]) for number in numbers]
    got: list[Got | None] = fetch_all(values.session, wanted)
    return {
        number: one.body
        for number, one in zip(numbers, got, strict=True)
        if one is not None and window[number].is_right(one.body)
    }


def _wanted(values: Values, one: _One) -> Wanted:
    assert one.content is not None
    assert one.content.size is not None
    return Wanted(key_to_url_path(values.data_path, one.key), one.content.size)


def _carefully(values: Values, window: _Window, numbers: Sequence[int]) -> dict[int, _Found]:
    """Read values with all that a single read does: redirects, retries, errors."""
    from concurrent.futures import ThreadPoolExecutor

    if not numbers:
        return {}
    with ThreadPoolExecutor(min(_WORKERS, len(numbers))) as pool:
        read = pool.map(lambda number: _attempt(_target(values, window[number])), numbers)
        return dict(zip(numbers, read, strict=True))


def _attempt(target: Target) -> _Found:
    try:
        return _read(target)
    except StoreError as error:
        return error


def _target(values: Values, one: _One) -> Target:
    assert one.content is not None
    url_path = key_to_url_path(values.data_path, one.key)
    return Target(values.session, url_path, one.key, one.content.size, one.content.sha256)


def _read(target: Target) -> bytes:
    file = io.BytesIO()
    copy_whole(target, file)
    return file.getvalue()
