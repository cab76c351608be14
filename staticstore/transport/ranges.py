"""Many parts of one value: near ones fetched together, all of them in parallel."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .bulk import fetch_all
from .parts import FilePart, Part, Target, ask, first_right
from .spool import size_on_host, spooled
from .stream import ValueStream, whole_or_raise
from .wanted import Wanted

__all__ = ["DEFAULT_GAP", "MOST_AT_ONCE", "Span", "coalesced", "read_ranges"]

#: Bytes between two parts up to which they are fetched together, gap and all.  Beyond it, on a
#: random access pattern, more than a tenth of the bytes would come for nothing.
DEFAULT_GAP = 1 << 12
#: Bytes that one request for several parts brings, at most.
MOST_AT_ONCE = 1 << 23


class Span(NamedTuple):
    """Some bytes of something: half-open, not empty."""

    start: int
    end: int


def coalesced(spans: Iterable[Span], gap: int, most: int) -> Iterator[Span]:
    """Yield stretches that cover all spans, in order.

    Spans with up to `gap` bytes between them share a stretch, as long as that
    has no more than `most` bytes.  A longer span is a stretch of its own.

    Examples
    --------
    >>> list(coalesced([Span(0, 5), Span(8, 9), Span(20, 21)], gap=3, most=100))
    [Span(start=0, end=9), Span(start=20, end=21)]
    """
    in_order = iter(sorted(spans))
    first = next(in_order, None)
    if first is None:
        return
    start, end = first
    for next_start, next_end in in_order:
        if next_start <= end + gap and (next_end <= end or next_end - start <= most):
            end = max(end, next_end)
        else:
            yield Span(start, end)
            start, end = next_start, next_end
    yield Span(start, end)


def read_ranges(
    target: Target, ranges: Sequence[tuple[int | None, int | None]], gap: int, most: int
) -> list[bytes]:
    """Return the bytes ``value[start:end]`` of each range, in the order given.

    Parameters
    ----------
    target : Target
        The value.
    ranges : sequence of (int or None, int or None)
        As in slices.
    gap, most : int
        As in `coalesced`, in bytes.

    Raises
    ------
    TransportError
        The bytes could not be had.
    IntegrityError
        The host has another value than the index says, or replaced it meanwhile.
    """
    size = target.size if target.size is not None else size_on_host(target)
    if size is None:
        return _from_the_whole(target, ranges)
    target = target._replace(size=size)  # which all parts then have to be of
    wanted = [Span(*slice(*one).indices(size)[:2]) for one in ranges]
    stretches = list(coalesced((span for span in wanted if span.start < span.end), gap, most))
    texts = first_right(target, lambda target: _texts(target, stretches, size))
    if texts is None:
        return _from_the_whole(target, ranges)
    return list(_cut_out(wanted, stretches, texts))


def _from_the_whole(target: Target, ranges: Sequence[tuple[int | None, int | None]]) -> list[bytes]:
    spool, size = spooled(target)
    with spool:
        found = []
        for one in ranges:
            start, end, _ = slice(*one).indices(size)
            spool.seek(start)
            found.append(spool.read(max(end - start, 0)))
        return found


def _texts(target: Target, stretches: Sequence[Span], size: int) -> list[bytes] | None:
    """Fetch stretches of one version of a value; None if the host gives no parts.

    If they are all bytes of the value, they are held against its digest.

    Raises
    ------
    IntegrityError
        The host had several versions, or another value than the index says.
    """
    wanted = [Wanted(target.url_path, end - start, start, size) for start, end in stretches]
    # What a cache has been told to ask for anew is asked for one by one, and what is long.
    is_careful = target.fields or any(one.size > MOST_AT_ONCE for one in wanted)
    got = [None] * len(wanted) if is_careful else fetch_all(target.session, wanted)
    texts: list[bytes] = []
    etags: set[str | None] = set()
    for stretch, one in zip(stretches, got, strict=True):
        if one is not None:
            texts.append(one.body)
            etags.add(one.etag)
            continue
        part = ask(target, *stretch)
        if isinstance(part, FilePart):
            return _cut_from(part, stretches)
        if not part.is_partial and stretch.end - stretch.start < size:
            part.close()
            return None
        with _stream(target, part, stretch) as stream:
            texts.append(stream.readall())
            etags.add(stream.etag)
    if len(etags) > 1:
        replaced = target.changed(
            "the host has replaced the value while it was read",
            expected="one entity tag",
            actual=sorted(map(str, etags)),
        )
        return _cut_from(whole_or_raise(target, replaced), stretches)
    _verify_all(target, stretches, texts)
    return texts


def _stream(target: Target, part: Part, stretch: Span) -> ValueStream:
    if part.is_partial:
        return ValueStream(target, part, *stretch, None)
    return ValueStream(target, part, 0, None, target.verifier())


def _cut_from(part: FilePart, stretches: Sequence[Span]) -> list[bytes]:
    texts = []
    with contextlib.closing(part):
        for start, end in stretches:
            part.skip_to(start)
            buffer = memoryview(bytearray(end - start))
            part.readinto(buffer)
            texts.append(bytes(buffer))
    return texts


def _verify_all(target: Target, stretches: Sequence[Span], texts: Sequence[bytes]) -> None:
    """Hold stretches against the digest, if they leave no byte of the value out."""
    if target.sha256 is None:
        return
    with contextlib.closing(target.verifier()) as verifier:
        for (start, end), text in zip(stretches, texts, strict=True):
            if start > verifier.count:
                return
            if end > verifier.count:
                verifier.feed(memoryview(text)[verifier.count - start :])
        if verifier.count == target.size:
            verifier.finish()


def _cut_out(
    wanted: Iterable[Span], stretches: Sequence[Span], texts: Sequence[bytes]
) -> Iterator[bytes]:
    starts = [stretch.start for stretch in stretches]
    for start, end in wanted:
        if start >= end:
            yield b""
            continue
        number = bisect_right(starts, start) - 1
        at = start - starts[number]
        yield texts[number][at : at + end - start]
