"""Many whole values in the order asked: read from packs and in parallel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from .. import tuning
from ..errors import StoreError
from ..index.fields import Content
from .large_values import LargeValues
from .small_values import SmallValues

if TYPE_CHECKING:
    from .site_snapshot import Values

__all__ = ["read_each", "read_many"]

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


class _Begun(NamedTuple):
    """A window whose values are requested."""

    window: _Window
    values: SmallValues


def read_many(values: Values, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield keys and whole values; see `StaticStore.read_many`."""
    for key, data in read_each(values, keys):
        if isinstance(data, StoreError):
            raise data
        yield key, data


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
    with contextlib.closing(LargeValues(values)) as large:
        windows = _windows(values, keys, together, first)
        # Each is requested before the first value of the one before it is yielded.
        begun = (_begin(values, window, large) for window in windows)
        current, following = next(begun, None), next(begun, None)
        try:
            while current is not None:
                yield from _taken(values, current, large)
                current, following = following, next(begun, None)
        finally:
            for one in filter(None, (current, following)):
                one.values.close()


def _begin(values: Values, window: _Window, large: LargeValues) -> _Begun:
    for number, content in window.large:
        large.plan(window.keys[number], content)
    return _Begun(window, SmallValues(values, window.keys, window.small))


def _taken(
    values: Values, begun: _Begun, large: LargeValues
) -> Iterator[tuple[str, bytes | StoreError]]:
    window, small = begun
    are_large = {number for number, _ in window.large}
    for number, (key, content) in enumerate(zip(window.keys, window.contents, strict=True)):
        if content is None:
            raise KeyError(key)
        data = large.take() if number in are_large else small.take(number)
        yield key, values.read_or_error(key) if data is None else data


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
