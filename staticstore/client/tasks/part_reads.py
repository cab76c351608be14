"""Parts of values, each passed on as soon as it has come."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ...transport.values.ranges import ByteRange, RangesPlan, WantedRanges, coalesced
from .requests import Requests
from .whole_reads import Found, WholeReads

if TYPE_CHECKING:
    from ...index.fields import Content
    from ...transport.http.session import Session
    from ...transport.many.request import SizedAnswer
    from ...transport.values.remote_value import RemoteValue
    from ..site_snapshot import Values
    from .calls import AsyncCalls

__all__ = ["PartReads", "WantedParts"]

_Bounds = tuple[int | None, int | None]


class WantedParts(NamedTuple):
    """What one call wants of a value."""

    #: As in slices.
    ranges: Sequence[_Bounds]
    #: As of `StaticStore.get_ranges`, in bytes.
    max_gap: int = 1 << 12
    max_size: int = 1 << 23
    #: Whether the result is one part, not a list of parts.
    is_single: bool = False


class PartReads:
    """Reads parts of values of one snapshot together; a slow one holds up no other.

    They are read as by `get_ranges`; parts of one value that are near each other share a
    request, also those of different calls.

    Parameters
    ----------
    calls : AsyncCalls
        The threads that read carefully, and verify.
    values : Values
        The values of a snapshot.
    wanted : sequence of (str, Content, WantedParts)
        What each call wants; the numbers are those of this sequence.
    found : callable
        As `Found`.
    """

    def __init__(
        self,
        calls: AsyncCalls,
        values: Values,
        wanted: Sequence[tuple[str, Content, WantedParts]],
        found: Found,
    ) -> None:
        self._calls = calls
        self._values = values
        self._wanted = wanted
        self._found = found
        self._requests: dict[Session, Requests] = {}
        self._whole: WholeReads | None = None
        # Their numbers among the whole values.
        self._number_of_whole: dict[int, int] = {}

    def begin(self) -> None:
        """Request the parts; it blocks only if each request is signed.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        access, by_key = self._values.access, defaultdict[str, list[int]](list)
        whole = []
        for number, (key, content, wanted) in enumerate(self._wanted):
            if wanted.is_single and _covers(wanted.ranges[0], content.size):
                whole.append(number)
            else:
                by_key[key].append(number)
        if whole:
            self._read_whole(whole)
        for key, numbers in by_key.items():
            value = access.remote_value(key, self._wanted[numbers[0]][1])
            if value.size is None:
                for number in numbers:
                    self._read_in_thread(partial(self._plan, value, [number]), [number])
            else:
                for together in self._together(numbers, value.size):
                    self._read(self._plan(value, together), together)
        for requests in self._requests.values():
            requests.send()

    def cancel(self, number: int) -> None:
        """Give a call up: what no other call needs is requested no more."""
        if self._whole is not None and number in self._number_of_whole:
            self._whole.cancel(self._number_of_whole[number])
        for requests in self._requests.values():
            requests.cancel(number)

    def _read_whole(self, numbers: Sequence[int]) -> None:
        self._number_of_whole = {number: place for place, number in enumerate(numbers)}
        wanted = [self._wanted[number] for number in numbers]
        self._whole = WholeReads(
            self._calls, self._values, wanted, lambda place, data: self._found(numbers[place], data)
        )
        self._whole.begin()

    def _together(self, numbers: Sequence[int], size: int) -> Iterator[list[int]]:
        """Yield the numbers of calls whose single parts are in one stretch; others alone."""
        single: defaultdict[tuple[int, int], list[tuple[ByteRange, int]]] = defaultdict(list)
        for number in numbers:
            wanted = self._wanted[number][2]
            start, end, _ = slice(*wanted.ranges[0]).indices(size) if wanted.ranges else (0, 0, 1)
            if wanted.is_single and start < end:
                single[wanted.max_gap, wanted.max_size].append((ByteRange(start, end), number))
            else:
                yield [number]
        for (gap, most), ranges in single.items():
            in_order = iter(sorted(ranges))
            one = next(in_order, None)
            for _, last in coalesced((each for each, _ in ranges), gap, most):
                together = []
                while one is not None and one[0].end <= last:
                    together.append(one[1])
                    one = next(in_order, None)
                yield together

    def _plan(self, value: RemoteValue, numbers: Sequence[int]) -> RangesPlan:
        ranges = [one for number in numbers for one in self._wanted[number][2].ranges]
        wanted = self._wanted[numbers[0]][2]
        return RangesPlan(WantedRanges(value, ranges), wanted.max_gap, wanted.max_size)

    def _read(self, plan: RangesPlan, numbers: Sequence[int]) -> None:
        if not plan.is_fetched_at_once:
            self._read_in_thread(lambda: plan, numbers)
            return
        if not plan.stretches:
            self._finish(plan, numbers)
            return
        session = plan.value.session
        requests = self._requests.get(session)
        if requests is None:
            requests = self._requests[session] = Requests(session, self._calls, self._found)
        coming = _Coming(len(plan.stretches))
        for place, request in enumerate(plan.requests(plan.value)):
            take = partial(self._take, plan, numbers, coming, place)
            requests.add(request, numbers, take)

    def _take(
        self,
        plan: RangesPlan,
        numbers: Sequence[int],
        coming: _Coming,
        place: int,
        answer: SizedAnswer | None,
    ) -> None:
        if not coming.put(place, answer):
            return
        plan.fetched = coming.answers
        if coming.is_of_one_version and not plan.is_whole:
            self._finish(plan, numbers)
        else:  # reading what is wrong again waits for the host
            self._read_in_thread(lambda: plan, numbers)

    def _finish(self, plan: RangesPlan, numbers: Sequence[int]) -> None:
        parts = iter(plan.read())
        for number in numbers:
            wanted = self._wanted[number][2]
            own = list(islice(parts, len(wanted.ranges)))
            self._found(number, own[0] if wanted.is_single else own)

    def _read_in_thread(self, plan: Callable[[], RangesPlan], numbers: Sequence[int]) -> None:
        def read() -> None:
            try:
                self._finish(plan(), numbers)
            except BaseException as error:
                for number in numbers:
                    self._found(number, error)

        self._calls.patient.submit(read)


def _covers(bounds: _Bounds, size: int | None) -> bool:
    return bounds == (None, None) or (
        size is not None and slice(*bounds).indices(size) == (0, size, 1)
    )


class _Coming:
    # The answers to the requests of one plan, in its order, put together by any threads.

    def __init__(self, count: int) -> None:
        self.answers: list[SizedAnswer | None] = [None] * count
        self._left = count
        self._lock = threading.Lock()

    def put(self, place: int, answer: SizedAnswer | None) -> bool:
        """Keep an answer; return whether it was the last one that was missing."""
        self.answers[place] = answer
        with self._lock:
            self._left -= 1
            return self._left == 0

    @property
    def is_of_one_version(self) -> bool:
        """Whether all are as expected, and have the same entity tag."""
        etags = {answer and answer.etag for answer in self.answers}
        return None not in self.answers and len(etags) == 1
