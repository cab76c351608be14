"""``staticstore mirror``: copy a site into a folder, once or whenever it changes."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import AuthorizationError, NotConnectedError, StoreError, TransportError
from ..index.notebook import size_text
from ..signals import index_updated, poll_failed
from ..site.guards import Force, RefusedError
from .exits import partly_failed
from .options import (
    CommonOptions,
    ForceCommand,
    allow_name_option,
    examples,
    force_option,
    interval_option,
    output_options,
    parse_conditions,
    site_options,
)
from .terminal import Cell, Output, count_text, printable

if TYPE_CHECKING:
    from ..client.store import StaticStore
    from ..disk.part_file import PartFolder
    from ..site.mirror import MirrorReport
    from .bars import Bars

__all__ = ["mirror"]

_RATE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([kmgKMG]?)")


def _parse_rate(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> float | None:
    if value is None:
        return None
    match = _RATE.fullmatch(value)
    if match is None:
        raise click.BadParameter(f"{value!r} is not of the form 500k, 2M or 1.5G, bytes a second")
    # Suffixes are powers of 1024, as in curl and wget.
    rate = float(match[1]) * 1024.0 ** " kmg".index(match[2].lower() or " ")
    from ..transport.http.wire import LEAST_RATE  # slow to import: requests

    if not LEAST_RATE <= rate < 1e18:
        raise click.BadParameter(f"{value!r} is below 1k or faster than any network")
    return rate


@click.command(
    cls=ForceCommand,
    epilog=examples(
        "staticstore mirror https://data.example.org/site/ my-copy",
        "staticstore mirror https://data.example.org/site/ my-copy --delete --watch",
        "staticstore mirror https://data.example.org/site/ my-part 'terrain/*' --select bands=1",
    ),
)
@site_options
@click.argument("directory", metavar="DIR")
@click.argument("globs", metavar="[GLOB]...", nargs=-1)
@click.option(
    "--select",
    "where",
    metavar="FIELD=VALUE",
    multiple=True,
    callback=parse_conditions,
    help="Copy only values with this metadata; may be repeated.",
)
@click.option("--delete", is_flag=True, help="Remove files that the index does not name.")
@force_option("shrink", "part", "folder")
@click.option("--verify", is_flag=True, help="Hash all files of the copy, even unchanged ones.")
@allow_name_option
@click.option("--watch", is_flag=True, help="Keep running, and copy what changes.")
@interval_option("With --watch: how long to wait between polls.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="How many large values to fetch at once.",
)
@click.option(
    "--limit-rate",
    metavar="BYTES",
    callback=_parse_rate,
    help="Receive at most this many bytes a second in total, such as 500k or 2M.",
)
@output_options
@click.pass_obj
def mirror(
    common: CommonOptions,
    url: str,
    directory: str,
    globs: tuple[str, ...],
    where: dict[str, Any],
    delete: bool,
    force: Force,
    verify: bool,
    allow_names: tuple[str, ...],
    watch: bool,
    interval: float,
    workers: int,
    limit_rate: float | None,
) -> None:
    """Copy a site, or a part of it, verified, into a folder that is then a site itself.

    Files that are there and correct are not fetched again. A complete copy and the site are
    interchangeable; a part, by shell patterns or --select, is a site of its own.
    """
    from ..site.mirror import mirror as mirror_site  # slow to import

    output = common.output

    def copy(store: StaticStore) -> MirrorReport:
        with output.bars("mirroring") as bars:
            report = mirror_site(
                store,
                directory,
                workers=workers,
                delete=delete,
                force=force,
                verify=verify,
                limit_rate=limit_rate,
                progress=None if bars is None else bars.show_total,
                value_progress=None if bars is None else partial(_show_value, bars),
                globs=globs,
                allow_names=allow_names,
                where=where,
            )
        _show_report(output, report)
        return report

    poll_interval, parts = interval if watch else 0.0, _parts_in(directory)
    with common.connected(url, poll_interval=poll_interval, parts=parts) as store:
        if watch:
            _copy_whenever_changed(store, output, copy, interval)
        elif failed := copy(store).failed:
            raise partly_failed(
                f"{count_text(len(failed), 'value')} could not be copied",
                hint="everything else is copied, and is a site; run the same command to try again",
            )


def _parts_in(directory: str) -> PartFolder | None:
    # The index arrives before the mirror has looked at the folder: in a folder that is neither
    # empty nor a mirror's, nothing must be written yet.
    from ..site.folder.site_folder import SiteFolder
    from ..site.mirroring.staging import parts_of

    folder = SiteFolder(Path(directory))
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        names = []
    except OSError:
        return None
    return parts_of(folder, keeps=True) if not names or folder.private.name in names else None


def _show_value(bars: Bars, key: str, done: int | None, total: int | None) -> None:
    bars.show_value(printable(key), done, total)


def _show_report(output: Output, report: MirrorReport) -> None:
    failed = [{"key": key, "reason": reason} for key, reason in report.failed]
    skipped = [{"key": key, "reason": reason} for key, reason in report.skipped]
    output.record({**asdict(report), "failed": failed, "skipped": skipped})
    output.lines(Cell("skipped", "yellow"), report.skipped)
    output.lines(Cell("failed", "bold red"), report.failed)
    output.line(
        f"{report.fetched} fetched, {report.kept} kept, {report.deleted} deleted, "
        + (f"{len(skipped)} skipped, " if skipped else "")
        + f"{len(failed)} failed: {size_text(report.bytes)} in {report.seconds:.1f} s"
    )
    if skipped:
        output.note("without the skipped values the copy is a site of its own: see --allow-name")
    if report.older:
        output.note(
            "the copy stays as it is: the site serves an older index than it has served before"
        )
    if report.newer:
        output.note("the site has changed in the meantime: the next run copies what is new")


def _copy_whenever_changed(
    store: StaticStore,
    output: Output,
    copy: Callable[[StaticStore], MirrorReport],
    interval: float,
) -> None:
    """Copy a site now and whenever it changes, until interrupted.

    After the first copy, errors are reported and retried: hosts come back, and
    indexes are repaired.  Before it, only a host that cannot be reached and a
    refusal are.
    """
    changed = threading.Event()
    problems = _Problems(store, output)
    has_copied = False

    def wake(sender: object, **_: object) -> None:
        changed.set()

    with (
        index_updated.connected_to(wake, sender=store),
        poll_failed.connected_to(problems.poll_failed, sender=store),
    ):
        while True:
            changed.clear()
            try:
                report = copy(store)
            except StoreError as error:
                if isinstance(error, NotConnectedError) or not (has_copied or _may_end(error)):
                    raise
                problems.report(error)
                changed.wait(interval)
                continue
            has_copied = True
            problems.forget()
            if not report.newer:
                # A failure, or an older index, may be over without a change that a poll sees.
                changed.wait(interval if report.failed or report.older else None)


def _may_end(error: StoreError) -> bool:
    if isinstance(error, RefusedError):
        return True
    return isinstance(error, TransportError) and not isinstance(error, AuthorizationError)


class _Problems:
    # Reports each problem once, until the site could be read again.

    def __init__(self, store: StaticStore, output: Output) -> None:
        self._store = store
        self._output = output
        self._reported: tuple[object, str] | None = None

    def forget(self) -> None:
        self._reported = None

    def poll_failed(self, sender: object, *, error: StoreError) -> None:
        self.report(error)

    def report(self, error: StoreError) -> None:
        problem: tuple[object, str] = self._store.info()["last_success"], str(error)
        if isinstance(error, RefusedError):  # no poll ends it, and the counts in it may change
            problem = "refused", str(error.guard)
        if problem != self._reported:
            self._reported = problem
            self._output.warning(f"{error}; the copy stays as it is, and is updated when possible")
