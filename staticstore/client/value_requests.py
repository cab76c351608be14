"""The requests that read whole values, shared by all that read many at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import tuning
from ..errors import StoreError, TransportError
from ..index.fields import Content, key_problem, key_to_url_path
from ..transport.http.failures import wants_long_rest
from ..transport.many.request import SizedRequest
from ..transport.values.ranges import ByteRange, coalesced

if TYPE_CHECKING:
    from .site_snapshot import Values

__all__ = [
    "CarefulReads",
    "PackStretch",
    "accept",
    "pack_stretches",
    "part_requests",
    "read_singly",
]


class PackStretch(NamedTuple):
    """A request for part of a pack, and which values it contains."""

    request: SizedRequest
    #: The number of each value, and its start and end in the answer.
    places: list[tuple[int, int, int]]


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
        in_order = iter(sorted(places))
        place = next(in_order, None)
        ranges = (one for one, _ in places)
        for first, last in coalesced(ranges, tuning.PACK_GAP_BYTES, tuning.PACK_STRETCH_BYTES):
            inside = []
            while place is not None and place[0].end <= last:
                (start, end), number = place
                inside.append((number, start - first, end - first))
                place = next(in_order, None)
            yield PackStretch(SizedRequest(key_to_url_path("", href), last - first, first), inside)


def part_requests(values: Values, key: str, content: Content) -> Iterator[SizedRequest]:
    """Yield the requests that read a value of known size: in parts, if it is large."""
    url_path, size = key_to_url_path(values.data_path, key), content.size or 0
    part = tuning.LARGE_PART_BYTES
    if content.sha256 is None or size <= part:  # parts have to be bound by the digest
        yield SizedRequest(url_path, size)
        return
    for start in range(0, size, part):
        yield SizedRequest(url_path, min(part, size - start), start, size)


def accept(values: Values, content: Content, data: bytes) -> bool:
    """Return whether a value of the right size has the right digest; then cache it."""
    if content.sha256 is None:
        return True
    if hashlib.sha256(data).hexdigest() != content.sha256:
        return False
    if values.access.cache:
        values.access.cache.put(content.sha256, data)
    return True


class CarefulReads:
    """Reads values as a single read does: with redirects, retries and errors.

    Once no host can be reached in spite of all retries, or one refuses requests for a
    long time, the other values fail at once.  Any thread may use it.

    Parameters
    ----------
    values : Values
        The values of a snapshot.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._session = values.access.session
        self._outage: TransportError | None = None

    def read(self, key: str) -> bytes | StoreError:
        """Return a value, or why it cannot be read."""
        if (first := self._outage) is not None:
            url = self._values[key].url
            return type(first)(first.args[0], key=key, url=url, status=first.status)
        found = read_singly(self._values, key)
        if (
            isinstance(found, TransportError)
            and self._session.is_failing
            and (found.status is None or wants_long_rest(found))
        ):
            self._outage = found
        return found


def read_singly(values: Values, key: str) -> bytes | StoreError:
    """Read a value by itself; return it, or why it cannot be read."""
    try:
        return values[key].read()
    except StoreError as error:
        return error
