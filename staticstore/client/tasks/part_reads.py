"""Parts of values, each passed on as soon as it has come."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from ... import tuning
from ...errors import TransportError
from ...transport.many.request import ByteRange, SizedAnswer, SizedRequest
from ...transport.values.ranges import RangesPlan, WantedParts, WantedRanges
from ..value_requests import Places, stretches
from .careful_calls import CarefulCalls
from .requests import Found, Requests

if TYPE_CHECKING:
    from ...index.fields import Content
    from ...transport.http.session import Session
    from ...transport.values.ranges import Bounds
    from ...transport.values.remote_value import RemoteValue
    from ..site_snapshot import Values
    from .calls import AsyncCalls
    from .turns import BegunReads

__all__ = ["PartReads"]


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
    whole_reads : callable
        Reads the values of which all is wanted, and takes the same arguments.
    """

    def __init__(
        self,
        calls: AsyncCalls,
        values: Values,
        wanted: Sequence[tuple[str, Content, WantedParts]],
        found: Found,
        *,
        whole_reads: Callable[..., BegunReads],
    ) -> None:
        self._calls = calls
        self._values = values
        self._wanted = wanted
        self._found = found
        self._requests: dict[Session, Requests] = {}
        self._careful_calls = CarefulCalls(calls.patient)
        self._whole_reads = whole_reads
        self._whole: BegunReads | None = None
        # Their numbers among the whole values.
        self._number_of_whole: dict[int, int] = {}

    def begin(self) -> None:
        """Request the parts; it blocks only if each request is signed.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        whole, single, several = [], defaultdict[str, list[int]](list), []
        for number, (key, content, wanted) in enumerate(self._wanted):
            if not wanted.is_single:
                several.append(number)
            elif _covers(wanted.ranges[0], content.size):
                whole.append(number)
            else:
                single[key].append(number)
        if whole:
            self._read_whole(whole)
        for key, numbers in single.items():
            self._begun(numbers, partial(self._read_single, key, numbers))
        for number in several:
            self._begun([number], partial(self._read_several, number))
        for requests in self._requests.values():
            requests.send()

    def _begun(self, numbers: Sequence[int], begin: Callable[[], None]) -> None:
        try:
            begin()
        except TransportError as error:  # the value is where the site may not lead to
            for number in numbers:
                self._found(number, error)

    def cancel(self, number: int) -> None:
        """Give a call up: what no other call needs is requested no more."""
        if self._whole is not None and number in self._number_of_whole:
            self._whole.cancel(self._number_of_whole[number])
        for requests in self._requests.values():
            requests.cancel(number)
        self._careful_calls.cancel(number)

    def _read_whole(self, numbers: Sequence[int]) -> None:
        self._number_of_whole = {number: place for place, number in enumerate(numbers)}
        wanted = [self._wanted[number] for number in numbers]
        self._whole = self._whole_reads(
            self._calls, self._values, wanted, lambda place, data: self._found(numbers[place], data)
        )
        self._whole.begin()

    def _value(self, number: int) -> RemoteValue:
        key, content, _ = self._wanted[number]
        return self._values.access.remote_value(key, content)

    def _requests_to(self, session: Session) -> Requests:
        if (known := self._requests.get(session)) is None:
            known = self._requests[session] = Requests(session, self._calls, self._found)
        return known

    # -- one part for each call --------------------------------------------------

    def _read_single(self, key: str, numbers: Sequence[int]) -> None:
        """Request one part of one value for each call, by as few requests as possible."""
        value = self._value(numbers[0])
        by_limits: defaultdict[tuple[int, int], list[tuple[ByteRange, int]]] = defaultdict(list)
        for number in numbers:
            wanted = self._wanted[number][2]
            if value.size is None:
                self._read_in_thread([number])
                continue
            start, end, _ = slice(*wanted.ranges[0]).indices(value.size)
            if start < end:
                limits = wanted.max_gap, wanted.max_size
                by_limits[limits].append((ByteRange(start, end), number))
            else:
                self._found(number, b"")
        for (gap, most), ranges in by_limits.items():
            for stretch, places in stretches(ranges, gap, most):
                self._request_stretch(value, stretch, places)

    def _request_stretch(self, value: RemoteValue, stretch: ByteRange, places: Places) -> None:
        start, end = stretch
        numbers = [number for number, _, _ in places]
        is_first = value.sources is None or not value.session.is_failing
        copy = value.compressed
        is_by_copy = copy is not None and copy.is_shorter(value, [stretch])
        if is_by_copy or not is_first or end - start > tuning.RANGE_AT_ONCE_BYTES:
            self._read_in_thread(numbers)
            return
        request = SizedRequest(value.url_path, end - start, start, value.size)
        self._requests_to(value.session).add(request, numbers, partial(self._take_stretch, places))

    def _take_stretch(self, places: Places, answer: SizedAnswer | None) -> None:
        if answer is None:
            self._read_in_thread([number for number, _, _ in places])
            return
        for number, start, end in places:
            self._found(number, answer.body[start:end])

    # -- several parts for a call ------------------------------------------------

    def _read_several(self, number: int) -> None:
        value = self._value(number)
        plan = None if value.size is None else self._plan(value, [number])
        if plan is None or not plan.is_fetched_at_once:
            self._read_in_thread([number], plan)
        elif not plan.stretches:
            self._finish(plan, [number])
        else:
            coming = _Coming(len(plan.stretches))
            for place, request in enumerate(plan.requests(value)):
                take = partial(self._take, plan, number, coming, place)
                self._requests_to(value.session).add(request, [number], take)

    def _plan(self, value: RemoteValue, numbers: Sequence[int]) -> RangesPlan:
        ranges = [one for number in numbers for one in self._wanted[number][2].ranges]
        wanted = self._wanted[numbers[0]][2]
        return RangesPlan(WantedRanges(value, ranges), wanted.max_gap, wanted.max_size)

    def _take(
        self,
        plan: RangesPlan,
        number: int,
        coming: _Coming,
        place: int,
        answer: SizedAnswer | None,
    ) -> None:
        if not coming.put(place, answer):
            return
        plan.fetched = coming.answers
        if coming.is_of_one_version and not plan.is_whole:
            self._finish(plan, [number])
        else:  # what is wrong is read again, which waits for the host
            self._read_in_thread([number], plan)

    def _finish(self, plan: RangesPlan, numbers: Sequence[int]) -> None:
        parts = iter(plan.read())
        for number in numbers:
            wanted = self._wanted[number][2]
            own = list(islice(parts, len(wanted.ranges)))
            self._found(number, own[0] if wanted.is_single else own)

    def _read_in_thread(self, numbers: Sequence[int], plan: RangesPlan | None = None) -> None:
        def read() -> None:
            try:
                self._finish(plan or self._plan(self._value(numbers[0]), numbers), numbers)
            except BaseException as error:
                for number in numbers:
                    self._found(number, error)

        self._careful_calls.submit(numbers, read)


def _covers(bounds: Bounds, size: int | None) -> bool:
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
