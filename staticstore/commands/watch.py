"""``staticstore watch``: show the changes of a site as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import (
    CommonOptions,
    examples,
    output_options,
    site_options,
)
from .parameters import (
    SECONDS,
    interval_option,
)
from .terminal import ACTION_STYLES, Cell

if TYPE_CHECKING:
    from ..index.changes import Change

__all__ = ["differing_fields", "watch"]


@click.command(
    epilog=examples(
        "staticstore watch https://data.example.org/site/",
        "staticstore watch https://data.example.org/site/ --interval 5 --idle 60 --json",
    )
)
@site_options
@interval_option("How long to wait between polls.")
@click.option(
    "--idle",
    metavar="SECONDS",
    type=SECONDS,
    help="Exit when nothing has changed for this long; by default never.",
)
@output_options
@click.pass_obj
def watch(common: CommonOptions, url: str, interval: float, idle: float | None) -> None:
    """Show what is set, updated and deleted, as it happens."""
    output = common.output
    with common.connected(url, poll_interval=interval) as store:
        changes = store.watch(idle)
        output.note(f"watching {len(store)} keys; press Ctrl-C to stop")
        for change in changes:
            output.record(
                {
                    "action": change.action,
                    "key": change.key,
                    "metadata": change.metadata,
                    "previous": change.previous,
                }
            )
            output.line(
                Cell(change.action, ACTION_STYLES[change.action], 6),
                change.key,
                Cell(", ".join(differing_fields(change)), "dim"),
            )


def differing_fields(change: Change) -> list[str]:
    """Return the names of the fields that an update changed; else none.

    Examples
    --------
    >>> from staticstore import Change
    >>> differing_fields(Change("a", b'{"size":1,"type":"table"}', b'{"size":2,"type":"table"}'))
    ['size']
    """
    before, after = change.previous, change.metadata
    if before is None or after is None:
        return []
    missing = object()
    return [
        field
        for field in sorted(before.keys() | after.keys())
        if before.get(field, missing) != after.get(field, missing)
    ]
