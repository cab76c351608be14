"""Large values, read ahead by many connections at once, in the order asked."""

from __future__ import annotations

import hashlib
import io
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ..errors import StoreError
from ..index.fields import Content
from ..index.keys import key_to_url_path
from ..transport.bulk import fetch_all
from ..transport.daemons import Workers
from ..transport.wanted import Wanted

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .values import Values

__all__ = ["LargeValues", "read_or_error"]

_CONNECTIONS = 24
_PART_BYTES = 1 << 22
# What is read ahead: a part for each connection.
_AHEAD_BYTES = _CONNECTIONS * _PART_BYTES
# A connection that the host has closed while it was idle fails so soon, and is replaced.
_PROMPT_SECONDS = 1.0

_Found = bytes | StoreError | None


class _Read(NamedTuple):
    """A call that reads a value, or a part of it, and the bytes that it brings."""

    size: int
    call: Callable[[], _Found]


class _Planned:
    """A value that will be taken: the reads of it that are to come, and those that were begun."""

    def __init__(self, key: str, content: Content, *, is_split: bool) -> None:
        self.key = key
        self.content = content
        self.is_split = is_split
        self.coming: Iterator[_Read] = iter(())
        self.begun: deque[tuple[int, Future[_Found]]] = deque()


class LargeValues:
    """Reads large values ahead and gives them in the order in which they were planned.

    Some hosts limit the rate of each connection.  A value of more than 4 MiB
    with a digest is read in parts, so that even a single one is read by many.
    In memory are the value that is given and 96 MiB; what is larger and cannot
    be read in parts is read when it is taken.

    Parameters
    ----------
    values : Values
        The values of a snapshot.
    """

    def __init__(self, values: Values) -> None:
        limits = values.session.wire.limits
        most = min([_CONNECTIONS, *(limit.requests for limit in limits)])
        self._values = values
        self._pool = Workers(most, "staticstore read_many")
        self._planned: deque[_Planned] = deque()
        # Those of which not all reads have begun.
        self._waiting: deque[_Planned] = deque()
        self._next: _Read | None = None
        self._bytes_begun = 0
        self._gives_parts = True

    def plan(self, key: str, content: Content) -> None:
        """Note a value of known size that will be taken after those that were planned."""
        value = _Planned(key, content, is_split=self._can_split(content))
        value.coming = self._reads(value)
        self._planned.append(value)
        self._waiting.append(value)
        self._begin()

    def take(self) -> bytes | StoreError:
        """Return the next planned value, verified, or the error for it."""
        value = self._planned.popleft()
        found = self._joined(value) if value.is_split else next(self._results(value), None)
        return read_or_error(self._values, value.key) if found is None else found

    def close(self) -> None:
        """Begin no more reads."""
        self._pool.close()

    def _can_split(self, content: Content) -> bool:
        if content.sha256 is None or (content.size or 0) <= _PART_BYTES:
            return False
        self._gives_parts = self._gives_parts and self._values.session.template() is not None
        if not self._gives_parts:
            return False
        kept = self._values.kept.open(content.sha256, content.size)
        if kept is not None:
            kept.close()
        return kept is None

    def _reads(self, value: _Planned) -> Iterator[_Read]:
        """Yield the reads of a value; none of one that is read when it is taken."""
        size = value.content.size or 0
        if value.is_split:
            url_path = key_to_url_path(self._values.data_path, value.key)
            for start in range(0, size, _PART_BYTES):
                count = min(_PART_BYTES, size - start)
                yield _Read(count, partial(self._part, SizedRequest(url_path, count, start, size)))
        elif size <= _AHEAD_BYTES:
            yield _Read(size, partial(read_or_error, self._values, value.key))

    def _part(self, wanted: SizedRequest) -> bytes | None:
        """Read a part; None if it cannot be had, after which no more are asked for."""
        began = time.monotonic()
        for _ in range(2):
            if not self._gives_parts or time.monotonic() - began > _PROMPT_SECONDS:
                break
            [got] = fetch_all(self._values.session, [wanted])
            if got is not None:
                return got.body
        self._gives_parts = False
        return None

    def _begin(self) -> None:
        """Begin as many reads as may be in memory together, one at least."""
        while self._waiting:
            value = self._waiting[0]
            read = self._next = self._next or next(value.coming, None)
            if read is None:
                self._waiting.popleft()
                continue
            if self._bytes_begun and self._bytes_begun + read.size > _AHEAD_BYTES:
                return
            self._next = None
            self._bytes_begun += read.size
            value.begun.append((read.size, self._pool.submit(read.call)))

    def _results(self, value: _Planned) -> Iterator[_Found]:
        """Yield what the reads of the first value bring, and begin others in their place."""
        while value.begun:
            size, read = value.begun.popleft()
            found = read.result()
            self._bytes_begun -= size
            self._begin()
            yield found

    def _joined(self, value: _Planned) -> bytes | None:
        """Return a value of its parts; None if one cannot be had, or they are wrong."""
        file, digest = io.BytesIO(), hashlib.sha256()
        for part in self._results(value):
            if not isinstance(part, bytes):
                self._drop(value)
                return None
            file.write(part)
            digest.update(part)
        if digest.hexdigest() != value.content.sha256:
            return None
        data = file.getvalue()
        self._values.kept.put(value.content.sha256, data)
        return data

    def _drop(self, value: _Planned) -> None:
        """Read no more of a value than what has begun."""
        if self._waiting and self._waiting[0] is value:
            self._waiting.popleft()
            self._next = None
        self._bytes_begun -= sum(size for size, _ in value.begun)
        value.begun.clear()


def read_or_error(values: Values, key: str) -> bytes | StoreError:
    """Read a value with all that a single read does, or return what it raised."""
    try:
        return values[key].read()
    except StoreError as error:
        return error
