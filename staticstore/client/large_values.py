"""Large values, read ahead over many connections in the order requested."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from .. import tuning
from ..errors import StoreError
from ..index.fields import Content
from ..transport.many.batch import fetch_all, submit
from ..transport.many.request import SizedAnswer, SizedRequest
from ..transport.many.threads import requests_at_once
from ..workers import WorkerCall, Workers
from .value_requests import RequestedFile

if TYPE_CHECKING:
    from ..transport.http.report import RequestReport
    from ..transport.many.carrier import SubmittedRequest
    from .site_snapshot import Values

__all__ = ["LargeValues", "ReadOutcome"]

#: The bytes of a value, or why they cannot be read; None if they are to be read in another way.
ReadOutcome = bytes | StoreError | None


class _Read:
    # A read of a value, or of a part of it.

    def __init__(
        self, size: int, request: SizedRequest | None, finish: Callable[[_Read], ReadOutcome]
    ) -> None:
        self.size = size
        #: What the carrier is to send; None if the read needs no request, or one of its own.
        self.request = request
        #: What was expected; None until it has come, and if something else has.
        self.answer: SizedAnswer | None = None
        self.report: RequestReport | None = None
        self.submitted: SubmittedRequest | None = None
        self.began = 0.0
        self._finish = finish

    def result(self) -> ReadOutcome:
        if self.report is not None:
            self.report.finish()
        return self._finish(self)


class _Planned:
    # A planned value, its reads that have not begun, and those that have.

    def __init__(
        self, key: str, content: Content, file: RequestedFile | None, *, is_split: bool
    ) -> None:
        self.key = key
        self.content = content
        self.file = file
        self.is_split = is_split
        self.coming: Iterator[_Read] = iter(())
        self.begun: deque[tuple[_Read, WorkerCall[ReadOutcome]]] = deque()


class LargeValues:
    """Reads large values ahead, and returns them in the order they were planned.

    Some hosts limit the rate of each connection.  A value above 4 MiB with a digest is
    read in parts, so that even a single value is read over many connections.  At most
    the returned value and 96 MiB are in memory.  A value that is larger than that and
    cannot be read in parts is read when it is taken.

    Parameters
    ----------
    values : Values
        The values of a snapshot.
    """

    def __init__(self, values: Values) -> None:
        self._access = access = values.access
        most = requests_at_once(access.session.wire, tuning.LARGE_CONNECTIONS)
        self._read = values.read_or_error
        self._pid = os.getpid()
        # As of `AsyncCalls`: for what waits for a host, and for what computes.
        self._patient = Workers(most, "staticstore read_many")
        self._quick = Workers(tuning.VERIFY_THREADS, "staticstore verify")
        self._planned: deque[_Planned] = deque()
        # Values of which not all reads have begun.
        self._waiting: deque[_Planned] = deque()
        self._next: _Read | None = None
        self._bytes_begun = 0
        # Until an answer does not come as expected.
        self._gives_parts = self._gives_wholes = True

    def plan(self, key: str, content: Content) -> None:
        """Plan a value of known size, to be taken after the earlier ones."""
        file = RequestedFile.of(self._access, key, content)
        value = _Planned(key, content, file, is_split=self._can_split(file))
        value.coming = self._reads(value)
        self._planned.append(value)
        self._waiting.append(value)
        self._begin()

    def take(self) -> bytes | StoreError:
        """Return the next planned value, verified, or the error for it."""
        value = self._planned[0]
        found = self._joined(value) if value.is_split else next(self._results(value), None)
        self._planned.popleft()
        return self._read(value.key) if found is None else found

    def close(self) -> None:
        """Give up what has not been taken."""
        for value in self._planned:
            self._drop(value)
        self._patient.close()
        self._quick.close()

    def _can_split(self, file: RequestedFile | None) -> bool:
        if file is None or file.sha256 is None or file.size <= tuning.LARGE_PART_BYTES:
            return False
        self._gives_parts = self._gives_parts and self._access.session.template() is not None
        return self._gives_parts and not self._is_cached(file.content)

    def _is_cached(self, content: Content) -> bool:
        cached = self._access.cache.open(content.sha256, content.size)
        if cached is not None:
            cached.close()
        return cached is not None

    def _reads(self, value: _Planned) -> Iterator[_Read]:
        size, file, part = value.content.size or 0, value.file, tuning.LARGE_PART_BYTES
        if value.is_split and file is not None:
            for request in file.parts():
                yield _Read(request.size, request, self._part)
        elif size > tuning.LARGE_AHEAD_BYTES:
            return
        elif file is not None and file.size <= part and not self._is_cached(value.content):
            yield _Read(size, file.whole(), partial(self._whole, value.key, file))
        else:
            yield _Read(size, None, lambda _: self._read(value.key))

    def _whole(self, key: str, file: RequestedFile, read: _Read) -> ReadOutcome:
        data = None if read.answer is None else file.value(self._access, read.answer.body)
        if data is not None:
            return data
        self._gives_wholes = self._gives_wholes and file.is_copy  # the value may be there
        return self._read(key)

    def _part(self, read: _Read) -> bytes | None:
        # Once a part cannot be read, no more are requested.
        answer = read.answer
        is_prompt = time.monotonic() - read.began <= tuning.PROMPT_FAILURE_SECONDS
        if answer is None and read.request is not None and self._gives_parts and is_prompt:
            [answer] = fetch_all(self._access.session, [read.request])
        if answer is None:
            self._gives_parts = False
            return None
        return answer.body

    def _begin(self) -> None:
        # Begin as many reads as may be in memory together, and at least one.
        while self._waiting:
            value = self._waiting[0]
            read = self._next = self._next or next(value.coming, None)
            if read is None:
                self._waiting.popleft()
                continue
            if self._bytes_begun and self._bytes_begun + read.size > tuning.LARGE_AHEAD_BYTES:
                return
            self._next = None
            self._bytes_begun += read.size
            found = WorkerCall(read.result)
            value.begun.append((read, found))
            self._send(read, found)

    def _send(self, read: _Read, found: WorkerCall[ReadOutcome]) -> None:
        read.began = time.monotonic()
        if read.request is not None and self._is_worth(read.request):
            note = partial(self._note, read, found)
            [read.submitted] = submit(self._access.session, [read.request], note)
        if read.submitted is None:
            self._patient.queue(found)

    def _is_worth(self, request: SizedRequest) -> bool:
        return self._gives_wholes if request.start is None else self._gives_parts

    def _note(self, read: _Read, found: WorkerCall[ReadOutcome], one: SubmittedRequest) -> None:
        # In a thread of the carrier, which must not be held up.
        read.report = one.report
        if not isinstance(one.outcome, SizedAnswer):
            self._patient.queue(found)
            return
        read.answer = one.outcome
        if one.request.start is None or one.report is not None:  # to be hashed, or reported
            self._quick.queue(found)
        else:
            found.run()

    def _results(self, value: _Planned) -> Iterator[ReadOutcome]:
        while value.begun:
            read, coming = value.begun.popleft()
            found = coming.result()
            read.submitted = None  # which refers to the read, and so to its bytes
            self._bytes_begun -= read.size
            self._begin()
            yield found

    def _joined(self, value: _Planned) -> bytes | None:
        joined, digest = io.BytesIO(), hashlib.sha256()
        for part in self._results(value):
            if not isinstance(part, bytes):
                self._drop(value)
                return None
            joined.write(part)
            digest.update(part)
        file = value.file
        if file is None or digest.hexdigest() != file.sha256:
            return None
        return file.value(self._access, joined.getvalue(), is_verified=True)

    def _drop(self, value: _Planned) -> None:
        if self._waiting and self._waiting[0] is value:
            self._waiting.popleft()
            self._next = None
        for read, found in value.begun:
            self._bytes_begun -= read.size
            if self._pid == os.getpid():  # else they are of the parent
                found.cancel()
                if read.submitted is not None:
                    read.submitted.cancel()
            read.submitted = None
        value.begun.clear()
