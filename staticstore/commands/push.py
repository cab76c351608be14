"""What ``push`` does: a site goes to a host."""

from __future__ import annotations

from dataclasses import asdict

from ..site.guards import Force
from ..site.push import push as push_site
from ..terminal import Cell, Output, count_text, size_text
from .exits import partly_failed

__all__ = ["push"]

_FILES_SHOWN = 20  # unless all are asked for


def push(
    site: str,
    target: str,
    output: Output,
    *,
    delete: bool,
    force: Force,
    dry_run: bool,
    allow_names: tuple[str, ...],
    active: bool,
    workers: int,
    endpoint: str | None,
    region: str | None,
    anonymous: bool,
) -> None:
    """Upload what a target lacks of a site, and tell what that was."""
    with output.progress("uploading") as progress:
        report = push_site(
            site,
            target,
            delete=delete,
            force=force,
            dry_run=dry_run,
            allow_names=allow_names,
            active=active,
            workers=workers,
            endpoint=endpoint,
            region=region,
            anonymous=anonymous,
            progress=progress,
        )
    failed = [{"path": path, "reason": reason} for path, reason in report.failed]
    output.record({**asdict(report), "failed": failed, "dry_run": dry_run})
    at_most = None if dry_run or output.verbose else _FILES_SHOWN
    output.some(Cell("upload", "green", 6), report.uploaded, at_most)
    output.some(Cell("delete", "red", 6), report.deleted, at_most)
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
            f"what could not be uploaded: {count_text(len(report.failed), 'file')}; "
            "the index at the target is the old one",
            hint="mend that, publish the site again if it changed, and push it",
        )
