"""Large values, read ahead over many connections in the order requested."""

from __future__ import annotations

import hashlib
import io
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from .. import tuning
from ..errors import StoreError
from ..index.fields import Content
from ..transport.many.batch import fetch_all
from ..transport.many.request import SizedRequest
from ..transport.many.threads import requests_at_once
from ..workers import Workers
from .value_requests import RequestedFile

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .access import Access

__all__ = ["Found", "LargeValues"]

#: The bytes of a value, or why they cannot be read; None if they are to be read in another way.
Found = bytes | StoreError | None


class _Read(NamedTuple):
    """A call that reads a value or a part of it, and how many bytes that is."""

    size: int
    call: Callable[[], Found]


class _Planned:
    """A planned value, its reads that have not begun, and those that have."""

    def __init__(
        self, key: str, content: Content, file: RequestedFile | None, *, is_split: bool
    ) -> None:
        self.key = key
        self.content = content
        self.file = file
        self.is_split = is_split
        self.coming: Iterator[_Read] = iter(())
        self.begun: deque[tuple[int, Future[Found]]] = deque()


class LargeValues:
    """Reads large values ahead, and returns them in the order they were planned.

    Some hosts limit the rate of each connection.  A value above 4 MiB with a digest is
    read in parts, so that even a single value is read over many connections.  At most
    the returned value and 96 MiB are in memory.  A value that is larger than that and
    cannot be read in parts is read when it is taken.

    Parameters
    ----------
    access : Access
        Access to the values of a snapshot.
    read : callable
        Reads a value by itself; returns it, or an error.
    """

    def __init__(self, access: Access, read: Callable[[str], bytes | StoreError]) -> None:
        most = requests_at_once(access.session.wire, tuning.LARGE_CONNECTIONS)
        self._access = access
        self._read = read
        self._pool = Workers(most, "staticstore read_many")
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
        value = self._planned.popleft()
        found = self._joined(value) if value.is_split else next(self._results(value), None)
        return self._read(value.key) if found is None else found

    def close(self) -> None:
        """Stop beginning reads."""
        self._pool.close()

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
        size, file = value.content.size or 0, value.file
        if value.is_split and file is not None:
            for wanted in file.parts():
                yield _Read(wanted.size, partial(self._part, wanted))
        elif size > tuning.LARGE_AHEAD_BYTES:
            return
        elif (
            file is not None
            and file.size <= tuning.LARGE_PART_BYTES
            and not self._is_cached(value.content)
        ):
            yield _Read(size, partial(self._whole, value.key, file))
        else:
            yield _Read(size, partial(self._read, value.key))

    def _whole(self, key: str, file: RequestedFile) -> Found:
        if self._gives_wholes:
            [got] = fetch_all(self._access.session, [file.whole()])
            if got is not None and (data := file.value(self._access, got.body)) is not None:
                return data
            self._gives_wholes = file.is_copy  # the value itself may be there
        return self._read(key)

    def _part(self, wanted: SizedRequest) -> bytes | None:
        # Once a part cannot be read, no more are requested.
        began = time.monotonic()
        for _ in range(2):
            if not self._gives_parts or time.monotonic() - began > tuning.PROMPT_FAILURE_SECONDS:
                break
            [got] = fetch_all(self._access.session, [wanted])
            if got is not None:
                return got.body
        self._gives_parts = False
        return None

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
            value.begun.append((read.size, self._pool.submit(read.call)))

    def _results(self, value: _Planned) -> Iterator[Found]:
        while value.begun:
            size, read = value.begun.popleft()
            found = read.result()
            self._bytes_begun -= size
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
        self._bytes_begun -= sum(size for size, _ in value.begun)
        value.begun.clear()
