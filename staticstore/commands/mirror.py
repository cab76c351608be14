"""What ``mirror`` does: copy a site, once or as it changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..bars import Bars
from ..client.store import StaticStore
from ..errors import AuthorizationError, NotConnectedError, StoreError, TransportError
from ..signals import index_updated, poll_failed
from ..site.folder import SiteFolder
from ..site.guards import Force, RefusedError
from ..site.incoming import parts_of
from ..site.mirror import MirrorReport
from ..site.mirror import mirror as mirror_site
from ..terminal import Cell, Output, count_text, shown, size_text
from .exits import partly_failed

if TYPE_CHECKING:
    from ..transport.beginnings import PartFolder

__all__ = ["Wanted", "follow", "mirror", "parts_in"]

_REASONS_SHOWN = 20  # unless all are asked for


class Wanted(NamedTuple):
    """What shall be copied where, and how."""

    directory: str
    globs: tuple[str, ...]
    where: Mapping[str, Any]
    workers: int
    delete: bool
    force: Force
    verify: bool
    limit_rate: float | None
    allow_names: tuple[str, ...]


def parts_in(directory: str) -> PartFolder | None:
    """Return where the beginning of an index stays that breaks off; None in a folder of others.

    An index comes before anything is known of the folder that the copy is for.
    """
    folder = SiteFolder(Path(directory))
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        names = []
    except OSError:
        return None
    return parts_of(folder, keeps=True) if not names or folder.private.name in names else None


def mirror(store: StaticStore, output: Output, wanted: Wanted) -> None:
    """Copy a site once, and tell what came of it."""
    report = _run(store, output, wanted)
    if report.failed:
        raise partly_failed(
            f"what could not be copied: {count_text(len(report.failed), 'value')}",
            hint="all else is done, and is a site; the same command tries the rest again",
        )


def follow(store: StaticStore, output: Output, wanted: Wanted, *, interval: float) -> None:
    """Copy a site, and again whenever it changes, until somebody interrupts it.

    What goes wrong once a copy is there is waited for: hosts come back, and
    indexes are mended.  So are, from the beginning, a host that cannot be reached
    and what is refused.
    """
    changed = threading.Event()
    troubles = _Troubles(store, output)
    has_copied = False

    def wake(sender: object, **_: object) -> None:
        changed.set()

    with (
        index_updated.connected_to(wake, sender=store),
        poll_failed.connected_to(troubles.poll_failed, sender=store),
    ):
        while True:
            changed.clear()
            try:
                report = _run(store, output, wanted)
            except StoreError as error:
                if isinstance(error, NotConnectedError) or not (has_copied or _may_end(error)):
                    raise
                troubles.tell(error)
                changed.wait(interval)
                continue
            has_copied = True
            troubles.end()
            if not report.newer:
                # What failed may heal without any change, and so may what is older.
                changed.wait(interval if report.failed or report.older else None)


def _may_end(error: StoreError) -> bool:
    if isinstance(error, RefusedError):
        return True
    return isinstance(error, TransportError) and not isinstance(error, AuthorizationError)


class _Troubles:
    """Says what goes wrong, each thing once until the site could be read again."""

    def __init__(self, store: StaticStore, output: Output) -> None:
        self._store = store
        self._output = output
        self._told: tuple[object, str] | None = None

    def end(self) -> None:
        """Take note that all went well."""
        self._told = None

    def poll_failed(self, sender: object, *, error: StoreError) -> None:
        """Hear of a poll that failed."""
        self.tell(error)

    def tell(self, error: StoreError) -> None:
        """Say it, if it is new."""
        trouble: tuple[object, str] = self._store.info()["last_success"], str(error)
        if isinstance(error, RefusedError):  # which no poll mends, and whose counts may change
            trouble = "refused", str(error.guard)
        if trouble != self._told:
            self._told = trouble
            self._output.warning(f"{error}; the copy stays as it is, and what is new comes later")


def _run(store: StaticStore, output: Output, wanted: Wanted) -> MirrorReport:
    with output.bars("mirroring") as bars:
        report = mirror_site(
            store,
            wanted.directory,
            workers=wanted.workers,
            delete=wanted.delete,
            force=wanted.force,
            verify=wanted.verify,
            limit_rate=wanted.limit_rate,
            progress=None if bars is None else bars.whole,
            value_progress=None if bars is None else partial(_show, bars),
            globs=wanted.globs,
            allow_names=wanted.allow_names,
            where=wanted.where,
        )
    failed, skipped = _as_records(report.failed), _as_records(report.skipped)
    output.record({**asdict(report), "failed": failed, "skipped": skipped})
    _show_reasons(output, Cell("skipped", "yellow"), report.skipped)
    _show_reasons(output, Cell("failed", "bold red"), report.failed)
    output.line(
        f"{report.fetched} fetched, {report.kept} kept, {report.deleted} deleted, "
        + (f"{len(skipped)} skipped, " if skipped else "")
        + f"{len(failed)} failed: {size_text(report.bytes)} in {report.seconds:.1f} s"
    )
    if skipped:
        output.note("without what was skipped the copy is a site of its own: see --allow-name")
    if report.older:
        output.note(
            "the copy stays as it is: the site says something older than it has said before"
        )
    if report.newer:
        output.note("the site has changed meanwhile: the next run gets what is new")
    return report


def _as_records(reasons: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"key": key, "reason": reason} for key, reason in reasons]


def _show_reasons(output: Output, cell: Cell, reasons: list[tuple[str, str]]) -> None:
    at_most = len(reasons) if output.verbose else _REASONS_SHOWN
    for key, reason in reasons[:at_most]:
        output.line(cell, key, reason)
    if len(reasons) > at_most:
        output.line(cell, f"and {len(reasons) - at_most} more")


def _show(bars: Bars, key: str, done: int | None, total: int | None) -> None:
    bars.one(shown(key), done, total)
