"""``staticstore query``: find values by their metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from .exits import nothing_matches
from .options import CommonOptions, examples, output_options, site_options
from .parameters import parse_conditions, select_option
from .terminal import Cell, Column, Output

__all__ = ["query"]


@click.command(
    epilog=examples(
        "staticstore query https://data.example.org/site/ type=raster --select title,size",
        "staticstore query https://data.example.org/site/ type=raster bands=3 --json",
    )
)
@site_options
@click.argument("where", metavar="[FIELD=VALUE]...", nargs=-1, callback=parse_conditions)
@select_option
@output_options
@click.pass_obj
def query(common: CommonOptions, url: str, where: dict[str, Any], select: list[str] | None) -> None:
    """Find values by their metadata: those whose fields equal all values given.

    A VALUE that is JSON is also taken as JSON: bands=3 finds the number and the text,
    tags='["water"]' a list, and date=null the values without a date.
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
        if not count and where:
            raise nothing_matches("nothing in the index matches")
        if not count:
            output.note("no keys")


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
