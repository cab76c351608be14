"""``staticstore query``: find values by their metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from ..index.advice import unknown_field_advice
from ..index.tables.columns import column_names
from .exits import ExitCode, nothing_matches
from .options import CommonOptions, examples, output_options, site_options
from .parameters import (
    Asked,
    conditions_argument,
    limit_option,
    null_option,
    select_option,
    sort_option,
)
from .terminal import Cell, Column, Output

__all__ = ["query"]


@click.command(
    short_help="Find values by their metadata.",
    epilog=examples(
        "staticstore query https://data.example.org/site/ type=raster --select title,size",
        "staticstore query https://data.example.org/site/ 'size>=1000000' 'date<2024-06-01' --json",
        "staticstore query https://data.example.org/site/ title~north --sort=-size --limit 10",
        "staticstore query https://data.example.org/site/ bbox@5,44,16,48 --count",
        "staticstore query https://data.example.org/site/ type=table --csv > tables.csv",
        "staticstore query https://data.example.org/site/ type=table -0 | xargs -0 -n 1 echo",
    ),
)
@site_options
@conditions_argument
@select_option
@sort_option
@limit_option
@click.option("--count", is_flag=True, help="Show only how many values match.")
@click.option("--keys", "keys_only", is_flag=True, help="Show only the keys, one a line.")
@null_option
@click.option(
    "--csv", "as_csv", is_flag=True, help="Write CSV with a header, all fields or those selected."
)
@output_options
@click.pass_obj
def query(
    common: CommonOptions,
    url: str,
    asked: Asked,
    select: list[str] | None,
    sort: list[str] | None,
    limit: int | None,
    count: bool,
    keys_only: bool,
    null: bool,
    as_csv: bool,
) -> None:
    """Find values by their metadata: those that fulfill all conditions.

    A CONDITION is FIELD OP VALUE, in quotes where the shell would take < or >. OP is one of
    =, !=, <, <=, >, >= and ~, which means contains, whatever the case. bbox@W,S,E,N finds boxes
    that intersect one. date=null finds the values without a date, and date!=null those with one.

    A VALUE that is JSON is taken as JSON: size>5 compares with a number, tags='["water"]' finds
    a list, and bands=3 the number and the text. Dates (2024-05-01) and times compare as such,
    without a zone in UTC; date<=2024-05-01 includes that day. Values of different kinds are
    neither less nor greater. proj.code reaches into an object, and a name that contains an
    operator is quoted: '"a=b"=3'.
    """
    output = common.output
    if count + (keys_only or null) + as_csv > 1:
        raise click.UsageError("give only one of --count, --keys (or --null) and --csv")
    if output.as_json and (null or as_csv):
        raise click.UsageError("--json does not go with --csv or --null")
    if select and (count or keys_only or null):
        raise click.UsageError("--select does not go with --count, --keys or --null")
    if count and (sort or limit):
        raise click.UsageError("--count counts all that match: it takes no --sort and no --limit")
    with common.connected(url) as store:
        index = store.index
        if count:
            found = _show_count(output, index.count(where=asked.where))
        elif keys_only or null:
            keys = index.query_keys(where=asked.where, sort=sort, limit=limit)
            found = output.keys(keys, null=null)
        else:
            seen: set[str] = set()
            entries = _noted(index.query(select, where=asked.where, sort=sort, limit=limit), seen)
            if not as_csv:
                found = _show(output, entries, select)
            elif select is not None:
                found = output.csv(_columns(select), map(_row, entries))
            else:  # the header comes first: the fields of all are collected before
                fields = _fields(index.query(where=asked.where, sort=sort, limit=limit))
                names = dict(zip(fields, column_names(fields), strict=True))
                rows = (
                    {"key": key, **{names[field]: metadata[field] for field in metadata}}
                    for key, metadata in entries
                )
                found = output.csv(["key", *names.values()], rows)
            if found:  # a column without any value may be a wrong name
                empty = [field for field in select or () if field not in {*seen, "key"}]
                output.warnings(unknown_field_advice(index, empty))
        sorted_by = [field.removeprefix("-") for field in sort or ()]
        output.warnings(unknown_field_advice(index, sorted_by))
        if not found and asked:
            output.warnings(asked.advice(index))
            if count:  # as of grep -c: the answer is there
                raise click.exceptions.Exit(ExitCode.NO_SUCH_KEY)
            raise nothing_matches("nothing in the index matches")
        if not found:
            output.warnings(store.info()["warnings"])  # of an index that lost all of them
        if not found and not count:
            output.note("no keys")


def _show_count(output: Output, count: int) -> int:
    output.record({"count": count})
    output.line(str(count))
    return count


def _noted(
    entries: Iterator[tuple[str, dict[str, Any]]], seen: set[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, metadata in entries:
        seen.update(metadata)
        yield key, metadata


def _fields(entries: Iterator[tuple[str, dict[str, Any]]]) -> list[str]:
    fields = dict[str, None]()
    for _, metadata in entries:
        fields.update(dict.fromkeys(metadata))
    return list(fields)


def _columns(select: list[str]) -> list[str]:
    # Who selects the key has it already.
    return list(dict.fromkeys(["key", *select]))


def _row(entry: tuple[str, Mapping[str, Any]]) -> dict[str, Any]:
    key, metadata = entry
    return {**metadata, "key": key}


def _show(
    output: Output, entries: Iterator[tuple[str, dict[str, Any]]], select: list[str] | None
) -> int:
    if output.as_json:
        return output.rows([], ({"key": key, "metadata": data} for key, data in entries))
    if select is not None:
        return output.rows(list(map(Column, _columns(select))), map(_row, entries))
    if not output.is_terminal:
        columns = [Column("key"), Column("metadata")]
        return output.rows(columns, ({"key": key, "metadata": data} for key, data in entries))
    count = 0
    for key, metadata in entries:
        count += 1
        output.line(Cell(key, "bold"))
        for field, value in metadata.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            output.line("", Cell(field, "dim", 12), text)
    return count
