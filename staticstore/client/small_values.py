"""Small values, requested together: from packs, or each by itself."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from .. import tuning
from ..errors import StoreError, TransportError
from ..index.fields import Content, key_problem, key_to_url_path
from ..transport.http.failures import wants_long_rest
from ..transport.many.batch import Batch, fetch_all
from ..transport.many.request import SizedRequest
from ..transport.many.threads import requests_at_once
from ..transport.values.ranges import ByteRange, coalesced

if TYPE_CHECKING:
    from .access import Access
    from .large_values import Found

__all__ = ["SmallValues"]

#: Values of a window: their numbers in it, and what the index says of them.
_Some = list[tuple[int, Content]]


class _Place(NamedTuple):
    """Where a value is among the answers."""

    #: The number of the request, and the bytes of its answer.
    request: int
    start: int
    end: int
    is_in_pack: bool


class SmallValues:
    """Small values of a window, requested together and taken one by one, in their order.

    Those in packs are cut out of stretches of them.  Each is verified when it is taken.
    From the first that did not come as expected, all such values of the window are read
    carefully: from packs whole, and then singly, as by `URLValue.read`.

    Parameters
    ----------
    access : Access
        Access to the values of a snapshot.
    keys : sequence of str
        The keys of the window.
    some : list of (int, Content)
        The numbers of the small values among these, and what the index says of them.
    read : callable
        Reads a value by itself; returns it, or an error.
    """

    def __init__(
        self,
        access: Access,
        keys: Sequence[str],
        some: _Some,
        read: Callable[[str], bytes | StoreError],
    ) -> None:
        self._access = access
        self._keys = keys
        self._contents = dict(some)
        self._read = read
        self._found: dict[int, Found] = dict(self._cached(some))
        self._places: dict[int, _Place] = {}
        requests = self._plan([one for one in some if one[0] not in self._found])
        self._batch = Batch(access.session, requests)

    def _cached(self, some: _Some) -> Iterator[tuple[int, bytes]]:
        if self._access.cache:
            for number, content in some:
                data = self._access.cache.read(content.sha256, content.size)
                if data is not None:
                    yield number, data

    def _plan(self, some: _Some) -> list[SizedRequest]:
        by_href: defaultdict[str, list[tuple[int, int, int]]] = defaultdict(list)
        requests: list[SizedRequest] = []
        for number, content in some:
            place, size = content.place, content.size or 0
            if place is not None and size and content.sha256 and key_problem(place.href) is None:
                by_href[place.href].append((place.offset, place.offset + size, number))
            else:
                self._places[number] = _Place(len(requests), 0, size, False)
                requests.append(self._whole(number))
        for href, values in by_href.items():
            url_path = key_to_url_path("", href)
            ranges = (ByteRange(start, end) for start, end, _ in values)
            for first, last in coalesced(ranges, tuning.PACK_GAP_BYTES, tuning.PACK_STRETCH_BYTES):
                for start, end, number in values:
                    if first <= start and end <= last:
                        place_in = _Place(len(requests), start - first, end - first, True)
                        self._places[number] = place_in
                requests.append(SizedRequest(url_path, last - first, first))
        return requests

    def _whole(self, number: int) -> SizedRequest:
        url_path = key_to_url_path(self._access.data_path, self._keys[number])
        return SizedRequest(url_path, self._contents[number].size or 0)

    def take(self, number: int) -> Found:
        """Return a value, verified, or the error for it; None if it is not one of these.

        Waits for it, but not for those after it.
        """
        if number in self._places and number not in self._found:
            data = self._arrived(number)
            if data is None:
                self._read_carefully()
            else:
                self._found[number] = data
        self._places.pop(number, None)
        return self._found.pop(number, None)

    def close(self) -> None:
        """Give up what has not come."""
        self._batch.close()

    def _arrived(self, number: int) -> bytes | None:
        request, start, end, _ = self._places[number]
        answer = self._batch.answer(request)
        if answer is None:
            return None
        is_whole = end - start == len(answer.body)
        return self._right(number, answer.body if is_whole else answer.body[start:end])

    def _right(self, number: int, data: bytes) -> bytes | None:
        # The size is right already: only the digest is checked.
        sha256 = self._contents[number].sha256
        if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
            return None
        if self._access.cache:
            self._access.cache.put(sha256, data)
        return data

    def _read_carefully(self) -> None:
        missing = []
        for number in self._places:
            data = self._arrived(number)
            if data is None:
                missing.append(number)
            else:
                self._found[number] = data
        packed = [number for number in missing if self._places[number].is_in_pack]
        answers = fetch_all(self._access.session, [self._whole(number) for number in packed])
        for number, answer in zip(packed, answers, strict=True):
            data = None if answer is None else self._right(number, answer.body)
            if data is not None:
                self._found[number] = data
        self._found |= self._singly([one for one in missing if one not in self._found])

    def _singly(self, numbers: Sequence[int]) -> dict[int, Found]:
        """Read values as a single read does: with redirects, retries and errors.

        Once no host can be reached in spite of all retries, or one refuses requests for
        a long time, the other values fail at once.
        """
        from ..workers import Workers  # slow to import: concurrent.futures

        session = self._access.session
        outage: list[TransportError] = []

        def read(key: str) -> bytes | StoreError:
            if outage:
                first = outage[0]
                url = session.root.join(key_to_url_path(self._access.data_path, key))
                return type(first)(first.args[0], key=key, url=url, status=first.status)
            found = self._read(key)
            if (
                isinstance(found, TransportError)
                and session.is_failing
                and (found.status is None or wants_long_rest(found))
            ):
                outage.append(found)
            return found

        workers = requests_at_once(session.wire, tuning.CAREFUL_THREADS)
        with Workers(workers, "staticstore read_many") as pool:
            reads = {one: pool.submit(partial(read, self._keys[one])) for one in numbers}
            return {number: one.result() for number, one in reads.items()}
