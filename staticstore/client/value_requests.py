"""The requests that read whole values, shared by all that read many at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from .. import tuning
from ..errors import StoreError, TransportError
from ..index.fields import Content, key_problem, key_to_url_path
from ..index.head import Role
from ..transport.http.failures import wants_long_rest
from ..transport.many.request import ByteRange, SizedRequest, coalesced
from ..transport.values.verifier import has_digest

if TYPE_CHECKING:
    from .access import Access
    from .site_snapshot import Values

__all__ = [
    "CarefulReads",
    "Places",
    "RequestedFile",
    "accept",
    "pack_stretches",
    "part_requests",
    "stretches",
]

_MOST_PARTS = 1024  # of a value: what is requested has to be in memory

#: Of each of some values or parts its number, and its start and end in an answer.
Places = list[tuple[int, int, int]]


class PackStretch(NamedTuple):
    """A request for part of a pack, and which values it contains."""

    request: SizedRequest
    places: Places


def pack_stretches(wanted: Iterable[tuple[int, Content]]) -> Iterator[PackStretch]:
    """Yield the requests that read packed values; neighbors share a request.

    Parameters
    ----------
    wanted : iterable of (int, Content)
        Numbers and contents of values; those that are not packed are ignored.
    """
    by_href: defaultdict[str, list[tuple[ByteRange, int]]] = defaultdict(list)
    for number, content in wanted:
        if content.place is not None and content.size and content.sha256:
            start = content.place.offset
            if start + content.size > (Role.PACK.most_bytes or 0):
                continue  # no pack is as large
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


class RequestedFile(NamedTuple):
    """The file requested for a value of known size: its own or a compressed copy."""

    url_path: str
    #: Bytes.
    size: int
    #: Of the file, lowercase hex; None if the index does not say it.
    sha256: str | None
    #: Of the value.
    content: Content
    is_copy: bool = False

    @classmethod
    def of(cls, access: Access, key: str, content: Content) -> RequestedFile | None:
        """Return the file of a value; None if the value is to be read by itself."""
        reads = None if content.compressed is None else access.compressed_reads(content)
        if reads is not None:
            copy = reads.copy
            return cls(copy.href, copy.size, copy.sha256, content, is_copy=True)
        url_path = access.url_path(key, content)
        if url_path is None:
            return None
        return cls(url_path, content.size or 0, content.sha256, content)

    def whole(self) -> SizedRequest:
        """Return the request that reads it at once."""
        return SizedRequest(self.url_path, self.size)

    def parts(self) -> Iterator[SizedRequest]:
        """Yield the requests that read it in parts."""
        size, part = self.size, tuning.LARGE_PART_BYTES
        for start in range(0, size, part):
            yield SizedRequest(self.url_path, min(part, size - start), start, size)

    def value(self, access: Access, body: bytes, *, is_verified: bool = False) -> bytes | None:
        """Return the value that the file holds, verified and cached; None if wrong.

        `is_verified` says that these have the file's digest.
        """
        if is_verified and not self.is_copy:
            access.cache.put(self.sha256, body)
            return body
        data: bytes | None = body
        if self.is_copy:
            from ..zstd import decompressed_copy  # seldom needed

            sha256 = None if is_verified else self.sha256
            data = decompressed_copy(body, sha256, self.content.size or 0)
        return data if data is not None and accept(access, self.content, data) else None


def part_requests(file: RequestedFile) -> list[SizedRequest]:
    """Return the requests that read a file: in parts, if it is large."""
    part = tuning.LARGE_PART_BYTES
    # Parts have to be bound by the digest, and a size is no more than a claim.
    if file.sha256 is None or not part < file.size <= _MOST_PARTS * part:
        return [file.whole()]
    return list(file.parts())


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
    values : Values
        The values of a snapshot.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._session = values.access.session
        self._outage: TransportError | None = None

    def read(self, key: str, content: Content) -> bytes | StoreError:
        """Return a value, or why it cannot be read."""
        if content.placed is None and (first := self._outage) is not None:
            url = self._values.access.url(key, content)
            return type(first)(first.args[0], key=key, url=url, status=first.status)
        found = self._values.read_or_error(key)
        if (
            isinstance(found, TransportError)
            and content.placed is None
            and self._session.is_failing
            and (found.status is None or wants_long_rest(found))
        ):
            self._outage = found
        return found
