"""Publish a site when its files change; mirror one when the origin changes.

watchfiles reports changes below ``data/``.  Metadata files, the site's own words, and
the identity of ``data`` itself are polled ten times a second, since they may be anywhere.
The publisher writes into neither, so it never sees its own changes.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import tuning
from ..errors import AuthorizationError, NotConnectedError, StoreError, TransportError, quoted
from ..signals import index_updated, poll_failed
from .about import SOURCE_NAMES
from .documents.compression import CompressOption
from .documents.packs import PACK_BELOW_BYTES
from .exports import ExportOption
from .feed import FeedOption
from .folder.site_folder import SiteFolder
from .folder.trust_files import check_trust_package
from .folder.withheld import withheld_key
from .guards import Force, RefusedError
from .publish_timer import PublishTimer, TouchedPaths
from .publisher import PublishOptions, PublishReport, publish_touched
from .publishing.metadata import FILE_NAMES, Source

if TYPE_CHECKING:
    from ..client.store import StaticStore
    from .mirror import MirrorReport
    from .signatures.key_folder import KeyFolder

__all__ = ["RESCAN_SECONDS", "PublishTimer", "mirror_watching", "publish_watching"]

#: When a site is published again although no change was reported.
RESCAN_SECONDS = 600.0


def publish_watching(
    site: str | os.PathLike[str],
    *,
    metadata: Source | None = None,
    pack: bool = False,
    pack_below: int = PACK_BELOW_BYTES,
    compress: CompressOption = None,
    expire: str | None = None,
    browse: bool = False,
    feed: FeedOption = None,
    parquet: bool | None = None,
    also: ExportOption = None,
    data: str | os.PathLike[str] | None = None,
    sign: str | os.PathLike[str] | KeyFolder | None = None,
    unsign: bool = False,
    force: Force = False,
    rescan: float = RESCAN_SECONDS,
    stop: threading.Event | None = None,
) -> Iterator[PublishReport | StoreError]:
    """Publish a site now, and again whenever its files have changed.

    A publish begins after half a second without a change, or after five seconds of
    constant change.  Events can get lost, so one also begins at times without any.

    Parameters
    ----------
    site : path
        The site's folder.
    metadata : mapping or path, optional
        As in `publish`.  A file is watched, too; a mapping is read again at each publish.
    pack, pack_below, compress, expire, browse, feed, parquet, also, data, sign, unsign, force
        As in `publish`.  What expires is left out at the next publish, or rescan.
    rescan : float, optional
        Seconds after the last publish until the next one without a change; by
        default 600.
    stop : threading.Event, optional
        Set it to end the iteration, within a tenth of a second or after a running publish.

    Yields
    ------
    PublishReport or StoreError
        The outcome of the first publish, and of each that changes something or fails.
        Errors are yielded and not raised, and the next change is waited for.  The same
        error is yielded once; the publish is tried again every ten seconds.

    Raises
    ------
    StoreError
        At the start: there is no such folder or no ``data`` in it.  At any time: the
        extra ``watch`` is not installed, or the system cannot watch so many folders.

    Notes
    -----
    All work is done in the iterating thread; changes during other work of the caller
    are not lost.  After a change, only the folders in which something has changed are
    scanned; all are scanned at first, after a failure, when `rescan` is over, and if there
    are links in ``data/`` or files that could not be published.
    """
    folder = SiteFolder.open(site, data)
    options = PublishOptions(
        metadata=metadata,
        pack=pack,
        pack_below=pack_below,
        compress=tuple(compress) if compress and not isinstance(compress, str) else compress,
        expire=expire,
        browse=browse,
        feed=feed,
        parquet=parquet,
        also=also,
        data=folder.data_path,
        sign=_opened(sign),
        unsign=unsign,
        force=force,
    )
    stop = threading.Event() if stop is None else stop
    timer = PublishTimer(rescan)
    last: PublishReport | StoreError | None = None
    renewal = threading.Event()
    watched = _paths_beside(folder, metadata)
    touched = TouchedPaths(rescan)
    with contextlib.closing(_polls(folder, watched, stop, renewal)) as polls:
        for paths in polls:
            touched.add(paths)
            if not timer.is_due(changed=paths is None or bool(paths), now=time.monotonic()):
                continue
            some = touched.take(time.monotonic())
            outcome = _publish(folder, some, options)
            failed = isinstance(outcome, StoreError)
            timer.published(failed=failed, now=time.monotonic())
            if failed:
                touched.add(None)
            if _is_repaired(outcome, last):
                renewal.set()
            if _is_news(outcome, last):
                yield outcome
            last = outcome


def _opened(sign: str | os.PathLike[str] | KeyFolder | None) -> KeyFolder | None:
    # So that each passphrase is asked for once.
    if sign is None:
        return None
    check_trust_package()
    from .signatures.key_folder import KeyFolder  # slow to import

    return KeyFolder.of(sign)


def _publish(
    folder: SiteFolder, paths: Collection[str] | None, options: PublishOptions
) -> PublishReport | StoreError:
    try:
        return publish_touched(folder.root, paths, options)
    except StoreError as error:
        return error


def _is_news(outcome: PublishReport | StoreError, last: PublishReport | StoreError | None) -> bool:
    if last is None:
        return True
    if isinstance(outcome, RefusedError) and isinstance(last, RefusedError):
        return outcome.guard != last.guard  # the numbers in the text may change all the time
    if isinstance(outcome, StoreError):
        return not isinstance(last, StoreError) or str(outcome) != str(last)
    if outcome.set or outcome.updated or outcome.deleted or isinstance(last, StoreError):
        return True
    # The site's own words may have changed alone.
    return (outcome.generation, outcome.failed) != (last.generation, last.failed)


def _is_repaired(
    outcome: PublishReport | StoreError, last: PublishReport | StoreError | None
) -> bool:
    # Something has become readable.  If it is a folder, it is not watched yet.
    if isinstance(outcome, StoreError) or not isinstance(last, PublishReport):
        return False
    return bool({path for path, _ in last.failed} - {path for path, _ in outcome.failed})


def _polls(
    folder: SiteFolder, metadata: list[Path], stop: threading.Event, renewal: threading.Event
) -> Generator[set[str] | None, None, None]:
    """Yield some times a second where something has changed since the last time.

    The paths are those below ``data/``; None if anything may have changed.  The first poll
    comes after the watch has begun, so that no change is missed.
    """
    before = _states(metadata)
    while not stop.is_set():
        data = _identity(folder.data)
        if data is None:  # removed, perhaps to be replaced
            stop.wait(tuning.WATCH_TICK_SECONDS)
            yield set()
            continue
        with contextlib.closing(_changes_below(folder.data, stop)) as changes:
            for changed in changes:
                now = _states(metadata)
                yield changed if now == before else None
                before = now
                if _identity(folder.data) != data or renewal.is_set():
                    renewal.clear()
                    break
        yield None  # changes before the next watch begins are not reported


def _changes_below(data: Path, stop: threading.Event) -> Generator[set[str], None, None]:
    try:
        from watchfiles import watch
    except ImportError as error:
        text = "watching needs the package `watchfiles`, which the extra `watch` brings"
        raise StoreError(text) from error
    tick_ms = round(tuning.WATCH_TICK_SECONDS * 1000)
    root = os.path.realpath(data)
    try:
        # It groups the events of a tick.  `PublishTimer` decides when changes have ended: here a
        # file that is still being written counts as one change.
        for changes in watch(
            root,
            watch_filter=lambda change, path: _is_data(os.path.relpath(path, root)),
            debounce=tick_ms,
            step=tick_ms // 2,
            rust_timeout=tick_ms,
            yield_on_timeout=True,
            stop_event=stop,
            ignore_permission_denied=True,
        ):
            yield {_below(root, path) for _, path in changes}
    except FileNotFoundError:  # gone before it could be watched
        return
    except (OSError, RuntimeError) as error:  # watchfiles raises both
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"{quoted(str(data))} cannot be watched: {reason}") from error


def _below(root: str, path: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _is_data(path: str) -> bool:
    # A change below a folder that is never published does not matter.
    withheld = withheld_key(path)
    return withheld is None or withheld.is_new


def _paths_beside(folder: SiteFolder, metadata: Source | None) -> list[Path]:
    about = [folder.root / name for name in SOURCE_NAMES]
    if metadata is None:
        return about + [folder.root / name for name in FILE_NAMES]
    return about + ([Path(metadata)] if isinstance(metadata, str | os.PathLike) else [])


def _states(paths: list[Path]) -> list[tuple[int, ...] | None]:
    return [_state(path) for path in paths]


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _identity(folder: Path) -> tuple[int, ...] | None:
    state = _state(folder)
    return None if state is None else state[:2]


def mirror_watching(
    store: StaticStore,
    run: Callable[[], MirrorReport],
    *,
    retry: float = 60.0,
    stop: threading.Event | None = None,
) -> Iterator[MirrorReport | StoreError]:
    """Mirror a site now, and again whenever its index changes.

    Once there is a copy, errors are yielded and not raised: hosts come back, and
    broken indexes are repaired.  Before that, only a host that cannot be reached and
    a guard that refuses are waited for.

    Parameters
    ----------
    store : StaticStore
        The site, connected.  Its polls find the changes.
    run : callable
        Mirrors the store once, such as ``lambda: mirror(store, "copy", delete=True)``.
    retry : float, optional
        Seconds until the next run, without any change, after one that failed or in
        which values failed.
    stop : threading.Event, optional
        Ends the iteration when set: within a tenth of a second, or when the current
        run is done.

    Yields
    ------
    MirrorReport or StoreError
        The report of each run, or why a run or a poll failed.  The same failure is
        yielded once until the site has been read again.

    Raises
    ------
    StoreError
        The first copy cannot be made, and waiting would not help.
    NotConnectedError
        The store is not connected, or was disconnected.

    Notes
    -----
    All work is done in the iterating thread.  Changes while the caller does something
    else lead to one run.

    Examples
    --------
    >>> import tempfile
    >>> from staticstore import mirror
    >>> with tempfile.TemporaryDirectory() as copy:
    ...     outcomes = mirror_watching(sample_store, lambda: mirror(sample_store, copy))
    ...     next(outcomes).fetched
    16
    """
    stop = threading.Event() if stop is None else stop
    changed = threading.Event()
    failures: deque[StoreError] = deque(maxlen=1)  # only the newest one is worth reporting

    def on_update(sender: object, **_: object) -> None:
        changed.set()

    def on_failure(sender: object, *, error: StoreError) -> None:
        failures.append(error)

    has_copied = False
    yielded: object = None
    with (
        index_updated.connected_to(on_update, sender=store),
        poll_failed.connected_to(on_failure, sender=store),
    ):
        while not stop.is_set():
            changed.clear()
            try:
                report = run()
            except StoreError as error:
                if isinstance(error, NotConnectedError) or not (has_copied or _may_pass(error)):
                    raise
                failures.append(error)
                seconds = retry
            else:
                has_copied, yielded = True, None
                yield report
                seconds = _seconds_after(report, retry)
            for failure in _failures_until(changed, seconds, store, failures, stop):
                if (identity := _problem_identity(failure, store)) != yielded:
                    yielded = identity
                    yield failure


def _may_pass(error: StoreError) -> bool:
    if isinstance(error, AuthorizationError):
        return False
    return isinstance(error, RefusedError | TransportError)


def _seconds_after(report: MirrorReport, retry: float) -> float:
    """Return the seconds until the next run if the index does not change."""
    if report.newer:
        return 0.0
    # Missing values may be uploaded without a new index; an older answer may be a stale cache.
    return retry if report.failed or report.older else math.inf


def _failures_until(
    changed: threading.Event,
    seconds: float,
    store: StaticStore,
    failures: deque[StoreError],
    stop: threading.Event,
) -> Iterator[StoreError]:
    """Yield failures until it is time for the next run."""
    end = time.monotonic() + seconds
    while True:
        while failures:
            yield failures.popleft()
        left = end - time.monotonic()
        if left <= 0 or stop.is_set() or not store.is_connected():
            return
        if changed.wait(min(left, tuning.WATCH_STOP_SECONDS)):
            return


def _problem_identity(error: StoreError, store: StaticStore) -> object:
    """Return what is equal for two failures of which one is to be yielded."""
    if isinstance(error, RefusedError):
        return "refused", error.guard  # the numbers in the message change with each index
    return store.info()["last_success"], str(error)
