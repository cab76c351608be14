"""Whole values, each passed on as soon as it has come and is verified."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..value_requests import (
    CarefulReads,
    RequestedFile,
    accept,
    pack_stretches,
    part_requests,
)
from .careful_calls import CarefulCalls
from .requests import Found, Requests

if TYPE_CHECKING:
    from ...index.fields import Content
    from ...transport.many.request import SizedAnswer
    from ..site_snapshot import Values
    from .calls import AsyncCalls

__all__ = ["WholeReads"]


class WholeReads:
    """Reads whole values of one snapshot together; a slow one holds up no other.

    They are read as by `read_many`: from the cache, from packs, by requests of their own, and
    what is not as expected carefully.

    Parameters
    ----------
    calls : AsyncCalls
        The threads that verify, and read carefully.
    values : Values
        The values of a snapshot.
    wanted : sequence of (str, Content, object)
        Keys and contents; the numbers are those of this sequence.
    found : callable
        As `Found`.
    """

    def __init__(
        self,
        calls: AsyncCalls,
        values: Values,
        wanted: Sequence[tuple[str, Content, object]],
        found: Found,
    ) -> None:
        self._calls = calls
        self._values = values
        self._wanted = wanted
        self._found = found
        self._careful = CarefulReads(values)
        self._careful_calls = CarefulCalls(calls.patient)
        is_slow = bool(values.access.cache)
        self._requests = Requests(values.access.session, calls, found, is_slow=is_slow)

    def begin(self) -> None:
        """Request the values, or those of them that the cache does not have.

        It blocks only if there is a cache, or each request is signed.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        """
        missing = list(self._not_cached())
        packed: set[int] = set()
        for stretch in pack_stretches((number, self._wanted[number][1]) for number in missing):
            numbers = [number for number, _, _ in stretch.places]
            take = partial(self._take_stretch, stretch.places)
            self._requests.add(stretch.request, numbers, take)
            packed.update(numbers)
        self._request(number for number in missing if number not in packed)

    def _not_cached(self) -> Iterable[int]:
        cache = self._values.access.cache
        if not cache:
            return range(len(self._wanted))
        missing = []
        for number, (_, content, _) in enumerate(self._wanted):
            data = cache.read(content.sha256, content.size)
            if data is None:
                missing.append(number)
            else:
                self._found(number, data)
        return missing

    def cancel(self, number: int) -> None:
        """Give a value up: what no other value needs is requested no more."""
        self._requests.cancel(number)
        self._careful_calls.cancel(number)

    # -- values by requests of their own -----------------------------------------

    def _request(self, numbers: Iterable[int]) -> None:
        unknown = []
        for number in numbers:
            key, content, _ = self._wanted[number]
            if content.size is None:
                unknown.append(number)
                continue
            file = RequestedFile.of(self._values.access, key, content)
            if file is None:
                unknown.append(number)
                continue
            requests = part_requests(file)
            if len(requests) == 1:
                self._requests.add(requests[0], [number], partial(self._take_whole, number, file))
                continue
            parts = _Parts(len(requests))
            for place, request in enumerate(requests):
                take = partial(self._take_part, number, file, parts, place)
                self._requests.add(request, [number], take)
        self._requests.send()
        for number in unknown:
            self._read_carefully(number)

    def _take_whole(self, number: int, file: RequestedFile, answer: SizedAnswer | None) -> None:
        value = None if answer is None else file.value(self._values.access, answer.body)
        if value is not None:
            self._found(number, value)
        else:
            self._read_carefully(number)

    def _take_part(
        self,
        number: int,
        file: RequestedFile,
        parts: _Parts,
        place: int,
        answer: SizedAnswer | None,
    ) -> None:
        if answer is None:
            if parts.give_up():
                self._requests.cancel(number)
                self._read_carefully(number)
        elif parts.put(place, answer.body):
            self._take_whole(number, file, answer._replace(body=parts.take()))

    def _read_carefully(self, number: int) -> None:
        key, content, _ = self._wanted[number]

        def read() -> None:
            try:
                found: object = self._careful.read(key, content)
            except BaseException as error:  # such as one of the user's authentication
                found = error
            self._found(number, found)

        self._careful_calls.submit([number], read)

    # -- values from packs -------------------------------------------------------

    def _take_stretch(
        self, places: Sequence[tuple[int, int, int]], answer: SizedAnswer | None
    ) -> None:
        wrong = []
        for number, start, end in places:
            data = None if answer is None else answer.body[start:end]
            if data is not None and accept(self._values.access, self._wanted[number][1], data):
                self._found(number, data)
            else:
                wrong.append(number)
        if wrong:
            self._calls.patient.submit(partial(self._request_again, wrong))

    def _request_again(self, numbers: Sequence[int]) -> None:
        try:
            self._request(numbers)
        except BaseException as error:
            for number in numbers:
                self._found(number, error)


class _Parts:
    # The parts of one value, put together by any threads.

    def __init__(self, count: int) -> None:
        self._bodies = [b""] * count
        self._left = count
        self._lock = threading.Lock()

    def put(self, place: int, body: bytes) -> bool:
        """Keep a part; return whether it was the last one that was missing."""
        with self._lock:
            if self._left < 0:
                return False
            self._bodies[place] = body
            self._left -= 1
            return self._left == 0

    def take(self) -> bytes:
        """Return the whole, and forget the parts."""
        bodies, self._bodies = self._bodies, []
        return b"".join(bodies)

    def give_up(self) -> bool:
        """Return whether this is the first part that failed."""
        with self._lock:
            is_first, self._left = self._left > 0, -1
            return is_first
