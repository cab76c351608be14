"""``staticstore info``: show what a site is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..errors import TransportError
from .options import CommonOptions, examples, output_options, site_options
from .terminal import Cell, Output

if TYPE_CHECKING:
    from ..client.store import StaticStore

__all__ = ["info"]

_MOST_CHARACTERS = 200  # of a title or a license


@click.command(
    short_help="Show what a site is.",
    epilog=examples(
        "staticstore info https://data.example.org/site/",
        "staticstore info https://data.example.org/site/ --auth-file ~/site.auth",
        "staticstore info my-site --json",
    ),
)
@site_options
@output_options
@click.pass_obj
def info(common: CommonOptions, url: str) -> None:
    """Show what a site is, and what is wrong with its index."""
    output = common.output
    with common.connected(url, lazy=True) as store:
        known = store.info()
        about = _about(store, output)
    output.record(known if about is None else {**known, "about": about})
    for name in ("root_url", "format", "documents", "entries", "generation", "table", "trust"):
        if known.get(name) is not None:
            output.line(Cell(name, "bold", 10), str(known[name]))
    if known["trust_expires"] is not None:
        output.line(Cell("expires", "bold", 10), f"{known['trust_expires']:%Y-%m-%d %H:%M} UTC")
    for name in ("title", "license"):
        if about is not None and name in about:
            output.line(Cell(name, "bold", 10), _shortened(about[name]))
    if known["stale"]:
        output.line(Cell("stale", "bold yellow", 10), known["last_error"])
    for warning in known["warnings"]:
        output.line(Cell("warning", "bold yellow", 10), warning)


def _about(store: StaticStore, output: Output) -> dict[str, Any] | None:
    try:
        return store.about()
    except TransportError as error:
        output.warning(f"the site's description could not be read: {error}")
        return None


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
