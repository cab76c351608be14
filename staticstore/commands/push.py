"""``staticstore push``: upload a published site to a host."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ..index.notebook import size_text
from .credentials import bucket_options
from .exits import partly_failed
from .options import (
    CommonOptions,
    examples,
    output_options,
)
from .parameters import (
    FOLDER,
    TARGET,
    ForceCommand,
    allow_name_option,
    data_option,
    force_option,
)
from .terminal import Cell, count_text

if TYPE_CHECKING:
    from ..site.guards import Force

__all__ = ["push"]

_endpoint, _region, _anonymous = bucket_options()


@click.command(
    cls=ForceCommand,
    short_help="Upload a published site to a host.",
    epilog=examples(
        "staticstore push my-site s3://bucket/prefix",
        "staticstore push my-site s3://bucket --endpoint https://minio.example.org --dry-run",
        "staticstore push my-site s3://my-pages --active",
        "staticstore push my-site /mnt/web/site --delete",
    ),
)
@click.argument("site", type=FOLDER)
@click.argument("target", type=TARGET)
@click.option("--delete", is_flag=True, help="Remove what is no longer part of the site.")
@force_option("shrink", "lineage", "folder")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be uploaded.")
@data_option("The folder of SITE with the values, if not the one that was published.")
@allow_name_option
@click.option(
    "--active",
    is_flag=True,
    help="Have a bucket serve HTML, SVG, XML and scripts as what they are, which browsers run, "
    "instead of as plain text; for values that you trust. Applies to what is uploaded now.",
)
@click.option(
    "--workers",
    metavar="NUMBER",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="How many files to upload at once.",
)
@_endpoint
@_region
@_anonymous
@output_options
@click.pass_obj
def push(
    common: CommonOptions,
    site: str,
    target: str,
    delete: bool,
    force: Force,
    dry_run: bool,
    data: str | None,
    allow_names: tuple[str, ...],
    active: bool,
    workers: int,
    endpoint: str | None,
    region: str | None,
    anonymous: bool,
) -> None:
    """Upload a published site to a host: whatever is missing or has changed there.

    TARGET is s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or a folder.
    Credentials are found where the cloud's own tools find them: in the environment, or in
    their files.
    """
    from ..site.push import push as push_site  # slow to import

    output = common.output
    with output.progress("uploading") as progress:
        report = push_site(
            site,
            target,
            delete=delete,
            force=force,
            dry_run=dry_run,
            allow_names=allow_names,
            active=active,
            data=data,
            workers=workers,
            endpoint=endpoint,
            region=region,
            anonymous=anonymous,
            progress=progress,
        )
    failed = [{"path": path, "reason": reason} for path, reason in report.failed]
    output.record({**asdict(report), "failed": failed, "dry_run": dry_run})
    output.lines(Cell("upload", "green", 6), report.uploaded, unlimited=dry_run)
    output.lines(Cell("delete", "red", 6), report.deleted, unlimited=dry_run)
    for path, reason in report.failed:
        output.line(Cell("failed", "bold red"), path, reason)
    output.line(
        f"{count_text(len(report.uploaded), 'file')} uploaded, {size_text(report.bytes)}; "
        f"{report.kept} kept, {len(report.deleted)} deleted, in {report.seconds:.1f} s"
        + (" (a dry run: nothing was written)" if dry_run else "")
    )
    if report.inert:
        output.note(
            f"{count_text(len(report.inert), 'value')} of HTML, SVG, XML or script served as "
            "text, so that no browser runs them: --active serves what the index says"
        )
    if report.left:
        output.note(f"{count_text(report.left, 'old file')} left there: --delete removes them")
    if report.failed:
        raise partly_failed(
            f"{count_text(len(report.failed), 'file')} could not be uploaded; "
            "the index at the target is the old one",
            hint="fix these, publish the site again if it changed, and push again",
        )
