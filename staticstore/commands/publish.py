"""What the publisher's commands do: publish, watch, check, serve."""

from __future__ import annotations

from pathlib import Path

from ..errors import IntegrityError, StoreError
from ..site.guards import Force
from ..site.predecessor import PublishedAt
from ..site.publisher import PublishReport, verify_site
from ..site.publisher import publish as publish_site
from ..site.server import serve as serve_site
from ..site.watching import publish_watching as watch_site
from ..terminal import ACTION_STYLES, Cell, Output, count_text, size_text
from .exits import ending_of, partly_failed

__all__ = ["check", "publish", "publish_watching", "serve"]

_CHANGES_SHOWN = 20  # of a kind, unless all are asked for


def publish(
    site: str,
    output: Output,
    *,
    metadata: str | None,
    pack: bool,
    pack_below: int,
    browse: bool,
    after: PublishedAt | None,
    force: Force,
    dry_run: bool,
) -> None:
    """Make a site of a folder, and tell what changed."""
    with output.progress("hashing") as progress:
        report = publish_site(
            site,
            metadata=metadata,
            pack=pack,
            pack_below=pack_below,
            browse=browse,
            after=after,
            force=force,
            dry_run=dry_run,
            progress=progress,
        )
    _show_report(
        output,
        report,
        dry_run=dry_run,
        at_most=None if dry_run or output.verbose else _CHANGES_SHOWN,
    )
    if report.failed:
        raise partly_failed(
            f"what could not be published: {len(report.failed)} files or folders",
            hint="fix these, and publish again; everything else is published",
        )


def publish_watching(
    site: str,
    output: Output,
    *,
    metadata: str | None,
    pack: bool,
    pack_below: int,
    browse: bool,
    force: Force,
    rescan: float,
) -> None:
    """Publish again and again, and tell what changed in a line each, until somebody interrupts."""
    outcomes = watch_site(
        site,
        metadata=metadata,
        pack=pack,
        pack_below=pack_below,
        browse=browse,
        force=force,
        rescan=rescan,
    )
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, StoreError):
            ending = ending_of(outcome)
            assert ending is not None, "each error of ours ends a command somehow"
            output.error(ending)
        else:
            at_most = None if output.verbose else 0
            _show_report(output, outcome, dry_run=False, at_most=at_most)
        if not number:
            output.note("watching until you press Ctrl-C")


def _show_report(
    output: Output, report: PublishReport, *, dry_run: bool, at_most: int | None
) -> None:
    output.record({**vars(report), "dry_run": dry_run})
    for action, keys in (
        ("set", report.set),
        ("update", report.updated),
        ("delete", report.deleted),
    ):
        output.some(Cell(action, ACTION_STYLES[action], 6), keys, at_most)
    for path, reason in report.failed:
        output.line(Cell("failed", "bold red"), path, reason)
    output.line(
        f"{count_text(report.entries, 'key')}, {size_text(report.bytes)}: "
        f"{len(report.set)} set, {len(report.updated)} updated, {len(report.deleted)} deleted"
        + (f", {report.packed} in packs" if report.packed else "")
        + (" (a dry run: nothing was written)" if dry_run else "")
    )


def check(site: str, output: Output) -> None:
    """Hold a site's data against its index."""
    with output.progress("checking") as progress:
        report = verify_site(site, progress=progress)
    wrong = [{"key": key, "reason": reason} for key, reason in report.wrong]
    output.record({"checked": report.checked, "wrong": wrong, "extra": report.extra})
    for key, reason in report.wrong:
        output.line(Cell("wrong", "red"), key, reason)
    for key in report.extra:
        output.line(Cell("extra", "yellow"), key, "is not in the index: publish the site again")
    if report.wrong:
        raise IntegrityError(
            f"what is not as index and head say: {count_text(len(report.wrong), 'file')}"
        )
    output.line(f"{count_text(report.checked, 'key')}, and all values are what the index says")


def serve(site: str, output: Output, *, host: str, port: int, auth: tuple[str, str] | None) -> None:
    """Serve a site until somebody interrupts it."""
    with serve_site(site, host=host, port=port, auth=auth) as server:
        output.record({"url": server.url, "port": server.port})
        output.line(server.url)
        if not Path(site, "index.json").exists():
            output.warning("there is no index.json: 'staticstore publish' makes it")
        output.note("serving until you press Ctrl-C")
        server.wait()
    # Nothing else ends the wait, and `wait` does not raise it again.
    raise KeyboardInterrupt
