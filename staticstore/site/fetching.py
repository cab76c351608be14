"""How a mirror gets values: from packs, many small ones at once, large ones in parallel."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from ..client.many import read_each
from ..client.origin import Origin
from ..errors import NotConnectedError, StoreError, TransportError
from ..index.fields import Content, parse_time
from ..index.head import Document, Role
from ..transport.daemons import Daemons
from ..transport.rate import RateLimit
from .folder import SiteFolder, is_link, reason_of
from .hashing import Progress
from .history import reader_of, write_document
from .incoming import parts_of, sha256_of
from .packs import MOST_PACK_BYTES, pack_digest, pack_size
from .staging import Staging

__all__ = ["Fetching", "Told", "ValueProgress"]

#: Called with the key of a value, and bytes done and in all; None as the former at its end.
ValueProgress = Callable[[str, int | None, int | None], object]

# A larger value is written while it comes, by a thread of its own.
_SMALL = 1 << 20  # bytes
_TOGETHER = 1 << 24  # bytes of small values
_FIRST = 1 << 18  # bytes of them, the first time: a run may be cut short soon
# When so many values in a row could not be had, the next ones cannot be had either.
_GIVEN_UP_AFTER = 32
_NOT_THERE = (404, 410)


class Told:
    """Adds up what threads have done, and tells it; the number never falls."""

    def __init__(
        self, total: int, progress: Progress | None, value_progress: ValueProgress | None
    ) -> None:
        self._total = total
        self._progress = progress
        self._value_progress = value_progress
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._sum = 0

    def reached(self, key: str, done: int) -> None:
        """Tell how many bytes of a value are there."""
        if self._progress is None:
            return
        with self._lock:
            more = done - self._done.get(key, 0)
            if more > 0:
                self._done[key] = done
                self._sum += more
                self._progress(min(self._sum, self._total), self._total)

    @contextlib.contextmanager
    def running(self, key: str) -> Iterator[Callable[[int, int | None], None]]:
        """Give what is told how far a value is, which comes by itself while the block lasts."""

        def note(done: int, total: int | None) -> None:
            self.reached(key, done)
            if self._value_progress is not None:
                self._value_progress(key, done, total)

        try:
            yield note
        finally:
            if self._value_progress is not None:
                self._value_progress(key, None, None)


class Fetching:
    """Fetches values of one snapshot into a folder.

    Parameters
    ----------
    origin : Origin
        The site.
    contents : mapping
        What its index says of the values, by their keys.
    arrivals : Staging
        Where they go.
    workers : int
        Large values, or packs, that are fetched at once.
    verify : bool
        Whether to hash packs that stand there, too.
    limit : RateLimit or None
        How fast the store may receive.
    told : Told
        What is told of it.
    modified : float
        The time of values whose index does not say one, in seconds since 1970.

    Attributes
    ----------
    failed : dict
        From the keys that did not come to the reasons.
    bytes : int
        The sizes of those that did, summed.
    """

    def __init__(
        self,
        origin: Origin,
        contents: Mapping[str, Content],
        arrivals: Staging,
        *,
        workers: int,
        verify: bool,
        limit: RateLimit | None,
        told: Told,
        modified: float,
    ) -> None:
        self._origin = origin
        self._contents = contents
        self._arrivals = arrivals
        self._workers = workers if limit is None else min(workers, limit.requests)
        # A slow run has little in memory, which a kill would lose.
        self._together = _TOGETHER if limit is None else min(int(limit.rate), _TOGETHER)
        self._verify = verify
        self._told = told
        self._modified = modified
        self._failed_in_a_row = 0
        self.failed: dict[str, str] = {}
        self.bytes = 0

    def fetch(self, keys: Iterable[str]) -> None:
        """Fetch values, each of which arrives or fails.

        Raises
        ------
        NotConnectedError
            The store was disconnected meanwhile.
        TransportError
            The host cannot be reached any more.
        """
        small: list[str] = []
        large: list[str] = []
        for key in keys:
            size = self._contents[key].size
            (small if size is not None and size <= _SMALL else large).append(key)
        given = read_each(self._origin.values, small, together=self._together, first=_FIRST)
        for key, data in given:
            if isinstance(data, StoreError):
                self._fail(key, data)
            else:
                self._put(key, data)
        self._fetch_large(large)

    # -- packs -----------------------------------------------------------------

    def fetch_packs(self, folder: SiteFolder, keys: Iterable[str]) -> list[str]:
        """Copy the packs of the site, and take values from them; return the keys that are left.

        A pack that cannot be had, or is not what its name says, is left out:
        its values are fetched as if there were none.
        """
        left: list[str] = []
        wanted: defaultdict[str, list[str]] = defaultdict(list)
        for content in self._contents.values():
            if content.place is not None:
                wanted[content.place.href]  # it is copied even if nothing in it is wanted now
        for key in keys:
            place = self._contents[key].place
            if place is not None and place.href in wanted:
                wanted[place.href].append(key)
            else:
                left.append(key)
        for href, pack in self._packs(folder, wanted):
            for key in wanted[href]:
                if pack is None or not self._put_packed(key, pack):
                    left.append(key)
        return sorted(left)

    def _packs(
        self, folder: SiteFolder, wanted: Mapping[str, list[str]]
    ) -> Iterator[tuple[str, bytes | None]]:
        """Yield the packs, some fetched ahead; those that stand there only if they are needed."""
        missing, parts = list[Document](), parts_of(folder)
        for href, keys in wanted.items():
            path, document = folder.root / href, _pack_at(href)
            if is_link(path) or not pack_size(path):
                missing.append(document)
            elif keys or self._verify:
                if (pack := reader_of(folder)(document)) is None:
                    missing.append(document)
                else:
                    yield href, pack
        with Daemons(self._workers, "staticstore mirror") as pool:
            ahead = deque(
                pool.submit(partial(self._origin.read, document, parts))
                for document in missing[: self._workers]
            )
            for number, document in enumerate(missing):
                pack = ahead.popleft().result()
                if number + self._workers < len(missing):
                    following = missing[number + self._workers]
                    ahead.append(pool.submit(partial(self._origin.read, following, parts)))
                if pack is not None:
                    with contextlib.suppress(OSError):  # its values say what is wrong
                        write_document(folder, document, pack)
                yield document.href, pack

    def _put_packed(self, key: str, pack: bytes) -> bool:
        content = self._contents[key]
        assert content.place is not None
        start = content.place.offset
        data = pack[start : start + (content.size or 0)]
        if len(data) != content.size or hashlib.sha256(data).hexdigest() != content.sha256:
            return False
        self._put(key, data)
        return True

    # -- large values ----------------------------------------------------------

    def _fetch_large(self, keys: list[str]) -> None:
        """Fetch values in threads; they are put in place by this one."""
        ended: queue.SimpleQueue[tuple[str, Path | BaseException]] = queue.SimpleQueue()
        with Daemons(self._workers, "staticstore mirror") as pool:
            for key in keys:
                pool.submit(partial(self._fetch_one, key, ended))
            for _ in keys:
                key, outcome = ended.get()
                try:
                    if isinstance(outcome, BaseException):
                        raise outcome
                    size = outcome.stat().st_size
                    self._arrivals.put_file(key, outcome, self._modified_of(key))
                    self.bytes += size
                    self._failed_in_a_row = 0
                except (StoreError, OSError) as error:
                    self._fail(key, error)

    def _fetch_one(
        self, key: str, ended: queue.SimpleQueue[tuple[str, Path | BaseException]]
    ) -> None:
        try:
            value = self._origin.values[key]
            path = self._arrivals.path_for(key, value.sha256)
            if value.sha256 is None or sha256_of(path) != value.sha256:  # of a killed run
                with self._told.running(key) as note:
                    value._to_file(path, note, sync=False, direct=True)
            ended.put((key, path))
        except BaseException as error:
            ended.put((key, error))

    # -- what came of it -------------------------------------------------------

    def _put(self, key: str, data: bytes) -> None:
        try:
            self._arrivals.put(key, data, self._contents[key].sha256, self._modified_of(key))
        except OSError as error:
            self._fail(key, error)
            return
        self.bytes += len(data)
        self._failed_in_a_row = 0
        self._told.reached(key, len(data))

    def _modified_of(self, key: str) -> float:
        """Return the time that a file gets: one that is past, so that every change shows."""
        text = self._contents[key].modified
        modified = None if text is None else parse_time(text)
        return self._modified if modified is None else min(modified.timestamp(), self._modified)

    def _fail(self, key: str, error: StoreError | OSError) -> None:
        if isinstance(error, NotConnectedError):
            raise error
        if isinstance(error, TransportError) and error.status not in _NOT_THERE:
            self._failed_in_a_row += 1
            if self._failed_in_a_row == _GIVEN_UP_AFTER:
                raise error
        if isinstance(error, StoreError):
            self.failed[key] = str(error)
        else:
            self.failed[key] = f"it cannot be written: {reason_of(error)}"


def _pack_at(href: str) -> Document:
    """Return what names a pack, of whose size nothing is known but the bound."""
    sha256 = pack_digest(href)
    assert sha256 is not None, "only packs are wanted"
    return Document(Role.PACK, MOST_PACK_BYTES, sha256)
