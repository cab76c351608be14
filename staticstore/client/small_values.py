"""Small values, requested together: from packs, or each by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from .. import tuning
from ..index.fields import Content
from ..transport.many.batch import Batch, fetch_all
from ..transport.many.request import SizedRequest
from ..transport.many.threads import requests_at_once
from ..workers import Workers
from .value_requests import CarefulReads, Places, RequestedFile, accept, pack_stretches

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ..errors import StoreError
    from .large_values import ReadOutcome
    from .site_snapshot import Values

__all__ = ["SmallValues"]

#: Values of a window: their numbers in it, and what the index says of them.
_Some = list[tuple[int, Content]]
#: Their numbers and keys.
_Named = list[tuple[int, str]]


class SmallValues:
    """Small values of a window, requested together and taken in order.

    Those in packs are cut out of stretches of them.  Each is verified when it is taken.
    From the first that did not come as expected, all such values of the window are read
    carefully: from packs whole, and then singly, as by `URLValue.read`.

    Parameters
    ----------
    values : Values
        The values of a snapshot.
    keys : sequence of str
        The keys of the window.
    some : list of (int, Content)
        The numbers of the small values among these, and what the index says of them.
    """

    def __init__(self, values: Values, keys: Sequence[str], some: _Some) -> None:
        self._values = values
        self._access = values.access
        self._keys = keys
        self._contents = dict(some)
        self._found: dict[int, ReadOutcome] = dict(self._cached(some))
        self._requests: list[SizedRequest] = []
        # For each request the values in its answer, each with its bytes in it.
        self._parts: list[Places] = []
        # For each value that has not come the number of its request.
        self._coming: dict[int, int] = {}
        # For each value that is requested by itself, what of it.
        self._files: dict[int, RequestedFile] = {}
        self._plan_packs()
        self._packs = len(self._requests)
        apart: list[int] = []
        for number, _ in some:
            if number not in self._found and number not in self._coming:
                file = self._file(number)
                if file is None:
                    apart.append(number)
                else:
                    self._files[number] = file
                    self._add(file.whole(), [(number, 0, file.size)])
        self._batch = Batch(self._access.session, self._requests)
        self._apart = _Apart([(number, self._keys[number]) for number in apart], values)

    def _cached(self, some: _Some) -> Iterator[tuple[int, bytes]]:
        if self._access.cache:
            for number, content in some:
                data = self._access.cache.read(content.sha256, content.size)
                if data is not None:
                    yield number, data

    def _plan_packs(self) -> None:
        missing = (one for one in self._contents.items() if one[0] not in self._found)
        for request, places in pack_stretches(missing):
            self._add(request, places)

    def _add(self, request: SizedRequest, parts: Places) -> None:
        for number, _, _ in parts:
            self._coming[number] = len(self._requests)
        self._requests.append(request)
        self._parts.append(parts)

    def _file(self, number: int) -> RequestedFile | None:
        return RequestedFile.of(self._access, self._keys[number], self._contents[number])

    def take(self, number: int) -> ReadOutcome:
        """Return a value, verified, or the error for it; None if it is not one of these.

        Waits for it, but not for those after it.
        """
        if number in self._coming:
            self._receive(self._coming[number])
            if number not in self._found:
                self._read_carefully()
        found = self._found.pop(number, None)
        return self._apart.take(number) if found is None else found

    def close(self) -> None:
        """Give up what has not come."""
        self._batch.close()
        self._apart.close()

    def _receive(self, request: int) -> None:
        """Wait for an answer, and find the values in it that are right."""
        answer = self._batch.answer(request)
        if answer is None:
            return
        body = answer.body
        for number, start, end in self._parts[request]:
            data = body if end - start == len(body) else body[start:end]
            if (file := self._files.get(number)) is not None:
                value = file.value(self._access, data)
            else:
                value = data if accept(self._access, self._contents[number], data) else None
            if value is not None:
                self._found[number] = value
                self._coming.pop(number, None)

    def _read_carefully(self) -> None:
        for request in set(self._coming.values()):
            self._receive(request)
        again = {
            number: file
            for number, request in self._coming.items()
            if request < self._packs and (file := self._file(number)) is not None
        }
        answers = fetch_all(self._access.session, [file.whole() for file in again.values()])
        for (number, file), answer in zip(again.items(), answers, strict=True):
            value = None if answer is None else file.value(self._access, answer.body)
            if value is not None:
                self._found[number] = value
                del self._coming[number]
        self._found |= self._singly(list(self._coming))
        self._coming.clear()

    def _singly(self, numbers: Sequence[int]) -> dict[int, ReadOutcome]:
        read = CarefulReads(self._values).read
        workers = requests_at_once(self._access.session.wire, tuning.CAREFUL_THREADS)
        with Workers(workers, "staticstore read_many") as pool:
            reads = {
                one: pool.submit(partial(read, self._keys[one], self._contents[one]))
                for one in numbers
            }
            return {number: one.result() for number, one in reads.items()}


class _Apart:
    # Values of a window that are not requested from the site, such as those of other origins.
    # They are read ahead by threads, each as by `URLValue.read`.

    def __init__(self, some: _Named, values: Values) -> None:
        self._pool: Workers | None = None
        self._coming: dict[int, Future[bytes | StoreError]] = {}
        if some:
            most = requests_at_once(values.access.session.wire, tuning.CAREFUL_THREADS)
            self._pool = pool = Workers(most, "staticstore read_many")
            read = values.read_or_error
            self._coming = {number: pool.submit(partial(read, key)) for number, key in some}

    def take(self, number: int) -> ReadOutcome:
        coming = self._coming.pop(number, None)
        return None if coming is None else coming.result()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
