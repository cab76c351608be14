"""What the commands of the cache do: info, prune, verify."""

from __future__ import annotations

from datetime import UTC, datetime

from ..client.cache_check import sites_in, verify_cache
from ..client.cache_folder import CacheFolder
from ..errors import IntegrityError
from ..index.fields import time_text
from ..terminal import Cell, Output, count_text, size_text
from .exits import CommandError, ExitCode

__all__ = ["info", "prune", "verify"]


def _check(folder: CacheFolder) -> None:
    """Refuse a folder that no store uses as its cache."""
    try:
        folder.check(folder.path)
    except FileNotFoundError:  # nothing is kept yet
        return
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CommandError(
            f"the cache folder is not used: {reason}",
            hint="name one that belongs to you, and that only you may write: --cache FOLDER",
        ) from error


def info(folder: CacheFolder, output: Output) -> None:
    """Tell what a cache holds."""
    _check(folder)
    values, sites = list(folder.values()), list(sites_in(folder))
    bytes_of_values = sum(value.size for value in values)
    said = [
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
            "indexes": said,
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


def prune(folder: CacheFolder, output: Output, *, max_bytes: int | None) -> None:
    """Remove what was not used for longest, beyond a bound; all if there is none."""
    _check(folder)
    before = [*folder.values(), *folder.indexes()]
    if max_bytes is None:
        for kept in before:
            kept.remove()
    else:
        folder.evict(max_bytes)
    left = [*folder.values(), *folder.indexes()]
    removed, freed = len(before) - len(left), sum(one.size for one in before)
    freed -= sum(one.size for one in left)
    output.record({"folder": str(folder.path), "removed": removed, "freed": freed})
    if sum(one.disk_use for one in left) > (max_bytes or 0):
        raise CommandError(
            f"values and indexes that could not be removed: {len(left)}",
            code=ExitCode.PARTLY,
            kind="PartlyFailed",
        )
    output.line(f"{removed} removed, {size_text(freed)} freed")


def verify(folder: CacheFolder, output: Output) -> None:
    """Read all of a cache, and remove what is damaged."""
    _check(folder)
    report = verify_cache(folder)
    removed = [{"path": str(path), "reason": reason} for path, reason in report.removed]
    output.record({"folder": str(folder.path), "checked": report.checked, "removed": removed})
    for path, reason in report.removed:
        output.line(Cell("removed", "red"), str(path), reason)
    if report.removed:
        raise IntegrityError(
            f"what was damaged, and is removed: {len(report.removed)}; it is fetched again"
        )
    output.line(f"{report.checked} values and indexes, and all are as they should be")
