"""``staticstore ls``: list the keys of a site."""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import quoted
from ..index.advice import unknown_field_advice
from ..index.fields import Content, parse_media_type, parse_time, time_text
from ..index.notebook import size_text
from ..query.conditions import selected
from .exits import nothing_matches
from .options import CommonOptions, examples, output_options, site_options
from .parameters import (
    KEY,
    Asked,
    limit_option,
    null_option,
    select_option,
    sort_option,
    where_option,
)
from .terminal import Column

if TYPE_CHECKING:
    from ..index.snapshot import Index

__all__ = ["ls"]


@click.command(
    short_help="List the keys of a site.",
    epilog=examples(
        "staticstore ls https://data.example.org/site/",
        "staticstore ls https://data.example.org/site/ 'terrain/*.tif' -l",
        "staticstore ls https://data.example.org/site/ --select title,size",
        "staticstore ls https://data.example.org/site/ 'terrain/*' --where 'size>90000'",
        "staticstore ls https://data.example.org/site/ -l --sort=-size --limit 10",
    ),
)
@site_options
@click.argument("pattern", metavar="[GLOB]", type=KEY, required=False)
@click.option("-l", "--long", is_flag=True, help="Show size, time and type as well.")
@select_option
@where_option("List only keys with this metadata, as in query; may be repeated.")
@sort_option
@limit_option
@null_option
@output_options
@click.pass_obj
def ls(
    common: CommonOptions,
    url: str,
    pattern: str | None,
    long: bool,
    select: list[str] | None,
    asked: Asked,
    sort: list[str] | None,
    limit: int | None,
    null: bool,
) -> None:
    """List the keys of a site, all or those that match a shell pattern.

    A pattern is matched against the whole key, and * matches slashes too.
    """
    if long and select:
        raise click.UsageError("give either --long or --select")
    output = common.output
    if null and (long or select or output.as_json):
        raise click.UsageError("--null does not go with --long, --select or --json")
    with common.connected(url) as store:
        index = store.index
        keys = _keys(index, pattern, asked, sort, limit)
        if long:
            columns = [
                Column("size", size_text, right=True),
                Column("modified", time_text),
                Column("type"),
                Column("key"),
            ]
            count = output.rows(columns, (_long_row(key, index[key]) for key in keys))
        elif select is not None:
            columns = list(map(Column, dict.fromkeys(["key", *select])))
            rows = ({**selected(index[key], tuple(select)), "key": key} for key in keys)
            count = output.rows(columns, rows)
        else:
            count = output.keys(keys, null=null)
        sorted_by = [field.removeprefix("-") for field in sort or ()]
        output.warnings(unknown_field_advice(index, sorted_by))
        if not count and asked:
            output.warnings(asked.advice(index))
            raise nothing_matches("nothing in the index matches")
        if not count and pattern is not None:
            raise nothing_matches(f"no key matches {quoted(pattern)}", hint=_hint(index, pattern))
        if not count:
            output.warnings(store.info()["warnings"])  # of an index that lost all of them
            output.note("no keys")


def _keys(
    index: Index, pattern: str | None, asked: Asked, sort: list[str] | None, limit: int | None
) -> Iterator[str]:
    keys = index.query_keys(where=asked.where, sort=sort)
    if pattern is not None:
        keys = filter(re.compile(fnmatch.translate(pattern)).match, keys)
    return itertools.islice(keys, limit)


def _hint(index: Index, pattern: str) -> str | None:
    folder = f"{pattern.rstrip('/')}/"
    if any(key.startswith(folder) for key in index):
        return f"{quoted(f'{folder}*')} matches the keys below it"
    return None


def _long_row(key: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    content = Content.of(metadata)
    return {
        "key": key,
        "size": content.size,
        "modified": parse_time(content.modified),
        "type": metadata.get("type", parse_media_type(metadata.get("media_type"))),
    }
