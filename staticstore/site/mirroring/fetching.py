"""Fetching of values: from packs, small ones in batches, large ones in threads."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ... import tuning
from ...client.many import read_each
from ...client.value import copy_directly
from ...disk.atomic import is_link
from ...errors import NotConnectedError, StoreError, TransportError, quoted, reason_of
from ...index.fields import Content, parse_time
from ...index.head import HEAD_PATH, NamedDocument, Role
from ...workers import Workers
from ..documents.document_files import write_document
from ..documents.packs import MOST_PACK_BYTES, pack_digest, pack_size
from ..folder.site_folder import link_problem, problems_of_links
from .staging import Staging, parts_of, staged_sha256

if TYPE_CHECKING:
    from ...client.site_snapshot import SiteSnapshot
    from ...transport.http.wire import RateLimit
    from ..folder.hashing import TotalProgress
    from ..folder.site_folder import SiteFolder

__all__ = [
    "Described",
    "Fetching",
    "ProgressSum",
    "ValueProgress",
    "check_index_links",
    "link_problems",
]

#: Progress of each large value, called as ``value_progress(key, done, total)`` in bytes; the
#: total may be unknown.  At its end, `done` is None.
ValueProgress = Callable[[str, int | None, int | None], object]

_NOT_THERE = (404, 410)


class ProgressSum:
    """The number of bytes that all threads have fetched; never falls.

    Thread-safe.

    Parameters
    ----------
    total : int
        The bytes to fetch.
    progress : callable or None
        Called as ``progress(done, total)``.
    value_progress : callable or None
        Called as ``value_progress(key, done, total)``; see `mirror`.
    """

    def __init__(
        self, total: int, progress: TotalProgress | None, value_progress: ValueProgress | None
    ) -> None:
        self._total = total
        self._progress = progress
        self._value_progress = value_progress
        self._lock = threading.Lock()
        self._done: dict[str, int] = {}
        self._sum = 0

    def report(self, key: str, done: int) -> None:
        """Report that so many bytes of a value are fetched."""
        if self._progress is None:
            return
        with self._lock:
            more = done - self._done.get(key, 0)
            if more > 0:  # a value that starts again adds nothing until it gets further
                self._done[key] = done
                self._sum += more
                self._progress(min(self._sum, self._total), self._total)

    @contextlib.contextmanager
    def of_value(self, key: str) -> Iterator[Callable[[int, int | None], None]]:
        """Yield a callable that reports on one large value while the block lasts."""

        def report(done: int, total: int | None) -> None:
            self.report(key, done)
            if self._value_progress is not None:
                self._value_progress(key, done, total)

        try:
            yield report
        finally:
            if self._value_progress is not None:
                self._value_progress(key, None, None)


class Described(NamedTuple):
    """What a copy says of a value that was fetched."""

    #: Bytes.
    size: int
    #: Lowercase hex.
    sha256: str


class Fetching:
    """Fetches values of one snapshot into a folder.

    Parameters
    ----------
    origin : SiteSnapshot
        The site.
    contents : mapping of str to Content
        What its index says of the values, by key.
    staging : Staging
        Takes the values.
    workers : int
        How many large values, or packs, are fetched at once.
    verify : bool
        Whether packs that the folder has are hashed.
    limit : RateLimit or None
        The limit on what the store receives.
    progress : ProgressSum
        Reports the bytes fetched.
    modified : float
        The time of files whose index says none, in seconds since 1970.
    describes : bool, optional
        Whether to note sizes and digests of what is fetched.

    Attributes
    ----------
    failed : dict of str to str
        The keys that failed, and why.
    bytes : int
        The sizes of the values that were fetched, summed.
    origin, staging, workers, verify
        As given.
    batch_bytes : int
        The most bytes of small values that are fetched together.
    described : dict of str to Described
        The sizes and digests, by key.
    """

    def __init__(
        self,
        origin: SiteSnapshot,
        contents: Mapping[str, Content],
        staging: Staging,
        *,
        workers: int,
        verify: bool,
        limit: RateLimit | None,
        progress: ProgressSum,
        modified: float,
        describes: bool = False,
    ) -> None:
        self.origin = origin
        self._contents = contents
        self.staging = staging
        self.workers = workers if limit is None else min(workers, limit.requests)
        # What is in memory is lost if the run is killed: at most about a second's worth.
        most = tuning.MIRROR_BATCH_BYTES
        self.batch_bytes = most if limit is None else min(int(limit.rate), most)
        self.verify = verify
        self._progress = progress
        self._modified = modified
        self._describes = describes
        self.described: dict[str, Described] = {}
        self._failed_in_a_row = 0
        self.failed: dict[str, str] = {}
        self.bytes = 0

    def fetch(self, keys: Iterable[str]) -> None:
        """Fetch values; each is staged or noted as failed.

        Raises
        ------
        NotConnectedError
            The store was disconnected.
        TransportError
            The host cannot be reached any more.
        """
        small: list[str] = []
        large: list[str] = []
        most, first = tuning.MIRROR_SMALL_BYTES, tuning.MIRROR_FIRST_BATCH_BYTES
        for key in keys:
            size = self._contents[key].size
            (small if size is not None and size <= most else large).append(key)
        values = read_each(self.origin.values, small, together=self.batch_bytes, first=first)
        for key, data in values:
            if isinstance(data, StoreError):
                self._fail(key, data)
            else:
                self.put(key, data)
        self._fetch_large(large)

    # -- packs -----------------------------------------------------------------

    def fetch_packs(
        self, folder: SiteFolder, packs: Iterable[str], keys: Iterable[str]
    ) -> list[str]:
        """Copy the packs of the site, and stage their values; return the other keys.

        A pack that cannot be fetched, or has other bytes than its name says, is left
        out: its values are among the keys returned.

        Parameters
        ----------
        folder : SiteFolder
            The copy.
        packs : iterable of str
            The hrefs of all packs of the site: each is copied, even if none of its
            values is wanted.
        keys : iterable of str
            The values to stage.
        """
        left: list[str] = []
        wanted: dict[str, list[str]] = {href: [] for href in sorted(packs)}
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
        """Yield packs: those that the folder has only if needed, others fetched ahead."""
        missing, parts = list[NamedDocument](), parts_of(folder)
        for href, keys in wanted.items():
            path, document = folder.root / href, _pack_document(href)
            if is_link(path) or not pack_size(path):
                missing.append(document)
            elif keys or self.verify:
                if (pack := folder.read_document(document)) is None:
                    missing.append(document)
                else:
                    yield href, pack
        with Workers(self.workers, "staticstore mirror") as pool:
            ahead = deque[Future[bytes | None]]()  # no more packs in memory than workers
            for number, document in enumerate(missing):
                for following in missing[number + len(ahead) : number + self.workers]:
                    ahead.append(pool.submit(partial(self.origin.read, following, parts)))
                pack = ahead.popleft().result()
                if pack is not None:
                    with contextlib.suppress(OSError):  # staging its values will fail, too
                        write_document(folder, document, pack)
                yield document.href, pack

    def _put_packed(self, key: str, pack: bytes) -> bool:
        content = self._contents[key]
        assert content.place is not None
        start = content.place.offset
        data = pack[start : start + (content.size or 0)]
        if len(data) != content.size or hashlib.sha256(data).hexdigest() != content.sha256:
            return False
        self.put(key, data)
        return True

    # -- large values ----------------------------------------------------------

    def _fetch_large(self, keys: list[str]) -> None:
        # Threads write the files; this one, which owns the staging, takes them.
        ended: queue.SimpleQueue[tuple[str, Path | BaseException]] = queue.SimpleQueue()
        with Workers(self.workers, "staticstore mirror") as pool:
            for key in keys:
                pool.submit(partial(self._fetch_one, key, ended))
            for _ in keys:
                key, outcome = ended.get()
                try:
                    if isinstance(outcome, BaseException):
                        raise outcome
                    self.put_file(key, outcome)
                except (StoreError, OSError) as error:
                    self._fail(key, error)

    def _fetch_one(
        self, key: str, ended: queue.SimpleQueue[tuple[str, Path | BaseException]]
    ) -> None:
        try:
            value = self.origin.values[key]
            path = self.staging.path_for(key, value.sha256)
            # A killed run may have left the whole file.
            if value.sha256 is None or staged_sha256(path) != value.sha256:
                with self._progress.of_value(key) as report:
                    copy_directly(value, path, report)
            if self._describes:
                sha256 = value.sha256 or staged_sha256(path)
                if sha256 is None:
                    raise OSError(errno.EPERM, "another user can write the staged file")
                self.described[key] = Described(path.stat().st_size, sha256)
            ended.put((key, path))
        except BaseException as error:
            ended.put((key, error))

    # -- outcomes --------------------------------------------------------------

    def put(self, key: str, data: bytes) -> None:
        """Stage a value, which was verified, or note that it failed."""
        try:
            self.staging.put(key, data, self._contents[key].sha256, self._modified_of(key))
        except OSError as error:
            self._fail(key, error)
            return
        if self._describes:
            sha256 = self._contents[key].sha256 or hashlib.sha256(data).hexdigest()
            self.described[key] = Described(len(data), sha256)
        self.bytes += len(data)
        self._failed_in_a_row = 0
        self._progress.report(key, len(data))

    def put_file(self, key: str, path: Path) -> None:
        """Stage a value, which was verified and is in its file.

        Raises
        ------
        OSError
            It cannot be renamed into place.
        """
        size = path.stat().st_size
        self.staging.put_file(key, path, self._modified_of(key))
        self.bytes += size
        self._failed_in_a_row = 0
        self._progress.report(key, size)

    def _modified_of(self, key: str) -> float:
        # In the past, so that any later change of the file changes its time.
        text = self._contents[key].modified
        modified = None if text is None else parse_time(text)
        return self._modified if modified is None else min(modified.timestamp(), self._modified)

    def _fail(self, key: str, error: StoreError | OSError) -> None:
        if isinstance(error, NotConnectedError):
            raise error
        if isinstance(error, TransportError) and error.status not in _NOT_THERE:
            self._failed_in_a_row += 1
            if self._failed_in_a_row == tuning.MIRROR_FAILURES:
                raise error
        if isinstance(error, StoreError):
            self.failed[key] = str(error)
        else:
            self.failed[key] = f"it cannot be written: {reason_of(error)}"


def _pack_document(href: str) -> NamedDocument:
    sha256 = pack_digest(href)
    assert sha256 is not None, "`fetch_packs` passes hrefs of packs only"
    return NamedDocument(Role.PACK, MOST_PACK_BYTES, sha256)  # the size is an upper bound


def check_index_links(origin: SiteSnapshot) -> None:
    """Refuse a site in a folder whose index or head is a link out of it.

    Raises
    ------
    StoreError
        It is.
    """
    for root in origin.values.folders:
        for name in (origin.index_path, HEAD_PATH):
            if (problem := _problem_of_links_to(root, name)) is not None:
                shown = quoted(os.path.join(root, name))
                raise StoreError(f"nothing is copied, because of {shown}: {problem}")


def link_problems(origin: SiteSnapshot, keys: Sequence[str]) -> dict[str, str]:
    """Return the keys that a site in a folder has only through a link elsewhere, and why."""
    problems: dict[str, str] = {}
    for root in origin.values.folders:
        data = f"{root}/{origin.values.data_path}".rstrip("/")
        if (problem := _problem_of_links_to(root, origin.values.data_path)) is not None:
            # A publisher may link data/ to another disk; a digest shows that it read the bytes.
            contents = origin.snapshot.contents_of(keys)
            known = {key for key, content in contents.items() if content.sha256 is not None}
            problems |= {key: problem for key in keys if key not in known}
        problems |= problems_of_links(root, data, keys)
    return problems


def _problem_of_links_to(root: str, path: str) -> str | None:
    path = path.rstrip("/")
    full = os.path.join(root, path)
    has_links = os.path.realpath(full) != os.path.join(os.path.realpath(root), path).rstrip("/")
    return link_problem(root, root, full) if has_links else None
