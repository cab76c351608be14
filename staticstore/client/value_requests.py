"""The requests that read whole values, shared by all that read many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import tuning
from ..errors import StoreError, TransportError
from ..index.fields import Content, key_problem, key_to_url_path
from ..transport.http.failures import wants_long_rest
from ..transport.many.request import ByteRange, SizedRequest, coalesced
from ..transport.values.verifier import has_digest

if TYPE_CHECKING:
    from .access import Access

__all__ = ["CarefulReads", "Places", "accept", "pack_stretches", "part_requests", "stretches"]

#: Of each of some values or parts its number, and its start and end in an answer.
Places = list[tuple[int, int, int]]


class PackStretch(NamedTuple):
    """A request for part of a pack, and which values it contains."""

    request: SizedRequest
    places: Places


def pack_stretches(wanted: Iterable[tuple[int, Content]]) -> Iterator[PackStretch]:
    """Yield the requests that read packed values, each with as many of them as are near.

    Parameters
    ----------
    wanted : iterable of (int, Content)
        Numbers and contents of values; those that are not packed are ignored.
    """
    by_href: defaultdict[str, list[tuple[ByteRange, int]]] = defaultdict(list)
    for number, content in wanted:
        if content.place is not None and content.size and content.sha256:
            start = content.place.offset
            by_href[content.place.href].append((ByteRange(start, start + content.size), number))
    for href, places in by_href.items():
        if key_problem(href) is not None:
            continue
        gap, most = tuning.PACK_GAP_BYTES, tuning.PACK_STRETCH_BYTES
        for (first, last), inside in stretches(places, gap, most):
            yield PackStretch(SizedRequest(key_to_url_path("", href), last - first, first), inside)


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


def part_requests(access: Access, key: str, content: Content) -> list[SizedRequest]:
    """Return the requests that read a value of known size: in parts, if it is large.

    None for a value that is to be read by itself.
    """
    url_path, size = access.url_path(key, content), content.size or 0
    part = tuning.LARGE_PART_BYTES
    if url_path is None:
        return []
    if content.sha256 is None or size <= part:  # parts have to be bound by the digest
        return [SizedRequest(url_path, size)]
    starts = range(0, size, part)
    return [SizedRequest(url_path, min(part, size - start), start, size) for start in starts]


def accept(access: Access, content: Content, data: bytes) -> bool:
    """Return whether a value of the right size has the right digest; then cache it."""
    if not has_digest(data, content.sha256, content.checksum):
        return False
    if access.cache:
        access.cache.put(content.sha256, data)
    return True


class CarefulReads:
    """Reads values as a single read does: with redirects, retries and errors.

    Once no host can be reached in spite of all retries, or one refuses requests for a
    long time, the other values fail at once.  Any thread may use it.

    Parameters
    ----------
    access : Access
        Access to the values of a snapshot.
    read : callable
        Reads a value by itself; returns it, or an error.
    """

    def __init__(self, access: Access, read: Callable[[str], bytes | StoreError]) -> None:
        self._access = access
        self._session = access.session
        self._read = read
        self._outage: TransportError | None = None

    def read(self, key: str, content: Content) -> bytes | StoreError:
        """Return a value, or why it cannot be read."""
        if content.placed is None and (first := self._outage) is not None:
            url = self._access.url(key, content)
            return type(first)(first.args[0], key=key, url=url, status=first.status)
        found = self._read(key)
        if (
            isinstance(found, TransportError)
            and content.placed is None
            and self._session.is_failing
            and (found.status is None or wants_long_rest(found))
        ):
            self._outage = found
        return found
