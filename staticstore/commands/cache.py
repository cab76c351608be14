"""``staticstore cache``: show, prune and verify the cache of readers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from ..errors import IntegrityError
from ..index.fields import time_text
from ..index.notebook import size_text
from .exits import CommandError, partly_failed, system_reason
from .options import USER_CACHE, CommonOptions, cache_option, examples, output_options
from .terminal import Cell, count_text

if TYPE_CHECKING:
    from ..client.cache.folder import CacheFolder

__all__ = ["cache"]


@click.group(
    epilog=examples(
        "staticstore cache info",
        "staticstore cache prune --all",
        "staticstore cache verify --cache my-cache",
    ),
)
def cache() -> None:
    """Manage the cache: what readers keep with --cache."""


@cache.command(
    epilog=examples("staticstore cache info", "staticstore cache info --cache my-cache --json"),
)
@cache_option(default=USER_CACHE)
@output_options
@click.pass_obj
def info(common: CommonOptions) -> None:
    """Show what the cache contains."""
    from ..client.cache.index import sites_in

    folder, output = _checked_folder(common), common.output
    values, sites = list(folder.values()), list(sites_in(folder))
    bytes_of_values = sum(value.size for value in values)
    indexes = [
        {
            "root_url": site.note.root,
            "entries": site.note.entries,
            "size": site.size,
            "fetched": datetime.fromtimestamp(site.note.fetched, UTC),
        }
        for site in sites
    ]
    output.record(
        {
            "folder": str(folder.path),
            "values": len(values),
            "bytes": bytes_of_values + sum(site.size for site in sites),
            "indexes": indexes,
        }
    )
    output.line(Cell("folder", "bold", 7), str(folder.path))
    output.line(
        Cell("values", "bold", 7), count_text(len(values), "value"), size_text(bytes_of_values)
    )
    for site in sites:
        output.line(
            Cell("index", "bold", 7),
            site.note.root,
            f"{site.note.entries} entries",
            size_text(site.size),
            time_text(datetime.fromtimestamp(site.note.fetched, UTC)),
        )


@cache.command(
    epilog=examples(
        "staticstore cache prune --max-bytes 1000000000",
        "staticstore cache prune --all",
    ),
)
@cache_option(default=USER_CACHE)
@click.option(
    "--max-bytes",
    metavar="BYTES",
    type=click.IntRange(min=0),
    help="Remove the least recently used, until the rest takes this many bytes of disk.",
)
@click.option("--all", "everything", is_flag=True, help="Remove everything.")
@output_options
@click.pass_obj
def prune(common: CommonOptions, max_bytes: int | None, everything: bool) -> None:
    """Remove what was least recently used, or everything."""
    if everything == (max_bytes is not None):
        raise click.UsageError("give either --max-bytes or --all")
    folder, output = _checked_folder(common), common.output
    before = [*folder.values(), *folder.indexes()]
    if max_bytes is None:
        for one in before:
            one.remove()
    else:
        folder.evict(max_bytes)
    left = [*folder.values(), *folder.indexes()]
    removed = len(before) - len(left)
    freed = sum(one.size for one in before) - sum(one.size for one in left)
    output.record({"folder": str(folder.path), "removed": removed, "freed": freed})
    if sum(one.disk_use for one in left) > (max_bytes or 0):
        raise partly_failed(
            f"{len(left)} values and indexes could not be removed from {folder.path}",
            hint="check that you may write to this folder",
        )
    output.line(f"{removed} removed, {size_text(freed)} freed")


@cache.command(epilog=examples("staticstore cache verify"))
@cache_option(default=USER_CACHE)
@output_options
@click.pass_obj
def verify(common: CommonOptions) -> None:
    """Read everything in the cache, and remove what is damaged."""
    from ..client.cache.index import verify_cache

    folder, output = _checked_folder(common), common.output
    report = verify_cache(folder)
    removed = [{"path": str(path), "reason": reason} for path, reason in report.removed]
    output.record({"folder": str(folder.path), "checked": report.checked, "removed": removed})
    for path, reason in report.removed:
        output.line(Cell("removed", "red"), str(path), reason)
    if report.removed:
        raise IntegrityError(
            f"{len(report.removed)} damaged values or indexes were removed; "
            "readers will fetch them again"
        )
    output.line(f"{report.checked} values and indexes, all intact")


def _checked_folder(common: CommonOptions) -> CacheFolder:
    folder = common.cache
    assert folder is not None, "--cache has a default here"
    try:
        folder.check(folder.path)
    except FileNotFoundError:  # nothing is cached yet
        pass
    except OSError as error:
        raise CommandError(
            f"the cache folder is not used: {system_reason(error)}",
            hint="name one that belongs to you, and that only you can write: --cache FOLDER",
        ) from error
    return folder
