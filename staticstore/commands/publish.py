"""``staticstore publish``: write the index of a folder, or check it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from ..errors import IntegrityError, StoreError
from ..index.fields import time_text
from ..index.notebook import size_text
from ..site.documents.packs import MOST_PACK_BYTES, PACK_BELOW_BYTES
from .exits import ending_of, partly_failed
from .options import (
    CommonOptions,
    examples,
    host_options,
    output_options,
)
from .parameters import (
    FILE,
    FOLDER,
    SECONDS,
    SITE_URL,
    ForceCommand,
    data_option,
    force_option,
)
from .signatures.passphrases import (
    key_folder,
    passphrase_option,
    sign_option,
    usage_of_passphrases,
)
from .signatures.root_file import RootFile, root_of_site, show_root
from .terminal import ACTION_STYLES, Cell, Output, count_text

if TYPE_CHECKING:
    from ..site.guards import Force
    from ..site.publisher import PublishReport
    from ..site.signatures.key_folder import KeyFolder

__all__ = ["publish"]


@click.command(
    cls=ForceCommand,
    short_help="Make a site of a folder: write its index.",
    epilog=examples(
        "staticstore publish my-site",
        "staticstore publish my-site --dry-run",
        "staticstore publish my-site --metadata fields.csv",
        "staticstore publish my-site --pack",
        "staticstore publish my-site --compress '*.csv' --compress '*.geojson'",
        "staticstore publish my-site --expire valid_until",
        "staticstore publish my-site --browse",
        "staticstore publish my-site --feed https://data.example.org/site/",
        "staticstore publish my-site --parquet",
        "staticstore publish my-site --also sums,stac",
        "staticstore publish my-site --data rasters",
        "staticstore publish my-site --watch",
        "staticstore publish my-site --after https://data.example.org/site/",
        "staticstore publish my-site --sign ~/keys",
        "staticstore publish my-site --check",
    ),
)
@click.argument("site", type=FOLDER)
@click.option(
    "--metadata", metavar="FILE", type=FILE, help="The values' metadata: JSON, TOML or CSV."
)
@click.option("--pack", is_flag=True, help="Copy small values into packs, to be read together.")
@click.option(
    "--pack-below",
    metavar="BYTES",
    type=click.IntRange(1, MOST_PACK_BYTES),
    default=PACK_BELOW_BYTES,
    show_default=True,
    help="With --pack: pack the values of fewer bytes than this.",
)
@click.option(
    "--compress",
    metavar="GLOB",
    multiple=True,
    help="Write compressed copies of these values where that saves a tenth; may be repeated.",
)
@click.option("--no-compress", is_flag=True, help="Remove the copies, which are kept otherwise.")
@click.option(
    "--expire",
    metavar="FIELD",
    callback=lambda context, parameter, value: _expiry_field(value),
    help="Leave out entries in which the date or time in this field has passed.",
)
@click.option("--browse", is_flag=True, help="Write index.html, a page to browse the site.")
@click.option(
    "--feed",
    metavar="URL",
    callback=lambda context, parameter, value: _feed_url(value),
    help="Write feed.atom: what each publish changed, with links below this URL, the site's.",
)
@click.option("--no-feed", is_flag=True, help="Remove the feed, which is kept up otherwise.")
@click.option(
    "--parquet/--no-parquet",
    default=None,
    help="Write the index as a Parquet file, too, from now on; or no longer.",
)
@click.option(
    "--also",
    metavar="NAME,...",
    multiple=True,
    callback=lambda context, parameter, values: _export_names(values),
    help="Write the index for other programs, too, from now on: some of pooch, sums, stac and "
    "datapackage; may be repeated.",
)
@click.option("--no-also", is_flag=True, help="Remove what --also has written.")
@click.option(
    "--after",
    metavar="URL|TARGET",
    type=SITE_URL,
    help="Continue from the site that is published there, as in a fresh checkout.",
)
@data_option("Publish the files in this folder of SITE instead of data/; the next time, too.")
@sign_option("Sign the site with the keys in this folder, outside of the site.", is_needed=False)
@passphrase_option
@click.option("--unsign", is_flag=True, help="Remove the signatures of the site.")
@force_option("shrink", "lineage")
@click.option("--check", is_flag=True, help="Write nothing; verify the data against the index.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would change.")
@click.option("--watch", is_flag=True, help="Keep running, and publish again when files change.")
@click.option(
    "--rescan",
    metavar="SECONDS",
    type=SECONDS,
    help="With --watch: how often to look at all files; by default every 600 seconds.",
)
@host_options
@output_options
@click.pass_obj
def publish(
    common: CommonOptions,
    site: str,
    metadata: str | None,
    pack: bool,
    pack_below: int,
    compress: tuple[str, ...],
    no_compress: bool,
    expire: str | None,
    browse: bool,
    feed: str | None,
    no_feed: bool,
    parquet: bool | None,
    also: list[str] | None,
    no_also: bool,
    after: str | None,
    data: str | None,
    sign: tuple[str, ...],
    passphrase_file: str | None,
    unsign: bool,
    force: Force,
    check: bool,
    dry_run: bool,
    watch: bool,
    rescan: float | None,
) -> None:
    """Make a site of a folder: write the index of the files in its data/.

    The values' metadata, by key or pattern, is read from metadata.json, .toml or .csv in the
    folder if there is one.
    """
    written = (
        "after",
        "also",
        "browse",
        "compress",
        "no_compress",
        "expire",
        "dry_run",
        "feed",
        "force",
        "metadata",
        "no_also",
        "no_feed",
        "pack",
        "parquet",
        "unsign",
    )
    _refuse_together("check", *written, "parquet")
    _refuse_together("unsign", "sign")
    _refuse_together("feed", "no_feed")
    _refuse_together("also", "no_also")
    _refuse_together("compress", "no_compress")
    _refuse_together("watch", "after", "check", "dry_run")
    if _is_given("pack_below") and not pack:
        raise click.UsageError("--pack-below needs --pack")
    if rescan is not None and not watch:
        raise click.UsageError("--rescan needs --watch")
    output = common.output
    was_signed = unsign and _is_signed(site)
    keys = key_folder(sign, passphrase_file) if sign else None
    if check:
        _check(site, output, data, keys)
        return
    if watch:
        from ..site.watching import RESCAN_SECONDS, publish_watching

        outcomes = publish_watching(
            site,
            metadata=metadata,
            pack=pack,
            pack_below=pack_below,
            compress=False if no_compress else compress or None,
            expire=expire,
            browse=browse,
            feed=False if no_feed else feed,
            parquet=parquet,
            also=[] if no_also else also,
            data=data,
            sign=keys,
            unsign=unsign,
            force=force,
            rescan=RESCAN_SECONDS if rescan is None else rescan,
        )
        with usage_of_passphrases():
            _show_outcomes(output, outcomes)
        return
    from ..site.publisher import publish as publish_site  # slow to import

    with usage_of_passphrases(), output.progress("hashing") as progress:
        report = publish_site(
            site,
            metadata=metadata,
            pack=pack,
            pack_below=pack_below,
            compress=False if no_compress else compress or None,
            expire=expire,
            browse=browse,
            feed=False if no_feed else feed,
            parquet=parquet,
            also=[] if no_also else also,
            after=None if after is None else common.published_at(after),
            data=data,
            sign=keys,
            unsign=unsign,
            force=force,
            dry_run=dry_run,
            progress=progress,
        )
    root = None if keys is None or dry_run else root_of_site(site, keys)
    _show_report(output, report, dry_run=dry_run, root=root)
    if was_signed and not dry_run:
        output.note(
            "the site is not signed any more: readers with its root file refuse it, once "
            "trust/timestamp.json is gone from its host, too: staticstore push --force=lineage"
        )
    if not dry_run:
        output.note(_next_step(site, report, browse=browse))
        if parquet and report.table is not None:
            output.note(f"the index as a table is {report.table}")
    if report.failed:
        count = len(report.failed)
        what = "file or folder" if count == 1 else "files or folders"
        raise partly_failed(
            f"{count} {what} could not be published",
            hint="fix these and publish again; everything else is published",
        )


def _expiry_field(value: str | None) -> str | None:
    from ..site.publishing.expiry import Expiry  # slow to import

    try:
        return None if value is None else Expiry(value).field
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _is_given(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is not ParameterSource.DEFAULT


def _feed_url(value: str | None) -> str | None:
    from ..site.feed import checked_feed_url  # slow to import

    try:
        return None if value is None else checked_feed_url(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _export_names(values: tuple[str, ...]) -> list[str] | None:
    from ..site.exports import checked_names  # slow to import

    try:
        return checked_names(",".join(values).split(",")) if values else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _refuse_together(name: str, *others: str) -> None:
    if _is_given(name) and any(map(_is_given, others)):
        *most, last = [f"--{other.replace('_', '-')}" for other in others]
        named = f"{', '.join(most)} or {last}" if most else last
        raise click.UsageError(f"--{name} takes no {named}")


def _show_outcomes(output: Output, outcomes: Iterable[PublishReport | StoreError]) -> None:
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, StoreError):
            ending = ending_of(outcome)
            assert ending is not None, "every StoreError has an exit code"
            output.error(ending)
        else:
            _show_report(output, outcome, counts_only=not output.verbose)
        if not number:
            output.note("watching until you press Ctrl-C")


def _show_report(
    output: Output,
    report: PublishReport,
    *,
    dry_run: bool = False,
    counts_only: bool = False,
    root: RootFile | None = None,
) -> None:
    signed = {} if root is None else {"root": root._asdict()}
    output.record({**vars(report), "dry_run": dry_run, **signed})
    if not counts_only:
        for action, keys in (
            ("set", report.set),
            ("update", report.updated),
            ("delete", report.deleted),
        ):
            output.lines(Cell(action, ACTION_STYLES[action], 6), keys, unlimited=dry_run)
        output.lines(Cell("expired", "yellow", 6), report.expired, unlimited=dry_run)
    for path, reason in report.failed:
        output.line(Cell("failed", "bold red"), path, reason)
    output.line(
        f"{count_text(report.entries, 'key')}, {size_text(report.bytes)}: "
        f"{len(report.set)} set, {len(report.updated)} updated, {len(report.deleted)} deleted"
        + (f", {len(report.expired)} expired" if report.expired else "")
        + (f", {report.packed} in packs" if report.packed else "")
        + (f", {report.compressed} compressed" if report.compressed else "")
        + (" (a dry run: nothing was written)" if dry_run else "")
    )
    if root is not None:
        show_root(output, root)


def _is_signed(site: str) -> bool:
    from ..site.folder.site_folder import SiteFolder  # slow to import
    from ..site.folder.trust_files import has_signatures

    return has_signatures(SiteFolder.of(site))


def _next_step(site: str, report: PublishReport, *, browse: bool) -> str:
    from ..site.folder.data_path import DATA_PATH
    from ..site.folder.site_folder import SiteFolder

    data_path = SiteFolder.of(site).data_path
    files = "" if data_path == DATA_PATH else f" for the files in {data_path}"
    look = f"look at it with: staticstore serve {shlex.quote(site)}"
    if not (report.set or report.updated or report.deleted):
        now = f"no key has changed; {site} is at generation {report.generation}{files}"
        return f"{now}; {look}" if browse else now
    written = "index.json and index.html" if browse else "index.json"
    return f"wrote {written} in {site}{files}, generation {report.generation}; {look}"


def _check(site: str, output: Output, data: str | None, keys: KeyFolder | None) -> None:
    from ..site.publisher import verify_site  # slow to import

    with output.progress("checking") as progress:
        report = verify_site(site, data=data, sign=keys, progress=progress)
    wrong = [{"key": key, "reason": reason} for key, reason in report.wrong]
    # Of signed sites alone.
    said: dict[str, object] = {"warnings": report.warnings} if report.warnings else {}
    if report.expires is not None:
        said["expires"] = time_text(report.expires)
    output.record({"checked": report.checked, "wrong": wrong, "extra": report.extra, **said})
    for warning in report.warnings:
        output.warning(warning)
    for key, reason in report.wrong:
        output.line(Cell("wrong", "red"), key, reason)
    for key in report.extra:
        reason = "is not in the index: publish the site again, unless it has expired"
        output.line(Cell("extra", "yellow"), key, reason)
    if report.wrong:
        raise IntegrityError(
            f"{count_text(len(report.wrong), 'file')} not as index and head say: "
            "restore the files, or publish the site again"
        )
    output.line(
        f"{count_text(report.checked, 'key')}, and all values are what the index says"
        + ("" if report.expires is None else f"; signed until {report.expires:%Y-%m-%d %H:%M} UTC")
    )
