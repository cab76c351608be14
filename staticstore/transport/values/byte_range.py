"""Ranges of bytes, and how those that are near each other share requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["ByteRange", "Places", "coalesced", "stretches"]

#: Of each of some ranges its number, and its start and end in an answer.
Places = list[tuple[int, int, int]]


class ByteRange(NamedTuple):
    """Some bytes of a value or file: half-open, not empty."""

    start: int
    end: int


def coalesced(ranges: Iterable[ByteRange], gap: int, most: int) -> Iterator[ByteRange]:
    """Yield fewer and longer ranges that cover all given ones, in order.

    Parameters
    ----------
    ranges : iterable of ByteRange
        In any order.
    gap : int
        Bytes between two ranges up to which they are joined.
    most : int
        Bytes up to which ranges are joined; a longer one stays as it is.

    Examples
    --------
    >>> list(coalesced([ByteRange(0, 5), ByteRange(8, 9), ByteRange(20, 21)], gap=3, most=100))
    [ByteRange(start=0, end=9), ByteRange(start=20, end=21)]
    """
    in_order = iter(sorted(ranges))
    first = next(in_order, None)
    if first is None:
        return
    start, end = first
    for next_start, next_end in in_order:
        if next_start <= end + gap and (next_end <= end or next_end - start <= most):
            end = max(end, next_end)
        else:
            yield ByteRange(start, end)
            start, end = next_start, next_end
    yield ByteRange(start, end)


def stretches(
    ranges: Iterable[tuple[ByteRange, int]], gap: int, most: int
) -> Iterator[tuple[ByteRange, Places]]:
    """Yield fewer and longer ranges, each with the places of the given ones in it.

    Parameters
    ----------
    ranges : iterable of (ByteRange, int)
        Ranges and their numbers.
    gap, most : int
        As of `coalesced`, in bytes.
    """
    in_order = sorted(ranges)
    following = iter(in_order)
    one = next(following, None)
    for stretch in coalesced((each for each, _ in in_order), gap, most):
        first, last = stretch
        inside: Places = []
        while one is not None and one[0].end <= last:
            (start, end), number = one
            inside.append((number, start - first, end - first))
            one = next(following, None)
        yield stretch, inside
