"""``staticstore ls``: list the keys of a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..errors import quoted
from ..index.fields import Content, parse_media_type, parse_time, time_text
from ..index.notebook import size_text
from ..query.conditions import selected
from .exits import nothing_matches
from .options import CommonOptions, examples, output_options, site_options
from .parameters import KEY, select_option
from .terminal import Column

__all__ = ["ls"]


@click.command(
    short_help="List the keys of a site.",
    epilog=examples(
        "staticstore ls https://data.example.org/site/",
        "staticstore ls https://data.example.org/site/ 'terrain/*.tif' -l",
        "staticstore ls https://data.example.org/site/ --select title,size",
    ),
)
@site_options
@click.argument("pattern", metavar="[GLOB]", type=KEY, required=False)
@click.option("-l", "--long", is_flag=True, help="Show size, time and type as well.")
@select_option
@output_options
@click.pass_obj
def ls(
    common: CommonOptions, url: str, pattern: str | None, long: bool, select: list[str] | None
) -> None:
    """List the keys of a site, all or those that match a shell pattern.

    A pattern is matched against the whole key, and * matches slashes too.
    """
    if long and select:
        raise click.UsageError("give either --long or --select")
    output = common.output
    with common.connected(url) as store:
        index = store.index
        keys = iter(index) if pattern is None else index.glob(pattern)
        if long:
            columns = [
                Column("size", size_text, right=True),
                Column("modified", time_text),
                Column("type"),
                Column("key"),
            ]
            count = output.rows(columns, (_long_row(key, index[key]) for key in keys))
        elif select is not None:
            columns = [Column("key"), *map(Column, select)]
            rows = ({**selected(index[key], tuple(select)), "key": key} for key in keys)
            count = output.rows(columns, rows)
        else:
            count = output.rows([Column("key")], ({"key": key} for key in keys))
        if not count and pattern is not None:
            raise nothing_matches(f"no key matches {quoted(pattern)}")
        if not count:
            output.note("no keys")


def _long_row(key: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    content = Content.of(metadata)
    return {
        "key": key,
        "size": content.size,
        "modified": parse_time(content.modified),
        "type": metadata.get("type", parse_media_type(metadata.get("media_type"))),
    }
