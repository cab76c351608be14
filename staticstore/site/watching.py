"""A site that is published anew whenever its files change and have come to rest.

Changes below ``data/`` are told by the operating system, through watchfiles.
Metadata files, the site's own words, and whether ``data`` is still the same folder, are looked at
some times a second: they may stand anywhere, and be replaced.  What the
publisher writes lies beside both, so that it never sees its own doing.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path

from ..errors import StoreError, quoted
from .about import SOURCE_NAMES
from .folder import SiteFolder
from .guards import Force, RefusedError
from .metadata import FILE_NAMES, Source
from .packs import PACK_BELOW
from .publisher import PublishReport, publish
from .withheld import withheld_key

__all__ = ["RESCAN", "Rest", "publish_watching"]

#: Seconds after which a site is looked through even if nothing was told.
RESCAN = 600.0
_QUIET = 0.5  # seconds without a change: files have come to rest
_LATEST = 5.0  # seconds of constant change that are waited for
_RETRY = 10.0  # seconds after which a publish that failed is tried again
_TICK = 0.1  # seconds between two looks


def publish_watching(
    site: str | os.PathLike[str],
    *,
    metadata: Source | None = None,
    pack: bool = False,
    pack_below: int = PACK_BELOW,
    browse: bool = False,
    force: Force = False,
    rescan: float = RESCAN,
    stop: threading.Event | None = None,
) -> Iterator[PublishReport | StoreError]:
    """Publish a site now, and again whenever its files change and have come to rest.

    They have when nothing has changed for half a second; after five seconds of
    constant change there is a publish all the same.  Events can get lost, so
    that there is one every so often even if none was told.

    Parameters
    ----------
    site : path
        The site's folder.
    metadata, pack, pack_below, browse, force
        As in `publish`.  A metadata file is watched, too; a mapping is read
        anew at each publish.
    rescan : float, optional
        Seconds after the last publish at which there is one in any case.
    stop : threading.Event, optional
        Ends it when it is set; within a tenth of a second, or when the publish
        that is running is done.

    Yields
    ------
    PublishReport or StoreError
        Of the first publish, and of each that changed something or failed: what
        went wrong is given and not raised, and the next change is waited for.
        The same failure is given once, and tried again every ten seconds.

    Raises
    ------
    StoreError
        At the start: there is no such folder or no ``data`` in it.  At any
        time: the extra ``watch`` is not installed, or the system cannot watch
        so many folders.

    Notes
    -----
    All work is done in the thread that iterates; while the caller does
    something else changes are gathered.  Each publish looks at all files.
    """
    folder = SiteFolder.open(site)
    stop = threading.Event() if stop is None else stop
    rest = Rest(rescan)
    last: PublishReport | StoreError | None = None
    renewal = threading.Event()
    watched = _paths_beside(folder, metadata)
    with contextlib.closing(_looks(folder, watched, stop, renewal)) as looks:
        for changed in looks:
            if not rest.is_due(changed=changed, now=time.monotonic()):
                continue
            outcome = _publish(folder, metadata, pack, pack_below, browse, force)
            rest.published(failed=isinstance(outcome, StoreError), now=time.monotonic())
            if _is_mended(outcome, last):
                renewal.set()
            if _is_news(outcome, last):
                yield outcome
            last = outcome


class Rest:
    """Tells when it is time to publish: at once, and when changes have come to rest.

    Examples
    --------
    >>> rest = Rest(600.0)
    >>> rest.is_due(changed=False, now=0.0)
    True
    >>> rest.published(failed=False, now=1.0)
    >>> [rest.is_due(changed=now < 3.0, now=now) for now in (2.0, 2.4, 2.8, 3.0)]
    [False, False, False, False]
    >>> rest.is_due(changed=False, now=3.3)
    True
    """

    def __init__(self, rescan: float) -> None:
        self._rescan = rescan
        self._due: float | None = None  # None: nothing was published yet
        self._first: float | None = None  # change since the last publish
        self._last = 0.0

    def is_due(self, *, changed: bool, now: float) -> bool:
        """Note whether something has changed; tell whether to publish now."""
        if changed:
            self._first = now if self._first is None else self._first
            self._last = now
        if self._due is None or now >= self._due:
            return True
        if self._first is None:
            return False
        return now - self._last >= _QUIET or now - self._first >= _LATEST

    def published(self, *, failed: bool, now: float) -> None:
        """Begin to wait for the next change."""
        self._first = None
        self._due = now + (min(_RETRY, self._rescan) if failed else self._rescan)


def _publish(
    folder: SiteFolder,
    metadata: Source | None,
    pack: bool,
    pack_below: int,
    browse: bool,
    force: Force,
) -> PublishReport | StoreError:
    try:
        return publish(
            folder.root,
            metadata=metadata,
            pack=pack,
            pack_below=pack_below,
            browse=browse,
            force=force,
        )
    except StoreError as error:
        return error


def _is_news(outcome: PublishReport | StoreError, last: PublishReport | StoreError | None) -> bool:
    if last is None:
        return True
    if isinstance(outcome, RefusedError) and isinstance(last, RefusedError):
        return outcome.guard != last.guard  # how many would be left may change all the time
    if isinstance(outcome, StoreError):
        return not isinstance(last, StoreError) or str(outcome) != str(last)
    if outcome.set or outcome.updated or outcome.deleted or isinstance(last, StoreError):
        return True
    # The site's own words may have changed alone.
    return (outcome.generation, outcome.failed) != (last.generation, last.failed)


def _is_mended(
    outcome: PublishReport | StoreError, last: PublishReport | StoreError | None
) -> bool:
    """Tell whether something can be read that could not: if it is a folder, nobody watches it."""
    if isinstance(outcome, StoreError) or not isinstance(last, PublishReport):
        return False
    return bool({path for path, _ in last.failed} - {path for path, _ in outcome.failed})


def _looks(
    folder: SiteFolder, metadata: list[Path], stop: threading.Event, renewal: threading.Event
) -> Generator[bool, None, None]:
    """Yield some times a second whether something has changed since the last time.

    The first time is when the watch stands, so that nothing is missed from then on.
    """
    before = _states(metadata)
    while not stop.is_set():
        data = _identity(folder.data)
        if data is None:  # removed, perhaps to be replaced
            stop.wait(_TICK)
            yield False
            continue
        with contextlib.closing(_changes_below(folder.data, stop)) as changes:
            for changed in changes:
                now = _states(metadata)
                yield changed or now != before
                before = now
                if _identity(folder.data) != data or renewal.is_set():
                    renewal.clear()
                    break
        yield True  # what happens until the next watch stands is told by nobody


def _changes_below(data: Path, stop: threading.Event) -> Generator[bool, None, None]:
    try:
        from watchfiles import watch
    except ImportError as error:
        raise StoreError("watching needs watchfiles: pip install 'staticstore[watch]'") from error
    tick = round(_TICK * 1000)
    root = os.path.realpath(data)
    try:
        # It groups what comes within a tick; whether files have come to rest is for `Rest` to
        # say, since a file that is still being written counts here as one change.
        for changes in watch(
            root,
            watch_filter=lambda change, path: _is_data(os.path.relpath(path, root)),
            debounce=tick,
            step=tick // 2,
            rust_timeout=tick,
            yield_on_timeout=True,
            stop_event=stop,
            ignore_permission_denied=True,
        ):
            yield bool(changes)
    except FileNotFoundError:  # gone before it could be watched
        return
    except (OSError, RuntimeError) as error:  # watchfiles raises both
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(f"{quoted(str(data))} cannot be watched: {reason}") from error


def _is_data(path: str) -> bool:
    """Tell whether a change there can matter: not below what is never published."""
    withheld = withheld_key(path)
    return withheld is None or withheld.is_new


def _paths_beside(folder: SiteFolder, metadata: Source | None) -> list[Path]:
    about = [folder.root / name for name in SOURCE_NAMES]
    if metadata is None:
        return about + [folder.root / name for name in FILE_NAMES]
    return about + ([Path(metadata)] if isinstance(metadata, str | os.PathLike) else [])


def _states(paths: list[Path]) -> list[tuple[int, ...] | None]:
    """Return what shows whether files have changed."""
    states: list[tuple[int, ...] | None] = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            states.append(None)
        else:
            states.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
    return states


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino
