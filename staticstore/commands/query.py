"""What the reader's commands do: info, ls, query, watch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..client.store import StaticStore
from ..errors import TransportError
from ..index.changes import Change
from ..index.fields import Facts, time_text
from ..terminal import ACTION_STYLES, Cell, Column, Output, size_text

__all__ = ["differing_fields", "info", "ls", "query", "watch"]

_MOST_SHOWN = 200  # characters of a title


def info(store: StaticStore, output: Output) -> None:
    """Tell what a store knows of its site."""
    known = store.info()
    about = _about(store, output)
    output.record(known if about is None else {**known, "about": about})
    for name in ("root_url", "entries", "generation", "trust"):
        if known[name] is not None:
            output.line(Cell(name, "bold", 10), str(known[name]))
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
    except TransportError as error:  # what the store knows is told all the same
        output.warning(f"the site's own words could not be read: {error}")
        return None


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


def ls(store: StaticStore, output: Output, *, pattern: str | None, long: bool) -> None:
    """List the keys, all or those that match a shell pattern."""
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
    else:
        count = output.rows([Column("key")], ({"key": key} for key in keys))
    if not count:
        output.note("no keys" if pattern is None else "no key matches")


def _long_row(key: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    facts = Facts.of(metadata)
    return {
        "key": key,
        "size": facts.size,
        "modified": facts.modified,
        "type": metadata.get("type", facts.media_type),
    }


def query(
    store: StaticStore,
    output: Output,
    *,
    where: Mapping[str, Any],
    select: Sequence[str] | None,
) -> None:
    """Find entries by their metadata."""
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


def watch(store: StaticStore, output: Output, *, timeout: float | None) -> None:
    """Tell of changes as they come, until none comes for `timeout` seconds."""
    changes = store.watch(timeout)
    output.note(f"watching {len(store)} keys; Ctrl-C ends it")
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
    """Name the fields that an update has changed; none for a set or a delete.

    Examples
    --------
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
