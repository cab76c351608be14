"""``staticstore mirror``: copy a site into a folder, once or whenever it changes."""

from __future__ import annotations

import os
import re
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from ..errors import StoreError
from ..index.notebook import size_text
from ..site.guards import Force, NothingMatchesError
from .exits import partly_failed
from .options import (
    CommonOptions,
    examples,
    output_options,
    site_options,
)
from .parameters import (
    FOLDER,
    KEY,
    Asked,
    ForceCommand,
    allow_name_option,
    force_option,
    interval_option,
    where_option,
)
from .terminal import Cell, Output, count_text, printable

if TYPE_CHECKING:
    from ..client.store import StaticStore
    from ..disk.part_file import PartFolder
    from ..site.mirror import MirrorReport
    from .bars import Bars

__all__ = ["mirror"]

_STRONG = ("sha256", "sha512")  # of the digests by which values may be verified
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
    from ..transport.http.wire import LEAST_BYTES_A_SECOND  # slow to import: sockets

    if not LEAST_BYTES_A_SECOND <= rate < 1e18:
        raise click.BadParameter(f"{value!r} is below 1k or faster than any network")
    return rate


@click.command(
    cls=ForceCommand,
    short_help="Copy a site, or a part of it, into a folder.",
    epilog=examples(
        "staticstore mirror https://data.example.org/site/ my-copy",
        "staticstore mirror https://data.example.org/site/ my-copy --delete --watch",
        "staticstore mirror https://data.example.org/site/ my-part 'terrain/*' --where bands=1",
        "staticstore mirror https://data.example.org/site/ new --where 'date>=2024-05-01'",
    ),
)
@site_options
@click.argument("directory", metavar="DIR", type=FOLDER)
@click.argument("globs", metavar="[GLOB]...", type=KEY, nargs=-1)
@where_option("Copy only values with this metadata, as in query; may be repeated.")
@click.option(
    "--select",
    hidden=True,
    expose_value=False,
    multiple=True,
    callback=lambda _context, _parameter, values: _refuse_select(values),
)
@click.option("--delete", is_flag=True, help="Remove files that the index does not name.")
@force_option("shrink", "part", "folder")
@click.option("--verify", is_flag=True, help="Hash all files of the copy, even unchanged ones.")
@allow_name_option
@click.option("--browse", is_flag=True, help="Write index.html, a page to browse the copy.")
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
    asked: Asked,
    delete: bool,
    force: Force,
    verify: bool,
    allow_names: tuple[str, ...],
    browse: bool,
    watch: bool,
    interval: float,
    workers: int,
    limit_rate: float | None,
) -> None:
    """Copy a site, or a part, verified, into a folder that is then a site itself.

    Files that are there and correct are not fetched again. A complete copy and the site are
    interchangeable; a part, by shell patterns or --where, is a site of its own.
    """
    from ..site.mirror import mirror as mirror_site  # slow to import

    output = common.output

    def copy(store: StaticStore) -> MirrorReport:
        try:
            report = run(store)
        except NothingMatchesError:
            output.warnings(asked.advice(store.index))
            raise
        _show_report(output, report)
        return report

    def run(store: StaticStore) -> MirrorReport:
        with output.bars("mirroring") as bars:
            return mirror_site(
                store,
                directory,
                workers=workers,
                delete=delete,
                force=force,
                verify=verify,
                browse=browse,
                limit_rate=limit_rate,
                progress=None if bars is None else bars.show_total,
                value_progress=None if bars is None else partial(_show_value, bars),
                globs=globs,
                allow_names=allow_names,
                where=asked.where,
            )

    poll_interval, parts = interval if watch else 0.0, _parts_in(directory)
    with common.connected(url, poll_interval=poll_interval, parts=parts) as store:
        if watch:
            from ..site.watching import mirror_watching  # slow to import

            for outcome in mirror_watching(store, partial(copy, store), retry=interval):
                if isinstance(outcome, StoreError):
                    output.warning(
                        f"{outcome}; the copy stays as it is, and is updated when possible"
                    )
        elif failed := copy(store).failed:
            raise partly_failed(
                f"{count_text(len(failed), 'value')} could not be copied",
                hint="everything else is copied, and is a site; run the same command to try again",
            )


def _refuse_select(values: tuple[str, ...]) -> None:
    if values:
        raise click.UsageError("--select names fields to show: for a condition, use --where")


def _parts_in(directory: str) -> PartFolder | None:
    # The index arrives before the mirror has looked at the folder: in a folder that is neither
    # empty nor a mirror's, nothing must be written yet.
    from ..site.folder.site_folder import SiteFolder
    from ..site.mirroring.staging import parts_of

    folder = SiteFolder.at(directory)
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
    if weak := {how: n for how, n in report.verified_by.items() if how not in _STRONG}:
        unverified = weak.pop("nothing", 0)
        counts = [f"{count} verified by {how} only" for how, count in weak.items()]
        counts += [f"{unverified} not verified"] if unverified else []
        output.note(f"the index has no sha256 of some values: {', '.join(counts)}")
    if skipped:
        output.note("without the skipped values the copy is a site of its own: see --allow-name")
    if report.older:
        output.note(
            "the copy stays as it is: the site serves an older index than it has served before"
        )
    if report.newer:
        output.note("the site has changed in the meantime: the next run copies what is new")
