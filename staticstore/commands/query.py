"""``staticstore query``: find values by their metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from .options import CommonOptions, examples, output_options, parse_conditions, site_options
from .terminal import Cell, Column, Output

__all__ = ["query"]


def _parse_fields(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[str] | None:
    fields = [name.strip() for value in values for name in value.split(",")]
    if not all(fields):
        raise click.BadParameter("a field name between the commas is missing")
    return fields or None


@click.command(
    epilog=examples(
        "staticstore query https://data.example.org/site/ type=raster --select title,size",
        "staticstore query https://data.example.org/site/ type=raster bands=3 --json",
    )
)
@site_options
@click.argument("where", metavar="[FIELD=VALUE]...", nargs=-1, callback=parse_conditions)
@click.option(
    "--select",
    metavar="FIELD,...",
    multiple=True,
    callback=_parse_fields,
    help="Show only these fields.",
)
@output_options
@click.pass_obj
def query(common: CommonOptions, url: str, where: dict[str, Any], select: list[str] | None) -> None:
    """Find values by their metadata: those whose fields equal all values given.

    A VALUE that is JSON is taken as JSON: bands=3 is a number, tags='["water"]' a list, and
    date=null finds values without a date. Anything else is text; to give text that looks like
    JSON, quote it: code='"007"'.
    """
    output = common.output
    with common.connected(url) as store:
        found = store.query(select, where=where)
        if output.as_json:
            count = output.rows([], ({"key": key, "metadata": data} for key, data in found))
        elif select is None:
            count = _show_entries(output, found)
        else:
            columns = [Column("key"), *map(Column, select)]
            count = output.rows(columns, ({**data, "key": key} for key, data in found))
        if not count:
            output.note("nothing matches")


def _show_entries(output: Output, found: Iterator[tuple[str, dict[str, Any]]]) -> int:
    if not output.is_terminal:
        columns = [Column("key"), Column("metadata")]
        return output.rows(columns, ({"key": key, "metadata": data} for key, data in found))
    count = 0
    for key, metadata in found:
        count += 1
        output.line(Cell(key, "bold"))
        for field, value in metadata.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            output.line("", Cell(field, "dim", 12), text)
    return count
